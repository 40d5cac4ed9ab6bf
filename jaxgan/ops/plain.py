"""The three operations of a convolution (see `ops/conv.py`) by `jax.lax`.

C(x, w)   x [batch, height, width, in], w [kh, kw, in, out] -> [batch, oh, ow, out]
T(g, w)   g [batch, oh, ow, out], w [kh, kw, in, out]       -> [batch, *size, in]
W(x, g)   x [batch, height, width, in], g [batch, oh, ow, out] -> [*taps, in, out]
"""

import jax

from jaxgan.types import Array

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv(x: Array, w: Array, *, stride: Pair, padding: Padding) -> Array:
    """C(x, w), the convolution."""
    return jax.lax.conv_general_dilated(x, w, stride, padding, dimension_numbers=DIMENSIONS)


def input_gradient(g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair) -> Array:
    """T(g, w), as the transpose that `jax.linear_transpose` derives."""
    x = jax.ShapeDtypeStruct((g.shape[0], *size, w.shape[2]), g.dtype)
    return jax.linear_transpose(lambda x: conv(x, w, stride=stride, padding=padding), x)(g)[0]


def kernel_gradient(x: Array, g: Array, *, stride: Pair, padding: Padding, taps: Pair) -> Array:
    """W(x, g), as the transpose that `jax.linear_transpose` derives."""
    w = jax.ShapeDtypeStruct((*taps, x.shape[3], g.shape[3]), x.dtype)
    return jax.linear_transpose(lambda w: conv(x, w, stride=stride, padding=padding), w)(g)[0]


def output_size(size: tuple[int, ...], kernel: tuple[int, ...], padding: Padding) -> Pair:
    """Height and width of the output of a convolution with stride 1."""
    rows, columns = padding
    return size[0] + sum(rows) - kernel[0] + 1, size[1] + sum(columns) - kernel[1] + 1
