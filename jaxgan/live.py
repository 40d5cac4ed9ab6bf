"""Live display of training: a bar and curves in a notebook, a bar in a terminal.

`loop.fit` shows it if it runs in either. IPython, matplotlib and rich are imported only then.
"""

import contextlib
import datetime
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxgan.types import Metrics

if TYPE_CHECKING:
    from rich.console import Console

MAX_POINTS = 300  # of a curve
WINDOWS = 30  # of a moving average in a curve
SHARE = 0.1  # of the time, at most, that is spent on drawing
PAUSE = 0.5  # seconds, at least, between two drawings


def in_notebook() -> bool:
    """Whether the program runs in the kernel of a notebook, which displays images."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def in_terminal() -> bool:
    """Whether the program writes its errors and progress to a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextlib.contextmanager
def display(first: int, num_steps: int) -> Iterator[Callable[[int, Any, Metrics], None]]:
    """Callback of `fit` that displays a bar and curves in the output of a notebook's cell.

    Between drawings it only keeps metrics, without waiting for them. The last drawing, at the end
    of the context, shows the last step, also after an interruption.

    Args:
      first, num_steps: the first and the last step.

    Yields:
      The callback.
    """
    from IPython import display as ipython

    period = max(1, (num_steps - first) // MAX_POINTS)
    points: list[tuple[int, Metrics]] = []
    newest: list[tuple[int, Metrics]] = []
    in_words, due = speed(num_steps), [0.0]
    bar = ipython.display(ipython.HTML(""), display_id=True)
    plot = ipython.display(ipython.HTML(""), display_id=True)

    def draw() -> None:
        start, (step, metrics) = time.perf_counter(), newest[0]
        text = f"step {step}/{num_steps} &ensp; {losses(metrics)} &ensp; {in_words(step)}"
        progress = f'<progress value="{step - first}" max="{num_steps - first}"></progress>'
        bar.update(ipython.HTML(f"{progress} {text.rstrip()}"))
        shown = points if points[-1][0] == step else [*points, newest[0]]
        if len(shown) > 1:
            file = io.BytesIO()
            curves(shown).savefig(file, format="png", dpi=80)
            plot.update(ipython.Image(file.getvalue(), format="png"))
        now = time.perf_counter()
        due[0] = now + max(PAUSE, (now - start) / SHARE)

    def show(step: int, state: Any, metrics: Metrics) -> None:
        newest[:] = [(step, metrics)]
        if not points or step - points[-1][0] >= period:
            points.append((step, metrics))
        if time.perf_counter() >= due[0]:
            draw()

    try:
        yield show
    finally:
        if newest:
            draw()


@contextlib.contextmanager
def terminal_display(first: int, num_steps: int) -> Iterator[Callable[[int, Any, Metrics], None]]:
    """Callback of `fit` that displays a bar on standard error; arguments and form of `display`."""
    from rich.console import Console

    newest: list[tuple[int, Metrics]] = []
    due = 0.0
    with progress_bar(Console(stderr=True), start=first, num_steps=num_steps) as draw:

        def show(step: int, state: Any, metrics: Metrics) -> None:
            nonlocal due
            newest[:] = [(step, metrics)]
            if time.perf_counter() >= due:
                draw(step, state, metrics)
                due = time.perf_counter() + PAUSE

        try:
            yield show
        finally:
            for step, metrics in newest:
                draw(step, None, metrics)


@contextlib.contextmanager
def progress_bar(
    console: "Console", *, start: int, num_steps: int | None
) -> Iterator[Callable[[int, Any, Metrics], None]]:
    """Callback that draws a bar with losses and steps/s; it blocks until these are available.

    Args:
      console: the console, of a terminal.
      start, num_steps: the first and the last step; `None` if the last is not known.

    Yields:
      The callback.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    fields = (TextColumn(f"{{task.fields[{field}]}}") for field in ("losses", "speed"))
    in_words = speed(num_steps)
    with Progress(BarColumn(), MofNCompleteColumn(), *fields, console=console) as bar:
        task = bar.add_task("", total=num_steps, completed=start, losses="compiling", speed="")

        def draw(step: int, state: Any, metrics: Metrics) -> None:
            bar.update(task, completed=step, losses=losses(metrics), speed=in_words(step))

        yield draw


def curves(points: Sequence[tuple[int, Metrics]]) -> Any:
    """Figure of the players' losses and, where they are metrics, the mean outputs of networks.

    Of a population, every member has a curve.

    Args:
      points: steps and their metrics, `{player: {name: value}}`, values `[]`, or `[P]` of members.

    Example:
      >>> figure = curves([(0, {"x": {"loss": 2.0}}), (9, {"x": {"loss": 1.0}})])
      >>> [ax.get_title() for ax in figure.axes], figure.axes[0].lines[0].get_xdata().tolist()
      (['loss'], [0, 9])
    """
    from matplotlib.figure import Figure  # importing matplotlib takes a second

    steps = np.array([step for step, _ in points])
    metrics = jax.tree.map(
        lambda *values: np.stack(values), *jax.device_get([m for _, m in points])
    )
    panels: dict[str, dict[str, np.ndarray]] = {"loss": {}, "mean output": {}}
    for player, own in metrics.items():
        panels["loss"][player] = own["loss"]
        for name in own:
            if "_output" in name:
                panels["mean output"][f"{player}, {name.replace('_output', '')}"] = own[name]
    shown = {title: lines for title, lines in panels.items() if lines}
    figure = Figure(figsize=(5 * len(shown), 3), layout="constrained")
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for ax, (title, lines) in zip(axes, shown.items(), strict=True):
        for i, (label, values) in enumerate(lines.items()):
            _draw(ax, steps, values.reshape(len(steps), -1), label, f"C{i}")
        ax.set(title=title, xlabel="step")
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small")
    return figure


def _draw(ax: Any, steps: np.ndarray, values: np.ndarray, label: str, colour: str) -> None:
    """Draws values `[T, P]`, faintly where there are many, and the average of the last ones."""
    window = max(1, len(steps) // WINDOWS)
    if window > 1:
        ax.plot(steps, values, color=colour, alpha=0.2, linewidth=0.6)
        sums = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), axis=0)
        ends = np.arange(1, len(steps) + 1)
        starts = np.maximum(ends - window, 0)
        values = (sums[ends] - sums[starts]) / (ends - starts)[:, None]
    first, *_ = ax.plot(steps, values, color=colour, linewidth=1.5 if values.shape[1] == 1 else 0.8)
    first.set_label(label)


def losses(metrics: Metrics) -> str:
    """All players' losses in words, means over the members of a population.

    Example:
      >>> losses({"x": {"loss": 0.25}, "y": {"loss": np.array([1.0, 2.0])}})
      'x 0.250  y 1.500'
    """
    return "  ".join(f"{player} {np.mean(own['loss']):.3f}" for player, own in metrics.items())


def speed(num_steps: int | None) -> Callable[[int], str]:
    """Steps per second, and time left if the last step is known.

    Measured from the first call, to exclude compilation.
    """
    first: list[tuple[int, float]] = []

    def in_words(step: int) -> str:
        now = time.perf_counter()
        if not first or step <= first[0][0]:
            first[:] = [(step, now)]
            return ""
        rate = (step - first[0][0]) / (now - first[0][1])
        if num_steps is None:
            return f"{rate:.1f} steps/s"
        left = datetime.timedelta(seconds=round((num_steps - step) / rate))
        return f"{rate:.1f} steps/s  {left} left"

    return in_words
