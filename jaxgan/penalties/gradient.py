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

    Args:
      critic: D, `x -> logits`, `[batch]`, or `[batch, height, width]`, which is summed.
      real: real examples x, `[batch, ...]`, of two to five axes.
      fake, key, step: not used; arguments of every penalty.

    Returns:
      `[batch]`.

    Raises:
      AssertionError: examples have fewer than two axes, or more than five.

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

    Args:
      critic: D, `x -> logits`, `[batch]`, or `[batch, height, width]`, which is summed.
      fake: generated examples G(z), `[batch, ...]`, of two to five axes.
      real, key, step: not used; arguments of every penalty.

    Returns:
      `[batch]`.

    Raises:
      AssertionError: examples have fewer than two axes, or more than five.

    Reference:
      Mescheder, Geiger and Nowozin, *Which Training Methods for GANs do actually Converge?*, 2018,
      https://arxiv.org/abs/1801.04406, eq. 10.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> both = weighted((1.0, r1), (1.0, r2))  # as in R3GAN
      >>> critic = lambda x: jnp.sum(x**2, axis=1)
      >>> x, y, key = jnp.ones((1, 1)), 2.0 * jnp.ones((1, 1)), jax.random.key(0)
      >>> r2(critic, x, y, key, 0).item(), both(critic, x, y, key, 0).item()  # slopes 2 and 4
      (8.0, 10.0)
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
      critic: D, `x -> logits`, `[batch]`, or `[batch, height, width]`, which is summed.
      real: real examples x, `[batch, ...]`.
      key: key of e, a scalar typed key.
      fake, step: not used; arguments of every penalty.
      sigma: standard deviation of the step, in the units of the images; positive.

    Returns:
      `[batch]`.

    Raises:
      ValueError: sigma is not positive.

    Reference:
      Lin et al., *Diffusion Adversarial Post-Training for One-Step Video Generation*, 2025,
      https://arxiv.org/abs/2501.08316; divided by sigma: Lin et al., *Adversarial Flow
      Models*, 2025, https://arxiv.org/abs/2511.22475.

    Example, the mean of many where the gradient is (3, 4), and R1 is 12.5:
      >>> critic = lambda x: x @ jnp.array([3.0, 4.0])
      >>> x = jnp.zeros((1000, 2))
      >>> penalty = approximate_r1(critic, x, x, jax.random.key(0), 0, sigma=0.05)
      >>> penalty.shape, bool(abs(penalty.mean() - 12.5) < 3.0)
      ((1000,), True)
    """
    return _squared_difference(critic, real, key, sigma)


def approximate_r2(
    critic: Critic, real: Array, fake: Array, key: PRNGKey, step: Array, *, sigma: float = 0.01
) -> Array:
    """R2 by finite differences: `approximate_r1` at generated examples, `[batch]`.

    Args:
      critic: D, `x -> logits`, `[batch]`, or `[batch, height, width]`, which is summed.
      fake: generated examples, `[batch, ...]`.
      key: key of the step, a scalar typed key.
      real, step: not used; arguments of every penalty.
      sigma: standard deviation of the step, in the units of the images; positive.

    Returns:
      `[batch]`.

    Raises:
      ValueError: sigma is not positive.

    Reference:
      Lin et al., *Adversarial Flow Models*, 2025, https://arxiv.org/abs/2511.22475.

    Example:
      >>> critic = lambda x: x @ jnp.array([3.0, 4.0])
      >>> x, key = jnp.zeros((4, 2)), jax.random.key(0)
      >>> of_fake = approximate_r2(critic, x + jnp.inf, x, key, 0)  # no matter what is real
      >>> bool(jnp.all(of_fake == approximate_r1(critic, x, x, key, 0)))
      True
    """
    return _squared_difference(critic, fake, key, sigma)


def wgan_gp(critic: Critic, real: Array, fake: Array, key: PRNGKey, step: Array) -> Array:
    """WGAN-GP gradient penalty: `(||grad D(y)|| - 1)^2` between real and generated, `[batch]`.

    The point is `y = t x + (1 - t) G(z)` with `t ~ U[0, 1)` per example. The paper's weight is 10.

    Args:
      critic: D, `x -> logits`, `[batch]`, or `[batch, height, width]`, which is summed.
      real: real examples x, `[batch, ...]`, of two to five axes.
      fake: generated examples G(z), of that shape.
      key: key of t, a scalar typed key.
      step: not used; an argument of every penalty.

    Returns:
      `[batch]`.

    Raises:
      AssertionError: real and generated examples have different shapes, fewer than two axes, or
        more than five.

    Reference:
      Gulrajani et al., *Improved Training of Wasserstein GANs*, 2017,
      https://arxiv.org/abs/1704.00028, algorithm 1.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> critic = lambda x: x @ jnp.array([3.0, 4.0])  # whose gradient has the norm 5
      >>> x = jnp.zeros((2, 2))
      >>> weighted((10.0, wgan_gp))(critic, x, x + 1.0, jax.random.key(0), 0).tolist()
      [160.0, 160.0]
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
      critic: D, `x -> logits`, `[batch]`, or `[batch, height, width]`, which is summed.
      real: real examples x, `[batch, ...]`, of two to five axes.
      key: key of u and t, a scalar typed key.
      fake, step: not used; arguments of every penalty.
      scale: size of the neighbourhood, in standard deviations of the batch over all devices.

    Returns:
      `[batch]`.

    Raises:
      AssertionError: examples have fewer than two axes, or more than five.

    Reference:
      Kodali, Abernethy, Hays and Kira, *On Convergence and Stability of GANs*, 2017,
      https://arxiv.org/abs/1705.07215, section 2.3.

    Example:
      >>> critic = lambda x: x @ jnp.array([3.0, 4.0])  # whose gradient has the norm 5
      >>> x = jnp.zeros((2, 2))
      >>> dragan(critic, x, x, jax.random.key(0), 0).tolist()
      [16.0, 16.0]
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
