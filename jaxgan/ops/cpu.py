"""Choice of algorithm for C, T and W on CPU, by their shapes.

docs/performance.md has the benchmarks behind the choices.
"""

from functools import partial

import jax.numpy as jnp

from jaxgan.ops import canonical, columns, grouped, phases, plain, spectral
from jaxgan.ops.plain import Padding, Pair
from jaxgan.types import Array

LEAST = 16  # channels of a group, smaller ones of which are joined
FEW = 4  # maximum number of channels of images; hidden layers have more


def conv(x: Array, w: Array, *, stride: Pair, padding: Padding, groups: int = 1) -> Array:
    """C(x, w), the convolution."""
    if groups > 1:
        joined = _num_joined(w, groups)
        w = grouped.block_diagonal(w, groups, joined)
        of_group = partial(conv, stride=stride, padding=padding)
        return grouped.mapped(of_group, x, w, groups // joined)
    kernel, size = w.shape, (x.shape[1], x.shape[2])
    if _uses_spectral(x, size, kernel, stride, padding):
        return spectral.conv(x, w, stride=stride, padding=padding)
    if _uses_adjoint(kernel, stride):
        pads = _adjoint_padding(padding, kernel)
        out = plain.output_size(size, kernel, padding)
        return phases.sum_of_taps(x, plain.adjoint_kernel(w), stride=stride, padding=pads, size=out)
    return plain.conv(x, w, stride=stride, padding=padding)


def input_gradient(
    g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair, groups: int = 1
) -> Array:
    """T(g, w), the transposed convolution."""
    if groups > 1:
        joined = _num_joined(w, groups)
        w = grouped.block_diagonal(w, groups, joined)
        of_group = partial(input_gradient, stride=stride, padding=padding, size=size)
        return grouped.mapped(of_group, g, w, groups // joined)
    *taps, n_in, n_out = w.shape
    if _uses_spectral(g, size, w.shape, stride, padding):
        algorithm = spectral.input_gradient
    elif min(taps) < max(stride):
        algorithm = canonical.input_gradient
    elif n_in <= FEW < n_out:
        algorithm = phases.sum_of_taps
    elif stride != (1, 1) and n_in > FEW:
        algorithm = phases.input_gradient
    else:
        algorithm = canonical.input_gradient
    return algorithm(g, w, stride=stride, padding=padding, size=size)


def kernel_gradient(
    x: Array, g: Array, *, stride: Pair, padding: Padding, taps: Pair, groups: int = 1
) -> Array:
    """W(x, g), the gradient of the kernel."""
    if groups > 1:
        width = min(x.shape[3], g.shape[3]) // groups
        joined = grouped.num_joined(groups, width, at_least=LEAST)
        of_group = partial(kernel_gradient, stride=stride, padding=padding, taps=taps)
        return grouped.diagonal_blocks(
            grouped.mapped(of_group, x, g, groups // joined), groups, joined
        )
    kernel, size = (*taps, x.shape[3], g.shape[3]), (x.shape[1], x.shape[2])
    if _uses_spectral(x, size, kernel, stride, padding):
        return spectral.kernel_gradient(x, g, stride=stride, padding=padding, taps=taps)
    if stride == (1, 1) and kernel[2] <= FEW < kernel[3]:
        return columns.kernel_gradient(x, g, stride=stride, padding=padding, taps=taps)
    if _uses_adjoint(kernel, stride):
        pads = _adjoint_padding(padding, kernel)
        w = columns.kernel_gradient(g, x, stride=stride, padding=pads, taps=taps)
        return plain.adjoint_kernel(w)
    return canonical.kernel_gradient(x, g, stride=stride, padding=padding, taps=taps)


def _num_joined(w: Array, groups: int) -> int:
    """Number of groups that are joined to one, so that a group has enough channels."""
    return grouped.num_joined(groups, min(w.shape[2], w.shape[3] // groups), at_least=LEAST)


def _uses_spectral(
    x: Array, size: Pair, kernel: tuple[int, ...], stride: Pair, padding: Padding
) -> bool:
    """Whether the spectral algorithm is faster; only for float32 and a known batch size.

    The batch size of an exported program may be symbolic.
    """
    known = isinstance(x.shape[0], int) and x.dtype == jnp.float32
    return known and spectral.saves(x.shape[0], size, kernel, stride, padding)


# A convolution with stride 1 equals the transpose of a convolution with flipped kernel and swapped
# channels. Of the two forms, XLA is slow for few channels on one side and fast on the other.


def _uses_adjoint(kernel: tuple[int, ...], stride: Pair) -> bool:
    *taps, n_in, n_out = kernel
    return stride == (1, 1) and min(taps) > 1 and n_out <= FEW < n_in


def _adjoint_padding(padding: Padding, kernel: tuple[int, ...]) -> Padding:
    (top, bottom), (left, right) = padding
    height, width = kernel[0] - 1, kernel[1] - 1
    return (height - top, height - bottom), (width - left, width - right)
