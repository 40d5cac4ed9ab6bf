"""How well a score tells two kinds of examples apart, at all thresholds together."""

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import RAW, Metric, MetricRecord, Records, checked


class Scored(NamedTuple):
    """Labels and scores so far."""

    labels: tuple[np.ndarray, ...] = ()
    scores: tuple[np.ndarray, ...] = ()


def roc_auc(*names: str) -> Metric:
    """Area under the curve of true against false positives, of scores that should be high for 1.

    It is the probability that a positive example has a higher score than a negative one, ties
    counted half. The standard error is DeLong's: with the share P of negatives below each positive
    and the share N of positives above each negative, `var P / positives + var N / negatives`.

    Args:
      *names: of several scores, the columns of a row; none for a single score.

    Returns:
      A metric of pairs, in [0, 1], 1/2 by chance: `update(acc, real=labels [n], generated=scores)`
      with labels 0 or 1, and scores `[n]`, or `[n, len(names)]`. Its numbers are `roc_auc`, or
      `roc_auc_<name>` for each.

    Raises:
      MetricError: scores that are not finite, other labels, not a row of scores for each of them,
        or fewer than two examples of either kind.

    Reference:
      DeLong, DeLong and Clarke-Pearson, *Comparing the Areas under Two or More Correlated Receiver
      Operating Characteristic Curves*, 1988, https://doi.org/10.2307/2531595.

    Example:
      >>> metric, labels = roc_auc(), np.array([0, 0, 1, 1])
      >>> acc = metric.update(metric.init(), real=labels, generated=np.array([0.1, 0.4, 0.3, 0.9]))
      >>> metric.compute(acc)["roc_auc"].value
      0.75
    """
    shape = (len(names),) if names else ()
    titles = [f"roc_auc_{name}" for name in names] or ["roc_auc"]

    def update(acc: Scored, *, real: Any = None, generated: Any = None) -> Scored:
        if real is None or generated is None:
            raise MetricError("labels and scores are compared in pairs; give both")
        labels, scores = checked(real, "real"), checked(generated, "generated")
        if labels.ndim != 1 or scores.shape != (*labels.shape, *shape):
            raise MetricError(
                f"labels have the shape {labels.shape} and scores {scores.shape}; expected [n] and "
                f"{['n', *shape]}".replace("'", "")
            )
        if unknown := sorted(set(np.unique(labels).tolist()) - {0, 1}):
            raise MetricError(f"labels are 0 and 1, found {unknown[0]}")
        scores = scores.reshape(len(labels), -1).astype(np.float64)
        return Scored((*acc.labels, labels.astype(bool)), (*acc.scores, scores))

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
        details = {"num_positive": positives, "num_negative": n - positives}
        columns = np.concatenate(acc.scores).T
        return {
            title: MetricRecord(title, *_area(labels, column), n, n, details=details)
            for title, column in zip(titles, columns, strict=True)
        }

    return Metric(Scored, update, merge, compute, RAW, paired=True)


def _area(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The area, and its standard error."""
    positive, negative = scores[labels], scores[~labels]
    ranks = rankdata(scores)
    below = (ranks[labels] - rankdata(positive)) / len(negative)  # for each positive
    above = 1.0 - (ranks[~labels] - rankdata(negative)) / len(positive)  # for each negative
    variance = below.var(ddof=1) / len(positive) + above.var(ddof=1) / len(negative)
    return float(below.mean()), float(np.sqrt(variance))
