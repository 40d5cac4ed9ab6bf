"""Fine-tuning: the initial state of a run from the checkpoint of another one."""

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from jaxgan import checkpoint, weights
from jaxgan.errors import RunError
from jaxgan.runs.config.experiment import Config
from jaxgan.runs.directory import exported
from jaxgan.runs.directory.config_json import read_config_json
from jaxgan.training import TrainState

LEARNED = ("params", "model_state", "ema_params", "ema_model_state")


def initialized(state: TrainState, config: Config, console: Console) -> TrainState:
    """Initial state with the arrays of `config.init_from` where names and shapes agree.

    Layers that the other run lacks or has in another shape, such as the embedding of other
    classes, keep their initial values. The step is 0.

    Args:
      state: the initial state.
      config: configuration of the new run, with the fields `init_from`, `init_step`,
        `init_layers` and `reset_optimizers`.
      console: console that reports what was taken and what was not.

    Raises:
      UserError: there is no such run, it has no intact checkpoint, or nothing of it agrees.
    """
    assert config.init_from is not None
    directory, pattern = Path(config.init_from).expanduser(), _pattern(config.init_layers)
    if not directory.exists() and config.init_from in exported.names():
        directory = exported.path_of(config.init_from)
    step, found = _arrays(directory, best=config.init_step == "best")
    parts = LEARNED if config.reset_optimizers else (*LEARNED, "opt_state")
    taken, left = [], []

    def chosen(path: str, leaf: jax.Array) -> jax.Array:
        part, _, layer = path.partition("/")
        if part not in parts:
            return leaf
        # A run without averages has its parameters in their place.
        other = found.get(path, found.get(path.removeprefix("ema_")))
        fits = other is not None and np.shape(other) == leaf.shape and other.dtype == leaf.dtype
        if not (fits and pattern.search(layer)):
            left.extend([layer] if part == "params" else [])
            return leaf
        taken.extend([layer] if part == "params" else [])
        return jax.device_put(np.asarray(other), leaf.sharding)  # a copy: buffers are donated

    paths, leaves = zip(*checkpoint.by_path(state).items(), strict=True)
    structure = jax.tree.structure(state)
    new = jax.tree.unflatten(structure, [chosen(*pair) for pair in zip(paths, leaves, strict=True)])
    if not taken:
        raise RunError(
            f"--init-from: no layer of {directory} has the name and shape of one of this run; the "
            f"first here are {', '.join(left[:3])}"
        )
    console.print(
        f"{len(taken)} of {len(taken) + len(left)} arrays of parameters are those of {directory} "
        f"at step {step}" + (f"; new: {', '.join(left)}" if left else "")
    )
    return new


def _arrays(directory: Path, *, best: bool) -> tuple[int, dict[str, Any]]:
    """Step and arrays of a run, or of a model that was exported, by their paths in a state."""
    if directory.is_file():
        if best:
            raise RunError(f"{directory} has the state of one step; leave out --init-step")
        record = exported.read_record(directory)
        found = {}
        for name, array in weights.load_arrays(directory).items():
            part, _, layer = name.partition("/")
            found[f"{part}/{record['player']}/{layer}"] = array
        return record["step"], found
    read_config_json(directory)
    saved = checkpoint.restore_plain(directory / "checkpoints", best=best)
    return int(saved["step"]), checkpoint.by_path(saved)


def _pattern(text: str | None) -> re.Pattern[str]:
    try:
        return re.compile(text or "")
    except re.error as error:
        raise RunError(
            f"--init-layers is {text}, expected a regular expression ({error})"
        ) from None
