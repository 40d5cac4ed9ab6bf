"""The code of the documents: the README's programs, the notebooks, and links."""

import re

import jax
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import jaxgan
from jaxgan import images
from jaxgan.__main__ import main
from tests.conftest import ROOT
from tests.support import README, code_blocks, command, exit_status, pixels, train_mnist

LOOP, FIELD, *MORE = code_blocks(README, "python")


def test_the_training_loop_of_the_readme(tmp_path, monkeypatch):
    """With fewer steps; what it writes are samples of its last state."""
    assert "num_steps=1000)" in LOOP
    assert len([line for line in LOOP.splitlines() if line]) == 15
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(LOOP.replace("1000", "2"), "README.md", "exec"), names)
    state = names["state"]
    assert int(state.step) == 2
    samples = names["game"].sample(
        state.params, state.model_state, names["batch"], jax.random.key(1)
    )
    assert samples.shape == (100, 28, 28, 1)
    np.testing.assert_array_equal(pixels(tmp_path / "samples.png"), images.sheet(samples)[..., 0])


def test_the_game_of_the_readme(capsys):
    """Of simultaneous descent in x y the radius grows by sqrt(1 + 0.1^2) a step."""
    exec(compile(FIELD, "README.md", "exec"), {})
    radii = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert float(radii["simultaneous"]) == pytest.approx(2**0.5 * 1.01**250, rel=1e-3)
    assert float(radii["alternating"]) == pytest.approx(2**0.5, rel=0.1)


@pytest.mark.slow
def test_the_programs_of_the_how_to_page(tmp_path, monkeypatch):
    """In their order, in one folder that has a run and its export."""
    monkeypatch.chdir(tmp_path)
    assert train_mnist(monkeypatch, tmp_path / "runs" / "mnist", num_steps=1, latent=64) == 0
    command("export", tmp_path / "runs" / "mnist", out=tmp_path / "model")
    for block in code_blocks((ROOT / "docs" / "howto.md").read_text(), "python"):
        if "class Config" in block:
            (tmp_path / "spheres.py").write_text(block)
            assert exit_status(main, ["train", "spheres.py", "--num-steps", "2"]) == 0
            samples = jaxgan.load_run("runs/spheres", experiment="spheres.py").sample(3)
            assert samples.shape == (3, 2)
        else:
            exec(compile(block, "howto.md", "exec"), {})
    assert (tmp_path / "samples.png").exists()


@pytest.mark.slow
def test_the_programs_of_the_dynamics_page(capsys):
    """Eigenvalues of the Dirac-GAN, `gamma / 2 ± sqrt(gamma^2 / 4 - 1 / 4)`; a member of four."""
    names = {}
    for block in code_blocks((ROOT / "docs" / "dynamics.md").read_text(), "python"):
        exec(compile(block, "dynamics.md", "exec"), names)
    assert "0.25+0.4330127j" in capsys.readouterr().out
    assert int(names["best"].step) == 100


def test_there_is_no_other_python_in_the_readme():
    assert MORE == []


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
# The kernel's own event loop warns as it is closed.
@pytest.mark.filterwarnings("ignore")
def test_notebooks(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_links_of_the_documents_lead_somewhere():
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if not link.startswith("http"):
                assert (path.parent / link).exists(), f"{path.name} links to {link}"
