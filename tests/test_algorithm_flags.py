"""`--algorithm` and `--optimizer`: every training algorithm from the flags of an experiment."""

import typing

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import mixture
from jaxgan.errors import RunError
from jaxgan.runs.config.algorithms import AlgorithmConfig, optimizer, play
from tests import games

NAMES = typing.get_args(typing.get_type_hints(AlgorithmConfig)["algorithm"])
KEY = jax.random.key(0)
RING = {"image": np.zeros((1, 8, 2), np.float32)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_every_name_is_an_algorithm(name):
    config = mixture.Config(algorithm=name, features=4, lr_decay="cosine")
    _, algorithm = mixture.make_gan(config)
    state = jax.eval_shape(algorithm.init, KEY, {"image": RING["image"][0]})
    after, metrics = jax.eval_shape(algorithm.update, state, RING, KEY)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert set(metrics) == {"discriminator", "generator"}


@pytest.mark.parametrize(
    ("name", "number", "values"),
    [
        ("consensus", "adjustment", (0.5, 2.0)),
        ("symplectic", "adjustment", (0.5, 2.0)),
        ("unrolled", "unroll_steps", (1, 2)),
        ("negative_momentum", "momentum", (-0.5, -0.1)),
        ("lookahead", "lookahead_weight", (0.5, 1.0)),
    ],
)
@pytest.mark.slow
def test_numbers_of_an_algorithm_reach_it(name, number, values):
    """The steps differ where the number does, and only there."""
    kernels = []
    for value in (*values, values[0]):
        more = {number: value, "lookahead_every": 1}
        config = AlgorithmConfig(algorithm=name, optimizer="sgd", **more)
        chosen = optimizer(config, 0.1, decay_steps=1)
        game = games.mlp_gan()
        algorithm = play(config, game, dict.fromkeys(game.losses, chosen), step_size=0.1)
        state = algorithm.init(KEY, games.minibatch())
        update = jax.jit(algorithm.update)
        for _ in range(2):
            state, _ = update(state, games.minibatches(0, 1), KEY)
        kernels.append(np.asarray(state.params["generator"]["Dense_0"]["kernel"]))
    np.testing.assert_array_equal(kernels[0], kernels[2])
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-7


@pytest.mark.parametrize(("name", "per_step"), [("alternating", 1), ("extragradient", 2)])
def test_rates_decay_in_training_steps(name, per_step):
    """Where a training step has two optimizer steps, the schedule counts both."""
    config = AlgorithmConfig(algorithm=name, optimizer="sgd", lr_decay="linear")
    chosen = optimizer(config, 0.1, decay_steps=4)
    state, steps = chosen.init(jnp.ones(())), []
    for _ in range(4 * per_step + 1):
        update, state = chosen.update(jnp.ones(()), state)
        steps.append(-float(update))
    np.testing.assert_allclose(steps, np.linspace(0.1, 0.0, 4 * per_step + 1), atol=1e-8)


@pytest.mark.parametrize("rule", ["adam", "rmsprop"])
def test_unrolled_optimizers_have_a_derivative_where_the_gradient_is_zero(rule):
    def step(gradient, name):
        config = AlgorithmConfig(algorithm=name, optimizer=rule)
        chosen = optimizer(config, 0.1, decay_steps=1)
        return chosen.update(gradient, chosen.init(gradient))[0]

    assert np.isfinite(jax.grad(step)(jnp.zeros(()), "unrolled"))
    assert not np.isfinite(jax.grad(step)(jnp.zeros(()), "alternating"))


def test_sgd_clips_the_gradient():
    config = AlgorithmConfig(optimizer="sgd", clip_norm=0.5)
    chosen = optimizer(config, 1.0, decay_steps=1)
    update, _ = chosen.update(jnp.array([3.0, 4.0]), chosen.init(jnp.zeros(2)))
    np.testing.assert_allclose(update, [-0.3, -0.4], rtol=1e-6)


@pytest.mark.parametrize(
    ("flags", "turns", "message"),
    [
        ({"algorithm": "ode"}, 2, "--algorithm ode has one turn for all players"),
        ({"algorithm": "consensus", "accumulate": 2}, 1, "consensus does not accumulate"),
        ({"optimizer": "sgd", "weight_decay": 0.1}, 1, "--weight-decay is for --optimizer adam"),
    ],
)
def test_flags_that_do_not_agree(flags, turns, message):
    config, game = AlgorithmConfig(**flags), games.mlp_gan()
    with pytest.raises(RunError, match=message):
        play(
            config,
            game,
            dict.fromkeys(game.losses, optimizer(config, 0.1, decay_steps=1)),
            step_size=0.1,
            turns=[*turns * ["discriminator"], "generator"],
        )


def test_several_turns_are_played():
    config, game = AlgorithmConfig(), games.mlp_gan()
    turns = ["discriminator", "discriminator", "generator"]
    optimizers = dict.fromkeys(game.losses, optax.sgd(0.1))
    assert play(config, game, optimizers, step_size=0.1, turns=turns).num_minibatches == 2
