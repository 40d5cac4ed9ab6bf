"""Command-line entry point of an experiment, and its exit statuses.

An experiment is a module with a frozen dataclass `Config`, a subclass of `runs.Config`, and a
function `make(config, data) -> Experiment`, whose data are those of `config.load_data()`. It ends
with

    if __name__ == "__main__":
        main(Config, make)

Nothing here imports jax before the command line is parsed, so that `--help` is shown at once.
"""

import contextlib
import io
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

from jaxgan.errors import UserError
from jaxgan.runs.command_line import parser, xla_flags
from jaxgan.runs.config import presets
from jaxgan.runs.config.experiment import Config, Experiment

C = TypeVar("C", bound=Config)

BROKEN_PIPE = 128 + 13  # by SIGPIPE, which Windows lacks


def main(
    config_type: type[C],
    make: Callable[[C, Any], Experiment],
    *,
    argv: Sequence[str] | None = None,
    prog: str | None = None,
) -> NoReturn:
    """Entry point of an experiment: parses the command line, trains, and exits.

    Exit status: 0 if all steps are done, 1 if training diverged (with `--seeds`, of any seed), 2
    with a one-line message for errors that the user can fix, 128 + n if stopped by signal n; 141,
    as by SIGPIPE, if what reads the output has ended.

    Args:
      config_type: the experiment's `Config`; its docstring is the description in `--help`.
      make: builds the experiment from the config and its data.
      argv: the command line, `sys.argv[1:]` by default.
      prog: name of the program in `--help`.

    Raises:
      SystemExit: always, with the status.

    Example, the last lines of an experiment, and a command line that is refused:
      >>> if __name__ == "__main__":  # doctest: +SKIP
      ...     main(Config, make)
      >>> main(Config, lambda config, data: None, argv=["--batch-size", "many"])
      Traceback (most recent call last):
      SystemExit: 2
    """
    spec = sys.modules["__main__"].__spec__
    if prog is None and spec is not None:
        prog = f"python -m {spec.name}"
    with exit_on_user_error():
        default = presets.defaults(config_type, sys.argv[1:] if argv is None else argv)
    config = parser.parse(config_type, argv, prog=prog, default=default)
    with exit_on_user_error():
        xla_flags.set_flags()
        from jaxgan.runs import launch
        from jaxgan.runs.config import find

        status = launch.launch(config, make, name=find.name_of(make))
    sys.exit(status)


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Exits on a `UserError` with one line on stderr and its status, and on Ctrl-C silently.

    Characters that the encoding of stdout lacks are written as escapes, such as those of a path.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich exits with 1, as if it had diverged
            sys.exit(BROKEN_PIPE)
        raise
