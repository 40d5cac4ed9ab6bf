"""Flags of optimizers, precision and memory: what they build."""

import dataclasses
import importlib
import math
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import classifier, cyclegan, gaussian1d, mixture, mnist, translation, vae
from jaxgan import checkpoint, data, schedules
from jaxgan.errors import RunError
from jaxgan.runs import Config, TrainingConfig, launch
from jaxgan.runs.config import algorithms
from jaxgan.runs.config.training_config import adam, check_frozen, frozen, learning_rates
from tests.test_run import EXPERIMENTS

KEY = jax.random.key(0)
PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.array([0.5])}
GRADIENTS = [jax.tree.map(lambda x, i=i: jnp.sin(3.0 * x + i), PARAMS) for i in range(6)]


def steps(optimizer):
    """Parameters after every step on the same gradients, and the last optimizer state."""
    params, state, seen = PARAMS, optimizer.init(PARAMS), []
    update = jax.jit(optimizer.update)
    for gradient in GRADIENTS:
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        seen.append(params)
    return seen, state


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (
            lambda: adam(c := mnist.Config(), 1e-3, decay_steps=c.decay_steps),
            lambda: optax.adam(1e-3, b1=0.0, b2=0.99),
        ),
        (
            lambda: adam(c := vae.Config(decay_steps=4), c.learning_rate, decay_steps=4),
            lambda: optax.adam(optax.cosine_decay_schedule(1e-3, 4)),
        ),
        (
            lambda: adam(c := classifier.Config(), c.learning_rate, decay_steps=6),
            lambda: optax.adamw(
                optax.warmup_cosine_decay_schedule(0.0, 3e-3, 3, 6), weight_decay=1e-2
            ),
        ),
        (
            lambda: adam(c := gaussian1d.Config(), c.generator_lr, decay_steps=2, turns=2),
            lambda: optax.adam(optax.cosine_decay_schedule(1e-3, 4), b1=0.0, b2=0.99),
        ),
        (
            lambda: adam(c := mixture.Config(), c.learning_rate, decay_steps=5),
            lambda: optax.adam(optax.cosine_decay_schedule(2e-3, 5), b1=0.0, b2=0.99),
        ),
        (
            lambda: translation.adam(cyclegan.Config(epochs=1, decay_epochs=2, batch_size=4), 8),
            lambda: optax.adam(schedules.constant_then_linear(2e-4, constant=2, decay=4), b1=0.5),
        ),
    ],
    ids=["mnist", "vae", "classifier", "gaussian1d", "mixture", "translation"],
)
def test_optimizers_of_the_experiments(ours, expected):
    """By default those of their papers, bit for bit, with the same tree as state."""
    chex.assert_trees_all_equal(steps(ours()), steps(expected()))


def rates(steps=12, turns=1, learning_rate=2.0, constant_steps=0, **flags):
    schedule = learning_rates(
        TrainingConfig(**flags),
        learning_rate,
        decay_steps=8,
        constant_steps=constant_steps,
        turns=turns,
    )
    return [float(schedule(step)) for step in range(steps)]


def test_learning_rates_by_hand():
    assert learning_rates(TrainingConfig(), 2.0, decay_steps=8) == 2.0
    np.testing.assert_allclose(rates(4, warmup_steps=2), [0.0, 1.0, 2.0, 2.0])
    assert learning_rates(TrainingConfig(lr_scale=0.5), 2.0, decay_steps=8) == 1.0
    np.testing.assert_allclose(rates(3, warmup_steps=2, lr_scale=0.25), [0.0, 0.25, 0.5])
    line = [2.0 * (1 - t / 8) for t in range(8)] + 4 * [0.0]
    np.testing.assert_allclose(rates(lr_decay="linear"), line, atol=1e-7)
    cosine = [1.0 + math.cos(math.pi * min(t, 8) / 8) for t in range(12)]
    np.testing.assert_allclose(rates(lr_decay="cosine"), cosine, atol=1e-6)
    later = rates(15, lr_decay="cosine", constant_steps=3)
    np.testing.assert_allclose(later, 3 * [2.0] + cosine, atol=1e-6)
    warm = rates(lr_decay="linear", warmup_steps=2)
    line = [0.0, 1.0, *(2.0 * (1 - t / 6) for t in range(7)), 0.0, 0.0, 0.0]
    np.testing.assert_allclose(warm, line, atol=1e-6)
    assert rates(lr_decay="linear", warmup_steps=100)[4] == 2.0  # at most half of the decay
    for decay in ("linear", "cosine"):
        slow = rates(24, lr_decay=decay, warmup_steps=2, constant_steps=3, turns=2)
        np.testing.assert_allclose(
            slow[::2], rates(12, lr_decay=decay, warmup_steps=2, constant_steps=3), atol=1e-6
        )


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_the_scale_of_rates_is_of_every_optimizer(name):
    """Which a rollback halves; in the first step all of them are linear in the rate."""
    config = mnist.Config(optimizer=name)
    halved = dataclasses.replace(config, lr_scale=0.5)
    gradient = jnp.array([1.0, -2.0])
    optimizers = [algorithms.optimizer(c, 0.1, decay_steps=9) for c in (config, halved)]
    one, half = (x.update(gradient, x.init(gradient), gradient)[0] for x in optimizers)
    np.testing.assert_allclose(half, 0.5 * one, rtol=1e-6)


def test_negative_rates_and_steps():
    for flags, message in (
        ({"learning_rate": -0.1, "decay_steps": 1}, "the learning rate is -0.1, expected at least"),
        ({"learning_rate": 0.1, "decay_steps": -1}, "decays in -1 steps after 0, expected at lea"),
    ):
        with pytest.raises(ValueError, match=message):
            learning_rates(TrainingConfig(), **flags)


def test_gradients_are_clipped_before_their_moments():
    """A gradient of norm 5 counts as one of norm 1, and one of norm 1/2 as it is."""
    optimizer = adam(TrainingConfig(clip_norm=1.0, b1=0.0, b2=0.0), 1.0, decay_steps=1)
    moments = lambda gradient: optimizer.update(gradient, optimizer.init(gradient), gradient)[1]
    second = lambda gradient: jax.tree.leaves(moments(gradient)[1][0].nu)[0]
    np.testing.assert_allclose(second(jnp.array([3.0, 4.0])), [0.36, 0.64], rtol=1e-6)
    np.testing.assert_allclose(second(jnp.array([0.3, 0.4])), [0.09, 0.16], rtol=1e-6)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"b1": 1.0}, "--b1 is 1.0, expected a number below 1.0"),
        ({"b1": -0.1}, "--b1 is -0.1, expected at least 0.0"),
        ({"b2": math.nan}, "--b2 is nan, expected at least 0.0"),
        ({"discriminator_lr": -1e-3}, "--discriminator-lr is -0.001, expected at least 0.0"),
        ({"accumulate": 0}, "--accumulate is 0, expected at least 1"),
        ({"warmup_steps": -1}, "--warmup-steps is -1, expected at least 0"),
        ({"decay_steps": 0}, "--decay-steps is 0, expected at least 1"),
        ({"clip_norm": -1.0}, "--clip-norm is -1.0, expected at least 0.0"),
        ({"weight_decay": -1.0}, "--weight-decay is -1.0, expected at least 0.0"),
    ],
)
def test_numbers_out_of_range_are_refused(flags, message, tmp_path):
    config = dataclasses.replace(mnist.Config(), run_dir=str(tmp_path / "run"), **flags)
    with pytest.raises(RunError) as error:
        launch.launch(config, mnist.make, name="experiments.mnist")
    assert str(error.value) == message
    assert not (tmp_path / "run").exists()


SMALL = {
    "experiments.mnist": {"features": 4},
    "experiments.autoencoder": {"features": 4},
    "experiments.restoration": {"features": 4},
    "experiments.vae": {"features": 4, "network": "dcgan"},
    "experiments.vae_gan": {"features": 4},
    "experiments.pix2pix": {"data": "recolored", "features": 4, "crop_size": 32},
    "experiments.cyclegan": {
        "data": "recolored", "features": 4, "crop_size": 32, "num_blocks": 1
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        name if name == "experiments.mixture" else pytest.param(name, marks=pytest.mark.slow)
        for name in EXPERIMENTS
    ],
)
def test_every_experiment_follows_the_flags(name, monkeypatch):
    """Its algorithm accumulates, and its networks compute in bfloat16 and are rematerialised."""
    load = data.load
    monkeypatch.setattr(data, "load", lambda name, **kwargs: load("digits"))
    module = importlib.import_module(name)
    config = dataclasses.replace(module.Config(), **SMALL.get(name, {}), batch_size=2)
    plain = module.make(config, config.load_data())
    flags = {"accumulate": 3, "dtype": "bfloat16", "remat": True, "clip_norm": 1.0}
    config = dataclasses.replace(config, **flags)
    made = module.make(config, config.load_data())
    assert made.algorithm.num_minibatches == 3 * plain.algorithm.num_minibatches
    batch = jax.tree.map(lambda x: x[0], made.minibatches(0, 1))
    state = jax.eval_shape(made.algorithm.init, KEY, batch)
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} <= set(map(jnp.dtype, ("f4", "i4")))
    args = (state.params, state.model_state, batch, KEY, 0)
    for experiment, expected in ((plain, False), (made, True)):
        for player, loss in experiment.game.losses.items():
            text = str(jax.make_jaxpr(loss)(*args))
            assert ("bf16[" in text) == ("custom_vjp" in text) == expected, player
    before = jax.tree.structure(jax.eval_shape(plain.algorithm.init, KEY, batch).opt_state)
    assert jax.tree.structure(state.opt_state) != before  # gradients are clipped


@pytest.mark.parametrize("pattern", ["a/.*Dense_0/", "/kernel$", "b/"])
def test_frozen_layers_do_not_change(pattern):
    """The others change as they would without the flag."""
    config = mnist.Config(freeze=pattern)
    layers = {f"Dense_{i}": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)} for i in range(2)}
    moved = lambda optimizer: optimizer.update(layers, optimizer.init(layers), layers)[0]
    for player in "ab":
        plain = moved(optax.adam(0.1))
        updates = moved(frozen(config, {player: optax.adam(0.1)})[player])
        for path, update in checkpoint.by_path(updates).items():
            held = re.search(pattern, f"{player}/{path}")
            expected = 0.0 if held else checkpoint.by_path(plain)[path]
            np.testing.assert_array_equal(update, np.broadcast_to(expected, update.shape))
    optimizers = {"a": optax.adam(0.1)}
    assert frozen(mnist.Config(), optimizers) == optimizers
    with pytest.raises(RunError, match="expected a regular expression"):
        frozen(mnist.Config(freeze="("), optimizers)


def test_layers_to_freeze_are_found():
    params = {"a": {"Dense_0": {"kernel": jnp.ones(2)}}, "b": {"Dense_0": {"bias": jnp.ones(2)}}}
    for pattern in (None, "a/Dense", "^b/.*bias$"):
        check_frozen(mnist.Config(freeze=pattern), lambda: params)
    check_frozen(Config(), lambda: params)  # of an experiment without the flag
    with pytest.raises(RunError, match=r"Conv_0, which matches no layer; .* as a/Dense_0/kernel"):
        check_frozen(mnist.Config(freeze="Conv_0"), lambda: params)
