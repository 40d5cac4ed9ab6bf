"""The commands of README, CONTRIBUTING, the documents and the experiments' docstrings.

Each is parsed by its own command line, so that flags and values exist. Those of the README that use
a run are executed, and those that train it, shrunk. Presets and translation, whose networks take
long to compile, are executed by test_presets.py and test_translation.py.
"""

import ast
import dataclasses
import importlib.util
import re
import shlex
import webbrowser
from pathlib import Path

import numpy as np
import pytest
import tyro
from tyro.extras import subcommand_cli_from_dict

from jaxgan import runs
from jaxgan.__main__ import COMMANDS, main
from jaxgan.errors import UserError
from jaxgan.runs import sweep
from jaxgan.runs.command_line import arguments, parser
from jaxgan.runs.config import find, presets
from tests.conftest import ROOT
from tests.support import README, exit_status, write_images

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
    text = path.read_text(encoding="utf-8")
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


ALL = {command: parts for path in PLACES for command, parts in commands(text_of(path)).items()}


def parse(module: str, words: list[str]) -> None:
    """Parses a command line as its program does."""
    if module == "jaxgan" and words[:1] == ["train"]:
        if words[1:]:
            parse_experiment(words[1], words[2:])
    elif module == "jaxgan" and words[:1] == ["sweep"]:
        args, others = tyro.cli(
            arguments.Sweep, args=words[1:], registry=parser.REGISTRY, return_unknown_args=True
        )
        assert sweep._points(find.find(args.experiment), args, others)
    elif module == "jaxgan" and words[1:]:
        subcommand_cli_from_dict(TYPES, args=words, registry=parser.REGISTRY)
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
        parser.parse(runs.Config, words)
        return
    config = find.find(name).Config
    parser.parse(config, words, default=presets.defaults(config, words))


@pytest.mark.parametrize("command", ALL)
def test_every_command_is_one(command: str):
    module, words = ALL[command]
    assert exit_status(parse, module, words) == 0


def test_a_wrong_command_would_be_found():
    assert len(ALL) > 100
    for line in (
        "python -m experiments.mnist --no-such-flag",
        "python -m experiments.mnist --loss no_such_loss",
        "python -m experiments.mnist --preset no_such_preset",
        "python -m jaxgan sample runs/mnist --no-such-flag",
        "python -m jaxgan sweep mixture --grid no_such_flag 1",
        "jaxgan no-such-command RUN",
    ):
        (module, words), *more = commands(f"```sh\n{line}\n```").values()
        assert not more
        with pytest.raises((SystemExit, UserError)):
            parse(module, words)


def test_help_is_in_groups_and_in_paragraphs(capsys, monkeypatch):
    """Docstrings of several lines are one line each where there is room, presets are defaults."""
    monkeypatch.setenv("COLUMNS", "600")
    for words in (["sample"], ["train", "mnist", "--preset", "r3gan"]):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
    lines = capsys.readouterr().out.splitlines()
    one = lambda *parts: any(all(part in line for part in parts) for line in lines)
    assert one("Directory of the run; or a generator that `export` wrote, or the name of one that")
    assert one("--batch-size INT", "over all devices. (default: 64)")
    assert one("Adversarial loss of the players. (default: relativistic_paired)")
    assert one("any TFDS image set, or folder", "in train/ and test/ or val/ if it has these;")
    titles = [found[1] for line in lines if (found := re.match(r"\W+([a-z-]+) options\W+$", line))]
    groups = ["experiment", "training", "algorithm", "image", "sized-image", "images"]
    assert titles == groups


@pytest.mark.parametrize("name", [name for name in find.names() if name != "minimal"])
def test_parsing_is_that_of_a_plain_dataclass(name: str):
    """Groups change the page of help only."""
    config = find.find(name).Config
    words = ["--seed", "3", "--no-health", "--log-to", "wandb", "--data-dir", "a folder"]
    parsed = parser.parse(config, words)
    assert parsed == tyro.cli(config, args=words) != config()
    assert parser.parse(config, ["--seed", "4"], default=parsed) == dataclasses.replace(
        parsed, seed=4
    )


def test_help_of_a_config_without_docstrings(capsys):
    """Of one's own, and with a mutable default."""

    @dataclasses.dataclass(frozen=True)
    class Config(runs.Config):
        width: int = 3
        names: list[str] = dataclasses.field(default_factory=lambda: ["a"])

    parsed = parser.parse(Config, ["--width", "4"])
    assert (parsed.width, parsed.names, parsed.batch_size) == (4, ["a"], 64)
    with pytest.raises(SystemExit):
        parser.parse(Config, ["--help"])
    text = capsys.readouterr().out
    assert "Config(" not in text
    assert re.search(r"own options\W+--width INT", text)


def test_every_flag_that_is_spoken_of_exists():
    """In spans that begin with a flag, as in tables."""
    configs = [find.find(name).Config for name in find.names() if name != "minimal"]
    fields = {
        field.name for kind in (*configs, *TYPES.values()) for field in dataclasses.fields(kind)
    }
    flags = {f"--{name.replace('_', '-')}" for name in fields} | {"--help", "--no-health", "--only"}
    spoken = {
        flag
        for path in PLACES[:-1]
        if path.suffix == ".md" and path.name not in ("performance.md", "CONTRIBUTING.md")
        for span, _ in CODE.findall(FENCE.sub("", path.read_text(encoding="utf-8")))
        if span.startswith("--")
        for flag in re.findall(r"--[a-z][\w-]*", span)
    }
    assert len(spoken) > 50
    assert spoken <= flags, spoken - flags


SHRUNK = ["--num-steps", "2", "--data", "digits", "--features", "4"]
LEFT_OUT = (
    "--preset",
    "--task colorize",
    "images",
    "mixture",
    "pix2pix",
    "cyclegan",
    "sweep",
    "demo",
)


@pytest.mark.slow
def test_the_commands_of_the_readme(tmp_path, monkeypatch):
    """In their order, in one folder; what each promises to write is there."""
    monkeypatch.chdir(tmp_path)
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    for name in ("DIR", "FOLDER"):
        write_images(tmp_path / name, np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), "u1"))
    blocks = "\n".join(f"```sh\n{block}```" for _, block in FENCE.findall(README))
    executed = 0
    for command, (module, words) in commands(blocks).items():
        if any(word in command for word in LEFT_OUT):
            continue
        if module == "jaxgan":
            assert exit_status(main, words) == 0, command
        else:
            name = module.removeprefix("experiments.")
            more = ["--evaluate-every", "0"] if executed else ["--evaluate-samples", "20"]
            assert exit_status(main, ["train", name, *words, *SHRUNK, *more]) == 0, command
        executed += 1
    assert executed > 12
    assert opened
    for name in ("samples.png", "walk.gif", "comparison.html", "model/model.stablehlo"):
        assert (tmp_path / name).stat().st_size > 0
