"""Members of a population as ordinary runs, trained together by one program.

runs/mixture/      of `--seeds 3`
  seed_0/ ...      runs, which all commands accept, and which can continue alone
  samples.png      the members' samples at the last step, side by side

Each member has the key and the data of its seed, and is equal to its single run up to the order of
sums. When the same command is started again, the members continue from the newest step for which
all have an intact checkpoint. A member that diverges is marked, and keeps its earlier checkpoints.
"""

import contextlib
import dataclasses
import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from jaxgan import checkpoint, loop, parallel, population
from jaxgan.checkpoint.record import score_of
from jaxgan.errors import NonFiniteError, RunError
from jaxgan.runs.directory.config_json import write_config_json
from jaxgan.runs.directory.files import write_atomically
from jaxgan.runs.directory.lock import locked
from jaxgan.runs.directory.logs import read_evaluations
from jaxgan.runs.population import resume
from jaxgan.runs.population.resume import Member
from jaxgan.runs.session import callbacks, samples, session, trackers
from jaxgan.runs.session.compiled import scanned
from jaxgan.runs.session.divergence import check_state
from jaxgan.training import TrainingAlgorithm, TrainState
from jaxgan.types import Metrics

Values = dict[str, float]  # of a member's last evaluation, by the name of the metric


def train(
    members: Sequence[Member], name: str, console: Console, *, passed: bool = False
) -> list[Values | None]:
    """Trains members that differ in their seeds, and evaluates and draws their last states.

    Args:
      members: with configurations that are equal but for seeds and directories.
      name: name of their experiment.
      console: console for progress.
      passed: whether members may be past their last step already, as at a rung of a sweep that is
        started again: their evaluations of that step are returned.

    Returns:
      The values of each member's evaluation, empty without one; `None` of one that diverged.

    Raises:
      UserError: a run cannot be resumed, all members diverged, or `--log-to` asks for a tracker
        that logs one run of a process.
      SystemExit: training was stopped by signal n, with status 128 + n.
    """
    if others := sorted(set(members[0].config.log_to) - {"tensorboard"}):
        raise RunError(f"--log-to {others[0]} is for single runs; several seeds log to tensorboard")
    with (
        callbacks.StopOnSignal(signal.SIGINT, signal.SIGTERM) as stop,
        contextlib.ExitStack() as exits,
    ):
        for one in members:
            exits.enter_context(locked(one.directory))
        resume.check_newcomers(members)
        for one in members:
            if not (one.directory / "config.json").exists():  # other files mean that there is a run
                resume.check_start(one)  # errors come before it is recorded
                write_config_json(one.directory, one.config, name, one.experiment)
        training = _Training(members, console, exits, stop)
        if training.start > training.last and not passed:
            raise RunError(
                f"--num-steps is {training.last}, and the members are at step {training.start}; "
                "give at least that many"
            )
        if training.start <= training.last:
            for one in members:
                write_config_json(one.directory, one.config, name, one.experiment)
        training.go_on()
        results = [] if stop.received else training.finish()
        if stop.received:
            console.print(f"stopped by {stop.received.name}; the same command resumes")
            sys.exit(128 + stop.received)
        return results


class _Training:
    """A population whose members are saved and logged as runs.

    Attributes:
      alive: whether each member has not diverged; only those are saved and logged.
      states: the members' states before training, and after it.
    """

    def __init__(
        self,
        members: Sequence[Member],
        console: Console,
        exits: contextlib.ExitStack,
        stop: callbacks.StopOnSignal,
    ) -> None:
        self.members, self.console, self.first, self.stop = members, console, members[0], stop
        self.draws = True
        evaluates = session.is_evaluated(self.first.experiment, self.first.config, console)
        self.evaluate = (
            session.evaluator_of(self.first.experiment, self.first.config) if evaluates else None
        )
        self.last = session.num_steps_of(self.first.config, self.first.experiment)
        session.warn_of_decay(self.first.config, self.last, console)
        folders = [one.directory / "checkpoints" for one in members]
        self.alive = [not resume.is_diverged(one) for one in members]
        self.start, self.states = resume.resumed(members, self.alive, console)
        self.managers = [exits.enter_context(checkpoint.open_manager(f)) for f in folders]
        self.logs = [self.metrics_log(one.directory, exits) for one in members]
        self.progress = exits.enter_context(
            callbacks.progress(console, start=self.start, num_steps=self.last)
        )

    def metrics_log(self, directory: Path, exits: contextlib.ExitStack) -> loop.Callback:
        """Log of a member's metrics, in its directory and in the trackers of `--log-to`."""
        config, step = dataclasses.asdict(self.first.config), self.start
        loggers = [
            exits.enter_context(trackers.tracker(name, directory, config, step=step))
            for name in self.first.config.log_to
        ]
        log = callbacks.metrics_log(directory / "metrics.jsonl", loggers, step=step)
        return exits.enter_context(log)

    def go_on(self) -> None:
        """Trains to the last step, or until a signal is received."""
        if self.start > self.last:
            return
        self.draws, evaluates = samples.dry_run(self.first.experiment, self.states[0], self.console)
        self.evaluate = self.evaluate if evaluates else None
        if self.start == self.last:
            return
        if self.start:
            self.console.print(f"{len(self.members)} members resume from step {self.start}")
        config, experiment, stop = self.first.config, self.first.experiment, self.stop
        logs = lambda step: step == self.last or step % config.log_every == 0
        saves = lambda step: (
            step == self.last or step % config.checkpoint_every == 0 or bool(stop.received)
        )
        state = loop.fit(
            _compiled(scanned(experiment, config, self.start, self.last), len(self.members)),
            population.stacked_minibatches([one.experiment.minibatches for one in self.members]),
            key=population.member_keys([one.config.seed for one in self.members]),
            num_steps=self.last,
            state=population.stack(self.states),
            callbacks=[
                stop.agree,
                _when(lambda step: logs(step) or saves(step), self.mark_diverged),
                _when(logs, self.log),
                _when(saves, self.save),
                stop,
            ],
            live=False,
        )
        self.states = [population.member(state, i) for i in range(len(self.members))]

    def mark_diverged(self, step: int, state: TrainState, metrics: Metrics) -> None:
        """Callback that leaves out members from the step on at which they are not finite."""
        for i in np.flatnonzero(population.diverged(metrics)).tolist():
            self.leave_out(i, step)

    def leave_out(self, i: int, step: int) -> None:
        """Records that a member diverged; it is neither logged nor saved any more."""
        if self.alive[i]:
            self.alive[i] = False
            directory = self.members[i].directory
            write_atomically(directory / "diverged.json", json.dumps({"step": step}) + "\n")
            self.console.print(f"{directory} diverged before step {step}")
        if not any(self.alive):
            raise NonFiniteError(f"all members diverged before step {step}")

    def log(self, step: int, state: TrainState, metrics: Metrics) -> None:
        """Callback that logs every member, and shows the mean of those that live."""
        metrics = jax.device_get(metrics)
        for i, log in enumerate(self.logs):
            if self.alive[i]:
                log(step, state, jax.tree.map(lambda x, i=i: x[i], metrics))
        self.progress(step, state, jax.tree.map(lambda x: np.mean(x[self.alive]), metrics))

    def save(self, step: int, state: TrainState, metrics: Metrics) -> None:
        """Callback that saves a checkpoint of every member that lives."""
        for i, manager in enumerate(self.managers):
            if self.alive[i]:
                own = population.member(state, i)
                try:  # a gradient may be NaN where the loss is finite
                    check_state(own)
                except NonFiniteError:
                    self.leave_out(i, step)
                    continue
                checkpoint.save(manager, own)

    def finish(self) -> list[Values | None]:
        """Evaluates and draws the last states, which are saved, of the members that live."""
        draw = samples.drawn(self.first.experiment)
        results: list[Values | None] = []
        for i, one in enumerate(self.members):
            if not self.alive[i]:
                results.append(None)
                continue
            if self.start <= self.last:
                try:
                    self.evaluated(i)
                except callbacks.Interrupted:  # made up for by the next start
                    break
            if self.start <= self.last and self.draws:
                grid = one.directory / "samples" / f"step_{self.last:07d}.png"
                grid.parent.mkdir(exist_ok=True)
                draw(grid, self.states[i])
            results.append(_values(one.directory / "evaluation.json", self.last))
        return results

    def evaluated(self, i: int) -> None:
        """Evaluates the last state of a member, unless it was, and adds the score to its record."""
        directory, spec = self.members[i].directory, self.first.experiment.evaluation
        path, folder = directory / "evaluation.json", directory / "checkpoints"
        if spec is None or self.evaluate is None:
            return
        self.managers[i].wait_until_finished()
        values = _values(path, self.last)
        best = math.nan if spec.best is None else values.get(spec.best, math.nan)
        lacks_score = not math.isnan(best) and score_of(folder, self.last) == -math.inf
        if self.start == self.last and values and not lacks_score:
            return
        evaluate, quiet = self.stop.interruptible(self.evaluate), Console(quiet=True)
        start = min(self.start, self.last - 1)
        evaluations = callbacks.Evaluations(path, evaluate, spec, quiet, step=start)
        score = evaluations(self.last, self.states[i])
        if score > -math.inf:
            checkpoint.set_score(folder, self.last, score)


def _when(due: Callable[[int], bool], callback: loop.Callback) -> loop.Callback:
    """The callback at the steps that are due; reading what others compute would wait for them."""

    def sometimes(step: int, state: TrainState, metrics: Metrics) -> None:
        if due(step):
            callback(step, state, metrics)

    return sometimes


def _values(path: Path, step: int) -> Values:
    """Values of the evaluation of a step in a file; empty if there is none."""
    entries = [entry for entry in read_evaluations(path) if entry["step"] == step]
    return {record["name"]: record["value"] for entry in entries for record in entry["records"]}


def _compiled(algorithm: TrainingAlgorithm, num_members: int) -> TrainingAlgorithm:
    """The members in turn on a CPU, else together, over all devices if they come out even."""
    if jax.process_count() > 1:
        raise RunError("--seeds is for one process; start a run per seed")
    if jax.default_backend() == "cpu":
        return population.in_turn(algorithm, own_data=True)
    together = population.population(algorithm, own_data=True)
    if num_members % jax.device_count():
        return parallel.jit(together)
    return population.over_devices(together)
