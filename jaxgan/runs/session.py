"""Training session of a run: from the newest checkpoint to the last step, with its callbacks."""

import contextlib
import dataclasses
import math
import signal
from collections.abc import Callable
from pathlib import Path

import chex
import jax
import orbax.checkpoint as ocp
from rich.console import Console

from jaxgan.runs import callbacks
from jaxgan import checkpoint, images, loop, parallel
from jaxgan.parallel import multihost
from jaxgan.errors import RunError, UserError
from jaxgan.evaluation import evaluator
from jaxgan.runs.experiment import Config, Experiment
from jaxgan.training import TrainingAlgorithm, TrainState, with_ema
from jaxgan.types import Array, Metrics

SHEET = 100  # samples on a sheet


def train(
    directory: Path,
    config: Config,
    experiment: Experiment,
    console: Console,
    *,
    record: Callable[[], None],
) -> int:
    """Trains the steps that are left, from the newest checkpoint on.

    Args:
      directory: of the run.
      config, experiment: what is run.
      console: where progress is shown.
      record: writes down that it is run here; called when sizes and devices are known to fit, so
        that a config that is no good leaves nothing behind that the next would have to match.

    Returns:
      The exit status of the program: 0, or 128 + n when signal n stopped it.

    Raises:
      UserError: the run cannot go on, or it diverged.
    """
    algorithm, key = _parallel(experiment.algorithm, config), jax.random.key(config.seed)
    last = _num_steps(config, experiment)
    state = loop.first_state(algorithm, experiment.minibatches, key=key)
    record()
    with (
        callbacks.StopOnSignal(signal.SIGINT, signal.SIGTERM) as stop,
        checkpoint.open_manager(directory / "checkpoints") as manager,
        contextlib.ExitStack() as stack,
    ):
        state = checkpoint.restore(manager, state) or state
        start = int(state.step)
        if start >= last:
            console.print(f"{directory} is complete at step {start}: nothing is left to do")
            return 0
        if (last - start) % algorithm.steps_per_update:
            raise RunError(
                f"{last - start} steps are left and an update takes {algorithm.steps_per_update}; "
                f"choose --num-steps {last + (start - last) % algorithm.steps_per_update}"
            )
        if start:
            console.print(f"{directory} goes on from step {start}")
        session = _Session(directory, config, experiment, console, start, last)
        state = loop.fit(
            algorithm,
            experiment.minibatches,
            key=key,
            num_steps=last,
            state=state,
            callbacks=session.all_callbacks(stack, manager, stop),
        )
    return session.ended(int(state.step), stop.received)


def sampler(experiment: Experiment, n: int, *, seed: int) -> Callable[[TrainState], Array]:
    """`state -> n samples`, always from the same latents; by averaged parameters, if any."""
    if experiment.game.sample is None:
        raise RunError("this game is not played for samples; there is nothing to draw")
    batch, key = experiment.sample_batch(n), jax.random.key(seed)
    sample: Callable[..., Array] = jax.jit(experiment.game.sample)
    return lambda state: multihost.to_host(sample(*with_ema(state), batch, key))


@dataclasses.dataclass(frozen=True)
class _Session:
    """The callbacks of the steps from `start` to `last`."""

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
        """All of them, in their order; what they keep open is on the stack."""
        every = lambda period, callback: callbacks.every(period, callback, last=self.last)
        log_every = self.config.log_every
        # Agreeing takes a message around all processes; a single process agrees at once.
        agree = callbacks.every(1 if jax.process_count() == 1 else log_every, stop.agree)
        return [
            *(every(log_every, callback) for callback in self.logs(stack)),
            every(self.config.sample_every, self.pictures()),
            agree,
            self.evaluate_and_checkpoint(manager, stop),
            stop,
        ]

    def logs(self, stack: contextlib.ExitStack) -> list[loop.Callback]:
        """Finiteness in every process; logs and progress in the main one."""
        if not multihost.is_main():
            return [callbacks.check_finite]
        log = self.directory / "metrics.jsonl", self.directory / "tensorboard"
        progress = callbacks.progress(self.console, start=self.start, num_steps=self.last)
        return [
            callbacks.check_finite,
            stack.enter_context(callbacks.metrics_log(*log, step=self.start)),
            stack.enter_context(progress),
        ]

    def pictures(self) -> loop.Callback:
        """The experiment's pictures, and the curves."""
        folder = self.directory / "samples"
        folder.mkdir(exist_ok=True)
        draw = callbacks.pictures(folder, self.experiment.draw or _sheet(self.experiment))
        curves = callbacks.curves(self.directory / "losses.png", self.directory / "metrics.jsonl")

        def both(step: int, state: TrainState, metrics: Metrics) -> None:
            draw(step, state, metrics)
            curves(step, state, metrics)

        return both

    def evaluate_and_checkpoint(
        self, manager: ocp.CheckpointManager, stop: callbacks.StopOnSignal
    ) -> loop.Callback:
        """Evaluates when that is due, and saves when that is due or the state was evaluated."""
        evaluate, evaluate_every = self.evaluations(), self.config.evaluate_every

        def callback(step: int, state: TrainState, metrics: Metrics) -> None:
            evaluated = evaluate and (step % evaluate_every == 0 or step == self.last)
            due = step % self.config.checkpoint_every == 0 or step == self.last or stop.received
            if not (evaluated or due):
                return
            callbacks.check_finite(step, state, metrics)
            score, failure = -math.inf, None
            if evaluate and evaluated:
                try:
                    score = evaluate(step, state)
                except UserError as error:  # such as too few samples; the step is saved all the same
                    failure = error
            checkpoint.save(manager, state, score=score)
            if failure is not None:
                raise failure

        return callback

    def evaluations(self) -> Callable[[int, TrainState], float] | None:
        """`(step, state) -> score`, if there is something to evaluate by."""
        what = self.experiment.evaluation
        if what is None or not self.config.evaluate_every:
            return None
        number = self.config.evaluate_samples
        evaluate = evaluator(self.experiment.game, what, num_samples=number)
        path = self.directory / "evaluation.json"
        return callbacks.Evaluations(path, evaluate, what, self.console, step=self.start)

    def ended(self, step: int, received: signal.Signals | None) -> int:
        """Says how it ended, and gives the exit status."""
        if step < self.last and received:
            self.console.print(
                f"stopped by {received.name} at step {step}, which is saved; "
                "the same command goes on from there"
            )
            return 128 + received
        frames = sorted((self.directory / "samples").glob("step_*.png"))
        if multihost.is_main() and frames:
            images.save_animation(self.directory / "samples.gif", frames)
        self.console.print(
            f"{self.directory} is complete at step {step}; see {self.directory}/samples"
        )
        return 0


def _sheet(experiment: Experiment) -> Callable[[Path, TrainState], None]:
    sample = sampler(experiment, SHEET, seed=0)

    def draw(path: Path, state: TrainState) -> None:
        drawn = sample(state)  # by all processes, if the parameters are spread over them
        if multihost.is_main():
            images.save_sheet(path, drawn)

    return draw


def _num_steps(config: Config, experiment: Experiment) -> int:
    if config.num_steps is not None:
        return config.num_steps
    if experiment.num_steps is None:
        raise RunError("this experiment does not know how long to train; give --num-steps")
    return experiment.num_steps


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
