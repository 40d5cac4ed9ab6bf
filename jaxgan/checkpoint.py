"""Checkpoints with a checksum that is verified on restore.

Orbax writes them asynchronously and atomically, so a program that is killed during a save leaves
the earlier checkpoints intact. Orbax does not detect data that changed on disk; the digest of every
state is therefore stored with it, and compared on restore, in a record that has a checksum itself:

    <directory>/<step>/state/             the arrays, by Orbax
    <directory>/<step>/record/metadata    `read_record`
    <directory>-set-aside/                damaged and abandoned checkpoints
"""

import contextlib
import hashlib
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jaxgan.errors import CheckpointError
from jaxgan.parallel import multihost
from jaxgan.training import TrainState
from jaxgan.types import PyTree


def digest(tree: PyTree) -> str:
    """SHA-256 of a pytree: name, dtype, shape and bytes of every leaf with elements, by name.

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
        if not array.size:
            continue
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
    options = ocp.CheckpointManagerOptions(
        preservation_policy=_NewestAndBest(directory, newest),
        lightweight_initialize=True,  # reads no metadata, of which one damaged file would be fatal
    )
    handlers = {"state": ocp.StandardCheckpointHandler(), "record": ocp.JsonCheckpointHandler()}
    return ocp.CheckpointManager(directory.absolute(), options=options, item_handlers=handlers)


def save(
    manager: ocp.CheckpointManager,
    state: TrainState,
    *,
    score: float = -math.inf,
    rollbacks: int = 0,
) -> None:
    """Saves a state under its step, asynchronously; the state may be donated right after.

    Args:
      manager: from `open_manager`.
      state: the state; nothing is done if its step is saved already.
      score: evaluation score, higher is better; minus infinity if the state was not evaluated.
      rollbacks: number of times that the run went back to an earlier state (`read_record`).

    Raises:
      CheckpointError: there is a checkpoint of a later step.
    """
    step = int(state.step)
    if step in manager.all_steps():
        return
    manager.wait_until_finished()  # as Orbax does here
    if (before := manager.latest_step()) is not None and multihost.is_main():
        _sync(Path(manager.directory) / str(before))
    record = {
        "step": step,
        "digest": digest(state),
        "structure": _structure(state),
        "score": None if score == -math.inf else score,
        "rollbacks": rollbacks,
    }
    saved = manager.save(
        step,
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(_without_empty(state)),
            record=ocp.args.JsonSave(record | {"seal": _seal(record)}),
        ),
        metrics={"score": score},  # for the policy; not written
    )
    if not saved:
        raise CheckpointError(
            f"step {step} was not saved, since {manager.directory} has a checkpoint of step "
            f"{manager.latest_step()}; move that one away"
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
      CheckpointError: every checkpoint is damaged, its structure or shapes differ, or there is none
        of this step.
    """
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), target
    )
    return _first_intact(manager, abstract, _candidates(manager, best=best, step=step))


def restore_plain(directory: Path, *, best: bool = False) -> dict[str, Any]:
    """Restores the newest intact checkpoint as nested dictionaries, without a target state.

    Arrays without elements are left out.

    Args:
      directory: directory of the checkpoints.
      best: restore the checkpoint with the highest score instead.

    Raises:
      CheckpointError: there is no intact checkpoint, or with `best` none with a score.
    """
    if not directory.is_dir():
        raise CheckpointError(f"{directory} does not exist: there is no checkpoint yet")
    with open_manager(directory) as manager:
        state = _first_intact(manager, None, _candidates(manager, best=best))
    if state is None:
        what = "evaluated checkpoint" if best else "checkpoint"
        raise CheckpointError(f"{directory} holds no {what} yet")
    return state


def set_aside(directory: Path, *, after: int) -> list[int]:
    """Moves checkpoints of later steps to `<directory>-set-aside`, damaged ones among them.

    States can then be saved under these steps again. No manager of the directory may be open.

    Args:
      directory: directory of the checkpoints.
      after: the last step that stays.

    Returns:
      The steps that were moved.
    """
    later = [step for step in _steps(directory) if step > after]
    aside = directory.with_name(f"{directory.name}-set-aside")
    multihost.barrier("checkpoints are read")
    if multihost.is_main() and later:
        aside.mkdir(exist_ok=True)
        for step in later:
            earlier = len(list(aside.glob(f"{step}*")))
            name = f"{step}.{earlier}" if earlier else str(step)
            os.replace(directory / str(step), aside / name)
    multihost.barrier("checkpoints are set aside")
    return later


def read_record(directory: Path, step: int) -> dict[str, Any]:
    """The record of a checkpoint: its step, digest, score (or `None`) and number of rollbacks.

    Raises:
      ValueError: it is missing or damaged.
    """
    try:
        record = json.loads((directory / str(step) / "record" / "metadata").read_bytes())
        sealed = {name: value for name, value in record.items() if name != "seal"}
        if record["seal"] != _seal(sealed) or record["step"] != step:
            raise ValueError("its seal is that of another record")
    except (OSError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"its record is damaged: {error}") from None
    return record


def set_score(directory: Path, step: int, score: float) -> None:
    """Writes the score of a checkpoint that was saved without one; no manager may be open.

    Raises:
      ValueError: its record is damaged.
    """
    record = read_record(directory, step) | {"score": score}
    del record["seal"]
    path = directory / str(step) / "record" / "metadata"
    with path.with_name("metadata.part").open("w") as file:
        json.dump(record | {"seal": _seal(record)}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path.with_name("metadata.part"), path)


class _NewestAndBest:
    """Policy that keeps the newest checkpoints and the one with the highest score."""

    def __init__(self, directory: Path, newest: int) -> None:
        self._directory, self._newest = directory, newest

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        scores = [
            info.metrics["score"] if info.metrics else _score(self._directory, info.step)
            for info in checkpoints
        ]
        best = max(range(len(scores)), key=lambda i: (scores[i], i), default=0)
        first = len(checkpoints) - self._newest
        return [i >= first or i == best for i in range(len(checkpoints))]


def _score(directory: Path, step: int) -> float:
    """Score of a checkpoint; minus infinity if it has none, or is damaged."""
    try:
        score = read_record(directory, step)["score"]
    except ValueError:
        return -math.inf
    return -math.inf if score is None else score


def _seal(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _steps(directory: Path) -> list[int]:
    """Steps of which there is anything, newest first; Orbax ignores a file with a step's name."""
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    found = (int(name) for name in names if name.isascii() and name.isdecimal())
    return sorted((step for step in found if str(step) in names), reverse=True)


def _candidates(
    manager: ocp.CheckpointManager, *, best: bool = False, step: int | None = None
) -> list[int]:
    """Steps to restore, in the order in which they are tried."""
    manager.wait_until_finished()
    directory = Path(manager.directory)
    steps = _steps(directory)
    if step is not None:
        if step not in steps:
            listed = ", ".join(map(str, steps[::-1])) or "none"
            raise CheckpointError(
                f"{directory} has no checkpoint of step {step}; there is {listed}"
            )
        return [step]
    if best:
        scores = {step: _score(directory, step) for step in steps}
        evaluated = [step for step in steps if scores[step] > -math.inf]
        return sorted(evaluated, key=lambda step: scores[step], reverse=True)
    return steps


def _first_intact(
    manager: ocp.CheckpointManager, abstract: TrainState | None, steps: list[int]
) -> Any:
    """The first intact checkpoint of these steps; `None` if there are no steps."""
    for step in steps:
        try:
            return _restore_verified(manager, step, abstract)
        except CheckpointError:
            raise
        except Exception as error:  # a damaged file can raise anything inside Orbax
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            warnings.warn(
                f"the checkpoint of step {step} in {manager.directory} is damaged ({reason}); "
                "looking for another one",
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
    """The state of a step, after comparing its structure, its digest and its step."""
    folder = Path(manager.directory) / str(step)
    _check_files(folder)
    record = read_record(folder.parent, step)
    saved = manager.item_metadata(step).state
    if saved is None or _structure(saved.tree) != record["structure"]:
        raise ValueError("its metadata are missing or those of another state")
    if abstract is None:
        target = _on_this_device(saved.tree)
    else:
        _check_structure(manager, step, saved.tree, abstract)
        target = _without_empty(abstract)
    restored = manager.restore(
        step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target))
    ).state
    if (actual := digest(restored)) != record["digest"]:
        raise ValueError(f"its digest is {actual[:16]}..., expected {record['digest'][:16]}...")
    found = restored["step"] if abstract is None else restored.step
    if int(found) != step:
        raise ValueError(f"it is the state of step {int(found)}")
    return restored if abstract is None else _with_empty(abstract, restored)


def _check_files(folder: Path) -> None:
    """Raises a `ValueError` if a checkpoint is no folder of files (a pipe would be waited for)."""
    if not folder.is_dir():
        raise ValueError("it is no folder")
    for path in folder.rglob("*"):
        if not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path.relative_to(folder)} is neither file nor folder")


def _sync(folder: Path) -> None:
    """Brings a checkpoint to the disk: Orbax leaves the record to the operating system.

    Whatever becomes of the next one, this one then survives a loss of power.
    """
    for path in [*folder.rglob("*"), folder]:
        with contextlib.suppress(OSError):  # such as folders on Windows
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _without_empty(tree: PyTree) -> PyTree:
    """The tree with `None` for arrays without elements, which Orbax cannot save."""
    return jax.tree.map(lambda x: x if math.prod(x.shape) else None, tree)


def _with_empty(abstract: PyTree, tree: PyTree) -> PyTree:
    """The inverse of `_without_empty`."""
    fill = lambda a, x: jnp.zeros(a.shape, a.dtype, device=a.sharding) if x is None else x
    return jax.tree.map(fill, abstract, tree)


def _on_this_device(tree: PyTree) -> PyTree:
    """Shapes and dtypes of a checkpoint, on one device, whichever devices it was saved from."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def _structure(tree: PyTree) -> str:
    """SHA-256 of names, shapes and dtypes of the leaves that have elements."""
    lines = [
        f"{name} {tuple(leaf.shape)} {np.dtype(leaf.dtype).name}\n"
        for name, leaf in sorted(by_path(tree).items())
        if math.prod(leaf.shape)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _check_structure(
    manager: ocp.CheckpointManager, step: int, saved: PyTree, abstract: TrainState
) -> None:
    """Raises a one-line `CheckpointError` if the structure differs (Orbax prints hundreds)."""
    actual, expected = (
        {name: tuple(leaf.shape) for name, leaf in by_path(_without_empty(tree)).items()}
        for tree in (saved, abstract)
    )
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
