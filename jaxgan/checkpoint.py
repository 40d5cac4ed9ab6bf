"""Checkpoints that are verified when they are read.

Orbax writes them: asynchronously, and atomically, so that a program killed in the middle of a save
leaves the ones before intact. What Orbax does not notice is data that changed on the disk; so the
digest of every state is stored beside it and compared on the way back.
"""

import hashlib
import math
import warnings
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from jaxgan.errors import CheckpointError
from jaxgan.parallel import multihost
from jaxgan.training import TrainState
from jaxgan.types import PyTree


def digest(tree: PyTree) -> str:
    """SHA-256 over every leaf: name, dtype, shape and bytes, in the order of the names.

    Only names and values count, not the kinds of containers: a `TrainState` and the nested
    dictionaries that a checkpoint holds of it have the same digest.

    Example:
      >>> import numpy as np
      >>> digest({"a": np.zeros(2)}) == digest({"a": np.zeros(2)}) != digest({"b": np.zeros(2)})
      True
    """
    sha256 = hashlib.sha256()
    for name, leaf in sorted(_leaves(tree).items()):
        array = multihost.to_host(leaf)
        sha256.update(f"{name} {array.dtype} {array.shape}\n".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()


def open_manager(directory: Path, *, newest: int = 2) -> ocp.CheckpointManager:
    """Orbax's manager of the checkpoints in a directory, made if need be; a context manager.

    Args:
      directory: one folder per step will be in it.
      newest: how many of the newest stay. Two, so that a damaged one is not the end. The one of the
        highest score stays beside them.
    """
    score = lambda metrics: metrics["score"]
    best = checkpoint_managers.BestN(get_metric_fn=score, n=1)
    keep = checkpoint_managers.AnyPreservationPolicy([checkpoint_managers.LatestN(newest), best])
    # The policy alone would not write scores to the disk; `best_fn` alone would drop the newest.
    options = ocp.CheckpointManagerOptions(preservation_policy=keep, best_fn=score, best_mode="max")
    handlers = {"state": ocp.StandardCheckpointHandler(), "record": ocp.JsonCheckpointHandler()}
    return ocp.CheckpointManager(directory.absolute(), options=options, item_handlers=handlers)


def save(manager: ocp.CheckpointManager, state: TrainState, *, score: float = -math.inf) -> None:
    """Saves the state under its step, in the background; the state may be donated right after.

    Args:
      manager: from `open_manager`.
      state: what to save; nothing is done if its step is saved already.
      score: how good it is, more is better; minus infinity where that was not measured.
    """
    step = int(state.step)
    if step in manager.all_steps():
        return
    manager.save(
        step,
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(state), record=ocp.args.JsonSave({"digest": digest(state)})
        ),
        metrics={"score": score},
    )


def restore(
    manager: ocp.CheckpointManager, target: TrainState, *, best: bool = False
) -> TrainState | None:
    """The newest checkpoint whose contents are what was saved, placed like `target`.

    A damaged checkpoint is passed over with a warning.

    Args:
      manager: from `open_manager`.
      target: a state of the same structure and shapes, whose placement on devices is taken over.
      best: the one of the highest score instead of the newest.

    Returns:
      The state, or `None` when there is no checkpoint, or none that has a score.

    Raises:
      CheckpointError: every checkpoint is damaged, or they are of another structure or shapes.
    """
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), target
    )
    if best:
        step = manager.best_step()
        measured = step is not None and manager.metrics(step)["score"] > -math.inf
        return _newest_intact(manager, abstract, [step]) if measured else None
    return _newest_intact(manager, abstract)


def restore_plain(directory: Path) -> dict[str, Any]:
    """The newest intact checkpoint as nested dictionaries of arrays, without knowing its game.

    Raises:
      CheckpointError: there is none.
    """
    if not directory.is_dir():
        raise CheckpointError(f"{directory} does not exist: there is no checkpoint yet")
    with open_manager(directory) as manager:
        state = _newest_intact(manager, None)
    if state is None:
        raise CheckpointError(f"{directory} holds no checkpoint yet")
    return state


def _newest_intact(
    manager: ocp.CheckpointManager, abstract: TrainState | None, steps: list[int] | None = None
) -> Any:
    steps = sorted(manager.all_steps() if steps is None else steps, reverse=True)
    for step in steps:
        try:
            if abstract is not None:
                _check_structure(manager, step, abstract)
            return _verified(manager, step, abstract)
        except CheckpointError:
            raise
        except Exception as error:  # a damaged file can fail in any way inside Orbax
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            warnings.warn(
                f"the checkpoint of step {step} in {manager.directory} is damaged ({reason}); "
                "looking for an older one",
                stacklevel=2,
            )
    if steps:
        raise CheckpointError(
            f"every checkpoint in {manager.directory} is damaged (steps {sorted(steps)}); "
            "restore the folder from a copy, or start a new run elsewhere"
        )
    return None


def _verified(manager: ocp.CheckpointManager, step: int, abstract: TrainState | None) -> Any:
    restored = manager.restore(
        step,
        args=ocp.args.Composite(
            state=ocp.args.StandardRestore(abstract), record=ocp.args.JsonRestore()
        ),
    )
    found, expected = digest(restored.state), restored.record["digest"]
    if found != expected:
        raise ValueError(f"its digest is {found[:16]}..., expected {expected[:16]}...")
    return restored.state


def _check_structure(manager: ocp.CheckpointManager, step: int, abstract: TrainState) -> None:
    """One clear line where Orbax would print hundreds."""
    saved = manager.item_metadata(step).state
    if saved is None:  # damaged; reading it will say so
        return
    found = {name: tuple(leaf.shape) for name, leaf in _leaves(saved.tree).items()}
    expected = {name: tuple(leaf.shape) for name, leaf in _leaves(abstract).items()}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise CheckpointError(
                f"the checkpoint of step {step} in {manager.directory} has {name} of shape "
                f"{found.get(name, 'none')}, this program expects {expected.get(name, 'none')}: "
                "it was written by another configuration or another version of the program"
            )


def _leaves(tree: PyTree) -> dict[str, Any]:
    """Leaves by name, such as `params/generator/Dense_0/kernel`."""
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths}
