"""Image files in the user's folders: all are checked up front, and decoded when they are read.

Layouts, for a split such as `train`:

    DIR/train/*.jpg                    pairs side by side, as pix2pix publishes them
    DIR/trainA/*.jpg DIR/trainB/*.jpg  two folders: pairs by equal names, or two unpaired sets

Where there are no test images, a share of the training images is held out: a file is in it or not
by the hash of its content, so that adding files moves none.
"""

import collections
import hashlib
import json
import math
import os
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from jaxgan.data import cache
from jaxgan.data.decode import (
    DEFAULTS,
    FILTER,
    SUFFIXES,
    Header,
    PictureOptions,
    Side,
    decode,
    read_header,
)
from jaxgan.errors import DataError, PictureError

THREADS = min(8, os.cpu_count() or 1)
NOT_THE_USERS = "__MACOSX"  # a folder of previews in archives that macOS makes

T = TypeVar("T")
Item = TypeVar("Item")


class Pictures(NamedTuple):
    """Set of images that are decoded when they are read.

    Attributes:
      names: name of each image, for error messages and for pairing: its path in the folder without
        the ending.
      channels: number of channels of all images, 1 or 3.
      read: `i -> uint8[height, width, channels]`, reads and decodes image i.
      fingerprint: SHA-256 of the contents of the files and the options.
      conversions: number of images by conversion, such as `{"rotated by EXIF": 3}`.
      left_out: names of the files that cannot be read.
      files: the files; empty for images from other sources.
    """

    names: tuple[str, ...]
    channels: int
    read: Callable[[int], np.ndarray]
    fingerprint: str
    conversions: Mapping[str, int] = MappingProxyType({})
    left_out: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.names)


class Row(NamedTuple):
    """An example: one file, or the two files of a pair.

    Attributes:
      name: path in the folder without the ending, in Unicode's form NFC.
      files: its files.
      headers: their headers, once they are read.
    """

    name: str
    files: tuple[Path, ...]
    headers: tuple[Header, ...] = ()


def load_pairs(
    folder: str | Path,
    split: str,
    *,
    swap: bool = False,
    options: PictureOptions = DEFAULTS,
) -> tuple[Pictures, Pictures]:
    """Opens paired images: images of A and B with equal index form a pair.

    Args:
      folder: folder with `<split>/` of pairs side by side, A on the left, or with `<split>A/` and
        `<split>B/` of equal names. Without test folders, the split `test` is a share of the
        training images, held out by the content of A's file, or of the file with both.
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
    if _place(folder, split) is not None:
        a, b = _side_by_side(folder, split, options)
    elif (place_a := _place(folder, split, "A")) and (place_b := _place(folder, split, "B")):
        rows_a, rows_b = listed(place_a[0]), listed(place_b[0])
        _check_names(folder, split, rows_a, rows_b)
        rows = [Row(a.name, a.files + b.files) for a, b in zip(rows_a, rows_b, strict=True)]
        rows, left_out = _with_headers(rows, options)
        a, b = _opened(_part(rows, place_a[1], folder, options), options, left_out)
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
    options: PictureOptions = DEFAULTS,
) -> tuple[Pictures, Pictures]:
    """Opens two unpaired sets of images, `<split>A/` and `<split>B/`.

    If there is `<split>/` with pairs side by side instead, the halves of its images are the sets.

    Args:
      folder: folder with the folders of the split. Without test folders, the split `test` is a
        share of the training images, held out by their content.
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
    if _place(folder, split) is not None and _place(folder, split, "A") is None:
        a, b = _side_by_side(folder, split, options)
    else:
        a, b = (_one_set(folder, split, letter, options) for letter in "AB")
    return (b, a) if swap else (a, b)


def load_folder(folder: str | Path, options: PictureOptions = DEFAULTS) -> Pictures:
    """Opens the image files of a folder and its subfolders, sorted by name, or a single file.

    Hidden files and `__MACOSX` are skipped, and symbolic links followed.

    Args:
      folder: the folder, or a file.
      options: how files become arrays.

    Returns:
      The images.

    Raises:
      DataError: the folder does not exist or holds no image file.
      PictureError: a file cannot be read as an image, and `options.skip_bad` is not set.
    """
    rows, left_out = _with_headers(listed(Path(folder).expanduser()), options)
    return _opened(rows, options, left_out)[0]


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes an image with Pillow's bicubic filter, which is antialiased.

    Args:
      picture: `uint8[height, width, channels]`.
      size: target `(height, width)`.

    Returns:
      `uint8[*size, channels]`.
    """
    if picture.shape[:2] == size:
        return picture
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    return np.asarray(image.resize(size[::-1], FILTER)).reshape(*size, picture.shape[2])


def conversions_in_words(conversions: Mapping[str, int]) -> str:
    """`3 rotated by EXIF, 1 from a palette`; `nothing` if nothing was converted."""
    return ", ".join(f"{count} {what}" for what, count in conversions.items()) or "nothing"


# ---- files


def listed(folder: Path) -> list[Row]:
    """Image files of a folder and its subfolders, sorted by their names in Unicode's form NFC.

    Raises:
      DataError: the folder does not exist, or holds no image files.
    """
    if folder.is_file():
        return [Row(_nfc(folder.stem), (folder,))]
    if not folder.is_dir():
        raise DataError(f"the folder {folder} does not exist; create it, or pass another")
    rows = [
        Row(_nfc(file.relative_to(folder).with_suffix("").as_posix()), (file,))
        for file in files_in(folder)
    ]
    if not rows:
        raise DataError(f"{folder} holds no image files, expected {', '.join(sorted(SUFFIXES))}")
    return sorted(rows, key=lambda row: (row.name.split("/"), row.files))


def files_in(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Image files of a folder and its subfolders, in no order."""
    real = os.path.realpath(folder)
    if real in above:
        return  # a link to a folder that it is in
    try:
        entries = [(path, path.is_dir()) for path in folder.iterdir()]
    except OSError as error:
        raise DataError(f"{folder} cannot be listed ({error.strerror}); choose another") from None
    for path, is_folder in entries:
        if path.name.startswith(".") or path.name == NOT_THE_USERS:
            continue
        if is_folder:
            yield from files_in(path, above | {real})
        elif path.suffix.lower() in SUFFIXES:
            yield path


def _nfc(name: str) -> str:
    """A file name for people: equal letters are equal, and what is no Unicode is a mark."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode(errors="replace"))


# ---- in parallel


def in_parallel(function: Callable[[Item], T], items: Sequence[Item], what: str) -> Iterator[T]:
    """Yields `function(item)` in order, computed ahead by threads, with a progress bar."""
    console = Console(stderr=True)
    shown = track(
        _ahead(function, items),
        what,
        total=len(items),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    yield from shown


def _ahead(function: Callable[[Item], T], items: Iterable[Item]) -> Iterator[T]:
    waiting: collections.deque[Future[T]] = collections.deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 4 * THREADS:  # a bound of the memory, not of the speed
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


# ---- rows


def scanned(rows: Sequence[Row], options: PictureOptions) -> list[Row | PictureError]:
    """Every row with its headers, or its error."""

    def scan(row: Row) -> Row | PictureError:
        try:
            return row._replace(headers=tuple(read_header(file, options) for file in row.files))
        except PictureError as error:
            return error

    with warnings.catch_warnings():  # that an image is large is an error here
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return list(in_parallel(scan, rows, "reading pictures"))


def readable(
    found: Iterable[T | PictureError], options: PictureOptions
) -> tuple[list[T], list[PictureError]]:
    """Parts what can be read from the errors.

    Raises:
      PictureError: there is an error, and `options.skip_bad` is not set.
      DataError: there is nothing else.
    """
    good: list[T] = []
    bad: list[PictureError] = []
    for item in found:
        if not isinstance(item, PictureError):
            good.append(item)
        elif options.skip_bad:
            bad.append(item)
        else:
            raise item
    if not good:
        raise DataError(f"none of {len(bad)} image files can be read; the first: {bad[0]}")
    return good, bad


def common_channels(headers: Iterable[Header], options: PictureOptions) -> int:
    """1 if all files are grey and 3 otherwise, unless the options say it."""
    return options.channels or (1 if all(header.grey for header in headers) else 3)


def fingerprint(headers: Iterable[Header], options: PictureOptions, *more: Any) -> str:
    """SHA-256 of files and of what decides how they become arrays."""
    parts = [options.size, options.size and options.resize, options.background, *more]
    digests = [header.digest for header in headers]
    return hashlib.sha256(json.dumps([parts, digests]).encode()).hexdigest()


def _with_headers(
    rows: Sequence[Row], options: PictureOptions
) -> tuple[list[Row], list[PictureError]]:
    return readable(scanned(rows, options), options)


def _opened(
    rows: Sequence[Row],
    options: PictureOptions,
    left_out: Sequence[PictureError],
    *,
    sides: tuple[Side, ...] = (),
) -> list[Pictures]:
    """Decodes all images once, to find damaged files and count conversions; a set per column.

    With `sides`, the sets are these halves of the first column's images.
    """
    columns = list(zip(*(row.headers for row in rows), strict=True))
    channels = [common_channels(headers, options) for headers in columns]
    headers = [header for row in rows for header in row.headers]
    key = cache.key_of(fingerprint(headers, options, channels, sides))
    facts = cache.read_facts(key)
    if facts is None:
        facts = _checked(rows, options, channels, pairs=bool(sides))
        cache.write_facts(key, facts)
    damaged = damaged_files(rows, facts, options)
    kept = [row for i, row in enumerate(rows) if i not in damaged]
    names = tuple(error.file.name for error in (*left_out, *damaged.values()))
    sets = [(0, side) for side in sides] if sides else [(i, None) for i in range(len(columns))]
    return [
        _pictures(kept, column, side, channels[column], options, facts["conversions"], names)
        for column, side in sets
    ]


def _checked(
    rows: Sequence[Row], options: PictureOptions, channels: Sequence[int], *, pairs: bool
) -> dict[str, Any]:
    """Conversions of every column, and damaged files with their reasons, by index of the row."""

    def check(row: Row) -> list[tuple[str, ...]] | PictureError:
        try:
            of_files = zip(row.files, channels, strict=True)
            decoded = [decode(file, options, channels=n) for file, n in of_files]
        except PictureError as error:
            return error
        if pairs and (width := decoded[0].pixels.shape[1]) % 2:
            raise DataError(
                f"{row.files[0]} is {width} pixels wide; pairs side by side have an even width, "
                "half of it for each image"
            )
        return [conversions for _, conversions in decoded]

    damaged: dict[str, Any] = {}
    counts: list[collections.Counter[str]] = [collections.Counter() for _ in channels]
    for i, found in enumerate(in_parallel(check, rows, "checking pictures")):
        if not isinstance(found, PictureError):
            for count, conversions in zip(counts, found, strict=True):
                count.update(conversions)
        elif options.skip_bad:
            damaged[str(i)] = [rows[i].files.index(found.file), found.why]
        else:
            raise found
    return {"conversions": [dict(count) for count in counts], "damaged": damaged}


def damaged_files(
    rows: Sequence[Row], facts: Mapping[str, Any], options: PictureOptions
) -> dict[int, PictureError]:
    """Errors of rows with a damaged file, by index.

    Raises:
      PictureError: there is one, and `options.skip_bad` is not set.
      DataError: all are damaged.
    """
    damaged = {
        int(i): PictureError(rows[int(i)].files[which], why)
        for i, (which, why) in facts["damaged"].items()
    }
    if damaged and not options.skip_bad:
        raise next(iter(damaged.values()))
    if len(damaged) == len(rows):
        raise DataError(f"none of {len(rows)} image files can be read; the first: {damaged[0]}")
    return damaged


def _pictures(
    rows: Sequence[Row],
    column: int,
    side: Side | None,
    channels: int,
    options: PictureOptions,
    conversions: Sequence[Mapping[str, int]],
    left_out: tuple[str, ...],
) -> Pictures:
    files = tuple(row.files[column] for row in rows)
    return Pictures(
        tuple(row.name for row in rows),
        channels,
        lambda i: decode(files[i], options, channels=channels, side=side).pixels,
        fingerprint([row.headers[column] for row in rows], options, channels, side),
        conversions[column],
        left_out,
        files,
    )


# ---- splits, pairs and sets


def _place(folder: Path, split: str, letter: str = "") -> tuple[Path, bool | None] | None:
    """Folder of a split, and the part of its images: held out, the others, or (`None`) all."""
    train, test = folder / f"train{letter}", folder / f"test{letter}"
    if (folder / f"{split}{letter}").is_dir():
        return (
            folder / f"{split}{letter}",
            False if split == "train" and not test.is_dir() else None,
        )
    return (train, True) if split == "test" and train.is_dir() else None


def _part(
    rows: Sequence[Row], held_out: bool | None, folder: Path, options: PictureOptions
) -> list[Row]:
    """Rows that are held out, the others, or all."""
    if held_out is None:
        return list(rows)
    return held_out_rows(rows, folder, options) if held_out else other_rows(rows, folder, options)


def held_out_rows(rows: Sequence[Row], folder: Path, options: PictureOptions) -> list[Row]:
    """Rows that are held out by the content of their first files.

    Raises:
      DataError: there are none.
    """
    held_out = [row for row in rows if _is_held_out(row, options)]
    if not held_out:
        smallest = min(_place_in_order(row) for row in rows)
        raise DataError(
            f"none of the {len(rows)} images in {folder} is held out with a share of "
            f"{options.held_out:g}; put some into a folder of test images, or give --held-out "
            f"{math.floor(1000 * smallest + 1) / 1000:g}"
        )
    return held_out


def other_rows(rows: Sequence[Row], folder: Path, options: PictureOptions) -> list[Row]:
    """Rows that are not held out.

    Raises:
      DataError: there are none.
    """
    others = [row for row in rows if not _is_held_out(row, options)]
    if not others:
        raise DataError(
            f"all of the {len(rows)} images in {folder} are held out with a share of "
            f"{options.held_out:g}; put some into a folder of test images, or give a smaller "
            "--held-out"
        )
    return others


def _is_held_out(row: Row, options: PictureOptions) -> bool:
    return _place_in_order(row) < options.held_out


def _place_in_order(row: Row) -> float:
    """A number of the first file's content, uniform in [0, 1)."""
    return int(row.headers[0].digest[:12], 16) / 16**12


def _one_set(folder: Path, split: str, letter: str, options: PictureOptions) -> Pictures:
    place, part = _place(folder, split, letter) or (folder / f"{split}{letter}", None)
    rows, left_out = _with_headers(listed(place), options)
    return _opened(_part(rows, part, place, options), options, left_out)[0]


def _side_by_side(folder: Path, split: str, options: PictureOptions) -> list[Pictures]:
    place = _place(folder, split)
    assert place is not None
    rows, left_out = _with_headers(listed(place[0]), options)
    rows = _part(rows, place[1], place[0], options)
    return _opened(rows, options, left_out, sides=("left", "right"))


def _check_names(folder: Path, split: str, a: Sequence[Row], b: Sequence[Row]) -> None:
    names_a, names_b = [row.name for row in a], [row.name for row in b]
    if len(a) != len(b):
        lonely = min(set(names_a) ^ set(names_b), default="one of them")
        raise DataError(
            f"{folder} has {len(a)} images in {split}A and {len(b)} in {split}B; pairs need equal "
            f"numbers, and {lonely} has no partner"
        )
    for name_a, name_b in zip(names_a, names_b, strict=True):
        if name_a != name_b:
            raise DataError(
                f"{folder}: {split}A has {name_a} where {split}B has {name_b}; pairs need equal "
                "names"
            )
