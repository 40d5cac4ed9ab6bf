"""Terms of the evidence lower bound (ELBO): likelihoods of images, and Gaussian KL divergences.

    log p(x) >= E_q(z|x) log p(x|z) - KL(q(z|x) || p(z)),    q(z|x) = N(mean, exp(log_var)),

with the prior p(z) = N(0, I). All values are in nats, summed over pixels and latent dimensions
unless stated otherwise.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxgan.types import Array, Params


class Likelihood(NamedTuple):
    """Likelihood p(x|z), given the decoder's outputs for z.

    Attributes:
      init: `() -> params`, learned parameters of the likelihood itself; `{}` if there are none.
      log_prob: `(params, outputs, x) -> [batch]` in nats; `outputs` and `x` are `[batch, ...]`, of
        one shape, `x` in [-1, 1].
      mean: `outputs -> images`, the mean of p(x|z); in [-1, 1] for `bernoulli`, and for `gaussian`
        if the decoder's outputs are.

    Example, a Laplace distribution, for `vae(..., likelihood=laplace)`:
      >>> laplace = Likelihood(
      ...     init=dict,
      ...     log_prob=lambda params, m, x: -jnp.sum(jnp.abs(x - m) + math.log(2.0), axis=1),
      ...     mean=lambda m: m,
      ... )
      >>> log_prob = laplace.log_prob(laplace.init(), jnp.zeros((1, 2)), jnp.ones((1, 2)))
      >>> round(log_prob.item(), 3)  # -2 (1 + log 2)
      -3.386
    """

    init: Callable[[], Params]
    log_prob: Callable[[Params, Array, Array], Array]
    mean: Callable[[Array], Array]


def bernoulli() -> Likelihood:
    """Bernoulli likelihood with independent pixels; the decoder's outputs are logits.

    `log p(x|z) = sum_i t_i l_i - softplus(l_i)` with the logits l and `t = (x + 1) / 2` in [0, 1].
    It is a likelihood only if every t is 0 or 1. For t in between it is the negative cross entropy,
    which has the same optimal mean, but whose values are not comparable to those of other
    likelihoods.

    Returns:
      A `Likelihood`; `mean` is `2 sigmoid(l) - 1 = tanh(l / 2)`.

    Reference:
      Kingma and Welling, *Auto-Encoding Variational Bayes*, 2014, https://arxiv.org/abs/1312.6114,
      appendix C.1.

    Example:
      >>> x = jnp.array([[1.0, -1.0]])
      >>> bernoulli().log_prob({}, jnp.zeros((1, 2)), x)  # 2 log(1/2)
      Array([-1.3862944], dtype=float32)
    """

    def log_prob(params: Params, logits: Array, x: Array) -> Array:
        chex.assert_equal_shape([logits, x])
        t = (x + 1.0) / 2.0
        return _sum(t * logits - jax.nn.softplus(logits))

    return Likelihood(dict, log_prob, lambda logits: jnp.tanh(logits / 2.0))


def gaussian(std: float | None = None) -> Likelihood:
    """Gaussian likelihood with one standard deviation for all pixels; the decoder outputs means.

    `log p(x|z) = -|x - m|^2 / 2 std^2 - d log std - d/2 log 2 pi` in d dimensions.

    Args:
      std: standard deviation of the noise on the scale of [-1, 1], positive; if `None`, it is
        learned, with initial value 1.

    Returns:
      A `Likelihood`; its parameters are `{"log_std": scalar}` if the standard deviation is learned,
      and `mean` is m.

    Raises:
      ValueError: `std` is not positive.

    Reference:
      Kingma and Welling, *Auto-Encoding Variational Bayes*, 2014, https://arxiv.org/abs/1312.6114,
      appendix C.2; learning the noise: Rybkin, Daniilidis and Levine, *Simple and Effective VAE
      Training with Calibrated Decoders*, 2021, https://arxiv.org/abs/2006.13202.

    Example:
      >>> x = jnp.array([[1.0, -1.0]])
      >>> gaussian(1.0).log_prob({}, x, x)  # -log(2 pi)
      Array([-1.837877], dtype=float32)
    """
    if isinstance(std, float | int) and std <= 0.0:
        raise ValueError(f"std is {std}, expected a positive number")

    known = jnp.log(std) if isinstance(std, jax.Array) else math.log(std or 1.0)

    def init() -> Params:
        return {"log_std": jnp.zeros(())} if std is None else {}

    def log_prob(params: Params, means: Array, x: Array) -> Array:
        chex.assert_equal_shape([means, x])
        log_std = params["log_std"] if std is None else jnp.asarray(known)
        d = math.prod(x.shape[1:])
        squares = _sum(((x - means) * _inverse_std(2.0 * log_std)) ** 2) / 2.0
        return -squares - d * (log_std + 0.5 * math.log(2.0 * math.pi))

    return Likelihood(init, log_prob, lambda means: means)


def gaussian_kl(mean: Array, log_var: Array) -> Array:
    """KL divergence of `N(mean, exp(log_var))` from `N(0, 1)`, per dimension, in nats.

    `(mean^2 + exp(log_var) - 1 - log_var) / 2`.

    Args:
      mean, log_var: arrays of one shape.

    Returns:
      An array of that shape; the divergence of a diagonal Gaussian is the sum over its dimensions.

    Reference:
      Kingma and Welling, *Auto-Encoding Variational Bayes*, 2014, https://arxiv.org/abs/1312.6114,
      appendix B.

    Example:
      >>> gaussian_kl(jnp.array([1.0]), jnp.array([0.0])).tolist()
      [0.5]
    """
    chex.assert_equal_shape([mean, log_var])
    return 0.5 * (mean**2 + jnp.expm1(log_var) - log_var)


def gaussian_log_prob(x: Array, mean: Array | float = 0.0, log_var: Array | float = 0.0) -> Array:
    """Log density of `N(mean, exp(log_var))` at x, summed over the last axis, in nats.

    Args:
      x: `[..., dim]`.
      mean, log_var: arrays of x's shape, or floats.

    Returns:
      `[...]`.

    Example:
      >>> gaussian_log_prob(jnp.zeros((1, 2)))  # -log(2 pi)
      Array([-1.837877], dtype=float32)
    """
    squares = ((x - mean) * _inverse_std(jnp.asarray(log_var))) ** 2
    return -0.5 * jnp.sum(squares + log_var + math.log(2.0 * math.pi), axis=-1)


def _inverse_std(log_var: Array) -> Array:
    """`exp(-log_var / 2)`, at most the largest float: infinity times a difference of 0 is NaN."""
    largest = math.log(float(jnp.finfo(jnp.result_type(log_var, jnp.float32)).max)) - 1.0
    return jnp.exp(-0.5 * jnp.maximum(log_var, -2.0 * largest))


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))
