"""Inversion of a generator: the latents whose images are nearest to given ones."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from jaxgan.losses import squared_error
from jaxgan.metrics.similarity import psnr_of
from jaxgan.types import Array


class Projection(NamedTuple):
    """Result of `project`: the latents of images, and what they decode to.

    Attributes:
      codes: `[n, dim]`.
      images: the decoded codes, `[n, ...]`.
      error: mean squared error of each image, `[n]`; images are in [-1, 1].

    Example:
      >>> found = Projection(jnp.zeros((1, 2)), jnp.zeros((1, 4)), error=jnp.array([0.04]))
      >>> found.psnr.round(2).tolist()  # 10 log10(2^2 / 0.04)
      [20.0]
    """

    codes: Array
    images: Array
    error: Array

    @property
    def psnr(self) -> Array:
        """Peak signal-to-noise ratio of each image in dB, as `metrics.psnr`, `[n]`."""
        return psnr_of(self.error)


def project(
    decode: Callable[[Array], Array],
    images: Array,
    starts: Array,
    *,
    num_steps: int = 500,
    learning_rate: float = 0.1,
    prior_weight: float = 1e-4,
) -> Projection:
    """Projection of images onto the range of a generator, by gradient descent over latents.

    Minimises `mean (G(z) - x)^2 + prior_weight mean z^2` for every image on its own, with Adam and
    a cosine decay of the learning rate, from several initial latents, and keeps the best. The
    second term, the negative log-density of a standard normal prior up to a factor, keeps latents
    where the generator was trained.

    Args:
      decode: G, `[n, dim] -> [n, ...]`, which treats rows independently.
      images: x, `[n, ...]` in [-1, 1].
      starts: initial latents, `[restarts, n, dim]`, such as samples from the prior.
      num_steps: number of steps, at least 1.
      learning_rate: initial learning rate.
      prior_weight: weight of the prior.

    Returns:
      The best latents of each image by squared error, their images and errors.

    Raises:
      AssertionError: decoded images have another shape than the images, or `starts` other numbers.

    Reference:
      Zhu, Krähenbühl, Shechtman and Efros, *Generative Visual Manipulation on the Natural Image
      Manifold*, 2016, https://arxiv.org/abs/1609.03552; Creswell and Bharath, *Inverting the
      Generator of a Generative Adversarial Network*, 2016, https://arxiv.org/abs/1611.05644.

    Example:
      >>> starts = jax.random.normal(jax.random.key(0), (4, 1, 2))
      >>> found = project(lambda z: 3.0 * z, jnp.array([[0.3, -0.6]]), starts, prior_weight=0.0)
      >>> found.codes.round(3).tolist()
      [[0.10000000149011612, -0.20000000298023224]]
    """
    chex.assert_rank(starts, 3)
    chex.assert_equal(starts.shape[1], images.shape[0])
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, num_steps))

    error = lambda z: squared_error(decode(z), images)

    def objective(z: Array) -> Array:
        return jnp.sum(error(z) + prior_weight * jnp.mean(z**2, axis=1))

    def one_restart(z: Array) -> Projection:
        def step(i: Array, carry: tuple[Array, optax.OptState]) -> tuple[Array, optax.OptState]:
            z, state = carry
            updates, state = optimizer.update(jax.grad(objective)(z), state)
            return optax.apply_updates(z, updates), state

        z, _ = jax.lax.fori_loop(0, num_steps, step, (z, optimizer.init(z)))
        return Projection(z, decode(z), error(z))

    found = jax.lax.map(one_restart, starts)
    best = jnp.nanargmin(found.error, axis=0)  # a restart may have diverged
    pick = partial(jax.vmap(lambda i, rows: rows[i], in_axes=(0, 1)), best)
    return Projection(*map(pick, found))
