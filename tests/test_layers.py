"""Layers of the package: a module imports only from lower layers, and folders are one deep."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

LAYERS = [
    {"types", "errors", "files"},
    {"tree", "curves"},
    {"parallel/axis", "parallel/multihost", "weights", "schedules"},
    {"ops"},
    {"augment", "latents"},
    {
        "losses",
        "penalties",
        "corruptions",
        "optimizers",
        "images",
        "live",
        "data",
        "metrics",
    },
    {"game"},
    {"networks", "games", "latent_space", "dynamics"},
    {"training", "features"},
    {"parallel", "parallel/modes", "checkpoint"},
    {"loop"},
    {"evaluation", "population"},
    {"experiments"},
    {"runs/config"},
    {"runs/command_line"},
    {"runs/directory"},
    {"runs/reports"},
    {"runs/session"},
    {"runs/population"},
    {"runs/launch", "runs/run"},
    {"runs/load", "runs/sweep"},
    {"runs/export"},
    {"runs/commands"},
    {"runs/cli"},
    {"runs"},
    {"__main__"},
]
LAYER = {name: height for height, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in (ROOT / "jaxgan").rglob("*.py"))


def package(module: str) -> str:
    """`jaxgan.data.idx` belongs to the package `data`, `jaxgan.loop` to the module `loop`.

    The data axis lies below everything that is trained, and the modes above the training: the files
    of `parallel`, and what is in `runs`, are packages of their own.
    """
    _, first, *rest = module.split(".")
    return f"{first}/{rest[0]}" if first in ("parallel", "runs") and rest else first


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_packages(path: Path) -> set[str]:
    """Packages of jaxgan that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            packages = ("jaxgan", "jaxgan.parallel", "jaxgan.runs")
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= set(names) if node.module in packages else {node.module}
    return {package(name) for name in found if name.startswith("jaxgan.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    if path.parent.name in ("jaxgan", "parallel") and path.name == "__init__.py":
        assert imported_packages(path) == set()
        return
    own = package(module_of(path))
    for other in imported_packages(path) - {own}:
        assert LAYER[other] < LAYER[own], f"{own} imports {other}, which is not below it"


def test_every_package_has_a_layer():
    packages = {package(module_of(path)) for path in FILES if module_of(path) != "jaxgan"}
    assert packages == set(LAYER)


def test_folders_are_one_deep():
    """But for what a run is made of."""
    for path in FILES:
        folders = path.relative_to(ROOT / "jaxgan").parts[:-1]
        assert len(folders) <= (2 if folders[:1] == ("runs",) else 1)


def test_training_does_not_know_what_a_discriminator_is():
    """Nor does any other code that trains games of every kind; docstrings may give examples."""
    files = [f"{name}.py" for name in ("game", "parallel/modes", "loop", "checkpoint/manager")]
    folders = [path for path in FILES if path.parent.name in ("training", "dynamics")]
    for path in [*(ROOT / "jaxgan" / name for name in files), *folders]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = ""
        code = ast.unparse(tree).lower()
        assert not any(word in code for word in ("discriminator", "generator", "critic"))
