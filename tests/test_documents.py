"""The code of the documents: the README's programs, the notebooks, and links."""

import ast
import re

import jax
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import jaxgan
from jaxgan import images
from jaxgan.__main__ import main
from tests.conftest import QUICKLY_COMPILED, ROOT
from tests.support import README, code_blocks, command, exit_status, pixels, train_mnist

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SHORT = {  # parameters of notebooks with which they take seconds
    "00_getting_started": "num_steps = 20",
    "01_what_a_gan_is": "num_steps = 2000",
    "02_losses_and_penalties": "num_steps = frozen_steps = 20",
    "03_your_own_game": "num_steps = gan_steps = 20",
    "04_conditional_and_infogan": "num_steps = 4",
    "05_pix2pix_and_cyclegan": "pix2pix_steps = cyclegan_steps = 2",
    "06_autoencoders": "num_steps, vae_gan_steps = 100, 2",
    "07_game_dynamics": "stages = (10,)",
    "08_populations": "ring_steps, grid_steps = 200, 50",
    "09_many_devices": "num_steps = 2",
    "10_measuring_honestly": "num_steps = 10",
    "11_finished_runs": "num_steps = 4",
}

LOOP, FIELD, *MORE = code_blocks(README, "python")


@pytest.mark.parametrize("num_steps", [2, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_training_loop_of_the_readme(num_steps, tmp_path, monkeypatch):
    """As it stands, or with fewer steps; what it writes are samples of its last state."""
    assert "num_steps=1000)" in LOOP
    assert len([line for line in LOOP.splitlines() if line]) == 15
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(LOOP.replace("1000", str(num_steps)), "README.md", "exec"), names)
    state = names["state"]
    assert int(state.step) == num_steps
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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_stored_without_outputs(path):
    """And begin with a title, have code that defines what the tests replace, and are listed."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source.startswith("# ")
    assert path.name in README
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert assigned(parameters(notebook).source) >= assigned(SHORT[path.stem])


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
# The kernel's own event loop warns as it is closed.
@pytest.mark.filterwarnings("ignore")
def test_notebooks(path, tmp_path, monkeypatch):
    """From a fresh kernel, with few steps: the cell after the tagged one sets other parameters."""
    monkeypatch.setenv("XLA_FLAGS", QUICKLY_COMPILED)
    notebook = nbformat.read(path, as_version=4)
    cell = nbformat.v4.new_code_cell(SHORT[path.stem])
    notebook.cells.insert(notebook.cells.index(parameters(notebook)) + 1, cell)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    if path.stem == "00_getting_started":  # which has a plain `fit`
        shown = [output.data.get("text/html", "") for output in outputs if "data" in output]
        assert any('<progress value="20" max="20"></progress> step 20/20' in it for it in shown)


def parameters(notebook):
    """The cell that is tagged `parameters`, as papermill's."""
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    return cell


def assigned(code):
    """Names that are assigned to at the top level."""
    return {
        name.id
        for node in ast.parse(code).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    }


def test_links_of_the_documents_lead_somewhere():
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    texts = {path: path.read_text() for path in documents}
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        texts[path] = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for path, text in texts.items():
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if not link.startswith("http"):
                assert (path.parent / link).exists(), f"{path.name} links to {link}"
