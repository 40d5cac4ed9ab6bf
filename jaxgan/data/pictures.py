"""Image files in the user's folders: headers are checked up front, pixels are read lazily.

Layouts, for a split such as `train`:

    DIR/train/*.jpg                    pairs side by side, as pix2pix publishes them
    DIR/trainA/*.jpg DIR/trainB/*.jpg  two folders: pairs by equal names, or two unpaired sets
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxgan.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
MODES = {"L": 1, "RGB": 3}  # Pillow's modes and their number of channels


class Pictures(NamedTuple):
    """Lazily read set of image files.

    Attributes:
      names: name of each image, for error messages and for pairing.
      channels: number of channels of all images, 1 or 3.
      read: `i -> uint8[height, width, channels]`, reads and decodes image i.
      fingerprint: SHA-256 of the files.
    """

    names: tuple[str, ...]
    channels: int
    read: Callable[[int], np.ndarray]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.names)


def load_pairs(folder: str | Path, split: str, *, swap: bool = False) -> tuple[Pictures, Pictures]:
    """Opens paired images: images of A and B with equal index form a pair.

    Args:
      folder: folder with `<split>/` of pairs side by side, A on the left, or with `<split>A/` and
        `<split>B/` of equal names.
      split: `train`, `test`, ...
      swap: whether to return B and A instead.

    Returns:
      A and B.

    Raises:
      DataError: the folder has neither layout; the two folders have unequal numbers or names of
        files; an image with a pair side by side has an odd width; or as in `load_folder`.

    Example:
      >>> source, target = load_pairs("facades", "train", swap=True)  # doctest: +SKIP
    """
    folder = Path(folder).expanduser()
    if (folder / split).is_dir():
        a, b = _side_by_side(folder / split)
    elif (folder / f"{split}A").is_dir():
        a, b = load_sets(folder, split)
        _check_names(folder, split, a, b)
    else:
        raise DataError(
            f"{folder} has neither {split}/ with pairs side by side, nor {split}A/ and {split}B/ "
            "with pairs of equal names"
        )
    return (b, a) if swap else (a, b)


def load_sets(folder: str | Path, split: str, *, swap: bool = False) -> tuple[Pictures, Pictures]:
    """Opens two unpaired sets of images, `<split>A/` and `<split>B/`.

    If there is `<split>/` with pairs side by side instead, the halves of its images are the sets.

    Args:
      folder: folder with the folders of the split.
      split: `train`, `test`, ...
      swap: whether to return B and A instead.

    Returns:
      A and B.

    Raises:
      DataError: there are no such folders, or as in `load_folder`.

    Example:
      >>> x, y = load_sets("horse2zebra", "train")  # doctest: +SKIP
    """
    folder = Path(folder).expanduser()
    if (folder / split).is_dir() and not (folder / f"{split}A").is_dir():
        a, b = _side_by_side(folder / split)
    else:
        a, b = (load_folder(folder / f"{split}{letter}") for letter in "AB")
    return (b, a) if swap else (a, b)


def load_folder(folder: str | Path) -> Pictures:
    """Opens the image files of a folder, sorted by name.

    Args:
      folder: the folder; its subfolders are not searched.

    Returns:
      The images.

    Raises:
      DataError: the folder does not exist or holds no image file; a file cannot be read as an
        image; or the modes of the images differ, or are neither greyscale nor RGB.
    """
    files = _files(Path(folder).expanduser())
    return _pictures(files, _read)


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes an image with Pillow's bicubic filter.

    Args:
      picture: `uint8[height, width, channels]`.
      size: target `(height, width)`.

    Returns:
      `uint8[*size, channels]`.
    """
    if picture.shape[:2] == size:
        return picture
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    small = image.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(small).reshape(*size, picture.shape[2])


def _side_by_side(folder: Path) -> tuple[Pictures, Pictures]:
    files = _files(folder)
    for file in files:
        width = _header(file)[1][0]
        if width % 2:
            raise DataError(
                f"{file} is {width} pixels wide; pairs side by side have an even width, half of it "
                "for each image"
            )
    half = lambda i: lambda file: np.split(_read(file), 2, axis=1)[i]
    return _pictures(files, half(0)), _pictures(files, half(1))


def _pictures(files: list[Path], read: Callable[[Path], np.ndarray]) -> Pictures:
    modes = {file: _header(file)[0] for file in files}
    first = modes[files[0]]
    for file, mode in modes.items():
        if mode not in MODES:
            raise DataError(f"{file} has the mode {mode}, expected grey (L) or RGB; convert it")
        if mode != first:
            raise DataError(
                f"{file} has the mode {mode}, and {files[0].name} has {first}; "
                "convert the images to one of them"
            )
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    names = tuple(file.stem for file in files)
    return Pictures(names, MODES[first], lambda i: read(files[i]), digest.hexdigest())


def _check_names(folder: Path, split: str, a: Pictures, b: Pictures) -> None:
    if len(a) != len(b):
        raise DataError(
            f"{folder} has {len(a)} images in {split}A and {len(b)} in {split}B; pairs need equal "
            f"numbers, and {_first_unpaired(a.names, b.names)} has no partner"
        )
    for name_a, name_b in zip(a.names, b.names, strict=True):
        if name_a != name_b:
            raise DataError(
                f"{folder}: {split}A has {name_a} where {split}B has {name_b}; pairs need equal "
                "names"
            )


def _first_unpaired(a: Iterable[str], b: Iterable[str]) -> str:
    return min(set(a) ^ set(b), default="one of them")


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"the folder {folder} does not exist; create it, or pass another")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{folder} holds no image files, expected {', '.join(sorted(SUFFIXES))}")
    return files


def _header(file: Path) -> tuple[str, tuple[int, int]]:
    """Mode and (width, height) of an image file, without decoding it."""
    try:
        with Image.open(file) as image:
            return image.mode, image.size
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{file} cannot be read as an image: {error}") from None


def _read(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            pixels = np.asarray(image)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{file} cannot be read as an image: {error}") from None
    return pixels[..., None] if pixels.ndim == 2 else pixels
