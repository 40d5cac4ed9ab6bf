"""The run directory: a run starts in it, goes on from it, and is read from it.

runs/mnist/
  config.json      what was run, on which data, with which versions
  metrics.jsonl    a line per logged step; the same in tensorboard/
  losses.png       both players' losses, and the mean of D on real and on generated images
  samples/         step_<step>.png, always from the same latents; at the end also samples.gif
  evaluation.json  what samples were worth: every evaluation's records, and the best step
  checkpoints/     the newest states and the best; the same command goes on from the last one
"""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
from rich.console import Console

import jaxgan
from jaxgan import processes, session
from jaxgan.experiment import Config, Experiment
from jaxgan.files import write_whole
from jaxgan.session import RunError

# What may differ when a run goes on, because it leaves the numbers of each step alone. The data set
# is compared by its contents, not by the way to it.
FREE = {"num_steps", "run_dir", "data", "data_dir", "parallel", "compilation_cache"}
FREE |= {"distributed", "coordinator", "num_processes", "process_id"}
FREE |= {"log_every", "sample_every", "checkpoint_every", "evaluate_every", "evaluate_samples"}
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


C = TypeVar("C", bound=Config)


def launch(config: C, make: Callable[[C], Experiment], *, name: str) -> int:
    """Starts a run, or goes on with it, until `config.num_steps`.

    Args:
      config: what to run.
      make: builds the experiment.
      name: the experiment's module, by which the run is read later.

    Returns:
      The exit status of the program: 0, or 128 + n when signal n stopped it.

    Raises:
      UserError: the run cannot start or go on, or it diverged.
    """
    _check(config)
    if config.distributed:
        processes.connect(config.coordinator, config.num_processes, config.process_id)
    if config.compilation_cache:
        _keep_compiled_programs()
    with processes.ending_together():
        return _run(config, make, name)


def _run(config: C, make: Callable[[C], Experiment], name: str) -> int:
    """The main process opens the directory; then all of them train."""
    main = processes.is_main()
    console = Console(highlight=False, soft_wrap=True, quiet=not main)
    directory = Path(config.run_dir or f"runs/{name.rpartition('.')[2]}")
    if main:
        _open(directory, config, name)
    experiment = made(make, config)
    _introduce(console, name, experiment)

    def record() -> None:
        if main:
            _record(directory, config, name, experiment)
        processes.wait_for_all("the run directory")

    return session.play(directory, config, experiment, console, record=record)


def read_record(directory: Path) -> dict[str, Any]:
    """The run's `config.json`.

    Raises:
      RunError: the directory holds no run.
    """
    path = directory / "config.json"
    if not path.is_file():
        raise RunError(f"{directory} holds no run: it has no config.json")
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is damaged ({error}); restore it from a copy") from None


def _keep_compiled_programs() -> None:
    """Switches the persistent cache on, one per version of jaxlib, unless the user has one."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        folder = cache / "jaxgan" / f"jaxlib-{importlib.metadata.version('jaxlib')}"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _introduce(console: Console, name: str, experiment: Experiment) -> None:
    data = experiment.data
    text = f"{name} on {data['name']}: {data['source']}"
    if data.get("stands_in"):
        console.print(f"WARNING: {text}", style="bold yellow")
    else:
        console.print(text)


def made(make: Callable[[C], Experiment], config: C) -> Experiment:
    """The experiment; what the library finds wrong with the config is the user's to mend."""
    try:
        return make(config)
    except ValueError as error:  # what the library says of arguments that came from the config
        raise RunError(str(error)) from error


def _check(config: Config) -> None:
    positive = ("num_steps", "batch_size", "log_every", "sample_every", "checkpoint_every")
    least = dict.fromkeys((*positive, "evaluate_samples"), 1) | {"evaluate_every": 0}
    for name, bound in least.items():
        value = getattr(config, name)
        if value is not None and value < bound:
            flag = name.replace("_", "-")
            raise RunError(f"--{flag} is {value}, expected at least {bound}")
    given = [config.coordinator, config.num_processes, config.process_id]
    if None in given and given != [None, None, None]:
        raise RunError("--coordinator, --num-processes and --process-id are given together or not")
    if given != [None, None, None] and not config.distributed:
        raise RunError("--coordinator is for one of several processes; add --distributed")
    if not 0 <= config.seed < 2**32:
        raise RunError(f"--seed is {config.seed}, expected 0 to 2^32 - 1")


def _open(directory: Path, config: Config, name: str) -> None:
    """Makes sure that the run may use the directory: a fresh one, or one with the same config."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunError(
            f"the run directory {directory} cannot be written to ({error.strerror}); "
            "choose another --run-dir"
        ) from None
    if not (directory / "config.json").exists():
        if any(directory.iterdir()):
            raise RunError(
                f"{directory} is not empty and holds no run; choose another --run-dir, so that "
                "nothing in it is mixed with the run"
            )
        return
    record = read_record(directory)
    if record["experiment"] != name:
        raise RunError(
            f"{directory} holds a run of {record['experiment']}, not of {name}; "
            "choose another --run-dir"
        )
    found, expected = record["config"], dataclasses.asdict(config)
    for field in sorted(found.keys() | expected.keys()):
        if field not in FREE and found.get(field) != expected.get(field):
            raise RunError(
                f"{directory} holds a run with {field}={found.get(field)}, and this one has "
                f"{field}={expected.get(field)}; choose another --run-dir, or give the same flags"
            )


def _record(directory: Path, config: Config, name: str, experiment: Experiment) -> None:
    """Writes `config.json`: the run, its data, and a line for every time it was started."""
    path = directory / "config.json"
    sessions = []
    if path.exists():
        record = read_record(directory)
        sessions = record["sessions"]
        if record["data"]["fingerprint"] != experiment.data["fingerprint"]:
            raise RunError(
                f"{directory} was trained on {record['data']['name']} "
                f"({record['data']['source']}), and what was found now is other data: "
                f"{experiment.data['name']} ({experiment.data['source']}); "
                "give the same data, or choose another --run-dir"
            )
    session = {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
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
    write_whole(path, json.dumps(content, indent=2) + "\n")
