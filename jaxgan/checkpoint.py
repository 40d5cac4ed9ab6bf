"""Checkpoints with a checksum that is verified on restore.

Orbax writes them asynchronously and atomically, so a program that is killed during a save leaves
the earlier checkpoints intact. Orbax does not detect data that changed on disk; the digest of every
state is therefore stored with it, and compared on restore.
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
    """SHA-256 of a pytree: name, dtype, shape and bytes of every leaf, sorted by name.

    Container types do not matter: a `TrainState` and the nested dictionaries in its checkpoint have
    the same digest.

    Example:
      >>> import numpy as np
      >>> digest({"a": np.zeros(2)}) == digest({"a": np.zeros(2)}) != digest({"b": np.zeros(2)})
      True
    """
    sha256 = hashlib.sha256()
    for name, leaf in sorted(by_path(tree).items()):
        array = multihost.to_host(leaf)
        sha256.update(f"{name} {array.dtype} {array.shape}\n".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()


def open_manager(directory: Path, *, newest: int = 2) -> ocp.CheckpointManager:
    """Orbax checkpoint manager of a directory, which is created if needed; a context manager.

    Args:
      directory: directory of the checkpoints, one folder per step.
      newest: number of newest checkpoints to keep; two, in case one is damaged. The checkpoint with
        the highest score is kept as well.
    """
    score = lambda metrics: metrics["score"]
    best = checkpoint_managers.BestN(get_metric_fn=score, n=1)
    policy = checkpoint_managers.AnyPreservationPolicy([checkpoint_managers.LatestN(newest), best])
    # The policy alone would not save the scores; `best_fn` alone would not keep the newest.
    options = ocp.CheckpointManagerOptions(
        preservation_policy=policy, best_fn=score, best_mode="max"
    )
    handlers = {"state": ocp.StandardCheckpointHandler(), "record": ocp.JsonCheckpointHandler()}
    return ocp.CheckpointManager(directory.absolute(), options=options, item_handlers=handlers)


def save(manager: ocp.CheckpointManager, state: TrainState, *, score: float = -math.inf) -> None:
    """Saves a state under its step, asynchronously; the state may be donated right after.

    Args:
      manager: from `open_manager`.
      state: the state; nothing is done if its step is saved already.
      score: evaluation score, higher is better; minus infinity if the state was not evaluated.
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
    manager: ocp.CheckpointManager,
    target: TrainState,
    *,
    best: bool = False,
    step: int | None = None,
) -> TrainState | None:
    """Restores the newest intact checkpoint, with the shardings of `target`.

    A damaged checkpoint is skipped with a warning.

    Args:
      manager: from `open_manager`.
      target: a state of the same structure and shapes, whose shardings the result gets.
      best: restore the checkpoint with the highest score instead of the newest.
      step: restore the checkpoint of this step instead.

    Returns:
      The state, or `None` if there is no checkpoint, or with `best` none with a score.

    Raises:
      CheckpointError: every checkpoint is damaged, or its structure or shapes differ.
    """
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), target
    )
    if best:
        return _newest_intact(manager, abstract, _evaluated(manager))
    return _newest_intact(manager, abstract, None if step is None else [step])


def restore_plain(directory: Path, *, best: bool = False) -> dict[str, Any]:
    """Restores the newest intact checkpoint as nested dictionaries, without a target state.

    Args:
      directory: directory of the checkpoints.
      best: restore the checkpoint with the highest score instead.

    Raises:
      CheckpointError: there is no intact checkpoint, or with `best` none with a score.
    """
    if not directory.is_dir():
        raise CheckpointError(f"{directory} does not exist: there is no checkpoint yet")
    with open_manager(directory) as manager:
        state = _newest_intact(manager, None, _evaluated(manager) if best else None)
    if state is None:
        what = "evaluated checkpoint" if best else "checkpoint"
        raise CheckpointError(f"{directory} holds no {what} yet")
    return state


def _evaluated(manager: ocp.CheckpointManager) -> list[int]:
    """The step with the highest score, in a list that is empty if none was evaluated."""
    step = manager.best_step()
    return [] if step is None or manager.metrics(step)["score"] == -math.inf else [step]


def _newest_intact(
    manager: ocp.CheckpointManager, abstract: TrainState | None, steps: list[int] | None = None
) -> Any:
    """The newest intact checkpoint among the given steps (by default all); `None` if none given."""
    steps = sorted(manager.all_steps() if steps is None else steps, reverse=True)
    for step in steps:
        try:
            if abstract is not None:
                _check_structure(manager, step, abstract)
            target = _on_this_device(manager, step) if abstract is None else abstract
            return _restore_verified(manager, step, target)
        except CheckpointError:
            raise
        except Exception as error:  # a damaged file can raise anything inside Orbax
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


def _restore_verified(
    manager: ocp.CheckpointManager, step: int, abstract: TrainState | None
) -> Any:
    """The state of a step, after comparing its digest."""
    restored = manager.restore(
        step,
        args=ocp.args.Composite(
            state=ocp.args.StandardRestore(abstract), record=ocp.args.JsonRestore()
        ),
    )
    actual, expected = digest(restored.state), restored.record["digest"]
    if actual != expected:
        raise ValueError(f"its digest is {actual[:16]}..., expected {expected[:16]}...")
    return restored.state


def _on_this_device(manager: ocp.CheckpointManager, step: int) -> PyTree:
    """Shapes and dtypes of a checkpoint, on one device, whichever devices it was saved from."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    saved = manager.item_metadata(step).state
    return (
        None
        if saved is None
        else jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), saved.tree
        )
    )


def _check_structure(manager: ocp.CheckpointManager, step: int, abstract: TrainState) -> None:
    """Raises a one-line `CheckpointError` if the structure differs (Orbax prints hundreds)."""
    saved = manager.item_metadata(step).state
    if saved is None:  # damaged; restoring it raises an error
        return
    actual = {name: tuple(leaf.shape) for name, leaf in by_path(saved.tree).items()}
    expected = {name: tuple(leaf.shape) for name, leaf in by_path(abstract).items()}
    for name in sorted(actual.keys() | expected.keys()):
        if actual.get(name) != expected.get(name):
            raise CheckpointError(
                f"the checkpoint of step {step} in {manager.directory} has {name} of shape "
                f"{actual.get(name, 'none')}, this program expects {expected.get(name, 'none')}: "
                "it was written by another configuration or another version of the program"
            )


def by_path(tree: PyTree) -> dict[str, Any]:
    """Leaves of a pytree by path, such as `params/generator/Dense_0/kernel`.

    Example:
      >>> by_path({"a": {"b": 1}, "c": [2, 3]})
      {'a/b': 1, 'c/0': 2, 'c/1': 3}
    """
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths}
