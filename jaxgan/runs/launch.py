"""Starting a run, or resuming it, in its directory.

runs/mnist/
  config.json      configuration, data and versions (`record`)
  metrics.jsonl    one line per logged step; the same in tensorboard/
  losses.png       the players' losses, and the mean of D on real and on generated images
  samples/         step_<step>.png, always from the same latents; at the end also samples.gif
  evaluation.json  the metrics of every evaluation, and the best step
  checkpoints/     the newest states and the best; the same command resumes from the newest
"""

import importlib.metadata
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import jax
from rich.console import Console

from jaxgan.errors import RunError
from jaxgan.parallel import multihost
from jaxgan.runs import session
from jaxgan.runs.experiment import Config, Experiment, lower_bounds
from jaxgan.runs.record import check_same_config, write_record

C = TypeVar("C", bound=Config)


def launch(config: C, make: Callable[[C], Experiment], *, name: str) -> int:
    """Starts a run, or resumes it, and trains until `config.num_steps`.

    Args:
      config: the configuration.
      make: builds the experiment.
      name: the experiment's module, by which the run is read later.

    Returns:
      The exit status of the program: 0, or 128 + n when signal n stopped it.

    Raises:
      UserError: the run cannot start or be resumed, or it diverged.
    """
    _check(config)
    if config.distributed:
        multihost.initialize(config.coordinator, config.num_processes, config.process_id)
    if config.compilation_cache:
        _enable_compilation_cache()
    with multihost.shutdown_on_error():
        return _run(config, make, name)


def build(make: Callable[[C], Experiment], config: C) -> Experiment:
    """`make(config)`, where an argument that the library rejects is the user's to mend.

    Raises:
      RunError: in place of the library's `ValueError`.
    """
    try:
        return make(config)
    except ValueError as error:
        raise RunError(str(error)) from error


def _run(config: C, make: Callable[[C], Experiment], name: str) -> int:
    """The main process prepares the directory; then all processes train."""
    main = multihost.is_main()
    console = Console(highlight=False, soft_wrap=True, quiet=not main)
    directory = Path(config.run_dir or f"runs/{name.rpartition('.')[2]}")
    if main:
        _prepare(directory, config, name)
    experiment = build(make, config)
    _announce(console, name, experiment)

    def record() -> None:
        if main:
            write_record(directory, config, name, experiment)
        multihost.barrier("the run directory")

    return session.train(directory, config, experiment, console, record=record)


def _enable_compilation_cache() -> None:
    """One persistent cache per version of jaxlib, unless the user has set one."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        folder = cache / "jaxgan" / f"jaxlib-{importlib.metadata.version('jaxlib')}"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _announce(console: Console, name: str, experiment: Experiment) -> None:
    data = experiment.data
    text = f"{name} on {data['name']}: {data['source']}"
    if data.get("stands_in"):
        console.print(f"WARNING: {text}", style="bold yellow")
    else:
        console.print(text)


def _check(config: Config) -> None:
    for name, bound in lower_bounds(type(config)).items():
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


def _prepare(directory: Path, config: Config, name: str) -> None:
    """Creates the directory, or checks that its run has the same configuration."""
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
    if (directory / "config.json").exists():
        check_same_config(directory, config, name)
    elif any(directory.iterdir()):
        raise RunError(
            f"{directory} is not empty and holds no run; choose another --run-dir, so that "
            "nothing in it is mixed with the run"
        )
