"""Inception score over any classifier (Salimans et al., 2016)."""

import math

import numpy as np
from scipy.special import log_softmax, xlogy

from jaxgan.metrics.metric import Features, Metric, MetricRecord, Records, collecting, described

BLOCKS = 10


def classifier_score(features: Features) -> Metric:
    """Inception score `exp(mean KL(p(y | x) || p(y)))` of samples x under a classifier p(y | x).

    The range is from 1 (every prediction equals the marginal p(y)) to the number of classes (every
    prediction is certain, and all classes are equally frequent). Only generated samples are used,
    so it detects neither memorisation nor a lack of variety within classes. p(y) is estimated from
    all samples, not from ten splits as in the paper; the standard error is a jackknife over ten
    blocks.

    Args:
      features: a classifier, whose outputs include `logits`.

    Returns:
      A metric with one record, `inception_score_<features>`; `inception_score` over Inception.

    Raises:
      MetricError: logits are not finite, or there are fewer than two samples.

    Reference:
      Salimans et al., *Improved Techniques for Training GANs*, 2016,
      https://arxiv.org/abs/1606.03498.

    Example:
      >>> metric = classifier_score(Features("two", lambda x: {"logits": x}))
      >>> logits = np.array([[100.0, 0.0], [0.0, 100.0]])  # two certain classes
      >>> acc = metric.update(metric.init(), generated=logits)
      >>> round(metric.compute(acc)["inception_score_two"].value, 3)
      2.0
    """
    name = features.score_name("inception_score")

    def compute(real: np.ndarray, generated: np.ndarray) -> Records:
        probabilities = np.exp(log_softmax(generated.astype(np.float64), axis=1))
        blocks = np.array_split(probabilities, min(BLOCKS, len(probabilities)))
        leave_one_out = np.array(
            [_score(np.concatenate(blocks[:i] + blocks[i + 1 :])) for i in range(len(blocks))]
        )
        sum_of_squares = np.sum((leave_one_out - leave_one_out.mean()) ** 2)
        record = MetricRecord(
            name,
            _score(probabilities),
            math.sqrt((len(blocks) - 1) / len(blocks) * sum_of_squares),
            num_generated=len(generated),
            details={"classes": generated.shape[1]},
            **described(features),
        )
        return {name: record}

    return collecting(compute, features=features, output="logits", min_real=0)


def _score(probabilities: np.ndarray) -> float:
    marginal = probabilities.mean(axis=0)
    divergence = np.sum(xlogy(probabilities, probabilities)) / len(probabilities)
    return float(np.exp(divergence - np.sum(xlogy(marginal, marginal))))
