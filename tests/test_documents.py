"""What the documents say is what happens: the README's loop, the notebooks, the commands."""

import re

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import CACHE, ROOT

README = (ROOT / "README.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_loop_of_the_readme_as_it_stands(tmp_path, monkeypatch):
    loop = next(block for block in blocks(README, "python") if "jaxgan.fit(" in block)
    assert len([line for line in loop.splitlines() if line]) == 15
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(loop, "README.md", "exec"), names)
    assert int(names["state"].step) >= 100
    assert (tmp_path / "samples.png").stat().st_size > 1000


def test_other_python_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in blocks(README, "python"):
        if "jaxgan.fit(" not in block:
            exec(compile(block, "README.md", "exec"), {})


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
# The kernel's own event loop warns as it is closed.
@pytest.mark.filterwarnings("ignore")
def test_notebooks(path, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(CACHE))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_links_of_the_documents_lead_somewhere():
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
            if not link.startswith("http"):
                assert (path.parent / link).exists(), f"{path.name} links to {link}"
