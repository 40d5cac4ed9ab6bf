"""Area under the ROC curve: how well a score separates two classes over all thresholds."""

from typing import Any, NamedTuple

import numpy as np

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import RAW, Metric, MetricRecord, Records, checked


class Scored(NamedTuple):
    """Accumulator of labels and scores."""

    labels: tuple[np.ndarray, ...] = ()
    scores: tuple[np.ndarray, ...] = ()


def roc_auc(*names: str) -> Metric:
    """Area under the receiver operating characteristic curve of scores for the label 1.

    It is the probability that a positive example has a higher score than a negative one, with ties
    counted as one half. The standard error is DeLong's: with the share P of negatives below each
    positive and the share N of positives above each negative, the variance is
    `var P / positives + var N / negatives`.

    Args:
      *names: names of several scores, one per column; none for a single score.

    Returns:
      A paired metric in [0, 1], 1/2 at chance level: `update(acc, real=labels [n],
      generated=scores)` with labels 0 or 1, and scores `[n]`, or `[n, len(names)]`. Its records are
      `roc_auc`, or `roc_auc_<name>` for each name.

    Raises:
      MetricError: scores are not finite, a label is neither 0 nor 1, there is not one row of scores
        per label, or there are fewer than two examples of either class.

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
            raise MetricError("labels and scores are compared in pairs; pass both")
        labels, scores = checked(real, "real"), checked(generated, "generated")
        if labels.ndim != 1 or scores.shape != (*labels.shape, *shape):
            raise MetricError(
                f"labels have shape {labels.shape} and scores {scores.shape}; expected [n] and "
                f"{['n', *shape]}".replace("'", "")
            )
        if unknown := sorted(set(np.unique(labels).tolist()) - {0, 1}):
            raise MetricError(f"a label is {unknown[0]}, expected 0 or 1")
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
                "expected at least 2 of each"
            )
        details = {"num_positive": positives, "num_negative": n - positives}
        columns = np.concatenate(acc.scores).T
        return {
            title: MetricRecord(title, *_area(labels, column), n, n, details=details)
            for title, column in zip(titles, columns, strict=True)
        }

    return Metric(Scored, update, merge, compute, RAW, paired=True, min_generated=4)


def _area(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Area under the curve and its standard error."""
    from scipy.stats import rankdata  # here, since its import takes a third of a second

    positive, negative = scores[labels], scores[~labels]
    ranks = rankdata(scores)
    below = (ranks[labels] - rankdata(positive)) / len(negative)  # for each positive
    above = 1.0 - (ranks[~labels] - rankdata(negative)) / len(positive)  # for each negative
    variance = below.var(ddof=1) / len(positive) + above.var(ddof=1) / len(negative)
    return float(below.mean()), float(np.sqrt(variance))
