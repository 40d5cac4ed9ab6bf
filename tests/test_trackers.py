"""Experiment trackers, by stand-ins that record their calls, and the libraries where installed."""

import sys
from types import SimpleNamespace

import pytest

from jaxgan.errors import RunError
from jaxgan.runs.session.trackers import tracker


class Recorder(SimpleNamespace):
    """A library whose `init` returns a run; `calls` are all calls of both."""

    def __init__(self):
        super().__init__(calls=[])

    def init(self, **arguments):
        self.calls.append(("init", arguments))
        return self

    def log(self, values, **arguments):
        self.calls.append(("log", values, arguments))

    def finish(self):
        self.calls.append(("finish",))


def logged(name, directory, monkeypatch):
    library = Recorder()
    monkeypatch.setitem(sys.modules, name, library)
    with tracker(name, directory, {"latent": 4}, step=0) as log:
        log(7, {"generator/loss": 0.5})
    return library.calls


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_tracker_gets_config_values_and_end(name, tmp_path, monkeypatch):
    (_, arguments), (_, values, more), end = logged(name, tmp_path / "run", monkeypatch)
    assert arguments["config"] == {"latent": 4}
    assert arguments["resume"] == "allow"
    assert values["generator/loss"] == 0.5
    assert {**values, **more}["step"] == 7
    assert end == ("finish",)


@pytest.mark.parametrize(("name", "key"), [("wandb", "id"), ("trackio", "name")])
def test_sessions_of_a_directory_are_one_run(name, key, tmp_path, monkeypatch):
    identity = lambda folder: logged(name, tmp_path / folder, monkeypatch)[0][1][key]
    assert identity("a") == identity("a") != identity("b")


def test_an_error_ends_the_run_of_the_tracker(tmp_path, monkeypatch):
    library = Recorder()
    monkeypatch.setitem(sys.modules, "wandb", library)
    with pytest.raises(ZeroDivisionError), tracker("wandb", tmp_path, {}, step=0):
        raise ZeroDivisionError
    assert library.calls[-1] == ("finish",)


def test_a_tracker_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(RunError, match=r"pip install 'jaxgan\[wandb\]'"):
        tracker("wandb", tmp_path, {}, step=0)


def test_a_folder_of_the_name_is_no_tracker(tmp_path, monkeypatch):
    """Python imports a folder without files of Python, such as wandb's own logs."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(RunError, match=r"not installed: pip install 'jaxgan\[wandb\]'"):
        tracker("wandb", tmp_path, {}, step=0)
    sys.modules.pop("wandb", None)


@pytest.mark.parametrize(
    "line", ["import no_such_module", "from json import no_such_name"], ids=["module", "name"]
)
def test_a_tracker_that_cannot_be_imported(line, tmp_path, monkeypatch):
    (tmp_path / "trackio.py").write_text(line, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "trackio", raising=False)
    with pytest.raises(RunError, match=r"cannot be imported \(.*no_such_.*\); pip install --up"):
        tracker("trackio", tmp_path, {}, step=0)


@pytest.mark.slow
def test_wandb_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with tracker("wandb", tmp_path, {"latent": 4}, step=0) as log:
        log(7, {"generator/loss": 0.5})
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert b"generator/loss" in file.read_bytes()


@pytest.mark.slow
def test_trackio(tmp_path, monkeypatch):
    pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    with tracker("trackio", tmp_path / "run", {"latent": 4}, step=0) as log:
        log(7, {"generator/loss": 0.5})
    assert b"generator/loss" in (tmp_path / "trackio" / "jaxgan.db").read_bytes()
