"""Distributions whose density is known: equal Gaussians around points of a ring, grid or curve."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.parallel import axis
from jaxgan.types import Array, Batch, PRNGKey


class Mixture(NamedTuple):
    """A mixture of equally likely Gaussians with one covariance, `std^2 I`.

    Attributes:
      name: of the distribution.
      centres: `[K, d]`.
      std: standard deviation of every Gaussian along every axis.
    """

    name: str
    centres: np.ndarray
    std: float

    def sample(self, key: PRNGKey, n: int) -> Array:
        """`[n, d]`; a row depends on the key and its number alone."""
        centres = jnp.asarray(self.centres, jnp.float32)

        def draw(key: PRNGKey) -> Array:
            key_mode, key_noise = jax.random.split(key)
            mode = jax.random.randint(key_mode, (), 0, len(centres))
            return centres[mode] + self.std * jax.random.normal(key_noise, centres.shape[1:])

        return jax.vmap(draw)(axis.example_keys(key, n))

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """`log p(x)` in nats, `[n, d] -> [n]`."""
        x, width = np.asarray(x, np.float64), self.centres.shape[1]
        exponents = -np.sum((x[:, None] - self.centres) ** 2, axis=2) / (2.0 * self.std**2)
        largest = exponents.max(axis=1, keepdims=True)
        total = np.log(np.mean(np.exp(exponents - largest), axis=1)) + largest[:, 0]
        return total - 0.5 * width * np.log(2.0 * np.pi * self.std**2)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what defines it."""
        return hashlib.sha256(self.centres.tobytes() + np.float64(self.std).tobytes()).hexdigest()


def gaussian(mean: float, std: float) -> Mixture:
    """One Gaussian on the line.

    Example:
      >>> gaussian(3.0, 1.0).log_density(np.array([[3.0]])).round(4)  # -log(2 pi) / 2
      array([-0.9189])
    """
    return Mixture("gaussian", np.array([[mean]]), std)


def ring(modes: int = 8, radius: float = 1.0, std: float = 0.01) -> Mixture:
    """Gaussians on a circle, as Lin et al., *PacGAN*, 2018, https://arxiv.org/abs/1712.04086."""
    angles = 2.0 * np.pi * np.arange(modes) / modes
    return Mixture("ring", radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), std)


def grid(side: int = 5, spacing: float = 2.0, std: float = 0.05) -> Mixture:
    """Gaussians on a square grid around the origin, as in the same paper.

    Example:
      >>> grid().centres[:3].tolist()
      [[-4.0, -4.0], [-2.0, -4.0], [0.0, -4.0]]
    """
    line = spacing * (np.arange(side) - (side - 1) / 2)
    return Mixture("grid", np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2), std)


def spiral(turns: float = 2.0, std: float = 0.02) -> Mixture:
    """Two arms that wind around each other out to radius 1, as 2000 Gaussians along them."""
    t = np.sqrt(np.linspace(0.02, 1.0, 1000))  # evenly along an arm, nearly
    arm = t[:, None] * np.stack([np.cos(2 * np.pi * turns * t), np.sin(2 * np.pi * turns * t)], 1)
    return Mixture("spiral", np.concatenate([arm, -arm]), std)


def swiss_roll(std: float = 0.02) -> Mixture:
    """A rolled-up line of one and a half turns out to radius 1, as 1000 Gaussians along it."""
    t = np.linspace(1.5 * np.pi, 4.5 * np.pi, 1000)
    return Mixture("swiss_roll", np.stack([np.cos(t), np.sin(t)], 1) * (t / t[-1])[:, None], std)


def sampled_minibatches(
    sample: Callable[[PRNGKey, int], Array], *, batch_size: int, seed: int = 0
) -> Callable[[int, int], Batch]:
    """Fresh minibatches of a distribution, a pure function of (seed, number).

    Args:
      sample: `(key, n) -> [n, ...]`.
      batch_size: examples per minibatch, over all devices.
      seed: what they depend on.

    Returns:
      `(start, count) -> {"image": [count, batch_size / processes, ...]}`, this process's rows.

    Raises:
      ValueError: the batch size does not divide over the processes.

    Example:
      >>> draws(ring().sample, batch_size=4)(0, 2)["image"].shape
      (2, 4, 2)
    """
    process, processes = jax.process_index(), jax.process_count()
    if batch_size % processes:
        raise ValueError(f"a batch of {batch_size} does not divide over {processes} processes")
    mine = slice(process * batch_size // processes, (process + 1) * batch_size // processes)

    @jax.jit
    def drawn(numbers: Array) -> Array:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), numbers)
        return jax.vmap(lambda key: sample(key, batch_size)[mine])(keys)

    return lambda start, count: {"image": drawn(np.arange(start, start + count, dtype=np.uint32))}
