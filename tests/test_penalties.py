"""Penalties and regularisers: closed forms, finite differences, weights, laziness, and state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from jaxgan import losses, penalties
from jaxgan.errors import GameError
from jaxgan.parallel import axis
from jaxgan.penalties import ForwardPass, Regularizer
from tests import games
from tests.support import normal

KEY = jax.random.key(0)
REAL, FAKE = normal(6, 3, seed=1), normal(6, 3, seed=2)
W = jnp.array([0.6, -1.2, 2.0])
NORM = float(jnp.linalg.norm(W))
LINEAR = lambda x: x @ W

CLOSED_FORMS = {
    penalties.r1: NORM**2 / 2,
    penalties.r2: NORM**2 / 2,
    penalties.wgan_gp: (NORM - 1) ** 2,
    penalties.dragan: (NORM - 1) ** 2,
}


def values_of(penalty, critic, real=REAL, fake=FAKE, key=KEY, step=0):
    """A penalty's values, compiled: one program instead of one for each operation."""
    call = lambda key, step: penalty(critic, real, fake, key, step)
    return np.asarray(jax.jit(call)(key, step))


@pytest.mark.parametrize("penalty", CLOSED_FORMS)
def test_linear_critic(penalty):
    values = values_of(penalty, LINEAR)
    np.testing.assert_allclose(values, np.full(6, CLOSED_FORMS[penalty]), rtol=1e-5)


@pytest.mark.parametrize("penalty", [penalties.wgan_gp, penalties.dragan])
def test_zero_critic_has_finite_gradients(penalty):
    """The norm's derivative at 0 is where naive programs get NaN."""
    mean = lambda w: penalty(lambda x: x @ w, REAL, FAKE, KEY, 0).mean()
    value, gradient = jax.jit(jax.value_and_grad(mean))(jnp.zeros(3))
    assert float(value) == pytest.approx(1.0)
    np.testing.assert_array_equal(gradient, np.zeros(3))


def test_points_at_which_the_gradient_is_taken():
    """With D(x) = |x|^2 / 2 the gradient at x is x itself."""
    critic = lambda x: 0.5 * jnp.sum(x**2, axis=-1)
    half_square = lambda x: 0.5 * np.sum(np.square(x), axis=-1)
    np.testing.assert_allclose(values_of(penalties.r1, critic), half_square(REAL), rtol=1e-5)
    np.testing.assert_allclose(values_of(penalties.r2, critic), half_square(FAKE), rtol=1e-5)
    # On the segment from 2 e_1 to 3 e_1 the norm lies in [2, 3], and is another for every example.
    real, fake = np.full((2, 64, 1), [[[2.0]], [[3.0]]]) * np.array([1.0, 0.0], "f4")
    norms = np.sqrt(values_of(penalties.wgan_gp, critic, real, fake)) + 1
    assert ((norms >= 2) & (norms <= 3)).all()
    assert len(np.unique(norms)) == 64
    assert abs(norms.mean() - 2.5) < 0.15


def test_dragan_stays_within_its_neighbourhood():
    critic = lambda x: jnp.sum(x, axis=-1) ** 2 / 2  # the gradient's norm is |sum x| sqrt(2)
    real = np.repeat(np.array([[30.0, 30.0], [10.0, 10.0]], "f4"), 500, axis=0)  # std 10
    norms = np.sqrt(values_of(penalties.dragan, critic, real, real)) + 1
    sums = norms / np.sqrt(2)
    for rows, own in ((slice(0, 500), 60), (slice(500, 1000), 20)):
        assert (sums[rows] >= own - 1e-3).all()
        assert (sums[rows] <= own + 2 * 0.5 * 10).all()
        # t u with both uniform has mean 1/4: the points move by 5/4 per coordinate on average.
        assert abs(sums[rows].mean() - (own + 2 * 5 / 4)) < 0.3


@pytest.mark.parametrize(
    "penalty", [*CLOSED_FORMS, penalties.approximate_r1, penalties.approximate_r2]
)
def test_gradient_in_the_critics_parameters(penalty):
    """A derivative of a derivative, or of a difference, against finite differences."""
    with jax.enable_x64(True):
        real, fake = np.float64(REAL), np.float64(FAKE)

        def mean(w):
            critic = lambda x: jnp.tanh(x @ w[:3]) * w[3]
            return penalty(critic, real, fake, KEY, 0).mean()

        w, eps = np.array([0.5, -1.0, 0.3, 2.0]), 1e-5
        mean = jax.jit(mean)
        gradient = np.asarray(jax.jit(jax.grad(mean))(w))
        for i, unit in enumerate(np.eye(4)):
            difference = (mean(w + eps * unit) - mean(w - eps * unit)) / (2 * eps)
            np.testing.assert_allclose(gradient[i], difference, rtol=1e-6, atol=1e-9)


def test_images_and_patch_logits():
    image = normal(2, 4, 4, 1)
    patches = lambda x: x[..., 0] * 3.0  # [batch, 4, 4]: the gradient of the sum is 3 per pixel
    values = values_of(penalties.r1, patches, image, image)
    np.testing.assert_allclose(values, np.full(2, 0.5 * 9 * 16), rtol=1e-6)


def test_weighted_sums_with_constants_and_schedules():
    penalty = penalties.weighted(
        (2.0, penalties.r1), (optax.linear_schedule(1.0, 0.0, 10), penalties.r2)
    )
    for step, weight in ((0, 3.0), (5, 2.5), (10, 2.0)):
        values = values_of(penalty, LINEAR, step=step)
        np.testing.assert_allclose(values, np.full(6, weight * NORM**2 / 2), rtol=1e-5)


def test_lazy_penalties_keep_their_mean_over_a_period():
    lazy = penalties.lazily(penalties.r1, every=4)
    at = jax.jit(lambda step: lazy(LINEAR, REAL, FAKE, KEY, step))
    values = np.stack([at(step) for step in range(8)])
    np.testing.assert_allclose(values.mean(axis=0), np.full(6, NORM**2 / 2), rtol=1e-5)
    assert (values[[1, 2, 3, 5, 6, 7]] == 0).all()
    assert penalties.lazily(penalties.r1, every=1) is penalties.r1  # no condition


def test_terms_of_a_sum_have_keys_of_their_own():
    critic = lambda x: 0.5 * jnp.sum(x**2, axis=-1)
    both = penalties.weighted((1.0, penalties.wgan_gp), (1.0, penalties.wgan_gp))
    one = penalties.weighted((2.0, penalties.wgan_gp))
    assert not np.allclose(values_of(both, critic), values_of(one, critic), rtol=1e-3)


def test_errors_come_early():
    with pytest.raises(ValueError, match=r"weighted\(\) was given \(\), expected pairs"):
        penalties.weighted()
    with pytest.raises(ValueError, match="every is 0"):
        penalties.lazily(penalties.r1, every=0)
    with pytest.raises(AssertionError, match=r"different shapes: \[\(6, 3\), \(3, 3\)\]"):
        penalties.wgan_gp(LINEAR, REAL, FAKE[:3], KEY, 0)
    for decay in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"LeCam's averages is {decay}"):
            penalties.lecam(decay)
        with pytest.raises(ValueError, match=f"the path length is {decay}"):
            penalties.path_length(decay)


# ---- LeCam


def logits(r, f):
    """A forward pass of which only the logits matter."""
    blank = np.zeros((len(r), 3), "f4")
    return ForwardPass(LINEAR, None, None, blank, blank, r, f)


@pytest.mark.parametrize("shape", [(6,), (6, 2, 3)])
def test_lecam_over_several_steps(shape):
    """Zero at first, then distances from the averages of the steps before; values by NumPy."""
    decay, rng = 0.7, np.random.default_rng(0)
    term = penalties.lecam(decay)
    state, averages = term.init(), None
    apply = jax.jit(lambda state, r, f: term.apply(state, logits(r, f), KEY, 0))
    for _ in range(4):
        r, f = 1.0 + rng.normal(size=(2, *shape)).astype("f4")
        values, state = apply(state, r, f)
        if averages is None:
            expected, averages = np.zeros(shape), (r.mean(), f.mean())
        else:
            expected = (r - averages[1]) ** 2 + (f - averages[0]) ** 2
            averages = [
                decay * a + (1 - decay) * x.mean() for a, x in zip(averages, (r, f), strict=True)
            ]
        means = expected.reshape(6, -1).mean(axis=1)  # squares of differences, which cancel
        np.testing.assert_allclose(values, means, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose([state["real"], state["fake"]], averages, rtol=1e-5)


def test_a_state_of_another_shape_is_refused():
    """Such as that of a term that returns (state, values)."""
    swapped = penalties.Regularizer(
        lambda: jnp.zeros(()), lambda state, forward, key, step: (state, forward.real_logits)
    )
    game = linear_gan(penalty=swapped)
    params, state = game.init(KEY, {"image": REAL})
    with pytest.raises(ValueError, match=r"state of the shapes \(6,\), expected those .* \(\)"):
        game.losses["discriminator"](params, state, {"image": REAL}, KEY, 0)


def test_one_sided_lecam_counts_logits_within_the_averages():
    """`relu(D(x) - a_fake)^2 + relu(a_real - D(G(z)))^2`, as google/lecam-gan's losses.py."""
    term, state = penalties.lecam(one_sided=True), {"fake": -1.0, "real": 2.0, "started": 1.0}
    r, f = jnp.array([0.0, -3.0]), jnp.array([0.5, 4.0])
    value, _ = term.apply(state, logits(r, f), KEY, 0)
    np.testing.assert_allclose(value, [1.0 + 1.5**2, 0.0], rtol=1e-6)


def test_lecam_holds_its_averages_constant():
    term = penalties.lecam(0.5)
    r, f = REAL[:, 0], FAKE[:, 0]
    apply = lambda state, r, f: term.apply(state, logits(r, f), KEY, 0)
    _, state = jax.jit(apply)(term.init(), REAL[:, 1], FAKE[:, 1])
    mean = lambda r, f: apply(state, r, f)[0].mean()
    of_real, of_fake = jax.jit(jax.grad(mean, (0, 1)))(r, f)
    np.testing.assert_allclose(of_real, 2 * (r - state["fake"]) / 6, rtol=1e-5)
    np.testing.assert_allclose(of_fake, 2 * (f - state["real"]) / 6, rtol=1e-5)


# ---- path length

SHAPE = (4, 5, 2)
MATRIX, CODES = 0.1 * normal(3, 40, seed=3), normal(6, 3, seed=4)


def linear(matrix, codes=CODES):
    """The forward pass of `G(z) = A z`, reshaped to images."""
    generator = lambda z: (z @ matrix).reshape(-1, *SHAPE)
    images = generator(codes)
    return ForwardPass(LINEAR, generator, codes, images, images, None, None)


def directions(n=6):
    """The random images y of `path_length` with KEY, `[n, 40]`."""
    sample = jax.vmap(lambda key: jax.random.normal(key, SHAPE))
    y = jax.jit(lambda: sample(axis.example_keys(KEY, n)))()
    return np.asarray(y).reshape(n, 40) / np.sqrt(4 * 5)


def test_path_length_of_a_linear_generator():
    """|J^T y| = |A^T y| wherever z is, less its moving average, this batch included."""
    decay, term = 0.9, penalties.path_length(0.9)
    lengths = np.linalg.norm(directions() @ MATRIX.T, axis=1)
    state, mean = term.init(), 0.0
    apply = jax.jit(lambda state, matrix: term.apply(state, linear(matrix), KEY, 0))
    for factor in (1.0, 2.0, 0.5):
        values, state = apply(state, np.float32(factor) * MATRIX)
        mean = decay * mean + (1 - decay) * factor * lengths.mean()
        np.testing.assert_allclose(values, (factor * lengths - mean) ** 2, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(state["mean"], mean, rtol=1e-5)


def test_path_lengths_do_not_depend_on_the_resolution():
    """E |A^T y|^2 = |A|^2 / (height width)."""
    term, n = penalties.path_length(0.0), 4000
    zeros = np.zeros((n, 3), "f4")
    values, state = jax.jit(lambda: term.apply(term.init(), linear(MATRIX, zeros), KEY, 0))()
    second_moment = float(np.mean(values) + state["mean"] ** 2)  # variance and squared mean
    assert second_moment == pytest.approx(np.sum(MATRIX**2) / 20, rel=0.05)


def test_path_length_without_deviation_costs_nothing():
    """One example is its own average, and a constant generator has paths of no length."""
    term = penalties.path_length(0.0)
    value, _ = jax.jit(lambda: term.apply(term.init(), linear(MATRIX, CODES[:1]), KEY, 0))()
    np.testing.assert_array_equal(value, [0.0])
    mean = lambda matrix: term.apply(term.init(), linear(matrix), KEY, 0)[0].mean()
    value, gradient = jax.jit(jax.value_and_grad(mean))(jnp.zeros((3, 40)))
    assert float(value) == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_array_equal(gradient, np.zeros((3, 40)))


def test_gradient_of_the_path_length():
    with jax.enable_x64(True):
        term, matrix, codes = penalties.path_length(0.5), np.float64(MATRIX), np.float64(CODES)
        state = {"mean": np.array(0.3)}
        mean = lambda matrix: term.apply(state, linear(jnp.tanh(matrix), codes), KEY, 0)[0].mean()
        direction, eps = np.cos(np.arange(120.0)).reshape(3, 40), 1e-5
        mean = jax.jit(mean)
        slope = np.vdot(jax.jit(jax.grad(mean))(matrix), direction)
        difference = (mean(matrix + eps * direction) - mean(matrix - eps * direction)) / (2 * eps)
        np.testing.assert_allclose(slope, difference, rtol=1e-6)


# ---- penalties and regularisers together

HALF_SQUARE = lambda x: 0.5 * jnp.sum(x**2, axis=-1)
SQUARES = ForwardPass(HALF_SQUARE, None, None, REAL, FAKE, HALF_SQUARE(REAL), HALF_SQUARE(FAKE))


def counting() -> Regularizer:
    """The number of times it was computed before."""

    def apply(count, forward, key, step):
        return jnp.full(forward.real.shape[0], count), count + 1.0

    return Regularizer(lambda: jnp.zeros(()), apply)


def test_a_sum_of_penalties_is_a_penalty_with_a_key_for_each_term():
    """Term i has the key `fold_in(key, i)`, with a regulariser among the terms or without."""
    terms = ((2.0, penalties.wgan_gp), (0.5, penalties.dragan))
    keys = [jax.random.fold_in(KEY, i) for i in (0, 1)]
    expected = sum(
        weight * values_of(penalty, HALF_SQUARE, key=key)
        for (weight, penalty), key in zip(terms, keys, strict=True)
    )
    plain = penalties.weighted(*terms)
    assert not isinstance(plain, Regularizer)
    np.testing.assert_allclose(values_of(plain, HALF_SQUARE), expected, rtol=1e-6)
    mixed = penalties.weighted(*terms, (3.0, counting()))
    assert isinstance(mixed, Regularizer)
    state = mixed.init()
    apply = jax.jit(lambda state: mixed.apply(state, SQUARES, KEY, 0))
    for times in range(3):
        values, state = apply(state)
        np.testing.assert_allclose(values, expected + 3.0 * times, rtol=1e-6)


def test_a_penalty_of_the_batch_is_a_term_beside_those_of_examples():
    of_batch = lambda critic, real, fake, key, step: jnp.mean(critic(real))
    alone = values_of(of_batch, HALF_SQUARE)
    both = values_of(penalties.weighted((2.0, of_batch), (1.0, penalties.r1)), HALF_SQUARE)
    r1 = values_of(penalties.r1, HALF_SQUARE)
    np.testing.assert_allclose(np.mean(both), 2.0 * alone + np.mean(r1), rtol=1e-6)


def test_a_penalty_has_one_value_per_example():
    """Others would be averaged over axes that should be summed."""
    apart = lambda critic, real, fake, key, step: critic(real)[:, None] * critic(fake)[None]
    with pytest.raises(GameError, match=r"the penalty of the discriminator has the shape \(\d+, "):
        played(linear_gan(penalty=apart))


def test_a_lazy_regulariser_changes_its_state_when_it_is_computed():
    lazy = penalties.lazily(counting(), every=3)
    assert not isinstance(penalties.lazily(penalties.r1, every=3), Regularizer)
    state, values, counts = lazy.init(), [], []
    apply = jax.jit(lambda state, step: lazy.apply(state, SQUARES, KEY, step))
    for step in range(8):
        of_step, state = apply(state, step)
        values.append(float(of_step[0]))
        counts.append(float(state))
    assert values == [0, 0, 0, 3, 0, 0, 6, 0]
    assert counts == [1, 1, 1, 2, 2, 2, 3, 3]


def test_lazy_terms_within_a_sum():
    every_other = penalties.lazily(penalties.r1, every=2)
    both = penalties.weighted((10.0, every_other), (0.1, counting()))
    apply = jax.jit(lambda state, step: both.apply(state, SQUARES, KEY, step))
    (_, state), r1 = apply(both.init(), 0), np.asarray(HALF_SQUARE(REAL))
    for step, expected in ((1, 0.1 * np.ones(6)), (2, 20.0 * r1 + 0.2)):
        values, state = apply(state, step)
        np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("term", [penalties.lecam(0.5), penalties.path_length(0.5)])
def test_statistics_are_those_of_all_devices(term):
    """Four devices with two examples each keep the state of one with eight."""
    codes = normal(8, 3)

    def step(codes):
        forward = linear(MATRIX, codes)._replace(real_logits=codes[:, 0], fake_logits=codes[:, 1])
        return term.apply(term.apply(term.init(), forward, KEY, 0)[1], forward, KEY, 0)

    values, state = jax.jit(step)(codes)
    mapped = jax.jit(jax.vmap(step, axis_name=axis.DATA_AXIS))
    of_each, states = mapped(codes.reshape(4, 2, 3))
    np.testing.assert_allclose(of_each.reshape(8), values, rtol=1e-4, atol=1e-6)
    for name, value in state.items():
        np.testing.assert_allclose(states[name], np.full(4, value), rtol=1e-5)


# ---- in a game


def linear_gan(**kwargs):
    """`D(x) = (w . x, x)`, its features x, and `G(z) = z A`, at constant latents."""
    generator = jaxgan.Network(
        lambda key, z, *conditions: (0.3 * jax.random.normal(key, (3, 3)), {}),
        lambda matrix, state, z, *conditions, **_: (z @ matrix, state),
    )
    discriminator = jaxgan.Network(
        lambda key, x, *conditions: (jax.random.normal(key, (3,)), {}),
        lambda w, state, x, *conditions, **_: ((x @ w, x), state),
    )
    kwargs = {"latent": lambda key, n: CODES[:n], "loss": losses.wasserstein()} | kwargs
    return jaxgan.gan(generator, discriminator, **kwargs)


def played(game, rate=0.1, num_steps=1):
    """The states before and after, by SGD."""
    algorithm = jaxgan.jit(jaxgan.alternating(game, dict.fromkeys(game.losses, optax.sgd(rate))))
    before = algorithm.init(KEY, {"image": REAL})
    state = jax.tree.map(jnp.copy, before)
    for _ in range(num_steps):
        state, metrics = algorithm.update(state, {"image": REAL[None]}, KEY)
    return before, state, metrics


def test_a_penalty_enters_the_generators_gradient():
    """Features that the discriminator returns serve feature matching; one step of SGD by hand."""
    game = linear_gan(generator_penalty=penalties.weighted((2.0, penalties.feature_matching())))
    before, after, metrics = played(game)
    w = after.params["discriminator"]

    def matching(matrix):
        return jnp.sum((REAL.mean(0) - (CODES @ matrix).mean(0)) ** 2)

    loss = lambda matrix: -jnp.mean(CODES @ matrix @ w) + 2.0 * matching(matrix)
    matrix = before.params["generator"]
    value, gradient = jax.jit(jax.value_and_grad(loss))(matrix)
    np.testing.assert_allclose(after.params["generator"], matrix - 0.1 * gradient, rtol=1e-5)
    assert float(metrics["generator"]["loss"]) == pytest.approx(float(value), rel=1e-5)
    expected = pytest.approx(2.0 * float(matching(matrix)), rel=1e-5)
    assert float(metrics["generator"]["penalty"]) == expected
    assert "penalty" not in metrics["discriminator"]


def test_a_penalty_enters_the_discriminators_gradient():
    game = linear_gan(penalty=penalties.weighted((2.0, penalties.r1), (0.5, penalties.lecam(0.9))))
    before, middle, _ = played(game)
    w, fake = before.params["discriminator"], CODES @ before.params["generator"]
    gradient = (fake.mean(0) - REAL.mean(0)) + 2.0 * w  # LeCam is zero in the first step
    np.testing.assert_allclose(middle.params["discriminator"], w - 0.1 * gradient, rtol=1e-5)
    _, after, _ = played(game, num_steps=2)
    real, fake_mean = (float((x @ w).mean()) for x in (REAL, fake))
    w, fake = middle.params["discriminator"], CODES @ middle.params["generator"]
    lecam = lambda w: jnp.mean((REAL @ w - fake_mean) ** 2 + (fake @ w - real) ** 2)
    gradient = (fake.mean(0) - REAL.mean(0)) + 2.0 * w + 0.5 * jax.jit(jax.grad(lecam))(w)
    np.testing.assert_allclose(after.params["discriminator"], w - 0.1 * gradient, rtol=1e-4)


def translations(rate, num_steps, penalty):
    """States of pix2pix and of CycleGAN on images of three pixels, `D(x) = (w . x, x)`."""
    generator = jaxgan.Network(
        lambda key, x: (0.3 * jax.random.normal(key, (3, 3)), {}),
        lambda matrix, state, x, **_: (x @ matrix, state),
    )
    discriminator = jaxgan.Network(
        lambda key, x: (jax.random.normal(key, (3,)), {}),
        lambda w, state, x, **_: ((x @ w, x), state),
    )
    loss = losses.wasserstein()
    paired = jaxgan.pix2pix(generator, discriminator, loss=loss, penalty=penalty, conditional=False)
    unpaired = jaxgan.cyclegan(
        dict.fromkeys(("x2y", "y2x"), generator),
        dict.fromkeys(("x", "y"), discriminator),
        loss=loss,
        penalty=penalty,
        pool_size=0,
    )
    for game, names in ((paired, ("source", "target")), (unpaired, ("x", "y"))):
        optimizers = dict.fromkeys(game.losses, optax.sgd(rate))
        algorithm = jaxgan.jit(jaxgan.simultaneous(game, optimizers))
        batch = dict(zip(names, (FAKE, REAL), strict=True))
        states = [algorithm.init(KEY, batch)]
        for _ in range(num_steps):
            state, _ = algorithm.update(
                jax.tree.map(jnp.copy, states[-1]), {n: x[None] for n, x in batch.items()}, KEY
            )
            states.append(state)
        yield [(state.params, state.model_state) for state in states]


def test_penalties_with_state_in_translation():
    """D's gradient is that of `(D(G(x)) - D(y)) / 2 + LeCam`, with the averages before the step."""
    of_pair, of_cycle = translations(0.1, 2, penalties.weighted((0.5, penalties.lecam(0.9))))
    weights = {
        "pix2pix": [(p["discriminator"], p["generator"]) for p, _ in of_pair],
        "cyclegan": [(p["discriminators"]["y"], p["generators"]["x2y"]) for p, _ in of_cycle],
    }
    for (before, g), (middle, h), (after, _) in weights.values():
        real, fake = float((REAL @ before).mean()), float((FAKE @ g @ before).mean())
        adversarial = lambda w, g: 0.5 * jnp.mean(FAKE @ g @ w - REAL @ w)
        lecam = lambda w, g: jnp.mean((REAL @ w - fake) ** 2 + (FAKE @ g @ w - real) ** 2)  # noqa: B023
        first = jax.grad(adversarial)(before, g)
        second = jax.grad(lambda w: adversarial(w, h) + 0.5 * lecam(w, h))(middle)  # noqa: B023
        np.testing.assert_allclose(middle, before - 0.1 * first, rtol=1e-5)
        np.testing.assert_allclose(after, middle - 0.1 * second, rtol=1e-4)
    assert set(of_pair[0][1]["discriminator"]) == {"network", "penalty", "augment"}
    assert set(of_cycle[0][1]["discriminators"]) == {"networks", "buffers", "penalties"}


@pytest.mark.parametrize(
    "name", ["path_length", "mode_seeking", "latent_consistency", "latent_diversity", "transport"]
)
def test_penalties_of_latents_are_refused_in_translation(name):
    with pytest.raises(ValueError, match=f"{name} needs a generator of latents, and this game has"):
        next(translations(0.1, 1, getattr(penalties, name)()))


def test_state_belongs_to_the_player_whose_penalty_it_is():
    both = {"penalty": counting(), "generator_penalty": counting()}
    turns = ("discriminator", "discriminator", "generator")
    for kwargs, counts in ((both, (2, 1)), ({"penalty": counting()}, (2, None))):
        game = linear_gan(**kwargs)
        algorithm = jaxgan.jit(jaxgan.alternating(game, games.SGD, turns=turns))
        state = algorithm.init(KEY, {"image": REAL})
        state, _ = algorithm.update(state, {"image": jnp.stack([REAL, REAL])}, KEY)
        for player, count in zip(("discriminator", "generator"), counts, strict=True):
            own = state.model_state[player]
            if count is None:  # nothing but the network's state, of which there is none
                assert own == {}
            else:
                assert own["network"] == {}
                assert float(own["penalty"]) == count


def test_reconstruction_is_the_mean_absolute_error_of_real_images():
    real = [
        (
            jnp.zeros((2, 2, 2, 1)),
            jnp.array([1.0, -3.0]).reshape(2, 1, 1, 1) * jnp.ones((1, 2, 2, 1)),
        )
    ]
    real.append((jnp.full((2, 1, 1, 1), 0.5), jnp.zeros((2, 1, 1, 1))))
    forward = penalties.ForwardPass(*[None] * 7, {"reconstructions": real}, None)
    value, state = penalties.reconstruction().apply((), forward, jax.random.key(0), 0)
    np.testing.assert_allclose(value, [1.5, 3.5])
    assert state == ()
    with pytest.raises(ValueError, match="returns no reconstructions with its logits"):
        penalties.reconstruction().apply((), forward._replace(real_features=None), None, 0)
