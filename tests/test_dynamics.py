"""Vector fields: spectra known in closed form, products against dense matrices, paths, images.

The closed forms for the Dirac-GAN are those of Mescheder, Geiger and Nowozin, *Which Training
Methods for GANs do actually Converge?*, 2018, https://arxiv.org/abs/1801.04406, section 2 and
appendix D, in descent convention.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxgan
from jaxgan import dynamics, losses, networks, penalties
from jaxgan.dynamics.eigenvalues import _ordered
from jaxgan.dynamics.plots import save_plot
from jaxgan.errors import ConvergenceError
from tests import games
from tests.support import size_of
from tests.test_dirac import dirac

KEY = jax.random.key(0)
ROWS = {"image": np.zeros((4, 1))}
SLOPE = 0.5  # f'(0) of the logistic losses


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def point(psi=0.0, theta=0.0):
    return {"discriminator": jnp.array(psi, float), "generator": jnp.array(theta, float)}


def field_of(game):
    return dynamics.vector_field(game, {name: {} for name in game.losses}, ROWS, KEY)


def assert_spectrum(field, params, expected):
    found = dynamics.spectrum(field, params)
    assert found.residuals.max() < 1e-12
    a, b = (np.sort_complex(np.round(np.asarray(x, complex), 12)) for x in (found.values, expected))
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def roots(half_trace, determinant):
    root = np.sqrt(complex(half_trace**2 - determinant))
    return [half_trace - root, half_trace + root]


@pytest.mark.parametrize("loss", [losses.minimax(), losses.non_saturating()])
def test_without_penalty_the_dirac_gan_rotates(loss):
    assert_spectrum(field_of(dirac(loss)), point(), [-1j * SLOPE, 1j * SLOPE])


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("penalty", [penalties.r1, penalties.r2])
def test_r1_and_r2_damp(penalty, gamma):
    game = dirac(losses.non_saturating(), penalty=penalties.weighted((gamma, penalty)))
    assert_spectrum(field_of(game), point(), roots(gamma / 2, SLOPE**2))


@pytest.mark.parametrize("std", [0.5, 2.0])
def test_instance_noise_damps(std):
    """`-f''(0) s^2 ± sqrt(f''(0)^2 s^4 - f'(0)^2)`; what counts of the noise is its variance."""
    noise = lambda key, x: x + std * jnp.array([1.0, -1.0, 1.0, -1.0])[:, None]
    game = dirac(losses.non_saturating(), augment=noise)
    assert_spectrum(field_of(game), point(), roots(0.25 * std**2, SLOPE**2))


@pytest.mark.parametrize("gamma", [0.1, 3.0])
def test_consensus_damps(gamma):
    """`gamma f'(0)^2 ± i f'(0)`: the adjusted field is `xi + gamma J^T xi`."""
    xi = field_of(dirac(losses.non_saturating()))
    adjusted = lambda p: jax.tree.map(lambda a, b: a + gamma * b, xi(p), dynamics.vjp(xi, p, xi(p)))
    damping = gamma * SLOPE**2
    assert_spectrum(adjusted, point(), [damping - 1j * SLOPE, damping + 1j * SLOPE])


def test_weight_clipping_does_not_damp():
    """Near the equilibrium nothing is clipped, and the critic's slope is 1."""
    assert_spectrum(field_of(dirac(losses.wasserstein())), point(0.01, 0.02), [-1j, 1j])


@pytest.mark.parametrize("weight", [0.5, 10.0])
@pytest.mark.slow
def test_wgan_gp_has_no_equilibrium_to_converge_to(weight):
    """At psi = 0, where the generator rests, the critic's gradient jumps by 4 times the weight."""
    penalty = penalties.weighted((weight, penalties.wgan_gp))
    xi = field_of(dirac(losses.wasserstein(), penalty=penalty))
    assert_spectrum(xi, point(0.3, 0.2), roots(weight, 1.0))  # w ± sqrt(w^2 - 1), off the jump
    before, after = (float(xi(point(psi))["discriminator"]) for psi in (-1e-9, 1e-9))
    np.testing.assert_allclose([before, after], [2 * weight, -2 * weight], rtol=1e-6)


# ---- products


def small_gan(width=8):
    network = lambda *shape: jaxgan.from_linen(
        networks.MLP((width,), shape, activation=jnp.tanh, dtype=jnp.float64)
    )
    latent = lambda key, n: jax.random.normal(key, (n, 2))
    game = jaxgan.gan(network(3), network(), latent=latent, loss=losses.relativistic_average())
    batch = {"image": jax.random.normal(KEY, (6, 3))}
    params, model_state = jax.jit(game.init)(KEY, batch)
    params = jax.tree.map(lambda x: x.astype(float) + 0.3, params)
    return dynamics.vector_field(game, model_state, batch, KEY), params


def test_jacobian_against_finite_differences():
    xi, params = small_gan()
    matrix = jax.jit(lambda p: dynamics.jacobian(xi, p))(params)
    flat, unflatten = ravel_pytree(params)
    values = jax.jit(lambda v: ravel_pytree(xi(unflatten(v)))[0])
    for i in (0, 7, flat.size - 1):
        e = 1e-6 * np.eye(flat.size)[i]
        difference = (values(flat + e) - values(flat - e)) / 2e-6
        np.testing.assert_allclose(matrix[:, i], difference, rtol=0, atol=1e-8)


@pytest.mark.slow
def test_products_are_those_of_the_dense_matrix():
    xi, params = small_gan()
    flat, unflatten = ravel_pytree(params)
    v = jnp.cos(jnp.arange(flat.size))

    @jax.jit
    def products(p):
        functions = (dynamics.jvp, dynamics.vjp, dynamics.symmetric_part)
        functions += (dynamics.antisymmetric_part,)
        return [ravel_pytree(f(xi, p, unflatten(v)))[0] for f in functions]

    matrix = np.asarray(jax.jit(lambda p: dynamics.jacobian(xi, p))(params))
    transposed = matrix.T
    matrices = (matrix, transposed, (matrix + transposed) / 2, (matrix - transposed) / 2)
    for product, expected in zip(products(params), matrices, strict=True):
        np.testing.assert_allclose(product, expected @ v, rtol=1e-9, atol=1e-12)
    assert np.abs(matrix - transposed).max() > 0.01  # a game, and no minimisation


def test_eigenvalues_and_residuals_are_ordered_by_the_modulus():
    slopes = {"a": 1.0, "b": -5.0, "c": 3.0}
    field = lambda p: {name: slope * p[name] for name, slope in slopes.items()}
    found = dynamics.spectrum(field, dict.fromkeys(slopes, jnp.array(0.7)))
    np.testing.assert_allclose(found.values, [-5, 3, 1])
    # Of eigenvectors that are off by 0.1 and 0.2, relative to the largest product.
    values, off = np.array([2.0, 4.0]), np.diag([0.1, 0.2])
    found = _ordered(values, np.eye(2), np.diag(values) + off)
    np.testing.assert_allclose(found.values, [4, 2])
    np.testing.assert_allclose(found.residuals, [0.2 / 4.2, 0.1 / 4.2])


def test_the_field_of_a_step():
    """Of a loss with a schedule."""
    loss = lambda params, *rest: ((1.0 + rest[-1]) * params["x"], jaxgan.LossAux({}, {}))
    field = lambda *step: dynamics.vector_field(jaxgan.Game(None, {"x": loss}), {}, {}, KEY, *step)
    assert float(field()({"x": 1.0})["x"]) == 1.0
    assert float(field(3)({"x": 1.0})["x"]) == 4.0


# ---- Arnoldi


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "rank"),
    [
        ("LM", lambda values: np.abs(values)),
        ("LR", lambda values: values.real),
        ("SR", lambda values: -values.real),
    ],
)
def test_leading_eigenvalues_are_those_of_the_dense_matrix(which, rank):
    """Of a GAN with some 300 parameters."""
    xi, params = small_gan(width=26)
    assert 280 <= ravel_pytree(params)[0].size <= 320
    every = dynamics.spectrum(xi, params)
    found = dynamics.leading_spectrum(xi, params, 6, which=which)
    assert found.residuals.max() < 1e-4
    expected = np.sort(rank(every.values))[::-1][:6]
    np.testing.assert_allclose(np.sort(rank(found.values))[::-1], expected, atol=1e-4)
    for value in found.values:
        assert np.abs(every.values - value).min() < 1e-4


def test_iterations_that_do_not_converge():
    xi, params = small_gan()
    with pytest.raises(ConvergenceError, match="of 4 eigenvalues converged"):
        dynamics.leading_spectrum(xi, params, 4, which="SR", tolerance=1e-14, max_iterations=1)
    with pytest.raises(ValueError, match="expected 1 to 0 of 2 parameters; use spectrum"):
        dynamics.leading_spectrum(field_of(dirac(losses.minimax())), point(), 1)


def test_a_residual_above_the_tolerance():
    """Of products that are more noisy than the tolerance, which ARPACK does not notice."""
    xi, params = small_gan()
    rough = lambda p: jax.tree.map(lambda x: x.astype(jnp.bfloat16).astype(float), xi(p))
    with pytest.raises(ConvergenceError, match=r"residual is .*, expected at most 1e-05"):
        dynamics.leading_spectrum(rough, params, 4, tolerance=1e-5)


# ---- paths


def test_path_through_a_minimum_and_through_a_centre():
    """Towards a minimum the cosine is -1, behind it 1; along a centre it is 0."""
    start, end = {"x": jnp.array(2.0), "y": jnp.array(0.0)}, point_xy(0.0)
    descent = dynamics.path_angle(lambda p: p, start, end, [0.0, 0.5, 1.5])
    np.testing.assert_allclose(descent.cosines, [-1, -1, 1], atol=1e-12)
    np.testing.assert_allclose(descent.norms, [2, 1, 1], atol=1e-12)
    rotation = lambda p: {"x": p["y"], "y": -p["x"]}
    around = dynamics.path_angle(rotation, start, end, [0.0, 1.0, 1.5])
    np.testing.assert_allclose(around.cosines, 0.0, atol=1e-12)
    expected = np.linspace(0.0, 1.5, 41)
    np.testing.assert_array_equal(dynamics.path_angle(rotation, start, end).positions, expected)
    with pytest.raises(ValueError, match="the same"):
        dynamics.path_angle(rotation, start, start)
    with pytest.raises(ValueError, match="a point of the path is not finite"):
        dynamics.path_angle(rotation, point_xy(np.nan), start)


def point_xy(value):
    return {"x": jnp.array(value), "y": jnp.array(value)}


@pytest.mark.slow
def test_pictures(tmp_path):
    xi = field_of(dirac(losses.non_saturating()))
    orbit = {"orbit": np.array([[0.5, 0.0], [0.0, 0.5]])}
    players = ("discriminator", "generator")
    path = dynamics.path_angle(xi, point(0.0, 1.0), point(0.5, 0.5))
    drawings = {
        "field": (lambda ax: dynamics.draw_field(ax, xi, players, trajectories=orbit), 1),
        "spectrum": (
            lambda ax: dynamics.draw_spectrum(ax, {"step 0": dynamics.spectrum(xi, point())}),
            1,
        ),
        "path": (lambda axes: dynamics.draw_path(axes, path), 2),
    }
    for name, (draw, columns) in drawings.items():
        save_plot(tmp_path / f"{name}.png", draw, columns=columns)
        assert size_of(tmp_path / f"{name}.png") == (550 * columns, 495)


def test_arrows_of_the_field_show_descent():
    """At (psi, theta) = (1, 0) of the Wasserstein game: psi rests, and theta rises."""
    drawn = {}

    class Axes:
        def quiver(self, a, b, u, v, **_):
            drawn.update({(float(x), float(y)): xi for x, y, *xi in np.stack([a, b, u, v], 1)})

        def set(self, **_):
            pass

    dynamics.draw_field(Axes(), field_of(dirac(losses.wasserstein())), tuple(games.SGD))
    np.testing.assert_allclose(drawn[1.0, 0.0], [0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(drawn[0.0, 1.0], [-1.0, 0.0], atol=1e-12)
