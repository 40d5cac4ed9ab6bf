"""Commands on a finished or running run: `python -m jaxgan COMMAND RUN`."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from tyro.extras import subcommand_cli_from_dict

from jaxgan.runs import arguments
from jaxgan.runs.cli import exit_on_user_error

# A command's arguments, and the module of `jaxgan.runs` whose function of its name takes them. The
# module, and jax with it, is imported when the command line has been read.
COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "sample": (arguments.Sample, "commands"),
    "evaluate": (arguments.Evaluate, "commands"),
    "neighbours": (arguments.Neighbours, "commands"),
    "translate": (arguments.Translate, "commands"),
    "reconstruct": (arguments.Reconstruct, "latent_commands"),
    "interpolate": (arguments.Interpolate, "latent_commands"),
    "latent-map": (arguments.LatentMap, "latent_commands"),
    "arithmetic": (arguments.Arithmetic, "latent_commands"),
    "anomalies": (arguments.Anomalies, "latent_commands"),
    "export": (arguments.Export, "commands"),
    "digest": (arguments.Digest, "commands"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Reads a command line, the program's own by default, and runs the command."""
    types = {name: of_command for name, (of_command, _) in COMMANDS.items()}
    args: Any = subcommand_cli_from_dict(
        types, args=argv, description=__doc__, prog="python -m jaxgan"
    )
    name = next(name for name, of_command in types.items() if type(args) is of_command)
    with exit_on_user_error():
        module = importlib.import_module(f"jaxgan.runs.{COMMANDS[name][1]}")
        getattr(module, name.replace("-", "_"))(args)


if __name__ == "__main__":
    main()
