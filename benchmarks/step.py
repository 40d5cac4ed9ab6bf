"""The GAN step against PyTorch's on the same work, and against flax's own layers.

    python -m benchmarks.step
    python -m benchmarks.step --workload W2 W3 --repeats 9 --json step.json

Every form takes its steps in turn, again and again, so that whatever else the machine does meets
all of them; what counts is the ratio of medians. PyTorch is wanted: `pip install torch==2.13.0`
(any CPU build), or the extra `bench`. Without it, jaxgan and plain flax are timed alone.
"""

import dataclasses
import importlib.util
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import tyro

from jaxgan import xla


@dataclasses.dataclass(frozen=True)
class Config:
    """Times one GAN step in several forms, interleaved."""

    workload: tuple[str, ...] = ("W1", "W2", "W3", "W4-GP", "W4-R1")
    """Which of benchmarks/workloads.py."""
    repeats: int = 7
    """How often each form has its turn."""
    seconds: float = 1.0
    """How long a turn is, at least one step."""
    plain: bool = True
    """Time flax's own layers too, turn by turn; they take seconds per step on a CPU."""
    json: Path | None = None
    """Where to write the records."""


def main(config: Config) -> None:
    """Prints a table, a row per workload."""
    xla.set_flags()
    from benchmarks.workloads import WORKLOADS

    if unknown := set(config.workload) - set(WORKLOADS):
        raise SystemExit(f"error: no workload {', '.join(unknown)}; there are {list(WORKLOADS)}")
    with_torch = importlib.util.find_spec("torch") is not None
    if not with_torch:
        print("PyTorch is not installed: no comparison; pip install torch==2.13.0")
    peak = gemm_gflops()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; ", end="")
    print(f"float32 matrix product {peak:.0f} GFLOP/s\n")
    print("| workload | jaxgan ms | PyTorch ms | ratio | plain flax ms | speed-up | of peak |")
    print("|---|---|---|---|---|---|---|")
    records = []
    for name in config.workload:
        records.append(measure(name, config, with_torch) | {"gemm_gflops": peak})
        print(row(records[-1]), flush=True)
    if config.json is not None:
        config.json.write_text(json.dumps(records, indent=2) + "\n")


def measure(name: str, config: Config, with_torch: bool) -> dict[str, Any]:
    """Medians in milliseconds of every form's steps."""
    from benchmarks.workloads import OURS, PLAIN, WORKLOADS, make_step

    workload = WORKLOADS[name]
    steps = {}
    steps["jaxgan"], flops = make_step(workload, OURS)
    if with_torch:
        from benchmarks import torch_workloads

        steps["torch"] = torch_workloads.make_step(workload)
    if config.plain and workload.base is not None:
        steps["plain"], _ = make_step(workload, PLAIN, share_draws=False)
    times = interleaved(steps, config)
    medians = {form: 1e3 * statistics.median(values) for form, values in times.items()}
    return {"workload": name, "gflop": flops / 1e9, "milliseconds": medians}


def interleaved(steps: dict[str, Any], config: Config) -> dict[str, list[float]]:
    """Seconds of every step, the forms taking turns."""
    for step in steps.values():
        step()  # compiled, and warm
        step()
    times: dict[str, list[float]] = {form: [] for form in steps}
    for _ in range(config.repeats):
        for form, step in steps.items():
            end = time.perf_counter() + config.seconds
            while True:
                start = time.perf_counter()
                step()
                times[form].append(time.perf_counter() - start)
                if time.perf_counter() > end:
                    break
    return times


def row(record: dict[str, Any]) -> str:
    """A row of the table."""
    found = record["milliseconds"]
    ours = found["jaxgan"]
    share = record["gflop"] / ours * 1e3 / record["gemm_gflops"]
    cells = [record["workload"], f"{ours:.1f}", *4 * ["-"]]
    if "torch" in found:
        cells[2:4] = f"{found['torch']:.1f}", f"{ours / found['torch']:.2f}"
    if "plain" in found:
        cells[4:6] = f"{found['plain']:.0f}", f"{found['plain'] / ours:.1f}x"
    return "| " + " | ".join([*cells, f"{share:.0%}"]) + " |"


def gemm_gflops(size: int = 2048, repeats: int = 9) -> float:
    """The best of several matrix products, in GFLOP/s."""
    import jax
    import jax.numpy as jnp

    a = jnp.ones((size, size), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        product(a).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


if __name__ == "__main__":
    main(tyro.cli(Config))
