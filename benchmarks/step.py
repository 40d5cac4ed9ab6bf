"""The GAN step against PyTorch's on the same work, and against flax's own layers.

    python -m benchmarks.step
    python -m benchmarks.step --workload W2 W3 --repeats 9 --json step.json

Every form takes its steps in turn, again and again, so that whatever else the machine does meets
all of them; what counts is the ratio of medians. Then every form starts in a process of its own,
for the time to its first step and its memory. PyTorch is wanted: `pip install torch==2.13.0` (any
CPU build), or the extra `bench`. Without it, jaxgan and plain flax are timed alone.
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

from jaxgan.runs import xla_flags

Step = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Config:
    """Times one GAN step in several forms, interleaved."""

    workload: tuple[str, ...] = ("W1", "W2", "W3", "W4-GP", "W4-R1", "W5-1", "W5-4")
    """Which of benchmarks/workloads.py."""
    repeats: int = 7
    """How often each form has its turn."""
    seconds: float = 1.0
    """How long a turn is, at least one step."""
    plain: bool = True
    """Time flax's own layers too, turn by turn; they take seconds per step on a CPU."""
    compiled: bool = True
    """Time PyTorch's networks under torch.compile too, which takes a C++ compiler and a minute."""
    alone: bool = True
    """Start every form in a process of its own too, for start-up and memory."""
    json: Path | None = None
    """Where to write the records."""


def main(config: Config) -> None:
    """Prints two tables, a row per workload."""
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
        print("\nIn a process of its own: seconds to the first step, and MiB at most\n")
        print_row("workload", "cold s", "warm s", "PyTorch s", "MiB", "PyTorch MiB")
        print_row(*["---"] * 6)
        for record in records:
            record["alone"] = measure_alone(record["workload"], with_torch)
            print_alone(record)
    if config.json is not None:
        config.json.write_text(json.dumps(records, indent=2) + "\n")


# ---- one process, the forms taking turns


def measure(name: str, config: Config, with_torch: bool) -> dict[str, Any]:
    """Medians in milliseconds of every form's steps."""
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
    medians = {form: 1e3 * statistics.median(values) for form, values in times.items()}
    return {"workload": name, "gflop": flops / 1e9, "milliseconds": medians}


def interleaved(steps: dict[str, Step], config: Config) -> dict[str, list[float]]:
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


def print_times(record: dict[str, Any]) -> None:
    """A row of the first table. The ratio is to PyTorch's better form."""
    found = record["milliseconds"]
    ours, plain = found["jaxgan"], found.get("plain")
    theirs = [found[form] for form in ("torch", "torch compiled") if form in found]
    share = record["gflop"] / ours * 1e3 / record["gemm_gflops"]
    print_row(
        record["workload"],
        f"{ours:.1f}",
        *(f"{found[form]:.1f}" if form in found else "-" for form in ("torch", "torch compiled")),
        f"{ours / min(theirs):.2f}" if theirs else "-",
        *((f"{plain:.0f}", f"{plain / ours:.1f}x") if plain else ("-", "-")),
        f"{share:.0%}",
    )


# ---- a process for each form


def measure_alone(name: str, with_torch: bool) -> dict[str, dict[str, float]]:
    """Seconds from start to first step, and the largest memory, of processes of their own."""
    with tempfile.TemporaryDirectory() as cache:
        found = {"cold": started(name, "jaxgan", cache), "warm": started(name, "jaxgan", cache)}
    return found | ({"torch": started(name, "torch")} if with_torch else {})


def started(name: str, form: str, cache: str | None = None) -> dict[str, float]:
    """What a fresh process reports."""
    more = {} if cache is None else {"JAX_COMPILATION_CACHE_DIR": cache}
    command = [sys.executable, "-m", "benchmarks.alone", name, form]
    start = time.time()
    done = subprocess.run(command, env=os.environ | more, check=True, capture_output=True)
    report = json.loads(done.stdout)
    return {"seconds": report["first_step"] - start, "peak_mib": report["peak_mib"]}


def print_alone(record: dict[str, Any]) -> None:
    """A row of the second table."""
    found = record["alone"]
    cells = [f"{found[form]['seconds']:.1f}" if form in found else "-" for form in FORMS_ALONE]
    memory = [f"{found[f]['peak_mib']:.0f}" if f in found else "-" for f in ("warm", "torch")]
    print_row(record["workload"], *cells, *memory)


FORMS_ALONE = ("cold", "warm", "torch")


def print_row(*cells: str) -> None:
    """A row of a table in Markdown."""
    print("| " + " | ".join(cells) + " |", flush=True)


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
