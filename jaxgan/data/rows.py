"""Image files as rows of a data set: listed, their headers read, and checked, in parallel."""

import collections
import hashlib
import json
import os
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from PIL import Image
from rich.console import Console
from rich.progress import track

from jaxgan.data.decode import SUFFIXES, Header, ImageOptions, decode, read_header
from jaxgan.errors import DataError, ImageError

THREADS = min(8, os.cpu_count() or 1)
NOT_THE_USERS = "__MACOSX"  # a folder of previews in archives that macOS makes

T = TypeVar("T")
Item = TypeVar("Item")


class Row(NamedTuple):
    """An example: one file, or the two files of a pair.

    Attributes:
      name: path in the folder without the extension, in Unicode's form NFC.
      files: its files.
      headers: their headers, once they are read.
    """

    name: str
    files: tuple[Path, ...]
    headers: tuple[Header, ...] = ()


# ---- files


def listed(folder: Path) -> list[Row]:
    """Image files of a folder and its subfolders, sorted by their names in Unicode's form NFC.

    Raises:
      DataError: the folder does not exist, or holds no image files.
    """
    if folder.is_file():
        return [Row(_nfc(folder.stem), (folder,))]
    if not folder.is_dir():
        raise DataError(f"the folder {folder} does not exist; check its path")
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
    """A printable file name: equal letters are equal, and invalid Unicode is a replacement mark."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode(errors="replace"))


# ---- headers and contents


def scanned(rows: Sequence[Row], options: ImageOptions) -> list[Row | ImageError]:
    """Every row with its headers, or its error."""

    def scan(row: Row) -> Row | ImageError:
        try:
            return row._replace(headers=tuple(read_header(file, options) for file in row.files))
        except ImageError as error:
            return error

    with warnings.catch_warnings():  # that an image is large is an error here
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return list(in_parallel(scan, rows, "reading images"))


def readable(
    found: Iterable[T | ImageError], options: ImageOptions
) -> tuple[list[T], list[ImageError]]:
    """Parts what can be read from the errors.

    Raises:
      ImageError: there is an error, and `options.skip_bad` is not set.
      DataError: there is nothing else.
    """
    good: list[T] = []
    bad: list[ImageError] = []
    for item in found:
        if not isinstance(item, ImageError):
            good.append(item)
        elif options.skip_bad:
            bad.append(item)
        else:
            raise item
    if not good:
        raise DataError(f"none of {len(bad)} image files can be read; the first: {bad[0]}")
    return good, bad


def common_channels(headers: Iterable[Header], options: ImageOptions) -> int:
    """1 if all files are grey and 3 otherwise, unless the options say it."""
    return options.channels or (1 if all(header.gray for header in headers) else 3)


def fingerprint(headers: Iterable[Header], options: ImageOptions, *more: Any) -> str:
    """SHA-256 of files and of what decides how they become arrays."""
    parts = [options.size, options.size and options.resize, options.background, *more]
    digests = [header.digest for header in headers]
    return hashlib.sha256(json.dumps([parts, digests]).encode()).hexdigest()


def checked(
    rows: Sequence[Row], options: ImageOptions, channels: Sequence[int], *, pairs: bool
) -> dict[str, Any]:
    """Conversions of every column, and damaged files with their reasons, by index of the row."""

    def check(row: Row) -> list[tuple[str, ...]] | ImageError:
        try:
            of_files = zip(row.files, channels, strict=True)
            decoded = [decode(file, options, channels=n) for file, n in of_files]
        except ImageError as error:
            return error
        if pairs and (width := decoded[0].pixels.shape[1]) % 2:
            raise DataError(
                f"{row.files[0]} is {width} pixels wide; pairs side by side have an even width, "
                "half of it for each image"
            )
        return [conversions for _, conversions in decoded]

    damaged: dict[str, Any] = {}
    counts: list[collections.Counter[str]] = [collections.Counter() for _ in channels]
    for i, found in enumerate(in_parallel(check, rows, "checking images")):
        if not isinstance(found, ImageError):
            for count, conversions in zip(counts, found, strict=True):
                count.update(conversions)
        elif options.skip_bad:
            damaged[str(i)] = [rows[i].files.index(found.file), found.why]
        else:
            raise found
    return {"conversions": [dict(count) for count in counts], "damaged": damaged}


def damaged_files(
    rows: Sequence[Row], facts: Mapping[str, Any], options: ImageOptions
) -> dict[int, ImageError]:
    """Errors of rows with a damaged file, by index.

    Raises:
      ImageError: there is one, and `options.skip_bad` is not set.
      DataError: all are damaged.
    """
    damaged = {
        int(i): ImageError(rows[int(i)].files[which], why)
        for i, (which, why) in facts["damaged"].items()
    }
    if damaged and not options.skip_bad:
        raise next(iter(damaged.values()))
    if len(damaged) == len(rows):
        raise DataError(f"none of {len(rows)} image files can be read; the first: {damaged[0]}")
    return damaged


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
