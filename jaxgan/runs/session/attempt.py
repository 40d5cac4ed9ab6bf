"""Training of a run from one step to its last, with all callbacks: once, or after a rollback."""

import contextlib
import dataclasses
import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from rich.console import Console

from jaxgan import checkpoint, images, loop
from jaxgan.errors import UserError
from jaxgan.metrics import Records
from jaxgan.parallel import multihost
from jaxgan.runs.config.experiment import Config, Experiment
from jaxgan.runs.config.training_config import TrainingConfig
from jaxgan.runs.directory.files import of_steps
from jaxgan.runs.directory.logs import read_evaluations
from jaxgan.runs.reports import report
from jaxgan.runs.session import callbacks, trackers
from jaxgan.runs.session.compiled import in_parallel, scanned
from jaxgan.runs.session.divergence import Divergence, check_state
from jaxgan.runs.session.health import Health, with_norms
from jaxgan.runs.session.samples import drawn, prior_samples
from jaxgan.training import TrainState
from jaxgan.types import Array, Metrics

SLOWER = 0.5  # factor of the learning rates, in every rollback


@dataclasses.dataclass(frozen=True)
class Attempt:
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
        """Trains, and returns the last step; `draws` is whether grids are drawn."""
        lacks_evaluation = evaluate is not None and self.lacks_evaluation()
        if self.start >= self.last and not lacks_evaluation:
            return self.start
        with contextlib.ExitStack() as stack:
            loggers = self.loggers(stack)
            evaluations = self.evaluations(evaluate, loggers)
            if evaluations is not None and lacks_evaluation:
                self.catch_up(state, evaluations)
                self.report()(self.start, state, {})
            if self.start >= self.last or self.stop.received:
                return self.start
            if self.start:
                self.console.print(f"{self.directory} resumes from step {self.start}")
            manager = stack.enter_context(checkpoint.open_manager(self.directory / "checkpoints"))
            experiment, config = self.experiment, self.config
            state = loop.fit(
                in_parallel(scanned(experiment, config, self.start, self.last), config),
                experiment.minibatches,
                key=self.key(),
                num_steps=self.last,
                state=state,
                callbacks=self.all_callbacks(stack, manager, loggers, evaluations, draws=draws),
                live=False,
            )
            return int(state.step)

    def key(self) -> Array:
        """The key of the run, another one after every rollback."""
        key = jax.random.key(self.config.seed)
        return jax.random.fold_in(key, 1 + self.rollbacks) if self.rollbacks else key

    @cached_property
    def health(self) -> Health:
        """Warning signs, and rollbacks."""
        path = self.directory / "health.json"
        return Health(path, self.console, step=self.start, rollbacks=self.rollbacks)

    def rolled_back(self, why: str, *, to: int) -> None:
        """Records that this session diverged, and that the run continues from an earlier step."""
        number = self.rollbacks + 1
        self.health.rolled_back(to, why)
        changed = "with other random numbers"
        if isinstance(self.config, TrainingConfig):  # whose learning rates have a scale
            changed += f" and {SLOWER**number:g} times the learning rates"
        self.console.print(
            f"rollback {number} of {self.config.max_rollbacks} to step {to}, {changed}: {why}"
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
            every(self.config.evaluate_every or self.last, self.report()),
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
        if multihost.is_main():
            for file in of_steps(folder, ".*", after=self.start):  # which were given up
                file.unlink()
        samples = callbacks.save_images(folder, drawn(self.experiment))
        curves = callbacks.curves(self.directory / "losses.png", self.directory / "metrics.jsonl")
        variation = prior_samples(self.experiment) if self.config.health else None

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
                self.console.print(f"WARNING: no sample grid at step {step}: {why}")

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

    def report(self) -> loop.Callback:
        """The page `report.html`; training continues if it cannot be written."""

        def callback(step: int, state: TrainState, metrics: Metrics) -> None:
            try:
                report.write_report(self.directory, type(self.config))
            except Exception as error:
                self.console.print(f"WARNING: {self.directory}/report.html not written: {error}")

        return callback if multihost.is_main() else lambda step, state, metrics: None

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

    def lacks_evaluation(self) -> bool:
        """Whether the restored state was not evaluated, since a signal came in between."""
        if self.start == 0 or not self.is_evaluated(self.start):
            return False
        try:
            entries = read_evaluations(self.directory / "evaluation.json")
        except ValueError:  # reported when it is continued
            return True
        return all(entry["step"] != self.start for entry in entries)

    def catch_up(self, state: TrainState, evaluations: callbacks.Evaluations) -> None:
        """Evaluates the restored state, and adds the score to its checkpoint."""
        try:
            score = self.evaluated(self.start, state, evaluations)
        except callbacks.Interrupted:
            return
        except UserError as error:  # which costs no training
            self.console.print(f"WARNING: step {self.start} is not evaluated: {error}")
            return
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
        frames = of_steps(self.directory / "samples", ".png")
        newer = lambda: gif.exists() and gif.stat().st_mtime >= frames[-1].stat().st_mtime
        is_new = step > self.start  # whatever the clock says
        if multihost.is_main() and frames and (is_new or not newer()):
            images.save_animation(gif, frames)
        if step == self.start:
            self.console.print(f"{self.directory} is complete at step {step}: no steps are left")
        else:
            self.console.print(
                f"{self.directory} is complete at step {step}; see {self.directory}/samples"
            )
        return 0
