"""Experiments whose answer is known, at their defaults or nearly."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.stats import multivariate_normal

from experiments import classifier, gaussian1d, mixture
from jaxgan import Network, TrainState, data
from jaxgan.runs import commands
from jaxgan.runs.launch import launch


def run(module, tmp_path, **fields) -> dict[str, float]:
    """Runs an experiment; gives the last evaluation's values."""
    config = dataclasses.replace(module.Config(), run_dir=str(tmp_path / "run"), **fields)
    assert launch(config, module.make, name=module.__name__) == 0
    entries = json.loads((tmp_path / "run" / "evaluation.json").read_text())["evaluations"]
    return {record["name"]: record["value"] for record in entries[-1]["records"]}


def test_gaussian1d_settles_at_one_half(tmp_path):
    """The picture of the first paper: D is 1/2 where the data lie, where the generator is too."""
    found = run(gaussian1d, tmp_path, sample_every=5000, log_every=1000)
    assert found["mean"] == pytest.approx(2.0, rel=0.05)
    assert found["std"] == pytest.approx(1.0, rel=0.05)
    config = gaussian1d.Config()
    game, _, discriminator = gaussian1d.make_game(config)
    state = commands.load(tmp_path / "run")[1]
    curves = gaussian1d.densities(game, discriminator, data.gaussian(2.0, 1.0), state)
    assert gaussian1d.gap(curves) < 0.05
    assert np.average(np.abs(curves.optimal - 0.5), weights=curves.data) < 0.1
    with Image.open(tmp_path / "run" / "samples.gif") as animation:
        assert animation.n_frames == 2


def test_the_optimal_discriminator_is_that_of_proposition_1():
    """Where the generator's density is known: N(0, 1) against data N(2, 1) gives a logistic."""
    sample = lambda params, state, batch, key: jax.random.normal(key, batch["image"].shape)
    game = gaussian1d.make_game(gaussian1d.Config())[0]._replace(sample=sample)
    flat = lambda params, state, x, **_: (jnp.zeros(x.shape[0]), state)
    players = {"discriminator": {}, "generator": {}}
    state = TrainState(jnp.array(0), players, players, {}, {}, {})
    network = Network(lambda key, *inputs: ({}, {}), flat)
    found = gaussian1d.densities(game, network, data.gaussian(2.0, 1.0), state)
    middle = (found.x > 0.0) & (found.x < 2.0)
    expected = 1.0 / (1.0 + np.exp(-(2.0 * found.x - 2.0)))
    np.testing.assert_allclose(found.optimal[middle], expected[middle], atol=0.02)
    np.testing.assert_array_equal(found.discriminator, 0.5)


@pytest.mark.slow
def test_mixture_finds_the_ring(tmp_path):
    """A quarter of the default's rounds, in which penalty and learning rates fade."""
    found = run(
        mixture, tmp_path, num_steps=6000, decay_steps=6000, sample_every=3000, evaluate_every=6000
    )
    assert found["modes"] == 8
    assert found["high_quality"] > 0.9
    assert found["reverse_kl"] < 0.07


@pytest.mark.parametrize("name", ["grid", "swiss_roll"])
def test_other_mixtures_run(name, tmp_path):
    found = run(mixture, tmp_path, data=name, num_steps=40, sample_every=40)
    assert found["swd_pixels"] > 0.0


# ---- their data


@pytest.mark.parametrize("name", ["ring", "grid", "spiral", "swiss_roll"])
def test_densities_of_mixtures(name):
    """The log density is scipy's, and samples have the mean of it that they should have."""
    distribution = getattr(data, name)()
    some = distribution._replace(centres=distribution.centres[:7])
    x = np.asarray(some.sample(jax.random.key(0), 200))
    parts = [multivariate_normal(centre, some.std**2).pdf(x) for centre in some.centres]
    np.testing.assert_allclose(some.log_density(x), np.log(np.mean(parts, axis=0)), rtol=1e-9)
    drawn = np.asarray(distribution.sample(jax.random.key(1), 20_000))
    spread = distribution.centres.std(axis=0) + distribution.std
    error = 4 * spread / np.sqrt(20_000)
    assert (np.abs(drawn.mean(axis=0) - distribution.centres.mean(axis=0)) < error).all()
    covariance = np.cov(distribution.centres.T, bias=True) + distribution.std**2 * np.eye(2)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.04 * covariance.max())


def test_draws_are_a_pure_function_of_their_number():
    draw = data.sampled_minibatches(data.ring().sample, batch_size=6, seed=3)
    several = draw(4, 3)["image"]
    np.testing.assert_array_equal(several[1], draw(5, 1)["image"][0])
    other = data.sampled_minibatches(data.ring().sample, batch_size=6, seed=4)(5, 1)["image"][0]
    assert not np.array_equal(several[1], other)
    wider = data.sampled_minibatches(data.ring().sample, batch_size=8, seed=3)(5, 1)["image"][0]
    np.testing.assert_array_equal(several[1], wider[:6])


# ---- the classifier


def test_moved_images_stay_themselves():
    """Mass is kept nearly, and no image is moved as its neighbour is."""
    image = np.full((6, 28, 28, 2), -1.0, np.float32)
    image[:, 10:18, 10:18] = 1.0
    moved = np.asarray(classifier.moved(jnp.asarray(image), jax.random.key(0)))
    mass = (moved + 1).sum(axis=(1, 2, 3)) / (image + 1).sum(axis=(1, 2, 3))
    assert (np.abs(mass - 1) < 0.25).all()
    assert len({row.tobytes() for row in moved}) == 6
    np.testing.assert_array_equal(moved[..., 0], moved[..., 1])


@pytest.mark.slow
def test_the_classifier_learns(tmp_path):
    found = run(
        classifier, tmp_path, data="digits", num_steps=120, decay_steps=120, ema=0.9, batch_size=32,
        evaluate_every=120, evaluate_samples=297, sample_every=120,
    )  # fmt: skip
    assert found["accuracy"] > 0.8
    assert (tmp_path / "run" / "samples" / "step_0000120.png").exists()
