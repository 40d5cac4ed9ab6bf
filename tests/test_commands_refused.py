"""Commands that would write something else than their arguments say are refused in one line."""

import shutil

import numpy as np
import pytest
from PIL import Image

from experiments import images, mixture, mnist
from jaxgan import data
from jaxgan.__main__ import main
from jaxgan.errors import DataError
from jaxgan.evaluation import of_images
from jaxgan.runs.directory import recorded
from tests import support


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few steps, and its samples in a folder."""
    folder = tmp_path_factory.mktemp("run")
    config = {"data": "digits", "features": 4, "latent": 4, "batch_size": 8, "r1": 0.0}
    support.train(mnist, folder / "run", **config, num_steps=2, evaluate_every=0)
    support.command("sample", folder / "run", num=3, out=folder / "samples")
    return folder


REFUSED = {
    "--seeds is 5-3, expected ranges that ascend": ("sample", "RUN", "--seeds", "5-3"),
    "--seeds is 0-4294967296, expected": ("sample", "RUN", "--seeds", "0-4294967296"),
    "--seed is -1, expected 0 to 2^32 - 1": ("sample", "RUN", "--seed", "-1"),
    "--seed is 99999999999999999999, expected": ("evaluate", "RUN", "--seed", "9" * 20),
    "seed 0, label None, truncation None; choose another": (
        "sample",
        "RUN",
        "--seed",
        "1",
        "--out",
        "SAMPLES",
    ),
    "the runs are none; give at least two": ("compare",),
    "scores.png ends with none of .json": ("evaluate", "RUN", "--out", "scores.png"),
    "--resize is for the network of --features": ("evaluate", "RUN", "--resize", "legacy_pytorch"),
    "run is a run, whose images are curves and grids": ("evaluate", "RUN", "SAMPLES"),
    "--size and --skip-bad are for two folders": ("evaluate", "RUN", "--size", "8"),
    "--direction is up, and ": (*("export", "RUN", "--out", "g.safetensors", "--direction", "up"),),
    "README.md is not a model card of jaxgan": ("export", "RUN", "--out", "."),
    "has only averaged parameters; leave out --parameters last": (
        *("evaluate", "mixture-ring", "--parameters", "last"),
    ),
    "scores.png ends with none of .json; choose one": (
        *("anomalies", "RUN", "--input", ".", "--out", "scores.png"),
    ),
    "has examples of the shape (2,), which are not images": (
        *("project", "mixture-ring", "--input", "SAMPLES"),
    ),
    "a game that does not encode images": ("encode", "mixture-ring", "--input", "SAMPLES"),
    "--num: num is 2000, expected 1 to": (
        *("directions", "RUN", "--method", "pca", "--num", "2000"),
    ),
    "--step is for runs, and": ("evaluate", "SAMPLES", "SAMPLES", "--step", "best"),
    "--seed is for runs, and": ("evaluate", "SAMPLES", "SAMPLES", "--seed", "1"),
    "--data-dir is for runs, and": ("evaluate", "SAMPLES", "SAMPLES", "--data-dir", "SAMPLES"),
    "mnist-dcgan has the state of one step": ("sample", "mnist-dcgan", "--step", "5"),
    "--format is for a folder": ("export", "RUN", "--out", "m.onnx", "--format", "onnx"),
    "--distance is nan, expected": ("directions", "RUN", "--distance", "nan"),
    "--minibatch is -1, expected": ("spectrum", "RUN", "--minibatch", "-1"),
    "without the parameters of the discriminator; give": ("spectrum", "mixture-ring"),
    "--grid seeds: the number of seeds": ("sweep", "mixture", "--grid", "seeds", "2", "3"),
    "--halvings compares evaluations": (
        *("sweep", "mixture", "--grid", "r1", "0", "1", "--halvings", "1"),
        *("--evaluate-every", "0", "--run-dir", "RUN/new"),
    ),
    "run holds a single run": ("sweep", "mixture", "--grid", "r1", "0", "1", "--run-dir", "RUN"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(run, tmp_path, monkeypatch, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "generator.safetensors").touch()
    (tmp_path / "README.md").write_text("# My project\n", encoding="utf-8")
    paths = {"RUN": run / "run", "SAMPLES": run / "samples", "FILE": "generator.safetensors"}
    words = []
    for word in REFUSED[message]:
        for name, path in paths.items():
            word = word.replace(name, str(path))
        words.append(word)
    assert message in support.refused(main, words)


@pytest.mark.slow
def test_endings_in_capitals(run, tmp_path):
    support.command("sample", run / "run", num=2, out=tmp_path / "A.NPZ")
    with np.load(tmp_path / "A.NPZ") as file:
        assert file["samples"].shape == (2, 28, 28, 1)
    support.command("export", run / "run", out=tmp_path / "M.SAFETENSORS")
    support.command("sample", tmp_path / "M.SAFETENSORS", num=2, out=tmp_path / "a.png")


@pytest.mark.slow
def test_samples_are_added_to_those_of_the_same_seed(run, tmp_path, capsys):
    folder = shutil.copytree(run / "samples", tmp_path / "samples")
    support.command("sample", run / "run", num=5, out=folder)
    assert "2 samples of" in capsys.readouterr().out
    assert len(data.load_folder(folder)) == 5  # and the record of what they are is not an image


@pytest.mark.slow
def test_the_command_that_repeats_a_run_does_not_go_back(tmp_path):
    flags = {"num_steps": 4, "checkpoint_every": 2, "evaluate_every": 0, "features": 4}
    support.train(mixture, tmp_path / "run", **flags)
    support.train(mixture, tmp_path / "run", **flags, from_step=2)
    assert "from-step" not in recorded.command(recorded.read_run(tmp_path / "run"))


@pytest.mark.slow
def test_one_held_out_image_is_too_few_for_an_evaluation(tmp_path, capsys):
    """The run trains without; before, the distance that it lacked was looked up."""
    rng = np.random.default_rng(0)
    for i in range(9):
        folder = tmp_path / "images" / ("test" if i == 8 else "train")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(folder / f"{i}.png")
    one = {"image": np.zeros((1, 28, 28, 1), np.uint8)}
    assert of_images(one).best is None
    flags = {"data": "folder", "data_dir": str(tmp_path / "images"), "network": "mlp"}
    support.train(images, tmp_path / "run", **flags, num_steps=2, batch_size=4)
    assert "no evaluations, since 1 held-out examples are too few" in capsys.readouterr().out
    assert "too few for the default metrics" in support.refused(
        main, ["evaluate", str(tmp_path / "run")]
    )


def test_infogan_needs_no_labels():
    config = mnist.Config(data="digits", infogan=1.0, conditional=True)
    with pytest.raises(DataError, match="without labels; leave out --conditional"):
        mnist.make(config, config.load_data())
