"""Exceptions for what a user can mend, each one line: what was found, expected, and what to do."""


class UserError(Exception):
    """Base class of all errors that a user can mend.

    Command lines print the message and end with `exit_status`.
    """

    exit_status = 2


class DataError(UserError):
    """Data that is missing, damaged or not what was asked for."""


class SizeError(UserError, ValueError):
    """Images of a size that a network does not accept, or a width below 1."""


class MetricError(UserError):
    """Samples that a metric cannot measure."""


class WeightsError(UserError):
    """A file of weights that cannot be read, or that belongs to another network."""


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged or of another configuration."""


class RunError(UserError):
    """A run that cannot start, be resumed or be read."""


class NonFiniteError(UserError):
    """A loss or another metric that has become NaN or infinite."""

    exit_status = 1
