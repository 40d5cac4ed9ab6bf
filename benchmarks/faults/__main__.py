"""Faults put into runs, checkpoints and files on purpose, with a table of what became of them.

    python -m benchmarks.faults corruptions --num 1000
    python -m benchmarks.faults kills --num 100

Any outcome in capital letters is a fault of jaxgan: a wrong value, something lost without a word, a
traceback, a crash, a hang. Needs POSIX. Figures: docs/reliability.md.
"""

import importlib
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

HARNESSES = Literal["kills", "corruptions", "fuzz", "hostile", "disk", "processes", "soak"]
NUM = {"kills": 100, "corruptions": 1000, "fuzz": 50_000, "hostile": 200, "soak": 3600}


def main(harness: Annotated[HARNESSES, Positional], num: int | None = None, seed: int = 0) -> None:
    """Run a harness, and print its table.

    Args:
      harness: kills and starts of a run; corruptions of checkpoints; fuzz, mutated files of all
        kinds; hostile, files that try to do something; disk, which fills up; processes, two in a
        directory; soak, a long run.
      num: number of kills, corruptions or files; seconds of soak.
      seed: seed of what is random.
    """
    module = importlib.import_module(f"benchmarks.faults.{harness}")
    counts = getattr(module, harness)(NUM.get(harness, 1) if num is None else num, seed)
    print("| outcome | number |\n|---|---|")
    for outcome, number in sorted(counts.items()):
        print(f"| {outcome} | {number} |")


if __name__ == "__main__":
    tyro.cli(main)
