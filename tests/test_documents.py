"""The code of the documents: the README's programs, the notebooks, and links."""

import re

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


def run_page(name: str) -> dict[str, object]:
    """Executes the programs of a page, one after another, and returns their names."""
    names: dict[str, object] = {}
    for block in code_blocks((ROOT / "docs" / f"{name}.md").read_text(), "python"):
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
    penalty = names["zero_centred"](lambda x: x @ w, x, 2 * x, jax.random.key(0), 0)
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
    names = ("README.md", "README.ko.md", "CONTRIBUTING.md")
    for path in [*(ROOT / name for name in names), *(ROOT / "docs").rglob("*.md")]:
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if not link.startswith("http"):
                assert (path.parent / link).exists(), f"{path.name} links to {link}"
