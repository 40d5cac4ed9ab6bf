"""Transposed convolutions with a stride, one phase of the output after the other.

The textbook form of T convolves an image with zeros between its pixels, and multiplies mostly
zeros. But the pixels `stride * i + phase` of the output meet every `stride`-th tap of the kernel
only, and they meet pixels of the input that lie side by side.

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
    """T, each phase an ordinary convolution; no stride is longer than the kernel."""
    kernel = w.transpose(0, 1, 3, 2)

    def one(row: _Phase, column: _Phase) -> Array:
        return plain.conv(
            g,
            kernel[row.every, column.every][::-1, ::-1],
            stride=(1, 1),
            padding=(row.padding, column.padding),
        )

    return _interleave(one, g, w, stride, padding, size)


def sum_of_taps(g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair) -> Array:
    """T as one matrix product, to all taps of all pixels, and a sum of shifted taps for each phase.

    For images of few channels, where the taps do not take much more memory than `g` does.
    """
    taps = jnp.einsum("nhwo,abio->nhwabi", g, w)

    def one(row: _Phase, column: _Phase) -> Array:
        zero = jnp.zeros((), g.dtype)
        shifted = [
            jax.lax.pad(taps[:, :, :, i, j], zero, ((0, 0, 0), (*top, 0), (*left, 0), (0, 0, 0)))
            for i, top in row.shifts()
            for j, left in column.shifts()
        ]
        return sum(shifted[1:], start=shifted[0])

    return _interleave(one, g, w, stride, padding, size)


def _interleave(
    one: Callable[..., Array], g: Array, w: Array, stride: Pair, padding: Padding, size: Pair
) -> Array:
    rows, columns = (
        [
            _phase(w.shape[i], stride[i], padding[i][0], g.shape[1 + i], size[i], phase)
            for phase in range(stride[i])
        ]
        for i in (0, 1)
    )
    phases = [jnp.stack([one(row, column) for column in columns], axis=3) for row in rows]
    interleaved = jnp.stack(phases, axis=2)
    batch, height, _, width, _, channels = interleaved.shape
    x = interleaved.reshape(batch, stride[0] * height, stride[1] * width, channels)
    return x[:, : size[0], : size[1]]


class _Phase(NamedTuple):
    """Along one axis: the taps that a phase of the output meets, and its convolution's padding."""

    taps: range
    padding: Pair

    @property
    def every(self) -> slice:
        """The taps, to index with."""
        return slice(self.taps.start, None, self.taps.step)

    def shifts(self) -> list[tuple[int, Pair]]:
        """Every tap, and the padding that brings what it gives to its place."""
        low, high = self.padding
        last = len(self.taps) - 1
        return [(tap, (low - (last - i), high - i)) for i, tap in enumerate(self.taps)]


def _phase(taps: int, stride: int, before: int, given: int, size: int, phase: int) -> _Phase:
    """Output p = stride i + phase meets input j through tap p + before - stride j.

    All phases are made `ceil(size / stride)` long; what is beyond the size is cut off afterwards.
    """
    met = range((phase + before) % stride, taps, stride)
    low = len(met) - 1 - (phase + before - met.start) // stride
    high = -(size // -stride) - given - low + len(met) - 1
    return _Phase(met, (low, high))
