"""Kernel gradient of a convolution as one matrix product over all taps and pixels (im2col).

It is for images of few channels, where the columns take little memory.
"""

import jax
import jax.numpy as jnp

from jaxgan.ops.plain import Padding, Pair
from jaxgan.types import Array


def kernel_gradient(x: Array, g: Array, *, stride: Pair, padding: Padding, taps: Pair) -> Array:
    """W(x, g), the gradient of the kernel (see `ops/plain.py` for shapes)."""
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*p, 0) for p in padding), (0, 0, 0)))
    channels = x.shape[3]
    x = _gathered(x, 2, taps[1], stride[1], g.shape[2])
    x = _gathered(x, 1, taps[0], stride[0], g.shape[1])
    columns = x.reshape(*g.shape[:3], -1)  # [batch, oh, ow, kh * kw * in]
    return jnp.einsum("nhwt,nhwo->to", columns, g).reshape(*taps, channels, -1)


def _gathered(x: Array, axis: int, taps: int, stride: int, size: int) -> Array:
    """Input values of every tap along an axis, for `size` outputs, concatenated along channels."""
    span = stride * (size - 1) + 1
    shifted = [jax.lax.slice_in_dim(x, tap, tap + span, stride, axis=axis) for tap in range(taps)]
    return jnp.concatenate(shifted, axis=3)
