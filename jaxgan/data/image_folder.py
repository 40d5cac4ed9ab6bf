"""Training and test images from a folder of image files, as arrays mapped into memory.

Layouts:

    DIR/train/*.jpg      DIR/test/*.jpg        images
    DIR/train/cat/*.jpg  DIR/test/cat/*.jpg    images with labels: two or more folders are classes
    DIR/*.jpg  or  DIR/cat/*.jpg               the same without train/

Without test/, val/ has the test images. Without both, a share of the images is held out: a file is
in it or not by the hash of its content, so that adding files moves none.
"""

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxgan.data import cache
from jaxgan.data.decode import Decoded, ImageOptions, decode
from jaxgan.data.rows import (
    Row,
    common_channels,
    damaged_files,
    fingerprint,
    in_parallel,
    listed,
    readable,
    scanned,
)
from jaxgan.data.splits import folder_of_test_images, held_out_rows, other_rows
from jaxgan.errors import DataError, ImageError


class Part(NamedTuple):
    """Images of a split.

    Attributes:
      images: `uint8[n, height, width, channels]`, mapped into memory.
      labels: `int32[n]`, or `None` without classes.
      fingerprint: SHA-256 of the contents of the files, the labels and the options.
      conversions: number of images by conversion.
      left_out: files that cannot be read.
    """

    images: np.ndarray
    labels: np.ndarray | None
    fingerprint: str
    conversions: dict[str, int]
    left_out: tuple[str, ...]


class ImageFolder(NamedTuple):
    """Images of a folder.

    Attributes:
      train, test: the images.
      classes: names of the classes, sorted, by label; empty without classes.
      held_out: share of the images that are held out; `None` if there is a folder of test images.
    """

    train: Part
    test: Part
    classes: tuple[str, ...]
    held_out: float | None


def load_images(folder: Path, options: ImageOptions) -> ImageFolder:
    """Loads all images of a folder, decoded or from the cache.

    Args:
      folder: the folder.
      options: how files become arrays; without a size, the images must have one size.

    Raises:
      DataError: the folder has none of the layouts; there are no images, or images of several sizes
        and no size in the options; or the cache cannot be written.
      ImageError: a file cannot be read as an image, and `options.skip_bad` is not set.
    """
    roots = _roots(folder)
    rows = [listed(root) for root in roots]
    classes = _classes(roots, rows)
    parts: list[list[Row]] = []
    unreadable: list[list[ImageError]] = []
    for of_root in rows:
        good, bad = readable(scanned(of_root, options), options)
        parts.append(good)
        unreadable.append(bad)
    if len(roots) == 1:
        both = parts[0]
        parts = [part(both, folder, options) for part in (other_rows, held_out_rows)]
        unreadable.append([])
    headers = [header for part in parts for row in part for header in row.headers]
    channels = common_channels(headers, options)
    sized = dataclasses.replace(options, size=options.size or _one_size(parts[0] + parts[1]))
    train_part, test_part = (
        _part(rows, classes, sized, channels, bad, roots[min(i, len(roots) - 1)])
        for i, (rows, bad) in enumerate(zip(parts, unreadable, strict=True))
    )
    held_out = options.held_out if len(roots) == 1 else None
    return ImageFolder(train_part, test_part, classes, held_out)


def _roots(folder: Path) -> list[Path]:
    """Folders of the training and of the test images, or one for both."""
    train, test = folder / "train", folder_of_test_images(folder)
    if train.is_dir():
        return [train] if test is None else [train, test]
    if (folder / "test").is_dir():
        raise DataError(f"{folder} has test/ and no train/; put the other images into train/")
    return [folder]


def _classes(roots: Sequence[Path], rows: Sequence[Sequence[Row]]) -> tuple[str, ...]:
    """Names of the class folders of the training images; none if there is only one."""
    names = tuple(sorted({_class(row) for row in rows[0]}))
    if len(names) < 2:
        return ()
    for root, of_root in zip(roots, rows, strict=True):
        for row in of_root:
            if not _class(row):
                raise DataError(
                    f"{root} has the image {row.files[0].name} next to folders of images; "
                    "move it: folders are classes"
                )
            if _class(row) not in names:
                raise DataError(
                    f"{root} has the class {_class(row)}, and {roots[0]} has {', '.join(names)}; "
                    "use the same folders in both"
                )
    return names


def _class(row: Row) -> str:
    """Name of the first folder in the name of an image; empty if there is none."""
    return row.name.partition("/")[0] if "/" in row.name else ""


def _one_size(rows: Sequence[Row]) -> tuple[int, int]:
    first = rows[0]
    for row in rows:
        if row.headers[0].size != first.headers[0].size:
            raise _of_several_sizes(first, first.headers[0].size, row, row.headers[0].size)
    return first.headers[0].size


def _of_several_sizes(
    first: Row, first_size: tuple[int, ...], row: Row, size: tuple[int, ...]
) -> DataError:
    return DataError(
        f"{row.files[0]} has {size[0]} x {size[1]} pixels (height x width) and "
        f"{first.files[0].name} has {first_size[0]} x {first_size[1]}; give one size to all, such "
        "as --size 64, and --resize cover, contain or stretch"
    )


def _part(
    rows: Sequence[Row],
    classes: tuple[str, ...],
    options: ImageOptions,
    channels: int,
    unreadable: Sequence[ImageError],
    root: Path,
) -> Part:
    labels = [classes.index(_class(row)) if classes else None for row in rows]
    print_of = lambda indices: fingerprint(
        [rows[i].headers[0] for i in indices], options, channels, [labels[i] for i in indices]
    )
    images, conversions, damaged = _decoded(rows, options, channels, print_of(range(len(rows))))
    kept = [i for i in range(len(rows)) if i not in damaged]
    files = [error.file for error in (*unreadable, *damaged.values())]
    return Part(
        images,
        np.array([labels[i] for i in kept], np.int32) if classes else None,
        print_of(kept),
        conversions,
        tuple(file.relative_to(root).as_posix() for file in files),
    )


def _decoded(
    rows: Sequence[Row], options: ImageOptions, channels: int, fingerprint: str
) -> tuple[np.ndarray, dict[str, int], dict[int, ImageError]]:
    """All images from the cache, their conversions, and the errors of damaged files by index."""
    key = cache.key_of(fingerprint)
    cached = cache.read(key)
    if cached is None:
        facts: dict[str, dict] = {"conversions": {}, "damaged": {}}
        assert options.size is not None
        decoded = _decode_all(rows, options, channels, facts)
        cache.write(key, (*options.size, channels), decoded, facts)
        cached = cache.read(key)
        assert cached is not None, "the cache was changed while it was written"
    images, facts = cached
    return images, facts["conversions"], damaged_files(rows, facts, options)


def _decode_all(
    rows: Sequence[Row], options: ImageOptions, channels: int, facts: dict[str, dict]
) -> Iterator[np.ndarray]:
    """Yields the pixels of all files that can be decoded, and fills in the facts."""

    def decode_row(row: Row) -> Decoded | ImageError:
        try:
            return decode(row.files[0], options, channels=channels)
        except ImageError as error:
            return error

    conversions: collections.Counter[str] = collections.Counter()
    for i, found in enumerate(in_parallel(decode_row, rows, "decoding images")):
        if isinstance(found, ImageError):
            if not options.skip_bad:
                raise found
            facts["damaged"][str(i)] = [0, found.why]
        else:
            conversions.update(found.conversions)
            yield found.pixels
    damaged_files(rows, facts, options)
    facts["conversions"].update(conversions)
