"""Gradient penalties: closed forms, finite differences, weights and laziness."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan import penalties

KEY = jax.random.key(0)
REAL = jax.random.normal(jax.random.key(1), (6, 3))
FAKE = jax.random.normal(jax.random.key(2), (6, 3))
W = jnp.array([0.6, -1.2, 2.0])
NORM = float(jnp.linalg.norm(W))
LINEAR = lambda x: x @ W

CLOSED_FORMS = {
    penalties.r1: NORM**2 / 2,
    penalties.r2: NORM**2 / 2,
    penalties.wgan_gp: (NORM - 1) ** 2,
    penalties.dragan: (NORM - 1) ** 2,
}


@pytest.mark.parametrize("penalty", CLOSED_FORMS)
def test_linear_critic(penalty):
    values = penalty(LINEAR, REAL, FAKE, KEY, 0)
    np.testing.assert_allclose(values, np.full(6, CLOSED_FORMS[penalty]), rtol=1e-5)


@pytest.mark.parametrize("penalty", [penalties.wgan_gp, penalties.dragan])
def test_zero_critic_has_finite_gradients(penalty):
    """The norm's derivative at 0 is where naive programs get NaN."""
    mean = lambda w: penalty(lambda x: x @ w, REAL, FAKE, KEY, 0).mean()
    value, gradient = jax.value_and_grad(mean)(jnp.zeros(3))
    assert float(value) == pytest.approx(1.0)
    assert np.isfinite(gradient).all()


def test_where_the_penalties_look():
    """With D(x) = |x|^2 / 2 the gradient at x is x itself."""
    critic = lambda x: 0.5 * jnp.sum(x**2, axis=-1)
    half_square = lambda x: 0.5 * np.sum(np.square(x), axis=-1)
    np.testing.assert_allclose(
        penalties.r1(critic, REAL, FAKE, KEY, 0), half_square(REAL), rtol=1e-5
    )
    np.testing.assert_allclose(
        penalties.r2(critic, REAL, FAKE, KEY, 0), half_square(FAKE), rtol=1e-5
    )
    # On the segment from 2 e_1 to 3 e_1 the norm lies in [2, 3], and is another for every example.
    real, fake = jnp.tile(jnp.array([2.0, 0.0]), (64, 1)), jnp.tile(jnp.array([3.0, 0.0]), (64, 1))
    norms = np.sqrt(penalties.wgan_gp(critic, real, fake, KEY, 0)) + 1
    assert ((norms >= 2) & (norms <= 3)).all()
    assert len(np.unique(norms)) == 64
    assert abs(norms.mean() - 2.5) < 0.15


def test_dragan_stays_within_its_neighbourhood():
    critic = lambda x: jnp.sum(x, axis=-1) ** 2 / 2  # the gradient's norm is |sum x| sqrt(2)
    real = jnp.concatenate([jnp.full((500, 2), 10.0), jnp.full((500, 2), -10.0)])  # std 10
    norms = np.sqrt(penalties.dragan(critic, real, real, KEY, 0)) + 1
    sums = norms / np.sqrt(2)
    assert (sums[:500] >= 20 - 1e-3).all()
    assert (sums[:500] <= 20 + 2 * 0.5 * 10).all()
    # t u with both uniform has mean 1/4: the points move by 5/4 per coordinate on average.
    assert abs(sums[:500].mean() - (20 + 2 * 5 / 4)) < 0.3


@pytest.mark.parametrize("penalty", CLOSED_FORMS)
def test_gradient_in_the_critics_parameters(penalty):
    """A derivative of a derivative, against finite differences."""
    with jax.enable_x64(True):
        real, fake = REAL.astype(jnp.float64), FAKE.astype(jnp.float64)

        def mean(w):
            critic = lambda x: jnp.tanh(x @ w[:3]) * w[3]
            return penalty(critic, real, fake, KEY, 0).mean()

        w, eps = jnp.array([0.5, -1.0, 0.3, 2.0]), 1e-5
        gradient = jax.grad(mean)(w)
        for i, unit in enumerate(jnp.eye(4)):
            difference = (mean(w + eps * unit) - mean(w - eps * unit)) / (2 * eps)
            np.testing.assert_allclose(gradient[i], difference, rtol=1e-6, atol=1e-9)


def test_images_and_patch_logits():
    image = jax.random.normal(KEY, (2, 4, 4, 1))
    patches = lambda x: x[..., 0] * 3.0  # [batch, 4, 4]: the gradient of the sum is 3 per pixel
    np.testing.assert_allclose(
        penalties.r1(patches, image, image, KEY, 0), np.full(2, 0.5 * 9 * 16), rtol=1e-6
    )


def test_weighted_sums_with_numbers_and_schedules():
    penalty = penalties.weighted(
        (2.0, penalties.r1), (optax.linear_schedule(1.0, 0.0, 10), penalties.r2)
    )
    for step, weight in ((0, 3.0), (5, 2.5), (10, 2.0)):
        values = penalty(LINEAR, REAL, FAKE, KEY, jnp.array(step))
        np.testing.assert_allclose(values, np.full(6, weight * NORM**2 / 2), rtol=1e-5)


def test_lazy_penalties_keep_their_mean_over_a_period():
    lazy = penalties.lazily(penalties.r1, every=4)
    values = np.stack([lazy(LINEAR, REAL, FAKE, KEY, jnp.array(step)) for step in range(8)])
    np.testing.assert_allclose(values.mean(axis=0), np.full(6, NORM**2 / 2), rtol=1e-5)
    assert (values[[1, 2, 3, 5, 6, 7]] == 0).all()


def test_terms_of_a_sum_draw_on_their_own():
    critic = lambda x: 0.5 * jnp.sum(x**2, axis=-1)
    both = penalties.weighted((1.0, penalties.wgan_gp), (1.0, penalties.wgan_gp))
    one = penalties.weighted((2.0, penalties.wgan_gp))
    assert not np.allclose(
        both(critic, REAL, FAKE, KEY, 0), one(critic, REAL, FAKE, KEY, 0), rtol=1e-3
    )


def test_errors_come_early():
    with pytest.raises(ValueError, match="no term"):
        penalties.weighted()
    with pytest.raises(ValueError, match="every is 0"):
        penalties.lazily(penalties.r1, every=0)
    with pytest.raises(AssertionError):
        penalties.wgan_gp(LINEAR, REAL, FAKE[:3], KEY, 0)
