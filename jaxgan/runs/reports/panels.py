"""Curves of runs as the data of a page's plots: what is in one panel, and what to read in it."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jaxgan.runs.directory.recorded import RecordedRun

MAX_POINTS = 2000  # of a curve; of longer ones, every k-th point

TITLES = {
    "loss": (
        "Losses",
        "They compare the players with each other, and do not measure the samples: look for one "
        "that runs away or falls to 0, not for low values.",
    ),
    "output": (
        "D on real and on generated images",
        "Means of D. Where they are probabilities, 1/2 on both means that D cannot tell them "
        "apart, and 1 and 0 that it always can: the generator then learns little.",
    ),
    "gradient_norm": (
        "Gradient norms",
        "A norm that grows many times over comes before divergence; one of 0 means that the "
        "player learns nothing.",
    ),
}

Panel = dict[str, Any]
"""`{"title", "caption", "floor", "curves": [{"name", "steps", "values"}]}`."""


def of_run(run: RecordedRun) -> list[Panel]:
    """Panels of one run: a panel for metrics of equal names, and one for each evaluation metric."""
    groups: dict[str, list[str]] = {}
    for name in _names(run.metrics):
        groups.setdefault(_group(name), []).append(name)
    panels = []
    known = [name for name in TITLES if name in groups]
    for group in dict.fromkeys([*known, *groups]):
        title, caption = TITLES.get(group, (group.replace("_", " "), ""))
        curves = [_curve(_label(name, groups[group]), run.metrics, name) for name in groups[group]]
        panels.append(_panel(title, curves, caption=caption))
    for name, floor in _measured(run).items():
        curve = _curve("value", _evaluated(run), name)
        if len(curve["steps"]) > 1:
            panels.append(_panel(name, [curve], floor=floor))
    return panels


def of_runs(runs: Mapping[str, RecordedRun]) -> list[Panel]:
    """Panels of several runs by name: one for each metric, with a curve for each run."""
    panels = []
    for name in dict.fromkeys(name for run in runs.values() for name in _names(run.metrics)):
        curves = [_curve(label, run.metrics, name) for label, run in runs.items()]
        panels.append(_panel(name, curves))
    measured = [_measured(run) for run in runs.values()]
    for name in dict.fromkeys(name for floors in measured for name in floors):
        floors = {floors[name] for floors in measured if name in floors}
        curves = [_curve(label, _evaluated(run), name) for label, run in runs.items()]
        panels.append(_panel(name, curves, floor=floors.pop() if len(floors) == 1 else None))
    return panels


# ---- helpers of the above


def _panel(
    title: str, curves: Sequence[Panel], *, caption: str = "", floor: float | None = None
) -> Panel:
    shown = [curve for curve in curves if curve["steps"]]
    return {"title": title, "caption": caption, "floor": floor, "curves": shown}


def _curve(label: str, rows: Sequence[Mapping[str, float]], name: str) -> Panel:
    """The finite values of a name, and their steps."""
    points = [(row["step"], row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]
    stride = math.ceil(len(points) / MAX_POINTS) or 1
    thinned = [*points[:-1:stride], *points[-1:]]
    return {
        "name": label,
        "steps": [step for step, _ in thinned],
        "values": [value for _, value in thinned],
    }


def _names(rows: Sequence[Mapping[str, float]]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name not in ("step", "seconds")]


def _evaluated(run: RecordedRun) -> list[dict[str, float]]:
    """Values of the evaluations in the form of the metrics."""
    return [
        {"step": entry["step"]} | {record["name"]: record["value"] for record in entry["records"]}
        for entry in run.evaluations
    ]


def _measured(run: RecordedRun) -> dict[str, float | None]:
    """Floors by name, of all metrics of the evaluations."""
    records = (record for entry in run.evaluations for record in entry["records"])
    return {record["name"]: record.get("floor") for record in records}


def _group(name: str) -> str:
    """The part of `player/name` that metrics in one panel share."""
    return re.sub("^(real|fake)_", "", name.rpartition("/")[2])


def _label(name: str, names: Sequence[str]) -> str:
    """What tells a metric from the others of its panel."""
    player, _, last = name.rpartition("/")
    kinds = {"real": "real", "fake": "generated"}
    kind = kinds.get(last.partition("_")[0], "") if _group(name) != last else ""
    several = len({other.rpartition("/")[0] for other in names}) > 1
    return " ".join(word for word in (player if several else "", kind) if word) or player
