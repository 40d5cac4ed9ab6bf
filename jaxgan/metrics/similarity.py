"""Image similarity: pixel errors, PSNR, SSIM and MS-SSIM."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import RAW, Means, Metric, MetricRecord, Records, check_enough, checked
from jaxgan.ops import at_least_float32
from jaxgan.types import Array

RANGE = 2.0  # dynamic range of images in [-1, 1]
WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # for intensities in [0, 1]
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # weights of Wang, Simoncelli and Bovik, 2003
EQUAL = 100.0  # upper bound of the PSNR in dB, reached for equal images


def ssim(x: Array, y: Array) -> Array:
    """Structural similarity (SSIM) of pairs of images, 1 for equal images.

    The mean over pixels and channels of
    `(2 m_x m_y + C1)(2 s_xy + C2) / ((m_x^2 + m_y^2 + C1)(s_x^2 + s_y^2 + C2))`, with means m,
    variances s^2 and the covariance s_xy of intensities in a Gaussian window of 11 x 11 pixels and
    sigma 1.5, at the positions where the window lies inside the image. Intensities are
    `(x + 1) / 2`, in [0, 1], and the constants `C1 = 0.01^2` and `C2 = 0.03^2`: the luminance term
    depends on where zero is, so SSIM is defined for intensities from 0 up only. It is
    scikit-image's `structural_similarity` with `gaussian_weights=True` and
    `use_sample_covariance=False`.

    Args:
      x, y: `[n, height, width, channels]` in [-1, 1], at least 11 x 11 pixels.

    Returns:
      `[n]`.

    Raises:
      ValueError: the images are smaller than the window.

    Reference:
      Wang, Bovik, Sheikh and Simoncelli, *Image Quality Assessment: From Error Visibility to
      Structural Similarity*, 2004, https://doi.org/10.1109/TIP.2003.819861.

    Example:
      >>> image = jnp.linspace(-1.0, 1.0, 144).reshape(1, 12, 12, 1)
      >>> ssim(image, image).tolist()
      [1.0]
    """
    luminance, structure = _ssim_terms(*_as_windowed_pairs(x, y))
    return jnp.mean(luminance * structure, axis=(1, 2, 3))


def ms_ssim(x: Array, y: Array) -> Array:
    """Multi-scale structural similarity (MS-SSIM) of pairs of images, 1 for equal images.

    The product over five scales, each at half the resolution of the previous one, of the mean
    contrast-structure term of `ssim`, times the luminance term at the coarsest scale, each raised
    to the power of its weight; for each channel, then averaged. Images below 161 pixels have only
    the scales that the window fits into, with weights renormalised to sum to one; negative terms
    are clipped to zero.

    Args:
      x, y: `[n, height, width, channels]` in [-1, 1], at least 11 x 11 pixels.

    Returns:
      `[n]`.

    Raises:
      ValueError: the images are smaller than the window.

    Reference:
      Wang, Simoncelli and Bovik, *Multi-Scale Structural Similarity for Image Quality Assessment*,
      2003, https://doi.org/10.1109/ACSSC.2003.1292216.

    Example:
      >>> x = jax.random.uniform(jax.random.key(0), (2, 32, 32, 1), minval=-1.0)
      >>> ms_ssim(x, x).tolist()
      [1.0, 1.0]
    """
    x, y = _as_windowed_pairs(x, y)
    weights = scale_weights(min(x.shape[1:3]))
    by_channel = jnp.ones((x.shape[0], x.shape[3]))
    for i, weight in enumerate(weights):
        luminance, structure = _ssim_terms(x, y)
        term = structure if i < len(weights) - 1 else luminance * structure
        by_channel *= jnp.maximum(jnp.mean(term, axis=(1, 2)), 0.0) ** weight
        x, y = _halved(x), _halved(y)
    return jnp.mean(by_channel, axis=1)


def scale_weights(side: int) -> tuple[float, ...]:
    """MS-SSIM weights of the scales at which the window fits into an image of this side in pixels.

    Example:
      >>> [round(weight, 3) for weight in scale_weights(28)]
      [0.136, 0.864]
    """
    count = sum(-(-side // 2**i) >= WINDOW for i in range(len(SCALES)))
    return tuple(weight / sum(SCALES[:count]) for weight in SCALES[:count])


def psnr(x: Array, y: Array) -> Array:
    """Peak signal-to-noise ratio, `10 log10(2^2 / mean (x - y)^2)` in decibels, at most 100.

    Args:
      x, y: `[n, ...]` in [-1, 1], of equal shapes.

    Returns:
      `[n]`.

    Raises:
      AssertionError: the shapes differ.

    Example:
      >>> psnr(jnp.zeros((1, 4)), jnp.full((1, 4), 0.2)).tolist()
      [20.0]
    """
    x, y = _as_pairs(x, y)
    return psnr_of(jnp.mean((x - y) ** 2, axis=tuple(range(1, x.ndim))))


def psnr_of(error: Array) -> Array:
    """Peak signal-to-noise ratio of mean squared errors of images in [-1, 1], at most 100 dB.

    Example:
      >>> psnr_of(jnp.array([0.04, 0.0])).tolist()
      [20.0, 100.0]
    """
    return jnp.minimum(10.0 * jnp.log10(RANGE**2 / jnp.maximum(error, 1e-30)), EQUAL)


def reconstruction() -> Metric:
    """Reconstruction errors of outputs against their targets, averaged over the pairs.

    `l1 = mean |x - y|` and `mse = mean (x - y)^2`, both on the scale of [-1, 1]; `psnr` in decibels
    (mean over images, 100 for equal images); `ssim` for images of at least 11 x 11 pixels.

    Returns:
      A paired metric with the records `l1`, `mse`, `psnr` and `ssim`: `update(acc, real=targets,
      generated=outputs)`.

    Raises:
      MetricError: rows are not finite, or targets and outputs differ in number or shape.

    Example:
      >>> metric, targets = reconstruction(), np.zeros((2, 8, 8, 1), np.float32)
      >>> acc = metric.update(metric.init(), real=targets, generated=targets + 0.5)
      >>> print(metric.compute(acc)["l1"])
      l1 0.5 ± 0
    """
    names = ("l1", "mse", "psnr", "ssim")

    def update(acc: Means, *, real: Any = None, generated: Any = None) -> Means:
        if real is None or generated is None:
            raise MetricError("targets and outputs are compared in pairs; pass both")
        real, generated = checked(real, "real"), checked(generated, "generated")
        if real.shape != generated.shape:
            raise MetricError(
                f"targets have shape {real.shape} and outputs {generated.shape}; "
                "expected one output for each target"
            )
        return acc.plus(np.stack(_errors(real, generated)))

    def compute(acc: Means) -> Records:
        check_enough(acc.n, "paired", 1)
        per_name = zip(names, acc.mean, acc.standard_error, strict=False)
        return {
            name: MetricRecord(name, float(value), error, acc.n, acc.n)
            for name, value, error in per_name
        }

    return Metric(Means, update, Means.merge, compute, RAW, paired=True)


def ms_ssim_diversity() -> Metric:
    """Mean MS-SSIM of random pairs of generated images: a metric of diversity, lower is more.

    The pairs are rows 0 and 1, 2 and 3, and so on of each update (the last of an odd number is left
    out), so rows must be in random order. In the paper both images of a pair are of one class; here
    of all.
    A value well above that of real images (the floor, if recorded) means that samples are more
    similar to each other than real images are. It does not measure quality.

    Returns:
      A metric with one record, `ms_ssim`, in [0, 1].

    Raises:
      MetricError: rows are not finite, not images or below 11 x 11 pixels; or there are fewer than
        two.

    Reference:
      Odena, Olah and Shlens, *Conditional Image Synthesis with Auxiliary Classifier GANs*, 2017,
      https://arxiv.org/abs/1610.09585.

    Example:
      >>> metric, x = ms_ssim_diversity(), np.zeros((4, 32, 32, 1))
      >>> print(metric.compute(metric.update(metric.init(), generated=x))["ms_ssim"])
      ms_ssim 1 ± 0
    """

    def update(acc: Means, *, real: Any = None, generated: Any = None) -> Means:
        if generated is None:
            return acc
        rows = checked(generated, "generated")
        if rows.ndim != 4 or min(rows.shape[1:3]) < WINDOW:
            raise MetricError(
                f"generated rows have shape {rows.shape[1:]}, ms_ssim expects images of at least "
                f"{WINDOW} x {WINDOW} pixels"
            )
        rows = rows[: len(rows) // 2 * 2]
        return acc.plus(np.asarray(_ms_ssim(rows[0::2], rows[1::2]))[None])

    def compute(acc: Means) -> Records:
        check_enough(2 * acc.n, "generated", 2)
        value, error = float(acc.mean[0]), acc.standard_error[0]
        record = MetricRecord("ms_ssim", value, error, num_generated=2 * acc.n)
        return {"ms_ssim": record}

    return Metric(Means, update, Means.merge, compute, RAW, takes_real=False, min_generated=2)


_ms_ssim = jax.jit(ms_ssim)


@jax.jit
def _errors(target: Array, output: Array) -> list[Array]:
    axes = tuple(range(1, target.ndim))
    difference = output - target
    l1, mse = jnp.mean(jnp.abs(difference), axes), jnp.mean(difference**2, axes)
    errors = [l1, mse, psnr(target, output)]
    return [*errors, ssim(target, output)] if _has_windows(target) else errors


def _has_windows(images: Array) -> bool:
    return images.ndim == 4 and min(images.shape[1:3]) >= WINDOW


def _as_windowed_pairs(x: Array, y: Array) -> tuple[Array, Array]:
    """The images, in whose variances E x^2 - m^2 half precision would cancel, in float32."""
    if not _has_windows(x):
        raise ValueError(
            f"images have shape {x.shape}, expected [n, height, width, channels] with "
            f"at least {WINDOW} x {WINDOW} pixels"
        )
    return _as_pairs(x, y)


def _as_pairs(x: Array, y: Array) -> tuple[Array, Array]:
    """Arrays of equal shapes, in float32 or more."""
    chex.assert_equal_shape([x, y])
    for images in (x, y):
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise ValueError(
                f"images have the dtype {images.dtype}, expected floats in [-1, 1]: "
                "jaxgan.data.as_float(images)"
            )
    return at_least_float32(x), at_least_float32(y)


def _ssim_terms(x: Array, y: Array) -> tuple[Array, Array]:
    """Luminance term and contrast-structure term, `[n, height - 10, width - 10, channels]` each."""
    x, y = (x + 1.0) / 2.0, (y + 1.0) / 2.0
    m_x, m_y = _windowed(x), _windowed(y)
    s_xx, s_yy = _windowed(x * x) - m_x**2, _windowed(y * y) - m_y**2
    s_xy = _windowed(x * y) - m_x * m_y
    luminance = (2 * m_x * m_y + C1) / (m_x**2 + m_y**2 + C1)
    return luminance, (2 * s_xy + C2) / (s_xx + s_yy + C2)


def _windowed(x: Array) -> Array:
    """Means in the Gaussian window, as products with a banded matrix along height and width."""
    rows, columns = (_bands(side) for side in x.shape[1:3])
    high = jax.lax.Precision.HIGHEST
    return jnp.einsum("nhwc,hi,wj->nijc", x, rows, columns, precision=high)


def _bands(side: int) -> np.ndarray:
    """Banded matrix `[side, side - 10]`; column i has the window's weights in rows i to i + 10."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * SIGMA**2))
    bands = np.zeros((side, side - WINDOW + 1), np.float32)
    for i in range(bands.shape[1]):
        bands[i : i + WINDOW, i] = window / window.sum()
    return bands


def _halved(x: Array) -> Array:
    """Means of 2 x 2 pixels; an odd last row or column is repeated."""
    n, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    x = x.reshape(n, x.shape[1] // 2, 2, x.shape[2] // 2, 2, channels)
    return x.mean(axis=(2, 4))
