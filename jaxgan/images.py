"""Image grids and animations as files."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import chex
import numpy as np
from PIL import Image


def sheet(images: Any, *, columns: int | None = None, margin: int = 2) -> np.ndarray:
    """Image grid of a batch, in row-major order.

    Args:
      images: `[n, height, width, channels]` in [-1, 1], 1 or 3 channels; clipped to the range.
      columns: number of images per row; the square root of n, rounded up, if `None`.
      margin: width of the black border between and around the images, in pixels.

    Returns:
      `uint8[rows * (height + margin) + margin, columns * (width + margin) + margin, channels]`.

    Raises:
      AssertionError: `images` does not have rank 4.

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
    grid = np.zeros(
        (rows * cell_height + margin, columns * cell_width + margin, channels), np.uint8
    )
    for i, image in enumerate(pixels):
        top = i // columns * cell_height + margin
        left = i % columns * cell_width + margin
        grid[top : top + height, left : left + width] = image
    return grid


def save_sheet(
    path: str | Path, images: Any, *, columns: int | None = None, margin: int = 2
) -> None:
    """Writes `sheet(images)` to an image file, in the format of the path's suffix.

    Example:
      >>> save_sheet("samples.png", images)  # doctest: +SKIP
    """
    grid = sheet(images, columns=columns, margin=margin)
    Image.fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid).save(path)


def save_animation(path: str | Path, frames: Sequence[Path], *, seconds: float = 10.0) -> None:
    """Writes an animation of image files, with at most 100 evenly spaced frames.

    Args:
      path: the file to write, `.gif`, `.webp` or `.png`.
      frames: image files of one size, in order; the last frame is held for at least two seconds.
      seconds: duration of one loop, in seconds.

    Example:
      >>> save_animation("a.gif", sorted(Path("samples").glob("step_*.png")))  # doctest: +SKIP
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), 100)).round().astype(int))
    images = []
    for i in chosen:
        with Image.open(frames[i]) as frame:
            images.append(frame.convert("P", palette=Image.Palette.ADAPTIVE))
    per_frame = max(20, round(1000 * seconds / len(images)))
    durations = [*(len(images) - 1) * [per_frame], max(per_frame, 2000)]
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True
    )
