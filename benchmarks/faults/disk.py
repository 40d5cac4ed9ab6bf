"""Disks that fill up, files that may not grow and directories that vanish, while a run trains.

The run ends with one line that says what to do. With space again, the same command ends with the
state of a run that had space. Needs Linux, and root for the small disk (`unshare -rm` will do).
"""

import collections
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.faults.kills import finish, outcome, start

FLAGS = {"num_steps": 400, "checkpoint_every": 20, "log_every": 10}
FLAGS |= {"sample_every": 100, "evaluate_every": 100}
ROOMY = 256 * 2**20


def disk(num: int, seed: int) -> dict[str, int]:
    """Number of runs by outcome: `num` on small disks, and as many of each other kind."""
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        finish(start(root / "whole", **FLAGS))
        expected = outcome(root / "whole")
        taken = sum(path.stat().st_size for path in (root / "whole").rglob("*"))
        for i in range(num):
            rng = random.Random(f"{seed} {i}")
            size = int(rng.uniform(0.1, 1.2) * taken)
            counts[f"small disk: {on_small_disk(root / f'disk{i}', size, expected)}"] += 1
            limit = int(rng.uniform(500, 40_000))
            counts[f"small files: {with_small_files(root / f'files{i}', limit, expected)}"] += 1
            counts[f"deleted: {deleted(root / f'deleted{i}')}"] += 1
    return dict(counts)


def on_small_disk(mount: Path, size: int, expected: dict[str, object]) -> str:
    """A run on a tmpfs of a size, which then grows."""
    mount.mkdir()
    mounted = lambda options: subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", mount], check=True
    )
    mounted(f"size={size}")
    try:
        said = one_line(*finish(start(mount / "run", **FLAGS)))
        mounted(f"remount,size={ROOMY}")
        return said if said.isupper() else f"{said}, then {ended(mount / 'run', expected)}"
    finally:
        subprocess.run(["umount", mount], check=True)


def with_small_files(directory: Path, limit: int, expected: dict[str, object]) -> str:
    """A run none of whose files may be larger, and then one without that limit."""
    said = one_line(*finish(start(directory, within=("prlimit", f"--fsize={limit}"), **FLAGS)))
    return said if said.isupper() else f"{said}, then {ended(directory, expected)}"


def deleted(directory: Path) -> str:
    """A run whose directory is deleted after its first checkpoint."""
    process = start(directory, **FLAGS | {"num_steps": 100_000})
    while process.poll() is None and not any(directory.glob("checkpoints/[1-9]*0")):
        pass
    shutil.rmtree(directory, ignore_errors=True)
    return one_line(*finish(process))


def one_line(status: int, text: str) -> str:
    """What a program said at its end, where it says one line, and something in capitals if not."""
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    if status == 0:
        return "nothing happened"
    if status != 2 or len(lines) != 1 or "Traceback" in text:
        print(f"status {status}: {text[-3000:]}", flush=True)
        return "TRACEBACK"
    return "one line"


def ended(directory: Path, expected: dict[str, object]) -> str:
    """How the same command ends with space again."""
    status, text = finish(start(directory, **FLAGS))
    if status:
        print(f"status {status}: {text[-3000:]}", flush=True)
        return "ERROR"
    found = outcome(directory)
    other = [name for name in expected if found[name] != expected[name]]
    return f"OTHER {', '.join(other)}" if other else "as if nothing had happened"
