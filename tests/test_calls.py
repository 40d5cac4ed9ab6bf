"""How games call their networks, by networks that record every call."""

import inspect
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

import jaxgan
from jaxgan import augment, latents, metrics, penalties
from jaxgan import games as jaxgan_games
from tests import games
from tests.games import CASES, minibatch

KEY = jax.random.key(3)
WITHOUT_PENALTY = [name for name in CASES if name.startswith("normalized_")]


class Recorded(NamedTuple):
    """A case's game, and the `train` arguments of all calls of its networks since `clear`."""

    game: jaxgan.Game
    trains: list[bool]


@pytest.fixture
def record(monkeypatch):
    """Makes the game of a case of networks that record.

    A network's state is `{"network": its own, "key": the key it was initialised with, "calls": an
    array with a row for each call in training mode that the state has gone through}`: the number of
    calls is a shape, so nothing needs to be computed.
    """

    def record(name: str) -> Recorded:
        trains: list[bool] = []

        def recording(network: jaxgan.Network) -> jaxgan.Network:
            def init(key, *inputs):
                params, state = network.init(key, *inputs)
                extra = {"key": jax.random.key_data(key), "calls": jnp.zeros((0,))}
                return params, {"network": state, **extra}

            def apply(params, state, *inputs, key=None, train):
                trains.append(train)
                output, own = network.apply(params, state["network"], *inputs, key=key, train=train)
                calls = jnp.zeros((len(state["calls"]) + train,))
                return output, {**state, "network": own, "calls": calls}

            return jaxgan.Network(init, apply)

        for function in ("from_linen", "from_nnx"):
            made = getattr(jaxgan, function)
            monkeypatch.setattr(jaxgan, function, lambda module, made=made: recording(made(module)))
        return Recorded(CASES[name]().game, trains)

    return record


def leaves_named(name, tree):
    leaves = jax.tree.leaves_with_path(tree)
    return [leaf for path, leaf in leaves if path[-1] == jax.tree_util.DictKey(name)]


# Networks with batch statistics cannot go through one pass of real and generated images.
@pytest.mark.parametrize("name", [n for n in CASES if n != "one_stage_relativistic_average_r1"])
def test_losses_train_their_networks_and_samples_do_not(record, name):
    game, trains = record(name)
    params, state = jax.eval_shape(game.init, KEY, minibatch())
    for loss in game.losses.values():
        trains.clear()
        jax.eval_shape(loss, params, state, minibatch(), KEY, jnp.array(0))
        assert trains
        assert all(trains)
    trains.clear()
    sampled = jax.eval_shape(game.sample, params, state, rows(5), KEY)
    assert sampled.shape == (5, 8, 8, 1)
    if game.encode is not None:
        codes = jax.eval_shape(game.encode, params, state, minibatch()["image"])
        assert codes.shape[0] == games.BATCH
        assert jax.eval_shape(game.decode, params, state, codes).shape[0] == games.BATCH
    assert trains
    assert set(trains) == {name == "pix2pix"}  # stochastic: samples keep dropout, as in its paper


def rows(n):
    """The first rows of the minibatch: as many as no other axis has."""
    return jax.tree.map(lambda x: x[:n], minibatch())


@pytest.mark.parametrize("name", WITHOUT_PENALTY)
def test_a_movers_state_goes_through_every_call_of_its_networks(record, name):
    """As with the running statistics of batch normalisation in other frameworks."""
    game, trains = record(name)
    params, state = jax.eval_shape(game.init, KEY, minibatch())
    for player, loss in game.losses.items():
        trains.clear()
        _, aux = jax.eval_shape(loss, params, state, minibatch(), KEY, jnp.array(0))
        calls = [leaf.shape[0] for leaf in leaves_named("calls", aux.model_state)]
        assert sum(calls) == CALLS[name][player]


CALLS = {
    "normalized_gan": {"discriminator": 2, "generator": 1},
    "normalised_pix2pix": {"discriminator": 2, "generator": 1},
    # Of both directions: translation, cycle, identity; of both domains: real and generated.
    "normalized_cyclegan": {"discriminators": 4, "generators": 6},
    "normalized_autoencoder": {"autoencoder": 2},
    "normalized_vae": {"autoencoder": 2},
    # The decoder: reconstruction and sample; the discriminator: these and the real images.
    "normalized_vae_gan": {"encoder": 1, "decoder": 2, "discriminator": 3},
    "normalized_adversarial_autoencoder": {"discriminator": 2, "autoencoder": 2},
    "normalized_bigan": {"discriminator": 2, "generator": 1, "encoder": 1},
}


@pytest.mark.parametrize("name", WITHOUT_PENALTY)
def test_networks_are_initialised_with_keys_of_their_own(record, name):
    game, _ = record(name)
    state = jax.jit(lambda key: game.init(key, minibatch())[1])(KEY)
    keys = [tuple(leaf.tolist()) for leaf in leaves_named("key", state)]
    assert len(keys) >= 2
    assert len(set(keys)) == len(keys)


def test_bounds_of_a_vae_do_not_train_its_networks(record):
    _, trains = record("normalized_vae")
    network = jaxgan.from_linen(games.Normalized((2, 3)))
    decoder = jaxgan.from_linen(games.Normalized((8, 8, 1)))
    params, state = jax.eval_shape(jaxgan.vae(network, decoder).init, KEY, minibatch())
    trains.clear()
    bounds = jaxgan_games.vae_bounds(network, decoder, num_samples=2)
    jax.eval_shape(bounds, params, state, minibatch(), KEY)
    assert trains
    assert not any(trains)


def test_vaes_encode_by_the_mean():
    """Not by the other half of what the encoder returns, the logarithm of the variance."""
    halves = jnp.stack([jnp.full((4, 3), 2.0), jnp.full((4, 3), -7.0)], axis=1)
    encoder = jaxgan.Network(lambda key, *x: ({}, {}), lambda p, s, x, **_: (halves, s))
    assert latents.mean_and_log_var(halves)[0].tolist() == halves[:, 0].tolist()
    empty = {"encoder": {}, "decoder": {}, "discriminator": {}, "likelihood": {}}
    for game, params in (
        (jaxgan.vae(encoder, encoder), {"autoencoder": empty}),
        (jaxgan.vae_gan(encoder, encoder, encoder), empty),
    ):
        codes = game.encode(params, params, jnp.zeros((4, 8, 8, 1)))
        assert codes.tolist() == halves[:, 0].tolist()


# Defaults that a paper, its code, or the protocol of a published number prescribes.
DEFAULTS = [
    (jaxgan.cyclegan, {"cycle_weight": 10.0, "identity_weight": 0.5, "pool_size": 50}),
    (jaxgan.pix2pix, {"l1_weight": 100.0}),
    (jaxgan.vae_gan, {"gamma": 1.0, "prior_weight": 1.0, "saturating": False}),
    (jaxgan.adversarial_autoencoder, {"adversarial_weight": 0.01}),
    (jaxgan_games.vae_bounds, {"num_samples": 500}),
    (jaxgan.penalties.lecam, {"decay": 0.99}),
    (penalties.path_length, {"decay": 0.99}),
    (penalties.dragan, {"scale": 0.5}),
    (penalties.approximate_r1, {"sigma": 0.01}),
    (penalties.approximate_r2, {"sigma": 0.01}),
    (penalties.latent_consistency, {"sigma": 0.03}),
    (penalties.latent_diversity, {"sigma": 0.03}),
    (penalties.mode_seeking, {"epsilon": 1e-5}),
    (penalties.mutual_information, {"continuous_weight": 1.0}),
    (jaxgan.training.negative_momentum, {"momentum": -0.3, "accumulate": 1}),
    (jaxgan.training.one_stage, {"accumulate": 1}),
    (penalties.auxiliary_classifier, {"of": ("real", "fake")}),
    (augment.ada, {"p": 0.0, "target": 0.6, "images": 500_000, "interval": 4}),
    (metrics.classifier_score, {"splits": 10}),
    (metrics.precision_recall_density_coverage, {"k_precision": 3, "k_density": 5}),
    (metrics.mode_coverage, {"within": 3.0}),
    (metrics.nearest, {"k": 1, "same": False}),
]


@pytest.mark.parametrize(("function", "defaults"), DEFAULTS)
def test_defaults_are_those_of_the_papers(function, defaults):
    parameters = inspect.signature(function).parameters
    assert {name: parameters[name].default for name in defaults} == defaults
