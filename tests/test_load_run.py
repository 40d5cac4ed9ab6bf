"""Runs that are read far from where they were trained: without data, without clone, by wheel."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest

import jaxgan
from experiments import vae_gan
from jaxgan import images
from jaxgan.__main__ import main
from jaxgan.errors import CheckpointError, RunError
from jaxgan.runs.config import find
from jaxgan.runs.load import load_run
from tests.conftest import ROOT
from tests.support import (
    command,
    exit_status,
    one_line,
    pixels,
    refused,
    train,
    train_mnist,
    write_images,
)

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder with a conditional run of `experiments.mnist`, in `run`, and its data, in `data`."""
    root = tmp_path_factory.mktemp("travel")
    for split in ("train", "test"):
        write_images(root / "data" / split, RNG.integers(0, 256, (16, 16, 16, 1), np.uint8))
    with pytest.MonkeyPatch.context() as monkeypatch:
        flags = {"data": "folder", "data_dir": root / "data", "num_steps": 2, "evaluate_every": 2}
        more = {"evaluate_features": "pixels", "evaluate_samples": 8}
        assert train_mnist(monkeypatch, root / "run", **flags, **more) == 0
    return root


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """Directory of a conditional run on scikit-learn's digits."""
    directory = tmp_path_factory.mktemp("conditional") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert train_mnist(monkeypatch, directory, "--conditional", num_steps=2) == 0
    return directory


@pytest.mark.slow
def test_the_checkpoint_of_a_step(trained, conditional):
    """The newest, the best, or that of a number."""
    assert {load_run(trained / "run", step=step).step for step in ("newest", "best", 2)} == {2}
    with pytest.raises(CheckpointError, match="has no checkpoint of step 7; there is 2"):
        load_run(trained / "run", step=7)
    with pytest.raises(RunError, match=r"no evaluated checkpoint: .* \(--evaluate-every 0\)"):
        load_run(conditional, step="best")
    for wrong in ("bset", "2", None):
        with pytest.raises(RunError, match=f"step is {wrong!r}, expected newest, best, or"):
            load_run(conditional, step=wrong)


@pytest.mark.slow
def test_classes_have_names(conditional):
    run = load_run(conditional)
    names = ["bird", "cat", "3", *map(str, range(13, 20))]
    named = dataclasses.replace(run, record={**run.record, "data": run.record["data"] | {
        "classes": names
    }})  # fmt: skip
    assert [named.class_of(label) for label in (1, "1", "cat", "3", 3)] == [1, 1, 1, 2, 3]
    with pytest.raises(RunError, match=r"label is dog, expected 0 to 9 .bird, cat, 3, 13"):
        named.class_of("dog")
    np.testing.assert_array_equal(named.sample(2, label="cat"), run.sample(2, label=1))
    with pytest.raises(RunError, match=r"codes have the shape \(3, 5\), expected \(n, 4\)"):
        run.decode(np.zeros((3, 5)))


@pytest.mark.slow
def test_an_exported_model_of_a_folder_asks_for_it(trained, tmp_path, monkeypatch):
    """It is not searched for in $JAXGAN_DATA_DIR, where other images are."""
    command("export", trained / "run", out=tmp_path / "g.safetensors")
    monkeypatch.setenv("JAXGAN_DATA_DIR", str(tmp_path))
    with pytest.raises(RunError, match="of the images in a folder, folder data; give --data-dir"):
        load_run(tmp_path / "g.safetensors", with_data=True)
    load_run(tmp_path / "g.safetensors", with_data=True, data_dir=trained / "data")


@pytest.mark.slow
def test_what_is_refused_leaves_no_folder(conditional, tmp_path):
    """Nor a record of samples that were never made, which would refuse the corrected command."""
    out = tmp_path / "out"
    assert "truncation is -1.0" in refused(command, "sample", conditional, out=out, truncation=-1.0)
    assert "does not translate" in refused(
        command, "translate", conditional, input=tmp_path, out=out
    )
    assert not out.exists()
    command("sample", conditional, num=2, out=out, truncation=0.5)


@pytest.mark.slow
def test_an_exported_player_does_not_encode(tmp_path):
    train(vae_gan, tmp_path / "run", game="bigan", data="digits", num_steps=1, features=4)
    command("export", tmp_path / "run", out=tmp_path / "g.safetensors")
    assert "exported, without the parameters of the" in refused(
        command, "encode", tmp_path / "g.safetensors", input=tmp_path
    )


@pytest.mark.slow
def test_a_folder_of_runs_is_no_run(conditional):
    with pytest.raises(RunError, match=r"no config.json; it holds the runs run: give one of them"):
        load_run(conditional.parent)


# ---- without data


@pytest.mark.slow
def test_what_does_not_compare_with_data_needs_none(trained, tmp_path):
    """The same samples as before; `evaluate` says what is missing, or is told where it is."""
    command("sample", trained / "run", num=9, out=tmp_path / "before.png")
    away = tmp_path / "elsewhere"
    shutil.move(trained / "data", away)
    try:
        command("sample", trained / "run", num=9, out=tmp_path / "after.png")
        assert (tmp_path / "before.png").read_bytes() == (tmp_path / "after.png").read_bytes()
        command("export", trained / "run", out=tmp_path / "g.safetensors")
        command("digest", trained / "run")
        for name in ("evaluate", "neighbors"):
            text = refused(command, name, trained / "run")
            assert "does not exist" in text
        command("neighbors", trained / "run", data_dir=away, num=1, out=tmp_path / "n.png")
        write_images(away / "test", RNG.integers(0, 256, (1, 16, 16, 1), np.uint8))
        text = refused(command, "evaluate", trained / "run", data_dir=away)
        assert "the test data of" in text
        assert "those found now have other contents" in text
    finally:
        shutil.move(away, trained / "data")


def test_a_blank_data_set_has_the_shapes_of_its_record():
    digits = jaxgan.data.load("digits")
    blank = jaxgan.data.blank(json.loads(json.dumps(digits.record)))
    for part, blank_part in ((digits.train, blank.train), (digits.test, blank.test)):
        shapes = {name: (rows.shape, rows.dtype) for name, rows in part.items()}
        assert shapes == {name: (rows.shape, rows.dtype) for name, rows in blank_part.items()}
    assert blank.num_classes == digits.num_classes == 10
    assert blank.record == digits.record
    assert blank.train["image"].base.nbytes == 1  # in place of a megabyte


@pytest.mark.slow
def test_a_run_without_its_data_has_no_minibatches(conditional):
    with pytest.raises(jaxgan.UserError, match="loaded without its data"):
        jaxgan.load_run(conditional).experiment.minibatches(0, 1)


# ---- samples


@pytest.mark.slow
def test_sample_i_does_not_depend_on_how_many_there_are(conditional):
    run = jaxgan.load_run(conditional)
    many = run.sample(103, seed=5)
    np.testing.assert_array_equal(run.sample(3, seed=5), many[:3])
    np.testing.assert_array_equal(run.sample(2, seed=5, start=101), many[101:])
    batch = {"image": np.zeros((4, 28, 28, 1)), "label": np.arange(4) % 10}
    expected = run.game.sample(run.params, run.model_state, batch, jax.random.key(5))
    np.testing.assert_allclose(many[:4], expected, atol=1e-5)


@pytest.mark.slow
def test_samples_of_seeds_are_the_first_of_each_seed(conditional):
    run = jaxgan.load_run(conditional)
    samples = run.sample_seeds([7, 2], label=3)
    for sample, seed in zip(samples, (7, 2), strict=True):
        np.testing.assert_array_equal(sample, run.sample(1, seed=seed, label=3)[0])
    turns = run.sample_seeds([7, 12])  # without a label, a seed has its class
    np.testing.assert_allclose(turns, run.sample_seeds([12, 7])[::-1], atol=1e-6)
    np.testing.assert_allclose(turns[1], run.sample(1, seed=12, label=2)[0], atol=1e-6)
    with pytest.raises(RunError, match="the number of samples is 0"):
        run.sample(0, start=5)


@pytest.mark.slow
def test_a_label_is_that_of_all_samples(conditional):
    run = jaxgan.load_run(conditional)
    codes = run.latents(4)
    assert np.abs(run.decode(codes) - run.decode(codes, label=0))[1:].max() > 1e-6
    np.testing.assert_array_equal(run.decode(codes)[2], run.decode(codes, label=2)[2])
    for label in (-1, 10):
        with pytest.raises(RunError, match="expected 0 to 9"):
            run.sample(1, label=label)


@pytest.mark.slow
def test_truncated_latents_are_normal_within_the_bound(conditional):
    z = jaxgan.load_run(conditional).latents(500, truncation=0.5)
    assert np.abs(z).max() <= 0.5
    assert z.std() == pytest.approx(0.2852, abs=0.01)  # of a normal within half its deviation


@pytest.mark.slow
def test_files_of_samples_are_the_cells_of_the_grid_and_are_kept(conditional, tmp_path, capsys):
    folder = tmp_path / "out"
    command("sample", conditional, num=5, out=folder, label=1)
    run = jaxgan.load_run(conditional)
    for i, image in enumerate(run.sample(5, label=1)):
        cell = images.grid(image[None], margin=0)[..., 0]
        np.testing.assert_array_equal(pixels(folder / f"{i:06d}.png"), cell)
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    content = (folder / "000003.png").read_bytes()
    (folder / "000003.png").unlink()
    capsys.readouterr()
    command("sample", conditional, num=5, out=folder, label=1)
    assert "1 samples of" in (out := capsys.readouterr().out)
    assert "and 4 that were there" in out
    assert (folder / "000003.png").read_bytes() == content
    again = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {name for name in times if times[name] != again[name]} == {"000003.png"}


@pytest.mark.slow
def test_arrays_of_samples(conditional, tmp_path):
    command("sample", conditional, seeds="3,5-6", out=tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as file:
        expected = jaxgan.load_run(conditional).sample_seeds([3, 5, 6])
        np.testing.assert_array_equal(file["samples"], expected)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"num": 0}, "--num is 0, expected at least 1"),
        ({"seeds": "1-"}, "--seeds is 1-, expected seeds such as 0-63 or 3,7,11"),
        ({"label": 10}, "the label is 10, expected 0 to 9"),
        ({"truncation": 0.0}, "the bound of the truncation is 0.0, expected a positive number"),
    ],
)
@pytest.mark.slow
def test_samples_that_cannot_be_made(conditional, tmp_path, flags, message):
    assert message in refused(command, "sample", conditional, out=tmp_path / "a.png", **flags)


@pytest.mark.slow
def test_a_label_of_a_run_without_classes(trained, tmp_path):
    text = refused(command, "sample", trained / "run", out=tmp_path / "a.png", label=0)
    assert "is not conditional" in text


# ---- what a generator has learned


@pytest.mark.slow
def test_interpolations_begin_and_end_at_samples(conditional, tmp_path):
    command("interpolate", conditional, num=2, steps=3, out=tmp_path / "i.png", label=4)
    run = jaxgan.load_run(conditional)
    samples = run.sample(4, label=4)
    grid = pixels(tmp_path / "i.png")
    cell = lambda row, column: grid[2 + 30 * row :, 2 + 30 * column :][:28, :28]
    for row in (0, 1):
        for column, image in ((0, samples[row]), (2, samples[2 + row])):
            expected = images.grid(image[None], margin=0)[..., 0]
            assert np.abs(cell(row, column) - expected.astype(int)).max() <= 1


@pytest.mark.slow
def test_projections_of_samples_find_them(conditional, tmp_path, capsys):
    command("sample", conditional, num=3, out=tmp_path / "in", label=2)
    command(
        "project", conditional, input=tmp_path / "in", label=2, num_steps=100, restarts=2,
        out=tmp_path / "p.png",
    )  # fmt: skip
    with np.load(tmp_path / "p.npz") as file:
        assert list(file["names"]) == [f"{i:06d}.png" for i in range(3)]
        assert file["psnr"].min() > 30.0
        again = jaxgan.load_run(conditional).decode(file["latents"], label=2)
    expected = pixels(tmp_path / "in" / "000001.png")
    assert np.abs(images.grid(again[1:2], margin=0)[..., 0] - expected).mean() < 4.0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sefa", "pca"])
def test_directions_pass_through_the_sample(conditional, tmp_path, method):
    out = tmp_path / "d.png"
    command("directions", conditional, method=method, num=2, steps=3, out=out)
    middle = pixels(out)[2:30, 32:60]
    sample = jaxgan.load_run(conditional).sample(1, label=0)
    assert np.abs(middle - images.grid(sample, margin=0)[..., 0].astype(int)).max() <= 1
    with np.load(tmp_path / "d.npz") as file:
        np.testing.assert_allclose(np.linalg.norm(file["directions"], axis=1), 1.0, rtol=1e-5)
        assert file["strengths"][0] >= file["strengths"][1]


# ---- experiments by name and by file


EXPERIMENT = '''"""Digits, in a file of one's own."""

import dataclasses

from jaxgan.experiments import mnist
from jaxgan.runs import main


@dataclasses.dataclass(frozen=True)
class Config(mnist.Config):
    """Train on digits."""

    data: str = "digits"
    features: int = 4
    latent: int = 4
    batch_size: int = 8
    evaluate_every: int = 0
    num_steps: int = 1


def make(config, dataset):
    return mnist.make(config, dataset)


if __name__ == "__main__":
    main(Config, make)
'''


@pytest.mark.slow
def test_an_experiment_in_a_file_of_ones_own(tmp_path, monkeypatch, capsys):
    """Its run is sampled from any folder, as long as the file is where it was."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "my_digits.py"
    file.write_text(EXPERIMENT)
    assert exit_status(main, ["train", "my_digits.py"]) == 0
    directory = tmp_path / "runs" / "my_digits"
    assert json.loads((directory / "config.json").read_text(encoding="utf-8"))["experiment"] == str(
        file
    )
    monkeypatch.chdir("/")
    assert f"give --experiment {file}" in refused(command, "sample", directory)
    command("sample", directory, num=1, out=tmp_path / "a.png", experiment=file)
    file.rename(tmp_path / "moved.py")
    assert "the experiment's file" in refused(command, "sample", directory, experiment=file)


@pytest.mark.parametrize(
    "name",
    [
        "code.py",
        "../other/code.py",
        "code",
        "run.code",
        "other.code",
        "link.py",
        "os/../code",
        "\n",
    ],
)
@pytest.mark.slow
def test_what_a_run_directory_names_is_not_executed(conditional, tmp_path, monkeypatch, name):
    """Nor a file that came with it, nor a module that can be imported where the user is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "run"))
    shutil.copytree(conditional, tmp_path / "run")
    (tmp_path / "other").mkdir()
    for file in ("run/code.py", "other/code.py"):
        (tmp_path / file).write_text("raise SystemExit(99)")
    (tmp_path / "run" / "link.py").symlink_to(tmp_path / "other" / "code.py")
    recorded = str(tmp_path / "run" / name) if name.endswith(".py") else name
    record = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    record["experiment"] = recorded
    (tmp_path / "run" / "config.json").write_text(json.dumps(record))
    assert "not executed unasked" in refused(command, "sample", tmp_path / "run")
    if name == "code.py":
        file = tmp_path / "other" / "code.py"
        assert exit_status(command, "sample", tmp_path / "run", experiment=file) == 99


def test_installed_modules_are_those_in_site_packages(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "beside").mkdir()
    assert not find._is_installed("beside")
    assert not find._is_installed("nowhere.at_all")
    monkeypatch.setattr(find, "_site_packages", lambda: [tmp_path])
    assert find._is_installed("beside.experiment")
    with pytest.raises(RunError, match="cannot be imported"):
        find.of_run(tmp_path, "beside.experiment")


def test_experiments_are_listed_and_found(capsys):
    main(["train"])
    out = capsys.readouterr().out
    assert set(find.names()) >= {"mnist", "pix2pix", "vae", "gaussian1d"}
    for name in find.names():
        assert f" {name} " in out
        assert find.name_of(find.find(name).make) == name
    for text, message in (("nothing", "jaxgan has autoencoder, "), ("no.py", "does not exist")):
        assert message in refused(main, ["train", text])


def test_files_that_are_no_experiments(tmp_path):
    (tmp_path / "a.py").write_text("Config = 1")
    assert "has no make" in refused(main, ["train", str(tmp_path / "a.py")])
    (tmp_path / "b.py").write_text("def (")
    assert "cannot be read as Python" in refused(main, ["train", str(tmp_path / "b.py")])


@pytest.mark.slow
def test_the_wheel_trains_and_samples_in_an_empty_folder(tmp_path):
    """Without a clone on the path: a wheel brings the experiments, under no name but jaxgan's."""
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    assert {path.name for path in (tmp_path / "site").iterdir()} == {
        "jaxgan",
        wheel.name.split("-py")[0] + ".dist-info",
    }
    (tmp_path / "empty").mkdir()

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "jaxgan", *words],
            cwd=tmp_path / "empty",
            env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
            capture_output=True,
            text=True,
            check=False,
        )

    small = ["--features", "4", "--num-steps", "3", "--evaluate-every", "0"]
    trained = run("train", "mnist", "--data", "digits", *small)
    assert trained.returncode == 0, trained.stderr
    sampled = run("sample", "runs/mnist")
    assert sampled.returncode == 0, sampled.stderr
    assert "64 samples of runs/mnist at step 3" in sampled.stdout
    assert one_line(run("sample", "runs/nothing").stderr)
