"""The Inception score, over any classifier."""

import math

import numpy as np
from scipy.special import log_softmax, xlogy

from jaxgan.metrics.metric import Features, Metric, MetricRecord, Records, collecting, described

BLOCKS = 10


def classifier_score(features: Features) -> Metric:
    """`exp(mean KL(p(y | x) || p(y)))`, with the classes y that a classifier sees in samples x.

    From 1 (all samples look alike, or like nothing) to the number of classes (every one is certain,
    and all are equally frequent). It looks at generated samples alone, so it sees neither copies
    nor a lack of variety within classes. p(y) is that of all samples, not of ten parts as in the
    paper; the standard error is a jackknife over ten blocks.

    Args:
      features: a classifier, whose outputs have `logits`.

    Returns:
      A metric with one number, `inception_score_<features>`; `inception_score` over Inception.

    Raises:
      MetricError: logits that are not finite, or fewer than two samples.

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
        without = np.array(
            [_score(np.concatenate(blocks[:i] + blocks[i + 1 :])) for i in range(len(blocks))]
        )
        spread = np.sum((without - without.mean()) ** 2)
        record = MetricRecord(
            name,
            _score(probabilities),
            math.sqrt((len(blocks) - 1) / len(blocks) * spread),
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
