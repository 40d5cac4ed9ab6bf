"""Handwritten digits bundled with scikit-learn, available without a download.

1797 images of 8 x 8 pixels and 17 grey levels, a test set of Alpaydin and Kaynak, *Optical
Recognition of Handwritten Digits*, UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49.
"""

import numpy as np
from PIL import Image

from jaxgan.types import Examples

NUM_TRAIN = 1500


def read_digits() -> dict[str, Examples]:
    """Reads the digits in MNIST's layout: scaled to 20 x 20 pixels, centred in 28 x 28.

    Returns:
      `{"train": ..., "test": ...}` with `image` `uint8[n, 28, 28, 1]` and `label` `int32[n]`: the
      first 1500 examples and the remaining 297.
    """
    from sklearn.datasets import load_digits  # importing scikit-learn takes seconds

    digits = load_digits()
    images = np.stack([_enlarged(image) for image in digits.images])[..., None]
    labels = digits.target.astype(np.int32)
    return {
        "train": {"image": images[:NUM_TRAIN], "label": labels[:NUM_TRAIN]},
        "test": {"image": images[NUM_TRAIN:], "label": labels[NUM_TRAIN:]},
    }


def _enlarged(image: np.ndarray) -> np.ndarray:
    small = Image.fromarray(np.round(image * (255 / 16)).astype(np.uint8))
    return np.pad(np.asarray(small.resize((20, 20), Image.Resampling.BICUBIC)), 4)
