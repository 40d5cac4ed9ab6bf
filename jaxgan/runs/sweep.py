"""Sweeps: an experiment at every point of a grid of flags, some seeds each, in one table.

runs/sweep_mixture/
  r1=0.1/seed_0/ ...   ordinary runs (`members`)
  sweep.png            the metric of every run, by point
  sweep.json           the values of every run, by point and seed

The seeds of a point are trained by one program. With `--halvings n` the better half of the points
continues from each of n earlier steps. Every run resumes from its newest checkpoint, and so does
the sweep.
"""

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from rich.console import Console

from jaxgan.errors import NonFiniteError, RunError
from jaxgan.runs import launch
from jaxgan.runs.command_line import arguments, parser
from jaxgan.runs.config import find, presets
from jaxgan.runs.config.experiment import Config, Experiment
from jaxgan.runs.directory.files import make_folder, write_atomically
from jaxgan.runs.population import members, tables
from jaxgan.runs.session import compiled, failures


def sweep(args: arguments.Sweep, words: Sequence[str], *, prog: str = "jaxgan sweep") -> None:
    """Trains every point of the grid, and prints and draws a table.

    Args:
      args: the grid, and how it is searched.
      words: flags of the experiment, the same at all points.
      prog: name of the program, for messages.

    Raises:
      UserError: no such experiment or flag, an error of a run, or all runs diverged.
    """
    if args.seeds < 1 or args.halvings < 0:
        raise RunError(
            f"--seeds is {args.seeds} and --halvings is {args.halvings}, expected at least 1 and 0"
        )
    module = find.find(args.experiment)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    _check_names([name for name, *_ in args.grid], words)
    points = _points(module, args, words, prog)
    name = find.name_of(module.make)
    folder = _checked_folder(list(points.values()), name, args)
    if next(iter(points.values())).compilation_cache:
        compiled.enable_cache()
    make_folder(folder)
    results: dict[str, list[members.Values | None]] = {}
    remaining, scores = list(points), set[_Score | None]()
    for rung in range(args.halvings, -1, -1):
        for label in remaining:
            console.print(f"\n{label}")
            config = _shortened(points[label], 2**rung)
            group = launch.members_of(
                config, module.make, config.load_data(), folder / label, name, args.seeds
            )
            score = _score_of(group[0].experiment)
            scores.add(score)
            if rung:
                _check_comparable(scores, label, score)
            with failures.in_one_line(folder, [one.directory for one in group]):
                results[label] = _trained(group, name, console, passed=rung > 0)
            del group  # with its data, before those of the next point are loaded
        if rung:
            halved = {label: results[label] for label in remaining}
            remaining = _better_half(halved, score)
            console.print(f"\n{len(remaining)} points continue: {', '.join(remaining)}")
    _write(folder, results, remaining)
    tables.print_table(console, results)
    if score is not None:
        tables.save_comparison(folder / "sweep.png", score.metric, results)
        console.print(f"see {folder}/sweep.png")


class _Score(NamedTuple):
    """The metric by which points are compared, and whether lower or higher values are better."""

    metric: str
    mode: str


def _checked_folder(points: Sequence[Config], name: str, args: arguments.Sweep) -> Path:
    """The folder of the sweep; a `RunError` if points cannot be trained or compared in it."""
    for config in points:
        launch.check_for_several(config)
    folder = Path(points[0].run_dir or f"runs/sweep_{launch.short(name)}").expanduser()
    if (folder / "config.json").exists():
        raise RunError(f"{folder} holds a single run; choose another --run-dir for the sweep")
    if args.halvings and not all(config.evaluate_every for config in points):
        raise RunError("--halvings compares evaluations; leave out --evaluate-every 0")
    return folder


def _score_of(experiment: Experiment) -> _Score | None:
    """What the points of an experiment are compared by; `None` without evaluation."""
    evaluation = experiment.evaluation
    if evaluation is None or evaluation.best is None:
        return None
    return _Score(evaluation.best, evaluation.mode)


def _check_comparable(scores: set[_Score | None], label: str, score: _Score | None) -> None:
    """Raises a `RunError` unless all points so far have one metric to compare them by."""
    if None in scores:
        raise RunError("--halvings needs an experiment whose evaluation has a metric to compare by")
    if len(scores) > 1 and score is not None:
        raise RunError(
            f"--halvings compares all points by one metric, and {label} has {score.metric}; leave "
            "it out"
        )


def _write(
    folder: Path, results: Mapping[str, list[members.Values | None]], finished: Sequence[str]
) -> None:
    """Writes `sweep.json`; a `NonFiniteError` if all runs diverged."""
    content = {"points": _without_nan(results), "finished": finished}
    text = json.dumps(content, indent=2, allow_nan=False)
    write_atomically(folder / "sweep.json", text + "\n")
    if all(values is None for runs in results.values() for values in runs):
        raise NonFiniteError(f"all runs in {folder} diverged; choose other values of the grid")


def _without_nan(
    results: Mapping[str, Sequence[members.Values | None]],
) -> dict[str, list[dict[str, float | None] | None]]:
    """The results with `None` for values that are not finite, which JSON does not have."""
    finite = lambda values: {k: x if math.isfinite(x) else None for k, x in values.items()}
    return {
        label: [None if values is None else finite(values) for values in runs]
        for label, runs in results.items()
    }


def _points(
    module: ModuleType, args: arguments.Sweep, words: Sequence[str], prog: str = "jaxgan sweep"
) -> dict[str, Config]:
    """Configurations of all points of the grid, by label."""
    names, values = [name for name, *_ in args.grid], [values for _, *values in args.grid]
    if not args.grid or not all(values):
        raise RunError("--grid needs a flag and its values, such as --grid r1 0.1 1 10")
    points = {}
    for chosen in itertools.product(*values):
        label = ",".join(f"{name}={value}" for name, value in zip(names, chosen, strict=True))
        label = label.replace("/", "_").replace("\\", "_")  # it is the name of a folder
        if label in points:
            raise RunError(f"--grid has two points of the name {label}; leave out one of them")
        flags = [
            word
            for name, value in zip(names, chosen, strict=True)
            for word in _words(module.Config, name, value)
        ]
        given = [*words, *flags]
        default = presets.defaults(module.Config, given)
        points[label] = parser.parse(module.Config, given, default=default, prog=prog)
    return points


def _check_names(names: Sequence[str], words: Sequence[str]) -> None:
    """A `RunError` if a flag of the grid is given in another place as well, or is the sweep's."""
    flags = [_flag(name) for name in names]
    given = {word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")}
    for name, flag in zip(names, flags, strict=True):
        if flag == "--seeds":
            raise RunError(
                "--grid seeds: the number of seeds of every point is --seeds of the sweep"
            )
        if flag == "--run-dir":
            raise RunError("--grid run_dir: every point has its own folder in --run-dir")
        if flags.count(flag) > 1:
            raise RunError(f"--grid {name} is given twice; give all its values to one --grid")
        if flag in given:
            raise RunError(f"--grid {name} and {flag} are both given; leave out one of them")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _words(config_type: type[Config], name: str, value: str) -> list[str]:
    """The words of a flag and its value on a command line, where switches have no value."""
    default = getattr(config_type, name.replace("-", "_"), None)
    if not isinstance(default, bool):
        return [_flag(name), value]
    if value not in ("True", "False"):
        raise RunError(f"--grid {name}: {value} is not a value of a switch, expected True or False")
    return [_flag(name) if value == "True" else _flag(f"no-{name}")]


def _trained(
    group: list[members.Member], name: str, console: Console, *, passed: bool = False
) -> list[members.Values | None]:
    """The values of the members of a point; all `None` if all diverge."""
    try:
        return members.train(group, name, console, passed=passed)
    except NonFiniteError as error:
        console.print(str(error))
        return [None] * len(group)


def _shortened(config: Config, divisor: int) -> Config:
    if config.num_steps is None and divisor > 1:
        raise RunError("--halvings needs a number of steps; give --num-steps")
    if divisor == 1:
        return config
    assert config.num_steps is not None
    return dataclasses.replace(config, num_steps=max(1, config.num_steps // divisor))


def _better_half(
    results: Mapping[str, list[members.Values | None]], score: _Score | None
) -> list[str]:
    """The points whose mean is better, half of them, rounded up; those that diverged come last."""
    assert score is not None
    sign = -1.0 if score.mode == "max" else 1.0

    def rank(label: str) -> tuple[int, float]:
        values = [run.get(score.metric, math.nan) for run in results[label] if run is not None]
        finished = [value for value in values if not math.isnan(value)]
        mean, _ = tables.mean_and_error(finished)
        return len(results[label]) - len(finished), sign * mean if finished else 0.0

    return sorted(results, key=rank)[: -(-len(results) // 2)]
