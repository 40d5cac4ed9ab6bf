"""What holds for every game and training algorithm: one set of tests over the registry."""

import collections
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgan
from jaxgan import checkpoint, latents
from jaxgan.training import play_turn
from tests.games import ALSO_TRANSFORMED, CASES, QUICK, TRANSFORMED, minibatch, minibatches
from tests.programs.common import count_compilations

KEY = jax.random.key(7)
KEYS = jax.random.split(KEY, 2)
NETWORKS = ("biggan", "fastgan", "r3gan", "stylegan2")  # in the game and turns of other cases
TRACES = collections.Counter()  # of each case's update


@functools.cache
def jitted(name):
    """A case's algorithm, compiled once for all tests."""
    algorithm = CASES[name]().algorithm

    def update(*args):
        TRACES[name] += 1
        return algorithm.update(*args)

    return jaxgan.jit(algorithm._replace(update=update))


def marked(names, quick):
    """Names of cases, marked slow unless they belong to the quick suite."""
    slow = pytest.mark.slow
    return [name if name in quick else pytest.param(name, marks=slow) for name in names]


@pytest.fixture(params=marked(CASES, QUICK))
def name(request):
    return request.param


@pytest.fixture(params=marked(TRANSFORMED + ALSO_TRANSFORMED, TRANSFORMED))
def transformed(request):
    return request.param


def play(algorithm, num_steps, state=None):
    return jaxgan.fit(algorithm, minibatches, key=KEY, num_steps=num_steps, state=state)


def assert_same_bits(a, b):
    chex.assert_trees_all_equal_shapes_and_dtypes(a, b)
    assert checkpoint.digest(a) == checkpoint.digest(b)


def assert_all_leaves_differ(a, b):
    chex.assert_trees_all_equal_shapes_and_dtypes(a, b)
    for (path, x), y in zip(jax.tree.leaves_with_path(a), jax.tree.leaves(b), strict=True):
        assert not np.array_equal(x, y), jax.tree_util.keystr(path)


def test_one_trace_same_tree_and_finite(name):
    """And the update changes the parameters and the model state of every player."""
    algorithm = jitted(name)
    first = algorithm.init(KEY, minibatch())
    before = jax.device_get(first)  # the update takes the memory of the state that it is given
    structure = jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), first)
    batches = minibatches(0, algorithm.num_minibatches)
    state, metrics = algorithm.update(first, batches, KEY)
    assert_all_leaves_differ(before.model_state, jax.device_get(state.model_state))
    for player in before.params:
        assert checkpoint.digest(before.params[player]) != checkpoint.digest(state.params[player])
    for _ in range(3):
        state, metrics = algorithm.update(state, batches, KEY)
    assert jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), state) == structure
    chex.assert_tree_all_finite((state, metrics))
    assert set(metrics) == set(before.params)
    assert all("loss" in of_player for of_player in metrics.values())
    assert int(state.step) == 4
    assert TRACES[name] == 1


def test_deterministic_in_the_key(name):
    algorithm = jitted(name)
    assert_same_bits(play(algorithm, 2), play(algorithm, 2))
    batches = minibatches(0, algorithm.num_minibatches)
    fresh = lambda: algorithm.init(KEY, minibatch())
    one, _ = algorithm.update(fresh(), batches, jax.random.key(1))
    other, _ = algorithm.update(fresh(), batches, jax.random.key(2))
    same = checkpoint.digest(one.params) == checkpoint.digest(other.params)
    assert same != CASES[name]().step_depends_on_key


@pytest.mark.parametrize("name", marked([name for name in CASES if name not in NETWORKS], QUICK))
def test_owner_rule(name):
    """In the program of a turn, all that is not the mover's are the variables that came in.

    (That every player's parameters and model state change is seen in the numbers above.)
    """
    case = CASES[name]()
    # Algorithms of their own may have optimizer states with more parts.
    own = jaxgan.simultaneous(case.game, case.optimizers) if case.play else case.algorithm
    state = jax.eval_shape(own.init, KEY, minibatch())
    for mover in case.game.losses:
        turn = functools.partial(play_turn, case.game, case.optimizers, (mover,))
        program, (moved, metrics) = jax.make_jaxpr(turn, return_shape=True)(state, minibatch(), KEY)
        assert set(metrics) == {mover}
        chex.assert_trees_all_equal_shapes_and_dtypes(state, moved)
        paths = [path for path, _ in jax.tree.leaves_with_path(state)]
        before_and_after = (program.jaxpr.invars, program.jaxpr.outvars)
        variables = [of_all[: len(paths)] for of_all in before_and_after]
        for path, before, after in zip(paths, *variables, strict=True):
            field, player = path[0].name, path[1].key if len(path) > 1 else None
            if field in ("params", "model_state") and player == mover:
                assert after is not before, jax.tree_util.keystr(path)
            elif field != "opt_state" or player != mover:
                assert after is before, jax.tree_util.keystr(path)


def test_scanned_steps_are_the_same_steps(transformed):
    one_by_one = play(jitted(transformed), 4)
    scanned = jaxgan.scan_steps(CASES[transformed]().algorithm, 2)
    chex.assert_trees_all_close(one_by_one, play(jaxgan.jit(scanned), 4), rtol=1e-3, atol=5e-5)


@pytest.mark.slow
def test_every_update_can_be_mapped(name):
    """By its trace; the numbers are those of `test_vmap_over_seeds`."""
    algorithm = CASES[name]().algorithm
    batches = minibatches(0, algorithm.num_minibatches)
    states = jax.eval_shape(jax.vmap(lambda key: algorithm.init(key, minibatch())), KEYS)
    after, _ = jax.eval_shape(
        jax.vmap(lambda s, key: algorithm.update(s, batches, key)), states, KEYS
    )
    chex.assert_trees_all_equal_shapes_and_dtypes(states, after)


def test_vmap_over_seeds(transformed):
    one, algorithm = jitted(transformed), CASES[transformed]().algorithm
    batches = minibatches(0, algorithm.num_minibatches)
    starts = [one.init(key, minibatch()) for key in KEYS]
    both = jax.jit(jax.vmap(lambda state, key: algorithm.update(state, batches, key)[0]))
    together = both(jax.tree.map(lambda *x: jnp.stack(x), *starts), KEYS)
    for i, (key, start) in enumerate(zip(KEYS, starts, strict=True)):
        alone, _ = one.update(start, batches, key)
        member = jax.tree.map(lambda x, i=i: x[i], together)
        chex.assert_trees_all_close(alone, member, rtol=1e-3, atol=5e-5)


def test_goes_on_with_the_same_bits(name):
    """The state, the key of the run and the data are all that the next step needs."""
    algorithm = jitted(name)
    copy = jax.tree.map(lambda x: jax.device_put(np.array(x), x.sharding), play(algorithm, 2))
    assert_same_bits(play(algorithm, 4, copy), play(algorithm, 4))


def test_resumes_from_a_checkpoint(transformed, tmp_path):
    algorithm = jitted(transformed)
    uninterrupted = play(algorithm, 4)
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, play(algorithm, 2))
    with checkpoint.open_manager(tmp_path) as manager:
        restored = checkpoint.restore(manager, play(algorithm, 0))
    assert int(restored.step) == 2
    compiled = count_compilations()
    assert_same_bits(play(algorithm, 4, restored), uninterrupted)
    assert compiled() == 0


def test_a_batch_without_its_entries_is_refused(name):
    game, batch = CASES[name]().game, {"photo": minibatch()["image"]}
    with pytest.raises(KeyError, match=r"the batch has no (image|source|x); its entries are photo"):
        jax.eval_shape(lambda key: game.init(key, batch), KEY)


def test_samples_follow_the_batch_and_the_key(name):
    case, state = CASES[name](), jitted(name).init(KEY, minibatch())
    sample = jax.jit(case.game.sample)
    images = sample(state.params, state.model_state, minibatch(), KEY)
    chex.assert_equal_shape([images, minibatch()["image"]])
    assert float(jnp.max(jnp.abs(images))) <= 1.0
    np.testing.assert_array_equal(images, sample(state.params, state.model_state, minibatch(), KEY))
    other = sample(state.params, state.model_state, minibatch(), jax.random.key(8))
    assert np.array_equal(images, other) != case.sample_depends_on_key


@pytest.mark.parametrize(
    ("generated", "logits", "message"),
    [
        ((8, 7, 1), (), r"the generator's output has the shape \(8, 8, 7, 1\), expected that of"),
        ((8, 8, 1), (1,), r"logits have the shape \(8, 1\), .*; return logits\[:, 0\]"),
        ((8, 8, 1), (3, 3, 2), r"logits have the shape \(8, 3, 3, 2\), expected \[batch\] or"),
    ],
)
def test_networks_of_other_shapes_are_refused(generated, logits, message):
    """Logits `[batch, 1]` in particular, which broadcast to pairs of all with all."""

    def network(*shape):
        apply = lambda params, state, x, *, key=None, train: (jnp.zeros((len(x), *shape)), state)
        return jaxgan.Network(lambda key, *inputs: ({}, {}), apply)

    game = jaxgan.games.gan(network(*generated), network(*logits), latent=latents.normal(2))
    loss = game.losses["discriminator"]
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda key: loss(*game.init(key, minibatch()), minibatch(), key, 0), KEY)
