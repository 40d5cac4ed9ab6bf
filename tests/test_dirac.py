"""The Dirac-GAN, whose dynamics are known exactly, played by the machinery that trains everything.

Data at 0, a generator at theta, a discriminator D(x) = psi x. Mescheder, Geiger and Nowozin, *Which
Training Methods for GANs do actually Converge?*, 2018, https://arxiv.org/abs/1801.04406.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from jaxgan import latents, losses, penalties

SIMULTANEOUS = (("discriminator", "generator"),)
ALTERNATING = ("discriminator", "generator")
BATCHES = {"image": np.zeros((6, 4, 1))}
KEY = jax.random.key(0)
SLOPE = 0.5  # f'(0) of the logistic losses


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def dirac(loss, gamma=0.0, *, penalty=None, augment=None) -> jaxgan.Game:
    scalar = lambda key, *inputs: (jnp.zeros(()), {})
    generator = jaxgan.Network(
        scalar, lambda theta, state, z, **_: (theta * jnp.ones((z.shape[0], 1)), state)
    )
    discriminator = jaxgan.Network(scalar, lambda psi, state, x, **_: (psi * x[:, 0], state))
    penalty = penalties.weighted((gamma, penalties.r1)) if gamma else penalty
    return jaxgan.gan(
        generator,
        discriminator,
        latent=latents.normal(1),
        loss=loss,
        penalty=penalty,
        augment=augment,
    )


def round_map(loss, turns, step_size, gamma=0.0):
    """One round of gradient descent as a map of (psi, theta)."""
    game = dirac(loss, gamma)
    optimizers = dict.fromkeys(game.losses, optax.sgd(step_size))
    algorithm = jaxgan.alternating(game, optimizers, turns=turns)
    state = algorithm.init(KEY, jax.tree.map(lambda x: x[0], BATCHES))
    batches = jax.tree.map(lambda x: x[: algorithm.num_minibatches], BATCHES)

    def step(point):
        params = {"discriminator": point[0], "generator": point[1]}
        params = algorithm.update(state._replace(params=params), batches, KEY)[0].params
        return jnp.stack([params["discriminator"], params["generator"]])

    return jax.jit(step)


def eigenvalues(step):
    return np.linalg.eigvals(jax.jacobian(step)(jnp.zeros(2)))


def trajectory(step, num_rounds, start=(0.0, 1.0)):
    """`[num_rounds, 2]`, (psi, theta) after each round."""

    def scanned(point, _):
        point = step(point)
        return point, point

    return np.asarray(jax.lax.scan(scanned, jnp.array(start), None, length=num_rounds)[1])


LOGISTIC = pytest.mark.parametrize("loss", [losses.minimax(), losses.non_saturating()])


@LOGISTIC
@pytest.mark.parametrize("eta", [0.1, 0.5])
def test_simultaneous_descent_turns_outwards(loss, eta):
    found = eigenvalues(round_map(loss, SIMULTANEOUS, eta))
    np.testing.assert_allclose(sorted(found.imag), [-eta * SLOPE, eta * SLOPE], rtol=1e-5)
    np.testing.assert_allclose(abs(found), math.sqrt(1 + (eta * SLOPE) ** 2), rtol=1e-5)


@LOGISTIC
@pytest.mark.parametrize("eta", [0.1, 1.0, 3.9])
def test_alternating_descent_goes_round_and_round(loss, eta):
    """On the unit circle exactly, as long as eta f'(0) < 2."""
    found = eigenvalues(round_map(loss, ALTERNATING, eta))
    np.testing.assert_allclose(abs(found), 1.0, rtol=1e-5)
    np.testing.assert_allclose(found.real, 1 - (eta * SLOPE) ** 2 / 2, rtol=1e-5)


@LOGISTIC
@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
def test_r1_underdamped(loss, gamma):
    eta = 0.2
    found = eigenvalues(round_map(loss, SIMULTANEOUS, eta, gamma))
    np.testing.assert_allclose(abs(found) ** 2, 1 - eta * gamma + (eta * SLOPE) ** 2, rtol=1e-5)


@LOGISTIC
@pytest.mark.parametrize("gamma", [0.5, 1.5, 4.0])
def test_r1_eigenvalues_of_the_field(loss, gamma):
    """gamma/2 ± sqrt(gamma^2/4 - f'(0)^2) in descent convention, over- and underdamped."""
    eta = 0.01
    field = (1 - eigenvalues(round_map(loss, SIMULTANEOUS, eta, gamma)).astype(complex)) / eta
    root = np.sqrt(complex(gamma**2 / 4 - SLOPE**2))
    expected = [gamma / 2 - root, gamma / 2 + root]
    np.testing.assert_allclose(np.sort_complex(field), np.sort_complex(expected), rtol=1e-5)


def test_r1_converges_exactly_when_the_step_is_small_enough():
    gamma, limit, start = 0.1, 0.1 / SLOPE**2, 1e-3
    for eta, converges in ((0.95 * limit, True), (1.05 * limit, False)):
        step = round_map(losses.non_saturating(), SIMULTANEOUS, eta, gamma)
        last = trajectory(step, 2000, start=(0.0, start))[-1]
        assert (np.linalg.norm(last) < start) == converges


def test_wasserstein_spirals_out_simultaneously():
    """A linear game: the whole trajectory is known, not only its beginning."""
    eta, rounds = 0.1, 500
    points = trajectory(round_map(losses.wasserstein(), SIMULTANEOUS, eta), rounds)
    expected = (1 + eta**2) ** (np.arange(1, rounds + 1) / 2)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), expected, rtol=1e-5)


@pytest.mark.parametrize("critic_turns", [1, 2, 5])
def test_wasserstein_keeps_an_ellipse_alternating(critic_turns):
    """psi^2 / k + theta^2 - eta psi theta does not change: with k critic turns, no convergence."""
    eta, turns = 0.1, critic_turns * ("discriminator",) + ("generator",)
    psi, theta = trajectory(round_map(losses.wasserstein(), turns, eta), 500).T
    np.testing.assert_allclose(psi**2 / critic_turns + theta**2 - eta * psi * theta, 1, rtol=1e-5)


def test_optimistic_gradient_converges_where_descent_does_not():
    optimistic = lambda step_size: optax.optimistic_gradient_descent(step_size)
    game = dirac(losses.wasserstein())
    algorithm = jaxgan.simultaneous(game, dict.fromkeys(game.losses, optimistic(0.1)))
    state = algorithm.init(KEY, jax.tree.map(lambda x: x[0], BATCHES))
    state = state._replace(params=state.params | {"generator": jnp.ones(())})
    batches = jax.tree.map(lambda x: x[:1], BATCHES)
    state, _ = jax.lax.scan(
        lambda state, _: (algorithm.update(state, batches, KEY)[0], None), state, None, length=2000
    )
    assert abs(float(state.params["generator"])) < 1e-3
