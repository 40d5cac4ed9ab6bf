"""Time and peak memory of metrics on large samples: 50 000 x 2048 real and generated features.

    python -m benchmarks.metrics
    python -m benchmarks.metrics --rows 10000 --width 128

Each metric runs in its own process, whose peak resident memory (VmHWM) is read at the end.
"""

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tyro

from jaxgan import metrics

METRICS = {
    "frechet_distance": metrics.frechet_distance,
    "kernel_distance": metrics.kernel_distance,
    "precision_recall_density_coverage": metrics.precision_recall_density_coverage,
}
BATCH = 500


@dataclasses.dataclass(frozen=True)
class Config:
    """Print time and peak memory of metrics."""

    rows: int = 50_000
    """Number of real, and of generated, feature rows."""
    width: int = 2048
    """Number of features per row."""
    alone: str | None = None
    """Name of one metric to run in this process."""


def main(config: Config) -> None:
    """Prints a table, one row per metric."""
    if config.alone is not None:
        measure(config.alone, config.rows, config.width)
        return
    print("| metric | rows per side | width | seconds | peak GB |\n|---|---|---|---|---|")
    for name in METRICS:
        flags = ["--rows", config.rows, "--width", config.width, "--alone", name]
        command = [sys.executable, "-m", "benchmarks.metrics", *map(str, flags)]
        subprocess.run(command, check=True)


def measure(name: str, rows: int, width: int) -> None:
    """Computes a metric over random features, passed in batches as in an evaluation."""
    metric, start = METRICS[name](), time.perf_counter()
    acc, rng = metric.init(), np.random.default_rng(0)
    for _ in range(rows // BATCH):
        acc = metric.update(acc, real=rng.normal(size=(BATCH, width)).astype(np.float32))
        acc = metric.update(acc, generated=rng.normal(size=(BATCH, width)).astype(np.float32))
    metric.compute(acc)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024**2
    print(f"| {name} | {rows} | {width} | {seconds:.0f} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
