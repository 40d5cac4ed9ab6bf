"""Experiments whose answer is known, at their defaults or nearly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.stats import kstest, multivariate_normal, norm

from experiments import classifier, density_curves, gaussian1d, minimal, mixture
from jaxgan import data
from tests.support import size_of, train

LOAD = data.load


@pytest.mark.slow
def test_gaussian1d_settles_at_one_half(tmp_path):
    """Figure 1 of Goodfellow et al.: the densities meet, and both D and the optimal D are 1/2."""
    values = train(gaussian1d, tmp_path / "run", sample_every=5000, log_every=1000)
    assert values["ks"] < 0.02
    assert values["quantiles/optimal_gap"] < 0.05
    first, last = density_curves.stages(tmp_path / "run" / "samples")
    assert (first.step, last.step) == (5000, 10_000)
    assert density_curves.gap(last) < 0.01
    assert (tmp_path / "run" / "stages.png").exists()
    with Image.open(tmp_path / "run" / "samples.gif") as animation:
        assert animation.n_frames == 2


def test_the_optimal_discriminator_is_that_of_proposition_1():
    """Where the generator's density is known: N(0, 1) against data N(2, 1) gives a logistic."""
    x = np.linspace(0.0, 2.0, 50)
    outputs = density_curves.quantiles(10_000)
    optimal = density_curves.optimal_discriminator(data.gaussian(2.0, 1.0), outputs, x)[2]
    np.testing.assert_allclose(optimal, 1.0 / (1.0 + np.exp(-(2.0 * x - 2.0))), atol=0.005)


@pytest.mark.parametrize(("mean", "std"), [(2.0, 1.0), (-1.0, 3.0)])
def test_the_gap_of_the_optimal_discriminator(mean, std):
    """A generator that is off by a tenth of sigma: the log ratio is linear in x, up to 3.03 sigma.

    `log p_data / p_g = -d u + d^2 / 2` at `u` standard deviations from the mean.
    """
    mixture, z = data.gaussian(mean, std), density_curves.quantiles(10_000)
    assert density_curves.optimal_gap(mixture, mean + std * z) < 0.01
    edge = np.sqrt(2.0 * np.log(100.0))
    expected = 1.0 / (1.0 + np.exp(-(0.1 * edge + 0.005))) - 0.5
    found = density_curves.optimal_gap(mixture, mean + std * (z + 0.1))
    assert found == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
def test_a_quasi_random_sample_is_normal():
    """A row over keys is normal; rows of one key are, nearly as evenly as quantiles."""
    keys = jax.random.split(jax.random.key(0), 2000)
    rows = np.asarray(jax.jit(jax.vmap(lambda key: gaussian1d.quasi_normal(key, 20)))(keys))
    rows = rows[:, 17, 0]
    assert kstest(rows, "norm").pvalue > 0.01
    together = np.asarray(gaussian1d.quasi_normal(keys[0], 4096))[:, 0]
    assert kstest(together, "norm").statistic < 4.0 / 4096  # a random sample has 0.87 / 64
    np.testing.assert_array_equal(together[:10], gaussian1d.quasi_normal(keys[0], 10)[:, 0])


@pytest.mark.parametrize(("bits", "expected"), [(0, -5.30), (2**32 - 1, 5.30)])
def test_a_quasi_random_sample_is_finite(monkeypatch, bits, expected):
    """At the ends of the unit interval, where float32 could round to 0 or 1: at 2^-24 from them."""
    monkeypatch.setattr(jax.random, "bits", lambda key: jnp.uint32(bits))
    row = gaussian1d.quasi_normal(jax.random.key(0), 1)[0, 0]
    assert float(row) == pytest.approx(expected, abs=0.05)


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


def test_the_weight_of_r1_decays_to_its_last_value():
    """At the critic `3 x`, whose R1 penalty is 9 / 2."""
    penalty, x = mixture.fading_r1(0.5, 0.02, decay_steps=10), jnp.ones((4, 1))
    weighted = jax.jit(lambda step: penalty(lambda x: 3.0 * x[:, 0], x, x, jax.random.key(0), step))
    for step, expected in ((0, 0.5), (5, 0.1), (10, 0.02), (30, 0.02)):
        np.testing.assert_allclose(weighted(step), 4.5 * expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["ring", "grid", "spiral", "swiss_roll"])
def test_densities_of_mixtures(name):
    """The log density is scipy's, and samples have the mean of it that they should have."""
    distribution = getattr(data, name)()
    some = distribution._replace(centers=distribution.centers[:7])
    x = np.asarray(some.sample(jax.random.key(0), 200))
    parts = [multivariate_normal(center, some.std**2).pdf(x) for center in some.centers]
    np.testing.assert_allclose(some.log_density(x), np.log(np.mean(parts, axis=0)), rtol=1e-9)
    drawn = np.asarray(distribution.sample(jax.random.key(1), 20_000))
    spread = distribution.centers.std(axis=0) + distribution.std
    error = 4 * spread / np.sqrt(20_000)
    assert (np.abs(drawn.mean(axis=0) - distribution.centers.mean(axis=0)) < error).all()
    covariance = np.cov(distribution.centers.T, bias=True) + distribution.std**2 * np.eye(2)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.04 * covariance.max())


def test_samples_have_the_standard_deviation_of_the_modes():
    """Small beside the distances of modes, so that the covariance above hides it."""
    some = data.gaussian(0.0, 0.25)
    x = np.asarray(some.sample(jax.random.key(0), 20_000)).ravel()
    assert x.std() == pytest.approx(0.25, rel=0.02)
    assert kstest(x, norm(0.0, 0.25).cdf).pvalue > 1e-3


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
