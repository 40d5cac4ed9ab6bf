"""In a terminal: the bar of a run that trains elsewhere, completion by a shell, and images."""

import json
import shutil

import pytest

from jaxgan.__main__ import main
from jaxgan.runs.commands import watch
from jaxgan.runs.directory.lock import locked
from tests.support import command, finish, refused, start

RECORD = {
    "experiment": "mnist",
    "config": {"num_steps": 30},
    "data": {"name": "digits", "source": "here", "fingerprint": "0"},
    "sessions": [{"versions": {}}],
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A directory whose run, which trains, logs another step at each look; none at the first."""
    (tmp_path / "config.json").write_text(json.dumps(RECORD))
    rows = [
        {"step": step, "seconds": step / 10, "generator/loss": 0.25, "generator/norm": 9.0}
        for step in (10, 20, 20, 30, 40)
    ]
    looks = []

    def train(pause):
        assert pause == watch.PAUSE
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(rows[len(looks)]) + "\n")
        looks.append(rows[len(looks)]["step"])

    monkeypatch.setattr(watch.time, "sleep", train)
    monkeypatch.setattr(watch, "looks", looks, raising=False)
    with locked(tmp_path):
        yield tmp_path


def test_watch_follows_a_run_to_its_end(run, capsys):
    command("watch", run)
    assert watch.looks == [10, 20, 20, 30]
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["10/30", "20/30", "30/30"]
    assert all("generator 0.250" in line and "norm" not in line for line in lines)
    assert last == f"{run}: complete: 30 steps in 0:00:03"
    command("watch", run)  # which is complete
    assert watch.looks == [10, 20, 20, 30]


def test_ctrl_c_ends_watching(run, capsys, monkeypatch):
    """Also of a run whose number of steps is not recorded."""
    record = RECORD | {"config": {"num_steps": None}}
    (run / "config.json").write_text(json.dumps(record))
    train = watch.time.sleep

    def interrupted(pause):
        train(pause)
        if len(watch.looks) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", interrupted)
    command("watch", run)
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["10/?", "20/?", "30/?"]
    assert last == f"{run}: step 40, after 0:00:04"


def test_watching_ends_with_the_process_that_trains(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(RECORD))
    (tmp_path / "metrics.jsonl").write_text('{"step": 10, "seconds": 1.0, "generator/loss": 1.0}\n')
    command("watch", tmp_path)
    text = capsys.readouterr().out
    assert "10/30" in text
    assert "no process trains it; unless it is complete, its command resumes it" in text
    with locked(tmp_path):
        pass  # watching holds nothing


def test_there_is_nothing_to_watch(tmp_path):
    assert "holds no run" in refused(command, "watch", tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["smaple", "runs/mnist"], "there is no command smaple; did you mean sample?"),
        (["make-coffee"], "there is no command make-coffee; --help lists them"),
        (["train", "mnsit"], "did you mean mnist?"),
        (["train", "coffee"], "an importable module; jaxgan has autoencoder, cifar10,"),
        (["train", "./spheres"], "the experiment ./spheres cannot be imported"),
    ],
)
def test_misspelt_commands_are_answered_with_a_name(words, message):
    assert message in refused(main, words)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_in_a_shell(shell, tmp_path, capsys):
    """As a user meets it: typed into a shell that has evaluated the script."""
    pytest.importorskip("pexpect")
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    main(["completion", shell])
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "directory").mkdir()
    (tmp_path / "file.png").touch()
    status, _, errors = finish(start("tests.programs.typed", shell, tmp_path))
    assert status == 0, errors


@pytest.mark.slow
@pytest.mark.parametrize("terminal", ["sixel", "kitty", "plain"])
def test_samples_are_shown_in_terminals_that_can(terminal, tmp_path):
    """By what a terminal answers when it is asked for its abilities."""
    pytest.importorskip("pexpect")
    pytest.importorskip("textual_image")
    status, _, errors = finish(start("tests.programs.terminal", terminal, tmp_path))
    assert status == 0, errors
