"""Sliced Wasserstein distance: one-dimensional optimal transport along random directions."""

from functools import cache

import numpy as np

from jaxgan.metrics.metric import (
    PIXELS,
    Features,
    Metric,
    MetricRecord,
    Records,
    collecting,
    described,
)


def sliced_wasserstein(
    features: Features = PIXELS, *, num_projections: int = 256, seed: int = 0
) -> Metric:
    """Sliced Wasserstein-2 distance, `sqrt(mean over unit directions v of W_2(v . x, v . y)^2)`.

    In one dimension optimal transport maps quantiles to equal quantiles. The distance is zero only
    for equal distributions; its estimate from two finite samples is positive. (The distance of that
    name in Karras et al., 2018, is over patches of a Laplacian pyramid.)

    Args:
      features: feature extractor.
      num_projections: number of random directions, at least 1. The error of their mean is in the
        record's details, as `projection_error`; there is no standard error over samples.
      seed: seed of the directions, which are the same in every evaluation.

    Returns:
      A metric with one record, `swd_<features>`, in the units of the features.

    Raises:
      MetricError: rows are not finite or have another width, or there are fewer than two real or
        generated rows.
      ValueError: `num_projections` is below 1.

    Reference:
      Bonneel, Rabin, Peyré and Pfister, *Sliced and Radon Wasserstein Barycenters of Measures*,
      2015, https://doi.org/10.1007/s10851-014-0506-3.

    Example:
      >>> metric, rng = sliced_wasserstein(), np.random.default_rng(0)
      >>> acc = metric.update(metric.init(), real=rng.normal(size=(1000, 1)))
      >>> acc = metric.update(acc, generated=rng.normal(2.0, size=(1000, 1)))  # shifted by 2
      >>> round(metric.compute(acc)["swd_pixels"].value, 1)
      2.0
    """
    if num_projections < 1:
        raise ValueError(f"num_projections is {num_projections}, expected at least 1")
    name = features.score_name("swd")

    @cache
    def directions(width: int) -> np.ndarray:
        normals = np.random.default_rng(seed).normal(size=(width, num_projections))
        return (normals / np.linalg.norm(normals, axis=0)).astype(np.float32)

    def project(rows: np.ndarray) -> np.ndarray:
        return np.asarray(rows, np.float32) @ directions(rows.shape[1])

    def compute(real: np.ndarray, generated: np.ndarray) -> Records:
        squared = _squared_w2(np.sort(real, axis=0), np.sort(generated, axis=0))
        value = float(np.sqrt(squared.mean()))
        error = float(np.std(squared) / np.sqrt(num_projections))
        record = MetricRecord(
            name,
            value,
            num_real=len(real),
            num_generated=len(generated),
            details={
                "num_projections": num_projections,
                "projections_seed": seed,
                "projection_error": error / (2.0 * value) if value else 0.0,
            },
            **described(features),
        )
        return {name: record}

    return collecting(compute, features=features, prepare=project, rank=2)


def _squared_w2(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`W_2^2` of each column of sorted samples `[n, p]` and `[m, p]`: the integral over quantiles.

    Both quantile functions are step functions, so the integral is a sum over the levels at which
    either has a step.
    """
    n, m = len(x), len(y)
    steps = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # levels times n m, exact
    weights = np.diff(steps, prepend=0) / (n * m)
    differences = x[(steps - 1) // m] - y[(steps - 1) // n]
    return weights @ differences.astype(np.float64) ** 2
