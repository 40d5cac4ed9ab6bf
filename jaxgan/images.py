"""Pictures on paper: sheets of images, and the curves of a game."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import chex
import numpy as np
from PIL import Image

PLAYER_COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red")


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


def save_curves(path: str | Path, records: Sequence[Mapping[str, float]]) -> None:
    """Draws the players' losses, and the mean of D on real and generated images, over the steps.

    Args:
      path: the picture file to write.
      records: one `{"step": ..., "<player>/loss": ..., ...}` for each time that was logged. The
        lower half is drawn where `discriminator/real_output` and `.../fake_output` are recorded.
    """
    from matplotlib.figure import Figure  # importing matplotlib takes a second

    players = [name.removesuffix("/loss") for name in records[-1] if name.endswith("/loss")]
    outputs = {"real": "discriminator/real_output", "generated": "discriminator/fake_output"}
    has_outputs = all(name in records[-1] for name in outputs.values())

    figure = Figure(figsize=(8, 6 if has_outputs else 3.5), layout="constrained")
    axes = figure.subplots(2 if has_outputs else 1, sharex=True, squeeze=False)[:, 0]
    for player, colour in zip(players, PLAYER_COLOURS, strict=False):
        _curve(axes[0], records, f"{player}/loss", player, colour)
    axes[0].set_ylabel("loss")
    if has_outputs:
        for (label, name), colour in zip(outputs.items(), ("tab:green", "tab:red"), strict=True):
            _curve(axes[1], records, name, f"mean of D on {label} images", colour)
        values = [record[name] for record in records for name in outputs.values()]
        if min(values) >= 0.0 and max(values) <= 1.0:
            axes[1].axhline(0.5, color="grey", linestyle=":", linewidth=1, label="1/2")
            axes[1].set_ylim(0.0, 1.0)
        axes[1].set_ylabel("D")
    for ax in axes:
        ax.legend(loc="upper right", fontsize="small")
        ax.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    figure.savefig(path, dpi=110)


def _curve(
    ax: Any, records: Sequence[Mapping[str, float]], name: str, label: str, colour: str
) -> None:
    """The values as they are, faintly, and their moving average."""
    points = [(record["step"], record[name]) for record in records if name in record]
    steps, values = np.array(points, np.float64).T
    window = max(1, len(values) // 50)
    kernel = np.ones(window) / window
    padded = np.concatenate([np.full(window - 1, values[0]), values])
    ax.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
    ax.plot(steps, np.convolve(padded, kernel, "valid"), color=colour, linewidth=1.5, label=label)
