"""Callbacks for `loop.fit`, called after every update.

A callback is a function `(step, state, metrics) -> None`. Those that hold resources (log files,
signal handlers) are context managers.
"""

import contextlib
import dataclasses
import json
import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
from rich.console import Console

from jaxgan import live
from jaxgan.curves import training_curves
from jaxgan.errors import RunError
from jaxgan.evaluation import Evaluation
from jaxgan.files import replacing
from jaxgan.loop import Callback, StopTraining
from jaxgan.metrics import Records
from jaxgan.parallel import multihost
from jaxgan.runs.directory.files import put_aside, write_atomically
from jaxgan.runs.directory.logs import read_evaluations, read_metrics
from jaxgan.runs.session.trackers import Logger
from jaxgan.training import TrainState
from jaxgan.tree import by_path
from jaxgan.types import Metrics

T = TypeVar("T")

MAX_POINTS = 5000  # of a curve in `losses.png`, which is drawn again for every grid


def every(period: int, callback: Callback, *, last: int | None = None) -> Callback:
    """Calls a callback at multiples of the period, and at the `last` step.

    Example:
      >>> callback = every(100, lambda step, state, metrics: print(step))
    """

    def periodic(step: int, state: TrainState, metrics: Metrics) -> None:
        if step % period == 0 or step == last:
            callback(step, state, metrics)

    return periodic


def flatten(metrics: Metrics) -> dict[str, float]:
    """Flattens `{player: {name: scalar}}` to `{"player/name": float}`; blocks until available.

    Example:
      >>> flatten({"generator": {"loss": 0.5}})
      {'generator/loss': 0.5}
    """
    return {name: float(leaf) for name, leaf in by_path(jax.device_get(metrics)).items()}


@contextlib.contextmanager
def metrics_log(path: Path, loggers: Sequence[Logger] = (), *, step: int = 0) -> Iterator[Callback]:
    """Callback that appends metrics to a JSON Lines file, and passes them to loggers.

    Args:
      path: the JSON Lines file, with one `{"step": ..., "seconds": ..., "player/name": ...}` per
        line.
      loggers: functions `(step, {"player/name": value}) -> None`, such as trackers.
      step: the step from which the run resumes. Entries of later steps, which were not checkpointed
        and will be computed again, are deleted. Of a file with damaged lines, a copy is kept.

    Yields:
      The callback.
    """
    with warnings.catch_warnings(record=True) as damaged:
        warnings.simplefilter("always")
        earlier = [record for record in read_metrics(path) if record["step"] <= step]
    if damaged:
        aside = put_aside(path)
        warnings.warn(f"{damaged[0].message}; the file is kept as {aside}", stacklevel=3)
    write_atomically(path, "".join(json.dumps(record) + "\n" for record in earlier))
    earlier_seconds = earlier[-1]["seconds"] if earlier else 0.0
    start = time.perf_counter()
    with path.open("a", buffering=1, encoding="utf-8") as file:

        def log(step: int, state: TrainState, metrics: Metrics) -> None:
            values = flatten(metrics)
            seconds = round(earlier_seconds + time.perf_counter() - start, 3)
            file.write(json.dumps({"step": step, "seconds": seconds, **values}) + "\n")
            for logger in loggers:
                logger(step, values)

        yield log


def curves(path: Path, log: Path) -> Callback:
    """Callback that plots the training curves of a metrics log, of a long one thinned."""

    def plot(step: int, state: TrainState, metrics: Metrics) -> None:
        records = read_metrics(log, most=MAX_POINTS) if multihost.is_main() else []
        if records:
            points = [(int(record["step"]), record) for record in records]
            with replacing(path) as part:
                training_curves(points, vertical=True).savefig(part, dpi=110)

    return plot


def save_images(folder: Path, draw: Callable[[Path, TrainState], None]) -> Callback:
    """Callback that writes `step_<step>.png` into a folder with `draw(path, state)`."""
    return lambda step, state, metrics: draw(folder / f"step_{step:07d}.png", state)


class Evaluations:
    """Evaluations of a run, stored in a JSON file.

    The file has `evaluations`, a list of `{"step": ..., "records": [...]}`, the `best_step`, and
    `best_by`, the metric by which it is best.

    Args:
      path: the JSON file.
      evaluate: from `evaluation.evaluator`.
      evaluation: the metric for the best step, and whether it is minimised or maximised.
      console: console for a line per evaluation.
      loggers: functions `(step, {"evaluation/name": value}) -> None`, such as trackers.
      step: the step from which the run resumes. Evaluations of later steps, which were not
        checkpointed and will be computed again, are deleted.

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
        loggers: Sequence[Logger] = (),
        *,
        step: int = 0,
    ) -> None:
        self._loggers = loggers
        self._path, self._evaluate, self._console = path, evaluate, console
        self._best_by, self._sign = evaluation.best, 1.0 if evaluation.mode == "max" else -1.0
        try:
            entries = read_evaluations(path)
        except ValueError as error:
            entries = []
            warnings.warn(f"{error}; it is kept as {put_aside(path)}", stacklevel=2)
        self._entries = [entry for entry in entries if entry["step"] <= step]
        for entry in self._entries:
            names = [record["name"] for record in entry["records"]]
            if self._best_by and self._best_by not in names:
                raise RunError(
                    f"{path} has {', '.join(names)}, and not {self._best_by}, by which these flags "
                    "compare checkpoints; keep --evaluate-features, and use `jaxgan evaluate "
                    "--features` for others"
                )

    def __call__(self, step: int, state: TrainState) -> float:
        """Evaluates the state, and returns its score; higher is better."""
        self._console.print(f"evaluating step {step}")
        records = self._evaluate(state)
        listed = [dataclasses.asdict(record) for record in records.values()]
        self._entries.append({"step": step, "records": listed})
        best = max(self._entries, key=self._score)["step"]
        if multihost.is_main():
            content = {"best_by": self._best_by, "best_step": best, "evaluations": self._entries}
            write_atomically(self._path, json.dumps(content, indent=2) + "\n")
        values = {f"evaluation/{record.name}": record.value for record in records.values()}
        for logger in self._loggers:
            logger(step, values)
        first = str(records[self._best_by] if self._best_by else next(iter(records.values())))
        text = f"{first}, best at step {best}" if self._best_by else first
        self._console.print(
            f"evaluation at step {step}: {text}; {len(records)} records in {self._path}"
        )
        return self._score(self._entries[-1])

    def values(self) -> tuple[str, dict[int, float]]:
        """The metric for the best step, and its values by step; none without such a metric."""
        found = {
            entry["step"]: record["value"]
            for entry in self._entries
            for record in entry["records"]
            if record["name"] == self._best_by
        }
        return self._best_by or "", found

    def _score(self, entry: dict[str, Any]) -> float:
        if not self._best_by:
            return float(entry["step"])
        values = {record["name"]: record["value"] for record in entry["records"]}
        score = self._sign * values[self._best_by]
        return -math.inf if math.isnan(score) else score


class StopOnSignal:
    """Ends training after the current update when a signal is received.

    The first signal restores its previous handler, so a second one has its usual effect and ends
    the program at once. All handlers are restored on exit. What takes long and can be done again,
    such as an evaluation, is ended at once (`interruptible`).

    A context manager with two callbacks: `agree` synchronises the processes on whether any of them
    received a signal, and the object itself then ends training.

    Attributes:
      received: the signal on which all processes have agreed, or `None`.
      interrupted: whether it interrupted something.

    Example:
      >>> with StopOnSignal(signal.SIGTERM) as stop:
      ...     fit(..., callbacks=[stop.agree, stop])  # doctest: +SKIP
    """

    def __init__(self, *signals: signal.Signals) -> None:
        self.received: signal.Signals | None = None
        self.interrupted = False
        self._pending = 0
        self._interrupting = False
        self._signals = signals
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopOnSignal":
        self._previous = {number: signal.signal(number, self._handle) for number in self._signals}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def __call__(self, step: int, state: TrainState, metrics: Metrics) -> None:
        if self.received is not None:
            raise StopTraining

    def agree(self, step: int, state: TrainState, metrics: Metrics) -> None:
        """Callback that all processes must call at the same steps; free for a single process."""
        if number := multihost.all_reduce_max(self._pending):
            self.received = signal.Signals(number)

    def interruptible(self, function: Callable[[TrainState], T]) -> Callable[[TrainState], T]:
        """The function, ended by a signal at once, with the error `Interrupted`.

        In one of several processes it is not, since the others would wait for this one.
        """

        def wrapped(state: TrainState) -> T:
            try:
                self._interrupting = jax.process_count() == 1
                result = function(state)
                self._interrupting = False
            except Interrupted:
                self.interrupted, self.received = True, signal.Signals(self._pending)
                raise
            finally:
                self._interrupting = False
            return result

        return wrapped

    def _handle(self, number: int, frame: object) -> None:
        self._pending = number
        signal.signal(number, self._previous[number])
        if self._interrupting:
            raise Interrupted


class Interrupted(BaseException):
    """Raised by a signal in `StopOnSignal.interruptible`; no `except Exception` catches it."""


@contextlib.contextmanager
def progress(console: Console, *, start: int, num_steps: int | None) -> Iterator[Callback]:
    """Callback that shows progress: steps/s, time left and losses, as a bar or as plain lines.

    Args:
      console: the console; a progress bar on a terminal, a line per call otherwise.
      start, num_steps: the first and the last step; `None` if the last is not known.

    Yields:
      The callback. It blocks until the metrics are available; call it only every few steps.
    """
    if console.is_terminal:
        with live.progress_bar(console, start=start, num_steps=num_steps) as draw:
            yield draw
        return
    speed = live.speed(num_steps)

    def line(step: int, state: TrainState, metrics: Metrics) -> None:
        text = f"step {step}/{num_steps or '?'}  {live.losses(metrics)}  {speed(step)}"
        console.print(text.rstrip())

    yield line
