"""Reader of MNIST, and of sets in its format, from the four original idx files.

LeCun, Cortes and Burges, *The MNIST database of handwritten digits*,
http://yann.lecun.com/exdb/mnist/ (CC BY-SA 3.0).
"""

import hashlib
from pathlib import Path

import numpy as np

from jaxgan.data.idx import read_idx
from jaxgan.errors import DataError
from jaxgan.types import Examples

PREFIXES = {"train": "train", "test": "t10k"}
NUM_EXAMPLES = {"train": 60_000, "test": 10_000}
SHA256 = {  # of MNIST's values without the header, so that compression does not matter
    "train-images": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "train-labels": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "t10k-images": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "t10k-labels": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}


def read_original(folder: Path, split: str, *, name: str = "mnist") -> Examples:
    """Reads one split of the original files, `{train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]`.

    Args:
      folder: folder with the files.
      split: `train` or `test`.
      name: `mnist` is verified by checksum; other sets in the format (`fashion_mnist`, `kmnist`)
        by shape, and not to be MNIST.

    Returns:
      `image` `uint8[n, 28, 28, 1]` and `label` `int32[n]`.

    Raises:
      DataError: a file is missing, damaged or differs from the original.

    Example:
      >>> read_original(Path("data/mnist"), "test")["image"].shape  # doctest: +SKIP
      (10000, 28, 28, 1)
    """
    prefix = PREFIXES[split]
    images = _find(folder, f"{prefix}-images-idx3-ubyte")
    labels = _find(folder, f"{prefix}-labels-idx1-ubyte")
    return read_pair(images, labels, split, name=name)


def read_pair(images: Path, labels: Path, split: str, *, name: str = "mnist") -> Examples:
    """Reads one split like `read_original`, from an image and a label file of any name."""
    n = NUM_EXAMPLES[split]
    image = read_idx(images, shape=(n, 28, 28))
    label = read_idx(labels, shape=(n,))
    for path, kind, values in ((images, "images", image), (labels, "labels", label)):
        _check(path, f"{PREFIXES[split]}-{kind}", values, name)
    return {"image": image[..., None], "label": label.astype(np.int32)}


def has_original(folder: Path) -> bool:
    """Whether the folder holds any file with an original name, damaged or not."""
    return any(folder.glob("*-idx[13]-ubyte*"))


def _find(folder: Path, stem: str) -> Path:
    for path in (folder / stem, folder / f"{stem}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{folder}: has neither {stem} nor {stem}.gz; download it there")


def _check(path: Path, part: str, values: np.ndarray, name: str) -> None:
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    if name == "mnist" and digest != SHA256[part]:
        raise DataError(
            f"{path}: its values have SHA-256 {digest[:16]}..., expected {SHA256[part][:16]}... "
            f"for MNIST's {part}; it is another set or damaged: download it again"
        )
    if name != "mnist" and digest == SHA256[part]:
        raise DataError(
            f"{path}: these are MNIST's {part} and not those of {name}, by their SHA-256; download "
            f"{name}, or load mnist"
        )
