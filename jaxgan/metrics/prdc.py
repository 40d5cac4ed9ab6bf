"""Precision, recall, density and coverage: fidelity and diversity as separate metrics."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.metrics import neighbors
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
    """Precision, recall, density and coverage: overlap of the estimated supports of two samples.

    The support of a sample is estimated by balls. With B_k(x) the ball around x whose radius is the
    distance to its k-th nearest neighbour in its own sample:

    * precision: share of generated y that lie in some B_k(x) of a real x;
    * recall: share of real x that lie in some B_k(y) of a generated y;
    * density: mean over generated y of `(number of B_k(x) that y lies in) / k`; about 1 for equal
      distributions, and may exceed 1;
    * coverage: share of real x whose B_k(x) contains some generated y; about `1 - 2^-k` for equal
      distributions and sample sizes.

    As in the authors' code, the balls of precision and recall are closed and those of density and
    coverage open, which makes a difference where samples are copies of real examples. Every
    comparison is exact: a pair whose distance is closer to a radius than the rounding error of
    float32 is computed again from differences in float64. Standard errors are those of the mean
    over rows with all balls held fixed, which move with their samples: over new samples of both,
    values vary up to twice as much.

    Args:
      features: feature extractor.
      k_precision: k of precision and recall.
      k_density: k of density and coverage.

    Returns:
      A metric with the four records `precision_<features>`, `recall_<features>`,
      `density_<features>` and `coverage_<features>`.

    Raises:
      MetricError: rows are not finite or have another width, or there are at most k real or
        generated rows, with k the larger of both.
      ValueError: a k is below 1.

    Reference:
      Kynkäänniemi et al., *Improved Precision and Recall Metric for Assessing Generative Models*,
      2019, https://arxiv.org/abs/1904.06991 (k = 3); Naeem et al., *Reliable Fidelity and Diversity
      Metrics for Generative Models*, 2020, https://arxiv.org/abs/2002.09797 (k = 5).

    Example:
      >>> metric, rng = precision_recall_density_coverage(), np.random.default_rng(0)
      >>> acc = metric.update(metric.init(), real=rng.normal(size=(500, 2)))
      >>> acc = metric.update(acc, generated=np.zeros((500, 2)))  # one repeated point
      >>> records = metric.compute(acc)
      >>> [records[f"{name}_pixels"].value for name in ("precision", "recall")]
      [1.0, 0.0]
    """
    max_k = max(k_precision, k_density)
    if min(k_precision, k_density) < 1:
        raise ValueError(
            f"k_precision is {k_precision} and k_density {k_density}, expected at least 1"
        )

    def compute(real: np.ndarray, generated: np.ndarray) -> Records:
        real_radii, _ = neighbors.nearest(real, real, max_k, same=True)
        generated_radii, _ = neighbors.nearest(generated, generated, k_precision, same=True)
        overlap = _overlap(
            real,
            generated,
            precise=real_radii[:, k_precision - 1],
            dense=real_radii[:, k_density - 1],
            recalling=generated_radii[:, -1],
        )
        shares = {
            "precision": (overlap.precise, k_precision),
            "recall": (overlap.recalled, k_precision),
            "density": (overlap.balls / k_density, k_density),
            "coverage": (overlap.covered, k_density),
        }
        return {
            features.score_name(name): MetricRecord(
                features.score_name(name),
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
        compute,
        features=features,
        prepare=prepare,
        min_real=max_k + 1,
        min_generated=max_k + 1,
        rank=2,
    )


class _Overlap(NamedTuple):
    """Which rows lie in balls of the other sample."""

    precise: Any  # whether a generated row lies in some real ball, bool[m]
    balls: Any  # number of real balls that a generated row lies in, int[m]
    covered: Any  # whether a real ball contains some generated row, bool[n]
    recalled: Any  # whether a real row lies in some generated ball, bool[n]


def _overlap(
    real: np.ndarray,
    generated: np.ndarray,
    *,
    precise: np.ndarray,
    dense: np.ndarray,
    recalling: np.ndarray,
) -> _Overlap:
    """Computes the overlap in one pass over the distances between the samples, exactly.

    Args:
      real, generated: `[n, d]` and `[m, d]`.
      precise, dense: radii of the real balls for precision, and for density and coverage, `[n]`.
      recalling: radii of the generated balls, `[m]`.
    """
    center = real.mean(axis=0)
    radii = np.stack([precise, dense]).astype(np.float32)
    resident, points = jnp.asarray(real - center), generated - center
    precision, balls = np.zeros(len(generated), bool), np.zeros(len(generated), np.int64)
    covered, recalled = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for start in range(0, len(points), neighbors.CHUNK):
        rows = slice(start, start + neighbors.CHUNK)
        radii_of_rows = recalling[rows].astype(np.float32)
        results = _chunk(points[rows], resident, radii, radii_of_rows)
        surely, unsure = jax.tree.map(np.asarray, results)
        precision[rows], balls[rows] = surely.precise, surely.balls
        covered |= surely.covered
        recalled |= surely.recalled
        j, i = np.nonzero(unsure)
        j += start
        distances = neighbors.distances_of_pairs(generated, real, j, i)
        precision[j[distances <= precise[i]]] = True
        recalled[i[distances <= recalling[j]]] = True
        inside = distances < dense[i]
        np.add.at(balls, j[inside], 1)
        covered[i[inside]] = True
    return _Overlap(precision, balls, covered, recalled)


@jax.jit
def _chunk(points: Array, real: Array, radii: Array, recalling: Array) -> tuple[_Overlap, Array]:
    """The overlap by the pairs that float32 decides for all radii, and the other pairs."""
    squared = neighbors.squared_distances(points, real)
    errors = neighbors.error_bounds(points, real)
    bounds = (radii[0][None, :] ** 2, radii[1][None, :] ** 2, recalling[:, None] ** 2)
    precise, dense, recalling = bounds
    sure = jnp.all(jnp.stack([jnp.abs(squared - bound) > errors for bound in bounds]), axis=0)
    within = sure & (squared < dense)
    overlap = _Overlap(
        precise=jnp.any(sure & (squared < precise), axis=1),
        balls=jnp.sum(within, axis=1),
        covered=jnp.any(within, axis=0),
        recalled=jnp.any(sure & (squared < recalling), axis=0),
    )
    return overlap, ~sure
