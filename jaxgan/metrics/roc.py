"""How well a score tells two kinds of examples apart, at all thresholds together."""

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from jaxgan.metrics.metric import RAW, Metric, MetricError, MetricRecord, Records, checked


class Scored(NamedTuple):
    """Labels and scores so far."""

    labels: tuple[np.ndarray, ...] = ()
    scores: tuple[np.ndarray, ...] = ()


def roc_auc() -> Metric:
    """Area under the curve of true against false positives, of scores that should be high for 1.

    It is the probability that a positive example has a higher score than a negative one, ties
    counted half. The standard error is DeLong's: with the share P of negatives below each positive
    and the share N of positives above each negative, `var P / positives + var N / negatives`.

    Returns:
      A metric of pairs with one number, `roc_auc`, in [0, 1], 1/2 by chance: `update(acc,
      real=labels [n], generated=scores [n])` with labels 0 or 1.

    Raises:
      MetricError: scores that are not finite, other labels, not one score for each of them, or
        fewer than two examples of either kind.

    Reference:
      DeLong, DeLong and Clarke-Pearson, *Comparing the Areas under Two or More Correlated Receiver
      Operating Characteristic Curves*, 1988, https://doi.org/10.2307/2531595.

    Example:
      >>> metric, labels = roc_auc(), np.array([0, 0, 1, 1])
      >>> acc = metric.update(metric.init(), real=labels, generated=np.array([0.1, 0.4, 0.3, 0.9]))
      >>> metric.compute(acc)["roc_auc"].value
      0.75
    """

    def update(acc: Scored, *, real: Any = None, generated: Any = None) -> Scored:
        if real is None or generated is None:
            raise MetricError("labels and scores are compared in pairs; give both")
        labels, scores = checked(real, "real"), checked(generated, "generated")
        if labels.ndim != 1 or labels.shape != scores.shape:
            raise MetricError(
                f"labels have the shape {labels.shape} and scores {scores.shape}; expected [n] both"
            )
        if unknown := sorted(set(np.unique(labels).tolist()) - {0, 1}):
            raise MetricError(f"labels are 0 and 1, found {unknown[0]}")
        return Scored((*acc.labels, labels.astype(bool)), (*acc.scores, scores.astype(np.float64)))

    def merge(a: Scored, b: Scored) -> Scored:
        return Scored(a.labels + b.labels, a.scores + b.scores)

    def compute(acc: Scored) -> Records:
        labels = np.concatenate(acc.labels) if acc.labels else np.zeros(0, bool)
        n, positives = len(labels), int(labels.sum())
        if min(positives, n - positives) < 2:
            raise MetricError(
                f"there are {positives} positive and {n - positives} negative examples, "
                "expected at least 2 of either"
            )
        value, error = _area(labels, np.concatenate(acc.scores))
        details = {"num_positive": positives, "num_negative": n - positives}
        return {"roc_auc": MetricRecord("roc_auc", value, error, n, n, details=details)}

    return Metric(Scored, update, merge, compute, RAW, paired=True)


def _area(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The area, and its standard error."""
    positive, negative = scores[labels], scores[~labels]
    ranks = rankdata(scores)
    below = (ranks[labels] - rankdata(positive)) / len(negative)  # for each positive
    above = 1.0 - (ranks[~labels] - rankdata(negative)) / len(positive)  # for each negative
    variance = below.var(ddof=1) / len(positive) + above.var(ddof=1) / len(negative)
    return float(below.mean()), float(np.sqrt(variance))
