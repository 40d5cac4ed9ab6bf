"""One implementation of one workload in its own process: time of the first step, and peak memory.

    python -m benchmarks.alone W2 jaxgan

`benchmarks.step` runs it and records the start time of the process.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

from jaxgan.runs.command_line import xla_flags

NUM_STEPS = 5


def main(name: str, implementation: str) -> None:
    """Prints `{"first_step": seconds since 1970, "peak_mib": ...}`."""
    if implementation == "torch":
        from benchmarks import torch_workloads
        from benchmarks.workloads import WORKLOADS

        step = torch_workloads.make_step(WORKLOADS[name])
    else:
        xla_flags.set_flags()
        import jax

        from benchmarks.workloads import OURS, PLAIN, WORKLOADS, make_step

        if "JAX_COMPILATION_CACHE_DIR" in os.environ:  # as in the experiments
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
            jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        step, _ = make_step(WORKLOADS[name], OURS if implementation == "jaxgan" else PLAIN)
    step()
    first_step = time.time()
    for _ in range(NUM_STEPS - 1):
        step()
    print(json.dumps({"first_step": first_step, "peak_mib": peak_memory()}))


def peak_memory() -> float:
    """Peak resident memory of this process in MiB, on Linux; `getrusage` includes the parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
