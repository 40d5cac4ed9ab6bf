"""Checkpoints: what is written is what comes back, or it is not used."""

import math
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from jaxgan import checkpoint
from jaxgan.errors import CheckpointError
from tests import games

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def algorithm():
    return jaxgan.jit(games.CASES["dcgan"]().algorithm)


def play(algorithm, num_steps):
    return jaxgan.fit(algorithm, games.minibatches, key=KEY, num_steps=num_steps)


@pytest.fixture
def two_checkpoints(algorithm, tmp_path):
    with checkpoint.open_manager(tmp_path) as manager:
        for num_steps in (1, 2):
            checkpoint.save(manager, play(algorithm, num_steps))
    return tmp_path


def flip_bits(folder: Path) -> None:
    """One in the middle of every file of array data."""
    for path in folder.rglob("d/*"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def restore(folder, algorithm):
    with checkpoint.open_manager(folder) as manager:
        return checkpoint.restore(manager, play(algorithm, 0))


def test_the_newest_comes_back(two_checkpoints, algorithm):
    restored = restore(two_checkpoints, algorithm)
    assert isinstance(restored, jaxgan.TrainState)
    assert checkpoint.digest(restored) == checkpoint.digest(play(algorithm, 2))


def test_into_arrays_of_numpy(two_checkpoints, algorithm):
    """Such as those of `jax.device_get`: the result is on the default device."""
    target = jax.device_get(play(algorithm, 0))
    with checkpoint.open_manager(two_checkpoints) as manager:
        restored = checkpoint.restore(manager, target)
    assert checkpoint.digest(restored) == checkpoint.digest(play(algorithm, 2))
    assert {x.devices().pop() for x in jax.tree.leaves(restored)} == {jax.devices()[0]}


def test_without_the_game(two_checkpoints, algorithm):
    plain = checkpoint.restore_plain(two_checkpoints)
    assert int(plain["step"]) == 2
    assert checkpoint.digest(plain) == checkpoint.digest(play(algorithm, 2))


def test_a_flipped_bit_is_detected(two_checkpoints, algorithm):
    flip_bits(two_checkpoints / "2")
    with pytest.warns(UserWarning, match="the checkpoint of step 2 in .* is damaged"):
        restored = restore(two_checkpoints, algorithm)
    assert checkpoint.digest(restored) == checkpoint.digest(play(algorithm, 1))


def test_missing_files_are_detected(two_checkpoints, algorithm):
    for path in sorted((two_checkpoints / "2").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    with pytest.warns(UserWarning, match="the checkpoint of step 2"):
        assert int(restore(two_checkpoints, algorithm).step) == 1


def test_when_all_are_damaged(two_checkpoints, algorithm):
    for step in ("1", "2"):
        flip_bits(two_checkpoints / step)
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(CheckpointError, match=r"the checkpoints of steps 1, 2 in .* are damaged"),
    ):
        restore(two_checkpoints, algorithm)


def test_when_there_is_none(tmp_path, algorithm):
    assert restore(tmp_path / "empty", algorithm) is None
    with pytest.raises(CheckpointError, match="holds no checkpoint yet"):
        checkpoint.restore_plain(tmp_path / "empty")
    with pytest.raises(CheckpointError, match="does not exist"):
        checkpoint.restore_plain(tmp_path / "nowhere")


def test_another_structure_is_one_clear_error(two_checkpoints):
    other = jaxgan.jit(games.CASES["minimax"]().algorithm)
    with pytest.raises(CheckpointError, match=r"has ema_model_state/generator/.* expects none"):
        restore(two_checkpoints, other)


@pytest.mark.parametrize("name", ["a b", "%41", "a*", "why?", "ü", "[", "]["])
def test_names_of_folders(name, algorithm, tmp_path):
    with checkpoint.open_manager(tmp_path / name / "checkpoints") as manager:
        checkpoint.save(manager, play(algorithm, 0))
    assert int(checkpoint.restore_plain(tmp_path / name / "checkpoints")["step"]) == 0


@pytest.mark.parametrize("name", ["back\\slash", "gs:", "ags:", "s3:"])
def test_names_that_orbax_cannot_write(name, algorithm, tmp_path):
    with (
        checkpoint.open_manager(tmp_path / name / "checkpoints") as manager,
        pytest.raises(CheckpointError, match=r"takes '.*' for a part of another address; rename"),
    ):
        checkpoint.save(manager, play(algorithm, 0))


@pytest.mark.parametrize("name", ["runs [1]", "r1=[0.1]"])
def test_nothing_is_saved_where_orbax_would_save_no_arrays(name, two_checkpoints, algorithm):
    """Orbax reads there, so that a folder may have been renamed."""
    folder = two_checkpoints.rename(two_checkpoints.with_name(name))
    assert int(restore(folder, algorithm).step) == 2
    with (
        checkpoint.open_manager(folder) as manager,
        pytest.raises(CheckpointError, match=r"brackets of '.*' for a pattern; rename"),
    ):
        checkpoint.save(manager, play(algorithm, 3))
    assert checkpoint.steps_of(folder) == [2, 1]
    assert checkpoint.steps_of(str(folder)) == [2, 1]
    assert checkpoint.newest_step(str(folder)) == 2


def test_the_oldest_goes_and_a_second_save_of_a_step_is_none(algorithm, tmp_path):
    with checkpoint.open_manager(tmp_path) as manager:
        for num_steps in (1, 2, 3, 3):
            checkpoint.save(manager, play(algorithm, num_steps))
        manager.wait_until_finished()
        assert list(manager.all_steps()) == [2, 3]


def test_the_best_is_kept_and_a_score_of_nan_is_none(algorithm, tmp_path):
    with checkpoint.open_manager(str(tmp_path), newest=1) as manager:
        for num_steps, score in enumerate((math.nan, 5.0, 1.0, math.nan), start=1):
            checkpoint.save(manager, play(algorithm, num_steps), score=score)
        manager.wait_until_finished()
        assert list(manager.all_steps()) == [2, 4]
        best = checkpoint.restore(manager, play(algorithm, 0), best=True)
    assert int(best.step) == 2


def test_another_dtype_is_another_configuration(two_checkpoints, algorithm):
    """Not a damaged checkpoint."""
    state = play(algorithm, 0)
    half = state._replace(params=optax.tree.cast(state.params, jnp.bfloat16))
    with (
        checkpoint.open_manager(two_checkpoints) as manager,
        pytest.raises(CheckpointError, match=r"float32, this program expects .*, bfloat16"),
    ):
        checkpoint.restore(manager, half)


def test_digest_is_over_names_shapes_dtypes_and_bytes():
    tree = {"a": {"b": np.zeros((2, 3), np.float32)}}
    digest = checkpoint.digest(tree)
    assert digest == checkpoint.digest({"a": {"b": np.zeros((2, 3), np.float32)}})
    assert len(digest) == 64
    others = [
        {"a": {"c": np.zeros((2, 3), np.float32)}},
        {"a": {"b": np.zeros((3, 2), np.float32)}},
        {"a": {"b": np.zeros((2, 3), np.int32)}},
        {"a": {"b": -np.zeros((2, 3), np.float32)}},  # the sign of a zero is a bit
    ]
    assert len({digest, *map(checkpoint.digest, others)}) == 5


def test_saving_while_going_on(algorithm, tmp_path):
    """The state is donated to the next update while the save is under way."""
    with checkpoint.open_manager(tmp_path) as manager:
        save = lambda step, state, metrics: step == 3 and checkpoint.save(manager, state)
        jaxgan.fit(algorithm, games.minibatches, key=KEY, num_steps=6, callbacks=[save])
    assert checkpoint.digest(restore(tmp_path, algorithm)) == checkpoint.digest(play(algorithm, 3))


def test_an_interrupted_save_is_ignored(two_checkpoints, algorithm):
    os.makedirs(two_checkpoints / "3.orbax-checkpoint-tmp" / "state")
    assert int(restore(two_checkpoints, algorithm).step) == 2


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_typed_keys_of_an_optimizer_come_back(tmp_path, impl):
    """Noise on the gradients has a key in the optimizer's state."""
    noisy = optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(3, impl=impl)), optax.sgd(1e-2))
    game = games.mlp_gan()
    algorithm = jaxgan.jit(jaxgan.alternating(game, dict.fromkeys(game.losses, noisy)))
    state = play(algorithm, 1)
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, state)
        found = checkpoint.restore(manager, state)
    key = lambda state: state.opt_state["generator"][0].rng_key
    assert key(found).dtype == key(state).dtype
    np.testing.assert_array_equal(*map(jax.random.key_data, (key(found), key(state))))
    assert checkpoint.digest(found) == checkpoint.digest(state)
    ends = [
        jaxgan.fit(
            algorithm, games.minibatches, key=KEY, num_steps=2, state=jax.tree.map(jnp.copy, s)
        )
        for s in (state, found)
    ]
    assert checkpoint.digest(ends[0]) == checkpoint.digest(ends[1])
