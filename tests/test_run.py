"""Runs as users start them: the run directory, exact resume, commands, and bad input."""

import dataclasses
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxgan
from experiments import mixture, mnist
from jaxgan import UserError, checkpoint, images
from jaxgan.curves import training_curves
from jaxgan.data.decode import SUFFIXES
from jaxgan.data.idx import write_idx
from jaxgan.errors import RunError
from jaxgan.runs import Experiment
from jaxgan.runs.command_line import xla_flags
from jaxgan.runs.directory.config_json import check_same_config
from jaxgan.runs.directory.files import check_place, of_steps
from jaxgan.runs.load import load_run
from jaxgan.runs.session.samples import columns_of_classes
from tests import support
from tests.conftest import ROOT
from tests.support import (
    command,
    mnist_arguments,
    one_line,
    pixels,
    refused,
    size_of,
    train,
    train_mnist,
)

EXPERIMENTS = sorted(
    f"experiments.{path.stem}"
    for path in (ROOT / "experiments").glob("*.py")
    if "main(Config, make)" in path.read_text(encoding="utf-8")
)


@pytest.fixture
def start(monkeypatch, capsys):
    """Starts a small run in this process; returns (exit status, what it printed)."""

    def start(run_dir, **flags):
        status = train_mnist(monkeypatch, run_dir, **flags)
        out, err = capsys.readouterr()
        return status, out + err

    return start


# ---- the run directory


def test_a_run_is_recorded_resumed_and_sampled(start, tmp_path, capsys):
    directory = tmp_path / "run"
    flags = {"log_every": 2, "sample_every": 5, "checkpoint_every": 5}
    status, text = start(directory, num_steps=10, **flags)
    assert status == 0
    assert "scikit-learn's bundled digits" in text
    assert f"{directory} is complete at step 10" in text

    record = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    assert record["experiment"] == "mnist"
    assert record["config"]["features"] == 4
    assert record["data"]["name"] == "digits"
    assert len(record["data"]["fingerprint"]) == 64
    assert record["sessions"][0]["versions"]["jax"]
    log = support.read_lines(directory / "metrics.jsonl")
    assert [line["step"] for line in log] == [2, 4, 6, 8, 10]
    assert {"discriminator/loss", "generator/loss", "discriminator/real_output"} <= set(log[0])
    assert sorted(p.name for p in (directory / "samples").iterdir()) == [
        "step_0000005.png",
        "step_0000010.png",
    ]
    assert size_of(directory / "samples" / "step_0000010.png") == (10 * 30 + 2, 10 * 30 + 2)
    curves = training_curves([(line["step"], line) for line in log], vertical=True)
    curves.savefig(tmp_path / "curves.png", dpi=110)
    np.testing.assert_array_equal(pixels(directory / "losses.png"), pixels(tmp_path / "curves.png"))
    (events,) = (directory / "tensorboard").iterdir()
    assert b"generator/loss" in events.read_bytes()

    status, text = start(directory, num_steps=10, **flags)
    assert status == 0
    assert "complete at step 10: no steps are left" in text

    status, text = start(directory, num_steps=14, **flags)
    assert status == 0
    assert "resumes from step 10" in text
    assert len(json.loads((directory / "config.json").read_text(encoding="utf-8"))["sessions"]) == 3

    before = (directory / "config.json").read_bytes()
    status, text = start(directory, num_steps=12, **flags)
    assert status == 2
    assert "--num-steps is 12, and" in text
    assert "is at step 14; give at least that many" in text
    assert (directory / "config.json").read_bytes() == before

    status, text = start(directory, num_steps=14, latent=5, **flags)
    assert status == 2
    assert "holds a run with latent=4, and this one has latent=5" in text
    _, text = start(directory, num_steps=14, latent=5, evaluate_samples=20, **flags)
    assert "evaluate_samples=10000, latent=4, and this one has evaluate_samples=20, lat" in text
    status, text = start(directory, num_steps=14, evaluate_samples=20, **flags)
    assert status == 2  # scores of different numbers of samples are not comparable
    assert "holds a run with evaluate_samples=10000, and this one has evaluate_samples=20" in text

    # What a run leaves can be sampled, again and again with the same result.
    for out in ("a.png", "b.png"):
        command("sample", directory, num=9, out=tmp_path / out, seed=3)
    command("sample", directory, num=9, out=tmp_path / "c.png", seed=4)
    grids = [(tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.png")]
    assert grids[0] == grids[1] != grids[2]
    assert size_of(tmp_path / "a.png") == (3 * 30 + 2, 3 * 30 + 2)
    capsys.readouterr()
    command("digest", directory)
    digest, step = capsys.readouterr().out.split("  step ")
    plain = checkpoint.restore_plain(directory / "checkpoints")
    assert (digest, int(step)) == (checkpoint.digest(plain), 14)


@pytest.mark.slow
def test_samples_come_from_the_averaged_parameters(start, tmp_path):
    directory, out = tmp_path / "run", tmp_path / "grid.png"
    start(directory, num_steps=3, network="mlp", ema=1.0, generator_lr=0.1, discriminator_lr=1e-3)
    command("sample", directory, num=4, out=out)
    grid = pixels(out)
    run = load_run(directory)
    experiment, state = run.experiment, run.state
    batch, key = experiment.sample_batch(4), jax.random.key(0)
    averages, last = (state.ema_params, state.ema_model_state), (state.params, state.model_state)
    for learned, same in ((averages, True), (last, False)):
        images.save_grid(out, experiment.game.sample(*learned, batch, key))
        assert (np.abs(grid - pixels(out)).mean() < 0.1) == same


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        {"loss": "wasserstein", "gradient_penalty": 10, "discriminator_turns": 2},
        {"network": "mlp", "loss": "relativistic_average", "r1": 1, "r2": 1, "penalty_every": 2},
        {"network": "maxout", "loss": "minimax", "dragan": 10, "ema": 0},
    ],
)
def test_other_games_from_the_command_line(start, tmp_path, flags):
    status, text = start(tmp_path / "run", num_steps=2, **flags)
    assert status == 0, text


@pytest.mark.slow
def test_conditional_grids_have_a_class_per_column(tmp_path, monkeypatch):
    assert train_mnist(monkeypatch, tmp_path / "run", "--conditional", num_steps=2) == 0
    config = mnist.Config(data="digits", conditional=True, batch_size=8)
    experiment = mnist.make(config, config.load_data())
    assert experiment.sample_batch(100)["label"].reshape(10, 10).std(axis=0).max() == 0


@pytest.mark.slow
def test_substitute_data_is_reported(start, tmp_path, monkeypatch):
    def refuse(request, timeout):
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    status, text = start(tmp_path / "run", num_steps=1, data="auto")
    assert status == 0
    assert "WARNING: mnist on digits" in text
    assert "in place of MNIST" in text
    assert json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["data"][
        "stands_in"
    ]


# ---- exact resume


def process(run_dir, **flags):
    return support.start("experiments.mnist", *mnist_arguments(run_dir, **flags))


LONG = {"network": "mlp", "num_steps": 200, "log_every": 10, "checkpoint_every": 20}
LONG |= {"sample_every": 100}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "uninterrupted"
    status, _, errors = support.finish(process(directory, **LONG))
    assert status == 0, errors
    return directory


def state_digest(directory: Path) -> str:
    return checkpoint.digest(checkpoint.restore_plain(directory / "checkpoints"))


def metrics(directory: Path) -> list[dict[str, float]]:
    records = support.read_lines(directory / "metrics.jsonl")
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_and_started_again_is_never_stopped(uninterrupted, tmp_path, number):
    directory = tmp_path / "run"
    # More steps than it will be given time for, however busy the machine is.
    stopped = process(directory, **(LONG | {"num_steps": 1_000_000}))
    while not (directory / "checkpoints" / "40").exists():
        assert stopped.poll() is None, support.finish(stopped)
        time.sleep(0.005)
    stopped.send_signal(number)
    status, out, errors = support.finish(stopped)
    if number == signal.SIGKILL:
        assert status == -number
    else:
        assert status == 128 + number, out + errors
        assert f"stopped by {number.name} at step" in out
    last = metrics(directory)[-1]["step"]
    if last >= LONG["num_steps"]:
        pytest.skip("the run was too quick to be stopped before its end")

    status, out, errors = support.finish(process(directory, **LONG))
    assert status == 0, errors
    assert f"{directory} resumes from step" in out
    assert state_digest(directory) == state_digest(uninterrupted)
    assert metrics(directory) == metrics(uninterrupted)


# ---- bad input: one line, exit status 2, nothing lost


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"discriminator_turns": 0}, "--discriminator-turns is 0, expected at least 1"),
        ({"batch_size": 0}, "--batch-size is 0, expected at least 1"),
        ({"num_steps": 0}, "--num-steps is 0, expected at least 1"),
        ({"evaluate_every": -1}, "--evaluate-every is -1, expected at least 0"),
        ({"evaluate_samples": 0}, "--evaluate-samples is 0, expected at least 1"),
        ({"seed": -1}, "--seed is -1, expected 0 to"),
        ({"latent": 0}, "--latent is 0, expected at least 1"),
        ({"features": 0}, "--features is 0, expected at least 1"),
        ({"ema": 2}, "the decay of an average is 2.0, expected a value in"),
        ({"r1": 1, "penalty_every": 0}, "--penalty-every is 0, expected at least 1"),
        ({"data_dir": "/nowhere", "data": "mnist"}, "data directory /nowhere does not exist"),
        ({"data": "./images"}, "there is no data set named './images'"),
        ({"data": ROOT}, f"is a folder; give --data folder --data-dir {ROOT}"),
        ({"init_layers": "generator"}, "--init-layers is for runs that begin with another's"),
        ({"seeds": 2, "parallel": "jit"}, "--parallel jit is for single runs"),
    ],
)
def test_bad_flags(start, tmp_path, flags, message):
    status, text = start(tmp_path / "run", **flags)
    assert status == 2
    assert message in one_line(text)
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.slow
def test_an_error_of_the_first_step_leaves_the_directory_to_the_corrected_command(start, tmp_path):
    """Nothing was trained with the flags that are recorded."""
    flags = {"algorithm": "one_stage", "discriminator_norm": "none", "num_steps": 1}
    status, text = start(tmp_path / "run", loss="hinge", **flags)
    assert status == 2
    assert "this loss is not monotone in the fake logits" in one_line(text)
    assert start(tmp_path / "run", loss="wasserstein", **flags)[0] == 0
    status, text = start(tmp_path / "run", loss="minimax", **flags)
    assert "holds a run with loss=wasserstein" in one_line(text)


@dataclasses.dataclass(frozen=True)
class WithTuple(mixture.Config):
    widths: tuple[int, ...] = (64, 64)
    names: tuple[str, ...] = dataclasses.field(default_factory=lambda: ("a",))


def test_the_same_config_is_the_same_after_json(tmp_path):
    """Tuples are lists there; and a file of one's own may have moved with its run."""
    config = WithTuple(num_steps=2)
    record = {
        "experiment": "/old/own.py",
        "config": dataclasses.asdict(config),
        "data": dict.fromkeys(("name", "source", "fingerprint"), ""),
        "sessions": [{"versions": {}}],
    }
    (tmp_path / "config.json").write_text(json.dumps(record), encoding="utf-8")
    other = dataclasses.replace(config, widths=(64,))
    check_same_config(tmp_path, other, "/old/own.py")  # there is no step with the former
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n', encoding="utf-8")
    check_same_config(tmp_path, config, "/new/own.py")
    with pytest.raises(RunError, match=r"widths=\[64, 64\], and this one has widths=\[64\]"):
        check_same_config(tmp_path, other, "/old/own.py")
    with pytest.raises(RunError, match=r"a run of /old/own.py, not of /new/other.py"):
        check_same_config(tmp_path, config, "/new/other.py")
    copies = [tmp_path / name / "own.py" for name in ("old", "new")]
    for path in copies:
        path.parent.mkdir()
        path.write_text("1", encoding="utf-8")
    record["experiment"] = str(copies[0])
    (tmp_path / "config.json").write_text(json.dumps(record), encoding="utf-8")
    check_same_config(tmp_path, config, str(copies[1]))
    copies[1].write_text("2", encoding="utf-8")
    with pytest.raises(RunError, match="choose another --run-dir"):
        check_same_config(tmp_path, config, str(copies[1]))


@pytest.mark.parametrize(
    ("num_classes", "columns"), [(10, 10), (2, 10), (3, 9), (30, 30), (1000, None), (None, None)]
)
def test_a_column_of_a_grid_has_one_class(num_classes, columns):
    """Labels come in turn, so that rows are as long as some repetitions of all."""
    game = jaxgan.Game(init=None, losses={}, sample=None, conditions=("label",))
    experiment = Experiment(game, None, None, None, {"num_classes": num_classes})
    assert columns_of_classes(experiment, 100) == columns
    unconditional = experiment._replace(game=game._replace(conditions=()))
    assert columns_of_classes(unconditional, 100) is None


def test_unknown_choices_are_named(monkeypatch, tmp_path, capsys):
    assert train_mnist(monkeypatch, tmp_path, loss="wgan") == 2
    text = capsys.readouterr().err
    assert "wgan" in text
    assert "wasserstein" in text


def test_a_truncated_file(start, tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((60_000, 28, 28), np.uint8))
    content = (tmp_path / "train-images-idx3-ubyte").read_bytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content[:1000])
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(60_000, np.uint8))
    status, text = start(tmp_path / "run", data="mnist", data_dir=tmp_path)
    assert status == 2
    message = one_line(text)
    assert str(tmp_path / "train-images-idx3-ubyte") in message
    assert "holds 984 values, expected 47040000" in message


def test_directories_that_cannot_be_used(start, tmp_path):
    (tmp_path / "file").touch()
    status, text = start(tmp_path / "file" / "run")
    assert status == 2
    assert "cannot be created (Not a directory); choose another --run-dir" in one_line(text)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    status, text = start(tmp_path / "mine")
    assert status == 2
    assert "is not empty and holds no run" in one_line(text)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    status, text = start(tmp_path / "runs [1]" / "mnist")
    assert status == 2
    assert "takes the brackets of 'runs [1]' for a pattern" in one_line(text)
    assert not (tmp_path / "runs [1]").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2])
def test_layers_to_freeze_are_looked_for_before_the_run_is_recorded(start, tmp_path, seeds):
    status, text = start(tmp_path / "run", num_steps=1, seeds=seeds, freeze="nothing")
    assert status == 2
    assert "--freeze is nothing, which matches no layer" in one_line(text)
    assert not list(tmp_path.rglob("config.json"))


@pytest.mark.slow
def test_other_data_under_the_same_run(start, tmp_path):
    directory = tmp_path / "run"
    start(directory, num_steps=1)
    path = directory / "config.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"fingerprint": "', '"fingerprint": "0')
    )
    status, text = start(directory, num_steps=2)
    assert status == 2
    assert "those found now have other contents" in one_line(text)


@pytest.mark.slow
def test_another_precision_under_the_same_run(start, tmp_path):
    directory = tmp_path / "run"
    start(directory, num_steps=1)
    before = jax.config.values["jax_default_matmul_precision"]
    try:
        jax.config.update("jax_default_matmul_precision", "highest")
        status, text = start(directory, num_steps=2)
    finally:
        jax.config.update("jax_default_matmul_precision", before)
    assert status == 2
    assert "with JAX_DEFAULT_MATMUL_PRECISION=None, and it is now highest" in one_line(text)


@pytest.mark.slow
def test_a_run_that_diverges_ends_with_status_1_and_keeps_its_checkpoint(start, tmp_path):
    directory = tmp_path / "run"
    flags = {"network": "mlp", "loss": "least_squares", "checkpoint_every": 1}
    status, text = start(directory, num_steps=200, generator_lr=1e15, **flags)
    assert status == 1
    assert "at step" in one_line(text)
    plain = checkpoint.restore_plain(directory / "checkpoints")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(plain["params"]))


def test_records_that_cannot_be_read(start, tmp_path):
    directory = tmp_path / "run"
    start(directory, num_steps=1)
    path = directory / "config.json"
    text = path.read_text(encoding="utf-8")
    for changed, message in (
        (text[:50], "config.json is damaged"),
        (text.replace('"latent"', '"latent_of_old"'), "made by another version of"),
        (text.replace('"experiment": "mnist"', '"experiment": "a.gone"'), "not executed unasked"),
        (text.replace('"batch_size": 8', '"batch_size": "8"'), "is damaged (batch_size is '8')"),
        (text.replace('"batch_size": 8', '"batch_size": 0'), "--batch-size is 0"),
        (text.replace('"image_shape": [', '"image_shape": ["a",'), "is damaged (its data"),
        (text.replace('"sessions"', '"seasons"'), "is damaged (its sessions is NoneType)"),
    ):
        path.write_text(changed)
        assert message in refused(command, "sample", directory, out=tmp_path / "out.png")


@pytest.mark.parametrize("name", ["sample", "digest"])
def test_commands_on_what_is_no_run(name, tmp_path):
    assert "holds no run" in refused(command, name, tmp_path)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("neighbors", {}),
        ("reconstruct", {}),
        ("interpolate", {}),
        ("latent-map", {}),
        ("project", {"input": ROOT}),
        ("directions", {}),
        ("arithmetic", {"plus": ROOT, "minus": ROOT}),
        ("anomalies", {"input": ROOT}),
        ("evaluate", {}),
    ],
)
def test_places_that_cannot_be_written_to(name, flags, tmp_path):
    """A command reports them before it does anything."""
    text = refused(command, name, tmp_path / "run", out=tmp_path, **flags)
    assert f"{tmp_path} is a folder; give a file in it" in text


def test_folders_of_what_is_written(tmp_path):
    check_place(tmp_path / "new" / "folder" / "grid.PNG", endings=SUFFIXES)
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    with pytest.raises(UserError, match=r"grid\.xyz ends with none of \.bmp, .*; choose one"):
        check_place(tmp_path / "grid.xyz", endings=SUFFIXES)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file cannot be created"):
        check_place(tmp_path / "file" / "a.png")


# ---- the command line


HEAVY = ("jax", "tensorflow", "tensorflow_datasets", "matplotlib", "orbax", "grain", "optax")


def test_help_imports_nothing_that_takes_long():
    """All of them in one process, each with what it has imported."""
    program = f"""
import contextlib, io, json, runpy, sys
texts, imported = {{}}, {{}}
for module in {[*EXPERIMENTS, "jaxgan"]!r}:
    sys.argv = ["x", "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as text:
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            assert not end.code
    texts[module] = text.getvalue()
    imported[module] = sorted(set({HEAVY!r}) & set(sys.modules))
print(json.dumps([texts, imported]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    texts, imported = json.loads(done.stdout)
    assert imported == {module: [] for module in [*EXPERIMENTS, "jaxgan"]}
    assert "digest" in texts.pop("jaxgan")
    assert all("--num-steps" in text for text in texts.values())


def test_commands_import_only_what_they_use():
    """A third and a quarter of a second each, of which all commands but few have no use."""
    program = (
        "import sys, jaxgan.runs.commands.sample\n"
        "print({'scipy.stats', 'flax.nnx'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


@pytest.mark.slow
def test_commands_keep_their_compiled_programs(tmp_path, monkeypatch):
    """Also those of runs whose loading compiles something."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    words = ["sample", "mnist-dcgan", "--num", 4, "--out", tmp_path / "out.png"]
    status, _, errors = support.finish(
        support.start("jaxgan", *words, XDG_CACHE_HOME=str(tmp_path / "cache"))
    )
    assert status == 0, errors
    (folder,) = (tmp_path / "cache" / "jaxgan").glob("jaxlib-*")
    assert any(path.name.startswith("jit_") for path in folder.iterdir())


def test_flags_are_set_before_jax_starts_and_never_after(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--mine")
    xla_flags.set_flags()  # jax is loaded here
    assert os.environ["XLA_FLAGS"] == "--mine"
    monkeypatch.delitem(sys.modules, "jax")
    xla_flags.set_flags()
    assert os.environ["XLA_FLAGS"] == f"--mine {xla_flags.CPU_FUSION}"
    xla_flags.set_flags()
    assert os.environ["XLA_FLAGS"] == f"--mine {xla_flags.CPU_FUSION}"
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9.9")
    xla_flags.set_flags()
    assert os.environ["XLA_FLAGS"] == ""


@pytest.mark.slow
def test_commands_from_the_shell(tmp_path):
    status, _, errors = support.finish(support.start("jaxgan", "digest", tmp_path))
    assert status == 2
    assert errors.startswith("error: ")


def printed(text: str, **environment: str) -> subprocess.Popen:
    """A program that prints a text as commands do."""
    program = (
        "from rich.console import Console; from jaxgan.runs.cli import exit_on_user_error\n"
        f"with exit_on_user_error(): Console(soft_wrap=True).print({text!r})"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_end_of_what_reads_the_output_is_no_divergence():
    process = printed("step")
    process.stdout.close()  # as `head` does
    assert process.stderr.read() == b""
    assert process.wait() == 141
    process.stderr.close()


def test_characters_that_the_output_lacks_are_escaped():
    process = printed("runs/f\xfcnf", PYTHONIOENCODING="ascii")
    assert process.communicate() == (b"runs/f\\xfcnf\n", b"")
    assert process.returncode == 0


def test_grids_are_in_the_order_of_their_steps(tmp_path):
    """Also where a step has more digits than the names were padded to."""
    steps = [1_000_000, 9_999_000, 10_000_000, 10_001_000]
    for step in steps[::-1]:
        (tmp_path / f"step_{step:07d}.png").touch()
    (tmp_path / "step_last.png").touch()
    assert of_steps(tmp_path, ".png") == [tmp_path / f"step_{step:07d}.png" for step in steps]
    assert [path.stem for path in of_steps(tmp_path, ".*", after=10_000_000)] == ["step_10001000"]


@pytest.mark.slow
def test_any_interval_and_number_of_steps(tmp_path):
    """Several steps per compiled call are as many as divide all of them."""
    flags = {"batch_size": 8, "features": 4, "sample_every": 100}
    flags |= {"checkpoint_every": 10, "evaluate_every": 0}
    directory = tmp_path / "run"
    train(mixture, directory, num_steps=15, log_every=5, **flags)
    assert [line["step"] for line in support.read_lines(directory / "metrics.jsonl")] == [5, 10, 15]
    assert {int(path.name) for path in (directory / "checkpoints").iterdir()} == {10, 15}
    train(mixture, directory, num_steps=22, log_every=4, **flags)
    steps = [line["step"] for line in support.read_lines(directory / "metrics.jsonl")]
    assert steps == [5, 10, 15, 16, 20, 22]
    train(mixture, tmp_path / "other", num_steps=22, log_every=11, **flags)
    digests = {
        checkpoint.digest(checkpoint.restore_plain(path / "checkpoints"))
        for path in (directory, tmp_path / "other")
    }
    assert len(digests) == 1


def test_too_few_samples_for_a_metric_are_refused_before_training(start, tmp_path):
    flags = {"num_steps": 5, "evaluate_every": 5, "evaluate_samples": 3}
    status, text = start(tmp_path / "run", **flags)
    assert status == 2
    words = one_line(text)
    assert "num_samples is 3, and prdc needs at least 6; see --evaluate-samples" in words
    assert not (tmp_path / "run" / "config.json").exists()
