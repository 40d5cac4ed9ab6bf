"""A session of a run: rounds from where it stands to its last, and what happens between them."""

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

from jaxgan import callbacks, checkpoint, images, loop, parallel, processes
from jaxgan.errors import UserError
from jaxgan.evaluation import evaluator
from jaxgan.experiment import Config, Experiment
from jaxgan.training import TrainingAlgorithm, TrainState, with_ema
from jaxgan.types import Array, Metrics

SHEET = 100  # samples on a sheet


class RunError(UserError):
    """A run that cannot start or go on."""


def play(
    directory: Path,
    config: Config,
    experiment: Experiment,
    console: Console,
    *,
    record: Callable[[], None],
) -> int:
    """Plays the rounds that are left, from the newest checkpoint on.

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
        if (last - start) % algorithm.num_rounds:
            raise RunError(
                f"{last - start} rounds are left and {algorithm.num_rounds} are played at once; "
                f"choose --num-steps {last + (start - last) % algorithm.num_rounds}"
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
            callbacks=session.between_rounds(stack, manager, stop),
        )
    return session.ended(int(state.step), stop.received)


def sampler(experiment: Experiment, n: int, *, seed: int) -> Callable[[TrainState], Array]:
    """`state -> n samples`, always from the same latents; by averaged parameters, if any."""
    if experiment.game.sample is None:
        raise RunError("this game is not played for samples; there is nothing to draw")
    batch, key = experiment.sample_batch(n), jax.random.key(seed)
    sample: Callable[..., Array] = jax.jit(experiment.game.sample)
    return lambda state: processes.to_host(sample(*with_ema(state), batch, key))


@dataclasses.dataclass(frozen=True)
class _Session:
    """What happens between the rounds from `start` to `last`."""

    directory: Path
    config: Config
    experiment: Experiment
    console: Console
    start: int
    last: int

    def between_rounds(
        self,
        stack: contextlib.ExitStack,
        manager: ocp.CheckpointManager,
        stop: callbacks.StopOnSignal,
    ) -> list[loop.Callback]:
        """The callbacks, in their order; what they keep open is on the stack."""
        every = lambda period, callback: callbacks.every(period, callback, last=self.last)
        log_every, scores = self.config.log_every, dict[int, float]()
        save = self.checkpoints(manager, stop, scores)
        # Agreeing takes a message around all processes; alone, a process agrees at once.
        agree = callbacks.every(1 if jax.process_count() == 1 else log_every, stop.agree)
        return [
            *(every(log_every, callback) for callback in self.logs(stack)),
            every(self.config.sample_every, self.pictures()),
            *(every(self.config.evaluate_every, look) for look in self.evaluations(scores, save)),
            agree,
            save,
            stop,
        ]

    def logs(self, stack: contextlib.ExitStack) -> list[loop.Callback]:
        """What is said of the metrics, by the main process."""
        if not processes.is_main():
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

    def evaluations(self, scores: dict[int, float], save: loop.Callback) -> list[loop.Callback]:
        """What measures the run, if there is something to measure it by; it fills the scores."""
        what = self.experiment.evaluation
        if what is None or not self.config.evaluate_every:
            return []
        number = self.config.evaluate_samples
        measure = evaluator(self.experiment.game, what, num_samples=number)
        path = self.directory / "evaluation.json"
        look = callbacks.evaluations(path, measure, what, self.console, scores, step=self.start)

        def look_and_lose_nothing(step: int, state: TrainState, metrics: Metrics) -> None:
            try:
                look(step, state, metrics)
            except UserError:  # such as too few samples for a metric
                scores[step] = -math.inf
                save(step, state, metrics)
                raise

        return [look_and_lose_nothing]

    def checkpoints(
        self,
        manager: ocp.CheckpointManager,
        stop: callbacks.StopOnSignal,
        scores: dict[int, float],
    ) -> loop.Callback:
        """Saves now and then, at the end, and whatever was measured."""

        def save(step: int, state: TrainState, metrics: Metrics) -> None:
            due = step % self.config.checkpoint_every == 0 or step == self.last or stop.received
            if due or step in scores:
                callbacks.check_finite(step, state, metrics)
                checkpoint.save(manager, state, score=scores.get(step, -math.inf))

        return save

    def ended(self, step: int, received: signal.Signals | None) -> int:
        """Says how it ended, and gives the exit status."""
        if step < self.last and received:
            self.console.print(
                f"stopped by {received.name} at step {step}, which is saved; "
                "the same command goes on from there"
            )
            return 128 + received
        frames = sorted((self.directory / "samples").glob("step_*.png"))
        if processes.is_main() and frames:
            images.save_animation(self.directory / "samples.gif", frames)
        self.console.print(
            f"{self.directory} is complete at step {step}; see {self.directory}/samples"
        )
        return 0


def _sheet(experiment: Experiment) -> Callable[[Path, TrainState], None]:
    sample = sampler(experiment, SHEET, seed=0)

    def draw(path: Path, state: TrainState) -> None:
        drawn = sample(state)  # by all processes, if the parameters are spread over them
        if processes.is_main():
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
