"""What the files of a run say, read without building its networks: status, metrics, images."""

import contextlib
import dataclasses
import datetime
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.errors import UserError
from jaxgan.runs.config import find
from jaxgan.runs.config.experiment import Config
from jaxgan.runs.config.presets import with_preset
from jaxgan.runs.directory.config_json import read_config_json
from jaxgan.runs.directory.files import of_steps
from jaxgan.runs.directory.logs import read_evaluations, read_health, read_metrics

MAX_RECORDS = 5000  # about; each takes 40 microseconds to read


class RecordedRun(NamedTuple):
    """The record of a run, finished or not.

    Attributes:
      directory: directory of the run.
      record: content of its `config.json`.
      metrics: its metrics, one `{"step": ..., "seconds": ..., "player/name": ...}` per logged step;
        of a long log, every k-th and the last.
      evaluations: its evaluations, `{"step": ..., "records": [...]}`, by increasing step.
      best_by: metric by which an evaluation is the best; `None` if there is none.
      best_step: step of the best evaluation; `None` if there is none.
      grids: image files of its samples by step, by increasing step.
      health: signs of failing that it noticed, of its `health.json`: `notes`, a list of
        `{"step": ..., "text": ...}`, and `rollbacks`, a list of `{"to": step, "why": ...}`.
    """

    directory: Path
    record: Mapping[str, Any]
    metrics: Sequence[Mapping[str, float]]
    evaluations: Sequence[Mapping[str, Any]]
    best_by: str | None
    best_step: int | None
    grids: Mapping[int, Path]
    health: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of its directory."""
        return self.directory.resolve().name

    @property
    def step(self) -> int:
        """Its last logged step; 0 if there is none."""
        return int(self.metrics[-1]["step"]) if self.metrics else 0

    @property
    def status(self) -> str:
        """How far it is, in words."""
        if not self.metrics:
            return "no step is logged yet"
        last = self.record["config"]["num_steps"]
        seconds = datetime.timedelta(seconds=round(self.metrics[-1]["seconds"]))
        if last is not None and self.step >= last:
            return f"complete: {self.step:,} steps in {seconds}"
        of = "" if last is None else f" of {last:,}"
        return f"step {self.step:,}{of}, after {seconds}"

    def value(self, name: str, step: int) -> float | None:
        """Value of a metric at the evaluation of a step, if it is recorded."""
        return next(
            (
                record["value"]
                for entry in self.evaluations
                for record in entry["records"]
                if (entry["step"], record["name"]) == (step, name)
            ),
            None,
        )


def read_run(directory: str | Path) -> RecordedRun:
    """Reads the record of a run.

    Raises:
      RunError: the directory holds no run, or its `config.json` is damaged or another program's.

    Example:
      >>> read_run("runs/mnist").status  # doctest: +SKIP
      'complete: 10,000 steps in 0:04:31'
    """
    directory = Path(directory)
    record = read_config_json(directory)
    entries, best_by, best_step = _evaluations(directory / "evaluation.json")
    try:
        health = read_health(directory / "health.json")
    except ValueError:
        health = {"notes": [], "rollbacks": []}
    grids = of_steps(directory / "samples", ".png")
    return RecordedRun(
        directory,
        record,
        read_metrics(directory / "metrics.jsonl", most=MAX_RECORDS),
        entries,
        best_by,
        best_step,
        {int(grid.stem.removeprefix("step_")): grid for grid in grids},
        health,
    )


def command(run: RecordedRun, config_type: type[Config] | None = None) -> str:
    """The command line that repeats or continues a run: every flag that is not at its default.

    Args:
      run: the run.
      config_type: the `Config` of its experiment, with the defaults; by default it is found by its
        name. If it is not found, or is another version, all recorded flags are given.

    Example:
      >>> command(read_run("runs/mnist"))  # doctest: +SKIP
      'jaxgan train mnist --loss hinge'
    """
    if config_type is None:
        with contextlib.suppress(UserError):
            config_type = find.of_run(run.directory, run.record["experiment"]).Config
    recorded, defaults = run.record["config"], {}
    if config_type is not None:
        with contextlib.suppress(UserError):  # a preset that this version lacks
            defaults = dataclasses.asdict(with_preset(config_type, recorded.get("preset")))
    words = ["jaxgan", "train", run.record["experiment"]]
    for name, value in recorded.items():
        if name == "from_step":  # which was for once
            continue
        value = tuple(value) if isinstance(value, list) else value
        if (name == "preset" and value is not None) or value != defaults.get(name, ...):
            words += _flag(name.replace("_", "-"), value)
    return shlex.join(words)


def _evaluations(path: Path) -> tuple[list[dict[str, Any]], str | None, int | None]:
    """Evaluations, and the metric and step of the best; none if the file is damaged."""
    content = _json(path)
    best_by, best_step = content.get("best_by"), content.get("best_step")
    try:
        entries = read_evaluations(path)
    except ValueError:
        entries = []
    if best_step not in [entry["step"] for entry in entries] or not isinstance(best_by, str | None):
        return [], None, None
    return entries, best_by, best_step


def _json(path: Path) -> dict[str, Any]:
    """Content of a file; nothing if there is none, or if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _flag(name: str, value: Any) -> list[str]:
    """A flag as tyro parses it."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    values = value if isinstance(value, tuple) else (value,)
    return [f"--{name}", *map(str, values)]
