"""Priors and paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxgan import latents
from jaxgan.games.checks import checked_corruption, checked_latent
from jaxgan.parallel import axis

KEY = jax.random.key(0)

PRIORS = {
    "normal": (latents.normal, scipy.stats.norm()),
    "uniform": (latents.uniform, scipy.stats.uniform(-1, 2)),
    "truncated_normal": (latents.truncated_normal, scipy.stats.truncnorm(-2, 2)),
}


@pytest.mark.parametrize("name", PRIORS)
def test_distribution(name):
    prior, distribution = PRIORS[name]
    z = np.asarray(jax.jit(prior(4), static_argnums=1)(KEY, 2000), np.float64)
    assert z.shape == (2000, 4)
    assert scipy.stats.kstest(z.ravel(), distribution.cdf).pvalue > 1e-3
    correlation = np.corrcoef(z.T) - np.eye(4)  # coordinates are independent, and so are rows
    assert abs(correlation).max() < 0.1
    assert abs(np.corrcoef(z[:-1, 0], z[1:, 0])[0, 1]) < 0.1


@pytest.mark.parametrize("name", PRIORS)
def test_rows_depend_neither_on_their_number_nor_on_devices(name):
    """The same bits are sampled; compilers may round the last digit of their image differently."""
    z = PRIORS[name][0](3)
    eight, five = (jax.jit(z, static_argnums=1)(KEY, n) for n in (8, 5))
    np.testing.assert_allclose(five, eight[:5], rtol=1e-6)
    on_four = jax.jit(jax.vmap(lambda _: z(KEY, 2), axis_name=axis.DATA_AXIS))(jnp.arange(4))
    np.testing.assert_allclose(on_four.reshape(8, 3), eight, rtol=1e-6)


@pytest.mark.parametrize("name", PRIORS)
def test_dimension(name):
    with pytest.raises(ValueError, match="latent dimension is 0"):
        PRIORS[name][0](0)


def test_bounds():
    assert np.abs(latents.truncated_normal(8, bound=0.5)(KEY, 500)).max() <= 0.5
    z = latents.uniform(8, 2.0, 3.0)(KEY, 500)
    assert z.min() >= 2.0
    assert z.max() < 3.0


def test_slerp_follows_the_great_circle():
    a, b = jnp.array([2.0, 0.0, 0.0]), jnp.array([0.0, 2.0, 0.0])
    t = jnp.linspace(0, 1, 7)[:, None]
    path = latents.slerp(jnp.tile(a, (7, 1)), jnp.tile(b, (7, 1)), t)
    angles = np.arctan2(path[:, 1], path[:, 0])
    np.testing.assert_allclose(angles, np.linspace(0, np.pi / 2, 7), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(path, axis=-1), 2.0, rtol=1e-6)


def test_slerp_at_the_ends_and_in_reverse():
    a, b = jax.random.normal(KEY, (2, 5, 16))
    np.testing.assert_allclose(latents.slerp(a, b, 0.0), a, rtol=1e-5)
    np.testing.assert_allclose(latents.slerp(a, b, 1.0), b, rtol=1e-5)
    np.testing.assert_allclose(
        latents.slerp(a, b, 0.3), latents.slerp(b, a, 0.7), rtol=1e-4, atol=1e-5
    )


def test_priors_of_ones_own_are_others_on_every_device():
    """And in every minibatch of an accumulated batch; those by example keys stay as they are."""
    plain = checked_latent(lambda key, n: jax.random.normal(key, (n, 2)))
    by_rows = checked_latent(lambda key, n: 3.0 * latents.normal(2)(key, n))

    def on_devices(prior):
        own = jax.vmap(lambda _: prior(KEY, 3), axis_name=axis.DATA_AXIS)
        return np.asarray(jax.jit(own)(jnp.arange(4))).reshape(12, 2)

    assert len(np.unique(on_devices(plain), axis=0)) == 12
    np.testing.assert_array_equal(plain(KEY, 3), jax.random.normal(KEY, (3, 2)))
    np.testing.assert_allclose(on_devices(by_rows), by_rows(KEY, 12), rtol=1e-6)
    parts = []
    for number in range(2):
        with axis.minibatch(number):
            parts += [plain(KEY, 3), by_rows(KEY, 3)]
    assert not np.array_equal(parts[0], parts[2])
    np.testing.assert_allclose(np.concatenate(parts[1::2]), by_rows(KEY, 6), rtol=1e-6)


def test_corruptions_of_ones_own_are_others_on_every_device():
    noise = checked_corruption("corruption", lambda key, x: x + jax.random.normal(key, x.shape))
    own = jax.vmap(lambda _: noise(KEY, jnp.zeros((3, 2))), axis_name=axis.DATA_AXIS)
    samples = np.asarray(jax.jit(own)(jnp.arange(4))).reshape(12, 2)
    assert len(np.unique(samples, axis=0)) == 12


def test_slerp_of_parallel_vectors_is_straight():
    a = jnp.array([1.0, 2.0])
    for b in (a, 3 * a, -a, 0 * a):  # codes after a rectifier may be 0
        np.testing.assert_allclose(latents.slerp(a, b, 0.25), 0.75 * a + 0.25 * b, rtol=1e-5)
        # The weights divide by the sine of the angle, 0 here, in the branch that is not taken.
        gradient = jax.grad(lambda t, b=b: latents.slerp(a, b, t).sum())(0.25)
        assert gradient == pytest.approx(float(jnp.sum(b - a)), rel=1e-5)


def test_codes_have_their_distributions():
    codes = latents.Codes(2, categorical=(3, 2), continuous=2)
    z = np.asarray(jax.jit(codes, static_argnums=1)(KEY, 4000))
    parts = codes.split(z)
    np.testing.assert_array_equal(codes.join(parts), z)
    assert [part.shape[1] for part in (parts.noise, *parts.categories, parts.continuous)] == [
        2, 3, 2, 2,
    ]  # fmt: skip
    for uniform in (parts.noise, parts.continuous):
        assert abs(uniform.mean()) < 0.04
        assert uniform.min() >= -1.0
        assert abs(uniform.var() - 1 / 3) < 0.02
    for one_hot in parts.categories:
        np.testing.assert_array_equal(np.sort(one_hot, axis=1)[:, -2:], [[0.0, 1.0]] * 4000)
        k = one_hot.shape[1]
        assert abs(one_hot.mean(axis=0) - 1 / k).max() < 4 * np.sqrt(1 / k / 4000)
    assert abs(np.corrcoef(z[:, [0, 2, 5, 7, 8]].T) - np.eye(5)).max() < 0.07
    np.testing.assert_allclose(jax.jit(codes, static_argnums=1)(KEY, 5), z[:5], rtol=1e-5)
    for wrong in ({"noise": -1, "continuous": 1}, {"noise": 3}, {"noise": 3, "categorical": (1,)}):
        with pytest.raises(ValueError, match="expected at least one code"):
            latents.Codes(**wrong)


def test_codes_may_be_of_one_kind():
    assert latents.Codes(0, categorical=(4,)).num_outputs == 4
    assert latents.Codes(0, continuous=3).num_outputs == 3
