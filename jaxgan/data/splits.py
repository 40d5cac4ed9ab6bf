"""Training and test images of a folder that may have no test images.

Then a share of the training images is held out: a file is in it or not by the hash of its content,
so that adding files moves none.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from jaxgan.data.decode import ImageOptions
from jaxgan.data.rows import Row
from jaxgan.errors import DataError


def folder_of_test_images(folder: Path, letter: str = "") -> Path | None:
    """Folder of test images: test/, or else val/, as in some of pix2pix's data sets."""
    folders = (folder / f"{name}{letter}" for name in ("test", "val"))
    return next((path for path in folders if path.is_dir()), None)


def place(folder: Path, split: str, letter: str = "") -> tuple[Path, bool | None] | None:
    """Folder of a split, and the part of its images: held out, the others, or (`None`) all."""
    test, own = folder_of_test_images(folder, letter), folder / f"{split}{letter}"
    if split == "test":
        train = folder / f"train{letter}"
        return (test, None) if test else (train, True) if train.is_dir() else None
    if not own.is_dir():
        return None
    return own, False if split == "train" and test is None else None


def part(
    rows: Sequence[Row], held_out: bool | None, folder: Path, options: ImageOptions
) -> list[Row]:
    """Rows that are held out, the others, or all."""
    if held_out is None:
        return list(rows)
    return held_out_rows(rows, folder, options) if held_out else other_rows(rows, folder, options)


def held_out_rows(rows: Sequence[Row], folder: Path, options: ImageOptions) -> list[Row]:
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


def other_rows(rows: Sequence[Row], folder: Path, options: ImageOptions) -> list[Row]:
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


def _is_held_out(row: Row, options: ImageOptions) -> bool:
    return _place_in_order(row) < options.held_out


def _place_in_order(row: Row) -> float:
    """A number of the first file's content, uniform in [0, 1)."""
    return int(row.headers[0].digest[:12], 16) / 16**12
