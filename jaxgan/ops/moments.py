"""Mean and variance, as normalisation layers need them."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from jaxgan.parallel import axis
from jaxgan.types import Array


def moments(x: Array, axes: Sequence[int]) -> tuple[Array, Array]:
    """Mean and (biased) variance over `axes`, and over all devices if axis 0, the batch, is one.

        m = E x        v = E (x - m)^2
        dm = E dx      dv = 2 E (x - m) dx

    The derivatives are written out: that of the mean inside the variance vanishes, which autodiff
    does not see. Then the gradient ends with the sum of two images, instead of an image and a
    number per channel, and XLA computes it once, instead of once for each of its readers.

    Args:
      x: any shape.
      axes: axes that are averaged over, not negative. They stay, with length 1.

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
    return mean, _mean((x - mean) ** 2, axes)


@_moments.defjvp
def _(
    axes: tuple[int, ...], primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    (x,), (dx,) = primals, tangents
    mean, var = _moments(x, axes)
    dx = jnp.copy(dx)  # so that both cotangents are added up before they meet any other of x's
    return (mean, var), (_mean(dx, axes), 2.0 * _mean((x - mean) * dx, axes))


def _mean(x: Array, axes: tuple[int, ...]) -> Array:
    mean = jnp.mean(x, axes, keepdims=True)
    return axis.mean(mean) if 0 in axes else mean
