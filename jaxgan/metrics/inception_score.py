"""Inception score over any classifier (Salimans et al., 2016)."""

import itertools
import math

import numpy as np
from scipy.special import log_softmax, xlogy

from jaxgan.metrics.metric import Features, Metric, MetricRecord, Records, collecting, described


def classifier_score(features: Features, *, splits: int = 10) -> Metric:
    """Inception score `exp(mean KL(p(y | x) || p(y)))` of samples x under a classifier p(y | x).

    The range is from 1 (every prediction equals the marginal p(y)) to the number of classes (every
    prediction is certain, and all classes are equally frequent). Only generated samples are used,
    so it detects neither memorisation nor a lack of variety within classes.

    As in the authors' code, the value is the mean over consecutive splits of the samples, each with
    its own p(y), which biases it downwards: compare at equal numbers of samples and splits
    only. Published values have ten splits of 50 000 samples, and are quoted with the standard
    deviation over splits (`std` in the record's details), not with the standard error of their
    mean. Over Inception, the logits are those without the bias of the last layer, as in the code of
    the authors.

    Args:
      features: a classifier, whose outputs include `features.score_logits`.
      splits: number of splits; 1 for the score of all samples together.

    Returns:
      A metric with one record, `inception_score_<features>`; `inception_score` over Inception.

    Raises:
      ValueError: `splits` is below 1.
      MetricError: logits are not finite, or there are fewer than two samples, or fewer than
        `splits`.

    Reference:
      Salimans et al., *Improved Techniques for Training GANs*, 2016,
      https://arxiv.org/abs/1606.03498.

    Example:
      >>> metric = classifier_score(Features("two", lambda x: {"logits": x}), splits=1)
      >>> logits = np.array([[100.0, 0.0], [0.0, 100.0]])  # two certain classes
      >>> acc = metric.update(metric.init(), generated=logits)
      >>> round(metric.compute(acc)["inception_score_two"].value, 3)
      2.0
    """
    if splits < 1:
        raise ValueError(f"splits is {splits}, expected at least 1")
    name = features.score_name("inception_score")

    def compute(real: np.ndarray, generated: np.ndarray) -> Records:
        log_p, n = log_softmax(generated.astype(np.float64), axis=1), len(generated)
        bounds = [i * n // splits for i in range(splits + 1)]
        scores = [_score(log_p[a:b]) for a, b in itertools.pairwise(bounds)]
        error = np.std(scores, ddof=1) / math.sqrt(splits) if splits > 1 else None
        details = {"classes": generated.shape[1], "splits": splits, "std": float(np.std(scores))}
        record = MetricRecord(
            name,
            float(np.mean(scores)),
            None if error is None else float(error),
            num_generated=n,
            details=details,
            **described(features),
        )
        return {name: record}

    fewest = max(splits, 2)
    logits = features.score_logits
    return collecting(
        compute, features=features, output=logits, min_real=0, min_generated=fewest, rank=2
    )


def _score(log_p: np.ndarray) -> float:
    p = np.exp(log_p)
    marginal = p.mean(axis=0)
    return float(np.exp(np.sum(p * log_p) / len(p) - np.sum(xlogy(marginal, marginal))))
