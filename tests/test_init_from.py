"""Fine-tuning: what a run takes from another one."""

import numpy as np
import pytest

from jaxgan import checkpoint
from tests.support import command, one_line, train_mnist

pytestmark = pytest.mark.slow
SMALL = {"num_steps": 2, "ema": 0.5}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pretrained") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert train_mnist(monkeypatch, directory, **SMALL, evaluate_every=1) == 0
    return directory


@pytest.fixture
def started(pretrained, tmp_path, monkeypatch, capsys):
    """Starts from the run, and takes one step with learning rates of 0; (arrays, what it said)."""

    def started(*words, **flags):
        rates = {"num_steps": 1, "generator_lr": 0.0, "discriminator_lr": 0.0}
        flags = SMALL | rates | flags
        directory = tmp_path / "new"
        words = ("--init-from", str(pretrained), *words)
        assert train_mnist(monkeypatch, directory, *words, **flags) == 0
        state = checkpoint.restore_plain(directory / "checkpoints")
        return checkpoint.by_path(state), capsys.readouterr().out

    return started


def arrays(directory, **choice):
    return checkpoint.by_path(checkpoint.restore_plain(directory / "checkpoints", **choice))


def equal(a, b, prefix):
    paths = [path for path in a if path.startswith(prefix)]
    assert paths
    return [path for path in paths if path in b and np.array_equal(a[path], b[path])] == paths


def test_everything_is_taken(pretrained, started):
    before, (after, text) = arrays(pretrained), started()
    assert equal(after, before, "params/")
    assert "arrays of parameters are those of" in text
    assert "; new:" not in text
    assert int(after["step"]) == 1  # of its own
    count = next(path for path in after if path.endswith("count"))
    assert int(after[count]) == int(before[count]) + 1  # Adam goes on


def test_fresh_optimizers(pretrained, started):
    before, (after, _) = arrays(pretrained), started("--reset-optimizers")
    assert equal(after, before, "params/")
    count = next(path for path in after if path.endswith("count"))
    assert int(after[count]) == 1


def test_named_layers(pretrained, started):
    before, (after, text) = arrays(pretrained), started("--init-layers", "^discriminator/")
    assert equal(after, before, "params/discriminator/")
    assert not equal(after, before, "params/generator/")
    assert "new: generator/" in text


def test_the_best_step(pretrained, started):
    best = arrays(pretrained, best=True)
    assert equal(started("--init-step", "best")[0], best, "params/")


def test_other_classes_leave_new_embeddings(pretrained, started):
    """Layers that have another shape, or did not exist, keep their initial values."""
    before, (after, text) = arrays(pretrained), started("--conditional")
    assert "; new: " in text
    assert equal(after, before, "params/generator/ConvTranspose_0")
    assert any("Embed" in path for path in after)


def test_averages_start_at_the_parameters_of_a_run_without(tmp_path, monkeypatch, capsys):
    assert train_mnist(monkeypatch, tmp_path / "plain", num_steps=1, ema=0) == 0
    words = ("--init-from", str(tmp_path / "plain"))
    rates = {"num_steps": 1, "generator_lr": 0.0, "discriminator_lr": 0.0, "ema": 0.9}
    assert train_mnist(monkeypatch, tmp_path / "new", *words, **rates) == 0
    before, after = arrays(tmp_path / "plain"), arrays(tmp_path / "new")
    averages = {path: leaf for path, leaf in after.items() if path.startswith("ema_params/")}
    assert averages
    for path, leaf in averages.items():
        np.testing.assert_allclose(leaf, before[path.removeprefix("ema_")], rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--init-from", "nowhere"), "nowhere holds no run"),
        (("--init-layers", "^nothing$"), "--init-from: no layer of"),
        (("--init-layers", "("), "--init-layers is (, expected a regular expression"),
    ],
)
def test_what_cannot_be_taken(pretrained, tmp_path, monkeypatch, capsys, words, message):
    words = words if "--init-from" in words else ("--init-from", str(pretrained), *words)
    assert train_mnist(monkeypatch, tmp_path / "new", *words, **SMALL) == 2
    assert message in one_line(capsys.readouterr().err)


def test_from_an_exported_generator(pretrained, started, tmp_path):
    command("export", pretrained, out=tmp_path / "g.safetensors")
    after, text = started("--init-from", str(tmp_path / "g.safetensors"))
    averages = {
        path.removeprefix("ema_"): array
        for path, array in arrays(pretrained).items()
        if path.startswith("ema_params/generator/")
    }
    assert equal(after, averages, "params/generator/")
    assert "g.safetensors at step 2; new: discriminator/" in text
