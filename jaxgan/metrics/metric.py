"""What a measure is, and the record that it ends in.

    metric = frechet_distance()
    acc = metric.update(metric.init(), real=features_of_real)
    acc = metric.update(acc, generated=features_of_generated)
    records = metric.compute(acc)

Accumulators are values: nothing is changed in place. So the real examples are accumulated once, and
merged with the samples of every evaluation; halves of a sample that were accumulated apart merge
into the whole. They live in host memory, in NumPy: what a measure sums, it sums in float64.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxgan.errors import MetricError
from jaxgan.types import Array


class Features(NamedTuple):
    """What examples are measured by: a function of images, and what identifies it in a record.

    Attributes:
      name: of the network or transformation, for records.
      apply: `images [n, ...] -> {"features": [n, d], ...}`, jitted where it pays. A classifier also
        gives `"logits"` `[n, classes]`, a perceptual network `"maps"`, a list of `[n, h, w, c]`.
      sha256: of the weights; `None` where there are none.
      preprocessing: what is done to images before, for the record.
      suffix: what a metric's name ends in over these features, `_<name>` by default; empty for the
        features that the literature means where it names none, as the FID means Inception's.
    """

    name: str
    apply: Callable[[Array], Mapping[str, Any]]
    sha256: str | None = None
    preprocessing: str = "none"
    suffix: str | None = None

    def score_name(self, metric: str) -> str:
        """Name of a metric over these features, such as `fid_pixels`."""
        return metric + (f"_{self.name}" if self.suffix is None else self.suffix)


@dataclasses.dataclass(frozen=True)
class MetricRecord:
    """A number, and what one has to know to get it again.

    Attributes:
      name: of the number; names the features, where there are any.
      value: the number.
      standard_error: of the value over the drawing of the samples; `None` where no estimate is
        known.
      num_real, num_generated: how many of either the value was computed of.
      floor: what a perfect generator would score at these numbers, where that is known.
      features, features_sha256, preprocessing: from the `Features`.
      split: which examples are the real ones.
      seed: of the samples.
      details: settings and by-products of the metric, such as k or the bandwidth.
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
        floor = "" if self.floor is None else f" (floor {self.floor:.4g})"
        return f"{self.name} {self.value:.4g}{error}{floor}"


Records = dict[str, MetricRecord]
"""Records by name, one per number; most metrics have one."""


class Metric(NamedTuple):
    """A streaming, mergeable measure of samples.

    Attributes:
      init: `() -> acc`.
      update: `(acc, *, real=None, generated=None) -> acc`, with arrays `[n, ...]` of what
        `features` gives for either. They may come together or one by one, in any numbers; a metric
        of pairs wants both, row by row.
      merge: `(acc, acc) -> acc`, the accumulator of both.
      compute: `acc -> {name: MetricRecord}`.
      features: what `update` is to be given of images.
      output: which output of the features.
      takes_real: whether it looks at real examples.
      paired: whether generated rows belong to the real ones that they come with; evaluations then
        take every example once at most.
    """

    init: Callable[[], Any]
    update: Callable[..., Any]
    merge: Callable[[Any, Any], Any]
    compute: Callable[[Any], Records]
    features: Features
    output: str = "features"
    takes_real: bool = True
    paired: bool = False


class Collected(NamedTuple):
    """All rows so far, for measures that need every one of them; chunks as they came.

    `shape` is that of a row, as `update` was given it.
    """

    real: tuple[np.ndarray, ...] = ()
    generated: tuple[np.ndarray, ...] = ()
    shape: tuple[int, ...] | None = None


class Sums(NamedTuple):
    """Sums over pairs of every number and of its square, in float64."""

    n: int = 0
    first: np.ndarray | float = 0.0
    second: np.ndarray | float = 0.0

    def plus(self, values: np.ndarray) -> "Sums":
        """With more pairs, `values` `[numbers, n]`."""
        values = values.astype(np.float64)
        return Sums(
            self.n + values.shape[1],
            self.first + values.sum(axis=1),
            self.second + (values**2).sum(axis=1),
        )

    def merge(self, other: "Sums") -> "Sums":
        """Of both."""
        return Sums(self.n + other.n, self.first + other.first, self.second + other.second)

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.first) / self.n

    @property
    def standard_error(self) -> np.ndarray:
        variance = np.maximum(np.asarray(self.second) / self.n - self.mean**2, 0.0)
        return np.sqrt(variance / max(self.n - 1, 1))


def collecting(
    compute: Callable[[np.ndarray, np.ndarray], Records],
    *,
    features: Features,
    output: str = "features",
    prepare: Callable[[np.ndarray], np.ndarray] = lambda rows: rows,
    min_real: int = 2,
    min_generated: int = 2,
) -> Metric:
    """A metric whose accumulator is the rows themselves.

    Args:
      compute: `(real [n, ...], generated [m, ...]) -> records`.
      features, output: as in `Metric`.
      prepare: what is kept of the rows, to keep less.
      min_real, min_generated: how many rows there must be; with `min_real=0` real rows are ignored.

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
                rows = checked(rows, side)
                shape = _one_shape(acc.shape, rows.shape[1:])
                chunks = (*getattr(acc, side), prepare(rows))
                acc = acc._replace(shape=shape, **{side: chunks})
        return acc

    def merge(a: Collected, b: Collected) -> Collected:
        shape = _one_shape(a.shape, b.shape)
        return Collected(a.real + b.real, a.generated + b.generated, shape)

    def of_all(acc: Collected) -> Records:
        check_enough(sum(map(len, acc.real)), "real", min_real)
        check_enough(sum(map(len, acc.generated)), "generated", min_generated)
        whole = lambda chunks: np.concatenate(chunks) if chunks else np.zeros((0, 0), np.float32)
        return compute(whole(acc.real), whole(acc.generated))

    return Metric(Collected, update, merge, of_all, features, output, takes_real)


def checked(rows: Any, side: str) -> np.ndarray:
    """Rows as an array on the host, all of them finite.

    Raises:
      MetricError: some are not; the message says how many.
    """
    rows = np.asarray(rows)
    finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    if not finite.all():
        raise MetricError(
            f"{np.sum(~finite)} of {len(rows)} {side} rows are not finite; there is nothing to "
            "measure: look at the run's losses and samples for the step at which it diverged"
        )
    return rows


def check_enough(found: int, side: str, least: int) -> None:
    """Raises a `MetricError` if there are fewer rows than a metric needs."""
    if found < least:
        raise MetricError(f"there are {found} {side} rows, expected at least {least}")


def described(features: Features) -> dict[str, Any]:
    """The fields of a record that say what was measured by."""
    return {
        "features": features.name,
        "features_sha256": features.sha256,
        "preprocessing": features.preprocessing,
    }


def _flatten(x: Array) -> dict[str, Array]:
    return {"features": x.reshape(x.shape[0], -1)}


PIXELS = Features("pixels", _flatten, preprocessing="values as they are, flattened")
RAW = Features("raw", lambda x: {"features": x}, preprocessing="values as they are", suffix="")


def _one_shape(a: tuple[int, ...] | None, b: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if a is not None and b is not None and a != b:
        raise MetricError(
            f"rows have the shapes {a} and {b}; compute all of them by the same features"
        )
    return b if a is None else a
