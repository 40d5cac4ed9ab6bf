"""Distributions over the latent space, and paths through it.

A prior is a function `(key, n) -> [n, dim]` float32. Each of the `n` rows is drawn from its own
key (see `jaxgan.parallel.axis`), so the first rows do not depend on how many are drawn, nor on the devices.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from jaxgan.parallel import axis
from jaxgan.types import Array, PRNGKey

Latent = Callable[[PRNGKey, int], Array]


def normal(dim: int) -> Latent:
    """Standard normal prior, `z ~ N(0, I)`.

    Args:
      dim: dimension of the latent space, at least 1.

    Returns:
      `(key, n) -> [n, dim]`.

    Example:
      >>> import jax
      >>> normal(64)(jax.random.key(0), 8).shape
      (8, 64)
    """
    return _per_example(lambda key: jax.random.normal(key, (dim,)), dim)


def uniform(dim: int, low: float = -1.0, high: float = 1.0) -> Latent:
    """Uniform prior, each coordinate in `[low, high)`; the prior of Radford et al., 2016.

    Args:
      dim: dimension of the latent space, at least 1.
      low, high: the interval.

    Returns:
      `(key, n) -> [n, dim]`.
    """
    return _per_example(lambda key: jax.random.uniform(key, (dim,), minval=low, maxval=high), dim)


def truncated_normal(dim: int, bound: float = 2.0) -> Latent:
    """Normal prior conditioned on every coordinate lying in `[-bound, bound]`.

    Sampling with a smaller bound than in training trades variety for fidelity (the truncation
    trick of Brock, Donahue and Simonyan, *Large Scale GAN Training for High Fidelity Natural Image
    Synthesis*, 2019, https://arxiv.org/abs/1809.11096).

    Args:
      dim: dimension of the latent space, at least 1.
      bound: largest absolute value of a coordinate, in standard deviations; positive.

    Returns:
      `(key, n) -> [n, dim]`.
    """
    draw = lambda key: jax.random.truncated_normal(key, -bound, bound, (dim,))
    return _per_example(draw, dim)


def gaussian(key: PRNGKey, mean: Array, log_var: Array) -> Array:
    """Codes of Gaussians with means and variances of their own, `mean + exp(log_var / 2) N(0, I)`.

    Differentiable in both (the reparameterisation of Kingma and Welling, *Auto-Encoding Variational
    Bayes*, 2014, https://arxiv.org/abs/1312.6114, section 2.4).

    Args:
      key: a scalar key.
      mean, log_var: `[batch, dim]`.

    Returns:
      `[batch, dim]`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> certain = jnp.full((2, 3), -jnp.inf)  # no variance
      >>> gaussian(jax.random.key(0), jnp.ones((2, 3)), certain).tolist()
      [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    chex.assert_equal_shape([mean, log_var])
    return mean + jnp.exp(0.5 * log_var) * normal(mean.shape[1])(key, mean.shape[0])


def mean_and_log_var(q: Array) -> tuple[Array, Array]:
    """The two halves of what an encoder says of q(z|x).

    Args:
      q: `[batch, 2, dim]`.

    Returns:
      Mean and log-variance, `[batch, dim]` each.

    Raises:
      ValueError: q has another shape.

    Example:
      >>> import jax.numpy as jnp
      >>> mean, log_var = mean_and_log_var(jnp.zeros((8, 2, 20)))
      >>> mean.shape
      (8, 20)
    """
    if q.ndim != 3 or q.shape[1] != 2:
        raise ValueError(f"the encoder gives {q.shape}, expected [batch, 2, dim]")
    return q[:, 0], q[:, 1]


def normal_grid(side: int) -> Array:
    """Points of the plane that divide a standard normal prior evenly, row after row.

    Coordinates are the quantiles `(i + 1/2) / side` of N(0, 1): left to right the first, top to
    bottom the second.

    Args:
      side: points along either axis, at least 1.

    Returns:
      `[side * side, 2]`.

    Example:
      >>> normal_grid(2).round(4).tolist()[0]  # the lower quartile, twice
      [-0.6744999885559082, -0.6744999885559082]
    """
    if side < 1:
        raise ValueError(f"side is {side}, expected at least 1")
    quantiles = jax.scipy.stats.norm.ppf((jnp.arange(side) + 0.5) / side)
    second, first = jnp.meshgrid(quantiles, quantiles, indexing="ij")
    return jnp.stack([first.ravel(), second.ravel()], axis=1)


def lerp(start: Array, end: Array, t: Array | float) -> Array:
    """Linear interpolation, `(1 - t) a + t b`.

    Args:
      start, end: `[..., dim]`, of equal shapes.
      t: position in [0, 1], broadcast against `[...]` with a last axis of 1, or a number.

    Returns:
      `[..., dim]`: `start` at `t = 0`, `end` at `t = 1`.

    Example:
      >>> lerp(jnp.array([0.0]), jnp.array([4.0]), 0.25).tolist()
      [1.0]
    """
    chex.assert_equal_shape([start, end])
    return (1.0 - t) * start + t * end


def slerp(start: Array, end: Array, t: Array | float) -> Array:
    """Spherical interpolation, which stays where a Gaussian prior has its mass.

    `slerp(a, b; t) = sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b`, with `w` the angle between
    `a` and `b`; linear interpolation where they are parallel or opposite.

    Args:
      start, end: `[..., dim]`, of equal shapes.
      t: position in [0, 1], broadcast against `[...]` with a last axis of 1, or a number.

    Returns:
      `[..., dim]`: `start` at `t = 0`, `end` at `t = 1`.

    Reference:
      Tom White, *Sampling Generative Networks*, 2016, https://arxiv.org/abs/1609.04468.

    Example:
      >>> import jax.numpy as jnp
      >>> start, end = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]])
      >>> path = slerp(start, end, jnp.linspace(0, 1, 5)[:, None])  # [5, 2]
    """
    chex.assert_equal_shape([start, end])
    norm = lambda x: jnp.linalg.norm(x, axis=-1, keepdims=True)
    a, b = start / norm(start), end / norm(end)
    angle = 2.0 * jnp.arctan2(norm(a - b), norm(a + b))  # exact where arccos(a . b) is not, near pi
    straight = jnp.sin(angle) < 1e-4
    sine = jnp.where(straight, 1.0, jnp.sin(angle))
    start_weight = jnp.where(straight, 1.0 - t, jnp.sin((1.0 - t) * angle) / sine)
    end_weight = jnp.where(straight, t, jnp.sin(t * angle) / sine)
    return start_weight * start + end_weight * end


def _per_example(draw: Callable[[PRNGKey], Array], dim: int) -> Latent:
    if dim < 1:
        raise ValueError(f"latent dimension is {dim}, expected at least 1")
    return lambda key, n: jax.vmap(draw)(axis.example_keys(key, n))
