"""What a user waits for besides the steps: seconds of commands, beside programs in PyTorch.

    python -m benchmarks.waits
    python -m benchmarks.waits --repeats 7 --json waits.json

Every command starts in a process of its own, as in a shell, in turn with the program that does the
same in `benchmarks/torch_waits.py`; medians of some repetitions. *First* is with no compiled
program cached but, where a run is resumed, those of its first command; *again* with those of the
first. PyTorch is needed: `pip install -e '.[bench]'`.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tyro

NUM_IMAGES = 50
NO_EVALUATION = ("--evaluate-every", "0")


@dataclasses.dataclass(frozen=True)
class Config:
    """Time commands, each in a process of its own."""

    repeats: int = 3
    """Number of times that every command is started."""
    json: Path | None = None
    """Where to write the seconds of each start."""


def main(config: Config) -> None:
    """Prints a table, one row per command."""
    seconds: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for repeat in range(config.repeats):
            cache = {"XDG_CACHE_HOME": str(folder / f"cache_{repeat}")}
            for what, (ours, beside) in waits(folder, repeat).items():
                first, again = (timed(ours[i % len(ours)], cache) for i in range(2))
                seconds.setdefault(what, []).append([first, again, timed(beside, {})])
    print("| | first s | again s | PyTorch s |\n|---|---|---|---|")
    for what, rows in seconds.items():
        medians = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {what} | " + " | ".join(f"{value:.1f}" for value in medians) + " |")
    if config.json is not None:
        config.json.write_text(json.dumps(seconds, indent=2) + "\n", encoding="utf-8")


def prepare(folder: Path) -> None:
    """Trains the runs for a step, and writes images and PyTorch's weights."""
    from PIL import Image

    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for i in range(NUM_IMAGES):
        pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i:02}.png")
    for words in (
        ("mnist", "--data", "digits"),
        ("autoencoder", "--data", "digits", "--task", "anomaly", "--anomaly", "3"),
        ("pix2pix", "--data", "recolored", "--crop-size", "32"),
    ):
        run = ("--num-steps", 1, *NO_EVALUATION, "--run-dir", folder / words[0])
        timed(jaxgan("train", *words, *run), {})
    timed(torch_program("prepare", folder), {})


def waits(folder: Path, repeat: int) -> dict[str, tuple[Sequence[list[str]], list[str]]]:
    """Commands by what they do: ours, in two forms where they cannot be repeated, and PyTorch's."""
    new = [folder / f"new_{repeat}_{i}" for i in range(2)]
    train = ("train", "mnist", "--data", "digits", *NO_EVALUATION, "--sample-every", 1)
    first_grid, resumed = (
        [jaxgan(*train, "--num-steps", last, "--run-dir", path) for path in new] for last in (1, 2)
    )
    mnist, image_files = folder / "mnist", folder / "images"
    one = lambda *words: [jaxgan(*words)]
    return {
        "`--help` of an experiment": (
            [[sys.executable, "-m", "experiments.mnist", "--help"]],
            [sys.executable, "-c", "import torch"],
        ),
        "a new run to its first grid": (first_grid, torch_program("train", folder)),
        "that run, resumed for a step": (resumed, torch_program("train", folder)),
        "`sample`, 64 images": (
            one("sample", mnist, "--out", folder / "ours.png"),
            torch_program("sample", folder),
        ),
        f"`translate`, {NUM_IMAGES} images of 64 pixels": (
            one("translate", folder / "pix2pix", "--input", image_files, "--out", folder / "ours"),
            torch_program("translate", folder),
        ),
        f"`anomalies` of {NUM_IMAGES} images": (
            one(
                *("anomalies", folder / "autoencoder", "--input", image_files),
                *("--out", folder / "ours.json"),
            ),
            torch_program("anomalies", folder),
        ),
    }


def jaxgan(*words: object) -> list[str]:
    """A command of jaxgan."""
    return [sys.executable, "-m", "jaxgan", *map(str, words)]


def torch_program(name: str, folder: Path) -> list[str]:
    """A program of `benchmarks/torch_waits.py`."""
    return [sys.executable, "-m", "benchmarks.torch_waits", name, str(folder)]


def timed(command: list[str], environment: dict[str, str]) -> float:
    """Seconds until a command has ended.

    Raises:
      SystemExit: it failed; with what it printed.
    """
    start = time.perf_counter()
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)} failed:\n{done.stderr}")
    return time.perf_counter() - start


if __name__ == "__main__":
    main(tyro.cli(Config))
