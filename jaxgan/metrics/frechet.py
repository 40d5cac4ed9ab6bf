"""Fréchet distance between Gaussians fitted to features (the FID, over Inception features)."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import (
    PIXELS,
    Features,
    Metric,
    MetricRecord,
    Records,
    check_enough,
    checked,
    described,
)


class Moments(NamedTuple):
    """Mean and scatter matrix of rows, in float64: `scatter = sum (x - mean)(x - mean)^T`."""

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance estimate, `scatter / (n - 1)`."""
        return self.scatter / (self.n - 1)


class Accumulator(NamedTuple):
    """Moments of the real and the generated rows, `None` before the first rows."""

    real: Moments | None = None
    generated: Moments | None = None


def frechet_distance(features: Features = PIXELS) -> Metric:
    """Fréchet distance between Gaussians fitted to features of real and generated examples (FID).

    `|m_r - m_g|^2 + tr(S_r + S_g - 2 (S_r S_g)^(1/2))`, with means m and covariances S. The
    estimate is biased upwards: for d features of unit covariance and equal distributions by about
    `(1/n + 1/m) (d + d (d + 1) / 4)`, so compare values only at equal sample sizes.

    Args:
      features: feature extractor.

    Returns:
      A metric with one record, `fid_<features>`; `fid` alone over the Inception weights that define
      FID. `details["singular"]` is true if a sample has no more rows than features, so that its
      covariance is singular.

    Raises:
      MetricError: in `update`, rows are not finite or have another width; in `compute`, there are
        fewer than two real or generated rows.

    Reference:
      Heusel et al., *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
      Equilibrium*, 2017, https://arxiv.org/abs/1706.08500; Dowson and Landau, *The Fréchet Distance
      between Multivariate Normal Distributions*, 1982.

    Example:
      >>> metric, rng = frechet_distance(), np.random.default_rng(0)
      >>> acc = metric.update(metric.init(), real=rng.normal(size=(1000, 2)))
      >>> acc = metric.update(acc, generated=rng.normal(3.0, 1.0, size=(1000, 2)))
      >>> round(metric.compute(acc)["fid_pixels"].value)  # 3^2 + 3^2
      18
    """

    def update(acc: Accumulator, *, real: Any = None, generated: Any = None) -> Accumulator:
        for side, rows in (("real", real), ("generated", generated)):
            if rows is not None and len(rows):
                new = moments(checked(rows, side, rank=2))
                acc = acc._replace(**{side: _merged(getattr(acc, side), new)})
        return of_one_width(acc)

    def merge(a: Accumulator, b: Accumulator) -> Accumulator:
        return of_one_width(Accumulator(*map(_merged, a, b)))

    def of_one_width(acc: Accumulator) -> Accumulator:
        if acc.real and acc.generated:
            _check_widths(acc.real, acc.generated)
        return acc

    def compute(acc: Accumulator) -> Records:
        real, generated = _at_least_two(acc.real, "real"), _at_least_two(acc.generated, "generated")
        width = len(real.mean)
        name = features.score_name("fid")
        record = MetricRecord(
            name,
            gaussian_frechet_distance(
                real.mean, real.covariance, generated.mean, generated.covariance
            ),
            num_real=real.n,
            num_generated=generated.n,
            details={"width": width, "singular": min(real.n, generated.n) <= width},
            **described(features),
        )
        return {name: record}

    return Metric(Accumulator, update, merge, compute, features, min_generated=2, min_real=2)


def gaussian_frechet_distance(
    mean_1: ArrayLike, covariance_1: ArrayLike, mean_2: ArrayLike, covariance_2: ArrayLike
) -> float:
    """Squared Fréchet (2-Wasserstein) distance between two Gaussians, in float64.

    `|m1 - m2|^2 + tr(S1) + tr(S2) - 2 |S1^(1/2) S2^(1/2)|_*`: the trace of the square root of S1 S2
    is the nuclear norm (sum of singular values) of the product of the roots. Unlike the square root
    of the product, this form loses no precision for singular covariances.

    Args:
      mean_1, mean_2: `[d]`.
      covariance_1, covariance_2: `[d, d]`, symmetric and positive semidefinite.

    Returns:
      The squared distance.

    Example:
      >>> gaussian_frechet_distance([0.0], [[1.0]], [3.0], [[4.0]])  # 3^2 + (1 - 2)^2
      10.0
    """
    mean_1, mean_2 = np.asarray(mean_1, np.float64), np.asarray(mean_2, np.float64)
    covariance_1 = np.asarray(covariance_1, np.float64)
    covariance_2 = np.asarray(covariance_2, np.float64)
    overlap = np.linalg.svd(_root(covariance_1) @ _root(covariance_2).T, compute_uv=False).sum()
    distance = np.sum((mean_1 - mean_2) ** 2) + np.trace(covariance_1 + covariance_2) - 2 * overlap
    return max(float(distance), 0.0)


def moments(rows: np.ndarray) -> Moments:
    """Mean and scatter matrix of `rows` `[n, d]`.

    Raises:
      MetricError: `rows` does not have rank 2.
    """
    if rows.ndim != 2:
        raise MetricError(f"features have shape {rows.shape}, expected [n, width]")
    rows = rows.astype(np.float64)
    mean = rows.mean(axis=0)
    deviations = rows - mean
    return Moments(len(rows), mean, deviations.T @ deviations)


def _merged(a: Moments | None, b: Moments | None) -> Moments | None:
    """Moments of the union of two samples, without cancellation (Chan, Golub and LeVeque, 1983)."""
    if a is None or b is None:
        return a or b
    _check_widths(a, b)
    n, shift = a.n + b.n, b.mean - a.mean
    scatter = a.scatter + b.scatter + np.outer(shift, shift) * (a.n * b.n / n)
    return Moments(n, a.mean + shift * (b.n / n), scatter)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Square root R with `R^T R = covariance`; eigenvalues at rounding level count as zero."""
    values, vectors = np.linalg.eigh(covariance)
    noise = values[-1] * len(values) * np.finfo(np.float64).eps
    return np.sqrt(np.where(values > noise, values, 0.0))[:, None] * vectors.T


def _at_least_two(acc: Moments | None, side: str) -> Moments:
    check_enough(acc.n if acc else 0, side, 2)
    assert acc is not None
    return acc


def _check_widths(a: Moments, b: Moments) -> None:
    if len(a.mean) != len(b.mean):
        raise MetricError(
            f"features have widths {len(a.mean)} and {len(b.mean)}; "
            "compute both with the same feature extractor"
        )
