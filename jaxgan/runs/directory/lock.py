"""Lock of a run directory, so that two processes do not train in it at once.

The operating system releases it when its process ends, however that ends (docs/reliability.md).
"""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import filelock

from jaxgan.errors import RunError

NAME = ".lock"


def is_locked(directory: Path) -> bool:
    """Whether a process trains in a run directory; also where the file system has no locks."""
    lock = filelock.FileLock(directory / NAME)
    try:
        with lock.acquire(timeout=0):
            return False
    except filelock.Timeout:
        return True
    except (NotImplementedError, OSError):
        return True


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds the lock of a run directory.

    Where the file system has no locks, a warning is given.

    Raises:
      RunError: another process holds it.
    """
    lock = filelock.FileLock(directory / NAME)
    try:
        lock.acquire(timeout=1)  # `is_locked` holds it for a moment
    except filelock.Timeout:
        raise RunError(
            f"another process trains in {directory}; wait for its end, or choose another --run-dir"
        ) from None
    except (NotImplementedError, OSError) as error:
        warnings.warn(
            f"{directory} cannot be locked ({error}): do not start its run twice at once",
            stacklevel=3,
        )
    try:
        yield
    finally:
        lock.release()
