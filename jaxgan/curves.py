"""Training curves: the losses of players, and the mean outputs of networks.

A notebook displays them while `fit` trains, and a run writes them to `losses.png`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOWS = 30  # of a moving average in a curve


def training_curves(
    points: Sequence[tuple[int, Mapping[str, Any]]], *, vertical: bool = False
) -> "Figure":
    """Figure with a panel of losses and, where they are metrics, one of mean outputs.

    Long curves are drawn faintly, under their moving average. Of a population, every member has a
    curve. If all outputs are probabilities, a line marks 1/2.

    Args:
      points: steps and their metrics `{"<player>/loss": value, "<player>/real_output": value}`,
        values `[]`, or `[P]` of members. Curves are of the metrics of the last step.
      vertical: whether the panels are below each other rather than side by side.

    Returns:
      The figure, of matplotlib.

    Example:
      >>> figure = training_curves([(0, {"x/loss": 2.0}), (9, {"x/loss": 1.0})])
      >>> [ax.get_title() for ax in figure.axes], figure.axes[0].lines[0].get_xdata().tolist()
      (['loss'], [0, 9])
    """
    from matplotlib.figure import Figure  # importing matplotlib takes a second

    newest = points[-1][1]
    panels = {
        title: {name: _label(name, ending) for name in newest if name.endswith(ending)}
        for title, ending in (("loss", "/loss"), ("mean output", "_output"))
    }
    shown = {title: labels for title, labels in panels.items() if labels}
    size = (8, 3 * len(shown)) if vertical else (5 * len(shown), 3)
    figure = Figure(figsize=size, layout="constrained")
    shape = (len(shown), 1) if vertical else (1, len(shown))
    axes = figure.subplots(*shape, sharex=True, squeeze=False).flat
    colors = (f"C{i}" for i in range(sum(map(len, shown.values()))))
    for ax, (title, labels) in zip(axes, shown.items(), strict=True):
        for name, label in labels.items():
            own = [(step, metrics[name]) for step, metrics in points if name in metrics]
            steps, values = (np.array(column) for column in zip(*own, strict=True))
            _draw(ax, steps, values.reshape(len(steps), -1), label, next(colors))
        ax.set(title=title, xlabel="step" if ax.get_subplotspec().is_last_row() else "")
        ax.grid(alpha=0.3)
        if title == "mean output":
            _mark_one_half(ax)
        ax.legend(loc="upper right", fontsize="small")
    return figure


def _label(name: str, ending: str) -> str:
    """Name of a curve in its panel: `generator` or `discriminator, real`."""
    return name.removesuffix(ending).replace("/", ", ")


def _draw(ax: Any, steps: np.ndarray, values: np.ndarray, label: str, color: str) -> None:
    """Draws values `[T, P]`, faintly where there are many, and the average of the last ones."""
    window = max(1, len(steps) // WINDOWS)
    if window > 1:
        ax.plot(steps, values, color=color, alpha=0.2, linewidth=0.6)
        sums = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), axis=0)
        ends = np.arange(1, len(steps) + 1)
        starts = np.maximum(ends - window, 0)
        values = (sums[ends] - sums[starts]) / (ends - starts)[:, None]
    first, *_ = ax.plot(steps, values, color=color, linewidth=1.5 if values.shape[1] == 1 else 0.8)
    first.set_label(label)


def _mark_one_half(ax: Any) -> None:
    """Marks 1/2, where D cannot tell images apart, if all values are probabilities."""
    values = np.concatenate([line.get_ydata() for line in ax.lines])
    if np.all((values >= 0.0) & (values <= 1.0)):
        ax.axhline(0.5, color="gray", linestyle=":", linewidth=1, label="1/2")
        ax.set_ylim(0.0, 1.0)
