"""Training session of a run, from the newest checkpoint to the last step, and its callbacks."""

import contextlib
import dataclasses
import math
import signal
from collections.abc import Callable
from pathlib import Path

import chex
import jax
import numpy as np
import orbax.checkpoint as ocp
from rich.console import Console

from jaxgan import checkpoint, images, loop, parallel
from jaxgan.data.sampler import check_range
from jaxgan.errors import RunError, UserError
from jaxgan.evaluation import evaluator
from jaxgan.metrics import Records
from jaxgan.parallel import multihost
from jaxgan.runs import callbacks, report, trackers
from jaxgan.runs.experiment import Config, Experiment
from jaxgan.runs.init_from import initialised
from jaxgan.training import TrainingAlgorithm, TrainState, scan_steps, with_ema
from jaxgan.types import Array, Metrics

GRID = 100  # number of samples in a grid


def train(
    directory: Path,
    config: Config,
    experiment: Experiment,
    console: Console,
    *,
    record: Callable[[], None],
) -> int:
    """Trains the remaining steps of a run, from the newest checkpoint.

    Args:
      directory: directory of the run.
      config, experiment: configuration of the run, and the experiment built from it.
      console: console for progress.
      record: writes `config.json`. It is called after shapes and devices have been checked, so that
        an invalid config is not recorded, and a corrected one can use the same directory.

    Returns:
      The exit status of the program: 0, or 128 + n if stopped by signal n.

    Raises:
      UserError: the run cannot be resumed, or training diverged.
    """
    algorithm, key = _parallel(experiment.algorithm, config), jax.random.key(config.seed)
    last = num_steps_of(config, experiment)
    _check_minibatch(experiment)
    if experiment.evaluation is not None and config.evaluate_every:
        evaluator_of(experiment, config)  # reports a number of samples that is too small
    state = loop.first_state(algorithm, experiment.minibatches, key=key)
    record()
    with (
        callbacks.StopOnSignal(signal.SIGINT, signal.SIGTERM) as stop,
        checkpoint.open_manager(directory / "checkpoints") as manager,
        contextlib.ExitStack() as stack,
    ):
        restored = checkpoint.restore(manager, state)
        if restored is None and config.init_from is not None:
            restored = initialised(state, config, console)
        state = state if restored is None else restored
        start = int(state.step)
        if start >= last:
            console.print(f"{directory} is complete at step {start}: no steps are left")
            return 0
        algorithm = _parallel(scanned(experiment, config, start, last), config)
        if start:
            console.print(f"{directory} resumes from step {start}")
        session = _Session(directory, config, experiment, console, start, last)
        state = loop.fit(
            algorithm,
            experiment.minibatches,
            key=key,
            num_steps=last,
            state=state,
            callbacks=session.all_callbacks(stack, manager, stop),
        )
    return session.finish(int(state.step), stop.received)


def sampler(experiment: Experiment, n: int, *, seed: int) -> Callable[[TrainState], Array]:
    """`state -> [n, ...]`, samples by the averaged parameters if any, with fixed latents."""
    if experiment.game.sample is None:
        raise RunError("the game of this experiment has no samples")
    batch, key = experiment.sample_batch(n), jax.random.key(seed)
    sample: Callable[..., Array] = jax.jit(experiment.game.sample)
    return lambda state: multihost.to_host(sample(*with_ema(state), batch, key))


@dataclasses.dataclass(frozen=True)
class _Session:
    """Callbacks of a session that trains from step `start` to step `last`."""

    directory: Path
    config: Config
    experiment: Experiment
    console: Console
    start: int
    last: int

    def all_callbacks(
        self,
        stack: contextlib.ExitStack,
        manager: ocp.CheckpointManager,
        stop: callbacks.StopOnSignal,
    ) -> list[loop.Callback]:
        """All callbacks, in order; their context managers are entered on the stack."""
        every = lambda period, callback: callbacks.every(period, callback, last=self.last)
        log_every, loggers = self.config.log_every, self.loggers(stack)
        # `agree` is a collective over all processes; for a single process it is free.
        agree = callbacks.every(1 if jax.process_count() == 1 else log_every, stop.agree)
        return [
            *(every(log_every, callback) for callback in self.logs(stack, loggers)),
            every(self.config.sample_every, self.sample_images()),
            agree,
            self.evaluate_and_checkpoint(manager, stop, loggers),
            every(self.config.evaluate_every or self.last, self.report()),
            stop,
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
        self, stack: contextlib.ExitStack, loggers: list[trackers.Logger]
    ) -> list[loop.Callback]:
        """Check for NaN in all processes; logs and progress in the main process."""
        if not multihost.is_main():
            return [callbacks.check_finite]
        path = self.directory / "metrics.jsonl"
        progress = callbacks.progress(self.console, start=self.start, num_steps=self.last)
        return [
            callbacks.check_finite,
            stack.enter_context(callbacks.metrics_log(path, loggers, step=self.start)),
            stack.enter_context(progress),
        ]

    def sample_images(self) -> loop.Callback:
        """The experiment's images, and the training curves."""
        folder = self.directory / "samples"
        folder.mkdir(exist_ok=True)
        samples = callbacks.save_images(folder, self.experiment.draw or draw_grid(self.experiment))
        curves = callbacks.curves(self.directory / "losses.png", self.directory / "metrics.jsonl")

        def callback(step: int, state: TrainState, metrics: Metrics) -> None:
            samples(step, state, metrics)
            curves(step, state, metrics)

        return callback

    def evaluate_and_checkpoint(
        self,
        manager: ocp.CheckpointManager,
        stop: callbacks.StopOnSignal,
        loggers: list[trackers.Logger],
    ) -> loop.Callback:
        """Evaluates if due, and saves a checkpoint if due or if the state was evaluated."""
        evaluate, evaluate_every = self.evaluations(loggers), self.config.evaluate_every

        def callback(step: int, state: TrainState, metrics: Metrics) -> None:
            evaluation_due = evaluate and (step % evaluate_every == 0 or step == self.last)
            due = step % self.config.checkpoint_every == 0 or step == self.last or stop.received
            if not (evaluation_due or due):
                return
            callbacks.check_finite(step, state, metrics)
            score, failure = -math.inf, None
            if evaluate and evaluation_due:
                try:
                    score = evaluate(step, state)
                except UserError as error:  # such as too few samples; still save the state
                    failure = error
            checkpoint.save(manager, state, score=score)
            if failure is not None:
                raise failure

        return callback

    def evaluations(
        self, loggers: list[trackers.Logger]
    ) -> Callable[[int, TrainState], float] | None:
        """`(step, state) -> score`; `None` without evaluation."""
        evaluation = self.experiment.evaluation
        if evaluation is None or not self.config.evaluate_every:
            return None
        evaluate = evaluator_of(self.experiment, self.config)
        path = self.directory / "evaluation.json"
        return callbacks.Evaluations(
            path, evaluate, evaluation, self.console, loggers, step=self.start
        )

    def report(self) -> loop.Callback:
        """The page `report.html`; training goes on if it cannot be written."""

        def callback(step: int, state: TrainState, metrics: Metrics) -> None:
            try:
                report.write_report(self.directory, type(self.config))
            except Exception as error:
                self.console.print(f"WARNING: {self.directory}/report.html not written: {error}")

        return callback if multihost.is_main() else lambda step, state, metrics: None

    def finish(self, step: int, received: signal.Signals | None) -> int:
        """Prints how training ended, writes the animation, and returns the exit status."""
        if step < self.last and received:
            self.console.print(
                f"stopped by {received.name} at step {step}, which is saved; "
                "the same command resumes from it"
            )
            return 128 + received
        frames = sorted((self.directory / "samples").glob("step_*.png"))
        if multihost.is_main() and frames:
            images.save_animation(self.directory / "samples.gif", frames)
        self.console.print(
            f"{self.directory} is complete at step {step}; see {self.directory}/samples"
        )
        return 0


def draw_grid(experiment: Experiment) -> Callable[[Path, TrainState], None]:
    """`(path, state) -> None`, writes a grid of samples, from the same latents in every call."""
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


def scanned(experiment: Experiment, config: Config, start: int, last: int) -> TrainingAlgorithm:
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


def evaluator_of(experiment: Experiment, config: Config) -> Callable[[TrainState], Records]:
    """The evaluator of an experiment with an evaluation; a `RunError` for too few samples."""
    assert experiment.evaluation is not None
    num_samples = config.evaluate_samples
    try:
        return evaluator(experiment.game, experiment.evaluation, num_samples=num_samples)
    except ValueError as error:
        raise RunError(f"--evaluate-samples: {error}") from None


def num_steps_of(config: Config, experiment: Experiment) -> int:
    """Total number of training steps: the config's, or the default of the experiment."""
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
