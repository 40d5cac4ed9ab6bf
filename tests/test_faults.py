"""Faults: damaged checkpoints, records and logs cost what was damaged, and never the run."""

import gc
import json
import math
import os
import warnings

import jax.numpy as jnp
import pytest

from benchmarks.faults import corruptions
from benchmarks.faults.corruptions import STEPS, state
from jaxgan import checkpoint
from jaxgan.errors import CheckpointError

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
    path.write_text(path.read_text().replace('"score": -30.0', '"score": 130.0'))


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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_random_damage():
    assert set(corruptions.corruptions(12, 0)) == {"restored", "fallback"}
    gc.collect()  # what Orbax leaves of reads that failed


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
