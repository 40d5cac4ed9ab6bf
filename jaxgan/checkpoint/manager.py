"""Checkpoints with a checksum that is verified on restore.

Orbax writes them asynchronously and atomically, so a program that is killed during a save leaves
the earlier checkpoints intact. Orbax does not detect data that changed on disk; the digest of every
state is therefore stored with it and compared on restore, in a record with its own checksum:

    <directory>/<step>/state/             the arrays, by Orbax
    <directory>/<step>/record/metadata    `read_record`
    <directory>-set-aside/                damaged and abandoned checkpoints
"""

import contextlib
import fnmatch
import itertools
import math
import os
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from jaxgan.checkpoint.record import NewestAndBest, read_record, score_of, sealed
from jaxgan.checkpoint.tree import digest, from_storable, storable, structure, without_keys
from jaxgan.errors import CheckpointError
from jaxgan.parallel import multihost
from jaxgan.training import TrainState
from jaxgan.tree import by_path
from jaxgan.types import PyTree


def open_manager(directory: str | Path, *, newest: int = 2) -> ocp.CheckpointManager:
    """Orbax checkpoint manager of a directory, which is created if needed; a context manager.

    Args:
      directory: directory of the checkpoints, one folder per step.
      newest: number of newest checkpoints to keep; two, in case one is damaged. The checkpoint with
        the highest score is kept as well.

    Returns:
      The manager, for `save` and `restore`.

    Example:
      >>> import tempfile
      >>> import jax.numpy as jnp
      >>> state = TrainState(jnp.int32(7), {"g": {"w": jnp.ones(2)}}, {"g": {}}, {}, {}, {})
      >>> with tempfile.TemporaryDirectory() as folder, open_manager(Path(folder)) as manager:
      ...     save(manager, state)
      ...     manager.wait_until_finished()
      ...     restored = restore(manager, state)
      >>> int(restored.step), restored.params["g"]["w"].tolist()
      (7, [1.0, 1.0])
    """
    directory = Path(directory)
    options = ocp.CheckpointManagerOptions(
        preservation_policy=NewestAndBest(directory, newest),
        lightweight_initialize=True,  # reads no metadata, of which one damaged file would be fatal
    )
    handlers = {"state": ocp.StandardCheckpointHandler(), "record": ocp.JsonCheckpointHandler()}
    return ocp.CheckpointManager(directory.absolute(), options=options, item_handlers=handlers)


def check_path(directory: str | Path) -> None:
    """Checks that checkpoints can be saved in a directory.

    Orbax looks for the arrays that it has written by a pattern that begins with the path. Brackets
    in it match other names, and Orbax then saves a checkpoint without arrays, and no error. It
    opens no path with a backslash, and takes a folder `gs:` for the address of a bucket.

    Args:
      directory: directory of the checkpoints, or one above it.

    Raises:
      CheckpointError: its path has such a name in it.

    Example:
      >>> check_path(Path("/runs [1]/mnist"))  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      jaxgan.errors.CheckpointError: no checkpoint can be saved in /runs [1]/mnist: Orbax takes ...
    """
    path = Path(directory).absolute()
    for part in path.relative_to(path.anchor).parts:
        if not fnmatch.fnmatchcase(part, part):
            why = f"Orbax takes the brackets of {part!r} for a pattern"
        elif "\\" in part or part.endswith(("gs:", "s3:")):
            why = f"Orbax takes {part!r} for a part of another address"
        else:
            continue
        raise CheckpointError(
            f"no checkpoint can be saved in {path}: {why}; rename that folder, or choose another"
        )


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
      score: evaluation score, higher is better; minus infinity if the state was not evaluated, as
        which NaN counts.
      rollbacks: number of times that the run went back to an earlier state (`read_record`).

    Raises:
      CheckpointError: there is a checkpoint of a later step; or an error of `check_path`.

    Example:
      >>> import tempfile
      >>> import jax.numpy as jnp
      >>> state = TrainState(jnp.int32(7), {"g": {"w": jnp.ones(2)}}, {"g": {}}, {}, {}, {})
      >>> with tempfile.TemporaryDirectory() as folder, open_manager(Path(folder)) as manager:
      ...     save(manager, state, score=0.5)
      ...     manager.wait_until_finished()
      ...     steps_of(Path(folder)), read_record(Path(folder), 7)["score"]
      ([7], 0.5)
    """
    check_path(Path(manager.directory))
    step = int(state.step)
    if step in manager.all_steps():
        return
    manager.wait_until_finished()  # as Orbax does here
    if (before := manager.latest_step()) is not None and multihost.is_main():
        _sync(Path(manager.directory) / str(before))
    record = {
        "step": step,
        "digest": digest(state),
        "structure": structure(without_keys(state)),
        "score": score if score > -math.inf else None,  # nor a NaN
        "rollbacks": rollbacks,
    }
    saved = manager.save(
        step,
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(storable(state)),
            record=ocp.args.JsonSave(sealed(record)),
        ),
        metrics={"score": score if score > -math.inf else -math.inf},  # for the policy; not written
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
      target: a state of the same structure and shapes, whose shardings the result gets; arrays of
        NumPy have that of the default device.
      best: restore the checkpoint with the highest score instead of the newest.
      step: restore the checkpoint of this step instead.

    Returns:
      The state, or `None` if there is no checkpoint, or with `best` none with a score.

    Raises:
      CheckpointError: every checkpoint is damaged, its structure or shapes differ, or there is none
        of this step.

    Example:
      >>> import tempfile
      >>> import jax.numpy as jnp
      >>> state = TrainState(jnp.int32(1), {"g": {"w": jnp.ones(2)}}, {"g": {}}, {}, {}, {})
      >>> with tempfile.TemporaryDirectory() as folder, open_manager(Path(folder)) as manager:
      ...     save(manager, state, score=0.9)
      ...     save(manager, state._replace(step=jnp.int32(2)), score=0.4)
      ...     int(restore(manager, state).step), int(restore(manager, state, best=True).step)
      (2, 1)
    """
    placed = jax.tree.map(lambda x: x if hasattr(x, "sharding") else jnp.asarray(x), target)
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), placed
    )
    return _first_intact(manager, abstract, _candidates(manager, best=best, step=step))


def restore_plain(directory: str | Path, *, best: bool = False) -> dict[str, Any]:
    """Restores the newest intact checkpoint as nested dictionaries, without a target state.

    Arrays without elements are left out.

    Args:
      directory: directory of the checkpoints.
      best: restore the checkpoint with the highest score instead.

    Returns:
      The fields of the state by name, such as `step` and `params`, in dictionaries.

    Raises:
      CheckpointError: there is no intact checkpoint, or with `best` none with a score.

    Example:
      >>> import tempfile
      >>> import jax.numpy as jnp
      >>> state = TrainState(jnp.int32(7), {"g": {"w": jnp.ones(2)}}, {"g": {}}, {}, {}, {})
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     with open_manager(Path(folder)) as manager:
      ...         save(manager, state)
      ...     restore_plain(Path(folder))["params"]["g"]["w"].tolist()
      [1.0, 1.0]
    """
    if not Path(directory).is_dir():
        raise CheckpointError(f"{directory} does not exist: there is no checkpoint yet")
    with open_manager(directory) as manager:
        state = _first_intact(manager, None, _candidates(manager, best=best))
    if state is None:
        what = "evaluated checkpoint" if best else "checkpoint"
        raise CheckpointError(f"{directory} holds no {what} yet")
    return state


def set_aside(directory: str | Path, *, after: int) -> list[int]:
    """Moves checkpoints of later steps to `<directory>-set-aside`, damaged ones among them.

    States can then be saved under these steps again. No manager of the directory may be open.

    Args:
      directory: directory of the checkpoints.
      after: the last step that stays.

    Returns:
      The steps that were moved.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     for step in (100, 200, 300):
      ...         (Path(folder) / "checkpoints" / str(step)).mkdir(parents=True)
      ...     moved = set_aside(Path(folder) / "checkpoints", after=100)
      ...     moved, sorted(x.name for x in (Path(folder) / "checkpoints-set-aside").iterdir())
      ([300, 200], ['200', '300'])
    """
    directory = Path(directory)
    later = [step for step in steps_of(directory) if step > after]
    aside = directory.with_name(f"{directory.name}-set-aside")
    multihost.barrier("checkpoints are read")
    if multihost.is_main() and later:
        aside.mkdir(exist_ok=True)
        for step in later:
            names = itertools.chain([str(step)], (f"{step}.{i}" for i in itertools.count(1)))
            name = next(name for name in names if not (aside / name).exists())
            os.replace(directory / str(step), aside / name)
    multihost.barrier("checkpoints are set aside")
    return later


def newest_step(directory: str | Path) -> int:
    """Newest step of which there is a checkpoint, intact or not; 0 if there is none.

    Args:
      directory: directory of the checkpoints.

    Returns:
      The number of the step.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     (Path(folder) / "200").mkdir()
      ...     newest_step(Path(folder)), newest_step(Path("nowhere"))
      (200, 0)
    """
    return max(steps_of(directory), default=0)


def steps_of(directory: str | Path) -> list[int]:
    """Steps of which there is anything, newest first; Orbax ignores a file with a step's name.

    Args:
      directory: directory of the checkpoints; it may be missing.

    Returns:
      Numbers of steps; none is checked for being intact.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     for name in ("9", "100", "200.orbax-checkpoint-tmp"):
      ...         (Path(folder) / name).mkdir()
      ...     steps_of(Path(folder))
      [100, 9]
    """
    directory = Path(directory)
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    found = (int(name) for name in names if name.isascii() and name.isdecimal())
    return sorted((step for step in found if str(step) in names), reverse=True)


def _candidates(
    manager: ocp.CheckpointManager, *, best: bool = False, step: int | None = None
) -> list[int]:
    """Steps to restore, in the order in which they are tried."""
    manager.wait_until_finished()
    directory = Path(manager.directory)
    steps = steps_of(directory)
    if step is not None:
        if step not in steps:
            listed = ", ".join(map(str, steps[::-1])) or "none"
            raise CheckpointError(
                f"{directory} has no checkpoint of step {step}; there is {listed}"
            )
        return [step]
    if best:
        scores = {step: score_of(directory, step) for step in steps}
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
                f"the checkpoint of step {step} in {manager.directory} is damaged ({reason})"
                + ("; looking for another one" if step != steps[-1] else ""),
                stacklevel=2,
            )
    if steps:
        raise CheckpointError(
            f"the checkpoints of steps {', '.join(map(str, sorted(steps)))} in {manager.directory} "
            "are damaged; restore the folder from a copy, or start a new run elsewhere"
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
    if saved is None or structure(saved.tree) != record["structure"]:
        raise ValueError("its metadata are missing or those of another state")
    if abstract is None:
        target = _on_this_device(saved.tree)
    else:
        _check_structure(manager, step, saved.tree, abstract)
        target = storable(abstract)
    restored = manager.restore(
        step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target))
    ).state
    if (actual := digest(restored)) != record["digest"]:
        raise ValueError(f"its digest is {actual[:16]}..., expected {record['digest'][:16]}...")
    found = restored["step"] if abstract is None else restored.step
    if int(found) != step:
        raise ValueError(f"it is the state of step {int(found)}")
    return restored if abstract is None else from_storable(abstract, restored)


def _check_files(folder: Path) -> None:
    """Raises a `ValueError` if a checkpoint is not a folder of files (a pipe would block)."""
    if not folder.is_dir():
        raise ValueError("it is not a folder")
    for path in folder.rglob("*"):
        if not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path.relative_to(folder)} is neither a file nor a folder")


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


def _on_this_device(tree: PyTree) -> PyTree:
    """Shapes and dtypes of a checkpoint, on one device, whichever devices it was saved from."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def _check_structure(
    manager: ocp.CheckpointManager, step: int, saved: PyTree, abstract: TrainState
) -> None:
    """Raises a one-line `CheckpointError` if the structure differs (Orbax prints hundreds)."""
    actual, expected = (
        {name: _in_words(leaf) for name, leaf in by_path(storable(tree)).items()}
        for tree in (saved, abstract)
    )
    for name in sorted(actual.keys() | expected.keys()):
        if actual.get(name) != expected.get(name):
            raise CheckpointError(
                f"the checkpoint of step {step} in {manager.directory} has {name} of shape "
                f"{actual.get(name, 'none')}, this program expects {expected.get(name, 'none')}: "
                "it was written by another configuration or another version of the program"
            )


def _in_words(leaf: Any) -> str:
    """Shape and dtype of a leaf."""
    return f"{tuple(leaf.shape)}, {leaf.dtype}"
