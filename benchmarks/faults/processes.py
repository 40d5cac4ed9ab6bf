"""Two processes in one run directory: the later one is refused, and the first one not disturbed."""

import collections
import signal
import tempfile
from pathlib import Path

from benchmarks.faults.disk import FLAGS, one_line
from benchmarks.faults.kills import finish, outcome, start


def processes(num: int, seed: int) -> dict[str, int]:
    """Number of later processes by outcome; every other time, the first one is killed before."""
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        finish(start(root / "whole", **FLAGS))
        expected = outcome(root / "whole")
        for i in range(num):
            directory = root / str(i)
            first = start(directory, **FLAGS)
            while not (directory / "metrics.jsonl").exists():
                assert first.poll() is None, finish(first)
            if i % 2:
                first.kill()
                first.communicate()
                counts["after a kill: " + same(directory, expected)] += 1
                continue
            first.send_signal(signal.SIGSTOP)  # so that it does not end before the second begins
            try:
                second = start(directory, **FLAGS)
                counts[f"meanwhile: {one_line(*finish(second))}"] += 1
            finally:
                first.send_signal(signal.SIGCONT)
            finish(first)
            counts["the first: " + same(directory, expected)] += 1
    return dict(counts)


def same(directory: Path, expected: dict[str, object]) -> str:
    """Whether the command ends with what is expected."""
    status, text = finish(start(directory, **FLAGS))
    if status:
        print(text[-2000:], flush=True)
        return "ERROR"
    found = outcome(directory)
    other = [name for name in expected if found[name] != expected[name]]
    return f"OTHER {', '.join(other)}" if other else "as if alone"
