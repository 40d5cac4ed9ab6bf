"""Priors over the latent space, the reparameterisation trick, and interpolation between codes.

A prior is a function `(key, n) -> [n, dim]` float32. Each of the `n` rows is sampled with its own
key (see `jaxgan.parallel.axis`), so row i depends neither on n nor on the number of devices.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxgan.ops import at_least_float32
from jaxgan.parallel import axis
from jaxgan.types import Array, PRNGKey

Latent = Callable[[PRNGKey, int], Array]


def normal(dim: int) -> Latent:
    """Standard normal prior, `z ~ N(0, I)`.

    Args:
      dim: dimension of the latent space, at least 1.

    Returns:
      `(key, n) -> [n, dim]`.

    Raises:
      ValueError: `dim` is below 1.

    Example:
      >>> import jax
      >>> normal(64)(jax.random.key(0), 8).shape
      (8, 64)
    """
    return _Normal(dim)


def uniform(dim: int, low: float = -1.0, high: float = 1.0) -> Latent:
    """Uniform prior, each coordinate in `[low, high)`; that of DCGAN.

    Args:
      dim: dimension of the latent space, at least 1.
      low, high: bounds of the interval.

    Returns:
      `(key, n) -> [n, dim]`.

    Raises:
      ValueError: `dim` is below 1, or `low` is not below `high`.

    Reference:
      Radford, Metz and Chintala, *Unsupervised Representation Learning with Deep Convolutional
      Generative Adversarial Networks*, 2016, https://arxiv.org/abs/1511.06434.

    Example:
      >>> import jax
      >>> z = uniform(100)(jax.random.key(0), 8)
      >>> z.shape, bool(abs(z).max() <= 1.0)
      ((8, 100), True)
    """
    numbers = all(isinstance(x, float | int) for x in (low, high))  # arrays may be traced
    if numbers and not low < high:
        raise ValueError(f"low is {low} and high is {high}, expected low < high")
    sample = lambda key: jax.random.uniform(key, (dim,), jnp.float32, low, high)
    return _per_example(sample, dim)


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

    Raises:
      ValueError: `dim` is below 1, or the bound is not positive.

    Example:
      >>> import jax
      >>> z = truncated_normal(64, 0.5)(jax.random.key(0), 8)
      >>> bool(abs(z).max() <= 0.5)
      True
    """
    if isinstance(bound, float | int) and not bound > 0.0:
        raise ValueError(f"the bound of the truncation is {bound}, expected a positive number")
    sample = lambda key: jax.random.truncated_normal(key, -bound, bound, (dim,), jnp.float32)
    return _per_example(sample, dim)


def truncated(prior: Latent, bound: float) -> Latent:
    """Truncation trick: a `normal` prior cut off at `bound`, to sample a trained generator.

    Args:
      prior: `normal(dim)`.
      bound: largest absolute value of a coordinate, in standard deviations; positive.

    Returns:
      `(key, n) -> [n, dim]`.

    Raises:
      ValueError: the prior is not normal, or the bound is not positive.

    Example:
      >>> import jax
      >>> z = truncated(normal(64), 0.5)(jax.random.key(0), 8)
      >>> bool(abs(z).max() <= 0.5)
      True
    """
    if not isinstance(prior, _Normal):
        raise ValueError("the prior is not normal; only normal latents can be truncated")
    return truncated_normal(prior.dim, bound)


class CodeParts(NamedTuple):
    """Latents of an InfoGAN by their parts.

    Attributes:
      noise: `[n, noise]`.
      categories: one-hot encodings, `[n, k]` for each categorical code of k values.
      continuous: `[n, continuous]`.

    Example:
      >>> prior = Codes(2, categorical=(3,), continuous=1)
      >>> parts = prior.split(jnp.array([[0.3, -0.7, 0.0, 0.0, 1.0, 0.5]]))
      >>> parts.categories[0].tolist(), parts.continuous.tolist()
      ([[0.0, 0.0, 1.0]], [[0.5]])
    """

    noise: Array
    categories: tuple[Array, ...]
    continuous: Array


@dataclasses.dataclass(frozen=True)
class Codes:
    """Prior of an InfoGAN: noise, categorical and continuous codes, concatenated to `[n, dim]`.

    Noise and continuous codes are uniform in [-1, 1), as in the authors' code; a categorical code
    is one-hot and uniform over its values.

    Attributes:
      noise: dimension of the noise, at least 0.
      categorical: number of values of each categorical code, at least 2 each.
      continuous: number of continuous codes.

    Raises:
      ValueError: a number is too small, or there are no codes.

    Reference:
      Chen et al., *InfoGAN: Interpretable Representation Learning by Information Maximizing
      Generative Adversarial Nets*, 2016, https://arxiv.org/abs/1606.03657.

    Example:
      >>> import jax
      >>> prior = Codes(62, categorical=(10,), continuous=2)
      >>> z = prior(jax.random.key(0), 8)
      >>> z.shape
      (8, 74)
      >>> parts = prior.split(z)
      >>> flipped = prior.join(parts._replace(continuous=-parts.continuous))
    """

    noise: int
    categorical: tuple[int, ...] = ()
    continuous: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.categorical, int):
            raise ValueError(
                f"categorical is {self.categorical}, expected the numbers of values of all codes, "
                f"such as ({self.categorical},)"
            )
        numbers = (self.noise, self.continuous, *(k - 2 for k in self.categorical))
        if min(numbers) < 0 or self.num_outputs == 0:
            raise ValueError(f"{self}: expected at least one code, of two values if categorical")

    @property
    def num_outputs(self) -> int:
        """Number of values that a network returns to predict the codes, one per coordinate."""
        return sum(self.categorical) + self.continuous

    def __call__(self, key: PRNGKey, n: int) -> Array:
        return _per_example(self._sample, self.noise + self.num_outputs)(key, n)

    def split(self, z: Array) -> CodeParts:
        """The parts of latents `[n, dim]`."""
        chex.assert_shape(z, (None, self.noise + self.num_outputs))
        noise, codes, categories = z[:, : self.noise], z[:, self.noise :], []
        for k in self.categorical:
            categories.append(codes[:, :k])
            codes = codes[:, k:]
        return CodeParts(noise, tuple(categories), codes)

    def join(self, parts: CodeParts) -> Array:
        """The latents of some parts, `[n, dim]`."""
        return jnp.concatenate([parts.noise, *parts.categories, parts.continuous], axis=1)

    def _sample(self, key: PRNGKey) -> Array:
        key_noise, key_continuous, key_categories = jax.random.split(key, 3)
        one_hot = [
            jax.nn.one_hot(
                jax.random.randint(jax.random.fold_in(key_categories, i), (), 0, k), k, dtype="f4"
            )
            for i, k in enumerate(self.categorical)
        ]
        uniform = lambda key, dim: jax.random.uniform(key, (dim,), jnp.float32, -1.0)
        noise = uniform(key_noise, self.noise)
        continuous = uniform(key_continuous, self.continuous)
        return jnp.concatenate([noise, *one_hot, continuous])


def gaussian(key: PRNGKey, mean: Array, log_var: Array) -> Array:
    """Reparameterised sample of a diagonal Gaussian, `mean + exp(log_var / 2) N(0, I)`.

    Differentiable in `mean` and `log_var` (Kingma and Welling, *Auto-Encoding Variational Bayes*,
    2014, https://arxiv.org/abs/1312.6114, section 2.4).

    Args:
      key: a single key; each row is sampled with its own key derived from it.
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
    """Splits an encoder's output into mean and log-variance of q(z|x).

    Args:
      q: encoder output, `[batch, 2, dim]`.

    Returns:
      Mean and log-variance, `[batch, dim]` each, at least float32.

    Raises:
      ValueError: q has another shape.

    Example:
      >>> import jax.numpy as jnp
      >>> mean, log_var = mean_and_log_var(jnp.zeros((8, 2, 20)))
      >>> mean.shape
      (8, 20)
    """
    if q.ndim != 3 or q.shape[1] != 2:
        raise ValueError(f"the encoder returns {q.shape}, expected [batch, 2, dim]")
    q = at_least_float32(q)
    return q[:, 0], q[:, 1]


def normal_grid(side: int) -> Array:
    """Grid of quantiles of a two-dimensional standard normal prior.

    Coordinates are the quantiles `(i + 1/2) / side` of N(0, 1); the first increases left to right,
    the second top to bottom.

    Args:
      side: number of points along each axis, at least 1.

    Returns:
      `[side * side, 2]`, in row-major order.

    Raises:
      ValueError: `side` is below 1.

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
      t: position in [0, 1]: a float, or an array with a last axis of 1 that broadcasts against
        `start`.

    Returns:
      `[..., dim]`: `start` at `t = 0`, `end` at `t = 1`.

    Example:
      >>> lerp(jnp.array([0.0]), jnp.array([4.0]), 0.25).tolist()
      [1.0]
    """
    chex.assert_equal_shape([start, end])
    return (1.0 - t) * start + t * end


def slerp(start: Array, end: Array, t: Array | float) -> Array:
    """Spherical linear interpolation, which stays in the high-density shell of a Gaussian prior.

    `slerp(a, b; t) = sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b`, with `w` the angle between
    `a` and `b`; linear interpolation where they are parallel or opposite, or one of them is 0.

    Args:
      start, end: `[..., dim]`, of equal shapes.
      t: position in [0, 1]: a float, or an array with a last axis of 1 that broadcasts against
        `start`.

    Returns:
      `[..., dim]`: `start` at `t = 0`, `end` at `t = 1`.

    Reference:
      Tom White, *Sampling Generative Networks*, 2016, https://arxiv.org/abs/1609.04468.

    Example:
      >>> start, end = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]])
      >>> path = slerp(start, end, jnp.linspace(0, 1, 5)[:, None])
      >>> path.shape, jnp.linalg.norm(path, axis=1).round(3).tolist()
      ((5, 2), [1.0, 1.0, 1.0, 1.0, 1.0])
    """
    chex.assert_equal_shape([start, end])
    norm = lambda x: jnp.linalg.norm(x, axis=-1, keepdims=True)
    tiny = jnp.finfo(start.dtype).tiny
    a, b = start / jnp.maximum(norm(start), tiny), end / jnp.maximum(norm(end), tiny)
    angle = 2.0 * jnp.arctan2(norm(a - b), norm(a + b))  # accurate near pi, unlike arccos(a . b)
    straight = (jnp.sin(angle) < 1e-4) | (norm(start) == 0.0) | (norm(end) == 0.0)
    sine = jnp.where(straight, 1.0, jnp.sin(angle))
    start_weight = jnp.where(straight, 1.0 - t, jnp.sin((1.0 - t) * angle) / sine)
    end_weight = jnp.where(straight, t, jnp.sin(t * angle) / sine)
    return start_weight * start + end_weight * end


@dataclasses.dataclass(frozen=True)
class _Normal:
    """A normal prior, a separate type so that it can be recognised and truncated."""

    dim: int

    def __post_init__(self) -> None:
        _check_dim(self.dim)

    def __call__(self, key: PRNGKey, n: int) -> Array:
        return axis.normal(key, (n, self.dim))


def _per_example(sample: Callable[[PRNGKey], Array], dim: int) -> Latent:
    _check_dim(dim)
    return lambda key, n: jax.vmap(sample)(axis.example_keys(key, n))


def _check_dim(dim: int) -> None:
    if dim < 1:
        raise ValueError(f"latent dimension is {dim}, expected at least 1")
