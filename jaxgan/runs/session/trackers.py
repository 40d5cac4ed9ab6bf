"""Experiment trackers: TensorBoard, Weights & Biases, trackio.

A tracker is a logger, a function `(step, {name: value}) -> None`, that is open while a run trains.
"""

import contextlib
import importlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from jaxgan.errors import RunError
from jaxgan.runs.directory.files import write_atomically

Logger = Callable[[int, Mapping[str, float]], None]


def tracker(
    name: str, directory: Path, config: Mapping[str, Any], *, step: int
) -> contextlib.AbstractContextManager[Logger]:
    """Opens a tracker for a run.

    A resumed run continues in the tracker's run of the same directory. Values of steps after
    `step`, which were not checkpointed and are computed again, replace the earlier ones where the
    tracker can do that (TensorBoard), and are added to them otherwise.

    Args:
      name: `tensorboard`, which writes to `directory/tensorboard`; `wandb`, which writes to
        `directory/wandb` (set `WANDB_MODE=offline` for no network); or `trackio`, which writes to
        its local database.
      directory: directory of the run.
      config: configuration of the run, which the tracker shows.
      step: the step from which the run resumes.

    Raises:
      RunError: the tracker is not installed, or cannot be imported.

    Example:
      >>> with tracker("tensorboard", Path("runs/mnist"), {}, step=0) as log:  # doctest: +SKIP
      ...     log(1, {"generator/loss": 0.7})
    """
    if name == "tensorboard":
        return _tensorboard(directory, step)
    try:
        library = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise _broken(name, error) from None
        library = None
    except ImportError as error:
        raise _broken(name, error) from None
    # A mere folder of that name, as wandb leaves behind in the working directory, imports too.
    if not hasattr(library, "init"):
        raise RunError(
            f"--log-to {name} needs a library that is not installed: pip install 'jaxgan[{name}]'"
        )
    return (_wandb if name == "wandb" else _trackio)(library, directory, config)


def _broken(name: str, error: ImportError) -> RunError:
    """Of a library that is there, but whose own requirements are not, or not in its versions."""
    reason = " ".join(str(error).split())
    return RunError(
        f"--log-to {name}: {name} is installed but cannot be imported ({reason}); "
        f"pip install --upgrade 'jaxgan[{name}]'"
    )


@contextlib.contextmanager
def _tensorboard(directory: Path, step: int) -> Iterator[Logger]:
    # `SummaryWriter` writes in a thread, of which a kill loses up to ten values of a checkpoint.
    folder = directory / "tensorboard"
    folder.mkdir(exist_ok=True)
    # Without the suffix, sessions that start within one second have the same file name.
    writer = EventsWriter(str(folder / "events"), filename_suffix=f".{step}")
    start = SessionLog(status=SessionLog.START)  # removes the later steps of earlier sessions
    writer.write_event(Event(wall_time=time.time(), step=step + 1, session_log=start))
    with contextlib.closing(writer):

        def log(step: int, values: Mapping[str, float]) -> None:
            for name, value in values.items():
                summary = scalar(name, value)
                writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))
            writer.flush()

        yield log


@contextlib.contextmanager
def _wandb(wandb: Any, directory: Path, config: Mapping[str, Any]) -> Iterator[Logger]:
    run = wandb.init(
        project="jaxgan",
        name=directory.name,
        id=_identity(directory),
        dir=str(directory),
        config=dict(config),
        resume="allow",
    )
    try:
        yield lambda step, values: run.log({**values, "step": step})
    finally:
        run.finish()


@contextlib.contextmanager
def _trackio(trackio: Any, directory: Path, config: Mapping[str, Any]) -> Iterator[Logger]:
    name = f"{directory.name}-{_identity(directory)[:8]}"
    run = trackio.init(project="jaxgan", name=name, config=dict(config), resume="allow")
    try:
        yield lambda step, values: trackio.log(dict(values), step=step)
    finally:
        run.finish()


def _identity(directory: Path) -> str:
    """Identifier of the directory's run, random and the same in every session."""
    path = directory / ".tracked_as"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(path, f"{secrets.token_hex(8)}\n")
    return path.read_text(encoding="utf-8").strip()
