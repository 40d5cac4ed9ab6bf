"""What several test files share: running experiments and commands as people start them."""

import dataclasses
import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

import jaxgan.__main__
from jaxgan.runs.launch import launch
from tests.conftest import CACHE

ENVIRONMENT = os.environ | {
    "JAX_PLATFORMS": "cpu",
    "JAX_COMPILATION_CACHE_DIR": str(CACHE),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def command(name: str, run: Path, **flags: object) -> None:
    """`python -m jaxgan NAME RUN --flag value ...`, in this process."""
    words = [name, str(run)]
    for flag, value in flags.items():
        values = value if isinstance(value, tuple) else (value,)
        words += [f"--{flag.replace('_', '-')}", *map(str, values)]
    jaxgan.__main__.main(words)


def train(module: ModuleType, directory: Path, **fields: object) -> dict[str, float]:
    """Runs an experiment in this process; the values of its last evaluation, if it has any."""
    config = dataclasses.replace(module.Config(), run_dir=str(directory), **fields)
    assert launch(config, module.make, name=module.__name__) == 0
    path = directory / "evaluation.json"
    if not path.exists():
        return {}
    records = json.loads(path.read_text())["evaluations"][-1]["records"]
    return {record["name"]: record["value"] for record in records}


def refused(function, *args: object, **kwargs: object) -> str:
    """The one line with which a command ends, whose exit status is 2."""
    import contextlib
    import io

    import pytest

    errors = io.StringIO()
    with pytest.raises(SystemExit) as end, contextlib.redirect_stderr(errors):
        function(*args, **kwargs)
    assert end.value.code == 2
    return one_line(errors.getvalue())


def one_line(text: str) -> str:
    """The only line of an output that begins with `error: `."""
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, text
    return lines[0]


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image file."""
    with Image.open(path) as picture:
        return picture.size


def pixels(path: Path) -> np.ndarray:
    """The values of an image file."""
    with Image.open(path) as picture:
        return np.asarray(picture, np.int32)
