"""Metric interface: `(init, update, merge, compute)` on immutable accumulators, and its records.

    metric = frechet_distance()
    acc = metric.update(metric.init(), real=features_of_real)
    acc = metric.update(acc, generated=features_of_generated)
    records = metric.compute(acc)

Accumulators are immutable values. So the real examples are accumulated once and merged with the
samples of every evaluation, and parts of a sample that were accumulated separately merge into the
accumulator of all of it. Accumulators live in host memory, in NumPy; sums are in float64.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxgan.errors import MetricError
from jaxgan.types import Array


class Features(NamedTuple):
    """Feature extractor: a function of images, and what identifies it in records.

    Attributes:
      name: name of the network or transformation, for records.
      apply: `images [n, ...] -> {"features": [n, d], ...}`, jitted where that is faster. A
        classifier also returns `"logits"` `[n, classes]`, a perceptual network `"maps"`, a list of
        `[n, h, w, c]`.
      sha256: SHA-256 of the weights; `None` if there are none.
      preprocessing: preprocessing that `apply` does, in words, for records.
      suffix: suffix of metric names over these features, `_<name>` if `None`; empty for the
        features that the literature implies, as FID implies Inception's.
      score_logits: name of the output whose softmax the Inception score takes.

    Example:
      >>> mean = Features("mean", lambda x: {"features": x.mean(axis=(1, 2))})
      >>> mean.score_name("fid"), mean.apply(np.ones((2, 4, 4, 1)))["features"].tolist()
      ('fid_mean', [[1.0], [1.0]])
    """

    name: str
    apply: Callable[[Array], Mapping[str, Any]]
    sha256: str | None = None
    preprocessing: str = "none"
    suffix: str | None = None
    score_logits: str = "logits"

    def score_name(self, metric: str) -> str:
        """Returns the name of a metric over these features, such as `fid_pixels`."""
        return metric + (f"_{self.name}" if self.suffix is None else self.suffix)


@dataclasses.dataclass(frozen=True)
class MetricRecord:
    """Metric value with what is needed to reproduce it.

    Attributes:
      name: name of the value, with that of the features if there are any.
      value: the value.
      standard_error: standard error of the value over random samples; `None` if there is no
        estimate.
      num_real, num_generated: number of real and generated examples that the value is computed
        from.
      floor: score of a perfect generator at this sample size, if known; of scores that are better
        when higher, it is a ceiling. Where there are too few real examples to stand for samples,
        `details["floor_of"]` is the number of those that it was computed from.
      features, features_sha256, preprocessing: from the `Features`.
      split: name of the split that the real examples come from.
      seed: seed of the samples.
      details: settings and intermediate results of the metric, such as k or the bandwidth.

    Example:
      >>> print(MetricRecord("fid_mean", 12.0, 0.25, floor=3.0))
      fid_mean 12 ± 0.25 (perfect 3)
    """

    name: str
    value: float
    standard_error: float | None = None
    num_real: int = 0
    num_generated: int = 0
    floor: float | None = None
    features: str | None = None
    features_sha256: str | None = None
    preprocessing: str | None = None
    split: str | None = None
    seed: int | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2g}"
        fewer = f" of {self.details['floor_of']}" if "floor_of" in self.details else ""
        perfect = "" if self.floor is None else f" (perfect {self.floor:.4g}{fewer})"
        return f"{self.name} {self.value:.4g}{error}{perfect}"


Records = dict[str, MetricRecord]
"""Metric records by name; most metrics compute one."""


class Metric(NamedTuple):
    """Streaming, mergeable evaluation metric of samples.

    Attributes:
      init: `() -> acc`.
      update: `(acc, *, real=None, generated=None) -> acc`, with arrays `[n, ...]` of `features`'
        outputs for real and generated examples. They may be passed together or separately, in any
        numbers; a paired metric needs both, row by row.
      merge: `(acc, acc) -> acc`, the accumulator of the rows of both.
      compute: `acc -> {name: MetricRecord}`.
      features: feature extractor whose outputs are passed to `update`.
      output: name of the feature extractor's output that is passed.
      takes_real: whether it uses real examples.
      paired: whether generated rows correspond to the real rows that they are passed with;
        evaluations then use each example at most once.
      min_generated: minimum number of generated rows.
      min_real: minimum number of real rows.

    Example:
      >>> from jaxgan.metrics import sliced_wasserstein
      >>> metric, rows = sliced_wasserstein(), np.eye(4, dtype=np.float32)
      >>> print(metric(real=rows, generated=rows)["swd_pixels"].value)
      0.0
    """

    init: Callable[[], Any]
    update: Callable[..., Any]
    merge: Callable[[Any, Any], Any]
    compute: Callable[[Any], Records]
    features: Features
    output: str = "features"
    takes_real: bool = True
    paired: bool = False
    min_generated: int = 1
    min_real: int = 0

    def __call__(self, *, real: Any = None, generated: Any = None) -> Records:
        """Records of these rows alone: `compute(update(init(), real=..., generated=...))`."""
        return self.compute(self.update(self.init(), real=real, generated=generated))


class Collected(NamedTuple):
    """Accumulator of all rows, as the chunks passed to `update`, for metrics that need every row.

    `shape` is the shape of a row as passed to `update`, before `prepare`.
    """

    real: tuple[np.ndarray, ...] = ()
    generated: tuple[np.ndarray, ...] = ()
    shape: tuple[int, ...] | None = None


class Means(NamedTuple):
    """Accumulator of means: of each value its mean and sum of squared deviations, in float64.

    Both are merged without cancellation (Chan, Golub and LeVeque, 1983).
    """

    n: int = 0
    mean: np.ndarray = np.zeros(0)
    scatter: np.ndarray = np.zeros(0)

    def plus(self, values: np.ndarray) -> "Means":
        """Adds n examples, `values` `[num_values, n]`."""
        if not values.shape[1]:
            return self
        values = values.astype(np.float64)
        mean = values.mean(axis=1)
        scatter = np.sum((values - mean[:, None]) ** 2, axis=1)
        return self.merge(Means(values.shape[1], mean, scatter))

    def merge(self, other: "Means") -> "Means":
        """Means over the examples of both."""
        if not self.n or not other.n:
            return self if self.n else other
        n, shift = self.n + other.n, other.mean - self.mean
        scatter = self.scatter + other.scatter + shift**2 * (self.n * other.n / n)
        return Means(n, self.mean + shift * (other.n / n), scatter)

    @property
    def standard_error(self) -> list[float | None]:
        """Standard error of each mean; `None` of a single example, which has no spread."""
        if self.n < 2:
            return [None] * len(self.mean)
        return (self.deviation / np.sqrt(self.n)).tolist()

    @property
    def deviation(self) -> np.ndarray:
        """Sample standard deviation of each value (`ddof=1`), `[num_values]`, of two or more."""
        return np.sqrt(self.scatter / (self.n - 1))


def collecting(
    compute: Callable[[np.ndarray, np.ndarray], Records],
    *,
    features: Features,
    output: str = "features",
    prepare: Callable[[np.ndarray], np.ndarray] = lambda rows: rows,
    min_real: int = 2,
    min_generated: int = 2,
    rank: int | None = None,
) -> Metric:
    """Makes a metric whose accumulator collects the rows themselves.

    Args:
      compute: `(real [n, ...], generated [m, ...]) -> records`.
      features, output: as in `Metric`.
      prepare: function of the rows whose result is stored in their place, to save memory.
      min_real, min_generated: minimum number of rows; with `min_real=0` real rows are ignored.
      rank: number of axes of the rows, 2 for features `[n, width]`; any if `None`.

    Returns:
      The metric.

    Example:
      >>> mean = lambda real, generated: {"mean": MetricRecord("mean", float(generated.mean()))}
      >>> metric = collecting(mean, features=RAW, min_real=0)
      >>> acc = metric.update(metric.init(), generated=np.ones((4, 2), np.float32))
      >>> print(metric.compute(acc)["mean"])
      mean 1
    """
    takes_real = min_real > 0

    def update(acc: Collected, *, real: Any = None, generated: Any = None) -> Collected:
        for side, rows in (("real", real if takes_real else None), ("generated", generated)):
            if rows is not None:
                rows = checked(rows, side, rank=rank)
                shape = _one_shape(acc.shape, rows.shape[1:])
                chunks = (*getattr(acc, side), prepare(rows))
                acc = acc._replace(shape=shape, **{side: chunks})
        return acc

    def merge(a: Collected, b: Collected) -> Collected:
        shape = _one_shape(a.shape, b.shape)
        return Collected(a.real + b.real, a.generated + b.generated, shape)

    def compute_all(acc: Collected) -> Records:
        check_enough(sum(map(len, acc.real)), "real", min_real)
        check_enough(sum(map(len, acc.generated)), "generated", min_generated)
        joined = lambda chunks: np.concatenate(chunks) if chunks else np.zeros((0, 0), np.float32)
        return compute(joined(acc.real), joined(acc.generated))

    return Metric(
        Collected,
        update,
        merge,
        compute_all,
        features,
        output,
        takes_real,
        min_generated=min_generated,
        min_real=min_real,
    )


def checked(rows: Any, side: str, *, rank: int | None = None) -> np.ndarray:
    """Returns rows as a NumPy array after checking that all are finite, and images floats.

    Rows of half precision become float32, in which metrics are computed.

    Raises:
      MetricError: rows are not finite (the message has their number), images of integers, or not
        of this rank.
    """
    rows = np.asarray(rows)
    if rank is not None and rows.ndim != rank:
        raise MetricError(
            f"{side} features have the shape {rows.shape}, expected [n, width], such as those of a "
            "network's last layer; of images, metric.features.apply(images)['features']"
        )
    if jnp.issubdtype(rows.dtype, jnp.floating):  # NumPy does not know bfloat16
        rows = rows.astype(np.promote_types(rows.dtype, np.float32), copy=False)
    if rows.ndim == 4 and np.issubdtype(rows.dtype, np.integer):  # differences would wrap around
        raise MetricError(
            f"{side} images have the dtype {rows.dtype}, expected floats in [-1, 1]: "
            "jaxgan.data.as_float(images)"
        )
    finite = np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))
    if not finite.all():
        raise MetricError(
            f"{np.sum(~finite)} of {len(rows)} {side} rows are not finite, expected finite values: "
            "find the step at which training diverged in the run's losses and samples"
        )
    return rows


def check_enough(count: int, side: str, least: int) -> None:
    """Raises `MetricError` if there are fewer rows than a metric needs."""
    if count < least:
        raise MetricError(f"there are {count} {side} rows, expected at least {least}")


def described(features: Features) -> dict[str, Any]:
    """Returns the fields of a record that identify the feature extractor."""
    return {
        "features": features.name,
        "features_sha256": features.sha256,
        "preprocessing": features.preprocessing,
    }


def _flatten(x: Array) -> dict[str, Array]:
    return {"features": x.reshape(x.shape[0], -1)}


PIXELS = Features("pixels", _flatten, preprocessing="values as they are, flattened")
RAW = Features("raw", lambda x: {"features": x}, preprocessing="values as they are")


def _one_shape(a: tuple[int, ...] | None, b: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if a is not None and b is not None and a != b:
        raise MetricError(
            f"rows have shapes {a} and {b}; compute all rows with the same feature extractor"
        )
    return b if a is None else a
