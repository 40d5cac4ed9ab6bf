"""Adversarial losses: by hand, at extremes, at equilibrium, and as the papers relate them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import losses

sp = lambda x: math.log1p(math.exp(x))

# Each loss, and its (discriminator, generator) at real logit r and fake logit f, by hand; for one
# example, which is its own average.
REGISTRY = {
    "minimax": (
        losses.minimax(),
        {
            (0, 0): (2 * math.log(2), -math.log(2)),
            (1, -1): (sp(-1) + sp(-1), -sp(-1)),
            (-1, 1): (sp(1) + sp(1), -sp(1)),
        },
    ),
    "minimax_smoothed": (
        losses.minimax(0.9),
        {  # cross entropy with 0.9: -(0.9 log s(r) + 0.1 log s(-r))
            (0, 0): (2 * math.log(2), -math.log(2)),
            (1, -1): (0.9 * sp(-1) + 0.1 * sp(1) + sp(-1), -sp(-1)),
            (-1, 1): (0.9 * sp(1) + 0.1 * sp(-1) + sp(1), -sp(1)),
        },
    ),
    "non_saturating": (
        losses.non_saturating(),
        {
            (0, 0): (2 * math.log(2), math.log(2)),
            (1, -1): (sp(-1) + sp(-1), sp(1)),
            (-1, 1): (sp(1) + sp(1), sp(-1)),
        },
    ),
    "wasserstein": (losses.wasserstein(), {(0, 0): (0, 0), (1, -1): (-2, 1), (-1, 1): (2, -1)}),
    "hinge": (losses.hinge(), {(0, 0): (2, 0), (1, -1): (0, 1), (-1, 1): (4, -1)}),
    "least_squares": (
        losses.least_squares(),
        {(0, 0): (0.5, 0.5), (1, -1): (0.5, 2), (-1, 1): (2.5, 0)},
    ),
    "least_squares_symmetric": (  # targets 1, -1 and 0, eq. 8 of Mao et al.
        losses.least_squares(1.0, -1.0, 0.0),
        {(0, 0): (1, 0), (1, -1): (0, 0.5), (-1, 2): (2 + 4.5, 2)},
    ),
    "relativistic_paired": (
        losses.relativistic_paired(),
        {
            (0, 0): (math.log(2), math.log(2)),
            (1, -1): (sp(-2), sp(2)),
            (-1, 1): (sp(2), sp(-2)),
        },
    ),
    "relativistic_average": (
        losses.relativistic_average(),
        {
            (0, 0): (2 * math.log(2), 2 * math.log(2)),
            (1, -1): (2 * sp(-2), 2 * sp(2)),
            (-1, 1): (2 * sp(2), 2 * sp(-2)),
        },
    ),
}
LOSSES = {name: loss for name, (loss, _) in REGISTRY.items()}


@pytest.mark.parametrize("name", LOSSES)
def test_by_hand(name):
    for (r, f), (discriminator, generator) in REGISTRY[name][1].items():
        r, f = jnp.array([float(r)]), jnp.array([float(f)])
        np.testing.assert_allclose(LOSSES[name].discriminator(r, f), [discriminator], rtol=1e-6)
        np.testing.assert_allclose(LOSSES[name].generator(r, f), [generator], rtol=1e-6)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
@pytest.mark.parametrize("name", LOSSES)
def test_finite_at_extremes(name, player):
    loss = getattr(LOSSES[name], player)
    for r in (-1e4, 1e4):
        for f in (-1e4, 1e4):
            logits = (jnp.full(3, r), jnp.full(3, f))
            values, gradients = jax.value_and_grad(lambda logits, loss=loss: loss(*logits).sum())(
                logits
            )
            assert np.isfinite(values)
            assert np.isfinite(gradients).all()


@pytest.mark.parametrize("player", ["discriminator", "generator"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_against_finite_differences(name, player):
    with jax.enable_x64(True):
        loss = getattr(LOSSES[name], player)
        rng = np.random.default_rng(0)
        r, f = jnp.asarray(rng.normal(size=(2, 5)))
        total = lambda r, f: loss(r, f).sum()
        eps = 1e-6
        for argument in (0, 1):
            gradient = jax.grad(total, argument)(r, f)
            for i in range(5):
                shift = [jnp.zeros(5), jnp.zeros(5)]
                shift[argument] = shift[argument].at[i].set(eps)
                difference = total(r + shift[0], f + shift[1]) - total(r - shift[0], f - shift[1])
                np.testing.assert_allclose(gradient[i], difference / (2 * eps), atol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_unreduced_in_the_logits_shape(name):
    logits = jnp.linspace(-1, 1, 12).reshape(2, 3, 2)  # a patch discriminator's
    for loss in LOSSES[name][:2]:
        flat = loss(logits.ravel(), -logits.ravel())
        np.testing.assert_array_equal(loss(logits, -logits), flat.reshape(2, 3, 2))


@pytest.mark.parametrize("name", LOSSES)
def test_logits_of_unequal_shapes_are_an_error(name):
    for loss in LOSSES[name][:2]:
        with pytest.raises(AssertionError, match="equal"):
            loss(jnp.zeros(3), jnp.zeros((3, 1)))


@pytest.mark.parametrize("name", LOSSES)
def test_monotone_says_whether_the_discriminators_loss_grows_with_every_fake_logit(name):
    """Where it does, and there alone, its gradient is positive everywhere."""
    r, f = jnp.meshgrid(jnp.linspace(-4, 4, 9), jnp.linspace(-4, 4, 9))
    total = lambda f: LOSSES[name].discriminator(r.ravel(), f).sum()
    gradient = jax.grad(total)(f.ravel())
    assert bool((gradient > 0).all()) == LOSSES[name].monotone


@pytest.mark.parametrize("name", LOSSES)
def test_the_output_is_a_probability_for_logistic_losses_and_the_logit_otherwise(name):
    logits = jnp.array([-2.0, 0.0, 3.0])
    logistic = name.startswith(("minimax", "non_saturating"))
    expected = 1 / (1 + np.exp(-np.asarray(logits))) if logistic else logits
    np.testing.assert_allclose(LOSSES[name].output(logits), expected, rtol=1e-6)


def test_minimax_is_zero_sum_up_to_the_real_term():
    r, f = jnp.array([0.3, -2.0]), jnp.array([1.5, 0.1])
    loss = losses.minimax()
    only_real = jax.nn.softplus(-r)
    np.testing.assert_allclose(
        loss.discriminator(r, f), only_real - loss.generator(r, f), rtol=1e-6
    )


def test_minimax_value_at_the_optimal_discriminator():
    """-log 4 + 2 JSD(p, q) at D* = p / (p + q), by quadrature over two known densities."""
    with jax.enable_x64(True):
        x = jnp.linspace(-12, 12, 20_001)
        p = jnp.exp(-0.5 * (x - 1) ** 2) / jnp.sqrt(2 * jnp.pi)
        q = jnp.exp(-0.5 * (x + 1) ** 2) / jnp.sqrt(2 * jnp.pi)
        logit = jnp.log(p) - jnp.log(q)
        loss = losses.minimax()
        zeros = jnp.zeros_like(logit)
        on_real = loss.discriminator(logit, zeros) - jnp.log(2)
        on_fake = loss.discriminator(zeros, logit) - jnp.log(2)
        value = -jnp.trapezoid(p * on_real + q * on_fake, x)
        m = (p + q) / 2
        jsd = 0.5 * jnp.trapezoid(p * jnp.log(p / m) + q * jnp.log(q / m), x)
        np.testing.assert_allclose(value, -math.log(4) + 2 * jsd, rtol=1e-9)


def test_the_generator_of_minimax_saturates_and_the_other_does_not():
    sure = jnp.array(-20.0)
    gradient = lambda loss: abs(jax.grad(lambda f: loss.generator(f, f))(sure))
    assert gradient(losses.minimax()) < 1e-8
    np.testing.assert_allclose(gradient(losses.non_saturating()), 1.0, rtol=1e-6)


def test_relativistic_losses_ignore_a_constant_added_to_all_logits():
    r, f = jnp.array([0.3, -2.0]), jnp.array([1.5, 0.1])
    for loss in (losses.relativistic_paired(), losses.relativistic_average()):
        for player in loss[:2]:
            np.testing.assert_allclose(player(r + 3, f + 3), player(r, f), rtol=1e-5)


@pytest.mark.parametrize("label", [0.0, -0.1, 1.1])
def test_labels_that_are_no_probability(label):
    with pytest.raises(ValueError, match="real_label is"):
        losses.minimax(label)


def test_errors_of_reconstructions():
    output, target = jnp.array([[1.0, -2.0], [0.0, 4.0]]), jnp.array([[0.0, 1.0], [0.0, 2.0]])
    np.testing.assert_allclose(losses.absolute_error(output, target), [2.0, 1.0])
    np.testing.assert_allclose(losses.squared_error(output, target), [5.0, 2.0])
