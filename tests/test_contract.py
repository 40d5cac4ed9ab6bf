"""What holds for every game and way of playing; one set of tests over the registry."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgan
from jaxgan import checkpoint
from jaxgan.training import play_turn
from tests.games import CASES, QUICK, minibatches

KEY = jax.random.key(7)


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]()


@pytest.fixture(
    params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def one_of_each_kind(request):
    return CASES[request.param]()


def play(algorithm, rounds, state=None):
    return jaxgan.fit(algorithm, minibatches, key=KEY, num_steps=rounds, state=state)


def assert_same_bits(a, b):
    chex.assert_trees_all_equal_shapes_and_dtypes(a, b)
    assert checkpoint.digest(a) == checkpoint.digest(b)


def test_one_trace_same_tree_and_finite(case):
    chex.clear_trace_counter()
    algorithm = jaxgan.jit(case.algorithm, max_traces=1)
    first = algorithm.init(KEY, jax.tree.map(lambda x: x[0], minibatches(0, 1)))
    structure = jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), first)
    batches = minibatches(0, algorithm.num_minibatches)
    state, metrics = algorithm.update(first, batches, KEY)
    for _ in range(3):
        state, metrics = algorithm.update(state, batches, KEY)
    assert jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), state) == structure
    chex.assert_tree_all_finite((state, metrics))
    assert set(metrics) == set(case.game.losses)
    assert all("loss" in of_player for of_player in metrics.values())
    assert int(state.step) == 4


def test_deterministic_in_the_key(case):
    algorithm = jaxgan.jit(case.algorithm)
    assert_same_bits(play(algorithm, 2), play(algorithm, 2))
    batches = minibatches(0, algorithm.num_minibatches)
    fresh = lambda: algorithm.init(KEY, jax.tree.map(lambda x: x[0], minibatches(0, 1)))
    one, _ = algorithm.update(fresh(), batches, jax.random.key(1))
    other, _ = algorithm.update(fresh(), batches, jax.random.key(2))
    same = checkpoint.digest(one.params) == checkpoint.digest(other.params)
    assert same != case.rounds_vary


def test_owner_rule(case):
    """A turn changes what is the mover's, and no other bit."""
    batch = jax.tree.map(lambda x: x[0], minibatches(0, 1))
    state = jax.jit(case.algorithm.init)(KEY, batch)
    for mover in case.game.losses:
        moved, metrics = play_turn(case.game, case.optimizers, (mover,), state, batch, KEY)
        assert set(metrics) == {mover}
        for field in ("params", "model_state", "opt_state"):
            for player in case.game.losses:
                before, after = getattr(state, field)[player], getattr(moved, field)[player]
                if player != mover:
                    assert_same_bits(before, after)
                elif field == "params":
                    assert checkpoint.digest(before) != checkpoint.digest(after)
                else:
                    chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
        for field in ("step", "ema_params", "ema_model_state"):
            assert_same_bits(getattr(state, field), getattr(moved, field))


def test_scanned_rounds_are_the_same_rounds(one_of_each_kind):
    algorithm = one_of_each_kind.algorithm
    one_by_one = play(jaxgan.jit(algorithm), 4)
    scanned = play(jaxgan.jit(jaxgan.scan_steps(algorithm, 2)), 4)
    chex.assert_trees_all_close(one_by_one, scanned, rtol=1e-3, atol=5e-5)


def test_vmap_over_seeds(one_of_each_kind):
    algorithm = one_of_each_kind.algorithm
    keys = jax.random.split(KEY, 2)
    batch = jax.tree.map(lambda x: x[0], minibatches(0, 1))
    batches = minibatches(0, algorithm.num_minibatches)
    one = jaxgan.jit(algorithm)  # which the tests above have compiled
    states = jax.jit(jax.vmap(algorithm.init, in_axes=(0, None)))(keys, batch)
    together, _ = jax.jit(jax.vmap(algorithm.update, in_axes=(0, None, 0)))(states, batches, keys)
    for i, key in enumerate(keys):
        alone, _ = one.update(one.init(key, batch), batches, key)
        member = jax.tree.map(lambda x, i=i: x[i], together)
        chex.assert_trees_all_close(alone, member, rtol=1e-3, atol=5e-5)


def test_resumes_with_the_same_bits(case, tmp_path):
    algorithm = jaxgan.jit(case.algorithm)
    never_stopped = play(algorithm, 4)
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, play(algorithm, 2))
    with checkpoint.open_manager(tmp_path) as manager:
        target = play(algorithm, 0)
        restored = checkpoint.restore(manager, target)
    assert int(restored.step) == 2
    assert_same_bits(play(algorithm, 4, restored), never_stopped)


def test_samples_follow_the_batch_and_the_key(case):
    batch = jax.tree.map(lambda x: x[0], minibatches(0, 1))
    state = jax.jit(case.algorithm.init)(KEY, batch)
    sample = jax.jit(case.game.sample)
    images = sample(state.params, state.model_state, batch, KEY)
    chex.assert_equal_shape([images, batch["image"]])
    assert float(jnp.max(jnp.abs(images))) <= 1.0
    np.testing.assert_array_equal(images, sample(state.params, state.model_state, batch, KEY))
    other = sample(state.params, state.model_state, batch, jax.random.key(8))
    assert np.array_equal(images, other) != case.samples_vary
