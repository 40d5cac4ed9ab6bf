"""Live display of training: a bar and curves in a notebook, a bar in a terminal.

`loop.fit` shows it if it runs in either. IPython, matplotlib and rich are imported only then.
"""

import contextlib
import datetime
import io
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxgan.curves import training_curves
from jaxgan.tree import by_path
from jaxgan.types import Metrics

if TYPE_CHECKING:
    from rich.console import Console

MAX_POINTS = 300  # of a curve
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
    points: list[tuple[int, Metrics]] = []  # on devices, until they are drawn
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
            flat = [(step, by_path(metrics)) for step, metrics in jax.device_get(shown)]
            training_curves(flat).savefig(file, format="png", dpi=80)
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
