"""Which form the three operations of a convolution take on a CPU, by their shapes.

docs/performance.md has the measurements behind the choices.
"""

import jax.numpy as jnp

from jaxgan.ops import columns, phases, plain, spectral
from jaxgan.ops.plain import Padding, Pair
from jaxgan.types import Array

FEW = 4  # channels, as pictures have them and hidden layers do not


def conv(x: Array, w: Array, *, stride: Pair, padding: Padding) -> Array:
    """C."""
    kernel, size = w.shape, (x.shape[1], x.shape[2])
    if _in_frequencies(x, size, kernel, stride, padding):
        return spectral.conv(x, w, stride=stride, padding=padding)
    if _turns(kernel, stride):
        around = _around(padding, kernel)
        out = plain.output_size(size, kernel, padding)
        return phases.sum_of_taps(x, _turned(w), stride=stride, padding=around, size=out)
    return plain.conv(x, w, stride=stride, padding=padding)


def input_gradient(g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair) -> Array:
    """T."""
    *taps, n_in, n_out = w.shape
    if _in_frequencies(g, size, w.shape, stride, padding):
        form = spectral.input_gradient
    elif min(taps) < max(stride):
        form = plain.input_gradient
    elif n_in <= FEW < n_out:
        form = phases.sum_of_taps
    elif stride != (1, 1) and n_in > FEW:
        form = phases.input_gradient
    else:
        form = plain.input_gradient
    return form(g, w, stride=stride, padding=padding, size=size)


def kernel_gradient(x: Array, g: Array, *, stride: Pair, padding: Padding, taps: Pair) -> Array:
    """W."""
    kernel, size = (*taps, x.shape[3], g.shape[3]), (x.shape[1], x.shape[2])
    if _in_frequencies(x, size, kernel, stride, padding):
        return spectral.kernel_gradient(x, g, stride=stride, padding=padding, taps=taps)
    if stride == (1, 1) and kernel[2] <= FEW < kernel[3]:
        return columns.kernel_gradient(x, g, stride=stride, padding=padding, taps=taps)
    if _turns(kernel, stride):
        around = _around(padding, kernel)
        return _turned(columns.kernel_gradient(g, x, stride=stride, padding=around, taps=taps))
    return plain.kernel_gradient(x, g, stride=stride, padding=padding, taps=taps)


def _in_frequencies(
    x: Array, size: Pair, kernel: tuple[int, ...], stride: Pair, padding: Padding
) -> bool:
    """An exported program may leave the size of the batch open: then nothing is known of it."""
    known = isinstance(x.shape[0], int) and x.dtype == jnp.float32
    return known and spectral.saves(x.shape[0], size, kernel, stride, padding)


# With stride 1 a convolution is also the transpose of one, whose kernel is turned around and whose
# channels change places. XLA is slow with few channels on the one side and fast on the other.


def _turns(kernel: tuple[int, ...], stride: Pair) -> bool:
    *taps, n_in, n_out = kernel
    return stride == (1, 1) and min(taps) > 1 and n_out <= FEW < n_in


def _turned(w: Array) -> Array:
    return w[::-1, ::-1].transpose(0, 1, 3, 2)


def _around(padding: Padding, kernel: tuple[int, ...]) -> Padding:
    (top, bottom), (left, right) = padding
    height, width = kernel[0] - 1, kernel[1] - 1
    return (height - top, height - bottom), (width - left, width - right)
