"""The door to image sets: a name in, arrays out, and where they came from."""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgan.data import mnist
from jaxgan.data.digits import read_digits
from jaxgan.data.pictures import Pictures, load_folder
from jaxgan.errors import DataError
from jaxgan.types import Examples

SetsAB = tuple[Pictures, Pictures]
ORIGINALS = ("mnist", "fashion_mnist", "kmnist")  # published as idx files


class Dataset(NamedTuple):
    """An image set in memory.

    Attributes:
      name: of the set that was found, which `auto` leaves open.
      source: where it came from, for people.
      stands_in: whether it was taken in place of a set that could not be had.
      train, test: `image` `uint8[n, height, width, channel]`, and perhaps `label` `int32[n]`.
    """

    name: str
    source: str
    train: Examples
    test: Examples
    stands_in: bool = False

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        return self.train["image"].shape[1:]

    @property
    def num_classes(self) -> int | None:
        """Number of labels, or `None` when there are none."""
        return int(self.train["label"].max()) + 1 if "label" in self.train else None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the training examples: what a run's record says it was trained on."""
        digest = hashlib.sha256()
        for name, array in sorted(self.train.items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def record(self) -> dict[str, Any]:
        """What a run writes down of its data."""
        return {
            "name": self.name,
            "source": self.source,
            "stands_in": self.stands_in,
            "num_train": len(self.train["image"]),
            "image_shape": list(self.image_shape),
            "fingerprint": self.fingerprint,
        }


def load(name: str = "auto", *, data_dir: str | Path | None = None) -> Dataset:
    """Finds an image set: in files of yours, prepared by TFDS, by download, or bundled.

    In this order:

    1. original idx files (MNIST, Fashion-MNIST, KMNIST) in `data_dir` or its folder `name`;
    2. the set prepared by TFDS in `data_dir`, or else `$TFDS_DATA_DIR`, `~/tensorflow_datasets`;
    3. a download into the same place, if its host answers within seconds;
    4. for `auto` alone: scikit-learn's bundled digits in place of MNIST.

    Args:
      name: `auto` (MNIST if it can be had, else the digits), `mnist`, `digits` (scikit-learn's),
        any TFDS image set whose images have one size, such as `cifar10`, or `folder`: pictures of
        yours, of one size, in `data_dir/train` and `data_dir/test`.
      data_dir: where to look first; `$JAXGAN_DATA_DIR` when left out.

    Returns:
      The set, its `source` saying where it was found.

    Raises:
      DataError: the set cannot be had, with the ways to get it; or a file of it is damaged, which
        no other source makes up for.

    Example:
      >>> digits = load("digits")
      >>> digits.train["image"].shape
      (1500, 28, 28, 1)
    """
    if name == "digits":
        return _digits()
    wanted = "mnist" if name == "auto" else name
    given = data_dir or os.environ.get("JAXGAN_DATA_DIR")
    folder = Path(given).expanduser() if given else None
    if folder is not None and not folder.is_dir():
        raise DataError(f"the data directory {folder} does not exist")
    if name == "folder":
        return _folder(folder)
    if folder is not None and wanted in ORIGINALS:
        for place in (folder / wanted, folder):
            if mnist.has_original(place):
                return _originals(wanted, place)
    try:
        return _from_tfds(wanted, folder)
    except DataError as error:
        if name == "auto":
            return _digits(f"IN PLACE OF MNIST, which was not found: {error}")
        if wanted not in ORIGINALS:
            raise
        raise DataError(
            f"{wanted} was not found: {error}; put its four *-ubyte.gz files into DIR/{wanted} and "
            "pass --data-dir DIR, or point --data-dir to a folder where TFDS has prepared it"
        ) from None


def load_tfds_sets(name: str, split: str, *, data_dir: str | Path | None = None) -> SetsAB:
    """Two sets of pictures without pairs of a TFDS set such as `cycle_gan/horse2zebra`.

    Args:
      name: of the set, whose splits are `trainA`, `trainB`, `testA` and `testB`.
      split: `train` or `test`.
      data_dir: where it is prepared, or is to be.

    Returns:
      A and B.

    Raises:
      DataError: the set cannot be had, or has no such splits.

    Example:
      >>> x, y = load_tfds_sets("cycle_gan/horse2zebra", "train")  # doctest: +SKIP
    """
    from jaxgan.data import tfds

    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    builder = tfds.builder(name, Path(data_dir or default).expanduser())
    if not builder.is_prepared():
        tfds.prepare(builder)
    return tfds.pictures(builder, f"{split}A"), tfds.pictures(builder, f"{split}B")


def _folder(folder: Path | None) -> Dataset:
    if folder is None:
        raise DataError("there are no pictures; give --data-dir, with train/ and test/ in it")
    train, test = ({"image": _of_one_size(folder / split)} for split in ("train", "test"))
    if train["image"].shape[1:] != test["image"].shape[1:]:
        raise DataError(
            f"the pictures in {folder}/train have the shape {train['image'].shape[1:]} and those "
            f"in test {test['image'].shape[1:]}; resize or convert them to one"
        )
    return Dataset(folder.name, f"pictures in {folder}", train, test)


def _of_one_size(folder: Path) -> np.ndarray:
    pictures = load_folder(folder)
    found = [pictures.read(i) for i in range(len(pictures))]
    for name, picture in zip(pictures.names, found, strict=True):
        if picture.shape != found[0].shape:
            raise DataError(
                f"{folder}: {name} has {picture.shape[0]} x {picture.shape[1]} pixels and "
                f"{pictures.names[0]} has {found[0].shape[0]} x {found[0].shape[1]}; resize them "
                "to one size"
            )
    return np.stack(found)


def _digits(why: str = "") -> Dataset:
    source = "scikit-learn's bundled digits, 8x8 scaled up to 28x28"
    splits = read_digits()
    return Dataset(
        name="digits",
        source=f"{source}, {why}" if why else source,
        train=splits["train"],
        test=splits["test"],
        stands_in=bool(why),
    )


def _originals(name: str, folder: Path) -> Dataset:
    train, test = (mnist.read_original(folder, split, name=name) for split in ("train", "test"))
    return Dataset(name, f"original files in {folder}", train, test)


def _from_tfds(name: str, folder: Path | None) -> Dataset:
    from jaxgan.data import tfds  # only when it is needed: start-up is short without

    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    places = [place for place in (folder, Path(default).expanduser()) if place is not None]
    for place in places:
        if _prepared_folder(name, place) and (builder := tfds.builder(name, place)).is_prepared():
            break
    else:
        builder = tfds.builder(name, places[0])
        tfds.prepare(builder)
    train, test = (tfds.read(builder, split) for split in ("train", "test"))
    return Dataset(name, f"TFDS {builder.info.full_name} in {builder.data_dir}", train, test)


def _prepared_folder(name: str, place: Path) -> bool:
    """Whether anything by that name was prepared; asking a builder of nothing logs warnings."""
    names = ("mnist", "idx_mnist") if name == "mnist" else (name.split("/")[0],)
    return any((place / folder).is_dir() for folder in names)
