"""The three operations of a convolution (see `ops/conv.py`) by `jax.lax`.

C(x, w)   x [batch, height, width, in], w [kh, kw, in, out] -> [batch, oh, ow, out]
T(g, w)   g [batch, oh, ow, out], w [kh, kw, in, out]       -> [batch, *size, in]
W(x, g)   x [batch, height, width, in], g [batch, oh, ow, out] -> [*taps, in, out]

With `groups`, output channels are computed from the input channels of their group alone, and
kernels have `in / groups` input channels.
"""

import jax

from jaxgan.types import Array

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv(x: Array, w: Array, *, stride: Pair, padding: Padding, groups: int = 1) -> Array:
    """C(x, w), the convolution."""
    return jax.lax.conv_general_dilated(
        x, w, stride, padding, dimension_numbers=DIMENSIONS, feature_group_count=groups
    )


def input_gradient(
    g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair, groups: int = 1
) -> Array:
    """T(g, w), as the transpose that `jax.linear_transpose` derives."""
    x = jax.ShapeDtypeStruct((g.shape[0], *size, w.shape[2] * groups), g.dtype)
    of_image = lambda x: conv(x, w, stride=stride, padding=padding, groups=groups)
    return jax.linear_transpose(of_image, x)(g)[0]


def kernel_gradient(
    x: Array, g: Array, *, stride: Pair, padding: Padding, taps: Pair, groups: int = 1
) -> Array:
    """W(x, g), as the transpose that `jax.linear_transpose` derives."""
    w = jax.ShapeDtypeStruct((*taps, x.shape[3] // groups, g.shape[3]), x.dtype)
    of_kernel = lambda w: conv(x, w, stride=stride, padding=padding, groups=groups)
    return jax.linear_transpose(of_kernel, w)(g)[0]


def adjoint_kernel(w: Array, *, of_gradient: bool = False) -> Array:
    """The kernel flipped, with its channels swapped: of a convolution that is another's transpose.

    It is its own inverse and its own transpose; `of_gradient` tells the latter (`ops/conv.py`).
    """
    return w[::-1, ::-1].transpose(0, 1, 3, 2)


def output_size(size: tuple[int, ...], kernel: tuple[int, ...], padding: Padding) -> Pair:
    """Height and width of the output of a convolution with stride 1."""
    rows, columns = padding
    return size[0] + sum(rows) - kernel[0] + 1, size[1] + sum(columns) - kernel[1] + 1
