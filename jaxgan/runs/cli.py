"""Command line of an experiment, and exit statuses.

An experiment is a module with a frozen dataclass `Config`, a subclass of `runs.Config`, and a
function `make(config) -> Experiment`. It ends with

    if __name__ == "__main__":
        main(Config, make)

Nothing here imports jax before the command line is read, so that `--help` is shown at once.
"""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

import tyro

from jaxgan.runs import xla_flags
from jaxgan.errors import UserError
from jaxgan.runs.experiment import Config, Experiment

C = TypeVar("C", bound=Config)


def main(config_type: type[C], make: Callable[[C], Experiment]) -> NoReturn:
    """Reads the command line into a config, runs the experiment, and ends the program.

    Exit status: 0 when all steps are done, 2 with one line for what the user can mend, 1 when the
    run diverged, 128 + n when signal n stopped it.

    Args:
      config_type: the experiment's `Config`; its docstring heads the help.
      make: builds the experiment.
    """
    config = tyro.cli(config_type)
    spec = sys.modules[make.__module__].__spec__
    name = spec.name if spec else make.__module__
    with exit_on_user_error():
        xla_flags.set_flags()
        from jaxgan.runs import launch

        status = launch.launch(config, make, name=name)
    sys.exit(status)


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Turns a `UserError` into one line on stderr and its exit status, and Ctrl-C into silence."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
