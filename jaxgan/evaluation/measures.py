"""The metrics of generated images by their names in commands, and the evaluations made of them."""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import numpy as np

from jaxgan import metrics
from jaxgan.data import as_float
from jaxgan.evaluation.samples import Evaluation
from jaxgan.metrics import Features, Metric, similarity
from jaxgan.types import Examples

MEASURES: Mapping[str, Callable[[Features], Metric]] = {
    "fid": metrics.frechet_distance,
    "kid": metrics.kernel_distance,
    "prdc": metrics.precision_recall_density_coverage,
    "inception_score": metrics.classifier_score,
    "ms_ssim": lambda _: metrics.ms_ssim_diversity(),
    "swd": metrics.sliced_wasserstein,
}
"""Metrics of generated images, as functions of the features, by their names in commands."""

OVER_NETWORKS = ("fid", "kid", "prdc", "inception_score")  # metrics over a network's features
OVER_PIXELS = ("swd", "ms_ssim")


def of_images(
    test: Examples, train: Examples | None = None, *, features: Features = metrics.PIXELS
) -> Evaluation:
    """Default evaluation of generated images.

    Over a network's features: FID (by which checkpoints are compared), KID, precision, recall,
    density and coverage, and Inception score if it is a classifier. Over pixels: the sliced
    Wasserstein distance (by which checkpoints are compared) and the mean MS-SSIM of pairs. The
    remaining metrics of `MEASURES`, and `memorization` given `train`, are computed when selected.
    Metrics that need more held-out images than there are, are left out.

    Args:
      test: held-out real images, `image` `[n, height, width, channels]`.
      train: the generator's training images.
      features: feature extractor, such as `features.by_name("auto", data=dataset.name)`.

    Returns:
      The evaluation, for `evaluator` and for `runs.Experiment`.

    Example:
      >>> import numpy as np
      >>> of_images({"image": np.zeros((10, 28, 28, 1), np.uint8)}).best
      'swd_pixels'
    """
    pixels = features is metrics.PIXELS
    names = measurable(features, test["image"])
    score = "swd" if pixels else "fid"
    default = [name for name in names if name in (OVER_PIXELS if pixels else OVER_NETWORKS)]
    more = {name: partial(MEASURES[name], features) for name in names if name not in default}
    if train is not None:
        more["memorization"] = partial(_memorization, train["image"])
    return Evaluation(
        {name: MEASURES[name](features) for name in default},
        test,
        others=train,
        best=features.score_name(score) if score in default else None,
        more=more,
    )


def measurable(features: Features, images: np.ndarray) -> list[str]:
    """Names of the `MEASURES` over these features that these real images suffice for.

    The Inception score needs features with logits, MS-SSIM images as large as its window, and each
    metric its `min_real` images.

    Args:
      features: feature extractor.
      images: real images, `[n, height, width, channels]`; only their shape is used.

    Returns:
      The names, in the order of `MEASURES`.

    Example:
      >>> measurable(metrics.PIXELS, np.zeros((1000, 8, 8, 3)))  # no logits, and too small a window
      ['fid', 'kid', 'prdc', 'swd']
    """
    one = jax.ShapeDtypeStruct((1, *images.shape[1:]), np.float32)
    has_logits = features.score_logits in jax.eval_shape(features.apply, one)
    missing = {"inception_score"} if not has_logits else set()
    if min(images.shape[1:3]) < similarity.WINDOW:
        missing.add("ms_ssim")
    return [
        name
        for name, measure in MEASURES.items()
        if name not in missing and measure(features).min_real <= len(images)
    ]


def over(evaluation: Evaluation, features: Features) -> Evaluation:
    """The same evaluation with the metrics over another network's features, such as Inception's.

    The metrics of the evaluation and its parts are replaced by FID, KID, precision, recall, density
    and coverage, and, over a classifier, the Inception score. Parts with paired metrics only are
    dropped, and checkpoints are compared by the FID, the lower the better, or by nothing.

    Args:
      evaluation: the evaluation.
      features: feature extractor, such as `features.inception(...)`.

    Returns:
      A copy with other metrics.

    Example:
      >>> by_swd = of_images({"image": np.zeros((1000, 8, 8, 1), np.uint8)})
      >>> by_fid = over(by_swd, Features("mean", lambda images: {"features": images.mean((1, 2))}))
      >>> list(by_swd.metrics), list(by_fid.metrics), by_fid.best
      (['swd'], ['fid', 'kid', 'prdc'], 'fid_mean')
    """
    has_unpaired = any(not metric.paired for metric in evaluation.metrics.values())
    names = measurable(features, evaluation.examples[evaluation.target])
    network_metrics = {name: MEASURES[name](features) for name in names if name in OVER_NETWORKS}
    best = features.score_name("fid") if "fid" in network_metrics else None
    parts = {name: over(part, features) for name, part in evaluation.parts.items()}
    return evaluation._replace(
        metrics=network_metrics if has_unpaired else {},
        more={},
        best=best if has_unpaired else None,
        mode="min",
        parts={name: part for name, part in parts.items() if part.metrics or part.parts},
    )


def _memorization(images: np.ndarray) -> Metric:
    return metrics.memorization(as_float(images).reshape(len(images), -1))
