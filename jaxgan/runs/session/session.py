"""Training session of a run, from the newest checkpoint to the last step."""

import signal
from collections.abc import Callable
from pathlib import Path

import jax
from rich.console import Console

from jaxgan import checkpoint, loop
from jaxgan.data import check_images
from jaxgan.errors import CheckpointError, NonFiniteError, RunError
from jaxgan.evaluation import Evaluation, evaluator
from jaxgan.metrics import Records
from jaxgan.runs.config.experiment import Config, Experiment
from jaxgan.runs.config.training_config import check_frozen
from jaxgan.runs.session import callbacks
from jaxgan.runs.session.attempt import Attempt
from jaxgan.runs.session.compiled import in_parallel
from jaxgan.runs.session.init_from import initialized
from jaxgan.runs.session.samples import dry_run
from jaxgan.training import TrainState

FEW = 1000  # held-out examples


def train(
    directory: Path,
    config: Config,
    experiment: Experiment,
    console: Console,
    *,
    record: Callable[[], None],
    slower: Callable[[int], Experiment],
) -> int:
    """Trains the remaining steps of a run, from the newest checkpoint.

    Args:
      directory: directory of the run.
      config, experiment: configuration of the run, and the experiment built from it.
      console: console for progress.
      record: writes `config.json`. It is called after shapes and devices have been checked, so that
        an invalid config is not recorded, and a corrected one can use the same directory.
      slower: builds the experiment with the learning rates after a number of rollbacks, `SLOWER` to
        that power times those of the config.

    Returns:
      The exit status of the program: 0, or 128 + n if stopped by signal n.

    Raises:
      UserError: the run cannot be resumed, or training diverged.
    """
    last = num_steps_of(config, experiment)
    _check_steps(directory / "checkpoints", config, last)
    warn_of_decay(config, last, console)
    _check_minibatch(experiment)
    evaluate = None
    if is_evaluated(experiment, config, console):
        evaluate = evaluator_of(experiment, config)  # reports a number of samples that is too small
    console.print("compiling")
    state = _first_state(directory, config, experiment, console)
    record()
    with callbacks.StopOnSignal(signal.SIGINT, signal.SIGTERM) as stop:
        state, rollbacks = _resumed(directory, state, console, step=config.from_step)
        draws = True
        if int(state.step) < last:
            draws, evaluates = dry_run(experiment, state, console)
            evaluate = evaluate if evaluates else None
        while True:
            if rollbacks:
                experiment = slower(rollbacks)
            attempt = Attempt(
                directory, config, experiment, console, stop, int(state.step), last, rollbacks
            )
            try:
                step = attempt.run(state, evaluate, draws=draws)
                return attempt.finish(step)
            except NonFiniteError as error:
                if config.on_divergence == "stop" or rollbacks >= config.max_rollbacks:
                    raise _with_advice(error, config, rollbacks) from None
                why = str(error)
            rollbacks += 1
            del state
            first = _first_state(directory, config, experiment, console)
            state, _ = _resumed(directory, first, console)
            attempt.rolled_back(why, to=int(state.step))


def _check_steps(folder: Path, config: Config, last: int) -> None:
    """Checks that steps are left, from the newest checkpoint or that of `--from-step`."""
    newest, start = checkpoint.newest_step(folder), config.from_step
    if start is None and last < newest:
        raise RunError(
            f"--num-steps is {last}, and {folder.parent} is at step {newest}; give at least that "
            "many, or --from-step to go back"
        )
    if start is None:
        return
    if start not in (steps := checkpoint.steps_of(folder)):
        known = ", ".join(map(str, sorted(steps))) or "none"
        raise CheckpointError(f"{folder} has no checkpoint of step {start}; there is {known}")
    if start >= last:
        raise RunError(f"--from-step is {start} and --num-steps is {last}: no steps are left")


def warn_of_decay(config: Config, last: int, console: Console) -> None:
    """Warns if learning rates have decayed to 0 before the last step."""
    decay_steps = getattr(config, "decay_steps", None)
    decays = getattr(config, "lr_decay", "none") != "none"
    if decays and decay_steps is not None and last > decay_steps:
        console.print(
            f"WARNING: --num-steps is {last}, and learning rates that decay are 0 from step "
            f"{decay_steps} on (--decay-steps)"
        )


def _first_state(
    directory: Path, config: Config, experiment: Experiment, console: Console
) -> TrainState:
    """The initial state: without checkpoints, that of another run if the config asks for it."""
    algorithm, key = in_parallel(experiment.algorithm, config), jax.random.key(config.seed)
    state = loop.first_state(algorithm, experiment.minibatches, key=key)
    check_frozen(config, lambda: state.params)
    if config.init_from is None or checkpoint.newest_step(directory / "checkpoints"):
        return state
    return initialized(state, config, console)


def _resumed(
    directory: Path, state: TrainState, console: Console, *, step: int | None = None
) -> tuple[TrainState, int]:
    """The newest intact checkpoint, or the one asked for, and its number of rollbacks.

    Checkpoints of later steps are set aside, so that these steps can be saved again. Without a
    checkpoint, it is the given state.
    """
    folder = directory / "checkpoints"
    with checkpoint.open_manager(folder) as manager:
        restored = checkpoint.restore(manager, state, step=step)
    if restored is None:
        return state, 0
    step = int(restored.step)
    if moved := checkpoint.set_aside(folder, after=step):
        console.print(
            f"the checkpoints of steps {', '.join(map(str, sorted(moved)))} are set aside, in "
            f"{folder}-set-aside; it may be deleted"
        )
    return restored, checkpoint.read_record(folder, step)["rollbacks"]


def _with_advice(error: NonFiniteError, config: Config, rollbacks: int) -> NonFiniteError:
    tried = f" after {rollbacks} rollbacks" if rollbacks else ""
    if config.on_divergence == "stop":
        what = "Choose --on-divergence rollback, which halves the learning rates"
    else:
        what = "Choose smaller learning rates, --clip-norm, or a larger --max-rollbacks"
    return NonFiniteError(
        f"training diverged{tried}: {error}, and is not saved; the newest checkpoint is intact. "
        f"{what}"
    )


def _check_minibatch(experiment: Experiment) -> None:
    """Checks the ranges of the images in the first minibatch."""
    check_images({name: rows[0] for name, rows in experiment.minibatches(0, 1).items()})


def evaluator_of(experiment: Experiment, config: Config) -> Callable[[TrainState], Records]:
    """The evaluator of an experiment with an evaluation; a `RunError` for too few samples."""
    assert experiment.evaluation is not None
    num_samples = config.evaluate_samples
    try:
        return evaluator(experiment.game, experiment.evaluation, num_samples=num_samples)
    except ValueError as error:
        raise RunError(f"{error}; see --evaluate-samples, or give --evaluate-every 0") from None


def is_evaluated(experiment: Experiment, config: Config, console: Console) -> bool:
    """Whether the run has evaluations; warns if there are too few held-out examples, or few."""
    evaluation = experiment.evaluation
    if evaluation is None or not config.evaluate_every:
        return False
    num = len(evaluation.examples[evaluation.target])
    if not has_metrics(evaluation):
        console.print(f"WARNING: no evaluations, since {num} held-out examples are too few")
        return False
    if num < FEW:
        console.print(
            f"scores compare with {num} held-out examples; with so few, small differences between "
            "scores are chance"
        )
    return True


def has_metrics(evaluation: Evaluation) -> bool:
    """Whether an evaluation, or a part of it, has a metric."""
    return bool(evaluation.metrics) or any(map(has_metrics, evaluation.parts.values()))


def num_steps_of(config: Config, experiment: Experiment) -> int:
    """Number of training steps, by the config or else by the experiment."""
    if config.num_steps is not None:
        return config.num_steps
    if experiment.num_steps is None:
        raise RunError("this experiment has no default number of steps; give --num-steps")
    return experiment.num_steps
