"""Runs that are killed and started again: nothing is lost, doubled or different.

A small run is killed (`kill -9`) at a random moment of its start, of a save, of an evaluation, or
at any other one, and started again with the same command, until it has its end. Its state, lines,
evaluations, points in TensorBoard and grids are then those of a run that was never killed.
"""

import collections
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event, SessionLog

from benchmarks.faults.watched import TookTooLong, at_most
from jaxgan import checkpoint
from jaxgan.runs.directory.logs import read_evaluations, read_metrics

FLAGS = {"num_steps": 2000, "log_every": 10, "sample_every": 500}
FLAGS |= {"checkpoint_every": 50, "evaluate_every": 250}
MOMENTS = ("start", "save", "save", "evaluation", "any")
SECONDS = 300  # after which a run hangs
PER_RUN = 4


def kills(num: int, seed: int) -> dict[str, int]:
    """Number of kills by moment, and of runs that end otherwise than one without kills."""
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        finish(start(root / "whole"))
        expected = outcome(root / "whole")
        for run in range(-(-num // PER_RUN)):
            directory, rng = root / str(run), random.Random(f"{seed} {run}")
            for _ in range(min(PER_RUN, num - run * PER_RUN)):
                moment = rng.choice(MOMENTS)
                counts[f"killed: {moment if killed(directory, moment, rng) else 'too late'}"] += 1
            try:
                with at_most(SECONDS):
                    status, text = finish(start(directory))
            except TookTooLong:
                counts["HANG"] += 1
                continue
            counts["runs"] += 1
            if status:
                counts["ERROR"] += 1
                print(f"run {run} ended with status {status}: {text[-2000:]}", flush=True)
                continue
            for name, value in outcome(directory).items():
                if value != expected[name]:
                    counts[f"DIFFERENT {name}"] += 1
                    print(f"run {run}: another {name}: {differences(value, expected[name])}")
    return dict(counts)


def killed(directory: Path, moment: str, rng: random.Random) -> bool:
    """Starts a run, and kills it at a moment; whether the moment came before its end."""
    process, began = start(directory), time.monotonic()
    delay = rng.uniform(0.0, 8.0) if moment == "start" else rng.uniform(0.0, 4.0)
    came: dict[str, Callable[[], bool]] = {
        "start": lambda: time.monotonic() > began + delay,
        "save": lambda: any(directory.glob("checkpoints/*tmp*")) and rng.random() < 0.1,
        "evaluation": lambda: _evaluates(directory),
        "any": lambda: (directory / "metrics.jsonl").exists() and rng.random() < 0.002,
    }
    while process.poll() is None and not came[moment]():
        time.sleep(0.0005)
    alive = process.poll() is None
    process.kill()
    process.communicate()
    return alive


def _evaluates(directory: Path) -> bool:
    """Whether the last logged step is one that is evaluated, and has no evaluation yet."""
    try:
        step = read_metrics(directory / "metrics.jsonl")[-1]["step"]
        done = [entry["step"] for entry in read_evaluations(directory / "evaluation.json")]
    except (IndexError, ValueError):
        return False
    return step % FLAGS["evaluate_every"] == 0 and step not in done


def start(directory: Path, *, within: tuple[str, ...] = (), **flags: object) -> subprocess.Popen:
    """`python -m benchmarks.faults.small` with flags, started by the command `within`."""
    pairs = {**FLAGS, "run_dir": directory, **flags}
    words = [w for name, x in pairs.items() for w in (f"--{name.replace('_', '-')}", str(x))]
    return subprocess.Popen(
        [*within, sys.executable, "-m", "benchmarks.faults.small", *words],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Exit status and output of a process."""
    try:
        text = process.communicate()[0]
    finally:
        process.kill()
    return process.returncode, text


def outcome(directory: Path) -> dict[str, object]:
    """All that a run leaves and that does not depend on time."""
    state = checkpoint.restore_plain(directory / "checkpoints")
    steps = sorted(int(path.name) for path in (directory / "checkpoints").iterdir())
    lines = [
        {name: value for name, value in record.items() if name != "seconds"}
        for record in read_metrics(directory / "metrics.jsonl")
    ]
    grids = {path.name: path.read_bytes() for path in (directory / "samples").iterdir()}
    return {
        "digest": checkpoint.digest(state),
        "checkpoints": {
            step: checkpoint.read_record(directory / "checkpoints", step) for step in steps
        },
        "lines": lines,
        "evaluations": read_evaluations(directory / "evaluation.json"),
        "points": points(directory / "tensorboard"),
        "grids": grids,
        "animation": (directory / "samples.gif").read_bytes(),
        "health": json.loads((directory / "health.json").read_text(encoding="utf-8"))
        if (directory / "health.json").exists()
        else None,
    }


def points(folder: Path) -> list[tuple[int, str, float]]:
    """Scalars in event files, as TensorBoard shows them: a start removes those of later steps."""
    found: list[tuple[int, str, float]] = []
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_ctime_ns):
        content = path.read_bytes()
        while len(content) > 12:  # a length, its checksum, an event, its checksum
            (size,) = struct.unpack("<Q", content[:8])
            if len(content) < 16 + size:
                break  # cut short by a kill
            event = Event.FromString(content[12 : 12 + size])
            if event.session_log.status == SessionLog.START:
                found = [point for point in found if point[0] < event.step]
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            content = content[16 + size :]
    return found


def differences(value: object, expected: object) -> str:
    """A short text on how two values differ."""
    if isinstance(value, list) and isinstance(expected, list):
        pairs = enumerate(zip(value, expected, strict=False))
        first = next((i for i, (a, b) in pairs if a != b), None)
        return f"{len(value)} and {len(expected)} entries, the first other one is {first}"
    return f"{str(value)[:200]} and {str(expected)[:200]}"
