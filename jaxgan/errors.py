"""Exceptions for errors that the user can fix.

A message is one line: what was found, what was expected, and what to do.
"""

from pathlib import Path


class UserError(Exception):
    """Base class of all errors that the user can fix.

    Command lines print the message and exit with `exit_status`.
    """

    exit_status = 2


class DataError(UserError):
    """Missing or damaged data, or data of an unexpected format."""


class PictureError(DataError):
    """Image file that cannot be read.

    Attributes:
      file: the file.
      why: the reason.
    """

    def __init__(self, file: Path, why: str, todo: str = "replace or remove it") -> None:
        super().__init__(f"{file} cannot be read: {why}; {todo}")
        self.file = file
        self.why = why

    def with_flag(self) -> "PictureError":
        """The error of a command, which can leave such files out."""
        return PictureError(self.file, self.why, "replace or remove it, or give --skip-bad")


class SizeError(UserError, ValueError):
    """Image size that a network does not support, or a width below 1."""


class GameError(UserError, ValueError):
    """Game that a training algorithm or an option cannot be combined with."""


class MetricError(UserError):
    """Samples on which a metric cannot be computed."""


class WeightsError(UserError):
    """Weight file that cannot be read, or that belongs to another network."""


class ConvergenceError(UserError):
    """Iteration that did not reach the accuracy asked for."""


class CheckpointError(UserError):
    """Missing or damaged checkpoint, or a checkpoint of another configuration."""


class RunError(UserError):
    """Run that cannot be started, resumed or read."""


class NonFiniteError(UserError):
    """Loss or other metric that is NaN or infinite."""

    exit_status = 1
