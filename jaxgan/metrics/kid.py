"""Kernel Inception distance (KID): squared maximum mean discrepancy with a cubic kernel."""

import math
from functools import partial

import jax
import jax.numpy as jnp
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
from jaxgan.types import Array

BLOCKS = 10  # minimum number of jackknife blocks
MOST_ROWS = 5000  # rows per block of samples of one size, whose kernel values are in memory
SUBSETS, SUBSET_SIZE = 100, 1000  # of the paper's code
MOST_PAIRS = 20_000**2  # up to so many pairs of rows of one side, all of them by default


def kernel_distance(
    features: Features = PIXELS, *, subsets: int | None = None, seed: int = 0
) -> Metric:
    """Kernel Inception distance: unbiased squared MMD with the kernel `(x . y / d + 1)^3`.

    `mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)`. The
    estimate is unbiased: for equal distributions its mean is zero at any sample size, and negative
    values are as common as positive ones.

    Over all pairs, the value does not depend on the order of rows and has the smallest variance;
    its standard error is a delete-one-block jackknife over consecutive blocks of rows, too large by
    a factor of sqrt(2) for equal distributions, where the statistic is degenerate. Time grows with
    the square of the larger sample. As in the paper's code, it can be the mean over random subsets
    of 1000 rows instead, with `std` in the record's details, the deviation over subsets that papers
    quote. There is no standard error then: the subsets are of the same rows, and the error of their
    mean does not fall with their number. Both have the same expectation.

    The kernel is computed in float32, and is not invariant to shifts: of features whose mean is
    10 000 times their spread it keeps no digit of the distance.

    Args:
      features: feature extractor.
      subsets: number of subsets, 100 in the paper; 0 for all pairs; if `None`, all pairs up to
        20 000 rows of each side, and 100 subsets beyond. The record says which.
      seed: seed of the choice of subsets.

    Returns:
      A metric with one record, `kid_<features>`; `kid` over the Inception features of FID.

    Raises:
      ValueError: `subsets` is negative.
      MetricError: rows are not finite or have another width, or there are fewer than two real or
        generated rows.

    Reference:
      Bińkowski, Sutherland, Arbel and Gretton, *Demystifying MMD GANs*, 2018,
      https://arxiv.org/abs/1801.01401.

    Example:
      >>> metric, rng = kernel_distance(), np.random.default_rng(0)
      >>> acc = metric.update(metric.init(), real=rng.normal(size=(500, 2)))
      >>> acc = metric.update(acc, generated=rng.normal(size=(500, 2)))
      >>> record = metric.compute(acc)["kid_pixels"]
      >>> abs(record.value) < 4 * record.standard_error
      True
    """
    if subsets is not None and subsets < 0:
        raise ValueError(f"subsets is {subsets}, expected at least 0")
    name = features.score_name("kid")

    def compute(real: np.ndarray, generated: np.ndarray) -> Records:
        many = max(len(real), len(generated)) ** 2 > MOST_PAIRS
        count = (SUBSETS if many else 0) if subsets is None else subsets
        details = {"width": real.shape[1], "kernel": "(x . y / width + 1)^3", "subsets": count}
        error: float | None
        if count:
            values = _of_subsets(real, generated, count, seed)
            value, std, error = float(np.mean(values)), float(np.std(values)), None
            size = min(SUBSET_SIZE, len(real), len(generated))
            details |= {"subset_size": size, "std": std, "subsets_seed": seed}
        else:
            value, error = _distance(_in_blocks(real, generated), _in_blocks(generated, real))
        record = MetricRecord(
            name,
            value,
            error,
            num_real=len(real),
            num_generated=len(generated),
            details=details,
            **described(features),
        )
        return {name: record}

    prepare = partial(np.asarray, dtype=np.float32)
    return collecting(compute, features=features, prepare=prepare, rank=2)


def _of_subsets(real: np.ndarray, generated: np.ndarray, count: int, seed: int) -> list[float]:
    """Squared MMD of pairs of random subsets without replacement, in torch-fidelity's order.

    NumPy's `RandomState` is frozen, so the subsets are the same with every version.
    """
    rng, size = np.random.RandomState(seed), min(SUBSET_SIZE, len(real), len(generated))
    choose = lambda rows: rows[rng.choice(len(rows), size, replace=False)]
    return [_distance([choose(real)], [choose(generated)])[0] for _ in range(count)]


def _in_blocks(rows: np.ndarray, others: np.ndarray) -> list[np.ndarray]:
    """Splits rows into non-empty blocks, the same number for `rows` and `others`."""
    blocks = max(BLOCKS, math.ceil(max(len(rows), len(others)) / MOST_ROWS))
    return np.array_split(rows, min(blocks, len(rows), len(others)))


def _distance(real: list[np.ndarray], generated: list[np.ndarray]) -> tuple[float, float | None]:
    """Squared MMD and its jackknife error, from kernel sums over pairs of blocks."""
    within_real, within_generated = _sums_within(real), _sums_within(generated)
    between = np.array([[_sum(x, y) for y in generated] for x in real])
    sizes = np.array([[len(x) for x in real], [len(y) for y in generated]])

    def estimate(kept: np.ndarray) -> float:
        n, m = (side[kept].sum() for side in sizes)
        part = np.ix_(kept, kept)
        pairs = within_real[part].sum() / (n * (n - 1)) + within_generated[part].sum() / (
            m * (m - 1)
        )
        return float(pairs - 2.0 * between[part].sum() / (n * m))

    blocks = np.arange(len(real))
    if sizes.sum(axis=1).min() - sizes.max() < 2:  # too few rows remain without a block
        return estimate(blocks), None
    leave_one_out = np.array([estimate(np.delete(blocks, i)) for i in blocks])
    sum_of_squares = np.sum((leave_one_out - leave_one_out.mean()) ** 2)
    return estimate(blocks), math.sqrt((len(blocks) - 1) / len(blocks) * sum_of_squares)


def _sums_within(blocks: list[np.ndarray]) -> np.ndarray:
    """Kernel sums over pairs of blocks of one sample, without the diagonal `k(x_i, x_i)`."""
    sums = np.zeros((len(blocks), len(blocks)))
    for i, x in enumerate(blocks):
        for j in range(i):
            sums[i, j] = sums[j, i] = _sum(x, blocks[j])
        diagonal = np.sum(x.astype(np.float64) ** 2, axis=1) / x.shape[1]
        sums[i, i] = _sum(x, x) - np.sum((diagonal + 1.0) ** 3)
    return sums


def _sum(x: np.ndarray, y: np.ndarray) -> float:
    """Sum of the kernel over all pairs: row sums in float32, their sum in float64."""
    return float(np.sum(np.asarray(_row_sums(x, y), np.float64)))


@jax.jit
def _row_sums(x: Array, y: Array) -> Array:
    products = jnp.dot(x, y.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.sum((products / x.shape[1] + 1.0) ** 3, axis=1)
