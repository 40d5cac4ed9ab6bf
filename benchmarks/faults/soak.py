"""A long run with evaluations, grids and checkpoints: its memory, handles and threads are flat."""

import re
import signal
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.faults.kills import finish, start

EVERY = 5.0  # seconds between measurements
WARM_UP = 1 / 3  # share of the time


def soak(num: int, seed: int) -> dict[str, int]:
    """Slope of memory in KB a minute, and growth of handles and threads, after `num` seconds."""
    with tempfile.TemporaryDirectory() as temporary:
        process = start(Path(temporary) / "run", num_steps=10**8, seed=seed)
        rows, began = [], time.monotonic()
        while time.monotonic() < began + num and process.poll() is None:
            time.sleep(EVERY)
            rows.append((time.monotonic() - began, *measured(process.pid)))
        process.send_signal(signal.SIGTERM)
        status, text = finish(process)
        assert status == 128 + signal.SIGTERM, text[-2000:]
        steps = int(re.findall(r"at step (\d+)", text)[-1])
    seconds, memory, handles, threads = np.array(rows[int(WARM_UP * len(rows)) :]).T
    slope = np.polyfit(seconds / 60, memory, 1)[0] / 1024
    return {
        "steps": steps,
        "memory at the end, MB": round(memory[-1] / 2**20),
        "slope of memory, KB a minute": round(slope),
        "growth of handles": int(handles[-1] - handles[0]),
        "growth of threads": int(threads[-1] - threads[0]),
    }


def measured(pid: int) -> tuple[int, int, int]:
    """Resident bytes, open files and threads of a process, on Linux."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    number = lambda name: int(re.search(rf"{name}:\s+(\d+)", status)[1])
    return 1024 * number("VmRSS"), len(list(Path(f"/proc/{pid}/fd").iterdir())), number("Threads")
