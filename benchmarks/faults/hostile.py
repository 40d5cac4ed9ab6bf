"""Files from strangers that try something: nothing is executed, or read from beyond the file.

PyTorch files have tensors of random shapes, strides and offsets, and pickles that call functions;
run directories name code that lies in them or beside them. All values that come back are those of
the file, which are all different; what is executed would leave a file behind. The files are read in
a process of their own, so that its crash is an outcome.
"""

import collections
import io
import json
import multiprocessing
import os
import random
import struct
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from benchmarks.faults.watched import TookTooLong, at_most
from jaxgan.errors import UserError
from jaxgan.runs.load import load_run
from jaxgan.weights import load_torch

SECONDS = 10
DATA = np.arange(1000, 1016, dtype=np.float32)
CALLS = [
    ("os", "system", "touch {}"),
    ("posix", "system", "touch {}"),
    ("builtins", "eval", "open({!r}, 'w')"),
    ("builtins", "exec", "open({!r}, 'w')"),
    ("subprocess", "getoutput", "touch {}"),
    ("torch", "load", "{}"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__", "{}"),
]
NAMES = [
    "{folder}/code.py", "{folder}/../other/code.py", "{folder}/link.py", "code", "run.code",
    "other.code", "os.path/../code", "..code", "", "\0", "code:make", "jaxgan.../code",
]  # fmt: skip


def hostile(num: int, seed: int) -> dict[str, int]:
    """Number of hostile files and directories by outcome; what is wrong is printed."""
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as temporary:
        for i in range(num):
            rng = random.Random(f"{seed} {i}")
            folder = Path(temporary) / str(i)
            folder.mkdir()
            reader = rng.choice([_tensors, _tensors, _calls, _directory])
            # Forked, which takes no time; jax is not used in either process.
            process = multiprocessing.get_context("fork").Process(
                target=_watch, args=(reader, folder, rng)
            )
            process.start()
            process.join()
            found = (
                (folder / "outcome").read_text(encoding="utf-8")
                if not process.exitcode
                else "CRASH"
            )
            if (folder / "canary").exists():
                found = "EXECUTED"
            counts[f"{reader.__name__.strip('_')}: {found.partition(':')[0]}"] += 1
            if found not in ("read", "refused"):
                print(f"{i} {reader.__name__}: {found}", flush=True)
    return dict(counts)


def _watch(reader, folder: Path, rng: random.Random) -> None:
    """Writes what becomes of a file to `outcome`."""
    try:
        with at_most(SECONDS):
            found = reader(folder, rng)
    except UserError as error:
        found = "refused" if "\n" not in str(error) else f"SEVERAL LINES: {error!r}"
    except TookTooLong:
        found = "HANG"
    except BaseException as error:
        found = f"FOREIGN {type(error).__name__}: {error}"
    (folder / "outcome").write_text(found)
    os._exit(0)


def _tensors(folder: Path, rng: random.Random) -> str:
    """A tensor anywhere."""
    rank = rng.randrange(5)
    number = lambda: rng.choice(
        [0, 1, 2, 3, 4, 8, 15, 16, 17, 1000, -1, -2, -1000, 1001, 10**9, -(10**9), 2**62, -(2**63)]
    )
    small = lambda: rng.randrange(5)
    one = rng.choice([number, small])
    shape, strides = [one() for _ in range(rank)], [one() for _ in range(rank)]
    tensor = _tensor(shape, strides, one())
    (folder / "w.pth").write_bytes(_zip(b"\x80\x02}" + _text("w") + tensor + b"s."))
    values = load_torch(folder / "w.pth")["w"]
    return "read" if np.isin(values, DATA).all() else f"FOREIGN VALUES: {shape} {strides}"


def _calls(folder: Path, rng: random.Random) -> str:
    """A call of a function, in one of the ways in which a pickle calls one."""
    module, name, argument = rng.choice(CALLS)
    text = _text(argument.format(str(folder / "canary")))
    as_global = f"c{module}\n{name}\n".encode()
    pickled = rng.choice(
        [
            b"\x80\x02" + as_global + b"(" + text + b"tR.",
            b"\x80\x04" + _text(module) + _text(name) + b"\x93" + text + b"\x85R.",
            b"(" + text + f"i{module}\n{name}\n.".encode(),
            b"(" + as_global + text + b"o.",
            b"\x80\x02" + as_global + text + b"\x85\x81.",
            b"\x80\x02" + _tensor([1], [1], 0) + as_global + text + b"\x85R\x86b.",
        ]
    )
    (folder / "w.pth").write_bytes(_zip(pickled))
    load_torch(folder / "w.pth")
    return "READ"


def _directory(folder: Path, rng: random.Random) -> str:
    """A run directory that names code."""
    run, other = folder / "run", folder / "other"
    for place in (run, other, run / "code:make"):
        place.mkdir(exist_ok=True)
    for file in (run / "code.py", other / "code.py", folder / "code.py"):
        file.write_text(f"open({str(folder / 'canary')!r}, 'w')")
    (run / "link.py").symlink_to(other / "code.py")
    os.chdir(rng.choice([run, folder, "/"]))
    sys.path[:0] = ["", str(folder), str(run)]
    record = {
        "experiment": rng.choice(NAMES).format(folder=run),
        "config": {},
        "data": {"name": "a", "source": "b", "fingerprint": "c"},
        "sessions": [{"versions": {}}],
    }
    (run / "config.json").write_text(json.dumps(record))
    load_run(run)
    return "READ"


def _tensor(shape: list[int], strides: list[int], offset: int) -> bytes:
    what = _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu") + b"K\x10"
    numbers = lambda values: b"(" + b"".join(map(_number, values)) + b"t"
    arguments = b"(" + what + b"tQ" + _number(offset) + numbers(shape) + numbers(strides) + b"\x89)"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def _number(value: int) -> bytes:
    content = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def _zip(pickled: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/data/0", DATA.tobytes())
    return stream.getvalue()
