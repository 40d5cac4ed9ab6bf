"""What several test files share: experiments and commands as users start them."""

import base64
import contextlib
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

import jaxgan.__main__
from experiments import mnist
from jaxgan.runs import cli
from jaxgan.runs.config import find
from jaxgan.runs.launch import launch
from tests.conftest import QUICKLY_COMPILED, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Normally distributed numbers: by NumPy, which has nothing to compile for every shape."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


# ---- in this process


def exit_status(function, *args: object, **kwargs: object) -> object:
    """The status with which a function ends the process, 0 if it returns."""
    try:
        function(*args, **kwargs)
    except SystemExit as end:
        return end.code or 0
    return 0


def command(name: str, *folders: Path, **flags: object) -> None:
    """`python -m jaxgan NAME RUN --flag value ...`."""
    words = [name, *map(str, folders)]
    for flag, value in flags.items():
        values = value if isinstance(value, tuple) else (value,)
        words += [f"--{flag.replace('_', '-')}", *map(str, values)]
    jaxgan.__main__.main(words)


def refused(function, *args: object, **kwargs: object) -> str:
    """The one line with which a command ends, whose exit status is 2."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        status = exit_status(function, *args, **kwargs)
    assert status == 2, status
    return one_line(errors.getvalue())


def train(module: ModuleType, directory: Path, **fields: object) -> dict[str, float]:
    """Runs an experiment; the values of its last evaluation, if it has any."""
    config = dataclasses.replace(module.Config(), run_dir=str(directory), **fields)
    assert launch(config, module.make, name=find.name_of(module.make)) == 0
    path = directory / "evaluation.json"
    if not path.exists():
        return {}
    records = json.loads(path.read_text(encoding="utf-8"))["evaluations"][-1]["records"]
    return {record["name"]: record["value"] for record in records}


def train_mnist(monkeypatch, run_dir: Path, *words: str, **flags: object) -> int:
    """`python -m experiments.mnist`, a small run; the exit status."""
    words = ["experiments.mnist", *mnist_arguments(run_dir, **flags), *words]
    monkeypatch.setattr(sys, "argv", words)
    return exit_status(cli.main, mnist.Config, mnist.make)


def mnist_arguments(run_dir: Path, **flags: object) -> list[str]:
    """The command line of a small run of experiments.mnist, on scikit-learn's digits."""
    small = {"data": "digits", "features": 4, "batch_size": 8, "latent": 4, "r1": 0}
    named = small | {"evaluate_every": 0} | flags | {"run_dir": run_dir}
    pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in named.items()]
    return [word for pair in pairs for word in pair]


# ---- in other processes


def start(module: str, *args: object, **environment: str) -> subprocess.Popen:
    """`python -m MODULE ARGS`, with variables added to the environment."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, args)],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Exit status, output and errors of a process, as long as it takes."""
    out, errors = process.communicate()
    return process.returncode, out, errors


def devices(count: int) -> dict[str, str]:
    """Environment of a program with so many virtual devices, and threads for their rendezvous.

    Most of the time of these programs is compilation.
    """
    flags = f"{QUICKLY_COMPILED} --xla_force_host_platform_device_count={count}"
    return {"XLA_FLAGS": flags, "NPROC": "16"}


# ---- what they write


def one_line(text: str) -> str:
    """The only line of an output that begins with `error: `."""
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, text
    return lines[0]


def read_lines(path: Path) -> list[dict]:
    """The records of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def code_blocks(text: str, language: str) -> list[str]:
    """The code blocks of a Markdown text in one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def documented_names() -> set[str]:
    """The names, `module.name`, that have an entry in the reference of the interface."""
    names, module = set(), ""
    for page in (ROOT / "docs" / "api").glob("*.md"):
        for kind, name in re.findall(r"^\.\. ([a-z]+):: (\S+)$", page.read_text("utf-8"), re.M):
            if kind.endswith("module"):
                module = name
            else:
                names.add(f"{module}.{name}")
    return names


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image file."""
    with Image.open(path) as image:
        return image.size


def pixels(path: Path) -> np.ndarray:
    """The values of an image file."""
    with Image.open(path) as image:
        return np.asarray(image, np.int32)


def decoded(uri: str) -> np.ndarray:
    """The values of an image in a data URI."""
    with Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2]))) as image:
        return np.asarray(image, np.int32)


def write_images(folder: Path, images: np.ndarray, names: list[str] | None = None) -> None:
    """Images in bytes `[n, h, w, c]` as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        name = names[i] if names else f"{i:04d}"
        image = image[..., 0] if image.shape[-1] == 1 else image
        Image.fromarray(image).save(folder / f"{name}.png")
