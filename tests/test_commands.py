"""The commands of README, CONTRIBUTING, the documents and the experiments' docstrings.

Each is parsed by its own command line, so that flags and values exist; those of the README on runs
are executed, on small runs.
"""

import ast
import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import tyro
from tyro.extras import subcommand_cli_from_dict

from jaxgan import runs
from jaxgan.__main__ import COMMANDS
from jaxgan.runs import arguments, find, presets, sweep
from tests.conftest import ROOT
from tests.support import exit_status

PLACES = [
    *(ROOT / name for name in ("README.md", "README.ko.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "experiments").glob("*.py")),
]
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
CODE = re.compile(r"`([^`]+)`|^    (.*)$", re.MULTILINE)  # a span, or a line of a block
MODULE = r"python -m (jaxgan|experiments\.[a-z]\w*|benchmarks\.[a-z]\w*)"
COMMAND = re.compile(rf"(?:\b{MODULE}|^jaxgan)(?![\w./])([^\n#&;,\"]*)", re.MULTILINE)
TYPES = {name: command_type for name, (command_type, _) in COMMANDS.items()}


def text_of(path: Path) -> str:
    """A document, or the docstring of a program."""
    text = path.read_text()
    return ast.get_docstring(ast.parse(text)) or "" if path.suffix == ".py" else text


def commands(text: str) -> dict[str, tuple[str, list[str]]]:
    """The commands in code of a text, module and words; `a|b` are two, `[--flag]` is given."""
    found = {}
    pieces = [block for language, block in FENCE.findall(text) if language in ("sh", "bash")]
    for span, line in CODE.findall(FENCE.sub("", text).replace("\\\n", " ")):
        pieces.append(span.replace("\n", " ") or line)
    for match in COMMAND.finditer("\n".join(pieces)):
        module, words = match[1] or "jaxgan", re.sub(r"\[(--.*?)\]", r"\1", match[2])
        several = re.match(r" ([\w-]+(?:\|[\w-]+)+)", words)
        for name in several[1].split("|") if several else [""]:
            one = words.replace(several[1], name, 1) if several else words
            if "..." not in one and (one.strip() or module != "jaxgan"):
                found[f"{module} {one.strip()}".strip()] = (module, shlex.split(one))
    return found


ALL = {
    f"{path.name}: {command}": parts
    for path in PLACES
    for command, parts in commands(text_of(path)).items()
}


def parse(module: str, words: list[str]) -> None:
    """Parses a command line as its program does."""
    if module == "jaxgan" and words[:1] == ["train"]:
        if words[1:]:
            parse_experiment(words[1], words[2:])
    elif module == "jaxgan" and words[:1] == ["sweep"]:
        args, others = tyro.cli(arguments.Sweep, args=words[1:], return_unknown_args=True)
        assert sweep._points(find.find(args.experiment), args, others)
    elif module == "jaxgan" and words[1:]:
        subcommand_cli_from_dict(TYPES, args=words)
    elif module == "jaxgan":  # spoken of, without a run
        assert words[0] in TYPES
    elif not words or module == "benchmarks.faults":  # whose flags are those of its harnesses
        assert importlib.util.find_spec(module)
    elif module.startswith("experiments."):
        parse_experiment(module.removeprefix("experiments."), words)
    else:
        tyro.cli(importlib.import_module(module).Config, args=words)


def parse_experiment(name: str, words: list[str]) -> None:
    if name.endswith(".py"):  # the reader's own, of at least these flags
        tyro.cli(runs.Config, args=words)
        return
    config = find.find(name).Config
    tyro.cli(config, args=words, default=presets.defaults(config, words))


@pytest.mark.parametrize("command", ALL)
def test_every_command_is_one(command: str, monkeypatch):
    module, words = ALL[command]
    assert exit_status(parse, module, words) == 0


def test_a_wrong_command_would_be_found():
    for line in (
        "python -m experiments.mnist --no-such-flag",
        "python -m experiments.mnist --loss no_such_loss",
        "python -m experiments.mnist --preset no_such_preset",
        "python -m jaxgan sample runs/mnist --no-such-flag",
        "python -m jaxgan sweep mixture --grid no_such_flag 1",
        "`jaxgan no-such-command RUN`",
    ):
        (module, words), *more = commands(line).values()
        assert not more
        with pytest.raises((SystemExit, runs.experiment.UserError)):
            parse(module, words)
