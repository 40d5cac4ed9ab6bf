"""Pictures in people's own folders, read when they are wanted and checked before.

Layouts, for a split such as `train`:

    DIR/train/*.jpg                    pairs side by side, as pix2pix publishes them
    DIR/trainA/*.jpg DIR/trainB/*.jpg  two folders: pairs by equal names, or two sets without pairs
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxgan.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
MODES = {"L": 1, "RGB": 3}  # Pillow's names, and their channels


class Pictures(NamedTuple):
    """Pictures on the disk.

    Attributes:
      names: what each is called, for people and for pairing.
      channels: of all of them, 1 or 3.
      read: `i -> uint8[height, width, channels]`.
      fingerprint: SHA-256 of the files.
    """

    names: tuple[str, ...]
    channels: int
    read: Callable[[int], np.ndarray]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.names)


def load_pairs(folder: str | Path, split: str, *, swap: bool = False) -> tuple[Pictures, Pictures]:
    """Pictures A and B, of which those of equal number belong together.

    Args:
      folder: holds `<split>/` with pairs side by side, A on the left, or `<split>A/` and
        `<split>B/` with equal names.
      split: `train`, `test`, ...
      swap: give B and A.

    Returns:
      A and B.

    Raises:
      DataError: there is neither layout; the two folders have unequal numbers or names; a picture
        side by side has an odd width; the two of a pair have unequal sizes; or as `load_folder`.

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
    """Two sets of pictures, without pairs, from `<split>A/` and `<split>B/`.

    Where there is `<split>/` with pairs side by side instead, its halves are the sets.

    Raises:
      DataError: there are no such folders, or as `load_folder`.

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
    """The pictures in a folder, in the order of their names.

    Raises:
      DataError: the folder does not exist or holds no picture; a file cannot be read as a picture;
        or they differ in their channels, or have other than grey or RGB.
    """
    files = _files(Path(folder).expanduser())
    return _pictures(files, _read)


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture in bytes `[height, width, channels]`, to `(height, width)`, by Pillow's bicubic."""
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
                "for either picture"
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
                "convert the pictures to one of them"
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
            f"{folder} has {len(a)} pictures in {split}A and {len(b)} in {split}B; pairs need as "
            f"many of either, and {_first_odd(a.names, b.names)} has no partner"
        )
    for one, other in zip(a.names, b.names, strict=True):
        if one != other:
            raise DataError(
                f"{folder}: {split}A has {one} where {split}B has {other}; pairs have equal names"
            )


def _first_odd(a: Iterable[str], b: Iterable[str]) -> str:
    return min(set(a) ^ set(b), default="one of them")


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"the folder {folder} does not exist")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{folder} holds no picture ({', '.join(sorted(SUFFIXES))})")
    return files


def _header(file: Path) -> tuple[str, tuple[int, int]]:
    """Mode and (width, height), without decoding."""
    try:
        with Image.open(file) as image:
            return image.mode, image.size
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{file} cannot be read as a picture: {error}") from None


def _read(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            pixels = np.asarray(image)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{file} cannot be read as a picture: {error}") from None
    return pixels[..., None] if pixels.ndim == 2 else pixels
