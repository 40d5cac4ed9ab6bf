"""Commands on the directory of a run: `python -m jaxgan COMMAND RUN`."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from tyro.extras import subcommand_cli_from_dict

from jaxgan.runs import arguments
from jaxgan.runs.cli import exit_on_user_error

# For each command, its arguments and the module in `jaxgan.runs` with the function of the command's
# name. The module, and with it jax, is imported after the command line has been parsed.
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
    """Parses a command line, `sys.argv` by default, and runs the command."""
    types = {name: command_type for name, (command_type, _) in COMMANDS.items()}
    args: Any = subcommand_cli_from_dict(
        types, args=argv, description=__doc__, prog="python -m jaxgan"
    )
    name = next(name for name, command_type in types.items() if type(args) is command_type)
    with exit_on_user_error():
        module = importlib.import_module(f"jaxgan.runs.{COMMANDS[name][1]}")
        getattr(module, name.replace("-", "_"))(args)


if __name__ == "__main__":
    main()
