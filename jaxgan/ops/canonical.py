"""T and W as forward convolutions of transposed arrays (see `ops/plain.py` for shapes).

XLA's CPU backend has one fast convolution, of NHWC images and HWIO kernels. It brings others into
that form only at the top level of a program: in the body of a loop or the branch of a `cond`, as in
lazy regularisation, it computes T up to ten, and W up to 250 times as slowly (docs/performance.md).
Here they have that form from the start.
"""

import jax

from jaxgan.ops.plain import DIMENSIONS, Padding, Pair
from jaxgan.types import Array


def input_gradient(g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair) -> Array:
    """T(g, w): the convolution of the dilated g with the flipped kernel, its channels swapped."""
    taps = w.shape[:2]
    flipped = w[::-1, ::-1].swapaxes(2, 3)
    pads = []
    for i, (low, _) in enumerate(padding):
        span = (g.shape[1 + i] - 1) * stride[i] + 1
        pads.append((taps[i] - 1 - low, size[i] + low - span))
    return jax.lax.conv_general_dilated(
        g,
        flipped,
        (1, 1),
        pads,
        lhs_dilation=stride,
        dimension_numbers=DIMENSIONS,
    )


def kernel_gradient(x: Array, g: Array, *, stride: Pair, padding: Padding, taps: Pair) -> Array:
    """W(x, g): the convolution over batch and pixels, with channels in the place of the batch."""
    pads = []
    for i, (low, _) in enumerate(padding):
        span = (g.shape[1 + i] - 1) * stride[i] + 1
        pads.append((low, taps[i] - 1 + span - x.shape[1 + i] - low))
    w = jax.lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        g.transpose(1, 2, 0, 3),
        (1, 1),
        pads,
        rhs_dilation=stride,
        dimension_numbers=DIMENSIONS,
    )
    return w.transpose(1, 2, 0, 3)
