"""Launch of a run: its directory is created, or checked, and a training session begins.

runs/mnist/
  config.json      configuration, data and versions (`config_json`)
  metrics.jsonl    metrics, one line per logged step; the same in tensorboard/
  losses.png       the players' losses, and the mean outputs of discriminators
  samples/         step_<step>.png, always from the same latents
  samples.gif      animation of samples/, written at the end
  evaluation.json  the records of every evaluation, and the best step
  report.html      a page about the run, written at every evaluation (`report`)
  health.json      warning signs that were noticed, and rollbacks after divergence (`health`)
  checkpoints/     the newest states and the best; the same command resumes from the newest
  .lock            held while a process trains (`lock`)
"""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from jaxgan.checkpoint import check_path
from jaxgan.errors import NonFiniteError, RunError
from jaxgan.parallel import multihost
from jaxgan.runs.config.experiment import Config, Experiment
from jaxgan.runs.config.training_config import TrainingConfig
from jaxgan.runs.directory import lock
from jaxgan.runs.directory.config_json import check_bounds, check_same_config, write_config_json
from jaxgan.runs.directory.files import make_folder, of_steps
from jaxgan.runs.directory.lock import locked
from jaxgan.runs.population import members, tables
from jaxgan.runs.session import attempt, compiled, failures, session

C = TypeVar("C", bound=Config)


def launch(config: C, make: Callable[[C, Any], Experiment], *, name: str) -> int:
    """Starts or resumes a run, and trains until `config.num_steps`.

    Args:
      config: the configuration.
      make: builds the experiment from the config and its data.
      name: name of the experiment, by which commands on the run find it (`find`).

    Returns:
      The exit status of the program: 0, 1 if one of several seeds diverged, or 128 + n if stopped
      by signal n.

    Raises:
      UserError: the run cannot be started or resumed, or training diverged.
    """
    _check(config)
    failures.silence_echoes()
    if config.distributed:
        multihost.initialize(config.coordinator, config.num_processes, config.process_id)
    if config.compilation_cache:
        compiled.enable_cache()
    with multihost.shutdown_on_error():
        return (_run if config.seeds == 1 else _run_seeds)(config, make, name)


def members_of(
    config: C,
    make: Callable[[C, Any], Experiment],
    data: Any,
    directory: Path,
    name: str,
    num_seeds: int,
) -> list[members.Member]:
    """Members of a population with the seeds `config.seed`, `config.seed + 1`, ...

    Args:
      config: configuration of all, but for seeds and directories.
      make: builds an experiment from a config and the data.
      data: of `config.load_data()`.
      directory: directory in which every member has its own, `seed_<seed>`, which is created.
      name: name of the experiment.
      num_seeds: number of members.

    Raises:
      UserError: the directory of a member holds something else, or a flag is out of range.
    """
    group = []
    for seed in range(config.seed, config.seed + num_seeds):
        folder = directory / f"seed_{seed}"
        own = dataclasses.replace(config, seed=seed, seeds=1, run_dir=str(folder))
        _check(own)
        _create(folder)
        if (folder / "config.json").exists():
            check_same_config(folder, own, name)
        group.append(members.Member(folder, own, build(make, own, data)))
    return group


def check_for_several(config: Config) -> None:
    """Checks flags of several runs at once.

    Raises:
      RunError: a flag is for single runs.
    """
    for flag, given in (
        ("--distributed", config.distributed),
        ("--from-step", config.from_step is not None),
        ("--on-divergence rollback", config.on_divergence != "stop"),
        (f"--parallel {config.parallel}", config.parallel != "auto"),
    ):
        if given:
            raise RunError(f"{flag} is for single runs; leave it out with several seeds or points")


def build(make: Callable[[C, Any], Experiment], config: C, data: Any) -> Experiment:
    """Builds an experiment, `make(config, data)`, with a `ValueError` reported as a user error.

    Raises:
      RunError: `make` raised a `ValueError`, because the library rejects a value of the config.
    """
    try:
        return make(config, data)
    except ValueError as error:
        raise RunError(str(error)) from error


def _run(config: C, make: Callable[[C, Any], Experiment], name: str) -> int:
    """Trains in all processes, after the main process has prepared the run directory."""
    main = multihost.is_main()
    console = Console(highlight=False, markup=False, soft_wrap=True, quiet=not main)
    directory = Path(config.run_dir or f"runs/{short(name)}").expanduser()
    with contextlib.ExitStack() as stack:
        if main:
            _create(directory)
            stack.enter_context(locked(directory))
            if (directory / "config.json").exists():
                check_same_config(directory, config, name)
        data = config.load_data()
        experiment = build(make, config, data)
        _print_data(console, name, experiment)

        def record() -> None:
            if main:
                write_config_json(directory, config, name, experiment)
            multihost.barrier("the run directory")

        def slower(rollbacks: int) -> Experiment:
            if not isinstance(config, TrainingConfig):
                return experiment
            scale = config.lr_scale * attempt.SLOWER**rollbacks
            return build(make, dataclasses.replace(config, lr_scale=scale), data)

        stack.enter_context(failures.in_one_line(directory))
        return session.train(directory, config, experiment, console, record=record, slower=slower)


def _run_seeds(config: C, make: Callable[[C, Any], Experiment], name: str) -> int:
    """Trains several seeds at once, and reports means and standard errors over them."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    directory = Path(config.run_dir or f"runs/{short(name)}").expanduser()
    check_for_several(config)
    if (directory / "config.json").exists():
        raise RunError(f"{directory} holds a single run; choose another --run-dir for --seeds")
    group = members_of(config, make, config.load_data(), directory, name, config.seeds)
    _print_data(console, name, group[0].experiment)
    with failures.in_one_line(directory, [one.directory for one in group]):
        results = members.train(group, name, console)
    tables.print_table(console, {short(name): results})
    grids = [of_steps(one.directory / "samples", ".png") for one in group]
    tables.save_side_by_side(directory / "samples.png", [own[-1] for own in grids if own])
    console.print(f"{directory} has a run for each seed; see {directory}/samples.png")
    return NonFiniteError.exit_status if None in results else 0


def short(name: str) -> str:
    """Last part of an experiment's name: of a module, or of a file without its extension."""
    return Path(name).stem if name.endswith(".py") else name.rpartition(".")[2]


def _print_data(console: Console, name: str, experiment: Experiment) -> None:
    data = experiment.data
    text = f"{name} on {data['name']}: {data['source']}"
    if data.get("stands_in"):
        console.print(f"WARNING: {text}", style="bold yellow")
    else:
        console.print(text)


def _check(config: Config) -> None:
    check_bounds(config)
    process = [config.coordinator, config.num_processes, config.process_id]
    if None in process and process != [None, None, None]:
        raise RunError("--coordinator, --num-processes and --process-id must be given together")
    if process != [None, None, None] and not config.distributed:
        raise RunError("--coordinator is for runs of several processes; add --distributed")
    for flag, given in (
        ("--init-layers", config.init_layers is not None),
        ("--init-step", config.init_step != "newest"),
        ("--reset-optimizers", config.reset_optimizers),
    ):
        if given and config.init_from is None:
            raise RunError(f"{flag} is for runs that begin with another's weights; add --init-from")


def _create(directory: Path) -> None:
    """Creates the run directory, and checks that it can be written to and is empty or a run's."""
    check_path(directory)
    make_folder(directory, what="--run-dir")
    started = {lock.NAME, ".config.json"}  # by a start that was killed before its record
    others = {path.name for path in directory.iterdir()} - started
    if others and "config.json" not in others:
        raise RunError(
            f"{directory} is not empty and holds no run; choose an empty --run-dir, so that "
            "its files are not mixed with those of the run"
        )
