"""Sharpness: fine detail of generated images relative to real ones, by Laplacian variance."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import RAW, Means, Metric, MetricRecord, Records, check_enough, checked
from jaxgan.types import Array


def laplacian_variance(images: Array) -> Array:
    """Variance of the Laplacian over the inner pixels, a standard focus measure.

    The Laplacian of a pixel is the sum of its four neighbours minus four times itself; the variance
    is averaged over channels.

    Args:
      images: `[n, height, width, channels]`, at least 3 x 3 pixels.

    Returns:
      `[n]`.

    Reference:
      Pech-Pacheco, Cristóbal, Chamorro-Martínez and Fernández-Valdivia, *Diatom autofocusing in
      brightfield microscopy: a comparative study*, 2000, https://doi.org/10.1109/ICPR.2000.903548.

    Example:
      >>> float(laplacian_variance(jnp.ones((1, 5, 5, 1)))[0])
      0.0
    """
    inner = images[:, 1:-1, 1:-1]
    around = images[:, :-2, 1:-1] + images[:, 2:, 1:-1] + images[:, 1:-1, :-2] + images[:, 1:-1, 2:]
    return jnp.mean(jnp.var(around - 4.0 * inner, axis=(1, 2)), axis=-1)


def sharpness() -> Metric:
    """Ratio of the mean `laplacian_variance` of generated to that of real images.

    It is 1 for equal sharpness. Below 1 generated images are blurred; above 1 they have more detail
    than real ones, such as noise. It measures the amount of detail, not whether it is correct, so
    report it together with another metric.

    Returns:
      A metric with one record, `sharpness`; its standard error is that of a ratio of means, to
      first order.

    Raises:
      MetricError: rows are not finite, not images or below 3 x 3 pixels; there are fewer than two
        real or generated images; or the real images are constant.

    Example:
      >>> metric, noise = sharpness(), np.random.default_rng(0).normal(size=(50, 8, 8, 1))
      >>> acc = metric.update(metric.init(), real=noise, generated=noise / 2)
      >>> round(metric.compute(acc)["sharpness"].value, 3)
      0.25
    """

    def update(acc: tuple[Means, Means], *, real: Any = None, generated: Any = None) -> Any:
        plus = lambda sums, rows, side: sums if rows is None else sums.plus(_values(rows, side))
        return plus(acc[0], real, "real"), plus(acc[1], generated, "generated")

    def merge(a: tuple[Means, Means], b: tuple[Means, Means]) -> tuple[Means, Means]:
        return a[0].merge(b[0]), a[1].merge(b[1])

    def compute(acc: tuple[Means, Means]) -> Records:
        real, generated = acc
        check_enough(real.n, "real", 2)
        check_enough(generated.n, "generated", 2)
        if not real.mean[0]:
            raise MetricError(
                "the real images are flat (Laplacian variance 0); sharpness needs real images "
                "with detail"
            )
        value = float(generated.mean[0] / real.mean[0])
        of_mean = lambda sums: sums.deviation[0] / np.sqrt(sums.n)
        error = float(np.hypot(of_mean(generated), value * of_mean(real)) / real.mean[0])
        return {"sharpness": MetricRecord("sharpness", value, error, real.n, generated.n)}

    return Metric(
        lambda: (Means(), Means()), update, merge, compute, RAW, min_generated=2, min_real=2
    )


def _values(images: Any, side: str) -> np.ndarray:
    """Laplacian variance of images, `[1, n]` as `Means.plus` takes it."""
    rows = checked(images, side)
    if rows.ndim != 4 or min(rows.shape[1:3]) < 3:
        raise MetricError(
            f"{side} rows have shape {rows.shape[1:]}, sharpness expects images of at least "
            "3 x 3 pixels"
        )
    return np.asarray(_laplacian_variance(rows))[None]


_laplacian_variance = jax.jit(laplacian_variance)
