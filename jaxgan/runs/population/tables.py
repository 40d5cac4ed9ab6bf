"""Tables and grids of several runs: means over seeds with their standard errors."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from jaxgan.files import replacing

Values = Mapping[str, float]


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and its standard error, `std / sqrt(n)`; NaN of a single value.

    Example:
      >>> mean_and_error([1.0, 3.0])
      (2.0, 1.0)
    """
    n = len(values)
    error = float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return float(np.mean(values)) if n else math.nan, error


def print_table(console: Console, rows: Mapping[str, Sequence[Values | None]]) -> None:
    """Prints mean ± standard error of every metric, a column per group of runs.

    Args:
      console: the console.
      rows: by label, the values of each run; `None` of one that diverged, which is counted.
    """
    names = dict.fromkeys(name for runs in rows.values() for run in runs for name in run or ())
    table = Table("", *rows, box=None)
    finished = {label: [run for run in runs if run is not None] for label, runs in rows.items()}
    table.add_row("runs", *(f"{len(finished[label])} of {len(rows[label])}" for label in rows))
    for name in names:
        values = [[run[name] for run in runs if name in run] for runs in finished.values()]
        table.add_row(name, *map(_in_words, values))
    console.print(table)


def _in_words(values: Sequence[float]) -> str:
    mean, error = mean_and_error(values)
    return f"{mean:.4g}" if math.isnan(error) else f"{mean:.4g} ± {error:.2g}"


def save_side_by_side(path: Path, image_files: Sequence[Path], *, columns: int = 5) -> None:
    """Writes images of equal sizes into one, row by row; none if there are none."""
    images = [_read(file) for file in image_files]
    if not images:
        return
    width, height = images[0].size
    columns = min(columns, len(images))
    grid = Image.new("RGB", (columns * width, -(-len(images) // columns) * height), "white")
    for i, image in enumerate(images):
        grid.paste(image, (i % columns * width, i // columns * height))
    with replacing(path) as part:
        grid.save(part)


def save_comparison(path: Path, metric: str, rows: Mapping[str, Sequence[Values | None]]) -> None:
    """Draws a metric of every run as a point, with the mean of each group, over the groups."""
    from matplotlib.figure import Figure  # importing matplotlib takes a second

    figure = Figure(figsize=(2 + 0.9 * len(rows), 4), layout="constrained")
    ax = figure.subplots()
    for i, runs in enumerate(rows.values()):
        values = [run[metric] for run in runs if run is not None and metric in run]
        ax.plot([i] * len(values), values, "o", color="tab:blue", alpha=0.4, markersize=5)
        if values:
            mean, error = mean_and_error(values)
            ax.errorbar(i, mean, yerr=error if len(values) > 1 else 0.0, fmt="_k", capsize=4)
        if missing := sum(run is None for run in runs):
            ax.annotate(
                f"{missing} diverged", (i, 0), xycoords=("data", "axes fraction"), ha="center"
            )
    ax.set_xticks(range(len(rows)), list(rows), rotation=30, ha="right")
    ax.set(ylabel=metric)
    ax.grid(axis="y", alpha=0.3)
    with replacing(path) as part:
        figure.savefig(part, dpi=110, format=part.suffix[1:] or "png")


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")
