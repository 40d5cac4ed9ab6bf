"""Gradient penalties on the discriminator: R1, R2, their approximations, WGAN-GP and DRAGAN.

Each is an unweighted `Penalty`, `(critic, real, fake, key, step) -> [batch]`. The gradient at an
example is that of the *sum* of the batch's logits, which is the example's own gradient if the
critic treats examples independently. A critic with batch normalisation does not: the penalty then
includes the gradients of the other examples' logits.
"""

import chex
import jax
import jax.numpy as jnp
import optax

from jaxgan.parallel import axis
from jaxgan.penalties.penalty import Critic
from jaxgan.types import Array, PRNGKey


def r1(critic: Critic, real: Array, fake: Array, key: PRNGKey, step: Array) -> Array:
    """R1 gradient penalty: `||grad D(x)||^2 / 2` at real examples, `[batch]`.

    Weighted by gamma this is the paper's regulariser, under which training is locally convergent
    for any gamma > 0.

    Reference:
      Mescheder, Geiger and Nowozin, *Which Training Methods for GANs do actually Converge?*, 2018,
      https://arxiv.org/abs/1801.04406, eq. 9.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> critic = lambda x: x @ jnp.array([3.0, 4.0])
      >>> x = jnp.zeros((2, 2))
      >>> r1(critic, x, x, jax.random.key(0), 0)
      Array([12.5, 12.5], dtype=float32)
    """
    return 0.5 * jnp.sum(_flat_gradient(critic, real) ** 2, axis=-1)


def r2(critic: Critic, real: Array, fake: Array, key: PRNGKey, step: Array) -> Array:
    """R2 gradient penalty: `||grad D(G(z))||^2 / 2` at generated examples, `[batch]`.

    Reference:
      Mescheder, Geiger and Nowozin, *Which Training Methods for GANs do actually Converge?*, 2018,
      https://arxiv.org/abs/1801.04406, eq. 10.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> both = weighted((1.0, r1), (1.0, r2))  # as in R3GAN
    """
    return 0.5 * jnp.sum(_flat_gradient(critic, fake) ** 2, axis=-1)


def approximate_r1(
    critic: Critic, real: Array, fake: Array, key: PRNGKey, step: Array, *, sigma: float = 0.01
) -> Array:
    """R1 by finite differences, without a second derivative: `[batch]`.

    `((D(x + sigma e) - D(x)) / sigma)^2 / 2` with `e ~ N(0, I)` per example: its mean over e is
    `r1` where D is linear, and elsewhere in the limit of small sigma; rounding errors grow as
    `1 / sigma`. The published form has neither the 1/2 nor the division; its weight w is
    `gamma = 2 sigma^2 w` here.

    Args:
      sigma: standard deviation of the step, in the units of the images; positive.

    Raises:
      ValueError: sigma is not positive.

    Reference:
      Lin et al., *Diffusion Adversarial Post-Training for One-Step Video Generation*, 2025,
      https://arxiv.org/abs/2501.08316; divided by sigma: Lin et al., *Adversarial Flow
      Models*, 2025, https://arxiv.org/abs/2511.22475.

    Example:
      >>> from functools import partial
      >>> from jaxgan.penalties import weighted
      >>> penalty = weighted((1.0, partial(approximate_r1, sigma=0.05)), (1.0, approximate_r2))
    """
    return _squared_difference(critic, real, key, sigma)


def approximate_r2(
    critic: Critic, real: Array, fake: Array, key: PRNGKey, step: Array, *, sigma: float = 0.01
) -> Array:
    """R2 by finite differences: `approximate_r1` at generated examples, `[batch]`.

    Args:
      sigma: standard deviation of the step, in the units of the images; positive.

    Raises:
      ValueError: sigma is not positive.

    Reference:
      Lin et al., *Adversarial Flow Models*, 2025, https://arxiv.org/abs/2511.22475.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> penalty = weighted((1.0, approximate_r1), (1.0, approximate_r2))
    """
    return _squared_difference(critic, fake, key, sigma)


def wgan_gp(critic: Critic, real: Array, fake: Array, key: PRNGKey, step: Array) -> Array:
    """WGAN-GP gradient penalty: `(||grad D(y)|| - 1)^2` between real and generated, `[batch]`.

    The point is `y = t x + (1 - t) G(z)` with `t ~ U[0, 1)` per example. The paper's weight is 10.

    Raises:
      AssertionError: real and generated examples have different shapes.

    Reference:
      Gulrajani et al., *Improved Training of Wasserstein GANs*, 2017,
      https://arxiv.org/abs/1704.00028, algorithm 1.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> penalty = weighted((10.0, wgan_gp))
    """
    chex.assert_equal_shape([real, fake])
    t = _per_example_uniform(key, real)
    return (_gradient_norm(critic, t * real + (1.0 - t) * fake) - 1.0) ** 2


def dragan(
    critic: Critic, real: Array, fake: Array, key: PRNGKey, step: Array, *, scale: float = 0.5
) -> Array:
    """DRAGAN gradient penalty: `(||grad D(y)|| - 1)^2` near real examples, `[batch]`.

    The point is `y = x + t s u` with `s = scale * std(real)`, `u ~ U[0, 1)` per coordinate and
    `t ~ U[0, 1)` per example, as in the authors' code. The paper's weight is 10.

    Args:
      scale: size of the neighbourhood, in standard deviations of the batch over all devices.

    Reference:
      Kodali, Abernethy, Hays and Kira, *On Convergence and Stability of GANs*, 2017,
      https://arxiv.org/abs/1705.07215, section 2.3.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> penalty = weighted((10.0, dragan))
    """
    key_u, key_t = jax.random.split(key)
    mean = axis.mean(jnp.mean(real))
    std = jnp.sqrt(axis.mean(jnp.mean((real - mean) ** 2)))
    u = jax.vmap(lambda k: jax.random.uniform(k, real.shape[1:]))(
        axis.example_keys(key_u, real.shape[0])
    )
    nearby = real + _per_example_uniform(key_t, real) * scale * std * u
    return (_gradient_norm(critic, nearby) - 1.0) ** 2


def _flat_gradient(critic: Critic, x: Array) -> Array:
    chex.assert_rank(x, {2, 3, 4, 5})
    gradient = jax.grad(lambda x: jnp.sum(critic(x)))(x)
    return gradient.reshape(x.shape[0], -1)


def _squared_difference(critic: Critic, x: Array, key: PRNGKey, sigma: float) -> Array:
    if isinstance(sigma, float | int) and sigma <= 0.0:
        raise ValueError(f"sigma is {sigma}, expected a positive number")
    direction = axis.normal(key, x.shape, x.dtype)
    difference = (critic(x + sigma * direction) - critic(x)) / sigma
    return 0.5 * jnp.sum(difference.reshape(difference.shape[0], -1), axis=1) ** 2


def _gradient_norm(critic: Critic, x: Array) -> Array:
    # safe_norm: the gradient of the square root at 0 is infinite, and 0 times infinity is NaN.
    return optax.safe_norm(_flat_gradient(critic, x), 1e-12, axis=-1)


def _per_example_uniform(key: PRNGKey, x: Array) -> Array:
    """`t ~ U[0, 1)` per example, `[batch, 1, ..., 1]`."""
    t = jax.vmap(jax.random.uniform)(axis.example_keys(key, x.shape[0]))
    return t.reshape(x.shape[0], *[1] * (x.ndim - 1))
