"""The code of the documents: the README's programs, the notebooks, and links."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import NoReturn

import flax.linen as nn
import jax
import jax.numpy as jnp
import nbformat
import numpy as np
import optax
import pytest
import scipy.stats
from nbclient import NotebookClient

import jaxgan
from jaxgan import checkpoint, images, latents
from jaxgan.__main__ import main
from tests.conftest import QUICKLY_COMPILED, ROOT
from tests.support import (
    README,
    code_blocks,
    command,
    documented_names,
    exit_status,
    pixels,
    train_mnist,
)

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
    "10_measuring_honestly": "num_steps, num_real = 10, 300",
    "11_finished_runs": "num_steps = 4",
}

HELP = "its docstring, and that of every field, is what --help prints"
UNEXPLAINED = {  # names whose docstrings lack something that the others have, and why
    "jaxgan.runs.Config": HELP,
    "jaxgan.runs.TrainingConfig": HELP,
    "jaxgan.runs.AlgorithmConfig": HELP,
    "jaxgan.runs.ImageFlags": HELP,
    "jaxgan.runs.SizedImageFlags": HELP,
}

STUB = ast.parse((ROOT / "jaxgan" / "__init__.pyi").read_text(encoding="utf-8"))
EXPORTED = [name.asname for node in STUB.body if hasattr(node, "names") for name in node.names]
MODULES = [name for name in EXPORTED if inspect.ismodule(getattr(jaxgan, name))]

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
    batch = {"image": np.zeros((100, 28, 28, 1))}
    samples = names["game"].sample(state.params, state.model_state, batch, jax.random.key(1))
    assert samples.shape == (100, 28, 28, 1)
    np.testing.assert_array_equal(pixels(tmp_path / "samples.png"), images.grid(samples)[..., 0])


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
    for block in code_blocks((ROOT / "docs" / "howto.md").read_text(encoding="utf-8"), "python"):
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
    for block in code_blocks((ROOT / "docs" / "dynamics.md").read_text(encoding="utf-8"), "python"):
        exec(compile(block, "dynamics.md", "exec"), names)
    assert "0.25+0.4330127j" in capsys.readouterr().out
    assert int(names["best"].step) == 100


def run_page(name: str) -> dict[str, object]:
    """Executes the programs of a page, one after another, and returns their names."""
    names: dict[str, object] = {}
    for block in code_blocks((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"), "python"):
        if "import equinox" in block:
            pytest.importorskip("equinox", reason="a program of the page needs Equinox")
        exec(compile(block, f"{name}.md", "exec"), names)
    return names


@pytest.mark.slow
def test_the_programs_of_the_page_on_networks(tmp_path):
    """An Equinox module is the network it was, and its parameters are saved and restored."""
    names = run_page("own_network")
    critic, equinox = names["critic"], names["eqx"]
    key, points = jax.random.key(3), jax.random.normal(jax.random.key(4), (5, 2))
    params, state = critic.init(key, points)
    module = equinox.nn.MLP(2, "scalar", 64, depth=2, key=key)
    output, _ = critic.apply(params, state, points, train=True)
    np.testing.assert_array_equal(output, jax.vmap(module)(points))
    game = jaxgan.gan(names["generator"], critic, latent=latents.normal(8))
    sgd = optax.sgd(0.1)
    algorithm = jaxgan.alternating(game, {"discriminator": sgd, "generator": sgd})
    before, after = (algorithm.init(jax.random.key(seed), {"image": points}) for seed in (0, 1))
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, before)
        restored = checkpoint.restore(manager, after)
    jax.tree.map(np.testing.assert_array_equal, restored, before)


@pytest.mark.slow
def test_the_programs_of_the_page_on_losses():
    """At T = 1 + log p / q, where p = q, D cannot be better; the gradient of w x is w."""
    names = run_page("own_loss")
    ones = jnp.ones(4)
    slopes = jax.grad(lambda r, f: names["kl"].discriminator(r, f).sum(), (0, 1))(ones, ones)
    np.testing.assert_allclose(slopes[0] + slopes[1], jnp.zeros(4), atol=1e-6)
    w, x = jnp.array([3.0, 4.0]), jnp.ones((5, 2))
    penalty = names["zero_centered"](lambda x: x @ w, x, 2 * x, jax.random.key(0), 0)
    np.testing.assert_allclose(penalty, jnp.full(5, 25.0), rtol=1e-6)


@pytest.mark.slow
def test_the_programs_of_the_page_on_metrics():
    """On a line, the metric is the square of SciPy's."""
    metric = run_page("own_metric")["energy_distance"]()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 1)), rng.normal(1.0, size=(40, 1))
    acc = metric.update(metric.init(), real=x, generated=y)
    expected = scipy.stats.energy_distance(x[:, 0], y[:, 0]) ** 2
    assert metric.compute(acc)["energy_pixels"].value == pytest.approx(expected, rel=1e-9)


def test_there_is_no_other_python_in_the_readme():
    assert MORE == []


def test_the_korean_readme_has_the_same_programs():
    """But for comments."""
    korean = code_blocks((ROOT / "README.ko.md").read_text(encoding="utf-8"), "python")
    bare = lambda code: re.sub(r" *#.*", "", code)
    assert [bare(code) for code in korean] == [bare(LOOP), bare(FIELD)]


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


def public(module) -> list[str]:
    """Names that a package imports as themselves, or what a module defines."""
    package = hasattr(module, "__path__")
    return [
        name
        for name, value in inspect.getmembers(module, lambda value: not inspect.ismodule(value))
        if not name.startswith("_")
        and (package or getattr(value, "__module__", None) == module.__name__)
    ]


def test_every_name_of_the_package_is_in_the_reference():
    modules = {f"jaxgan.{name}" for name in MODULES}
    assert {f"jaxgan.{name}" for name in EXPORTED} - modules - documented_names() == set()


@pytest.mark.parametrize("name", MODULES)
def test_every_name_of_its_modules_is_in_the_reference(name):
    """Its own, or that of the package under which it is documented."""
    module = importlib.import_module(f"jaxgan.{name}")
    assert public(module)
    of_package = {id(getattr(jaxgan, name)) for name in EXPORTED}
    names = {
        f"jaxgan.{name}.{member}"
        for member in public(module)
        if id(getattr(module, member)) not in of_package
    }
    assert names - documented_names() == set()


def test_every_function_and_class_of_the_reference_is_explained():
    """Every argument or field by its name, what is returned, and an example."""
    missing = {}
    for name in sorted(documented_names() - UNEXPLAINED.keys()):
        module, _, own = name.rpartition(".")
        value = getattr(importlib.import_module(module), own)
        if (inspect.isroutine(value) or inspect.isclass(value)) and (lacks := lacking(value)):
            missing[name] = lacks
    assert missing == {}


def test_what_a_docstring_lacks_is_found():
    def function(x: int, *, scale: int = 1) -> int:
        """Product.

        Args:
          x: of no scale: it has none.

        Example:
          >>> 2 * 3
          6
        """

    class Error(Exception):
        """Error of arguments that are those of every exception."""

    assert lacking(function) == ["scale", "Returns"]
    assert lacking(Error) == ["Example"]
    assert lacking(jaxgan.losses.minimax) == lacking(jaxgan.networks.MLP) == []


def lacking(value) -> list[str]:
    """Arguments that a docstring does not name, and sections that it does not have."""
    text = inspect.getdoc(value) + "\n"
    blocks = re.findall(r"^(?:Args|Attributes):\n((?:(?:  .*)?\n)+)", text, re.M)
    entries = re.findall(r"^  (\S.*?):(?:\s|$)", "".join(blocks), re.M)
    named = {name.lstrip("*") for entry in entries for name in entry.split(", ")}
    missing = [name for name in arguments(value) if name not in named]
    if inspect.isroutine(value):
        returned = inspect.signature(value).return_annotation
        if returned not in (None, NoReturn, Iterator[None]) and "\nReturns:\n" not in text:
            missing.append("Returns")
    if not re.search(r"^Example(?:, .+)?:\n  >>> ", text, re.M):
        missing.append("Example")
    return missing


def arguments(value) -> list[str]:
    """Names of the arguments that a function, or the class itself, takes."""
    if inspect.isclass(value) and issubclass(value, Exception) and "__init__" not in vars(value):
        return []
    names = list(inspect.signature(value).parameters)
    of_linen = inspect.isclass(value) and issubclass(value, nn.Module)
    return [name for name in names if not (of_linen and name in ("parent", "name"))]


def test_links_of_the_documents_lead_somewhere():
    names = ("README.md", "README.ko.md", "CONTRIBUTING.md")
    documents = [*(ROOT / name for name in names), *(ROOT / "docs").rglob("*.md")]
    texts = {path: path.read_text(encoding="utf-8") for path in documents}
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        texts[path] = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for path, text in texts.items():
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if not link.startswith("http"):
                assert (path.parent / link).exists(), f"{path.name} links to {link}"
