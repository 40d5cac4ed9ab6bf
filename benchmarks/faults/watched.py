"""Limits on the time that something takes."""

import contextlib
import signal
from collections.abc import Iterator


class TookTooLong(BaseException):
    """Raised where a program is after the time; no `except Exception` takes it for an error."""


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises `TookTooLong` in the main thread after so many seconds (POSIX only)."""

    def stop(number: int, frame: object) -> None:
        raise TookTooLong

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
