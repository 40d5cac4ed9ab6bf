"""Faults: damaged checkpoints, records and logs cost what was damaged, and never the run."""

import errno
import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

import jaxgan
from benchmarks.faults import corruptions, fuzz, kills, processes, small
from benchmarks.faults.corruptions import STEPS, state
from jaxgan import checkpoint
from jaxgan.errors import CheckpointError, RunError
from jaxgan.files import replacing
from jaxgan.runs.directory.lock import locked
from jaxgan.runs.directory.logs import read_evaluations, read_metrics
from jaxgan.runs.launch import launch
from jaxgan.runs.session import callbacks, trackers
from jaxgan.runs.session.divergence import Divergence
from jaxgan.runs.session.failures import in_one_line
from tests.conftest import ROOT

NEWEST = STEPS[-1]


@pytest.fixture
def folder(tmp_path):
    """Folder with the checkpoints of `STEPS`, of which the first is the best."""
    corruptions.write(tmp_path / "checkpoints")
    return tmp_path / "checkpoints"


def restore(folder, **choice):
    with checkpoint.open_manager(folder) as manager:
        return checkpoint.restore(manager, state(0), **choice)


def equal(found, expected) -> bool:
    return checkpoint.digest(found) == checkpoint.digest(expected)


# ---- checkpoints


def as_a_file(step):
    checkpoint_of_another_kind(step, step.touch)


def as_a_loop(step):
    checkpoint_of_another_kind(step, lambda: step.symlink_to(step))


def checkpoint_of_another_kind(step, make):
    step.rename(step.parent.parent / "away")
    make()


def as_the_one_before(step):
    aside, before = step.parent.parent / "aside", step.parent / str(STEPS[-2])
    step.rename(aside)
    before.rename(step)
    aside.rename(before)


def with_another_score(step):
    path = step / "record" / "metadata"
    path.write_text(path.read_text(encoding="utf-8").replace('"score": -30.0', '"score": 130.0'))


def without_score(step):
    (step / "record" / "metadata").write_bytes(b"\xff{")


def with_a_pipe(step):
    (step / "state" / "_METADATA").unlink()
    os.mkfifo(step / "state" / "_METADATA")


@pytest.mark.parametrize(
    "damage",
    [as_a_file, as_a_loop, as_the_one_before, with_another_score, without_score, with_a_pipe],
)
def test_a_run_goes_on_from_an_older_checkpoint_and_saves(damage, folder):
    damage(folder / str(NEWEST))
    expected = STEPS[0] if damage is as_the_one_before else STEPS[1]  # which spoils both
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert equal(restore(folder), state(expected))
    assert f"checkpoint of step {NEWEST} in {folder} is damaged" in str(caught[0].message)
    later = checkpoint.set_aside(folder, after=expected)
    assert set(later) == {step for step in STEPS if step > expected}
    with checkpoint.open_manager(folder) as manager:
        checkpoint.save(manager, state(expected + 1))
    assert equal(restore(folder), state(expected + 1))
    aside = [path.name for path in folder.with_name("checkpoints-set-aside").iterdir()]
    assert sorted(aside) == sorted(map(str, later))


@pytest.mark.slow
def test_random_damage():
    assert set(corruptions.corruptions(12, 0)) == {"restored", "fallback"}


def test_a_damaged_score_of_an_older_checkpoint_is_of_no_account(folder):
    without_score(folder / str(STEPS[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert equal(restore(folder), state(NEWEST))


def test_the_second_best_is_taken_if_the_best_is_damaged(folder):
    assert equal(restore(folder, best=True), state(STEPS[0]))
    (folder / str(STEPS[0]) / "state" / "_METADATA").unlink()
    with pytest.warns(UserWarning, match="is damaged"):
        assert equal(restore(folder, best=True), state(STEPS[1]))


def test_the_best_and_the_two_newest_are_kept(tmp_path):
    scores = {1: -1.0, 2: 5.0, 3: math.nan, 4: -math.inf, 5: 4.0, 6: 3.0}
    for step, score in scores.items():  # each in a session of its own: scores are read again
        with checkpoint.open_manager(tmp_path) as manager:
            checkpoint.save(manager, state(step), score=score)
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [2, 5, 6]


def test_a_step_can_be_chosen_and_is_saved_from_on(folder):
    assert equal(restore(folder, step=10), state(10))
    for _ in range(2):
        checkpoint.set_aside(folder, after=10)
        with checkpoint.open_manager(folder) as manager:
            checkpoint.save(manager, state(20))
    aside = [path.name for path in folder.with_name("checkpoints-set-aside").iterdir()]
    assert sorted(aside) == ["20", "20.1", "30"]
    with pytest.raises(CheckpointError, match="no checkpoint of step 30; there is 10, 20"):
        restore(folder, step=30)


def test_an_earlier_step_than_the_newest_is_not_saved_silently(folder):
    with (
        checkpoint.open_manager(folder) as manager,
        pytest.raises(CheckpointError, match=r"step 25 was not saved, since .* of step 30"),
    ):
        checkpoint.save(manager, state(25))


def test_a_checkpoint_is_on_the_disk_before_the_next_one_is_written(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def record(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, state(1))
        assert synced == []
        checkpoint.save(manager, state(2))
        written = {str(path) for path in (tmp_path / "1").rglob("*")}
    assert set(synced) == {*written, str(tmp_path / "1")}


def test_arrays_without_elements_are_saved(tmp_path):
    empty = state(1)._replace(model_state={"g": {"pool": jnp.zeros((0, 4, 4, 1))}, "d": {}})
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, empty)
        restored = checkpoint.restore(manager, empty)
    assert equal(restored, empty)
    assert restored.model_state["g"]["pool"].shape == (0, 4, 4, 1)
    assert equal(checkpoint.restore_plain(tmp_path), empty)


def test_the_record_of_a_checkpoint_says_what_was_saved(tmp_path):
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, state(1), score=2.0, rollbacks=3)
    record = checkpoint.read_record(tmp_path, 1)
    assert (record["score"], record["rollbacks"]) == (2.0, 3)
    assert record["digest"] == checkpoint.digest(state(1))
    path = tmp_path / "1" / "record" / "metadata"
    for name in record:
        path.write_text(json.dumps(record | {name: 7}))
        with pytest.raises(ValueError, match="its record is damaged"):
            checkpoint.read_record(tmp_path, 1)
    path.write_text(json.dumps(record))
    (tmp_path / "1").rename(tmp_path / "2")
    with pytest.raises(ValueError, match="its record is damaged"):
        checkpoint.read_record(tmp_path, 2)


# ---- harnesses, on a small scale (`python -m benchmarks.faults`)


@pytest.mark.slow
def test_mutated_files_are_read_or_refused(tmp_path):
    for kind in fuzz.kinds(tmp_path):
        (tmp_path / kind.name).write_bytes(kind.content)
        kind.read(tmp_path / kind.name)  # without a mutation
    assert set(fuzz.fuzz(300, 0)) == {"read", "refused"}


@pytest.mark.slow
def test_killed_runs_end_as_if_nothing_had_happened():
    assert not [outcome for outcome in kills.kills(3, 0) if outcome.partition(" ")[0].isupper()]


@pytest.mark.slow
def test_two_processes_in_a_directory():
    counts = processes.processes(2, 0)
    assert set(counts) == {
        "meanwhile: one line",
        "the first: as if alone",
        "after a kill: as if alone",
    }


# ---- logs


def test_damaged_lines_are_left_out_and_said(tmp_path):
    path = tmp_path / "metrics.jsonl"
    good = [{"step": step, "seconds": 0.5, "g/loss": 1.0} for step in range(1, 6)]
    lines = [json.dumps(record).encode() for record in good]
    for bad in (
        b"\xff" + lines[2],
        b"[1]",
        b'{"step": "3"}',
        b"[" * 10_000,
        b'{"step": 3, "a": {}}',
    ):
        path.write_bytes(b"\n".join([*lines[:2], bad, *lines[3:]]) + b"\n")
        with pytest.warns(UserWarning, match=r"metrics.jsonl is damaged in line 3, which"):
            assert read_metrics(path) == [*good[:2], *good[3:]]
    path.write_bytes(b"\n".join(lines)[:-4])  # killed in the last line: that is not damage
    assert read_metrics(path) == good[:-1]
    assert read_metrics(tmp_path / "none") == []


def test_a_damaged_log_is_kept_beside_the_one_that_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    content = (
        b'{"step": 1, "seconds": 0}\n\xff\n{"step": 2, "seconds": 0}\n{"step": 9, "seconds": 0}\n'
    )
    path.write_bytes(content)
    with (
        pytest.warns(UserWarning, match=r"is damaged in line 2.* kept as .*metrics.jsonl.damaged"),
        callbacks.metrics_log(path, step=2) as log,
    ):
        log(3, None, {"g": {"loss": 1.0}})
    assert [record["step"] for record in read_metrics(path)] == [1, 2, 3]
    assert (tmp_path / "metrics.jsonl.damaged").read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"",
        b"[]",
        b'{"evaluations": 3}',
        b'{"evaluations": [{"step": 1}]}',
        b'{"evaluations": [{"step": null, "records": []}]}',
        b'{"evaluations": [{"step": 1, "records": [{"name": "a", "value": "1"}]}]}',
    ],
)
def test_damaged_evaluations(tmp_path, content):
    path = tmp_path / "evaluation.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"evaluation.json is damaged"):
        read_evaluations(path)
    evaluation = jaxgan.Evaluation({}, {}, best=None)
    with pytest.warns(UserWarning, match=r"kept as .*evaluation.json.damaged"):
        callbacks.Evaluations(path, lambda state: {}, evaluation, Console(quiet=True))
    assert (tmp_path / "evaluation.json.damaged").read_bytes() == content


def test_evaluations_by_another_metric_are_not_continued(tmp_path):
    """Checkpoints could not be compared, and the best of them is kept."""
    path, records = tmp_path / "evaluation.json", [{"name": "fid_digits", "value": 1.0}]
    path.write_text(json.dumps({"evaluations": [{"step": 1, "records": records}]}))
    evaluation = jaxgan.Evaluation({}, {}, best="fid_pixels")
    with pytest.raises(RunError, match="has fid_digits, and not fid_pixels, by which these flags"):
        callbacks.Evaluations(path, lambda state: {}, evaluation, Console(quiet=True), step=1)


def test_tensorboard_has_all_points_before_a_kill(tmp_path):
    """Without the writer's own end, and without waiting."""
    from tensorboardX.proto import event_pb2

    tracker = trackers.tracker("tensorboard", tmp_path, {}, step=0)
    with tracker as log:
        for step in range(1, 6):
            log(step, {"g/loss": float(step)})
            (file,) = (tmp_path / "tensorboard").iterdir()
            assert len(events(file, event_pb2.Event)) == step


def events(path, kind) -> list[int]:
    """Steps of the scalars in an event file: records of a length, its checksum, data, checksum."""
    content, steps = path.read_bytes(), []
    while content:
        (size,) = struct.unpack("<Q", content[:8])
        event = kind.FromString(content[12 : 12 + size])
        steps += [event.step for value in event.summary.value]
        content = content[16 + size :]
    return steps


# ---- the run directory


def test_a_directory_is_locked_while_a_run_trains_in_it(tmp_path):
    program = (
        "import sys, time; from pathlib import Path\n"
        "from jaxgan.runs.directory.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); time.sleep(1000)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(RunError, match="another process trains in"), locked(tmp_path):
            pass
    finally:
        other.kill()
        other.communicate()
    with locked(tmp_path):  # what was killed holds no lock
        pass


def test_without_locks_a_warning_says_so(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise NotImplementedError("no flock here")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with pytest.warns(UserWarning, match="cannot be locked"), locked(tmp_path):
        pass


@pytest.mark.slow
def test_what_a_kill_leaves_of_a_first_start_is_no_obstacle(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.json").write_text('{"exp')
    assert run(tmp_path, num_steps=2) == 0


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "x"), "the disk is full; free space"),
        (ValueError("a long text\nNo space left on device\n"), "the disk is full; free space"),
        (OSError(errno.EFBIG, "x"), "a file exceeds the largest size"),
        (MemoryError(), "choose a smaller --batch-size"),
        (ExceptionGroup("two", [ValueError(), OSError(errno.EDQUOT, "x")]), "the quota"),
    ],
)
def test_failures_of_the_machine_are_one_line(tmp_path, error, message):
    (tmp_path / ".lock").touch()
    with pytest.raises(RunError, match=message) as refusal, in_one_line(tmp_path):
        raise error
    assert "the same command resumes" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_libraries_print_beside_an_error_is_silent():
    """Only that: another exception that cannot be raised is still printed."""
    program = """
from jaxgan.runs.session.failures import silence_echoes
silence_echoes()
class Fails:
    def __init__(self, text):
        self.text = text
    def __del__(self):
        raise RuntimeError(self.text)
for text in ("Event loop is closed", "another"):
    Fails(text)
"""
    errors = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr
    assert "Event loop is closed" not in errors
    assert "another" in errors


def test_other_errors_are_not_hidden(tmp_path):
    (tmp_path / ".lock").touch()
    for error in (ValueError("a bug"), KeyError("a"), BrokenPipeError("a pipe")):
        with pytest.raises(type(error), match="a"), in_one_line(tmp_path):
            raise error
        with pytest.raises(type(error), match="a"), in_one_line(tmp_path.parent, [tmp_path]):
            raise error


def test_a_directory_without_the_file_of_every_start_was_deleted(tmp_path):
    with pytest.raises(RunError, match="was deleted while"), in_one_line(tmp_path):
        raise FileNotFoundError("a")
    (tmp_path / ".lock").touch()
    runs = [tmp_path, tmp_path / "seed_1"]
    with pytest.raises(RunError, match="was deleted while"), in_one_line(tmp_path, runs):
        raise FileNotFoundError("a")


def test_what_cannot_be_written_in_a_run_is_named(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / "losses.png").mkdir()
    message = r"losses.png cannot be written .*; move it away"
    with (
        pytest.raises(RunError, match=message),
        in_one_line(tmp_path),
        replacing(tmp_path / "losses.png") as part,
    ):
        part.touch()
    (tmp_path / "seed_0").mkdir()
    (tmp_path / "seed_0" / ".lock").touch()
    with pytest.raises(FileExistsError), in_one_line(tmp_path / "seed_0"):  # of another place
        (tmp_path / "losses.png").mkdir()


@pytest.mark.slow
def test_a_directory_that_is_deleted_while_the_run_trains(tmp_path):
    directory = tmp_path / "run"
    delete = lambda step, *_: step == 3 and shutil.rmtree(directory)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Divergence, "__call__", lambda self, step, *_: delete(step))
        with pytest.raises(RunError, match="the run directory was deleted"):
            run(directory, num_steps=9, log_every=1)


# ---- what comes between


@pytest.mark.slow
def test_an_evaluation_is_ended_at_once_and_made_up_for(tmp_path, capsys):
    directory, flags = tmp_path / "run", {"evaluate_every": 10, "checkpoint_every": 20}

    def interrupted(*args):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("the signal should have ended this")

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("jaxgan.evaluation.samples._Evaluator.samples", interrupted)
        assert run(directory, num_steps=30, **flags) == 128 + signal.SIGTERM
    assert "stopped by SIGTERM at step 10, which is saved" in capsys.readouterr().out
    assert checkpoint.read_record(directory / "checkpoints", 10)["score"] is None
    assert run(directory, num_steps=30, **flags) == 0
    assert run(tmp_path / "other", num_steps=30, **flags) == 0
    entries = [
        read_evaluations(path / "evaluation.json") for path in (directory, tmp_path / "other")
    ]
    assert entries[0] == entries[1]
    assert [entry["step"] for entry in entries[0]] == [10, 20, 30]
    scores = [
        {step: checkpoint.read_record(path / "checkpoints", step)["score"] for step in (20, 30)}
        for path in (directory, tmp_path / "other")
    ]
    assert scores[0] == scores[1]


def test_a_grid_that_fails_costs_a_grid(tmp_path, capsys, monkeypatch):
    make, failing = small.make, []

    def draw(path, state):
        if failing:
            raise ValueError("cannot reshape")
        failing.append(path)

    monkeypatch.setattr(small, "make", lambda *args: make(*args)._replace(draw=draw))
    assert run(tmp_path / "run", num_steps=4, sample_every=2) == 0
    assert "WARNING: no sample grid at step 4: cannot reshape" in capsys.readouterr().out
    assert run(tmp_path / "other", num_steps=4, sample_every=2) == 0
    assert "WARNING: grids fail, and are left out: cannot reshape" in capsys.readouterr().out


def test_the_animation_is_made_up_for(tmp_path):
    run(tmp_path / "run", num_steps=4, sample_every=2)
    gif = tmp_path / "run" / "samples.gif"
    gif.unlink()
    run(tmp_path / "run", num_steps=4, sample_every=2)
    content = gif.read_bytes()
    gif.write_bytes(b"")
    os.utime(gif, (0, 0))  # older than the grids, as after a kill that left it behind
    run(tmp_path / "run", num_steps=4, sample_every=2)
    assert gif.read_bytes() == content
    assert not list(gif.parent.glob(".samples*"))


@pytest.mark.slow
def test_a_run_goes_back_to_a_step_that_is_asked_for(tmp_path, capsys):
    directory = tmp_path / "run"
    flags = {"num_steps": 6, "checkpoint_every": 2, "log_every": 1}
    assert run(directory, **flags) == 0
    before = digest(directory)
    with pytest.raises(CheckpointError, match="no checkpoint of step 3; there is 4, 6"):
        run(directory, **flags, from_step=3)
    assert run(directory, **flags, from_step=4) == 0
    out = capsys.readouterr().out
    assert "the checkpoints of steps 6 are set aside" in out
    assert "resumes from step 4" in out
    assert digest(directory) == before
    steps = [record["step"] for record in read_metrics(directory / "metrics.jsonl")]
    assert steps == [*range(1, 7)]
    with pytest.raises(RunError, match="--from-step is 4 and --num-steps is 4: no steps are left"):
        run(directory, **{**flags, "num_steps": 4}, from_step=4)
    assert digest(directory) == before
    grids = lambda: sorted(int(p.stem[5:]) for p in (directory / "samples").glob("step_*.png"))
    assert grids() == [6]
    own = directory / "samples" / "step_0000006-crop.png"
    own.touch()
    assert run(directory, **{**flags, "num_steps": 5}, from_step=4) == 0
    own.unlink()  # a file of the user's, which was kept
    assert grids() == [5]


@pytest.mark.slow
def test_a_run_saves_again_after_a_fallback(tmp_path):
    directory = tmp_path / "run"
    flags = {"num_steps": 6, "checkpoint_every": 2}
    assert run(directory, **flags) == 0
    before = digest(directory)
    without_score(directory / "checkpoints" / "6")
    with pytest.warns(UserWarning, match="the checkpoint of step 6 in .* is damaged"):
        assert run(directory, **flags) == 0
    assert digest(directory) == before
    assert checkpoint.read_record(directory / "checkpoints", 6)["step"] == 6


def run(directory, **fields) -> int:
    fields = {"evaluate_every": 0, "log_to": (), "compilation_cache": False} | fields
    config = small.Config(run_dir=str(directory), **fields)
    return launch(config, lambda *args: small.make(*args), name="small")


def digest(directory) -> str:
    return checkpoint.digest(checkpoint.restore_plain(directory / "checkpoints"))


# ---- loops of one's own


def init(key, batch):
    return {"x": jnp.array(1.0), "y": 2.0}, {"x": {}, "y": {"seen": jnp.array(0.0)}}


def x_loss(params, model_state, batch, key, step):
    return params["x"] * params["y"], jaxgan.LossAux(model_state["x"], {})


def y_loss(params, model_state, batch, key, step):
    return -params["x"] * params["y"], jaxgan.LossAux({"seen": jnp.array(1.0)}, {})


BILINEAR = jaxgan.alternating(
    jaxgan.Game(init, {"x": x_loss, "y": y_loss}),
    {"x": optax.sgd(0.1), "y": optax.adam(0.1)},
    ema={"y": 0.5},
)


def ones(start, count):
    return {"image": np.ones((count, 1))}


def test_weakly_typed_parameters_are_compiled_for_once():
    algorithm = jaxgan.jit(BILINEAR, max_traces=1)
    chex.clear_trace_counter()
    state = jaxgan.fit(algorithm, ones, key=jax.random.key(0), num_steps=3)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(state))


@pytest.fixture
def terminal():
    """Ctrl-C is an interrupt, as in a terminal, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("terminal")
def test_ctrl_c_in_fit_returns_the_state():
    def interrupt(step, state, metrics):
        if step == 4:
            signal.raise_signal(signal.SIGINT)

    algorithm, key = jaxgan.jit(BILINEAR), jax.random.key(0)
    with pytest.warns(UserWarning, match="interrupted at step 4 of 9; the state is returned"):
        state = jaxgan.fit(algorithm, ones, key=key, num_steps=9, callbacks=[interrupt])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    end = jaxgan.fit(algorithm, ones, key=key, num_steps=9, state=state)
    assert equal(end, jaxgan.fit(algorithm, ones, key=key, num_steps=9))


@pytest.mark.usefixtures("terminal")
def test_a_second_ctrl_c_is_an_interrupt():
    def twice(step, state, metrics):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        jaxgan.fit(
            jaxgan.jit(BILINEAR), ones, key=jax.random.key(0), num_steps=9, callbacks=[twice]
        )
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
