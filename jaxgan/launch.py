"""The run directory: a run starts in it, goes on from it, and is read from it.

runs/mnist/
  config.json      what was run, on which data, with which versions
  metrics.jsonl    a line per logged step; the same in tensorboard/
  losses.png       both players' losses, and the mean of D on real and on generated images
  samples/         step_<step>.png, always from the same latents; at the end also samples.gif
  evaluation.json  what samples were worth: every evaluation's records, and the best step
  checkpoints/     the newest states and the best; the same command goes on from the last one
"""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import math
import os
import platform
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import chex
import jax
from rich.console import Console

import jaxgan
from jaxgan import callbacks, checkpoint, images, loop, parallel, processes
from jaxgan.errors import UserError
from jaxgan.evaluation import evaluator
from jaxgan.experiment import Config, Experiment
from jaxgan.files import write_whole
from jaxgan.training import TrainingAlgorithm, TrainState, with_ema
from jaxgan.types import Array, Metrics

# What may differ when a run goes on, because it leaves the numbers of each step alone. The data set
# is compared by its contents, not by the way to it.
FREE = {"num_steps", "run_dir", "data", "data_dir", "parallel", "compilation_cache"}
FREE |= {"distributed", "coordinator", "num_processes", "process_id"}
FREE |= {"log_every", "sample_every", "checkpoint_every", "evaluate_every", "evaluate_samples"}
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
SHEET = 100  # samples on a sheet


C = TypeVar("C", bound=Config)


class RunError(UserError):
    """A run that cannot start or go on."""


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
    if main:
        _record(directory, config, name, experiment)
    _introduce(console, name, experiment)
    processes.wait_for_all("the run directory")
    return _train(directory, config, experiment, console)


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


def sampler(experiment: Experiment, n: int, *, seed: int) -> Callable[[TrainState], Array]:
    """`state -> n samples`, always from the same latents; by averaged parameters, if any."""
    if experiment.game.sample is None:
        raise RunError("this game is not played for samples; there is nothing to draw")
    batch, key = experiment.sample_batch(n), jax.random.key(seed)
    sample: Callable[..., Array] = jax.jit(experiment.game.sample)
    return lambda state: processes.to_host(sample(with_ema(state), state.model_state, batch, key))


def _train(directory: Path, config: Config, experiment: Experiment, console: Console) -> int:
    algorithm, key = _parallel(experiment.algorithm, config), jax.random.key(config.seed)
    with (
        callbacks.StopOnSignal(signal.SIGINT, signal.SIGTERM) as stop,
        checkpoint.open_manager(directory / "checkpoints") as manager,
    ):
        state = loop.first_state(algorithm, experiment.minibatches, key=key)
        state = checkpoint.restore(manager, state) or state
        start, last = int(state.step), _num_steps(config, experiment)
        if start >= last:
            console.print(f"{directory} is complete at step {start}: nothing is left to do")
            return 0
        if start:
            console.print(f"{directory} goes on from step {start}")
        with contextlib.ExitStack() as stack:
            look: list[loop.Callback] = [callbacks.check_finite]
            if processes.is_main():
                log = directory / "metrics.jsonl", directory / "tensorboard"
                look += [
                    stack.enter_context(callbacks.metrics_log(*log, step=start)),
                    stack.enter_context(callbacks.progress(console, start=start, num_steps=last)),
                ]
            draw = _pictures(directory, experiment)
            evaluate, scores = _evaluations(
                directory, config, experiment, console, step=start, last=last
            )
            # Agreeing takes a message around all processes; alone, a process agrees at once.
            agree = callbacks.every(1 if jax.process_count() == 1 else config.log_every, stop.agree)

            def save(step: int, state: TrainState, metrics: Metrics) -> None:
                score = scores.get(step, -math.inf)
                due = step % config.checkpoint_every == 0 or step == last or stop.received
                if due or score > -math.inf:
                    callbacks.check_finite(step, state, metrics)
                    checkpoint.save(manager, state, score=score)

            state = loop.fit(
                algorithm,
                experiment.minibatches,
                key=key,
                num_steps=last,
                state=state,
                callbacks=[
                    *(callbacks.every(config.log_every, callback, last=last) for callback in look),
                    callbacks.every(config.sample_every, draw, last=last),
                    evaluate,
                    agree,
                    save,
                    stop,
                ],
            )
    if int(state.step) < last and stop.received:
        console.print(
            f"stopped by {stop.received.name} at step {int(state.step)}, which is saved; "
            "the same command goes on from there"
        )
        return 128 + stop.received
    if processes.is_main() and (frames := sorted((directory / "samples").glob("step_*.png"))):
        images.save_animation(directory / "samples.gif", frames)
    console.print(f"{directory} is complete at step {int(state.step)}; see {directory}/samples")
    return 0


def _num_steps(config: Config, experiment: Experiment) -> int:
    if config.num_steps is not None:
        return config.num_steps
    if experiment.num_steps is None:
        raise RunError("this experiment does not know how long to train; give --num-steps")
    return experiment.num_steps


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


def _pictures(directory: Path, experiment: Experiment) -> loop.Callback:
    (directory / "samples").mkdir(exist_ok=True)
    sheets = callbacks.pictures(directory / "samples", experiment.draw or _sheet(experiment))
    curves = callbacks.curves(directory / "losses.png", directory / "metrics.jsonl")

    def draw(step: int, state: TrainState, metrics: Metrics) -> None:
        sheets(step, state, metrics)
        curves(step, state, metrics)

    return draw


def _sheet(experiment: Experiment) -> Callable[[Path, TrainState], None]:
    sample = sampler(experiment, SHEET, seed=0)

    def draw(path: Path, state: TrainState) -> None:
        drawn = sample(state)  # by all processes, if the parameters are spread over them
        if processes.is_main():
            images.save_sheet(path, drawn)

    return draw


def _evaluations(
    directory: Path,
    config: Config,
    experiment: Experiment,
    console: Console,
    *,
    step: int,
    last: int,
) -> tuple[loop.Callback, dict[int, float]]:
    """What measures the run every now and then, and the scores that it will have found."""
    what, scores = experiment.evaluation, dict[int, float]()
    if what is None or not config.evaluate_every:
        return lambda step, state, metrics: None, scores
    measure = evaluator(experiment.game, what, num_samples=config.evaluate_samples)
    path = directory / "evaluation.json"
    look = callbacks.evaluations(path, measure, what, console, scores, step=step)
    return callbacks.every(config.evaluate_every, look, last=last), scores


def _parallel(algorithm: TrainingAlgorithm, config: Config) -> TrainingAlgorithm:
    """The algorithm as it is run; a second trace of the update is an error from here on."""
    chex.clear_trace_counter()
    mode, num_devices = config.parallel, jax.device_count()
    if mode == "auto":
        mode = "jit" if num_devices == 1 else "pmap" if jax.process_count() == 1 else "sharded"
    if mode != "sharded" and jax.process_count() > 1:
        raise RunError(
            f"--parallel {mode} is for one process and there are {jax.process_count()}; "
            "choose --parallel sharded"
        )
    if mode != "jit" and config.batch_size % num_devices:
        raise RunError(
            f"--batch-size {config.batch_size} does not divide over {num_devices} devices; "
            f"choose a multiple of {num_devices}"
            + (", or --parallel jit" if jax.process_count() == 1 else "")
        )
    return getattr(parallel, mode)(algorithm, max_traces=1)


def made(make: Callable[[C], Experiment], config: C) -> Experiment:
    """The experiment; what the library finds wrong with the config is the user's to mend."""
    try:
        return make(config)
    except ValueError as error:  # what the library says of arguments that came from the config
        raise RunError(str(error)) from error


def _check(config: Config) -> None:
    for name in ("num_steps", "batch_size", "log_every", "sample_every", "checkpoint_every"):
        value = getattr(config, name)
        if value is not None and value < 1:
            flag = name.replace("_", "-")
            raise RunError(f"--{flag} is {getattr(config, name)}, expected at least 1")
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
