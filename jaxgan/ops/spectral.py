"""Fourier-domain convolution of small images with stride 1.

A convolution is bilinear, and every algorithm that computes it with r products has the form

    C(x, w) = Q' [(P x) (R w)]      P [r, pixels of x], R [r, taps], Q [r, pixels of the output]

where each of the r products is a matrix product over channels and examples. The transposes use the
same three matrices:

    T(g, w) = P' [(Q g) (R w)]      W(x, g) = R' [(P x) (Q g)]

Here the rows are the frequencies of a grid that is zero-padded so that circular and linear
convolution agree. For real signals half of the frequencies suffice, and a complex product takes
three real ones: 1.5 products per grid point, where direct convolution takes one per tap and pixel
of the output. That is a tenth of the work for 5 x 5 taps on 7 x 7 pixels.

Reference:
  Mathieu, Henaff and LeCun, *Fast training of convolutional networks through FFTs*, 2013,
  https://arxiv.org/abs/1312.5851. Bilinear algorithms and their transposes: Winograd, *Arithmetic
  complexity of computations*, 1980, https://doi.org/10.1137/1.9781611970364.
"""

import functools
import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxgan.ops.plain import Padding, Pair, output_size
from jaxgan.types import Array


def conv(x: Array, w: Array, *, stride: Pair, padding: Padding) -> Array:
    """C(x, w) for stride 1."""
    size, taps = x.shape[1:3], w.shape[:2]
    p, q, r = _matrices(size, taps, padding)
    y = jnp.einsum("fni,fio->fno", _apply(p, x), _apply_to_kernel(r, w))
    return _apply_transposed(q, y, output_size(size, taps, padding))


def input_gradient(g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair) -> Array:
    """T(g, w) for stride 1."""
    p, q, r = _matrices(size, w.shape[:2], padding)
    x = jnp.einsum("fno,fio->fni", _apply(q, g), _apply_to_kernel(r, w))
    return _apply_transposed(p, x, size)


def kernel_gradient(x: Array, g: Array, *, stride: Pair, padding: Padding, taps: Pair) -> Array:
    """W(x, g) for stride 1."""
    p, q, r = _matrices(x.shape[1:3], taps, padding)
    w = jnp.einsum("fni,fno->fio", _apply(p, x), _apply(q, g))
    return (r.T @ w.reshape(len(w), -1)).reshape(*taps, *w.shape[1:])


def saves(batch: int, size: Pair, kernel: tuple[int, ...], stride: Pair, padding: Padding) -> bool:
    """Whether at least three quarters of the multiplications are saved, transforms included.

    Benchmarks show that the savings then outweigh the additional memory traffic.
    """
    if stride != (1, 1) or min(map(min, padding)) < 0:
        return False
    height, width, n_in, n_out = kernel
    taps = height * width
    outputs = math.prod(output_size(size, kernel, padding))
    products = 1.5 * math.prod(_grid_size(size, kernel, padding))
    transforms = batch * (math.prod(size) * n_in + outputs * n_out) + taps * n_in * n_out
    direct = outputs * taps * batch * n_in * n_out
    return 4 * products * (batch * n_in * n_out + transforms) <= direct


def _grid_size(size: tuple[int, ...], kernel: tuple[int, ...], padding: Padding) -> Pair:
    """Height and width of the grid: large enough that wrapped values are multiplied by zeros."""
    rows, columns = padding
    height, width = output_size(size, kernel, padding)
    return (
        max(size[0] + max(rows), kernel[0], height),
        max(size[1] + max(columns), kernel[1], width),
    )


def _matrices(size: tuple[int, ...], taps: tuple[int, ...], padding: Padding) -> list[Array]:
    """The matrices P, Q and R."""
    return [jnp.asarray(matrix) for matrix in _real_matrices(size, taps, padding)]


@functools.cache
def _real_matrices(
    size: tuple[int, ...], taps: tuple[int, ...], padding: Padding
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrices P, Q and R of `Y_f = X_f conj(K_f)` for every frequency f, in real arithmetic.

    (a + ib)(c - id) = (p + q) + i(s - p + q), with p = ac, q = bd and s = (a + b)(c - d).
    """
    grid = _grid_size(size, taps, padding)
    points = np.arange(math.prod(grid)).reshape(grid)
    # A kernel's first tap lies `padding` before the origin.
    rows, columns = ((np.arange(k) - p[0]) % n for k, p, n in zip(taps, padding, grid, strict=True))
    height, width = output_size(size, taps, padding)
    x = _fourier(grid, points[: size[0], : size[1]])
    k = _fourier(grid, points[np.ix_(rows, columns)])
    y = _fourier(grid, points[:height, :width])
    p = _stack(x.alone, x.real, x.imaginary, x.real + x.imaginary)
    q = _stack(y.alone, 2 * (y.real - y.imaginary), 2 * (y.real + y.imaginary), 2 * y.imaginary)
    r = _stack(k.alone, k.real, k.imaginary, k.real - k.imaginary)
    return p, q / np.float32(math.prod(grid)), r


class _Fourier(NamedTuple):
    """Fourier matrices `[coefficients, points]`, for real signals.

    `alone` has the frequencies f = -f, whose coefficients are real; `real` and `imaginary` have one
    of each pair f and -f, whose coefficients are conjugate.
    """

    alone: np.ndarray
    real: np.ndarray
    imaginary: np.ndarray


def _fourier(grid: Pair, points: np.ndarray) -> _Fourier:
    """Fourier matrices from the given points of the grid to its frequencies."""
    frequencies = [(i, j) for i in range(grid[0]) for j in range(grid[1])]
    opposite = {f: (-f[0] % grid[0], -f[1] % grid[1]) for f in frequencies}
    alone = np.array([f for f in frequencies if f == opposite[f]]).reshape(-1, 2)
    pairs = np.array([f for f in frequencies if f < opposite[f]]).reshape(-1, 2)
    positions = np.stack(np.unravel_index(points.ravel(), grid))
    angle = lambda f: 2.0 * np.pi * (f / grid) @ positions
    return _Fourier(np.cos(angle(alone)), np.cos(angle(pairs)), -np.sin(angle(pairs)))


def _stack(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts).astype(np.float32)


def _apply(matrix: Array, x: Array) -> Array:
    """Applies a matrix to pixels, `[batch, height, width, channels] -> [rows, batch, channels]`."""
    batch, height, width, channels = x.shape
    pixels = x.reshape(batch, -1, channels).transpose(1, 0, 2).reshape(height * width, -1)
    return (matrix @ pixels).reshape(-1, batch, channels)


def _apply_to_kernel(matrix: Array, w: Array) -> Array:
    """Applies a matrix to taps, `[kh, kw, in, out] -> [rows, in, out]`."""
    return (matrix @ w.reshape(matrix.shape[1], -1)).reshape(-1, *w.shape[2:])


def _apply_transposed(matrix: Array, y: Array, size: Pair) -> Array:
    """Applies the transpose of a matrix, `[rows, batch, channels] -> [batch, *size, channels]`."""
    _, batch, channels = y.shape
    pixels = matrix.T @ y.reshape(len(y), -1)
    return pixels.reshape(-1, batch, channels).transpose(1, 0, 2).reshape(batch, *size, channels)
