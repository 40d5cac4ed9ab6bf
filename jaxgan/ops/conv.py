"""Transposed convolution as one small convolution per output phase (sub-pixel form).

The textbook form, a convolution over the input with zeros between its pixels, multiplies mostly
zeros, and XLA's CPU backend computes its weight gradient in a naive loop that dominates everything
else in a convolutional GAN. A stride-s output pixel, however, only meets every s-th tap of the
kernel: so the outputs of each phase are an ordinary stride-1 convolution with a part of the kernel.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxgan.types import Array


class _Phase(NamedTuple):
    """Along one axis: which taps one output phase meets, and the padding of its convolution."""

    taps: slice
    padding: tuple[int, int]


def conv_transpose(x: Array, kernel: Array, *, stride: int) -> Array:
    """Transposed convolution with SAME padding: `stride` times the height and width.

    Equals `jax.lax.conv_transpose(x, kernel, (stride, stride), "SAME")` up to the order of sums.

    Args:
      x: `[batch, height, width, in]`.
      kernel: `[kernel_height, kernel_width, in, out]`, as `flax.linen.ConvTranspose` stores it;
        at least `stride` taps along each axis.
      stride: at least 1.

    Returns:
      `[batch, stride * height, stride * width, out]`.

    Raises:
      AssertionError: `x` or `kernel` has not rank 4.
      ValueError: the kernel is smaller than the stride.

    Reference:
      Shi et al., *Is the deconvolution layer the same as a convolutional layer?*, 2016,
      https://arxiv.org/abs/1609.07009.
    """
    chex.assert_rank([x, kernel], 4)
    batch, height, width, _ = x.shape
    rows = [_phase(kernel.shape[0], stride, phase) for phase in range(stride)]
    columns = [_phase(kernel.shape[1], stride, phase) for phase in range(stride)]
    phases = [
        [
            jax.lax.conv_general_dilated(
                x,
                kernel[row.taps, column.taps],
                window_strides=(1, 1),
                padding=(row.padding, column.padding),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            for column in columns
        ]
        for row in rows
    ]
    interleaved = jnp.stack([jnp.stack(row, axis=3) for row in phases], axis=2)
    return interleaved.reshape(batch, stride * height, stride * width, kernel.shape[3])


def _phase(taps: int, stride: int, phase: int) -> _Phase:
    """Output `stride * i + phase` meets tap t when `phase + t - before` divides by the stride."""
    if taps < stride:
        raise ValueError(f"kernel has {taps} taps, expected at least the stride, {stride}")
    before = taps - 1 if stride > taps - 1 else -((taps + stride - 2) // -2)
    first = (before - phase) % stride
    low = -((phase + first - before) // stride)
    count = len(range(first, taps, stride))
    return _Phase(slice(first, None, stride), (low, count - 1 - low))
