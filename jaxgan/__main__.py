"""Train an experiment, or use a run: `jaxgan train EXPERIMENT`, `jaxgan COMMAND RUN`."""

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table
from tyro.extras import subcommand_cli_from_dict

from jaxgan.errors import RunError
from jaxgan.runs import cli
from jaxgan.runs.cli import exit_on_user_error
from jaxgan.runs.command_line import arguments, completion, parser, xla_flags
from jaxgan.runs.config import find

# For each command, its arguments and the module in `jaxgan.runs.commands` with the function of the
# command's name. The module, and with it jax, is imported after the command line has been parsed.
COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "train": (arguments.Train, "cli"),  # for --help: `main` runs it, with the experiment's flags
    "sweep": (arguments.Sweep, "sweep"),  # for --help: `main` runs it, with the experiment's flags
    "sample": (arguments.Sample, "sample"),
    "evaluate": (arguments.Evaluate, "evaluate"),
    "neighbors": (arguments.Neighbors, "sample"),
    "translate": (arguments.Translate, "translate"),
    "reconstruct": (arguments.Reconstruct, "latent"),
    "encode": (arguments.Encode, "latent"),
    "interpolate": (arguments.Interpolate, "generator"),
    "project": (arguments.Project, "generator"),
    "directions": (arguments.Directions, "generator"),
    "latent-map": (arguments.LatentMap, "latent"),
    "arithmetic": (arguments.Arithmetic, "latent"),
    "anomalies": (arguments.Anomalies, "latent"),
    "spectrum": (arguments.Spectrum, "dynamics"),
    "export": (arguments.Export, "export"),
    "demo": (arguments.Demo, "demo"),
    "report": (arguments.Report, "report"),
    "compare": (arguments.Compare, "report"),
    "list": (arguments.List, "report"),
    "watch": (arguments.Watch, "watch"),
    "digest": (arguments.Digest, "sample"),
    "completion": (arguments.Completion, "completion"),  # for --help: `main` runs it
}


def main(argv: Sequence[str] | None = None) -> None:
    """Parses a command line, `sys.argv` by default, and runs the command."""
    prog = "python -m jaxgan" if Path(sys.argv[0]).name == "__main__.py" else "jaxgan"
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["train"]:  # the flags are those of the experiment
        with exit_on_user_error():
            train(words[1:], prog=f"{prog} train")
        return
    if words[:1] == ["sweep"]:
        with exit_on_user_error():
            sweep(words[1:], prog=f"{prog} sweep")
        return
    with exit_on_user_error():
        _check_command(words)
    types = {name: command_type for name, (command_type, _) in COMMANDS.items()}
    args: Any = subcommand_cli_from_dict(
        types, args=words, description=__doc__, prog=prog, registry=parser.REGISTRY
    )
    name = next(name for name, command_type in types.items() if type(args) is command_type)
    if name == "completion":
        print(completion.script(types, args.shell))
        return
    with exit_on_user_error():
        if not 0 <= getattr(args, "seed", 0) < arguments.SEEDS:
            raise RunError(f"--seed is {args.seed}, expected 0 to 2^32 - 1")
        xla_flags.set_flags()
        module = importlib.import_module(f"jaxgan.runs.commands.{COMMANDS[name][1]}")
        failures = importlib.import_module("jaxgan.runs.session.failures")
        with failures.of_disk_in_one_line():
            getattr(module, name.replace("-", "_"))(args)
        if getattr(args, "out", None):
            importlib.import_module("jaxgan.runs.command_line.inline").show(args.out)


def train(words: Sequence[str], *, prog: str) -> None:
    """Trains an experiment, by its name or the path of its file; without one, lists them."""
    if not words or words[0] in ("-h", "--help"):
        table = Table(f"{prog} EXPERIMENT [flags]", box=None)
        for name in find.names():
            table.add_row(name, find.summary(name))
        table.add_row("FILE.py", "Your own experiment.")
        Console(soft_wrap=True, highlight=False, markup=False).print(table)
        return
    module = find.find(words[0])
    cli.main(module.Config, module.make, argv=words[1:], prog=f"{prog} {words[0]}")


def sweep(words: Sequence[str], *, prog: str) -> None:
    """Trains an experiment over a grid; flags that are not its own are the experiment's."""
    args, others = tyro.cli(
        arguments.Sweep,
        args=words,
        prog=prog,
        registry=parser.REGISTRY,
        return_unknown_args=True,
    )
    xla_flags.set_flags()
    importlib.import_module("jaxgan.runs.sweep").sweep(args, others, prog=prog)


def _check_command(words: Sequence[str]) -> None:
    """Raises a `RunError` if the first word is not a command."""
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        question = find.did_you_mean(words[0], COMMANDS) or "; --help lists them"
        raise RunError(f"there is no command {words[0]}{question}")


if __name__ == "__main__":
    main()
