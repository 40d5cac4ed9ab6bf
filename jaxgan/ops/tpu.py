"""C, T and W on TPU (see `ops/plain.py` for shapes).

Neighbouring groups of a grouped convolution are joined to groups of as many channels as a matrix
unit has rows: the products with zeros cost nothing there (docs/scaling.md).
"""

from jaxgan.ops import grouped, plain
from jaxgan.ops.plain import Padding, Pair
from jaxgan.ops.precision import at_least_float32
from jaxgan.types import Array

LANES = 128  # rows and columns of a matrix unit, and channels side by side in vector registers


def conv(x: Array, w: Array, *, stride: Pair, padding: Padding, groups: int = 1) -> Array:
    """C(x, w), the convolution."""
    joined = _num_joined(w.shape[2], w.shape[3] // groups, groups)
    w = grouped.block_diagonal(w, groups, joined)
    return plain.conv(x, w, stride=stride, padding=padding, groups=groups // joined)


def input_gradient(
    g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair, groups: int = 1
) -> Array:
    """T(g, w), the transposed convolution."""
    joined = _num_joined(w.shape[2], w.shape[3] // groups, groups)
    w = grouped.block_diagonal(w, groups, joined)
    left = groups // joined
    return plain.input_gradient(g, w, stride=stride, padding=padding, size=size, groups=left)


def kernel_gradient(
    x: Array, g: Array, *, stride: Pair, padding: Padding, taps: Pair, groups: int = 1
) -> Array:
    """W(x, g) in float32, in which the matrix units sum anyway.

    XLA drops the rounding to 16 bits before a parameter of float32, so that the sum over devices is
    one of float32, and one for all passes of a network, as those of real and generated images.
    """
    joined = _num_joined(x.shape[3] // groups, g.shape[3] // groups, groups)
    left, dtype = groups // joined, x.dtype
    x, g = at_least_float32(x), at_least_float32(g)
    w = plain.kernel_gradient(x, g, stride=stride, padding=padding, taps=taps, groups=left)
    return grouped.diagonal_blocks(w, groups, joined).astype(dtype)


def _num_joined(n_in: int, n_out: int, groups: int) -> int:
    return grouped.num_joined(groups, max(n_in, n_out), at_most=LANES)
