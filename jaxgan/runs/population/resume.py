"""What the members of a population begin with: the newest step that all of them have saved."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from rich.console import Console

from jaxgan import checkpoint, loop
from jaxgan.errors import CheckpointError, NonFiniteError, RunError
from jaxgan.runs.config.experiment import Config, Experiment
from jaxgan.runs.config.training_config import check_frozen
from jaxgan.runs.directory.config_json import has_steps
from jaxgan.runs.session.init_from import initialized
from jaxgan.training import TrainState


class Member(NamedTuple):
    """A member of a population: a run, with its experiment."""

    directory: Path
    config: Config
    experiment: Experiment


def check_start(one: Member) -> None:
    """A `RunError` if a member cannot begin: `--freeze` or `--init-from` does not fit its state."""
    check_frozen(one.config, lambda: jax.eval_shape(partial(fresh, one)).params)
    if one.config.init_from is not None:
        initial(one, Console(quiet=True))


def fresh(one: Member) -> TrainState:
    """A member's state with random parameters."""
    key = jax.random.key(one.config.seed)
    return loop.first_state(one.experiment.algorithm, one.experiment.minibatches, key=key)


def initial(one: Member, console: Console) -> TrainState:
    """The state that a member begins with, that of another run if its config asks for it."""
    state = fresh(one)
    return state if one.config.init_from is None else initialized(state, one.config, console)


def is_diverged(one: Member) -> bool:
    """Whether a member was left out, since it diverged."""
    return (one.directory / "diverged.json").exists()


def check_newcomers(members: Sequence[Member]) -> None:
    """A `RunError` if some members are new and others have checkpoints: all have one step."""
    steps = [checkpoint.newest_step(one.directory / "checkpoints") for one in members]
    # A kill while the first checkpoints are saved may leave some without: all begin again.
    all_have_saved = max(steps) > members[0].config.checkpoint_every
    is_new = lambda one: (
        not (one.directory / "config.json").exists()
        or (all_have_saved and not has_steps(one.directory) and not is_diverged(one))
    )
    new = [one for one in members if is_new(one)]
    if new and any(steps):
        seed, folder = new[0].config.seed, new[0].directory
        raise RunError(
            f"{folder} is new, and others of these runs are at step {max(steps)}; train it alone, "
            f"--seed {seed} --run-dir {folder} --num-steps {max(steps)}, and then continue with all"
        )


def resumed(
    members: Sequence[Member], alive: Sequence[bool], console: Console
) -> tuple[int, list[TrainState]]:
    """The newest step of which all members that live have an intact checkpoint, and the states.

    Checkpoints of members that are ahead are set aside, so that these steps can be saved again.
    """
    folders = [
        one.directory / "checkpoints" for one, lives in zip(members, alive, strict=True) if lives
    ]
    if not folders:
        raise NonFiniteError("all members diverged; choose another --run-dir")
    saved = [set(checkpoint.steps_of(folder)) for folder in folders]
    common = set.intersection(*saved)
    if all(saved) and not common:
        newest = ", ".join(f"{f.parent} {max(s)}" for f, s in zip(folders, saved, strict=True))
        raise RunError(
            f"no step has checkpoints of all members, whose newest are {newest}; train those "
            "that are behind alone, with --seed, --run-dir and --num-steps"
        )
    for step in sorted(common, reverse=True):
        try:
            states = [
                _restored(one, step) if lives else _numbers(one, step)
                for one, lives in zip(members, alive, strict=True)
            ]
            break
        except CheckpointError as error:
            if step == min(common):
                raise
            console.print(f"WARNING: {error}")
    else:
        step, states = 0, [initial(one, console) for one in members]
    for folder in folders:
        if checkpoint.set_aside(folder, after=step):
            console.print(
                f"the checkpoints in {folder} after step {step}, of which not all members have "
                f"one, are set aside, in {folder}-set-aside"
            )
    return step, states


def _restored(one: Member, step: int) -> TrainState:
    """A member's state at a step."""
    with checkpoint.open_manager(one.directory / "checkpoints") as manager:
        restored = checkpoint.restore(manager, fresh(one), step=step)
    assert restored is not None
    return restored


def _numbers(one: Member, step: int) -> TrainState:
    """Numbers in place of the state of a member that diverged, which do not matter."""
    state = fresh(one)
    return state._replace(step=jnp.array(step, state.step.dtype))
