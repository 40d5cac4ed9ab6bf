"""Mutated files of all kinds that are read: each is read, or refused in a line that names it."""

import collections
import dataclasses
import gzip
import io
import json
import pickle
import random
import re
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.faults import small
from benchmarks.faults.mutations import damaged
from benchmarks.faults.watched import TookTooLong, at_most
from jaxgan.data.decode import ImageOptions, decode, read_header
from jaxgan.data.idx import read_idx, write_idx
from jaxgan.errors import UserError
from jaxgan.runs.directory import exported
from jaxgan.runs.directory.config_json import read_config, read_config_json
from jaxgan.runs.directory.logs import read_evaluations, read_metrics
from jaxgan.runs.load import load_run
from jaxgan.weights import load_torch, safetensors

SECONDS = 10
MIB = 2**20
PIXELS = 1024 * MIB  # of an image, for which Pillow's limit on the number of pixels holds
PLAIN = 64 * MIB  # of any other file, beside the multiple
MULTIPLE = 1100  # of the file's size; gzip's largest factor is 1032


class Kind(NamedTuple):
    """A kind of file: its name, a content, and what reads it."""

    name: str
    content: bytes
    read: Callable[[Path], object]
    memory: int = PLAIN


def fuzz(num: int, seed: int) -> dict[str, int]:
    """Number of mutated files by outcome; what is wrong is printed."""
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        choices = kinds(Path(temporary))
        for kind in choices:  # each is good; what it imports is not charged to a mutant
            (Path(temporary) / kind.name).write_bytes(kind.content)
            kind.read(Path(temporary) / kind.name)
        for i in range(num):
            rng = random.Random(f"{seed} {i}")
            kind = rng.choice(choices)
            what, content = damaged(kind.content, rng)
            for _ in range(rng.choice([0, 0, 0, 1, 3])):
                what, content = damaged(content, rng)
            path = Path(temporary) / kind.name
            path.write_bytes(content)
            found = outcome(kind, path, len(content))
            counts[found.partition(":")[0]] += 1
            if found not in ("read", "refused"):
                print(f"{i}: {kind.name}, {what}: {found}", flush=True)
    return dict(counts)


def outcome(kind: Kind, path: Path, size: int) -> str:
    """What becomes of a file: read, refused, or a name of what is wrong."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = memory("VmRSS")
    try:
        with at_most(SECONDS):
            kind.read(path)
    except UserError as error:
        if "\n" in str(error) or str(path) not in str(error):
            return f"UNNAMED: {error}"
        result = "refused"
    except TookTooLong:
        return "HANG"
    except BaseException as error:
        return f"FOREIGN {type(error).__name__}: {str(error)[:200]}"
    else:
        result = "read"
    taken = memory("VmHWM") - before
    return result if taken <= kind.memory + MULTIPLE * size else f"MEMORY: {taken / MIB:.0f} MiB"


def memory(name: str) -> int:
    """A number of bytes of this process, on Linux."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(re.search(rf"{name}:\s+(\d+) kB", status)[1])


# ---- kinds


def kinds(folder: Path) -> list[Kind]:
    """All kinds of files."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 48, 3), np.uint8)
    pixels[:, 8:] //= 32  # so that it is compressed
    saved = lambda name, **flags: _saved(pixels, name, **flags)
    half = lambda path: decode(path, ImageOptions(size=(16, 16)), channels=1, side="left")
    log = "".join(
        json.dumps({"step": step, "seconds": 0.1 * step, "g/loss": 0.5}) + "\n"
        for step in range(30)
    )
    records = [{"name": "fid", "value": 3.0, "num_real": 5}]
    entries = [{"step": step, "records": records} for step in (10, 20)]
    evaluations = {"best_by": "fid", "best_step": 10, "evaluations": entries}
    return [
        Kind("a.png", saved("PNG"), _decode, PIXELS),
        Kind("palette.png", _saved(pixels[..., 0], "PNG", mode="P"), _decode, PIXELS),
        Kind("a.jpg", saved("JPEG"), _decode, PIXELS),
        Kind("a.webp", saved("WEBP", lossless=True), _decode, PIXELS),
        Kind("a.gif", saved("GIF"), _decode, PIXELS),
        Kind("a.tif", saved("TIFF"), _decode, PIXELS),
        Kind("a.bmp", saved("BMP"), _decode, PIXELS),
        Kind("pair.png", saved("PNG"), half, PIXELS),
        Kind("a-idx3-ubyte", _idx(folder, pixels), read_idx),
        Kind("a-idx3-ubyte.gz", gzip.compress(_idx(folder, pixels)), read_idx),
        Kind("a.safetensors", _safetensors(folder), _read_safetensors),
        Kind("generator.safetensors", _exported(folder), load_run),
        Kind("zip.pth", torch_file(zipped=True), load_torch),
        Kind("legacy.pth", torch_file(zipped=False), load_torch),
        Kind("config.json", json.dumps(_config()).encode(), _read_config),
        Kind("metrics.jsonl", log.encode(), read_metrics),
        Kind("evaluation.json", json.dumps(evaluations).encode(), _read_evaluations),
    ]


def _decode(path: Path) -> None:
    read_header(path)
    decode(path, ImageOptions(size=(16, 16)), channels=3)


def _saved(pixels: np.ndarray, name: str, *, mode: str | None = None, **flags: object) -> bytes:
    stream, image = io.BytesIO(), Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, name, **flags)
    return stream.getvalue()


def _idx(folder: Path, pixels: np.ndarray) -> bytes:
    write_idx(folder / "idx", pixels)
    return (folder / "idx").read_bytes()


def _safetensors(folder: Path) -> bytes:
    params = {"Dense_0": {"kernel": np.ones((4, 8), np.float32), "bias": np.zeros(8, np.float32)}}
    safetensors.save(folder / "w", params, {}, record={"step": 3, "player": "generator"})
    return (folder / "w").read_bytes()


def _exported(folder: Path) -> bytes:
    """An exported generator of four units, so that damage meets the record as often as weights."""
    path = exported.path_of("mixture-ring")
    (params, model_state), record = safetensors.load(path), safetensors.record(path)
    params = {
        name: {leaf: x[(slice(4),) * x.ndim] for leaf, x in layer.items()}
        for name, layer in params.items()
    }
    record |= {"config": record["config"] | {"features": 4}}
    safetensors.save(folder / "g", params, model_state, record=record)
    return (folder / "g").read_bytes()


def _read_safetensors(path: Path) -> None:
    safetensors.load(path)
    safetensors.record(path)


def torch_file(*, zipped: bool) -> bytes:
    """A PyTorch file of two tensors, in the format since or before 1.6."""
    values = np.arange(12, dtype=np.float32).tobytes()
    call = b"ctorch._utils\n_rebuild_tensor_v2\n"
    text = lambda value: b"X" + len(value).to_bytes(4, "little") + value
    what = text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + b"K\x0c"
    storage = b"((" + what + b"tQ"
    tensor = call + storage + b"K\x00(K\x03K\x04t(K\x04K\x01t\x89)tR"
    pickled = b"\x80\x02}(X\x01\x00\x00\x00a" + tensor + b"X\x01\x00\x00\x00b" + tensor + b"u."
    if not zipped:
        header = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {})]
        return b"".join(
            [*header, pickled, pickle.dumps(["0"], 2), (12).to_bytes(8, "little"), values]
        )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/byteorder", "little")
        archive.writestr("a/data/0", values)
    return stream.getvalue()


def _config() -> dict[str, object]:
    return {
        "experiment": "benchmarks.faults.small",
        "config": dataclasses.asdict(small.Config()),
        "data": {"name": "noise", "source": "random", "fingerprint": "noise"},
        "sessions": [{"versions": {"jax": "0"}, "numerics": {"jax_enable_x64": False}}],
    }


def _read_config(path: Path) -> None:
    record = read_config_json(path.parent)
    read_config(path.parent, record, small.Config)


def _read_evaluations(path: Path) -> None:
    try:
        read_evaluations(path)
    except ValueError as error:  # which its callers report
        raise UserError(str(error)) from None
