"""Image grids and animations as files."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxgan.errors import UserError
from jaxgan.files import replacing


def grid(images: Any, *, columns: int | None = None, margin: int = 2) -> np.ndarray:
    """Image grid of a batch, in row-major order.

    Args:
      images: `[n, height, width, channels]` in [-1, 1], 1 or 3 channels; clipped to the range. Or
        `uint8`.
      columns: number of images per row; the square root of n, rounded up, if `None`.
      margin: width of the black border between and around the images, in pixels.

    Returns:
      `uint8[rows * (height + margin) + margin, columns * (width + margin) + margin, channels]`.

    Raises:
      ValueError: `images` does not have rank 4, there are none, they have neither 1 nor 3 channels,
        are integers other than `uint8`, or have NaN.

    Example:
      >>> grid(np.zeros((4, 28, 28, 1)), margin=0).shape
      (56, 56, 1)
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(
            f"images have the shape {images.shape}, expected [n, height, width, channels]; of one "
            "image, images[None]"
        )
    n, height, width, channels = images.shape
    if n == 0:
        raise ValueError("there are no images, expected at least one")
    if channels not in (1, 3):
        raise ValueError(f"images have {channels} channels, expected 1 or 3")
    if images.dtype.kind in "biu" and images.dtype != np.uint8:
        raise ValueError(f"images are {images.dtype}, expected floats in [-1, 1] or uint8")
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    if images.dtype == np.uint8:
        pixels = images
    else:
        inside = np.clip(images.astype(np.float32), -1.0, 1.0)
        if bad := np.sum(np.isnan(inside).any(axis=(1, 2, 3))):
            raise ValueError(f"{bad} of {n} images have NaN, expected floats in [-1, 1] or uint8")
        pixels = np.round((inside + 1.0) * 127.5).astype(np.uint8)
    cell_height, cell_width = height + margin, width + margin
    cells = np.zeros(
        (rows * cell_height + margin, columns * cell_width + margin, channels), np.uint8
    )
    for i, image in enumerate(pixels):
        top = i // columns * cell_height + margin
        left = i % columns * cell_width + margin
        cells[top : top + height, left : left + width] = image
    return cells


def save_grid(
    path: str | Path, images: Any, *, columns: int | None = None, margin: int = 2
) -> None:
    """Writes `grid(images)` to an image file, in the format of the path's suffix.

    Args:
      path: the file to write, such as `.png`.
      images: `[n, height, width, channels]`, as of `grid`.
      columns: number of images per row, as of `grid`.
      margin: width of the black border between and around the images, in pixels.

    Raises:
      FileNotFoundError: the folder of the file does not exist.
      ValueError: those of `grid`, or the ending is of no format.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save_grid(f"{folder}/samples.png", np.zeros((6, 8, 8, 3)), columns=3, margin=0)
      ...     with Image.open(f"{folder}/samples.png") as file:
      ...         file.size  # width, height
      (24, 16)
    """
    cells = grid(images, columns=columns, margin=margin)
    with replacing(path, sync=False) as part:
        Image.fromarray(cells[..., 0] if cells.shape[-1] == 1 else cells).save(part)


def save_animation(path: str | Path, frames: Sequence[Path], *, seconds: float = 10.0) -> None:
    """Writes an animation of image files, with at most 100 evenly spaced frames.

    Args:
      path: the file to write, `.gif`, `.webp` or `.png`.
      frames: image files of one size, in order; the last frame is held for at least two seconds.
      seconds: duration of all frames but the last.

    Raises:
      ValueError: there are no frames.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     frames = [Path(folder) / f"step_{i}.png" for i in range(3)]
      ...     for i, frame in enumerate(frames):
      ...         save_grid(frame, np.full((4, 8, 8, 1), i - 1.0))
      ...     save_animation(f"{folder}/training.gif", frames)
      ...     with Image.open(f"{folder}/training.gif") as file:
      ...         file.n_frames
      3
    """
    if not frames:
        raise ValueError("there are no frames, expected at least one")
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), 100)).round().astype(int))
    images = []
    for i in chosen:
        with Image.open(frames[i]) as frame:
            images.append(frame.convert("RGB"))
    per_frame = max(20, round(1000 * seconds / len(images)))
    _save_frames(path, images, [*(len(images) - 1) * [per_frame], max(per_frame, 2000)])


def save_video(path: str | Path, frames: Sequence[np.ndarray], *, seconds: float = 4.0) -> None:
    """Writes an endless animation, or a video, whose frames are all shown for the same time.

    Args:
      path: the file to write: `.gif`, `.webp` or `.png`, or `.mp4` with `imageio` and its ffmpeg
        (`pip install 'jaxgan[video]'`).
      frames: `uint8[height, width, channels]` each, such as from `grid`, of one size.
      seconds: duration of all frames, in seconds.

    Raises:
      ValueError: there are no frames.
      UserError: `.mp4`, and imageio or its ffmpeg is not installed, or does not work.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     frames = [grid(np.full((4, 8, 8, 1), value)) for value in (-1.0, 0.0, 1.0)]
      ...     save_video(f"{folder}/walk.gif", frames, seconds=1.5)
      ...     with Image.open(f"{folder}/walk.gif") as file:
      ...         file.n_frames, file.info["duration"]  # milliseconds of a frame
      (3, 500)
    """
    if not len(frames):
        raise ValueError("there are no frames, expected at least one")
    converted = [Image.fromarray(np.broadcast_to(x, (*x.shape[:2], 3))) for x in frames]
    if Path(path).suffix.lower() != ".mp4":
        _save_frames(
            path, converted, len(converted) * [max(20, round(1000 * seconds / len(frames)))]
        )
        return
    imageio = _imageio(path)
    options = {"fps": len(frames) / seconds, "macro_block_size": 2}
    with replacing(path, sync=False) as part, imageio.get_writer(part, **options) as writer:
        for frame in converted:
            writer.append_data(np.asarray(frame))


def _imageio(path: str | Path) -> Any:
    """The library that writes videos, with its ffmpeg."""
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        missing = isinstance(error, ModuleNotFoundError) and "imageio" in str(error.name)
        why = "" if missing else f", and they do not work ({' '.join(str(error).split())})"
        raise UserError(
            f"{path} is a video, which needs imageio and ffmpeg{why}: pip install "
            f"{'' if missing else '--upgrade '}'jaxgan[video]', or write a .gif or .webp"
        ) from None
    return imageio


def _save_frames(path: str | Path, frames: list[Image.Image], durations: list[int]) -> None:
    if Path(path).suffix.lower() == ".gif":  # every frame has its own palette
        frames = [frame.convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
    more: dict[str, Any] = {"append_images": frames[1:], "duration": durations}
    with replacing(path, sync=False) as part:
        frames[0].save(part, save_all=True, loop=0, optimize=True, **more)
