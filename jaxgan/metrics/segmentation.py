"""Accuracy and intersection over union of semantic segmentations, from their confusion matrix."""

from typing import NamedTuple

import numpy as np

from jaxgan.errors import MetricError
from jaxgan.types import Array


class SegmentationScores(NamedTuple):
    """Scores of a segmentation, all in [0, 1]; see `segmentation_scores`.

    Attributes:
      pixel_accuracy: share of the pixels whose class is right.
      class_accuracy: mean over the classes of the share of their pixels whose class is right.
      mean_iou: mean over the classes of the intersection over union.

    Example:
      >>> float(segmentation_scores(np.array([[3, 1], [0, 4]])).class_accuracy)  # (3/4 + 1) / 2
      0.875
    """

    pixel_accuracy: np.ndarray
    class_accuracy: np.ndarray
    mean_iou: np.ndarray


def confusion_matrix(labels: Array, predicted: Array, num_classes: int) -> np.ndarray:
    """Confusion matrix `n`: `n[i, j]` pixels of class i are predicted as class j.

    Args:
      labels: true classes, `int[...]` in 0 ... `num_classes - 1`.
      predicted: predicted classes, of the same shape and range.
      num_classes: number of classes.

    Returns:
      `int64[num_classes, num_classes]`. The matrix of several images is the sum of theirs.

    Raises:
      MetricError: the shapes differ, or a class is out of range.

    Example:
      >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), num_classes=2).tolist()
      [[1, 1], [0, 1]]
    """
    true, guess = np.asarray(labels), np.asarray(predicted)
    if true.shape != guess.shape:
        raise MetricError(
            f"labels have shape {true.shape} and predicted classes {guess.shape}; "
            "expected one shape"
        )
    for name, classes in (("a label", true), ("a predicted class", guess)):
        if not np.issubdtype(classes.dtype, np.integer):
            raise MetricError(f"{name} has the dtype {classes.dtype}, expected integers")
        wrong = classes[(classes < 0) | (classes >= num_classes)]
        if wrong.size:
            raise MetricError(f"{name} is {wrong[0]}, expected 0 to {num_classes - 1}")
    pairs = true.astype(np.int64).ravel() * num_classes + guess.ravel()
    counts = np.bincount(pairs, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def segmentation_scores(confusion: np.ndarray) -> SegmentationScores:
    """Per-pixel accuracy, per-class accuracy and mean intersection over union (IoU).

    With the confusion matrix n, `t_i = sum_j n_ij` pixels of class i and `p_i = sum_j n_ji` pixels
    predicted as class i:

        pixel_accuracy = sum_i n_ii / sum_i t_i
        class_accuracy = mean_i n_ii / t_i
        mean_iou = mean_i n_ii / (t_i + p_i - n_ii)

    The second mean is over the classes that occur, the third over those that occur or are
    predicted. Of the predictions of a segmentation network for generated images, against the label
    maps that they were generated from, these are the FCN-scores of Isola et al., whose code also
    counts classes that neither occur nor are predicted, as 0.

    Args:
      confusion: `[..., num_classes, num_classes]`, from `confusion_matrix`.

    Returns:
      The three scores, float64 `[...]` each.

    Raises:
      MetricError: a matrix has no pixels.

    Reference:
      Long, Shelhamer and Darrell, *Fully Convolutional Networks for Semantic Segmentation*, 2015,
      https://arxiv.org/abs/1411.4038, section 5; Isola, Zhu, Zhou and Efros, *Image-to-Image
      Translation with Conditional Adversarial Networks*, 2017, https://arxiv.org/abs/1611.07004,
      section 4.1.

    Example:
      >>> scores = segmentation_scores(np.array([[3, 1], [0, 4]]))
      >>> [float(score) for score in scores]
      [0.875, 0.875, 0.775]
    """
    n = np.asarray(confusion, np.float64)
    correct, true, predicted = np.einsum("...ii->...i", n), n.sum(axis=-1), n.sum(axis=-2)
    occurs = true > 0
    if not occurs.any(axis=-1).all():
        raise MetricError("the confusion matrix is zero, expected at least one pixel")
    mean = lambda ratio, over: (ratio * over).sum(axis=-1) / over.sum(axis=-1)
    union = true + predicted - correct
    return SegmentationScores(
        correct.sum(axis=-1) / true.sum(axis=-1),
        mean(correct / np.where(occurs, true, 1.0), occurs),
        mean(correct / np.where(union > 0, union, 1.0), union > 0),
    )
