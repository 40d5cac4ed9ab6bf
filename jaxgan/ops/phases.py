"""Strided transposed convolution by phases of the output (sub-pixel convolution).

The textbook form of T convolves an image with zeros between its pixels, so that most products are
with zeros. But the output pixels `stride * i + phase` depend only on every `stride`-th tap of the
kernel, and on adjacent pixels of the input: each phase is a convolution without a stride.

Reference:
  Shi et al., *Is the deconvolution layer the same as a convolutional layer?*, 2016,
  https://arxiv.org/abs/1609.07009.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.ops import plain
from jaxgan.ops.plain import Padding, Pair
from jaxgan.types import Array


def input_gradient(g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair) -> Array:
    """T(g, w) with one ordinary convolution per phase; no stride exceeds the kernel."""
    kernel = w.transpose(0, 1, 3, 2)

    def phase_output(row: _Phase, column: _Phase) -> Array:
        return plain.conv(
            g,
            kernel[row.tap_slice, column.tap_slice][::-1, ::-1],
            stride=(1, 1),
            padding=(row.padding, column.padding),
        )

    return _interleave(phase_output, g, w, stride, padding, size)


def sum_of_taps(g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair) -> Array:
    """T(g, w) as one matrix product to all taps of all pixels, and sums of shifted taps per phase.

    It is for images of few channels, where the taps do not take much more memory than `g`.
    """
    # Of 16 bits, too, the sum over taps is in float32.
    dtype = jnp.promote_types(g.dtype, jnp.float32)
    taps = jnp.einsum("nhwo,abio->nhwabi", g, w, preferred_element_type=dtype)

    def phase_output(row: _Phase, column: _Phase) -> Array:
        zero = jnp.zeros((), dtype)
        shifted = [
            jax.lax.pad(taps[:, :, :, i, j], zero, ((0, 0, 0), (*top, 0), (*left, 0), (0, 0, 0)))
            for i, top in row.shifts()
            for j, left in column.shifts()
        ]
        return sum(shifted[1:], start=shifted[0]).astype(g.dtype)

    return _interleave(phase_output, g, w, stride, padding, size)


def _interleave(
    phase_output: Callable[..., Array],
    g: Array,
    w: Array,
    stride: Pair,
    padding: Padding,
    size: Pair,
) -> Array:
    """Computes the output of every phase and interleaves them into `[batch, *size, in]`."""
    rows, columns = (
        [
            _phase(w.shape[i], stride[i], padding[i][0], g.shape[1 + i], size[i], phase)
            for phase in range(stride[i])
        ]
        for i in (0, 1)
    )
    phases = [jnp.stack([phase_output(row, column) for column in columns], axis=3) for row in rows]
    interleaved = jnp.stack(phases, axis=2)
    batch, height, _, width, _, channels = interleaved.shape
    x = interleaved.reshape(batch, stride[0] * height, stride[1] * width, channels)
    return x[:, : size[0], : size[1]]


class _Phase(NamedTuple):
    """One phase along one axis: the taps that it uses, and the padding of its convolution."""

    taps: range
    padding: Pair

    @property
    def tap_slice(self) -> slice:
        """The taps as a slice."""
        return slice(self.taps.start, None, self.taps.step)

    def shifts(self) -> list[tuple[int, Pair]]:
        """Taps, each with the padding that aligns its products with the output."""
        low, high = self.padding
        last = len(self.taps) - 1
        return [(tap, (low - (last - i), high - i)) for i, tap in enumerate(self.taps)]


def _phase(taps: int, stride: int, before: int, in_size: int, size: int, phase: int) -> _Phase:
    """Taps and padding of a phase along one axis.

    Output `p = stride * i + phase` depends on input j through tap `p + before - stride * j`. All
    phases have length `ceil(size / stride)`; outputs beyond `size` are dropped afterwards.
    """
    used = range((phase + before) % stride, taps, stride)
    low = len(used) - 1 - (phase + before - used.start) // stride
    high = -(size // -stride) - in_size - low + len(used) - 1
    return _Phase(used, (low, high))
