"""Experiments whose answer is known, at their defaults or nearly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.stats import multivariate_normal

from experiments import classifier, gaussian1d, minimal, mixture
from jaxgan import Network, TrainState, data
from jaxgan.runs.run import load_run
from tests.support import size_of, train

LOAD = data.load


def train_gaussian1d(directory, **fields):
    """Trains on the line; the last evaluation, and the curves of the picture."""
    values = train(gaussian1d, directory, **fields)
    game, _, discriminator = gaussian1d.make_game(gaussian1d.Config())
    state = load_run(directory).state
    return values, gaussian1d.densities(game, discriminator, data.gaussian(2.0, 1.0), state)


@pytest.mark.slow
def test_gaussian1d_approaches_one_half(tmp_path):
    """Figure 1 of Goodfellow et al., a tenth of its steps: D and the optimal D near 1/2."""
    values, curves = train_gaussian1d(
        tmp_path / "run", num_steps=1000, decay_steps=1000, sample_every=500, log_every=500
    )
    assert values["mean"] == pytest.approx(2.0, abs=0.2)
    assert values["std"] == pytest.approx(1.0, abs=0.2)
    assert gaussian1d.gap(curves) < 0.1
    with Image.open(tmp_path / "run" / "samples.gif") as animation:
        assert animation.n_frames == 2


@pytest.mark.slow
def test_gaussian1d_settles_at_one_half(tmp_path):
    """The same at its defaults."""
    values, curves = train_gaussian1d(tmp_path / "run", sample_every=5000, log_every=1000)
    assert values["mean"] == pytest.approx(2.0, rel=0.05)
    assert values["std"] == pytest.approx(1.0, rel=0.05)
    assert gaussian1d.gap(curves) < 0.05
    assert np.average(np.abs(curves.optimal - 0.5), weights=curves.data) < 0.1


def test_the_optimal_discriminator_is_that_of_proposition_1():
    """Where the generator's density is known: N(0, 1) against data N(2, 1) gives a logistic."""
    sample = lambda params, state, batch, key: jax.random.normal(key, batch["image"].shape)
    game = gaussian1d.make_game(gaussian1d.Config())[0]._replace(sample=sample)
    flat = lambda params, state, x, **_: (jnp.zeros(x.shape[0]), state)
    players = {"discriminator": {}, "generator": {}}
    state = TrainState(jnp.array(0), players, players, {}, {}, {})
    network = Network(lambda key, *inputs: ({}, {}), flat)
    values = gaussian1d.densities(game, network, data.gaussian(2.0, 1.0), state)
    middle = (values.x > 0.0) & (values.x < 2.0)
    expected = 1.0 / (1.0 + np.exp(-(2.0 * values.x - 2.0)))
    np.testing.assert_allclose(values.optimal[middle], expected[middle], atol=0.02)
    np.testing.assert_array_equal(values.discriminator, 0.5)


@pytest.mark.slow
def test_mixture_finds_the_ring(tmp_path):
    """A quarter of the default's steps, in which penalty and learning rates fade."""
    values = train(
        mixture,
        tmp_path / "run",
        num_steps=6000,
        decay_steps=6000,
        sample_every=3000,
        evaluate_every=6000,
    )
    assert values["modes"] == 8
    assert values["high_quality"] > 0.9
    assert values["reverse_kl"] < 0.07


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("grid", {"modes", "reverse_kl", "reverse_kl_all", "high_quality", "partition_kl"}),
        ("swiss_roll", set()),
    ],
)
def test_metrics_of_other_mixtures(name, expected, tmp_path):
    """Modes are counted where there are some; a hardly trained generator misses the data."""
    values = train(mixture, tmp_path / "run", data=name, num_steps=20, sample_every=20)
    assert set(values) == expected | {"swd_pixels"}
    assert values["swd_pixels"] > 0.05


@pytest.mark.slow
def test_the_minimal_loop(tmp_path, monkeypatch, capsys):
    """It trains, and writes 100 samples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(minimal, "NUM_STEPS", 2)
    monkeypatch.setattr(minimal.data, "load", lambda name: LOAD("digits"))
    minimal.main()
    assert size_of(tmp_path / "minimal.png") == (10 * 30 + 2, 10 * 30 + 2)


# ---- data of mixtures


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


def test_minibatches_are_a_pure_function_of_their_number():
    draw = data.sampled_minibatches(data.ring().sample, batch_size=6, seed=3)
    several = draw(4, 3)["image"]
    np.testing.assert_array_equal(several[1], draw(5, 1)["image"][0])
    other = data.sampled_minibatches(data.ring().sample, batch_size=6, seed=4)(5, 1)["image"][0]
    assert not np.array_equal(several[1], other)
    wider = data.sampled_minibatches(data.ring().sample, batch_size=8, seed=3)(5, 1)["image"][0]
    np.testing.assert_array_equal(several[1], wider[:6])


# ---- the classifier


def test_random_affine_keeps_the_mass_of_an_image():
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
    values = train(
        classifier, tmp_path / "run", data="digits", num_steps=120, decay_steps=120, ema=0.9,
        batch_size=32, evaluate_every=120, evaluate_samples=297, sample_every=120,
    )  # fmt: skip
    assert values["accuracy"] > 0.8
    assert (tmp_path / "run" / "samples" / "step_0000120.png").exists()
