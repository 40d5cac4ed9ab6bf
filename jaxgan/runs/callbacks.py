"""Callbacks for `loop.fit`: what is to happen between rounds.

A callback is a function `(step, state, metrics) -> None`. Those below that keep something open (a
log, signal handlers) are context managers.
"""

import contextlib
import dataclasses
import datetime
import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from tensorboardX import SummaryWriter

from jaxgan.parallel import multihost
from jaxgan.errors import NonFiniteError
from jaxgan.evaluation import Evaluation
from jaxgan.runs.curves import save_curves
from jaxgan.runs.files import write_atomically
from jaxgan.loop import Callback, StopTraining
from jaxgan.metrics import Records
from jaxgan.training import TrainState
from jaxgan.types import Metrics


def every(period: int, callback: Callback, *, last: int | None = None) -> Callback:
    """Calls the callback in steps that are multiples of the period, and in the `last` one.

    Example:
      >>> callback = every(100, lambda step, state, metrics: print(step))
    """

    def occasionally(step: int, state: TrainState, metrics: Metrics) -> None:
        if step % period == 0 or step == last:
            callback(step, state, metrics)

    return occasionally


def flatten(metrics: Metrics) -> dict[str, float]:
    """`{player: {name: scalar}}` as `{"player/name": float}`; waits for the values.

    Example:
      >>> flatten({"generator": {"loss": 0.5}})
      {'generator/loss': 0.5}
    """
    leaves = jax.tree_util.tree_flatten_with_path(jax.device_get(metrics))[0]
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): float(leaf) for path, leaf in leaves
    }


def check_finite(step: int, state: TrainState, metrics: Metrics) -> None:
    """Ends a run that has diverged, before another checkpoint is spoilt.

    Raises:
      NonFiniteError: a metric is not finite; the message names it.
    """
    for name, value in flatten(metrics).items():
        if not math.isfinite(value):
            raise NonFiniteError(f"{name} is {value} at step {step}")


@contextlib.contextmanager
def metrics_log(path: Path, tensorboard: Path, *, step: int = 0) -> Iterator[Callback]:
    """Appends metrics to a JSON Lines file and to TensorBoard event files.

    Args:
      path: the JSON Lines file, one `{"step": ..., "seconds": ..., "player/name": ...}` a line.
      tensorboard: folder of the event files.
      step: where the run goes on: what either holds of later steps was never checkpointed, will be
        computed again, and is dropped.

    Yields:
      The callback.
    """
    kept = [record for record in read_records(path) if record["step"] <= step]
    write_atomically(path, "".join(json.dumps(record) + "\n" for record in kept))
    before = kept[-1]["seconds"] if kept else 0.0
    start = time.perf_counter()
    with (
        path.open("a", buffering=1) as file,
        contextlib.closing(
            # The suffix keeps apart the files of runs that start within one second.
            SummaryWriter(str(tensorboard), purge_step=step + 1, filename_suffix=f".{step}")
        ) as writer,
    ):

        def log(step: int, state: TrainState, metrics: Metrics) -> None:
            values = flatten(metrics)
            seconds = round(before + time.perf_counter() - start, 3)
            file.write(json.dumps({"step": step, "seconds": seconds, **values}) + "\n")
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        yield log


def read_records(path: Path) -> list[dict[str, float]]:
    """The records of a JSON Lines file; a last line cut short by a crash is left out."""
    records = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            records.append(json.loads(line))
    return records


def curves(path: Path, log: Path) -> Callback:
    """Draws the curves of a metrics log into a picture."""

    def draw(step: int, state: TrainState, metrics: Metrics) -> None:
        records = read_records(log) if multihost.is_main() else []
        if records:
            save_curves(path, records)

    return draw


def pictures(folder: Path, draw: Callable[[Path, TrainState], None]) -> Callback:
    """Writes `step_<step>.png` into a folder, as `draw(path, state)` draws it."""
    return lambda step, state, metrics: draw(folder / f"step_{step:07d}.png", state)


class Evaluations:
    """Evaluations of a run, one after the other, kept in a JSON file.

    The file has `evaluations`, a list of `{"step": ..., "records": [...]}`, the `best_step` and
    `best_by`, the metric that decides which one it is.

    Args:
      path: the file.
      evaluate: from `evaluation.evaluator`.
      evaluation: which metric decides, and whether it is minimised or maximised.
      console: where a line is printed.
      step: where the run is resumed: what the file holds of later steps was never checkpointed, is
        computed again, and is dropped.

    Example:
      >>> evaluations = Evaluations(path, evaluate, evaluation, Console())  # doctest: +SKIP
      >>> score = evaluations(1000, state)  # doctest: +SKIP
    """

    def __init__(
        self,
        path: Path,
        evaluate: Callable[[TrainState], Records],
        evaluation: Evaluation,
        console: Console,
        *,
        step: int = 0,
    ) -> None:
        self._path, self._evaluate, self._console = path, evaluate, console
        self._best_by, self._sign = evaluation.best, 1.0 if evaluation.mode == "max" else -1.0
        entries = json.loads(path.read_text())["evaluations"] if path.exists() else []
        self._entries = [entry for entry in entries if entry["step"] <= step]

    def __call__(self, step: int, state: TrainState) -> float:
        """Evaluates the state; returns its score, by which a larger one is better."""
        records = self._evaluate(state)
        listed = [dataclasses.asdict(record) for record in records.values()]
        self._entries.append({"step": step, "records": listed})
        best = max(self._entries, key=self._score)["step"]
        if multihost.is_main():
            content = {"best_by": self._best_by, "best_step": best, "evaluations": self._entries}
            write_atomically(self._path, json.dumps(content, indent=2) + "\n")
        first = str(records[self._best_by] if self._best_by else next(iter(records.values())))
        text = f"{first}, best at step {best}" if self._best_by else first
        self._console.print(f"evaluation at step {step}: {text}; {len(records)} records in {self._path}")
        return self._score(self._entries[-1])

    def _score(self, entry: dict[str, Any]) -> float:
        values = {record["name"]: record["value"] for record in entry["records"]}
        return self._sign * values[self._best_by] if self._best_by else float(entry["step"])


class StopOnSignal:
    """Ends training after the step in which a signal comes; a second one ends the program at once.

    A context manager, and two callbacks within: `agree` finds out whether a signal came to any
    process of the run, and the object itself then ends the training.

    Attributes:
      received: the signal that all have agreed on, or `None`.

    Example:
      >>> with StopOnSignal(signal.SIGTERM) as stop:
      ...     fit(..., callbacks=[stop.agree, stop])  # doctest: +SKIP
    """

    def __init__(self, *signals: signal.Signals) -> None:
        self.received: signal.Signals | None = None
        self._noted = 0
        self._signals = signals
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopOnSignal":
        self._previous = {number: signal.signal(number, self._note) for number in self._signals}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def __call__(self, step: int, state: TrainState, metrics: Metrics) -> None:
        if self.received is not None:
            raise StopTraining

    def agree(self, step: int, state: TrainState, metrics: Metrics) -> None:
        """To be called in the same steps by all processes; costs nothing where there is one."""
        if number := multihost.all_reduce_max(self._noted):
            self.received = signal.Signals(number)

    def _note(self, number: int, frame: object) -> None:
        self._noted = number
        signal.signal(number, self._previous[number])


@contextlib.contextmanager
def progress(console: Console, *, start: int, num_steps: int) -> Iterator[Callback]:
    """Shows steps/s, time left and every player's loss: a bar on a terminal, plain lines elsewhere.

    Args:
      console: where to.
      start, num_steps: the steps between which the run goes.

    Yields:
      The callback. It waits for the metrics, so call it now and then only.
    """
    pace = _pace(num_steps)
    if not console.is_terminal:

        def line(step: int, state: TrainState, metrics: Metrics) -> None:
            text = f"step {step}/{num_steps}  {_losses(metrics)}  {pace(step)}"
            console.print(text.rstrip())

        yield line
        return

    columns = [
        BarColumn(),
        MofNCompleteColumn(),
        *(TextColumn(f"{{task.fields[{field}]}}") for field in ("losses", "pace")),
    ]
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=num_steps, completed=start, losses="compiling", pace="")

        def move(step: int, state: TrainState, metrics: Metrics) -> None:
            bar.update(task, completed=step, losses=_losses(metrics), pace=pace(step))

        yield move


def _losses(metrics: Metrics) -> str:
    return "  ".join(f"{player} {float(m['loss']):.3f}" for player, m in metrics.items())


def _pace(num_steps: int) -> Callable[[int], str]:
    """Steps per second and time left, measured from the first call on: compiling does not count."""
    first: list[tuple[int, float]] = []

    def pace(step: int) -> str:
        now = time.perf_counter()
        if not first or step <= first[0][0]:
            first[:] = [(step, now)]
            return ""
        rate = (step - first[0][0]) / (now - first[0][1])
        left = datetime.timedelta(seconds=round((num_steps - step) / rate))
        return f"{rate:.1f} steps/s  {left} left"

    return pace
