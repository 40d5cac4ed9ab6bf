"""Toy distributions with known density: Gaussian mixtures on a ring, a grid or a curve."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.parallel import axis
from jaxgan.types import Array, Batch, PRNGKey


class Mixture(NamedTuple):
    """Mixture of equally weighted Gaussians with one covariance, `std^2 I`.

    Attributes:
      name: name of the distribution.
      centers: means of the K Gaussians, `[K, d]`.
      std: standard deviation of every Gaussian along every axis.

    Example, two points, between which the density is that of a distance of 10 standard deviations:
      >>> two = Mixture("two points", np.array([[-1.0], [1.0]]), std=0.1)
      >>> (two.log_density(np.array([[0.0], [1.0]])) / np.log(10)).round(1).tolist()
      [-21.1, 0.3]
    """

    name: str
    centers: np.ndarray
    std: float

    def sample(self, key: PRNGKey, n: int) -> Array:
        """Samples `[n, d]`; row i depends only on the key and on i."""
        centers = jnp.asarray(self.centers, jnp.float32)

        def sample_one(key: PRNGKey) -> Array:
            key_mode, key_noise = jax.random.split(key)
            mode = jax.random.randint(key_mode, (), 0, len(centers))
            return centers[mode] + self.std * jax.random.normal(key_noise, centers.shape[1:])

        return jax.vmap(sample_one)(axis.example_keys(key, n))

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Log density `log p(x)` in nats, `[n, d] -> [n]`."""
        x, width = np.asarray(x, np.float64), self.centers.shape[1]
        exponents = -np.sum((x[:, None] - self.centers) ** 2, axis=2) / (2.0 * self.std**2)
        largest = exponents.max(axis=1, keepdims=True)
        total = np.log(np.mean(np.exp(exponents - largest), axis=1)) + largest[:, 0]
        return total - 0.5 * width * np.log(2.0 * np.pi * self.std**2)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the centres and the standard deviation."""
        return hashlib.sha256(self.centers.tobytes() + np.float64(self.std).tobytes()).hexdigest()


def gaussian(mean: float, std: float) -> Mixture:
    """One-dimensional Gaussian.

    Args:
      mean: mean.
      std: standard deviation, positive.

    Returns:
      The mixture, of one Gaussian.

    Example:
      >>> gaussian(3.0, 1.0).log_density(np.array([[3.0]])).round(4)  # -log(2 pi) / 2
      array([-0.9189])
    """
    return Mixture("gaussian", np.array([[mean]]), std)


def ring(modes: int = 8, radius: float = 1.0, std: float = 0.01) -> Mixture:
    """Mixture of Gaussians on a circle (Lin et al., *PacGAN*, 2018).

    Args:
      modes: number of Gaussians.
      radius: radius of the circle.
      std: standard deviation of every Gaussian along every axis, positive.

    Returns:
      The mixture, of Gaussians in the plane.

    Reference:
      https://arxiv.org/abs/1712.04086

    Example:
      >>> ring(modes=4).centers.round(3).tolist()
      [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-0.0, -1.0]]
    """
    angles = 2.0 * np.pi * np.arange(modes) / modes
    return Mixture("ring", radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), std)


def grid(side: int = 5, spacing: float = 2.0, std: float = 0.05) -> Mixture:
    """Mixture of Gaussians on a square grid around the origin (Lin et al., *PacGAN*, 2018).

    Args:
      side: number of Gaussians along each axis.
      spacing: distance of neighbouring centres.
      std: standard deviation of every Gaussian along every axis, positive.

    Returns:
      The mixture, of `side^2` Gaussians in the plane.

    Reference:
      https://arxiv.org/abs/1712.04086

    Example:
      >>> grid().centers[:3].tolist()
      [[-4.0, -4.0], [-2.0, -4.0], [0.0, -4.0]]
    """
    line = spacing * (np.arange(side) - (side - 1) / 2)
    return Mixture("grid", np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2), std)


def spiral(turns: float = 2.0, std: float = 0.02) -> Mixture:
    """Two intertwined spiral arms out to radius 1, as a mixture of 2000 Gaussians along them.

    Args:
      turns: turns of an arm around the origin.
      std: standard deviation of every Gaussian along every axis, positive.

    Returns:
      The mixture, in the plane.

    Example:
      >>> arms = spiral(turns=1.0).centers  # the second is the first, turned by 180 degrees
      >>> arms[[999, 1999]].round(3).tolist(), bool((arms[:1000] == -arms[1000:]).all())
      ([[1.0, -0.0], [-1.0, 0.0]], True)
    """
    t = np.sqrt(np.linspace(0.02, 1.0, 1000))  # nearly uniform along an arm
    arm = t[:, None] * np.stack([np.cos(2 * np.pi * turns * t), np.sin(2 * np.pi * turns * t)], 1)
    return Mixture("spiral", np.concatenate([arm, -arm]), std)


def swiss_roll(std: float = 0.02) -> Mixture:
    """Swiss roll of one and a half turns out to radius 1, as a mixture of 1000 Gaussians.

    Args:
      std: standard deviation of every Gaussian along every axis, positive.

    Returns:
      The mixture, in the plane.

    Example, the distances of both ends from the origin:
      >>> np.linalg.norm(swiss_roll().centers[[0, -1]], axis=1).round(3).tolist()
      [0.333, 1.0]
    """
    t = np.linspace(1.5 * np.pi, 4.5 * np.pi, 1000)
    return Mixture("swiss_roll", np.stack([np.cos(t), np.sin(t)], 1) * (t / t[-1])[:, None], std)


def sampled_minibatches(
    sample: Callable[[PRNGKey, int], Array], *, batch_size: int, seed: int = 0
) -> Callable[[int, int], Batch]:
    """Minibatch sampler of a distribution: a pure function of (seed, index).

    Args:
      sample: `(key, n) -> [n, ...]`.
      batch_size: examples per minibatch, over all devices.
      seed: seed of the samples.

    Returns:
      `(start, count) -> {"image": [count, batch_size / processes, ...]}`: minibatches `start` to
      `start + count - 1`, this process's rows.

    Raises:
      ValueError: the batch size is below 1, or not divisible by the number of processes.

    Example:
      >>> sampled_minibatches(ring().sample, batch_size=4)(0, 2)["image"].shape
      (2, 4, 2)
    """
    if batch_size < 1:
        raise ValueError(f"batch size is {batch_size}, expected at least 1")
    process, processes = jax.process_index(), jax.process_count()
    if batch_size % processes:
        raise ValueError(
            f"the batch size is {batch_size} and there are {processes} processes; "
            f"choose a multiple of {processes}"
        )
    local = slice(process * batch_size // processes, (process + 1) * batch_size // processes)

    @jax.jit
    def images(indices: Array) -> Array:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), indices)
        return jax.vmap(lambda key: sample(key, batch_size)[local])(keys)

    return lambda start, count: {"image": images(np.arange(start, start + count, dtype=np.uint32))}
