"""Mean and variance over the global batch, for normalisation layers."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from jaxgan.ops.target import by_platform
from jaxgan.parallel import axis
from jaxgan.types import Array


def moments(x: Array, axes: Sequence[int]) -> tuple[Array, Array]:
    """Mean and (biased) variance over `axes`, and over all devices if `axes` includes the batch, 0.

        m = E x        v = E (x - m)^2
        dm = E dx      dv = 2 E (x - m) dx

    The derivatives are explicit: the derivative of the variance with respect to the mean vanishes,
    which autodiff does not exploit. The gradient then ends in a sum of two images instead of an
    image and a scalar per channel, and XLA materialises it once instead of recomputing it for each
    consumer.

    Over the batch, the variance is E x^2 - m^2 on GPU and TPU, as in most libraries, with both sums
    in one pass over `x`, which XLA fuses with the convolution before, and in one all-reduce. Its
    rounding error grows with m^2 / v. Over pixels alone it is two passes everywhere, as maps may be
    nearly constant.

    Args:
      x: array of any shape.
      axes: axes to average over, not negative. They are kept with length 1.

    Returns:
      Mean and variance, of `x`'s rank.

    Example:
      >>> import jax.numpy as jnp
      >>> mean, var = moments(jnp.array([[1.0, 2.0], [3.0, 6.0]]), axes=[0])
      >>> mean.tolist(), var.tolist()
      ([[2.0, 4.0]], [[1.0, 4.0]])
    """
    return _moments(x, tuple(axes))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    mean = _mean(x, axes)
    if 0 not in axes:
        return mean, _mean((x - mean) ** 2, axes)
    # v = E (x - c)^2 - (m - c)^2 for any c: the mean, for which the second term is 0, or 0.
    center = by_platform(mean, jnp.zeros_like(mean))
    return mean, jnp.maximum(_mean((x - center) ** 2, axes) - (mean - center) ** 2, 0.0)


@_moments.defjvp
def _(
    axes: tuple[int, ...], primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    (x,), (dx,) = primals, tangents
    mean, var = _moments(x, axes)
    dx = jnp.copy(dx)  # both cotangents are summed before they are added to other cotangents of x
    return (mean, var), (_mean(dx, axes), 2.0 * _mean((x - mean) * dx, axes))


def _mean(x: Array, axes: tuple[int, ...]) -> Array:
    mean = jnp.mean(x, axes, keepdims=True)
    return axis.mean(mean) if 0 in axes else mean
