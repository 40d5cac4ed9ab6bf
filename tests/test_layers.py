"""The house stands: imports only go down, and a folder is one deep."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

FLOORS = [
    {"types", "errors", "xla"},
    {"files"},
    {"axis", "processes", "weights"},
    {
        "ops",
        "losses",
        "penalties",
        "latents",
        "corruptions",
        "images",
        "data",
        "metrics",
        "torch_file",
        "pool",
        "schedules",
    },
    {"game"},
    {"networks", "games", "codes"},
    {"training", "features"},
    {"parallel", "loop", "checkpoint"},
    {"evaluation"},
    {"callbacks", "experiment"},
    {"session"},
    {"launch"},
    {"run", "commands"},
    {"code_commands"},
    {"__main__"},
]
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}
FILES = sorted(path for path in (ROOT / "jaxgan").rglob("*.py"))


def room(path: Path) -> str:
    """`jaxgan/data/idx.py` is in the room `data`, `jaxgan/loop.py` in the room `loop`."""
    return path.relative_to(ROOT / "jaxgan").with_suffix("").parts[0]


def imported_rooms(path: Path) -> set[str]:
    """Rooms of jaxgan that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = [alias.name for alias in node.names]
            found |= {f"jaxgan.{n}" for n in names} if node.module == "jaxgan" else {node.module}
    return {name.split(".")[1] for name in found if name.startswith("jaxgan.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    if path == ROOT / "jaxgan" / "__init__.py":
        assert imported_rooms(path) == set()
        return
    own = room(path)
    for other in imported_rooms(path) - {own}:
        assert FLOOR[other] < FLOOR[own], f"{own} imports {other}, which is not below it"


def test_every_room_has_a_floor():
    rooms = {room(path) for path in FILES} - {"__init__"}
    assert rooms == set(FLOOR)


def test_folders_are_one_deep():
    assert all(len(path.relative_to(ROOT / "jaxgan").parts) <= 2 for path in FILES)


def test_training_has_never_heard_of_a_discriminator():
    """Nor has anything that plays games of any kind; docstrings may give examples."""
    for name in ("game", "training", "parallel", "loop", "checkpoint"):
        tree = ast.parse((ROOT / "jaxgan" / f"{name}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = ""
        code = ast.unparse(tree).lower()
        assert not any(word in code for word in ("discriminator", "generator", "critic"))
