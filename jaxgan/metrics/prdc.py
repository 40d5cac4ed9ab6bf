"""Precision, recall, density and coverage: fidelity and variety apart."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.metrics import neighbours
from jaxgan.metrics.metric import (
    PIXELS,
    Features,
    Metric,
    MetricRecord,
    Records,
    collecting,
    described,
)
from jaxgan.types import Array


def precision_recall_density_coverage(
    features: Features = PIXELS, *, k_precision: int = 3, k_density: int = 5
) -> Metric:
    """Overlap of the supports of two samples, each estimated by balls around its points.

    With B_k(x) the ball around x up to its k-th nearest neighbour in its own sample:

    * precision: share of generated y that lie in some B_k(x) of a real x;
    * recall: share of real x that lie in some B_k(y) of a generated y;
    * density: mean over generated y of `(number of B_k(x) that y lies in) / k`; about 1 for equal
      distributions, and may exceed 1;
    * coverage: share of real x whose B_k(x) holds some generated y; `1 - 2^-k` about, for equal
      distributions and numbers.

    Standard errors are those of a mean over the rows counted, the other sample held fixed.

    Args:
      features: what to measure by.
      k_precision: k of precision and recall.
      k_density: k of density and coverage.

    Returns:
      A metric with four numbers, `precision_<features>` and so on.

    Raises:
      MetricError: rows that are not finite, of another width, or at most k of either side.

    Reference:
      Kynkäänniemi et al., *Improved Precision and Recall Metric for Assessing Generative Models*,
      2019, https://arxiv.org/abs/1904.06991 (k = 3); Naeem et al., *Reliable Fidelity and Diversity
      Metrics for Generative Models*, 2020, https://arxiv.org/abs/2002.09797 (k = 5).

    Example:
      >>> metric, rng = precision_recall_density_coverage(), np.random.default_rng(0)
      >>> acc = metric.update(metric.init(), real=rng.normal(size=(500, 2)))
      >>> acc = metric.update(acc, generated=np.zeros((500, 2)))  # one point, again and again
      >>> records = metric.compute(acc)
      >>> [records[f"{name}_pixels"].value for name in ("precision", "recall")]
      [1.0, 0.0]
    """
    most = max(k_precision, k_density)

    def compute(real: np.ndarray, generated: np.ndarray) -> Records:
        real_radii, _ = neighbours.nearest(real, real, most, same=True)
        generated_radii, _ = neighbours.nearest(generated, generated, k_precision, same=True)
        held_precision, _ = _counts(generated, real, real_radii[:, k_precision - 1])
        held_density, met = _counts(generated, real, real_radii[:, k_density - 1])
        held_recall, _ = _counts(real, generated, generated_radii[:, -1])
        shares = {
            "precision": (held_precision > 0, k_precision),
            "recall": (held_recall > 0, k_precision),
            "density": (held_density / k_density, k_density),
            "coverage": (met, k_density),
        }
        return {
            f"{name}_{features.name}": MetricRecord(
                f"{name}_{features.name}",
                float(np.mean(rows)),
                float(np.std(rows) / np.sqrt(len(rows))),
                num_real=len(real),
                num_generated=len(generated),
                details={"k": k},
                **described(features),
            )
            for name, (rows, k) in shares.items()
        }

    prepare = partial(np.asarray, dtype=np.float32)
    return collecting(
        compute, features=features, prepare=prepare, min_real=most + 1, min_generated=most + 1
    )


def _counts(
    points: np.ndarray, centres: np.ndarray, radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """In how many balls each point lies, `[n]`, and which balls hold any point, `[m]`."""
    shift = centres.mean(axis=0)
    points, balls = points - shift, jnp.asarray(centres - shift)
    # A touch wider: a point that is a ball's own k-th neighbour lies in it, however it was rounded.
    squared_radii = jnp.asarray((radii * (1 + 1e-5)) ** 2, jnp.float32)
    counts, met = np.empty(len(points), np.int64), np.zeros(len(centres), bool)
    for start in range(0, len(points), neighbours.CHUNK):
        rows = slice(start, start + neighbours.CHUNK)
        counts[rows], held = _held(points[rows], balls, squared_radii)
        met |= np.asarray(held)
    return counts, met


@jax.jit
def _held(points: Array, centres: Array, squared_radii: Array) -> tuple[Array, Array]:
    inside = neighbours.squared_distances(points, centres) <= squared_radii[None, :]
    return jnp.sum(inside, axis=1), jnp.any(inside, axis=0)
