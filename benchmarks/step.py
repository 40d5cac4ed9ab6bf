"""Time of the GAN training step in jaxgan, in PyTorch, and with flax's own layers.

    python -m benchmarks.step
    python -m benchmarks.step --workload W2 W3 --repeats 9 --json step.json

The implementations are timed in interleaved blocks of steps, so that other load on the machine
affects all of them; the result is the ratio of medians. Then each implementation starts in its own
process, for the time to its first step and its peak memory. The comparison needs PyTorch:
`pip install torch==2.13.0` (any CPU build), or the extra `bench`. Without it, only jaxgan and plain
flax are timed.
"""

import dataclasses
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from jaxgan.runs.command_line import xla_flags

Step = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Config:
    """Time one GAN training step in several implementations, interleaved."""

    workload: tuple[str, ...] = ("W1", "W2", "W3", "W4-GP", "W4-R1", "W5-1", "W5-4")
    """Workloads, defined in benchmarks/workloads.py."""
    repeats: int = 7
    """Number of timed blocks per implementation."""
    seconds: float = 1.0
    """Minimum duration of a block, which has at least one step."""
    plain: bool = True
    """Time flax's own layers too; they take seconds per step on a CPU."""
    compiled: bool = True
    """Time PyTorch's networks under torch.compile too, which takes a C++ compiler and a minute."""
    alone: bool = True
    """Start each implementation in its own process too, for start-up time and memory."""
    json: Path | None = None
    """Where to write the records."""


def main(config: Config) -> None:
    """Prints two tables, one row per workload."""
    xla_flags.set_flags()
    from benchmarks.workloads import WORKLOADS

    if unknown := set(config.workload) - set(WORKLOADS):
        raise SystemExit(f"error: no workload {', '.join(unknown)}; there are {list(WORKLOADS)}")
    with_torch = importlib.util.find_spec("torch") is not None
    if not with_torch:
        print("PyTorch is not installed: no comparison; pip install torch==2.13.0")
    peak = gemm_gflops()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; ", end="")
    print(f"float32 matrix product {peak:.0f} GFLOP/s\n")
    heads = ["jaxgan ms", "PyTorch ms", "compiled ms", "ratio", "plain flax ms", "speed-up"]
    print_row("workload", *heads, "of peak")
    print_row(*["---"] * 8)
    records = []
    for name in config.workload:
        records.append(measure(name, config, with_torch) | {"gemm_gflops": peak})
        print_times(records[-1])
    if config.alone:
        print("\nIn its own process: seconds to the first step, and peak MiB\n")
        print_row("workload", "cold s", "warm s", "PyTorch s", "MiB", "PyTorch MiB")
        print_row(*["---"] * 6)
        for record in records:
            record["alone"] = measure_alone(record["workload"], with_torch)
            print_alone(record)
    if config.json is not None:
        config.json.write_text(json.dumps(records, indent=2) + "\n")


# ---- step times, interleaved in one process


def measure(name: str, config: Config, with_torch: bool) -> dict[str, Any]:
    """Median step time of each implementation, in milliseconds."""
    from benchmarks.workloads import OURS, PLAIN, WORKLOADS, make_step

    workload = WORKLOADS[name]
    steps: dict[str, Step] = {}
    steps["jaxgan"], flops = make_step(workload, OURS)
    if with_torch:
        from benchmarks import torch_workloads

        steps["torch"] = torch_workloads.make_step(workload)
        if config.compiled and workload.compiles:
            steps["torch compiled"] = torch_workloads.make_step(workload, compiled=True)
    if config.plain and workload.has_plain:
        steps["plain"], _ = make_step(workload, PLAIN, share_minibatches=False)
    times = interleaved(steps, config)
    medians = {name: 1e3 * statistics.median(values) for name, values in times.items()}
    return {"workload": name, "gflop": flops / 1e9, "milliseconds": medians}


def interleaved(steps: dict[str, Step], config: Config) -> dict[str, list[float]]:
    """Times of all steps in seconds, measured in interleaved blocks per implementation."""
    for step in steps.values():
        step()  # compiles and warms up
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(config.repeats):
        for name, step in steps.items():
            end = time.perf_counter() + config.seconds
            while True:
                start = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - start)
                if time.perf_counter() > end:
                    break
    return times


def print_times(record: dict[str, Any]) -> None:
    """Prints a row of the first table; the ratio is to the faster of PyTorch eager and compiled."""
    times = record["milliseconds"]
    ours, plain = times["jaxgan"], times.get("plain")
    torch = [times.get(name) for name in ("torch", "torch compiled")]
    theirs = [value for value in torch if value is not None]
    share = record["gflop"] / ours * 1e3 / record["gemm_gflops"]
    print_row(
        record["workload"],
        f"{ours:.1f}",
        *("-" if value is None else f"{value:.1f}" for value in torch),
        f"{ours / min(theirs):.2f}" if theirs else "-",
        *((f"{plain:.0f}", f"{plain / ours:.1f}x") if plain else ("-", "-")),
        f"{share:.0%}",
    )


# ---- start-up time and memory, one process per implementation


def measure_alone(name: str, with_torch: bool) -> dict[str, dict[str, float]]:
    """Seconds from process start to first step, and peak memory, of each implementation."""
    with tempfile.TemporaryDirectory() as cache:
        results = {"cold": started(name, "jaxgan", cache), "warm": started(name, "jaxgan", cache)}
    return results | ({"torch": started(name, "torch")} if with_torch else {})


def started(name: str, implementation: str, cache: str | None = None) -> dict[str, float]:
    """Report of a fresh process: seconds to the first step, and peak memory."""
    more = {} if cache is None else {"JAX_COMPILATION_CACHE_DIR": cache}
    command = [sys.executable, "-m", "benchmarks.alone", name, implementation]
    start = time.time()
    done = subprocess.run(command, env=os.environ | more, check=True, capture_output=True)
    report = json.loads(done.stdout)
    return {"seconds": report["first_step"] - start, "peak_mib": report["peak_mib"]}


def print_alone(record: dict[str, Any]) -> None:
    """Prints a row of the second table."""
    results = record["alone"]
    seconds = [f"{results[k]['seconds']:.1f}" if k in results else "-" for k in STARTS]
    memory = [f"{results[k]['peak_mib']:.0f}" if k in results else "-" for k in ("warm", "torch")]
    print_row(record["workload"], *seconds, *memory)


STARTS = ("cold", "warm", "torch")


def print_row(*cells: str) -> None:
    """Prints a row of a Markdown table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def gemm_gflops(size: int = 2048, repeats: int = 9) -> float:
    """Rate of a matrix product in GFLOP/s, the best of several."""
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
