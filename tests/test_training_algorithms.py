"""Training algorithms, each against its definition, and its published rate in a bilinear game.

Definitions are written with NumPy and finite differences of the field in float64, or solved
densely; the algorithm under test never computes its own reference.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import jaxgan
from jaxgan import Game, LossAux
from jaxgan.training import play_turn

KEY = jax.random.key(0)
BATCHES = {"image": np.zeros((1, 1))}
H = 0.1
SGD = {"x": optax.sgd(H), "y": optax.sgd(H)}


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def game_of(losses, *start) -> Game:
    """A game without data on the parameters x and y, with losses `f(x, y)`."""

    def init(key, batch):
        x, y = (jnp.array(value, float) for value in start)
        return {"x": x, "y": y}, {"x": {}, "y": {}}

    def loss_of(f):
        return lambda params, *_: (f(params["x"], params["y"]), LossAux({}, {}))

    return Game(init, {player: loss_of(f) for player, f in losses.items()}, None)


def curved_game() -> Game:
    """Two players with two numbers each, neither zero-sum nor quadratic."""
    f = lambda x, y: jnp.sum(jnp.sin(x) * y) + 0.3 * jnp.sum(x**4) + x[0] * y[1] ** 2
    g = lambda x, y: -jnp.sum(jnp.tanh(x) * y) + 0.2 * jnp.sum(jnp.cosh(y)) + x[1] ** 2 * y[0]
    return game_of({"x": f, "y": g}, [0.4, -0.7], [0.9, 0.3])


GAME = curved_game()
POINT = np.array([0.4, -0.7, 0.9, 0.3])


def field(point):
    """xi of the curved game, by central differences of each player's loss in its own numbers."""
    x, y = np.split(np.asarray(point, float), 2)
    value = lambda player, x, y: float(
        GAME.losses[player]({"x": jnp.array(x), "y": jnp.array(y)}, {}, {}, KEY, 0)[0]
    )
    return np.concatenate(
        [slopes(lambda x: value("x", x, y), x), slopes(lambda y: value("y", x, y), y)]
    )


def slopes(function, point):
    """Derivatives in every coordinate, by central differences of fourth order, `[..., n]`."""
    columns = []
    for d in 1e-3 * np.eye(len(point)):
        near = function(point + d) - function(point - d)
        far = function(point + 2 * d) - function(point - 2 * d)
        columns.append((8 * near - far) / 12e-3)
    return np.stack(columns, axis=-1)


def jacobian(point):
    return slopes(field, point)


def steps(algorithm, count=1):
    """The parameters after each of so many steps, flat."""
    state, points = algorithm.init(KEY, {"image": np.zeros(1)}), []
    update = jax.jit(algorithm.update)
    for _ in range(count):
        state, _ = update(state, BATCHES, KEY)
        points.append(np.asarray(ravel_pytree(state.params)[0]))
    return points


def assert_direction(algorithm, direction):
    """A step of SGD along the direction, from the start of the curved game."""
    np.testing.assert_allclose((POINT - steps(algorithm)[0]) / H, direction, rtol=0, atol=2e-9)


# ---- one step, by definition


def test_simultaneous():
    assert_direction(jaxgan.simultaneous(GAME, SGD), field(POINT))


def test_extragradient():
    ahead = POINT - H * field(POINT)
    assert_direction(jaxgan.extragradient(GAME, SGD), field(ahead))


def test_extragradient_from_the_past():
    """`ahead_t = theta_t - h xi(ahead_(t-1))`, and nothing is known before the first step."""
    theta, before = POINT, np.zeros(4)
    for found in steps(jaxgan.extragradient(GAME, SGD, past=True), 3):
        before = field(theta - H * before)
        theta = theta - H * before
        np.testing.assert_allclose(found, theta, rtol=0, atol=1e-9)


def test_extragradient_is_extra_adam():
    """The moments see both gradients, of the extrapolation and of the step."""
    adam = optax.adam(H, b1=0.5)
    theta, opt_state = jnp.array(POINT), adam.init(jnp.array(POINT))
    for found in steps(jaxgan.extragradient(GAME, {"x": adam, "y": adam}), 2):
        updates, opt_state = adam.update(jnp.array(field(theta)), opt_state)
        updates, opt_state = adam.update(jnp.array(field(theta + updates)), opt_state)
        theta = theta + updates
        np.testing.assert_allclose(found, theta, rtol=0, atol=1e-7)


def test_optimistic():
    theta, before = POINT, field(POINT)
    for found in steps(jaxgan.optimistic(GAME, SGD), 3):
        xi = field(theta)
        theta, before = theta - H * (2 * xi - before), xi
        np.testing.assert_allclose(found, theta, rtol=0, atol=1e-9)


def test_optimistic_adam_is_that_of_optax():
    ours = steps(jaxgan.optimistic(GAME, {"x": optax.adam(H), "y": optax.adam(H)}), 4)
    theirs = optax.optimistic_adam_v2(H, alpha=1.0, beta=1.0, nesterov=False)
    expected = steps(jaxgan.simultaneous(GAME, {"x": theirs, "y": theirs}), 4)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_negative_momentum():
    """Alternating, with `beta (theta_t - theta_(t-1))` added to every step."""
    theta = before = POINT
    for found in steps(jaxgan.negative_momentum(GAME, SGD, momentum=-0.4), 3):
        x = theta[:2] - H * field(theta)[:2] - 0.4 * (theta - before)[:2]
        y_slope = field(np.concatenate([x, theta[2:]]))[2:]
        y = theta[2:] - H * y_slope - 0.4 * (theta - before)[2:]
        theta, before = np.concatenate([x, y]), theta
        np.testing.assert_allclose(found, theta, rtol=0, atol=1e-9)


def test_consensus():
    xi, J = field(POINT), jacobian(POINT)  # noqa: N806
    assert_direction(jaxgan.consensus(GAME, SGD, strength=0.7), xi + 0.7 * J.T @ xi)
    growing = jaxgan.consensus(GAME, SGD, strength=lambda step: 0.3 * (step + 1))
    assert_direction(growing, xi + 0.3 * J.T @ xi)


def test_consensus_descends_half_the_squared_norm():
    half_square = lambda point: 0.5 * np.sum(field(point) ** 2)
    slope = slopes(half_square, POINT)
    with_, without = (steps(jaxgan.consensus(GAME, SGD, strength=s))[0] for s in (1.0, 0.0))
    np.testing.assert_allclose((without - with_) / H, slope, rtol=1e-6)


@pytest.mark.parametrize(("scale", "sign"), [(1.0, 1.0), (-1.0, -1.0), (-0.79, 1.0)])
def test_symplectic(scale, sign):
    """The sign of the adjustment is that of the alignment, to which it leans by 0.1.

    In the reversed game it is negative; if that game is weak, the mean over the four parameters is
    above -0.1, and their sum is not.
    """
    scaled = {
        p: lambda *args, f=f: (scale * f(*args)[0], f(*args)[1]) for p, f in GAME.losses.items()
    }
    game = GAME._replace(losses=scaled)
    xi, J = scale * field(POINT), scale * jacobian(POINT)  # noqa: N806
    adjustment, h = (J.T - J) / 2 @ xi, J.T @ xi
    aligned = (xi @ h) * (adjustment @ h) / 4 + 0.1
    assert np.sign(aligned) == sign  # both signs are seen
    assert (4 * (aligned - 0.1) < -0.1) == (scale < 0)  # the weak game's without its mean, or 0.1
    assert_direction(jaxgan.symplectic(game, SGD, strength=0.5), xi + sign * 0.5 * adjustment)
    assert_direction(jaxgan.symplectic(game, SGD, align=False), xi + adjustment)


def test_competitive():
    """Algorithm 1 of the paper, by inverses of dense matrices."""
    xi, J = field(POINT), jacobian(POINT)  # noqa: N806
    x, y = slice(0, 2), slice(2, 4)
    d_xy_f, d_yx_g = J[x, y], J[y, x]
    dx = np.linalg.solve(np.eye(2) - H**2 * d_xy_f @ d_yx_g, xi[x] - H * d_xy_f @ xi[y])
    dy = np.linalg.solve(np.eye(2) - H**2 * d_yx_g @ d_xy_f, xi[y] - H * d_yx_g @ xi[x])
    algorithm = jaxgan.competitive(GAME, SGD, step_size=H, tolerance=1e-12)
    assert_direction(algorithm, np.concatenate([dx, dy]))


def test_ode():
    k1 = field(POINT)
    k2 = field(POINT - H / 2 * k1)
    k3 = field(POINT - H / 2 * k2)
    k4 = field(POINT - H * k3)
    slope = (k1 + 2 * k2 + 2 * k3 + k4) / 6
    assert_direction(jaxgan.ode(GAME, SGD, step_size=H), slope)
    square = lambda x: np.sum(field(np.concatenate([x, POINT[2:]]))[2:] ** 2)  # of the other player
    slope[:2] += 0.3 * slopes(square, POINT[:2])
    for weight in (0.3, lambda step: 0.3 + step):
        algorithm = jaxgan.ode(GAME, SGD, step_size=H, regularization={"x": weight})
        assert_direction(algorithm, slope)


def test_lookahead():
    fast = steps(jaxgan.simultaneous(GAME, SGD), 3)
    algorithm = jaxgan.lookahead(jaxgan.simultaneous(GAME, SGD), every=3, weight=0.25)
    first = steps(algorithm, 6)
    np.testing.assert_allclose(first[:2], fast[:2], rtol=1e-12)
    slow = POINT + 0.25 * (fast[2] - POINT)
    np.testing.assert_allclose(first[2], slow, rtol=1e-12)
    theta = slow
    for _ in range(3):
        theta = theta - H * field(theta)
    np.testing.assert_allclose(first[5], slow + 0.25 * (theta - slow), rtol=0, atol=1e-8)
    unchanged = jaxgan.lookahead(jaxgan.simultaneous(GAME, SGD), every=3, weight=1.0)
    np.testing.assert_allclose(steps(unchanged, 3), fast, rtol=1e-12)


def test_a_state_of_another_algorithm_is_refused():
    """Optax would take the parameters in it for its own state."""
    batch, fast = {"image": np.zeros((1, 1))}, jaxgan.simultaneous(GAME, SGD)
    pair = (fast, jaxgan.lookahead(fast, every=3))
    for algorithm, other in (pair, pair[::-1]):
        state = other.init(KEY, batch)
        with pytest.raises(ValueError, match="that of another optimizer or training algorithm"):
            jax.jit(algorithm.update)(state, batch, KEY)


def test_lookahead_of_several_steps_from_an_odd_step():
    """From step 1 in twos, the players synchronise at steps 5 and 9, the first after fours."""
    algorithm = jaxgan.lookahead(
        jaxgan.scan_steps(jaxgan.simultaneous(GAME, SGD), 2), every=4, weight=0.25
    )
    state = algorithm.init(KEY, {"image": np.zeros(1)})._replace(step=jnp.array(1))
    update, twos = jax.jit(algorithm.update), {"image": np.zeros((2, 1))}
    theta = POINT
    for _ in range(2):
        slow = theta
        for _ in range(4):
            theta = theta - H * field(theta)
        theta = slow + 0.25 * (theta - slow)
        for _ in range(2):
            state, _ = update(state, twos, KEY)
        np.testing.assert_allclose(ravel_pytree(state.params)[0], theta, rtol=0, atol=1e-8)


@pytest.mark.parametrize("optimizer", [optax.sgd(H), optax.adam(H, b1=0.5, eps_root=1e-16)])
@pytest.mark.parametrize("num_steps", [0, 3])
def test_unrolled(num_steps, optimizer):
    """The leader's total derivative, by differences of its loss against the follower's k steps."""

    def followed(y):
        x, opt_state = jnp.array(POINT[:2]), optimizer.init(jnp.array(POINT[:2]))
        for _ in range(num_steps):
            slope = jnp.array(field(np.concatenate([x, y]))[:2])
            updates, opt_state = optimizer.update(slope, opt_state)
            x = x + updates
        return x

    def value(y):
        params = {"x": followed(y), "y": jnp.array(y)}
        return float(GAME.losses["y"](params, {}, {}, KEY, 0)[0])

    y = POINT[2:]
    optimizers = {"x": optimizer, "y": optax.sgd(H)}
    found = steps(jaxgan.unrolled(GAME, optimizers, num_steps=num_steps))[0]
    np.testing.assert_allclose((y - found[2:]) / H, slopes(value, y), rtol=0, atol=2e-6)
    alone = optimizer.update(jnp.array(field(POINT)[:2]), optimizer.init(jnp.array(POINT[:2])))[0]
    np.testing.assert_allclose(found[:2], POINT[:2] + alone, rtol=0, atol=1e-8)


ALONG_SCHEDULES = {
    "extragradient": lambda game, _: jaxgan.extragradient(game, SGD),
    "past extragradient": lambda game, _: jaxgan.extragradient(game, SGD, past=True),
    "consensus": lambda game, number: jaxgan.consensus(game, SGD, strength=number),
    "symplectic": lambda game, number: jaxgan.symplectic(game, SGD, strength=number),
    "competitive": lambda game, number: jaxgan.competitive(game, SGD, step_size=number),
    "ode": lambda game, number: jaxgan.ode(game, SGD, step_size=number),
    "regularised ode": lambda game, number: jaxgan.ode(
        game, SGD, step_size=0.1, regularization={"x": number}
    ),
    "unrolled": lambda game, _: jaxgan.unrolled(game, SGD, num_steps=2),
}


@pytest.mark.parametrize("name", ALONG_SCHEDULES)
def test_losses_and_schedules_see_the_step(name):
    """At step 1, those that grow by the step are as twice the constants."""

    def times(factor):
        def scaled(loss):
            return lambda *args: (factor(args[-1]) * loss(*args)[0], LossAux({}, {}))

        return GAME._replace(losses={player: scaled(f) for player, f in GAME.losses.items()})

    growing = ALONG_SCHEDULES[name](times(lambda step: 1.0 + step), lambda step: 0.3 * (1 + step))
    constant = ALONG_SCHEDULES[name](times(lambda _: 2.0), 0.6)
    params = []
    for algorithm, step in ((growing, 1), (constant, 0)):
        state = algorithm.init(KEY, {"image": np.zeros(1)})._replace(step=jnp.array(step))
        state, _ = jax.jit(algorithm.update)(state, BATCHES, KEY)
        params.append(np.asarray(ravel_pytree(state.params)[0]))
    np.testing.assert_allclose(*params, rtol=0, atol=1e-12)
    assert np.abs(params[0] - POINT).max() > 0.01


def test_the_follower_can_be_chosen():
    swapped = jaxgan.unrolled(GAME, SGD, num_steps=1, follower="y")
    (found,) = steps(swapped)
    np.testing.assert_allclose((POINT - found)[2:] / H, field(POINT)[2:], atol=1e-9)
    assert np.abs((POINT - found)[:2] / H - field(POINT)[:2]).max() > 0.01


# ---- rates in the bilinear game min max x y

BILINEAR = game_of({"x": lambda x, y: x * y, "y": lambda x, y: -x * y}, 1.0, 1.0)
ETA = {"x": optax.sgd(0.3), "y": optax.sgd(0.3)}
e = 0.3


def momentum_rate(eta, beta):
    """Of `(l - 1)^2 (l - b)^2 + eta^2 l^3`, theorem 6 of Gidel et al. (alternating)."""
    polynomial = np.polymul(np.polymul([1, -1], [1, -1]), np.polymul([1, -beta], [1, -beta]))
    return np.abs(np.roots(polynomial + np.array([0, eta**2, 0, 0, 0]))).max()


RATES = {
    "simultaneous": (jaxgan.simultaneous(BILINEAR, ETA), np.sqrt(1 + e**2)),
    "alternating": (jaxgan.alternating(BILINEAR, ETA), 1.0),
    "extragradient": (jaxgan.extragradient(BILINEAR, ETA), np.sqrt(1 - e**2 + e**4)),
    "past extragradient": (
        jaxgan.extragradient(BILINEAR, ETA, past=True),
        np.sqrt((1 + np.sqrt(1 - 4 * e**2)) / 2),
    ),
    "optimistic": (
        jaxgan.optimistic(BILINEAR, ETA),
        np.sqrt((1 + np.sqrt(1 - 4 * e**2)) / 2),
    ),
    "consensus": (jaxgan.consensus(BILINEAR, ETA, strength=1.0), np.hypot(1 - e, e)),
    "symplectic": (jaxgan.symplectic(BILINEAR, ETA), np.hypot(1 - e, e)),
    "competitive": (jaxgan.competitive(BILINEAR, ETA, step_size=0.3), 1 / np.sqrt(1 + e**2)),
    "ode": (jaxgan.ode(BILINEAR, ETA, step_size=0.3), np.sqrt(1 - e**6 / 72 + e**8 / 576)),
    "negative momentum": (
        jaxgan.negative_momentum(BILINEAR, ETA, momentum=-0.3),
        momentum_rate(0.3, -0.3),
    ),
    "lookahead": (
        jaxgan.lookahead(jaxgan.simultaneous(BILINEAR, ETA), every=4),
        abs(0.5 + 0.5 * (1 - 1j * e) ** 4) ** (1 / 4),
    ),
    "unrolled": (
        jaxgan.unrolled(BILINEAR, ETA, num_steps=2),
        np.abs(np.linalg.eigvals(np.eye(2) - e * np.array([[0, 1], [-1, 4 * e]]))).max(),
    ),
}


@pytest.mark.parametrize("name", RATES)
def test_rate_in_the_bilinear_game(name):
    algorithm, expected = RATES[name]
    np.testing.assert_allclose(rate(algorithm), expected, rtol=1e-6)
    converges = name not in ("simultaneous", "alternating")
    assert (expected < 1 - 1e-6) == converges


def rate(algorithm, count=4):
    """Spectral radius of `count` steps as a map of parameters and optimizer states, per step."""
    state = algorithm.init(KEY, {"image": np.zeros(1)})
    for _ in range(count):  # beyond what is particular to the first steps
        state, _ = jax.jit(algorithm.update)(state, BATCHES, KEY)
    leaves, structure = jax.tree.flatten(state)
    moving = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

    def after(values):
        new = list(leaves)
        for i, value in zip(moving, values, strict=True):
            new[i] = value
        later = jax.tree.unflatten(structure, new)
        for _ in range(count):
            later, _ = algorithm.update(later, BATCHES, KEY)
        return jnp.stack([jax.tree.leaves(later)[i] for i in moving])

    matrix = jax.jit(jax.jacfwd(after))(jnp.stack([leaves[i] for i in moving]))
    return np.abs(np.linalg.eigvals(np.asarray(matrix))).max() ** (1 / count)


# ---- what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jaxgan.unrolled(GAME, SGD, follower="z"), "follower is z; the players are x, y"),
        (lambda: jaxgan.unrolled(GAME, SGD, num_steps=-1), "num_steps is -1"),
        (lambda: jaxgan.unrolled(GAME, SGD, num_steps=2.5), "num_steps is 2.5, expected a whole"),
        (lambda: jaxgan.competitive(GAME, SGD, step_size=H, iterations=0), "iterations is 0"),
        (
            lambda: jaxgan.ode(GAME, SGD, step_size=H, regularization={"z": 1.0}),
            "regularization names z; the players are x, y",
        ),
        (
            lambda: jaxgan.ode(GAME, SGD, step_size=H, regularization=0.1),
            "regularization is 0.1, expected a dict of weights by player",
        ),
        (lambda: jaxgan.lookahead(RATES["alternating"][0], weight=1.5), "weight is 1.5"),
        (lambda: jaxgan.lookahead(RATES["alternating"][0], weight=0.0), "weight is 0.0"),
        (
            lambda: jaxgan.lookahead(jaxgan.scan_steps(RATES["alternating"][0], 2), every=3),
            "every is 3, expected a multiple of the algorithm's steps_per_update, 2",
        ),
        (lambda: jaxgan.consensus(GAME, {"x": optax.sgd(H)}, strength=1.0), "optimizers lacks y"),
    ],
)
def test_arguments_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_turn_is_that_of_all_players():
    """The machinery beneath: a simultaneous turn is what the bent fields are measured against."""
    algorithm = jaxgan.simultaneous(GAME, SGD)
    state = algorithm.init(KEY, {"image": np.zeros(1)})
    turned, _ = play_turn(GAME, SGD, ("x", "y"), state, {"image": np.zeros(1)}, KEY)
    found = np.asarray(ravel_pytree(turned.params)[0])
    np.testing.assert_allclose(found, steps(algorithm)[0], rtol=1e-12)
