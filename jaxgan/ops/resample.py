"""Resampling of images by two, with a separable filter or by copies and means.

Sums of shifted images, whose derivatives of every order are of the same kind.
"""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp

from jaxgan.types import Array

BILINEAR = (1.0, 3.0, 3.0, 1.0)


def filtered(
    x: Array,
    taps: Sequence[float] = BILINEAR,
    *,
    up: int = 1,
    down: int = 1,
    padding: tuple[int, int] = (0, 0),
) -> Array:
    """Upsampling, filter and downsampling of images (`upfirdn2d` in StyleGAN2's code).

    Zeros are inserted, the image is padded and filtered, and every `down`-th pixel is kept.

    Along height and width alike, `y[j] = up * sum_k f[k] u[j * down + k - padding[0]]` with the
    taps f, scaled to the sum 1, and `u[i * up] = x[i]`, zero elsewhere.

    Args:
      x: `[batch, height, width, channels]`.
      taps: the filter f, which is symmetric.
      up, down: factors of upsampling and of downsampling, at least 1, one of them 1.
      padding: numbers of zeros before the first and after the last pixel, after upsampling.

    Returns:
      `[batch, out_height, out_width, channels]`, sides of
      `(side * up + sum(padding) - len(taps)) // down + 1`.

    Raises:
      AssertionError: both factors are above 1, or the upsampled side is not divisible by `up`.

    Reference:
      Zhang, *Making Convolutional Networks Shift-Invariant Again*, 2019,
      https://arxiv.org/abs/1904.11486.

    Example:
      >>> x = jnp.array([0.0, 8.0, 0.0]).reshape(1, 1, 3, 1)
      >>> filtered(x, (1.0, 2.0, 1.0), padding=(1, 1))[0, 0, :, 0].tolist()
      [1.0, 2.0, 1.0]
    """
    chex.assert_rank(x, 4)
    chex.assert_equal(min(up, down), 1)
    for axis in (1, 2):
        x = _along(x, axis, taps, up, down, padding)
    return x


def upsample(x: Array) -> Array:
    """Bilinear upsampling by two; pixels outside of the image are zero.

    Args:
      x: `[batch, height, width, channels]`.

    Returns:
      `[batch, 2 height, 2 width, channels]`.

    Example:
      >>> import jax.numpy as jnp
      >>> upsample(4 * jnp.ones((1, 2, 2, 1)))[0, :, 1, 0].tolist()
      [3.0, 4.0, 4.0, 3.0]
    """
    return filtered(x, up=2, padding=(2, 1))


def downsample(x: Array) -> Array:
    """Downsampling of even sides by two: a quarter of the adjoint of `upsample`.

    Args:
      x: `[batch, height, width, channels]`, of even sides.

    Returns:
      `[batch, height / 2, width / 2, channels]`.

    Example:
      >>> downsample(jnp.ones((1, 8, 8, 1)))[0, 1:3, 1, 0].tolist()  # inside of the image
      [1.0, 1.0]
    """
    return filtered(x, down=2, padding=(1, 1))


def nearest(x: Array) -> Array:
    """Nearest-neighbour upsampling by two.

    Args:
      x: `[batch, height, width, channels]`.

    Returns:
      `[batch, 2 height, 2 width, channels]`, every pixel four times.

    Example:
      >>> nearest(jnp.array([1.0, 2.0]).reshape(1, 1, 2, 1))[0, 0, :, 0].tolist()
      [1.0, 1.0, 2.0, 2.0]
    """
    n, height, width, channels = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (n, height, 2, width, 2, channels))
    return x.reshape(n, 2 * height, 2 * width, channels)


def average_pool(x: Array, factor: int = 2) -> Array:
    """Means over squares of `factor` pixels, of sides that it divides.

    Args:
      x: `[batch, height, width, channels]`.
      factor: side of the squares in pixels, a divisor of height and width.

    Returns:
      `[batch, height / factor, width / factor, channels]`.

    Example:
      >>> average_pool(jnp.arange(4.0).reshape(1, 2, 2, 1)).item()
      1.5
    """
    n, height, width, channels = x.shape
    squares = x.reshape(n, height // factor, factor, width // factor, factor, channels)
    return jnp.mean(squares, axis=(2, 4))


def _along(
    x: Array, axis: int, taps: Sequence[float], up: int, down: int, padding: tuple[int, int]
) -> Array:
    """`filtered` along one axis: one filter of `x` for each phase of the output."""
    size = x.shape[axis] * up + sum(padding) - len(taps) + 1  # before downsampling
    chex.assert_equal(size % up, 0)
    size = size // up if up > 1 else (size - 1) // down + 1  # of a phase
    border = len(taps) + max(padding)
    padded = jax.lax.pad(
        x, jnp.zeros((), x.dtype), [(border if i == axis else 0,) * 2 + (0,) for i in range(x.ndim)]
    )
    phases = []
    for phase in range(up):
        shifts = [
            (taps[k] * up / sum(taps), (phase + k - padding[0]) // up)
            for k in range(len(taps))
            if (phase + k - padding[0]) % up == 0
        ]
        terms = [tap * _shifted(padded, axis, border + shift, size, down) for tap, shift in shifts]
        phases.append(sum(terms[1:], start=terms[0]))
    if up == 1:
        return phases[0]
    shape = [up * size if i == axis else n for i, n in enumerate(x.shape)]
    return jnp.stack(phases, axis=axis + 1).reshape(shape)


def _shifted(x: Array, axis: int, start: int, size: int, stride: int) -> Array:
    stop = start + stride * (size - 1) + 1
    return jax.lax.slice_in_dim(x, start, stop, stride, axis=axis)
