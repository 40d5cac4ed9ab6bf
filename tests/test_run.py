"""Runs as people start them: the run directory, exact resume, commands, and bad input."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import mnist
from jaxgan import UserError, checkpoint, images
from jaxgan.data.idx import write_idx
from jaxgan.data.pictures import SUFFIXES
from jaxgan.runs import cli, xla_flags
from jaxgan.runs.commands import load
from jaxgan.runs.files import check_place
from tests.conftest import CACHE, ROOT
from tests.support import command

SMALL = {"--data": "digits", "--features": 4, "--batch-size": 8, "--latent": 4, "--r1": 0}
SMALL["--evaluate-every"] = 0  # test_evaluation.py has runs that are evaluated
EXPERIMENTS = sorted(
    f"experiments.{path.stem}"
    for path in (ROOT / "experiments").glob("*.py")
    if "main(Config, make)" in path.read_text()
)
ENVIRONMENT = os.environ | {
    "JAX_PLATFORMS": "cpu",
    "JAX_COMPILATION_CACHE_DIR": str(CACHE),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def arguments(run_dir, **flags):
    """The command line of a small run."""
    named = {f"--{name.replace('_', '-')}": value for name, value in flags.items()}
    pairs = (SMALL | named | {"--run-dir": run_dir}).items()
    return [str(word) for pair in pairs for word in pair]


def main(monkeypatch, *words):
    """The experiment's command in this process; returns the exit status."""
    monkeypatch.setattr(sys, "argv", ["experiments.mnist", *words])
    with pytest.raises(SystemExit) as end:
        cli.main(mnist.Config, mnist.make)
    return end.value.code


@pytest.fixture
def start(monkeypatch, capsys):
    """Starts a small run in this process; returns (exit status, what it printed)."""

    def start(run_dir, **flags):
        status = main(monkeypatch, *arguments(run_dir, **flags))
        out, err = capsys.readouterr()
        return status, out + err

    return start


# ---- the run directory


def test_a_run_explains_itself_goes_on_and_ends(start, tmp_path, monkeypatch, capsys):
    directory = tmp_path / "run"
    flags = {"log_every": 2, "sample_every": 5, "checkpoint_every": 5}
    status, text = start(directory, num_steps=10, **flags)
    assert status == 0
    assert "scikit-learn's bundled digits" in text
    assert f"{directory} is complete at step 10" in text

    record = json.loads((directory / "config.json").read_text())
    assert record["experiment"] == "experiments.mnist"
    assert record["config"]["features"] == 4
    assert record["data"]["name"] == "digits"
    assert len(record["data"]["fingerprint"]) == 64
    assert record["sessions"][0]["versions"]["jax"]
    log = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4, 6, 8, 10]
    assert {"discriminator/loss", "generator/loss", "discriminator/real_output"} <= set(log[0])
    assert sorted(p.name for p in (directory / "samples").iterdir()) == [
        "step_0000005.png",
        "step_0000010.png",
    ]
    with Image.open(directory / "samples" / "step_0000010.png") as sheet:
        assert sheet.size == (10 * 30 + 2, 10 * 30 + 2)
    assert (directory / "losses.png").stat().st_size > 1000
    assert any((directory / "tensorboard").iterdir())

    status, text = start(directory, num_steps=10, **flags)
    assert status == 0
    assert "complete at step 10: nothing is left to do" in text

    status, text = start(directory, num_steps=14, **flags)
    assert status == 0
    assert "goes on from step 10" in text
    assert len(json.loads((directory / "config.json").read_text())["sessions"]) == 3

    status, text = start(directory, num_steps=14, latent=5, **flags)
    assert status == 2
    assert "holds a run with latent=4, and this one has latent=5" in text

    # What a run leaves can be sampled, again and again with the same result.
    for out in ("a.png", "b.png"):
        command("sample", directory, num=9, out=tmp_path / out, seed=3)
    command("sample", directory, num=9, out=tmp_path / "c.png", seed=4)
    sheets = [(tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.png")]
    assert sheets[0] == sheets[1] != sheets[2]
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.size == (3 * 30 + 2, 3 * 30 + 2)
    capsys.readouterr()
    command("digest", directory)
    digest, step = capsys.readouterr().out.split("  step ")
    plain = checkpoint.restore_plain(directory / "checkpoints")
    assert (digest, int(step)) == (checkpoint.digest(plain), 14)


def test_samples_come_from_the_averaged_parameters(start, tmp_path):
    directory, out = tmp_path / "run", tmp_path / "sheet.png"
    start(directory, num_steps=3, ema=1.0, generator_lr=0.1)
    command("sample", directory, num=4, out=out)
    sheet = pixels(out)
    experiment, state = load(directory)
    batch, key = experiment.sample_batch(4), jax.random.key(0)
    averages, last = (state.ema_params, state.ema_model_state), (state.params, state.model_state)
    for learned, same in ((averages, True), (last, False)):
        images.save_sheet(out, experiment.game.sample(*learned, batch, key))
        assert (np.abs(sheet - pixels(out)).mean() < 0.1) == same


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture, np.int32)


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


def test_conditional_sheets_have_a_class_per_column(start, tmp_path, monkeypatch):
    words = [*arguments(tmp_path / "run", num_steps=2), "--conditional"]
    assert main(monkeypatch, *words) == 0
    experiment = mnist.make(mnist.Config(data="digits", conditional=True, batch_size=8))
    assert experiment.sample_batch(100)["label"].reshape(10, 10).std(axis=0).max() == 0


def test_data_that_stands_in_is_said_loudly(start, tmp_path, monkeypatch):
    def refuse(request, timeout):
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    status, text = start(tmp_path / "run", num_steps=1, data="auto")
    assert status == 0
    assert "WARNING: experiments.mnist on digits" in text
    assert "IN PLACE OF MNIST" in text
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["stands_in"]


# ---- exact resume


def process(run_dir, **flags):
    command = [sys.executable, "-m", "experiments.mnist", *arguments(run_dir, **flags)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


LONG = {"num_steps": 600, "log_every": 10, "checkpoint_every": 20, "sample_every": 300}


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "never_stopped"
    _, err = process(directory, **LONG).communicate(timeout=300)
    assert (directory / "checkpoints" / "600").is_dir(), err
    return directory


def state_digest(directory: Path) -> str:
    return checkpoint.digest(checkpoint.restore_plain(directory / "checkpoints"))


def metrics(directory: Path) -> list[dict[str, float]]:
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        signal.SIGTERM,
        signal.SIGKILL,
    ],
)
def test_stopped_and_started_again_is_never_stopped(never_stopped, tmp_path, number):
    directory = tmp_path / "run"
    stopped = process(directory, **LONG)
    deadline = time.monotonic() + 120
    while not (directory / "checkpoints" / "40").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    stopped.send_signal(number)
    out, err = stopped.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert stopped.returncode == -number
    else:
        assert stopped.returncode == 128 + number, out + err
        assert f"stopped by {number.name} at step" in out
    last = metrics(directory)[-1]["step"]
    assert last < 600

    again = process(directory, **LONG)
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert f"{directory} goes on from step" in out
    assert state_digest(directory) == state_digest(never_stopped)
    assert metrics(directory) == metrics(never_stopped)


# ---- bad input: one line, exit status 2, nothing lost


def one_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, text
    return lines[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"discriminator_turns": 0}, "turns lacks discriminator"),
        ({"batch_size": 1501}, "the batch size is 1501 and the data set has 1500 examples"),
        ({"batch_size": 0}, "--batch-size is 0, expected at least 1"),
        ({"num_steps": 0}, "--num-steps is 0, expected at least 1"),
        ({"evaluate_every": -1}, "--evaluate-every is -1, expected at least 0"),
        ({"evaluate_samples": 0}, "--evaluate-samples is 0, expected at least 1"),
        ({"seed": -1}, "--seed is -1, expected 0 to"),
        ({"latent": 0}, "latent dimension is 0"),
        ({"features": 0}, "features is 0, expected at least 1"),
        ({"ema": 2}, "the decay of an average is 2.0, expected one in"),
        ({"r1": 1, "penalty_every": 0}, "every is 0, expected a period"),
        ({"data_dir": "/nowhere", "data": "mnist"}, "data directory /nowhere does not exist"),
    ],
)
def test_bad_flags(start, tmp_path, flags, message):
    status, text = start(tmp_path / "run", **flags)
    assert status == 2
    assert message in one_line(text)
    assert not (tmp_path / "run" / "config.json").exists()


def test_unknown_choices_are_named(monkeypatch, tmp_path, capsys):
    assert main(monkeypatch, *arguments(tmp_path, loss="wgan")) == 2
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
    assert "cannot be written to (Not a directory); choose another --run-dir" in one_line(text)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    status, text = start(tmp_path / "mine")
    assert status == 2
    assert "is not empty and holds no run" in one_line(text)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_other_data_under_the_same_run(start, tmp_path):
    directory = tmp_path / "run"
    start(directory, num_steps=1)
    path = directory / "config.json"
    path.write_text(path.read_text().replace('"fingerprint": "', '"fingerprint": "0'))
    status, text = start(directory, num_steps=2)
    assert status == 2
    assert "what was found now is other data" in one_line(text)


def test_a_run_that_diverges_ends_with_status_1_and_keeps_its_checkpoint(start, tmp_path):
    directory = tmp_path / "run"
    flags = {"network": "mlp", "loss": "least_squares", "checkpoint_every": 1}
    status, text = start(directory, num_steps=200, generator_lr=1e15, **flags)
    assert status == 1
    assert "at step" in one_line(text)
    plain = checkpoint.restore_plain(directory / "checkpoints")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(plain["params"]))


def test_records_that_cannot_be_read(start, tmp_path, capsys):
    directory = tmp_path / "run"
    start(directory, num_steps=1)
    path = directory / "config.json"
    text = path.read_text()
    for changed, message in (
        (text[:50], "config.json is damaged"),
        (text.replace('"latent"', '"latent_of_old"'), "made by another version of"),
        (text.replace("experiments.mnist", "experiments.gone"), "which cannot be imported"),
    ):
        path.write_text(changed)
        with pytest.raises(SystemExit) as end:
            command("sample", directory, out=tmp_path / "out.png")
        assert end.value.code == 2
        assert message in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("command", [partial(command, "sample"), partial(command, "digest")])
def test_commands_on_what_is_no_run(command, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        command(tmp_path)
    assert end.value.code == 2
    assert "holds no run" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    "command",
    [
        partial(command, "sample"),
        partial(command, "neighbours"),
        partial(command, "reconstruct"),
        partial(command, "interpolate"),
        partial(command, "latent-map"),
        partial(command, "arithmetic", plus=ROOT, minus=ROOT),
        partial(command, "anomalies", input=ROOT),
        partial(command, "evaluate"),
        partial(command, "export"),
    ],
)
def test_places_that_cannot_be_written_to(command, tmp_path, capsys):
    """A command says so before it does anything."""
    with pytest.raises(SystemExit) as end:
        command(tmp_path / "run", out=tmp_path)
    assert end.value.code == 2
    assert f"{tmp_path} is a folder; give a file in it" in one_line(capsys.readouterr().err)


def test_folders_of_what_is_written(tmp_path):
    check_place(tmp_path / "new" / "folder" / "sheet.PNG", endings=SUFFIXES)
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    with pytest.raises(UserError, match=r"sheet\.xyz ends with none of \.bmp, .*; choose one"):
        check_place(tmp_path / "sheet.xyz", endings=SUFFIXES)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file cannot be made a folder"):
        check_place(tmp_path / "file" / "a.png")


# ---- the command line


@pytest.mark.parametrize("module", [*EXPERIMENTS, "jaxgan"])
def test_help_answers_before_jax_is_loaded(module):
    program = (
        "import runpy, sys; sys.argv = ['x', '--help']\n"
        f"try: runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'jax' not in sys.modules"
    )
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
        )
        best = min(best, time.perf_counter() - start)
        assert done.returncode == 0, done.stderr
    assert "--num-steps" in done.stdout or "digest" in done.stdout
    assert best < 1.0


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


def test_commands_from_the_shell(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "jaxgan", "digest", str(tmp_path)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
