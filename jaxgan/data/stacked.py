"""Stacked MNIST: images of three digits, a mode for each of the 1000 numbers."""

import numpy as np

from jaxgan.data.load import Dataset
from jaxgan.errors import DataError
from jaxgan.types import Examples


def stacked(digits: Dataset, *, num_train: int = 128_000, num_test: int = 26_000) -> Dataset:
    """Stacked MNIST: three random digits of a set, as the channels of one image.

    The label is the number of the three digits, the first of them in the hundreds. The digits of an
    image are sampled uniformly, with replacement, by a fixed seed.

    Args:
      digits: grey images of digits, with labels from 0 to 9, such as `load("mnist")`.
      num_train, num_test: number of images; 128 000 and 26 000 samples are those of the protocol.

    Returns:
      The set, with images of three channels and labels from 0 to 999.

    Raises:
      DataError: the images are not grey, or the labels are not those of ten classes.

    Reference:
      Metz et al., *Unrolled Generative Adversarial Networks*, 2017,
      https://arxiv.org/abs/1611.02163; Lin et al., *PacGAN*, 2018,
      https://arxiv.org/abs/1712.04086, section 4.2.

    Example:
      >>> from jaxgan.data.load import load
      >>> numbers = stacked(load("digits"), num_train=100, num_test=10)
      >>> numbers.image_shape, numbers.num_classes
      ((28, 28, 3), 1000)
    """
    if digits.image_shape[2] != 1 or digits.num_classes != 10:
        raise DataError(
            f"{digits.name} has images of {digits.image_shape[2]} channels and "
            f"{digits.num_classes} classes, expected 1 channel and the 10 digits"
        )
    return digits._replace(
        name=f"stacked_{digits.name}",
        source=f"{digits.source}, three digits an image",
        train=_stacked(digits.train, num_train, seed=0),
        test=_stacked(digits.test, num_test, seed=1),
        classes=tuple(f"{number:03}" for number in range(1000)),
        details={},
    )


def _stacked(examples: Examples, num: int, *, seed: int) -> Examples:
    rows = np.random.default_rng(seed).integers(0, len(examples["image"]), (num, 3))
    images = np.moveaxis(examples["image"][rows, :, :, 0], 1, -1)
    labels = examples["label"][rows] @ np.array([100, 10, 1])
    return {"image": np.ascontiguousarray(images), "label": labels.astype(np.int32)}
