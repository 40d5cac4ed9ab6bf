"""Failures of the machine during a run, such as a full disk, in one line that says what to do."""

import contextlib
import errno
import functools
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxgan.errors import RunError, UserError
from jaxgan.runs.directory import lock

DISK = {
    errno.ENOSPC: "the disk is full; free space",
    errno.EDQUOT: "the quota of the disk is used up; free space",
    errno.EFBIG: "a file exceeds the largest size allowed (`ulimit -f`); raise it",
    errno.EROFS: "the disk is mounted read-only; mount it for writing",
    errno.EIO: "the disk does not respond; check it, and copy the run elsewhere",
    errno.EMFILE: "too many files are open (`ulimit -n`); raise the limit",
}
PLACES = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
TEXTS = {  # of errors without a number, from libraries in C++
    "No space left on device": DISK[errno.ENOSPC],
    "Disk quota exceeded": DISK[errno.EDQUOT],
    "File too large": DISK[errno.EFBIG],
    "Read-only file system": DISK[errno.EROFS],
}
MEMORY = (
    "out of memory; choose a smaller --batch-size (with --accumulate), or --remat, or a larger "
    "device"
)


@functools.cache
def silence_echoes() -> None:
    """Silences what libraries print of an error besides raising it, for the rest of the program.

    Orbax logs its traceback, asyncio those of the other arrays' tasks, and tensorstore, whose
    threads come back to an event loop that the first error has closed, as many more.
    """
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    default = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            default(unraisable)

    sys.unraisablehook = hook


@contextlib.contextmanager
def in_one_line(directory: Path, runs: Sequence[Path] = ()) -> Iterator[None]:
    """Reports a failure of the machine as a `RunError`; other errors pass.

    Args:
      directory: directory of the run, or of several.
      runs: directories of the runs in it, if there are several.

    Raises:
      RunError: disk, memory or the directory itself are gone.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if (reason := _reason(error, runs or [directory])) is None:
            raise
        raise RunError(
            f"{reason}. What was saved in {directory} is intact: the same command resumes from it"
        ) from None


@contextlib.contextmanager
def of_disk_in_one_line() -> Iterator[None]:
    """Reports a failure of the disk as a `RunError`, in commands that write files."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK:
            raise
        raise RunError(f"{DISK[error.errno]}, and repeat the command") from None


def _reason(error: BaseException, runs: Sequence[Path]) -> str | None:
    """What is wrong with the machine, by an error or those that it came from."""
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, OSError) and link.errno in DISK:
            return DISK[link.errno]
        if isinstance(link, MemoryError) or "RESOURCE_EXHAUSTED: Out of memory" in str(link):
            return MEMORY
        for text, reason in TEXTS.items():
            if text in str(link):
                return reason
    of_every_run = (lock.NAME, "config.json")  # where locks are deleted with their release, one
    deleted = any(not any((run / name).exists() for name in of_every_run) for run in runs)
    if deleted and any(isinstance(link, OSError) for link in chain):
        return "the run directory was deleted while the run was training; restore it from a copy"
    places = [run.resolve() for run in runs]
    for link in chain:
        if isinstance(link, OSError) and link.errno in PLACES:
            name = link.filename2 or link.filename
            file = Path(name).resolve() if isinstance(name, (str, Path)) else Path()
            if any(file.is_relative_to(place) for place in places):
                return f"{file} cannot be written ({link.strerror}); move it away"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those during which or because of which it was raised."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and link not in seen:
            seen.append(link)
            yield link
            waiting += [link.__cause__, link.__context__]
            waiting += getattr(link, "exceptions", ())
