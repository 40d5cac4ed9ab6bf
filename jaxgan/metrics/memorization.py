"""Memorisation: nearest-neighbour distances from generated samples to the training set."""

import numpy as np

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import (
    PIXELS,
    Features,
    Metric,
    MetricRecord,
    Records,
    check_enough,
    checked,
    collecting,
    described,
)
from jaxgan.metrics.neighbors import nearest


def memorization(training: np.ndarray, features: Features = PIXELS) -> Metric:
    """Share of generated samples that are closer to the training set than held-out examples are.

    The distance to the nearest training example is computed for every generated sample and for
    every held-out real one. The value is the share of generated samples up to the 1 % quantile of
    the held-out distances: 0.01 for a perfect generator (its floor), towards 1 for one that
    memorises. The standard error is that of the share at this quantile. The details have both
    median distances; a ratio of generated to held-out below 1 means that samples are closer to the
    training set than new data. (`nearest` returns the neighbours themselves; `python -m jaxgan
    neighbors RUN` writes them as an image grid.)

    Args:
      training: features of the training examples, `[n, d]`.
      features: feature extractor: pixels detect copies, a classifier's features detect similar
        images.

    Returns:
      A metric with one record, `memorization_<features>`, whose `real` rows are held-out examples.

    Raises:
      MetricError: rows are not finite or of another shape than the training rows, there are no
        training rows, or fewer than 100 held-out ones.

    Example:
      >>> rng = np.random.default_rng(0)
      >>> training, held_out = rng.normal(size=(2, 500, 8))
      >>> metric = memorization(training)
      >>> acc = metric.update(metric.init(), real=held_out, generated=training)
      >>> metric.compute(acc)["memorization_pixels"].value
      1.0
    """
    training = checked(training, "training")
    check_enough(len(training), "training", 1)
    name = features.score_name("memorization")

    def compute(real: np.ndarray, generated: np.ndarray) -> Records:
        if generated.shape[1:] != training.shape[1:]:
            raise MetricError(
                f"training rows have shape {training.shape[1:]} and samples {generated.shape[1:]}; "
                "compute all rows with the same feature extractor"
            )
        held_out = nearest(real, training)[0][:, 0]
        distances = nearest(generated, training)[0][:, 0]
        threshold = float(np.quantile(held_out, 0.01, method="weibull"))
        share = float(np.mean(distances <= threshold))  # which is 0 where held-out rows are copies
        record = MetricRecord(
            name,
            share,
            float(np.sqrt(share * (1.0 - share) / len(distances))),
            num_real=len(real),
            num_generated=len(generated),
            floor=0.01,
            details={
                "num_training": len(training),
                "median_distance": float(np.median(distances)),
                "median_distance_held_out": float(np.median(held_out)),
                "exact_copies": int(np.sum(distances == 0.0)),
            },
            **described(features),
        )
        return {name: record}

    return collecting(compute, features=features, min_real=100, min_generated=1, rank=2)
