"""Time and peak memory of metrics on large samples: 50 000 x 2048 real and generated features.

    python -m benchmarks.metrics
    python -m benchmarks.metrics --rows 10000 --width 128

Each metric runs in its own process, whose peak resident memory (VmHWM) is read at the end. The last
row is the yardstick of precision, recall, density and coverage: the same neighbours and comparisons
by scikit-learn's brute force, in float32 without corrections.
"""

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tyro

from jaxgan import metrics


def by_scikit_learn() -> metrics.Metric:
    """Precision, recall, density and coverage, k = 5, by scikit-learn's brute force."""
    from sklearn.metrics import pairwise_distances_chunked
    from sklearn.neighbors import NearestNeighbors

    def radii(x: np.ndarray) -> np.ndarray:
        return NearestNeighbors(n_neighbors=6, algorithm="brute").fit(x).kneighbors(x)[0][:, -1]

    def compute(real: np.ndarray, generated: np.ndarray) -> metrics.Records:
        of_real, of_generated = radii(real), radii(generated)
        start, precise, balls = 0, 0, 0
        covered, recalled = np.zeros(len(real), bool), np.zeros(len(real), bool)
        for distances in pairwise_distances_chunked(generated, real):
            rows = slice(start, start + len(distances))
            start, inside = rows.stop, distances < of_real
            precise, balls = precise + inside.any(axis=1).sum(), balls + inside.sum()
            covered |= inside.any(axis=0)
            recalled |= (distances <= of_generated[rows, None]).any(axis=0)
        n = len(generated)
        values = {"precision": precise / n, "density": balls / 5 / n}
        values |= {"coverage": covered.mean(), "recall": recalled.mean()}
        return {name: metrics.MetricRecord(name, float(value)) for name, value in values.items()}

    return metrics.collecting(compute, features=metrics.RAW)


METRICS = {
    "frechet_distance": metrics.frechet_distance,
    "kernel_distance": metrics.kernel_distance,
    "kernel_distance_of_all_pairs": lambda: metrics.kernel_distance(subsets=0),
    "precision_recall_density_coverage": metrics.precision_recall_density_coverage,
    "the_same_by_scikit_learn": by_scikit_learn,
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
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024**2
    print(f"| {name} | {rows} | {width} | {seconds:.0f} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
