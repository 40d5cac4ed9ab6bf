"""Image files in the user's folders: all are checked up front, and decoded when they are read.

Layouts, for a split such as `train`:

    DIR/train/*.jpg                    pairs side by side, as pix2pix publishes them
    DIR/trainA/*.jpg DIR/trainB/*.jpg  two folders: pairs by equal names, or two unpaired sets
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxgan.data import cache
from jaxgan.data.decode import DEFAULTS, FILTER, ImageOptions, Side, decode
from jaxgan.data.rows import (
    Row,
    checked,
    common_channels,
    damaged_files,
    files_in,
    fingerprint,
    listed,
    readable,
    scanned,
)
from jaxgan.data.splits import folder_of_test_images, part, place
from jaxgan.errors import DataError, ImageError


class ImageFiles(NamedTuple):
    """Set of images that are decoded when they are read.

    Attributes:
      names: name of each image, for error messages and for pairing: its path in the folder without
        the extension.
      channels: number of channels of all images, 1 or 3.
      read: `i -> uint8[height, width, channels]`, reads and decodes image i.
      fingerprint: SHA-256 of the contents of the files and the options.
      conversions: number of images by conversion, such as `{"rotated by EXIF": 3}`.
      left_out: names of the files that cannot be read.
      files: the files; empty for images from other sources.
      sizes: `(height, width)` of the images; empty for images from other sources.

    Example:
      >>> grey = ImageFiles(("a", "b"), 1, lambda i: np.full((4, 6, 1), 10 * i, np.uint8), "none")
      >>> len(grey), grey.read(1).shape, grey.read(1).max().item()
      (2, (4, 6, 1), 10)
    """

    names: tuple[str, ...]
    channels: int
    read: Callable[[int], np.ndarray]
    fingerprint: str
    conversions: Mapping[str, int] = MappingProxyType({})
    left_out: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.names)


def load_pairs(
    folder: str | Path,
    split: str,
    *,
    swap: bool = False,
    options: ImageOptions = DEFAULTS,
) -> tuple[ImageFiles, ImageFiles]:
    """Opens paired images: images of A and B with equal index form a pair.

    Args:
      folder: folder with `<split>/` of pairs side by side, A on the left, or with `<split>A/` and
        `<split>B/` of equal names. The split `test` may be in folders `val`. Without both, it is
        a share of the training images, held out by the content of A's file, or of the file with
        both.
      split: `train`, `test`, ...
      swap: whether to return B and A instead.
      options: how files become arrays. A pair of which one file is left out is left out.

    Returns:
      A and B.

    Raises:
      DataError: the folder has neither layout; the two folders have unequal numbers or names of
        files; an image with a pair side by side has an odd width; or as in `load_folder`.

    Example:
      >>> source, target = load_pairs("facades", "train", swap=True)  # doctest: +SKIP
    """
    folder = Path(folder).expanduser()
    if (pairs := _place_of_pairs(folder, split)) is not None:
        a, b = _side_by_side(folder, pairs, options)
    elif (place_a := place(folder, split, "A")) and (place_b := place(folder, split, "B")):
        _check_test_folders(folder)
        rows_a, rows_b = listed(place_a[0]), listed(place_b[0])
        _check_names(place_a[0], place_b[0], rows_a, rows_b)
        rows = [Row(a.name, a.files + b.files) for a, b in zip(rows_a, rows_b, strict=True)]
        rows, left_out = _with_headers(rows, options)
        a, b = _opened(part(rows, place_a[1], folder, options), folder, options, left_out)
    else:
        raise DataError(
            f"{folder} has neither {split}/ with pairs side by side, nor {split}A/ and {split}B/ "
            "with pairs of equal names"
        )
    return (b, a) if swap else (a, b)


def load_sets(
    folder: str | Path,
    split: str,
    *,
    swap: bool = False,
    options: ImageOptions = DEFAULTS,
) -> tuple[ImageFiles, ImageFiles]:
    """Opens two unpaired sets of images, `<split>A/` and `<split>B/`.

    If there is `<split>/` with pairs side by side instead, the halves of its images are the sets.

    Args:
      folder: folder with the folders of the split. The split `test` may be in folders `val`.
        Without both, it is a share of the training images, held out by their content.
      split: `train`, `test`, ...
      swap: whether to return B and A instead.
      options: how files become arrays.

    Returns:
      A and B.

    Raises:
      DataError: there are no such folders, or as in `load_folder`.

    Example:
      >>> x, y = load_sets("horse2zebra", "train")  # doctest: +SKIP
    """
    folder = Path(folder).expanduser()
    pairs = _place_of_pairs(folder, split)
    if not any(place(folder, split, letter) for letter in ("", "A", "B")):
        raise DataError(
            f"{folder} has neither {split}A/ and {split}B/, nor {split}/ with pairs side by side; "
            "see docs/image_files.md"
        )
    if pairs is not None:
        a, b = _side_by_side(folder, pairs, options)
    else:
        a, b = (_one_set(folder, split, letter, options) for letter in "AB")
    return (b, a) if swap else (a, b)


def load_folder(folder: str | Path, options: ImageOptions = DEFAULTS) -> ImageFiles:
    """Opens the image files of a folder and its subfolders, sorted by name, or a single file.

    Hidden files and `__MACOSX` are skipped, and symbolic links followed.

    Args:
      folder: the folder, or a file.
      options: how files become arrays.

    Returns:
      The images.

    Raises:
      DataError: the folder does not exist or holds no image file.
      ImageError: a file cannot be read as an image, and `options.skip_bad` is not set.

    Example:
      >>> photographs = load_folder("photographs")  # doctest: +SKIP
      >>> photographs.names[0], photographs.read(0).shape  # doctest: +SKIP
      ('2026/beach', (600, 800, 3))
    """
    folder = Path(folder).expanduser()
    rows, left_out = _with_headers(listed(folder), options)
    return _opened(rows, folder, options, left_out)[0]


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes an image with Pillow's bicubic filter, which is antialiased.

    Args:
      image: `uint8[height, width, channels]`.
      size: target `(height, width)`.

    Returns:
      `uint8[*size, channels]`.
    """
    if image.shape[:2] == size:
        return image
    pillow = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    return np.asarray(pillow.resize(size[::-1], FILTER)).reshape(*size, image.shape[2])


def conversions_in_words(conversions: Mapping[str, int]) -> str:
    """`3 rotated by EXIF, 1 from a palette`; `nothing` if nothing was converted.

    Args:
      conversions: number of images by conversion, as in `ImageFiles.conversions`.

    Returns:
      The words.

    Example:
      >>> conversions_in_words({"rotated by EXIF": 3, "from a palette": 1})
      '3 rotated by EXIF, 1 from a palette'
    """
    return ", ".join(f"{count} {what}" for what, count in conversions.items()) or "nothing"


# ---- rows


def _with_headers(rows: Sequence[Row], options: ImageOptions) -> tuple[list[Row], list[ImageError]]:
    return readable(scanned(rows, options), options)


def _opened(
    rows: Sequence[Row],
    folder: Path,
    options: ImageOptions,
    left_out: Sequence[ImageError],
    *,
    sides: tuple[Side, ...] = (),
) -> list[ImageFiles]:
    """Decodes all images once, to find damaged files and count conversions; a set per column.

    With `sides`, the sets are these halves of the first column's images.
    """
    columns = list(zip(*(row.headers for row in rows), strict=True))
    channels = [common_channels(headers, options) for headers in columns]
    headers = [header for row in rows for header in row.headers]
    key = cache.key_of(fingerprint(headers, options, channels, sides))
    facts = cache.read_facts(key)
    if facts is None:
        facts = checked(rows, options, channels, pairs=bool(sides))
        cache.write_facts(key, facts)
    damaged = damaged_files(rows, facts, options)
    kept = [row for i, row in enumerate(rows) if i not in damaged]
    bad = [error.file for error in (*left_out, *damaged.values())]
    names = tuple(
        file.name if file == folder else file.relative_to(folder).as_posix() for file in bad
    )
    sets = [(0, side) for side in sides] if sides else [(i, None) for i in range(len(columns))]
    return [
        _image_files(kept, column, side, channels[column], options, facts["conversions"], names)
        for column, side in sets
    ]


def _image_files(
    rows: Sequence[Row],
    column: int,
    side: Side | None,
    channels: int,
    options: ImageOptions,
    conversions: Sequence[Mapping[str, int]],
    left_out: tuple[str, ...],
) -> ImageFiles:
    files = tuple(row.files[column] for row in rows)
    sizes = tuple(_size(row.headers[column].size, side, options) for row in rows)
    return ImageFiles(
        tuple(row.name for row in rows),
        channels,
        lambda i: decode(files[i], options, channels=channels, side=side).pixels,
        fingerprint([row.headers[column] for row in rows], options, channels, side),
        conversions[column],
        left_out,
        files,
        sizes,
    )


def _size(size: tuple[int, int], side: Side | None, options: ImageOptions) -> tuple[int, int]:
    """Size of an image, or of its half, as it is decoded."""
    if options.size is not None:
        return options.size
    return size if side is None else (size[0], size[1] // 2)


# ---- pairs and sets


def _one_set(folder: Path, split: str, letter: str, options: ImageOptions) -> ImageFiles:
    at, which = place(folder, split, letter) or (folder / f"{split}{letter}", None)
    rows, left_out = _with_headers(listed(at), options)
    return _opened(part(rows, which, at, options), folder, options, left_out)[0]


def _side_by_side(
    folder: Path, pairs: tuple[Path, bool | None], options: ImageOptions
) -> list[ImageFiles]:
    at, which = pairs
    rows, left_out = _with_headers(listed(at), options)
    rows = part(rows, which, at, options)
    return _opened(rows, folder, options, left_out, sides=("left", "right"))


def _place_of_pairs(folder: Path, split: str) -> tuple[Path, bool | None] | None:
    """Place of a split of pairs side by side; `None` if the training images have another layout.

    Raises:
      DataError: the folder does not exist, or has training images in both layouts.
    """
    if not folder.is_dir():
        raise DataError(f"the folder {folder} does not exist; check its path")
    has = lambda name: (folder / name).is_dir() and any(files_in(folder / name))
    one, two = has("train"), has("trainA") or has("trainB")
    if one and two:
        raise DataError(
            f"{folder} has train/ with pairs side by side and trainA/ or trainB/, expected one "
            "layout; move one of them away"
        )
    return None if two else place(folder, split)


def _check_test_folders(folder: Path) -> None:
    """Raises a `DataError` if there are test images of A alone, or of B alone."""
    a, b = (folder_of_test_images(folder, letter) for letter in "AB")
    names = {path.name[:-1] for path in (a, b) if path is not None}
    if len(names) == 2 or (a is None) != (b is None):
        there, other = (a, "B") if a is not None else (b, "A")
        assert there is not None
        raise DataError(
            f"{folder} has {there.name}/ and no {there.name[:-1]}{other}/, expected both or none; "
            "without test images, some of the training images are held out"
        )


def _check_names(at_a: Path, at_b: Path, a: Sequence[Row], b: Sequence[Row]) -> None:
    names_a, names_b = [row.name for row in a], [row.name for row in b]
    if len(a) != len(b):
        lonely = min(set(names_a) ^ set(names_b), default="one of them")
        raise DataError(
            f"{at_a.parent} has {len(a)} images in {at_a.name} and {len(b)} in {at_b.name}; pairs "
            f"need equal numbers, and {lonely} has no partner"
        )
    for name_a, name_b in zip(names_a, names_b, strict=True):
        if name_a != name_b:
            raise DataError(
                f"{at_a.parent}: {at_a.name} has {name_a} where {at_b.name} has {name_b}; pairs "
                "need equal names"
            )
