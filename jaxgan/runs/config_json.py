"""`config.json`: configuration of a run, its data, and software versions and devices."""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

import jaxgan
from jaxgan.errors import RunError
from jaxgan.runs.experiment import Config, Experiment, resumable_fields
from jaxgan.runs.files import write_atomically

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


NUMERICS = ("jax_enable_x64", "jax_default_matmul_precision", "jax_default_prng_impl")


def read_config_json(directory: Path) -> dict[str, Any]:
    """Reads the `config.json` of a run.

    Raises:
      RunError: the directory holds no run, or the file is damaged.
    """
    path = directory / "config.json"
    if not path.is_file():
        raise RunError(f"{directory} holds no run: it has no config.json")
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is damaged ({error}); restore it from a copy") from None


def check_same_config(directory: Path, config: Config, name: str) -> None:
    """Checks that the directory's run has the same experiment and configuration.

    Fields that do not affect the result of a training step may differ (`resumable_fields`). A field
    that did not exist when the run was started has its default value there.

    Raises:
      RunError: the experiment or the configuration differs.
    """
    record = read_config_json(directory)
    if record["experiment"] != name:
        raise RunError(
            f"{directory} holds a run of {record['experiment']}, not of {name}; "
            "choose another --run-dir"
        )
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    stored, current = defaults | record["config"], dataclasses.asdict(config)
    for field in sorted((stored.keys() | current.keys()) - resumable_fields(type(config))):
        if stored.get(field) != current.get(field):
            raise RunError(
                f"{directory} holds a run with {field}={stored.get(field)}, and this one has "
                f"{field}={current.get(field)}; choose another --run-dir, or give the same flags"
            )


def check_same_data(directory: Path, recorded: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Checks that the data found now are those that a run was trained and evaluated on.

    Args:
      directory: directory of the run.
      recorded, found: records of the data.

    Raises:
      RunError: the contents of the training or the test set differ.
    """
    for part, key in (("training", "fingerprint"), ("test", "test_fingerprint")):
        if key in recorded and recorded[key] != found.get(key):
            raise RunError(
                f"the {part} data of {directory} were {recorded['name']} ({recorded['source']}), "
                f"and those found now have other contents: {found['name']} ({found['source']}); "
                "use the same data (--data-dir), or choose another --run-dir"
            )


def _check_same_numerics(directory: Path, session: Mapping[str, Any]) -> None:
    """Raises a `RunError` if jax now computes with another precision than in the last session."""
    for name, value in session.get("numerics", {}).items():
        if jax.config.values[name] != value:
            raise RunError(
                f"{directory} was trained with {name.upper()}={value}, and it is now "
                f"{jax.config.values[name]}; set the environment variable as it was"
            )


def write_config_json(directory: Path, config: Config, name: str, experiment: Experiment) -> None:
    """Writes `config.json`: configuration and data of the run, with an entry for this session.

    Raises:
      RunError: the directory's run was trained or evaluated on different data, or in another
        precision.
    """
    path = directory / "config.json"
    sessions = []
    if path.exists():
        record = read_config_json(directory)
        sessions = record["sessions"]
        check_same_data(directory, record["data"], experiment.data)
        _check_same_numerics(directory, sessions[-1])
    session = {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "numerics": {name: jax.config.values[name] for name in NUMERICS},
        "devices": [device.device_kind for device in jax.devices()],
        "processes": jax.process_count(),
        "python": platform.python_version(),
        "versions": {"jaxgan": jaxgan.__version__}
        | {package: importlib.metadata.version(package) for package in PACKAGES},
    }
    content = {
        "experiment": name,
        "config": dataclasses.asdict(config),
        "data": dict(experiment.data),
        "sessions": [*sessions, session],
    }
    write_atomically(path, json.dumps(content, indent=2) + "\n")
