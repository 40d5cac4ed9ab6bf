"""The three operations of a convolution as `jax.lax` has them, and as a CPU does them faster.

    C(x, w)   x [batch, height, width, in], w [kh, kw, in, out] -> [batch, oh, ow, out]
    T(g, w)   g [batch, oh, ow, out], w [kh, kw, in, out]       -> [batch, *size, in]
    W(x, g)   x [batch, height, width, in], g [batch, oh, ow, out] -> [*taps, in, out]

Measured in docs/performance.md: on a CPU, C and W are fast as they are, once they are asked for by
themselves and not as transposes of transposes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.types import Array

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


# ---- plain


def conv(x: Array, w: Array, *, stride: Pair, padding: Padding) -> Array:
    """C as `jax.lax` has it."""
    return jax.lax.conv_general_dilated(x, w, stride, padding, dimension_numbers=DIMENSIONS)


def input_gradient(g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair) -> Array:
    """T as the transpose that `jax.lax` derives."""
    x = jax.ShapeDtypeStruct((g.shape[0], *size, w.shape[2]), g.dtype)
    return jax.linear_transpose(lambda x: conv(x, w, stride=stride, padding=padding), x)(g)[0]


def kernel_gradient(x: Array, g: Array, *, stride: Pair, padding: Padding, taps: Pair) -> Array:
    """W as the transpose that `jax.lax` derives."""
    w = jax.ShapeDtypeStruct((*taps, x.shape[3], g.shape[3]), x.dtype)
    return jax.linear_transpose(lambda w: conv(x, w, stride=stride, padding=padding), w)(g)[0]


# ---- fast on a CPU


def fast_input_gradient(g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair) -> Array:
    """T in sub-pixel form: an ordinary convolution for each phase of a strided output.

    The textbook form convolves an image with zeros between its pixels, and multiplies mostly
    zeros. But output pixel `stride * i + phase` meets every `stride`-th tap of the kernel only.

    Reference:
      Shi et al., *Is the deconvolution layer the same as a convolutional layer?*, 2016,
      https://arxiv.org/abs/1609.07009.
    """
    if stride == (1, 1) or w.shape[2] < 8 or min(w.shape[:2]) < max(stride):
        return input_gradient(g, w, stride=stride, padding=padding, size=size)
    rows, columns = (
        [
            _phase(w.shape[i], stride[i], padding[i][0], g.shape[1 + i], size[i], phase)
            for phase in range(stride[i])
        ]
        for i in (0, 1)
    )
    kernel = w.transpose(0, 1, 3, 2)
    phases = [
        [
            conv(
                g,
                kernel[row.taps, column.taps][::-1, ::-1],
                stride=(1, 1),
                padding=(row.padding, column.padding),
            )
            for column in columns
        ]
        for row in rows
    ]
    interleaved = jnp.stack([jnp.stack(row, axis=3) for row in phases], axis=2)
    batch, height, _, width, _, channels = interleaved.shape
    x = interleaved.reshape(batch, stride[0] * height, stride[1] * width, channels)
    return x[:, : size[0], : size[1]]


class _Phase(NamedTuple):
    """Along one axis: the taps that a phase of the output meets, and its convolution's padding."""

    taps: slice
    padding: Pair


def _phase(taps: int, stride: int, before: int, given: int, size: int, phase: int) -> _Phase:
    """Output p = stride i + phase meets input j through tap p + before - stride j.

    All phases are made `ceil(size / stride)` long; what is beyond the size is cut off afterwards.
    """
    first = (phase + before) % stride
    count = len(range(first, taps, stride))
    low = count - 1 - (phase + before - first) // stride
    high = -(size // -stride) - given - low + count - 1
    return _Phase(slice(first, None, stride), (low, high))
