"""Loading of image sets by name, as arrays with a record of their source."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import PIL

from jaxgan.data import image_folder, mnist
from jaxgan.data.decode import DEFAULTS, ImageOptions
from jaxgan.data.digits import read_digits
from jaxgan.data.image_files import ImageFiles, conversions_in_words
from jaxgan.data.rows import files_in
from jaxgan.errors import DataError, ImageError
from jaxgan.types import Examples

SetsAB = tuple[ImageFiles, ImageFiles]
ORIGINALS = ("mnist", "fashion_mnist", "kmnist")  # published as idx files


class Dataset(NamedTuple):
    """Image set in memory.

    Attributes:
      name: name of the set, also if it was loaded as `auto`.
      source: human-readable description of where the set was loaded from.
      stands_in: whether it is the fallback for a set that is not available.
      train, test: `image` `uint8[n, height, width, channels]`, and optionally `label` `int32[n]`.
      classes: names of the classes by label, of folders and of TFDS sets; otherwise empty.
      details: more entries of the record, of image files.
      recorded: the record of the set of which this one has only the shapes (`blank`).

    Example:
      >>> images = {"image": np.zeros((6, 8, 8, 1), np.uint8), "label": np.arange(6) % 3}
      >>> dataset = Dataset("three classes", "made here", train=images, test=images)
      >>> dataset.image_shape, dataset.num_classes
      ((8, 8, 1), 3)
    """

    name: str
    source: str
    train: Examples
    test: Examples
    stands_in: bool = False
    classes: tuple[str, ...] = ()
    details: Mapping[str, Any] = MappingProxyType({})
    recorded: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        sizes = f"{len(self.train['image'])} + {len(self.test['image'])} images"
        return f"Dataset({self.name!r}, {sizes} of shape {self.image_shape}, {self.source!r})"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        return self.train["image"].shape[1:]

    @property
    def num_classes(self) -> int | None:
        """Number of classes, or `None` if there are no labels."""
        if self.classes:
            return len(self.classes)
        return int(self.train["label"].max()) + 1 if "label" in self.train else None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the training examples, for the record of a run; of image files, of these."""
        return self.details.get("fingerprint") or _sha256(self.train)

    @property
    def record(self) -> dict[str, Any]:
        """Description of the data for the record of a run, from which `blank` has the shapes."""
        if self.recorded is not None:
            return dict(self.recorded)
        return {
            "name": self.name,
            "source": self.source,
            "stands_in": self.stands_in,
            "num_train": len(self.train["image"]),
            "num_test": len(self.test["image"]),
            "image_shape": list(self.image_shape),
            "num_classes": self.num_classes,
            "fingerprint": self.fingerprint,
            "test_fingerprint": self.details.get("test_fingerprint") or _sha256(self.test),
            **self.details,
        }


def load(
    name: str = "auto",
    *,
    data_dir: str | Path | None = None,
    image_options: ImageOptions = DEFAULTS,
) -> Dataset:
    """Loads an image set from local files, a TFDS folder, a download, or scikit-learn.

    Sources are tried in this order:

    1. original idx files (MNIST, Fashion-MNIST, KMNIST) in `data_dir` or its subfolder `name`;
    2. the set prepared by TFDS in `data_dir`, or else in `$TFDS_DATA_DIR` or
       `~/tensorflow_datasets`;
    3. a download into the same folder, if its host responds within seconds;
    4. for `auto` only: scikit-learn's bundled digits in place of MNIST.

    Args:
      name: `auto` (MNIST if available, else the digits), `mnist`, `digits` (scikit-learn's), any
        TFDS image set whose images have one size, such as `cifar10`, or `folder`: the user's image
        files in `data_dir`, in the layouts of `jaxgan.data.image_folder`.
      data_dir: folder that is searched first; `$JAXGAN_DATA_DIR` if `None`.
      image_options: how image files become arrays, for `folder`.

    Returns:
      The set; its `source` describes where it was loaded from.

    Raises:
      DataError: the set is not available (the message says how to get it), or one of its files is
        damaged; a damaged file is an error even if another source has the set. Or `data_dir` holds
        image files and the name is `auto`, or `image_options` is given for another set than
        `folder`.

    Example:
      >>> digits = load("digits")
      >>> digits.train["image"].shape
      (1500, 28, 28, 1)
    """
    if name != "folder" and image_options != DEFAULTS:
        raise DataError(
            f"--size, --resize and the other flags of image files are for --data folder, and "
            f"--data is {name}; give --data folder, or leave them out"
        )
    if name == "digits":
        return _digits()
    set_name = "mnist" if name == "auto" else name
    searched = data_dir or os.environ.get("JAXGAN_DATA_DIR")
    folder = Path(searched).expanduser() if searched else None
    if folder is not None and not folder.is_dir():
        raise DataError(f"the data directory {folder} does not exist; create it, or pass another")
    if name == "folder":
        return _folder(folder, image_options)
    if folder is not None and set_name in ORIGINALS:
        for root in (folder / set_name, folder):
            if mnist.has_original(root):
                return _originals(set_name, root)
    if name == "auto" and data_dir and folder and not _prepared_folder("mnist", folder):
        _check_holds_no_images(folder)
    try:
        return _from_tfds(set_name, folder)
    except DataError as error:
        if name == "auto":
            return _digits(f"in place of MNIST, which was not found: {error}")
        if set_name not in ORIGINALS:
            raise
        raise DataError(
            f"{set_name} was not found: {error}; put its four *-ubyte.gz files into DIR/{set_name} "
            "and pass --data-dir DIR, or point --data-dir to a folder where TFDS has prepared it"
        ) from None


def blank(record: Mapping[str, Any]) -> Dataset:
    """Set of black images with the recorded shapes, in place of one whose files are not needed.

    It takes no memory, and its labels have all classes. Networks built for it are those of the set.

    Args:
      record: `Dataset.record` of the set.

    Returns:
      The set, whose `record` is the given one.

    Raises:
      DataError: the record lacks what is needed, since an earlier version of jaxgan wrote it.

    Example:
      >>> blank(load("digits").record).image_shape
      (28, 28, 1)
    """
    try:
        shape, classes = record["image_shape"], record["num_classes"]
        sizes = record["num_train"], record["num_test"]
    except KeyError as error:
        raise DataError(
            f"the run's record of its data has no {error}: an earlier version of jaxgan wrote it; "
            "use that version"
        ) from None

    def examples(n: int) -> Examples:
        images = {"image": np.broadcast_to(np.uint8(0), (n, *shape))}
        return images | ({} if classes is None else {"label": np.arange(n, dtype="i4") % classes})

    train, test = map(examples, sizes)
    names = tuple(record.get("classes") or ())
    return Dataset(record["name"], record["source"], train, test, classes=names, recorded=record)


def load_tfds_sets(name: str, split: str, *, data_dir: str | Path | None = None) -> SetsAB:
    """Loads the two unpaired domains of a TFDS set such as `cycle_gan/horse2zebra`.

    Args:
      name: name of the set, whose splits are `trainA`, `trainB`, `testA` and `testB`.
      split: `train` or `test`.
      data_dir: TFDS folder in which the set is prepared if it is not yet; `$TFDS_DATA_DIR` or
        `~/tensorflow_datasets` if `None`.

    Returns:
      The domains A and B.

    Raises:
      DataError: the set is not available, or has no such splits.

    Example:
      >>> x, y = load_tfds_sets("cycle_gan/horse2zebra", "train")  # doctest: +SKIP
    """
    from jaxgan.data import tfds

    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    builder = tfds.builder(name, Path(data_dir or default).expanduser())
    if not builder.is_prepared():
        tfds.prepare(builder)
    return tfds.image_files(builder, f"{split}A"), tfds.image_files(builder, f"{split}B")


def _folder(folder: Path | None, options: ImageOptions) -> Dataset:
    if folder is None:
        raise DataError("the data set folder needs images; give --data-dir, a folder of images")
    try:
        found = image_folder.load_images(folder, options)
    except ImageError as error:
        raise error.with_flag() from None
    train, test = (
        {"image": part.images} | ({} if part.labels is None else {"label": part.labels})
        for part in (found.train, found.test)
    )
    details = {
        "fingerprint": found.train.fingerprint,
        "test_fingerprint": found.test.fingerprint,
        "classes": list(found.classes),
        "held_out": found.held_out,
        "resize": options.resize,
        "background": options.background,
        "conversions": dict(Counter(found.train.conversions) + Counter(found.test.conversions)),
        "left_out": [*found.train.left_out, *found.test.left_out],
        "pillow": PIL.__version__,
    }
    source = _in_words(folder, found, details)
    name = f"folder {folder.resolve().name}"
    return Dataset(name, source, train, test, classes=found.classes, details=details)


def _in_words(folder: Path, found: image_folder.ImageFolder, details: Mapping[str, Any]) -> str:
    """What was found, converted and left out, in a line."""
    num_train, num_test = len(found.train.images), len(found.test.images)
    words = f"{num_train} + {num_test} images in {folder}"
    if found.held_out is not None:
        words += f", of which {num_test} are held out by their content"
    if found.classes:
        shown = ", ".join(found.classes[:5]) + (", ..." if len(found.classes) > 5 else "")
        words += f"; {len(found.classes)} classes: {shown}"
    if details["conversions"]:
        words += f"; converted: {conversions_in_words(details['conversions'])}"
    if details["left_out"]:
        words += f"; left out: {len(details['left_out'])} that cannot be read"
    return words


def _check_holds_no_images(folder: Path) -> None:
    """Refuses a folder of image files where it would be searched for MNIST and not found."""
    if (file := next(files_in(folder), None)) is not None:
        raise DataError(
            f"{folder} holds images ({file.relative_to(folder)}) and not MNIST; to train on them, "
            "give --data folder"
        )


def _sha256(examples: Examples) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(examples.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


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
    from jaxgan.data import tfds  # imported lazily, for a short start-up

    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    roots = [root for root in (folder, Path(default).expanduser()) if root is not None]
    for root in roots:
        if _prepared_folder(name, root) and (builder := tfds.builder(name, root)).is_prepared():
            break
    else:
        builder = tfds.builder(name, roots[0])
        tfds.prepare(builder)
    train, test = (tfds.read(builder, split) for split in ("train", "test"))
    source = f"TFDS {builder.info.full_name} in {builder.data_dir}"
    classes = tfds.class_names(builder)
    details = {"classes": list(classes)} if classes else {}
    return Dataset(name, source, train, test, classes=classes, details=details)


def _prepared_folder(name: str, root: Path) -> bool:
    """Whether a set of that name may be prepared; a builder of a missing set logs warnings."""
    names = ("mnist", "idx_mnist") if name == "mnist" else (name.split("/")[0],)
    return any((root / folder).is_dir() for folder in names)
