"""Training session of a run, from the newest checkpoint to the last step, and its callbacks."""

import contextlib
import dataclasses
import math
import signal
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import chex
import jax
import numpy as np
import orbax.checkpoint as ocp
from rich.console import Console

from jaxgan import checkpoint, images, loop, parallel
from jaxgan.data.sampler import check_range
from jaxgan.errors import NonFiniteError, RunError, UserError
from jaxgan.evaluation import evaluator, trace
from jaxgan.metrics import Records
from jaxgan.parallel import multihost
from jaxgan.runs import callbacks, trackers
from jaxgan.runs.divergence import Divergence, check_state
from jaxgan.runs.experiment import Config, Experiment
from jaxgan.runs.health import Health, with_norms
from jaxgan.runs.init_from import initialised
from jaxgan.training import TrainingAlgorithm, TrainState, scan_steps, with_ema
from jaxgan.types import Array, Metrics

GRID = 100  # number of samples in a grid
SLOWER = 0.5  # factor of the learning rates, in every rollback


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
    last = _num_steps(config, experiment)
    _check_minibatch(experiment)
    evaluate = None
    if experiment.evaluation is not None and config.evaluate_every:
        evaluate = _evaluator(experiment, config)  # reports a number of samples that is too small
    state = _first_state(experiment, config)
    record()
    with callbacks.StopOnSignal(signal.SIGINT, signal.SIGTERM) as stop:
        state, rollbacks = _resumed(directory, config, state, console, step=config.from_step)
        draws = True
        if int(state.step) == 0:
            draws, evaluates = rehearse(experiment, state, console)
            evaluate = evaluate if evaluates else None
        while True:
            if rollbacks:
                experiment = slower(rollbacks)
            session = _Session(
                directory, config, experiment, console, stop, int(state.step), last, rollbacks
            )
            try:
                step = session.run(state, evaluate, draws=draws)
                return session.finish(step)
            except NonFiniteError as error:
                if config.on_divergence == "stop" or rollbacks >= config.max_rollbacks:
                    raise _with_advice(error, config, rollbacks) from None
                why = str(error)
            rollbacks += 1
            del state
            state, _ = _resumed(directory, config, _first_state(experiment, config), console)
            session.rolled_back(why, to=int(state.step))


def _first_state(experiment: Experiment, config: Config) -> TrainState:
    algorithm = _parallel(experiment.algorithm, config)
    return loop.first_state(algorithm, experiment.minibatches, key=jax.random.key(config.seed))


def _resumed(
    directory: Path,
    config: Config,
    state: TrainState,
    console: Console,
    *,
    step: int | None = None,
) -> tuple[TrainState, int]:
    """The newest intact checkpoint, or the one asked for, and its number of rollbacks.

    Checkpoints of later steps are set aside, so that these steps can be saved again. Without a
    checkpoint, it is the initial state, or that of another run.
    """
    folder = directory / "checkpoints"
    with checkpoint.open_manager(folder) as manager:
        restored = checkpoint.restore(manager, state, step=step)
    if restored is None:
        if config.init_from is not None:
            return initialised(state, config, console), 0
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


def sampler(experiment: Experiment, n: int, *, seed: int) -> Callable[[TrainState], Array]:
    """`state -> [n, ...]`, samples by the averaged parameters if any, with fixed latents."""
    if experiment.game.sample is None:
        raise RunError("the game of this experiment has no samples")
    batch, key = experiment.sample_batch(n), jax.random.key(seed)
    sample: Callable[..., Array] = jax.jit(experiment.game.sample)
    return lambda state: multihost.to_host(sample(*with_ema(state), batch, key))


@dataclasses.dataclass(frozen=True)
class _Session:
    """Training from step `start` to step `last`, after a number of rollbacks, and its callbacks."""

    directory: Path
    config: Config
    experiment: Experiment
    console: Console
    stop: callbacks.StopOnSignal
    start: int
    last: int
    rollbacks: int

    def run(
        self, state: TrainState, evaluate: Callable[[TrainState], Records] | None, *, draws: bool
    ) -> int:
        """Trains, and returns the last step; `draws` is whether sheets are drawn."""
        with contextlib.ExitStack() as stack:
            loggers = self.loggers(stack)
            evaluations = self.evaluations(evaluate, loggers)
            if evaluations is not None:
                self.catch_up(state, evaluations)
            if self.start >= self.last or self.stop.received:
                return self.start
            if self.start:
                self.console.print(f"{self.directory} resumes from step {self.start}")
            manager = stack.enter_context(checkpoint.open_manager(self.directory / "checkpoints"))
            experiment, config = self.experiment, self.config
            state = loop.fit(
                _parallel(_scanned(experiment, config, self.start, self.last), config),
                experiment.minibatches,
                key=self.key(),
                num_steps=self.last,
                state=state,
                callbacks=self.all_callbacks(stack, manager, loggers, evaluations, draws=draws),
            )
            return int(state.step)

    def key(self) -> Array:
        """The key of the run, another one after every rollback."""
        key = jax.random.key(self.config.seed)
        return jax.random.fold_in(key, 1 + self.rollbacks) if self.rollbacks else key

    @cached_property
    def health(self) -> Health:
        """Signs of failing, and rollbacks."""
        path = self.directory / "health.json"
        return Health(path, self.console, step=self.start, rollbacks=self.rollbacks)

    def rolled_back(self, why: str, *, to: int) -> None:
        """Records that this session diverged, and that the run goes on from an earlier step."""
        number = self.rollbacks + 1
        self.health.rolled_back(to, why)
        self.console.print(
            f"rollback {number} of {self.config.max_rollbacks} to step {to}, with other random "
            f"numbers and {SLOWER**number:g} times the learning rates: {why}"
        )

    def all_callbacks(
        self,
        stack: contextlib.ExitStack,
        manager: ocp.CheckpointManager,
        loggers: list[trackers.Logger],
        evaluations: callbacks.Evaluations | None,
        *,
        draws: bool,
    ) -> list[loop.Callback]:
        """All callbacks, in order; their context managers are entered on the stack."""
        every = lambda period, callback: callbacks.every(period, callback, last=self.last)
        log_every, divergence = self.config.log_every, Divergence()
        # `agree` is a collective over all processes; for a single process it is free.
        agree = callbacks.every(1 if jax.process_count() == 1 else log_every, self.stop.agree)
        return [
            divergence,
            every(log_every, self.logs(stack, loggers, divergence)),
            *([every(self.config.sample_every, self.sample_images())] if draws else []),
            agree,
            self.evaluate_and_checkpoint(manager, evaluations, divergence),
            self.stop,
        ]

    def loggers(self, stack: contextlib.ExitStack) -> list[trackers.Logger]:
        """The trackers of `--log-to`, in the main process."""
        if not multihost.is_main():
            return []
        config = dataclasses.asdict(self.config)
        return [
            stack.enter_context(trackers.tracker(name, self.directory, config, step=self.start))
            for name in self.config.log_to
        ]

    def logs(
        self,
        stack: contextlib.ExitStack,
        loggers: list[trackers.Logger],
        divergence: Divergence,
    ) -> loop.Callback:
        """Check for divergence in all processes; logs and progress in the main process."""
        path, shown = self.directory / "metrics.jsonl", []
        if multihost.is_main():
            log = callbacks.metrics_log(path, loggers, step=self.start)
            progress = callbacks.progress(self.console, start=self.start, num_steps=self.last)
            shown = [stack.enter_context(log), stack.enter_context(progress)]
        if self.config.health:
            shown.append(self.health.logged)

        def callback(step: int, state: TrainState, metrics: Metrics) -> None:
            divergence.check()
            check_state(state)
            metrics = with_norms(state, metrics) if self.config.health else metrics
            for show in shown:
                show(step, state, metrics)

        return callback

    def sample_images(self) -> loop.Callback:
        """The experiment's images, and the training curves; a failure costs these only."""
        folder = self.directory / "samples"
        folder.mkdir(exist_ok=True)
        samples = callbacks.save_images(folder, _draw(self.experiment))
        curves = callbacks.curves(self.directory / "losses.png", self.directory / "metrics.jsonl")
        variation = _prior_samples(self.experiment) if self.config.health else None

        def draw(step: int, state: TrainState, metrics: Metrics) -> None:
            samples(step, state, metrics)
            curves(step, state, metrics)
            if variation is not None:
                self.health.sampled(step, variation(state))

        def callback(step: int, state: TrainState, metrics: Metrics) -> None:
            try:
                draw(step, state, metrics)
            except (OSError, MemoryError, jax.errors.JaxRuntimeError):
                raise
            except Exception as error:
                why = str(error).partition("\n")[0] or type(error).__name__
                self.console.print(f"WARNING: no sheet at step {step}: {why}")

        return callback

    def evaluate_and_checkpoint(
        self,
        manager: ocp.CheckpointManager,
        evaluations: callbacks.Evaluations | None,
        divergence: Divergence,
    ) -> loop.Callback:
        """Evaluates if due, and saves a checkpoint if due or if the state was evaluated."""

        def callback(step: int, state: TrainState, metrics: Metrics) -> None:
            received = self.stop.received
            evaluation_due = evaluations and self.is_evaluated(step) and not received
            due = step % self.config.checkpoint_every == 0 or step == self.last or received
            if not (evaluation_due or due):
                return
            divergence.check()
            check_state(state)
            score, failure = -math.inf, None
            if evaluations and evaluation_due:
                try:
                    score = self.evaluated(step, state, evaluations)
                except callbacks.Interrupted:  # evaluated when the run is resumed
                    pass
                except Exception as error:  # such as too few samples; still save the state
                    failure = error
            checkpoint.save(manager, state, score=score, rollbacks=self.rollbacks)
            if failure is not None:
                raise failure

        return callback

    def is_evaluated(self, step: int) -> bool:
        """Whether the state of a step is to be evaluated."""
        return step % self.config.evaluate_every == 0 or step == self.last

    def evaluated(self, step: int, state: TrainState, evaluations: callbacks.Evaluations) -> float:
        """Evaluates a state, and returns its score."""
        score = evaluations(step, state)
        name, values = evaluations.values()
        if self.config.health and name:
            assert self.experiment.evaluation is not None
            self.health.evaluated(step, name, values, mode=self.experiment.evaluation.mode)
        return score

    def evaluations(
        self,
        evaluate: Callable[[TrainState], Records] | None,
        loggers: list[trackers.Logger],
    ) -> callbacks.Evaluations | None:
        """`(step, state) -> score`, ended by a signal; `None` without evaluation."""
        evaluation = self.experiment.evaluation
        if evaluation is None or evaluate is None:
            return None
        return callbacks.Evaluations(
            self.directory / "evaluation.json",
            self.stop.interruptible(evaluate),
            evaluation,
            self.console,
            loggers,
            step=self.start,
        )

    def catch_up(self, state: TrainState, evaluations: callbacks.Evaluations) -> None:
        """Evaluates the restored state if the signal that ended the run came in between."""
        if self.start == 0 or not self.is_evaluated(self.start) or evaluations.has(self.start):
            return
        with contextlib.suppress(callbacks.Interrupted):
            score = self.evaluated(self.start, state, evaluations)
            if multihost.is_main():
                checkpoint.set_score(self.directory / "checkpoints", self.start, score)

    def finish(self, step: int) -> int:
        """Prints how training ended, writes the animation, and returns the exit status."""
        stop, gif = self.stop, self.directory / "samples.gif"
        if stop.received and (step < self.last or stop.interrupted):
            self.console.print(
                f"stopped by {stop.received.name} at step {step}, which is saved; "
                "the same command resumes from it"
            )
            return 128 + stop.received
        frames = sorted((self.directory / "samples").glob("step_*.png"))
        if multihost.is_main() and frames and not (step == self.start and gif.exists()):
            images.save_animation(gif, frames)
        if step == self.start:
            self.console.print(f"{self.directory} is complete at step {step}: no steps are left")
        else:
            self.console.print(
                f"{self.directory} is complete at step {step}; see {self.directory}/samples"
            )
        return 0


def rehearse(experiment: Experiment, state: TrainState, console: Console) -> tuple[bool, bool]:
    """Tries before the first step what comes after many: a sheet, and samples of an evaluation.

    Returns:
      Whether sheets can be drawn, and whether there is an evaluation that can be computed; where
      one fails, a warning says why, and the run does without.

    Raises:
      UserError: one fails for a reason that the user can mend.
    """

    def sheet() -> None:
        with tempfile.TemporaryDirectory() as folder:
            _draw(experiment)(Path(folder) / "sheet.png", state)

    def evaluation() -> None:
        if experiment.evaluation is not None:
            trace(experiment.game, experiment.evaluation, state)

    works = []
    for name, attempt in (("sheets", sheet), ("evaluations", evaluation)):
        try:
            attempt()
            works.append(True)
        except UserError:
            raise
        except Exception as error:
            why = str(error).partition("\n")[0] or type(error).__name__
            console.print(f"WARNING: {name} fail, and are left out: {why}")
            works.append(False)
    return works[0], works[1]


def _draw(experiment: Experiment) -> Callable[[Path, TrainState], None]:
    return experiment.draw or _draw_grid(experiment)


def _prior_samples(experiment: Experiment) -> Callable[[TrainState], Array] | None:
    """`state -> samples` from a prior, which may collapse; `None` for other games."""
    if experiment.game.prior is None or experiment.game.sample is None:
        return None
    return sampler(experiment, GRID, seed=0)


def _draw_grid(experiment: Experiment) -> Callable[[Path, TrainState], None]:
    sample = sampler(experiment, GRID, seed=0)

    def draw(path: Path, state: TrainState) -> None:
        samples = sample(state)  # in all processes: parameters may be sharded over them
        if multihost.is_main():
            images.save_sheet(path, samples)

    return draw


def _check_minibatch(experiment: Experiment) -> None:
    """Checks the ranges of the images in the first minibatch."""
    for name, rows in experiment.minibatches(0, 1).items():
        if np.ndim(rows) == 5:  # [1, batch, height, width, channels]
            check_range(name, np.asarray(rows))


def _scanned(experiment: Experiment, config: Config, start: int, last: int) -> TrainingAlgorithm:
    """The algorithm with as many steps per update as intervals and remaining steps allow."""
    algorithm = experiment.algorithm
    intervals = (
        config.log_every,
        config.sample_every,
        config.checkpoint_every,
        config.evaluate_every,
    )
    steps = math.gcd(experiment.scan_steps, start, last - start, *intervals)
    return algorithm if steps == 1 else scan_steps(algorithm, steps)


def _evaluator(experiment: Experiment, config: Config) -> Callable[[TrainState], Records]:
    assert experiment.evaluation is not None
    num_samples = config.evaluate_samples
    try:
        return evaluator(experiment.game, experiment.evaluation, num_samples=num_samples)
    except ValueError as error:
        raise RunError(f"--evaluate-samples: {error}") from None


def _num_steps(config: Config, experiment: Experiment) -> int:
    if config.num_steps is not None:
        return config.num_steps
    if experiment.num_steps is None:
        raise RunError("this experiment has no default number of steps; give --num-steps")
    return experiment.num_steps


def _parallel(algorithm: TrainingAlgorithm, config: Config) -> TrainingAlgorithm:
    """The algorithm in the config's parallel mode; retracing its update raises an error."""
    chex.clear_trace_counter()
    mode, num_devices = config.parallel, jax.device_count()
    if mode == "auto":
        mode = "jit" if num_devices == 1 else "pmap" if jax.process_count() == 1 else "sharded"
    if mode != "sharded" and jax.process_count() > 1:
        raise RunError(
            f"--parallel {mode} is for one process, and there are {jax.process_count()}; "
            "choose --parallel sharded"
        )
    if mode != "jit" and config.batch_size % num_devices:
        raise RunError(
            f"--batch-size is {config.batch_size} and there are {num_devices} devices; "
            f"choose a multiple of {num_devices}"
            + (", or --parallel jit" if jax.process_count() == 1 else "")
        )
    return getattr(parallel, mode)(algorithm, max_traces=1)
