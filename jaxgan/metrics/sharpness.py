"""How much fine detail images have, next to how much they should have."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import RAW, Metric, MetricRecord, Records, Sums, check_enough, checked
from jaxgan.types import Array


def laplacian_variance(images: Array) -> Array:
    """Variance of the Laplacian over the inner pixels, the usual measure of focus.

    The Laplacian of a pixel is the sum of its four neighbours less four times itself; channels are
    averaged.

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
    """Mean `laplacian_variance` of generated images over that of real ones: 1 for equal sharpness.

    Below 1 images are blurred. Above 1 they have more detail than real ones, such as noise: it says
    how much detail there is and not whether it is right, so read it beside another measure.

    Returns:
      A metric with one number, `sharpness`; its standard error is that of a ratio of means, to
      first order.

    Raises:
      MetricError: images that are not finite, not images or below 3 x 3 pixels; fewer than two of
        either side; or real ones that are flat.

    Example:
      >>> metric, noise = sharpness(), np.random.default_rng(0).normal(size=(50, 8, 8, 1))
      >>> acc = metric.update(metric.init(), real=noise, generated=noise / 2)
      >>> round(metric.compute(acc)["sharpness"].value, 3)
      0.25
    """

    def update(acc: tuple[Sums, Sums], *, real: Any = None, generated: Any = None) -> Any:
        plus = lambda sums, rows, side: sums if rows is None else sums.plus(_of(rows, side))
        return plus(acc[0], real, "real"), plus(acc[1], generated, "generated")

    def merge(a: tuple[Sums, Sums], b: tuple[Sums, Sums]) -> tuple[Sums, Sums]:
        return a[0].merge(b[0]), a[1].merge(b[1])

    def compute(acc: tuple[Sums, Sums]) -> Records:
        real, generated = acc
        check_enough(real.n, "real", 2)
        check_enough(generated.n, "generated", 2)
        if not real.mean[0]:
            raise MetricError("the real images are flat; there is no sharpness to compare with")
        value = float(generated.mean[0] / real.mean[0])
        error = np.hypot(generated.standard_error[0], value * real.standard_error[0])
        error = float(error / real.mean[0])
        return {"sharpness": MetricRecord("sharpness", value, error, real.n, generated.n)}

    return Metric(lambda: (Sums(), Sums()), update, merge, compute, RAW)


def _of(images: Any, side: str) -> np.ndarray:
    rows = checked(images, side)
    if rows.ndim != 4 or min(rows.shape[1:3]) < 3:
        raise MetricError(
            f"sharpness is of images of at least 3 x 3 pixels, found rows of the shape "
            f"{rows.shape[1:]}"
        )
    return np.asarray(_laplacian_variance(rows))[None]


_laplacian_variance = jax.jit(laplacian_variance)
