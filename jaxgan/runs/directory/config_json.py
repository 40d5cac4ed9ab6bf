"""`config.json`: configuration of a run, its data, and software versions and devices."""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import jax

import jaxgan
from jaxgan.checkpoint import newest_step
from jaxgan.errors import RunError
from jaxgan.runs.config.experiment import (
    Config,
    Experiment,
    lower_bounds,
    resumable_fields,
    upper_bounds,
)
from jaxgan.runs.directory.files import write_atomically

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


C = TypeVar("C", bound=Config)

NUMERICS = ("jax_enable_x64", "jax_default_matmul_precision", "jax_default_prng_impl")


def read_config_json(directory: Path) -> dict[str, Any]:
    """Reads the `config.json` of a run.

    Raises:
      RunError: the directory holds no run, or the file is damaged.
    """
    path = directory / "config.json"
    if not directory.exists():
        raise RunError(f"{directory} holds no run: it does not exist")
    if not path.is_file():
        members = sorted(path.parent.name for path in directory.glob("*/config.json"))
        runs = f"; it holds the runs {', '.join(members[:8])}: give one of them" if members else ""
        raise RunError(f"{directory} holds no run: it has no config.json{runs}")
    try:
        record = json.loads(path.read_bytes())
        check_parts(record)
        if not fits(num_steps := record["config"].get("num_steps", ""), int | None):
            raise ValueError(f"its num_steps is {num_steps!r}")
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it from a copy") from None
    return record


def record_path(directory: Path) -> Path:
    """Where the record of a run is: in its `config.json`, or in the file that it is."""
    return directory if directory.is_file() else directory / "config.json"


def check_parts(record: Any) -> None:
    """Raises a `ValueError` if a part of a record is missing or of the wrong type."""
    if not isinstance(record, dict):
        raise ValueError(f"it holds a {type(record).__name__}, expected an object")
    parts = {"experiment": str, "config": dict, "data": dict, "sessions": list}
    for name, kind in parts.items():
        if not isinstance(record.get(name), kind):
            raise ValueError(f"its {name} is {type(record.get(name)).__name__}")
    sessions, data = record["sessions"], record["data"]
    if not sessions or not all(isinstance(session, dict) for session in sessions):
        raise ValueError("its sessions are not objects")
    versions = sessions[-1].get("versions")
    if not isinstance(versions, dict) or not isinstance(sessions[-1].get("numerics", {}), dict):
        raise ValueError("its last session has no versions")
    if not all(isinstance(data.get(name), str) for name in ("name", "source", "fingerprint")):
        raise ValueError("its data have no name, source or fingerprint")


def read_config(directory: Path, record: Mapping[str, Any], config_type: type[C]) -> C:
    """The configuration of a run, whose values are checked.

    Args:
      directory: directory of the run, or its file.
      record: from `read_config_json`, or from `exported.read_record`.
      config_type: `Config` of the run's experiment.

    Raises:
      RunError: there is no such field, or a value is of another type or out of its range.
    """
    hints = typing.get_type_hints(config_type)
    values = dict(record["config"])
    for name in sorted(values):
        if name not in hints:
            raise RunError(
                f"{record_path(directory)} was made by another version of "
                f"{record['experiment']} (with the field {name!r}); use that version"
            )
        if not fits(values[name], hints[name]):
            raise RunError(
                f"{record_path(directory)} is damaged ({name} is {str(values[name])[:100]!r}); "
                "restore it from a copy"
            )
        if isinstance(values[name], list):
            values[name] = tuple(values[name])
    config = config_type(**values)
    try:
        check_bounds(config)
    except RunError as error:
        raise RunError(f"{record_path(directory)} is damaged: {error}") from None
    return config


def fits(value: Any, hint: Any) -> bool:
    """Whether a value read from JSON is of the type of a field.

    Example:
      >>> fits(1, float), fits(True, int), fits(None, int | None), fits(["a"], tuple[str, ...])
      (True, False, True, True)
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, (list, tuple)) and all(fits(item, parts[0]) for item in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is (hint or type(None))


def check_bounds(config: Config) -> None:
    """Checks the values of a configuration against the bounds of their flags.

    Raises:
      RunError: a value is out of its range.
    """
    for name, bound in lower_bounds(type(config)).items():
        value = getattr(config, name)
        if value is not None and not value >= bound:  # NaN, too
            raise RunError(f"--{name.replace('_', '-')} is {value}, expected at least {bound}")
    for name, bound in upper_bounds(type(config)).items():
        if not (value := getattr(config, name)) < bound:
            raise RunError(
                f"--{name.replace('_', '-')} is {value}, expected a number below {bound}"
            )
    if not 0 <= config.seed < 2**32:
        raise RunError(f"--seed is {config.seed}, expected 0 to 2^32 - 1")


def check_same_config(directory: Path, config: Config, name: str) -> None:
    """Checks that the directory's run has the same experiment and configuration.

    Fields that affect neither the result of a training step nor which scores can be compared may
    differ (`resumable_fields`). A field that did not exist when the run was started has its default
    value there. Of a run that has no step, nothing has to be kept, and all may differ.

    Raises:
      RunError: the experiment or the configuration differs.
    """
    record = read_config_json(directory)
    if not has_steps(directory):
        return
    if not _same_experiment(record["experiment"], name):
        raise RunError(
            f"{directory} holds a run of {record['experiment']}, not of {name}; "
            "choose another --run-dir"
        )
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(config)
        if field.default is not dataclasses.MISSING
    }
    # Tuples are lists in JSON.
    stored = json.loads(json.dumps(defaults)) | record["config"]
    current = json.loads(json.dumps(dataclasses.asdict(config)))
    fields = (stored.keys() | current.keys()) - resumable_fields(type(config))
    differ = [field for field in sorted(fields) if stored.get(field) != current.get(field)]
    if "preset" in differ:  # which sets the others
        differ = ["preset"]
    if differ:
        before, now = (
            ", ".join(f"{field}={values.get(field)}" for field in differ)
            for values in (stored, current)
        )
        raise RunError(
            f"{directory} holds a run with {before}, and this one has {now}; choose another "
            "--run-dir, or give the same flags"
        )


def has_steps(directory: Path) -> bool:
    """Whether anything of a run is kept: a checkpoint, or a logged step.

    After an error of the first step there is nothing.
    """
    log = directory / "metrics.jsonl"
    return bool(newest_step(directory / "checkpoints")) or (log.exists() and log.stat().st_size > 0)


def _same_experiment(recorded: str, name: str) -> bool:
    """Whether names are of one experiment; a file may have moved with its run, or been copied."""
    old, new = Path(recorded), Path(name)
    if recorded == name or {old.suffix, new.suffix} != {".py"} or old.name != new.name:
        return recorded == name
    return not old.exists() or old.read_bytes() == new.read_bytes()


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
                "use the same data (--data-dir), or begin another run"
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
    if path.exists() and has_steps(directory):
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
