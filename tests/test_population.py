"""Populations: members are single runs, trained by one program."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from jaxgan import (
    augment,
    checkpoint,
    from_linen,
    latents,
    losses,
    optimizers,
    penalties,
    schedules,
    vae,
)
from jaxgan.networks import MLP
from jaxgan.population import (
    diverged,
    in_turn,
    member,
    member_keys,
    population,
    stack,
    stacked_minibatches,
)
from tests import games

SEEDS = (3, 4, 5)
HYPER = {"lr": jnp.array([0.01, 0.03, 0.1]), "r1": jnp.array([0.1, 1.0, 3.0])}


def make(numbers):
    """SGD, which shows a wrong scale of a gradient; a lazy penalty, and an average."""
    penalty = penalties.lazily(penalties.weighted((numbers["r1"], penalties.r1)), every=2)
    optimizers = {"discriminator": optax.sgd(numbers["lr"]), "generator": optax.sgd(0.05)}
    game = games.mlp_gan(penalty=penalty)
    return jaxgan.alternating(game, optimizers, ema={"generator": 1.0 - numbers["lr"]})


def bilinear_game():
    """`min max x y`, whose simultaneous descent multiplies `x + i y` by `1 - i h`."""
    init = lambda key, batch: ({"x": jnp.ones(()), "y": jnp.ones(())}, {"x": {}, "y": {}})
    loss = lambda sign: lambda p, *_: (sign * p["x"] * p["y"], jaxgan.LossAux({}, {}))
    return jaxgan.Game(init, {"x": loss(-1.0), "y": loss(1.0)}, None)


BILINEAR = bilinear_game()


def own_minibatches(number, start, count):
    """Minibatches of member `number`, in an order of its own."""
    return games.minibatches(start + 100 * number, count)


@pytest.fixture(scope="module")
def together():
    """Three members after 100 steps with hyper-parameters and data of their own."""
    data = stacked_minibatches([partial(own_minibatches, i) for i in range(3)])
    algorithm = jaxgan.jit(population(make, HYPER, own_data=True))
    return jaxgan.fit(algorithm, data, key=member_keys(SEEDS), num_steps=100)


def assert_close(a, b, tolerance=1e-5):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * max(1.0, np.abs(y).max()))


@pytest.mark.parametrize("index", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in (1, 2))])
def test_a_member_is_its_single_run(together, index):
    numbers = jax.tree.map(lambda x: float(x[index]), HYPER)
    key = jax.random.key(SEEDS[index])
    alone = jaxgan.fit(
        jaxgan.jit(make(numbers)), partial(own_minibatches, index), key=key, num_steps=100
    )
    one = member(together, index)
    chex.assert_trees_all_equal_shapes_and_dtypes(one, alone)
    assert_close(one, alone)
    assert np.abs(one.params["generator"]["Dense_0"]["kernel"]).max() > 0.1


def test_members_differ(together):
    kernels = together.params["generator"]["Dense_0"]["kernel"]
    assert min(np.abs(kernels[i] - kernels[i - 1]).max() for i in range(3)) > 0.1
    assert together.step.shape == () == member(together, 0).step.shape
    with pytest.raises(IndexError, match="there is no member 3 of a population of 3"):
        member(together, 3)


def test_a_member_goes_on_alone_and_returns(together):
    numbers = jax.tree.map(lambda x: float(x[1]), HYPER)
    data = stacked_minibatches([partial(own_minibatches, i) for i in range(3)])
    algorithm = jaxgan.jit(population(make, HYPER, own_data=True))
    copy = jax.tree.map(jnp.array, together)
    states = [member(copy, i) for i in range(3)]
    chex.assert_trees_all_equal(stack(states), together)
    later = jaxgan.fit(algorithm, data, key=member_keys(SEEDS), num_steps=104, state=copy)
    alone = jaxgan.fit(
        jaxgan.jit(make(numbers)),
        partial(own_minibatches, 1),
        key=jax.random.key(SEEDS[1]),
        num_steps=104,
        state=states[1],
    )
    assert_close(member(later, 1), alone, 1e-6)
    with pytest.raises(ValueError, match="there are no states, expected one for each member"):
        stack([])
    with pytest.raises(ValueError, match=r"at the steps \[100, 104\], expected the same step"):
        stack([states[0], alone])


@pytest.mark.slow
def test_shared_data_and_seeds_alone(tmp_path):
    """An algorithm without hyper-parameters; in scans; from a checkpoint."""
    algorithm = games.CASES["minimax"]().with_sgd.algorithm
    members = jaxgan.jit(jaxgan.scan_steps(population(algorithm), 2))
    keys = member_keys(SEEDS)
    state = jaxgan.fit(members, games.minibatches, key=keys, num_steps=4)
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, state)
    with checkpoint.open_manager(tmp_path) as manager:
        restored = checkpoint.restore(manager, state)
    chex.assert_trees_all_equal(state, restored)
    state = jaxgan.fit(members, games.minibatches, key=keys, num_steps=6, state=restored)
    single = jaxgan.jit(algorithm)
    for i, seed in enumerate(SEEDS):
        alone = jaxgan.fit(single, games.minibatches, key=jax.random.key(seed), num_steps=6)
        assert_close(member(state, i), alone, 1e-6)


@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize("own_data", [False, True])
def test_chunks_are_the_whole(chunk, own_data):
    """Of a bilinear game whose rates are the hyper-parameters, by hand."""
    rates = jnp.array([0.1, 0.2, 0.3])
    bilinear = lambda h: jaxgan.simultaneous(BILINEAR, {"x": optax.sgd(h), "y": optax.sgd(h)})
    algorithm = jaxgan.jit(population(bilinear, rates, own_data=own_data, chunk=chunk))
    shape = (2, 3, 1) if own_data else (2, 1)
    data = lambda start, count: {"image": np.ones((count, *shape[1:]))}
    state = jaxgan.fit(algorithm, data, key=member_keys(SEEDS), num_steps=2)
    z = (1.0 + 1.0j) * (1.0 - 1j * np.asarray(rates)) ** 2
    np.testing.assert_allclose(state.params["x"], z.real, rtol=1e-6)
    np.testing.assert_allclose(state.params["y"], z.imag, rtol=1e-6)


def test_members_of_scanned_steps_count_them():
    single = jaxgan.simultaneous(BILINEAR, {"x": optax.sgd(0.1), "y": optax.sgd(0.1)})
    members = population(jaxgan.scan_steps(single, 3))
    keys, batches = member_keys(SEEDS), {"image": np.ones((3, 1, 1))}
    state, _ = members.update(members.init(keys, {}), batches, keys)
    assert int(state.step) == 3
    np.testing.assert_allclose(state.params["x"], ((1 + 1j) * (1 - 0.1j) ** 3).real, rtol=1e-6)


@pytest.mark.parametrize("own_data", [False, True])
@pytest.mark.slow
def test_members_in_turn_have_the_bits_of_single_runs(own_data):
    algorithm = games.CASES["minimax"]().algorithm
    samplers = [partial(own_minibatches, i if own_data else 0) for i in range(2)]
    data = stacked_minibatches(samplers) if own_data else samplers[0]
    members = in_turn(jaxgan.scan_steps(algorithm, 2), own_data=own_data)
    state = jaxgan.fit(members, data, key=member_keys(SEEDS[:2]), num_steps=4)
    single = jaxgan.jit(jaxgan.scan_steps(algorithm, 2))
    for i, sampler in enumerate(samplers):
        alone = jaxgan.fit(single, sampler, key=jax.random.key(SEEDS[i]), num_steps=4)
        chex.assert_trees_all_equal(member(state, i), alone)


def test_a_member_that_diverges_does_not_end_the_others():
    hyper = {"lr": jnp.array([0.05, 1e30, 0.05]), "r1": jnp.array([0.1, 0.1, 0.1])}
    seen = []
    state = jaxgan.fit(
        jaxgan.jit(population(make, hyper)),
        games.minibatches,
        key=member_keys((3, 4, 3)),
        num_steps=4,
        callbacks=[lambda step, state, metrics: seen.append(diverged(metrics))],
    )
    np.testing.assert_array_equal(seen[-1], [False, True, False])
    chex.assert_tree_all_finite(member(state, 0))
    assert_close(member(state, 0), member(state, 2), 0.0)


def test_hyperparameters_of_schedules_and_terms_may_be_traced():
    """Numbers are checked where they are numbers; an array may be a member's."""

    @jax.vmap
    def made(x):
        augment.ada(("brightness",), p=x, target=None)
        penalties.lecam(x), penalties.path_length(x), penalties.mode_seeking(epsilon=x)
        networks = (from_linen(MLP((4,), output_shape=(4,))), from_linen(MLP((4,))))
        vae(*networks, beta=x, free_bits=x)
        losses.minimax(x), losses.non_saturating(x)
        return schedules.ema_warmup(x)(0), schedules.ema_half_life(x, batch_size=1)(0)

    warmup, half_life = made(jnp.array([0.05, 0.5]))
    np.testing.assert_allclose(warmup, [0.05, 0.1], rtol=1e-6)
    np.testing.assert_allclose(half_life, [0.5**20, 0.25], rtol=1e-5)


def test_bounds_and_deviations_of_members():
    """Each member's is its own, as that of a number."""
    weights, x, key = jnp.array([-2.0, 0.3, 1.5]), jnp.array([[0.5, -1.0]]), jax.random.key(0)

    def results(value):
        clip = optimizers.clip_weights(value)
        step, _ = clip.update(jnp.zeros(3), clip.init(weights), weights)
        prior = latents.truncated_normal(4, value)(key, 2)
        likelihood = losses.gaussian(value).log_prob({}, jnp.zeros((1, 2)), x)
        return weights + step, prior, latents.uniform(4, -value, value)(key, 2), likelihood

    together = jax.vmap(results)(jnp.array([0.5, 1.0]))
    for i, value in enumerate((0.5, 1.0)):
        alone = results(value)
        assert_close([part[i] for part in together], list(alone), 1e-6)
        assert np.abs(alone[0]).max() == value


def test_what_is_refused():
    algorithm = games.CASES["minimax"]().algorithm
    with pytest.raises(ValueError, match="chunk is 0, expected at least 1 member"):
        population(algorithm, chunk=0)
    with pytest.raises(ValueError, match="expected a function of them that makes one"):
        population(algorithm, {"lr": jnp.array([1e-3, 1.0])})
    with pytest.raises(ValueError, match=r"are those of \[2, 3\] members"):
        population(make, {"lr": jnp.zeros(2), "r1": jnp.zeros(3)})
    for numbers in (0.1, [0.1, 0.2]):
        with pytest.raises(ValueError, match="one number or a list of numbers, expected an array"):
            population(make, {"lr": numbers, "r1": jnp.zeros(2)})
    with pytest.raises(ValueError, match="the hyper-parameters are empty"):
        population(make, {"lr": jnp.zeros(0), "r1": jnp.zeros(0)})
    for members in (population(algorithm), in_turn(algorithm)):
        with pytest.raises(
            ValueError, match=r"the keys have the shape \(\), expected one for each"
        ):
            members.init(jax.random.key(0), games.minibatch())
