"""Pictures on paper: sheets of images, and the curves of a game."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import chex
import numpy as np
from PIL import Image


def sheet(images: Any, *, columns: int | None = None, margin: int = 2) -> np.ndarray:
    """Images side by side, row after row.

    Args:
      images: `[n, height, width, channels]` in [-1, 1], 1 or 3 channels; clipped to the range.
      columns: images per row; the square root of n, rounded up, when left out.
      margin: black pixels between and around the images.

    Returns:
      `uint8[rows * (height + margin) + margin, columns * (width + margin) + margin, channels]`.

    Raises:
      AssertionError: `images` has not rank 4.

    Example:
      >>> sheet(np.zeros((4, 28, 28, 1)), margin=0).shape
      (56, 56, 1)
    """
    images = np.asarray(images, np.float32)
    chex.assert_rank(images, 4)
    n, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    pixels = np.round((np.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
    cell_height, cell_width = height + margin, width + margin
    page = np.zeros(
        (rows * cell_height + margin, columns * cell_width + margin, channels), np.uint8
    )
    for i, image in enumerate(pixels):
        top = i // columns * cell_height + margin
        left = i % columns * cell_width + margin
        page[top : top + height, left : left + width] = image
    return page


def save_sheet(
    path: str | Path, images: Any, *, columns: int | None = None, margin: int = 2
) -> None:
    """Writes `sheet(images)` as a picture file, its format by the name's ending.

    Example:
      >>> save_sheet("samples.png", images)  # doctest: +SKIP
    """
    page = sheet(images, columns=columns, margin=margin)
    Image.fromarray(page[..., 0] if page.shape[-1] == 1 else page).save(path)


def save_animation(path: str | Path, frames: Sequence[Path], *, seconds: float = 10.0) -> None:
    """Makes an animated picture of pictures of one size, at most 100 of them, evenly chosen.

    Args:
      path: the file to write, `.gif`, `.webp` or `.png`.
      frames: the pictures' files, in order; the last one stays for a while.
      seconds: how long one round takes.

    Example:
      >>> save_animation("a.gif", sorted(Path("samples").glob("step_*.png")))  # doctest: +SKIP
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), 100)).round().astype(int))
    pictures = []
    for i in chosen:
        with Image.open(frames[i]) as frame:
            pictures.append(frame.convert("P", palette=Image.Palette.ADAPTIVE))
    each = max(20, round(1000 * seconds / len(pictures)))
    durations = [*(len(pictures) - 1) * [each], max(each, 2000)]
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True
    )
