"""Presets of papers on MNIST, after equal steps and after equal time, by two judges.

    python -m benchmarks.zoo                       # the runs without a record
    python -m benchmarks.zoo --only r3gan dcgan    # these, again

First all presets take turns in one process, and the median time of their steps is measured; the
number of steps of each follows from it; a preset without a time is measured beside the defaults
later, and scaled by theirs. From then on no clock matters: the runs take as long as
they take, and a record is written to docs/results.json as soon as a run has ended, so that an
interrupted program goes on where it was.
"""

import dataclasses
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import tyro

from benchmarks import published
from experiments import mnist, presets
from jaxgan.runs.command_line import xla_flags

NAME = "presets"
SECONDS = 60.0  # of two cores, without compilation
STEPS = 100  # at which all are compared
FEATURES = 16
QUARTERS = 4  # evaluations of a run, in equal parts
SEEDS = range(3)
NUM_SAMPLES = 5000
CONTESTANTS = ("defaults", *presets.PRESETS)
JUDGES = ("mnist_classifier", "lenet5")
ABOUT = f"""Presets of `experiments/mnist.py` on MNIST (`python -m benchmarks.zoo`): the flags that
papers give, with {FEATURES} channels and batches of {mnist.Config().batch_size} unless the preset
has its own. Every run has the steps that take {SECONDS:.0f} seconds on two cores, measured
beforehand with all presets taking turns. Scores after {STEPS} steps, at the best of {QUARTERS}
evaluations, and at the end: medians over seeds, and all values at the end. The score is the Fréchet
distance between {NUM_SAMPLES} samples and the 10 000 test images, over the features of LeNet-5,
trained for these tables and used for nothing else, and over those of the digit classifier in the
package. After the same few steps the defaults lead, and of the presets `sngan` and `r3gan`, whose
networks are those of later papers; after a minute of two cores, in which these take a hundred or
two hundred steps, the presets whose steps are cheap. The papers train for hours on GPUs. Seed 0 of
`r3gan` alone, for twenty minutes of two cores: 556, 364, 257, 203, 192 over LeNet-5 after 300, 600,
1200, 1800 and 2400 steps, 98.9, 103, 45.5, 30.0, 22.1 over the other: still improving, and behind
what DCGAN reaches in a minute. (Its row was measured before its groups were a loop, with which a
step takes 0.7 of that time.)"""
HEADS = ("preset", "LeNet-5", "mnist_classifier", "seeds")


@dataclasses.dataclass(frozen=True)
class Config:
    """Train and judge the presets of papers."""

    only: tuple[str, ...] = ()
    """Names of presets to run again; default: all runs without a record."""
    seeds: tuple[int, ...] = tuple(SEEDS)
    """Seeds."""
    times: bool = False
    """Only measure the times of the steps, again."""
    json: Path = published.ROOT / "docs" / "results.json"
    """File of the results."""


def main(config: Config) -> None:
    """Runs the presets one by one, and writes the results after each."""
    xla_flags.set_flags()
    from benchmarks import zoo_runs

    if unknown := sorted(set(config.only) - set(CONTESTANTS)):
        print(f"error: no preset {', '.join(unknown)}", file=sys.stderr)
        sys.exit(2)
    results = read(config.json)
    times = {} if config.times else results.get("milliseconds", {})
    if missing := [name for name in CONTESTANTS if name not in times]:
        measure = lambda names: zoo_runs.milliseconds(names, FEATURES)
        results |= {"milliseconds": completed(times, missing, measure)}
        if not times:
            results["machine"] = published.machine()
        write(config.json, results)
    if config.times:
        return
    judges: Any = None
    for seed in config.seeds:
        for name in config.only or CONTESTANTS:
            known = {(record["preset"], record["seed"]) for record in results["records"]}
            if (name, seed) in known and not config.only:
                continue
            judges = judges or zoo_runs.make_judges()
            num_steps = max(STEPS, round(1000 * SECONDS / results["milliseconds"][name]))
            marks = {STEPS, *(num_steps * part // QUARTERS for part in range(1, QUARTERS + 1))}
            record = zoo_runs.run(name, seed, FEATURES, marks, judges, num_samples=NUM_SAMPLES)
            results = read(config.json)  # another process may have written
            others = [r for r in results["records"] if (r["preset"], r["seed"]) != (name, seed)]
            results["records"] = [*others, record]
            write(config.json, results)
            print(record, flush=True)


def completed(
    times: dict[str, float],
    missing: Sequence[str],
    measure: Callable[[Sequence[str]], dict[str, float]],
) -> dict[str, float]:
    """Times of steps, with those of missing presets.

    The latter are measured beside the defaults, whose time says how fast the machine is today.
    """
    if not times:
        return measure(missing)
    today = measure(["defaults", *missing])
    scale = times["defaults"] / today["defaults"]
    return times | {name: round(scale * today[name], 2) for name in missing}


# ---- the table


def read(path: Path) -> dict[str, Any]:
    """What is known of the presets."""
    return json.loads(path.read_text(encoding="utf-8")).get(NAME, {"records": []})


def write(path: Path, results: dict[str, Any]) -> None:
    """Writes the records, and the page if the file is that of the results."""
    everything = json.loads(path.read_text(encoding="utf-8"))
    rows = [row(name, results) for name in CONTESTANTS if of(name, results)]
    minutes = sum(record["cpu_seconds"] for record in results["records"]) / 60
    everything[NAME] = results | {
        "about": ABOUT,
        "heads": HEADS,
        "minutes": f"{minutes:.0f} CPU",
        "rows": rows,
    }
    path.write_text(json.dumps(everything, indent=2) + "\n")
    page = path.with_suffix(".md")
    if page.exists():
        page.write_text(published.page(everything))


def of(name: str, results: dict[str, Any]) -> list[dict[str, Any]]:
    """Records of a preset, by seed."""
    found = [record for record in results["records"] if record["preset"] == name]
    return sorted(found, key=lambda record: record["seed"])


def row(name: str, results: dict[str, Any]) -> dict[str, str]:
    """Row of a preset."""
    records, time_of_step = of(name, results), results["milliseconds"][name]
    cells = []
    for judge in JUDGES:
        scores = [{int(k): x[judge] for k, x in r["scores"].items()} for r in records]
        final = [score[max(score)] for score in scores]
        middle = [
            statistics.median(score[STEPS] for score in scores),
            statistics.median(min(score.values()) for score in scores),
            statistics.median(final),
        ]
        cells.append(f"{join(middle)} ({join(final)})")
    what = f"`{name}`, {records[0]['steps']} steps of {time_of_step:.3g} ms"
    seeds = ", ".join(str(record["seed"]) for record in records)
    return {"what": what, "published": cells[1], "value": cells[0], "seeds": seeds}


def join(values: Iterable[float]) -> str:
    """Numbers of three digits, separated by commas."""
    return ", ".join(f"{value:.3g}" for value in values)


if __name__ == "__main__":
    main(tyro.cli(Config))
