"""Augmentations: against NumPy with the same random numbers, their moments, and in a game."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from jaxgan import augment, losses, penalties
from jaxgan.augment import Augmentation, ada, diff_augment
from jaxgan.game import own_gradient
from jaxgan.parallel import axis
from tests import games

KEY = jax.random.key(0)
N, HEIGHT, WIDTH = 6, 8, 12
IMAGES = np.random.default_rng(0).uniform(-1, 1, (N, HEIGHT, WIDTH, 3)).astype("f4")


# ---- DiffAugment as its authors write it


def keys_of(i: int, num_names: int) -> jax.Array:
    """The keys of an example's transformations."""
    return jax.random.split(axis.example_keys(KEY, N)[i], num_names)


def color(x, key):
    brightness, saturation, contrast = np.asarray(jax.random.uniform(key, (3,)))
    x = x + (brightness - 0.5)
    gray = x.mean(axis=2, keepdims=True)
    x = (x - gray) * (saturation * 2) + gray
    mean = x.mean()
    return (x - mean) * (contrast + 0.5) + mean


def translation(x, key):
    reach = int(HEIGHT / 8 + 0.5), int(WIDTH / 8 + 0.5)
    bounds = 2 * jnp.array(reach) + 1
    down, right = np.asarray(jax.random.randint(key, (2,), 0, bounds)) - np.array(reach)
    out = np.zeros_like(x)
    for i, j in itertools.product(range(HEIGHT), range(WIDTH)):
        if 0 <= i + down < HEIGHT and 0 <= j + right < WIDTH:
            out[i, j] = x[i + down, j + right]
    return out


def cutout(x, key):
    size = int(HEIGHT * 0.5 + 0.5), int(WIDTH * 0.5 + 0.5)
    bounds = jnp.array([HEIGHT + (1 - size[0] % 2), WIDTH + (1 - size[1] % 2)])
    row, column = np.asarray(jax.random.randint(key, (2,), 0, bounds))
    mask = np.ones((HEIGHT, WIDTH, 1))
    for i, j in itertools.product(range(size[0]), range(size[1])):
        clamped = np.clip(row + i - size[0] // 2, 0, HEIGHT - 1)
        mask[clamped, np.clip(column + j - size[1] // 2, 0, WIDTH - 1)] = 0
    return x * mask


REFERENCES = {"color": color, "translation": translation, "cutout": cutout}


@pytest.mark.parametrize("policy", [tuple(REFERENCES), ("cutout", "color")])
def test_diff_augment_is_that_of_its_authors(policy):
    augmented = jax.jit(diff_augment(policy))(KEY, IMAGES)
    for i, x in enumerate(IMAGES):
        for name, key in zip(policy, keys_of(i, len(policy)), strict=True):
            x = REFERENCES[name](x, key)
        np.testing.assert_allclose(augmented[i], x, atol=1e-5)


def test_colour_is_kept_in_the_mean():
    """Brightness has the mean 0, saturation and contrast the mean 1, independently."""
    many = np.broadcast_to(IMAGES[:1], (4000, *IMAGES.shape[1:]))
    augmented = np.asarray(jax.jit(diff_augment(("color",)))(KEY, many))
    error = augmented.std(axis=0) / np.sqrt(4000)
    assert (np.abs(augmented.mean(axis=0) - IMAGES[0]) < 5 * error).all()
    assert augmented.std(axis=0).min() > 0.25  # brightness alone has 0.29


def test_every_shift_is_equally_likely():
    one = np.zeros((3000, 8, 8, 1), np.float32)
    one[:, 4, 4] = 1.0
    moved = np.asarray(jax.jit(diff_augment(("translation",)))(KEY, one))
    _, rows, columns, _ = np.nonzero(moved)
    counts = np.bincount(3 * (rows - 3) + (columns - 3), minlength=9)
    assert counts.sum() == 3000
    assert (abs(counts - 3000 / 9) < 4 * np.sqrt(3000 / 9)).all()  # no shift among them


@pytest.mark.parametrize("side", [8, 6])
def test_cutout_hits_a_pixel_as_often_as_its_neighbours_are_centres(side):
    """By enumeration of the centres, of which the outer ones cut less; squares of even and odd."""
    ones, square = np.ones((4000, side, side, 1), np.float32), side // 2
    cut = np.asarray(jax.jit(diff_augment(("cutout",)))(KEY, ones))[..., 0] == 0
    expected, centers = np.zeros(side), side + 1 - square % 2
    for center in range(centers):
        top = center - square // 2
        expected[max(top, 0) : top + square] += 1 / centers
    expected = np.outer(expected, expected)
    error = np.sqrt(expected * (1 - expected) / 4000)
    assert (np.abs(cut.mean(axis=0) - expected) < 4.5 * error).all()


@pytest.mark.parametrize("name", REFERENCES)
def test_the_gradient_passes_through(name):
    """Every transformation is affine in the image: its derivative is its difference."""
    apply = jax.jit(lambda x: diff_augment((name,))(KEY, x))
    direction = jnp.cos(jnp.arange(IMAGES.size, dtype=jnp.float32)).reshape(IMAGES.shape)
    value, derivative = jax.jvp(apply, (jnp.asarray(IMAGES),), (direction,))
    np.testing.assert_allclose(derivative, apply(IMAGES + direction) - value, atol=1e-5)
    assert float(jnp.abs(derivative).max()) > 0.5


def test_randomness_belongs_to_the_example():
    """The first rows depend neither on the number of rows nor on that of devices."""
    apply = jax.jit(diff_augment())
    together = apply(KEY, IMAGES)
    np.testing.assert_allclose(apply(KEY, IMAGES[:4]), together[:4], atol=1e-6)
    apart = jax.vmap(lambda x: apply(KEY, x), axis_name=axis.DATA_AXIS)(
        IMAGES.reshape(3, 2, *IMAGES.shape[1:])
    )
    np.testing.assert_allclose(apart.reshape(IMAGES.shape), together, atol=1e-6)
    equal = apply(KEY, np.broadcast_to(IMAGES[:1], IMAGES.shape))
    assert len(np.unique(np.asarray(equal).reshape(N, -1), axis=0)) == N


def test_unknown_transformations_are_named():
    with pytest.raises(ValueError, match="policy has colour, expected some of color, translation"):
        diff_augment(("colour", "cutout"))
    for augmentation in (diff_augment, ada):
        with pytest.raises(ValueError, match=r"policy is 'cutout', expected .* \['cutout'\]"):
            augmentation("cutout")


# ---- in a game


def sums(**kwargs):
    """The discriminator sums its pixels, the generator returns images of its parameter."""
    generator = jaxgan.Network(
        lambda key, z: (jnp.array(0.5), {}),
        lambda level, state, z, **_: (jnp.full((z.shape[0], 2, 2, 1), 1.0) * level, state),
    )
    discriminator = jaxgan.Network(
        lambda key, x: (jnp.array(1.0), {}),
        lambda w, state, x, **_: (w * x.sum((1, 2, 3)), state),
    )
    kwargs = {"loss": losses.wasserstein(), "latent": games.LATENT} | kwargs
    return jaxgan.gan(generator, discriminator, **kwargs)


BATCH = {"image": jnp.full((4, 2, 2, 1), 2.0)}


def discriminators_metrics(game):
    params, state = game.init(KEY, BATCH)
    return jax.jit(game.losses["discriminator"])(params, state, BATCH, KEY, 0)[1].metrics


@pytest.mark.parametrize("one_pass", [False, True])
def test_real_and_generated_images_are_augmented(one_pass):
    game = sums(augment=lambda key, x: 3.0 * x + 1.0, one_pass=one_pass)
    metrics = discriminators_metrics(game)
    assert float(metrics["real_logits"]) == 4 * (3.0 * 2.0 + 1.0)
    assert float(metrics["fake_logits"]) == 4 * (3.0 * 0.5 + 1.0)


def test_real_and_generated_images_have_randomness_of_their_own():
    metrics = discriminators_metrics(sums(augment=lambda key, x: 0 * x + jax.random.uniform(key)))
    assert float(metrics["real_logits"]) != float(metrics["fake_logits"])


def test_the_gradient_of_a_penalty_goes_through():
    """|d D(3 x) / dx|^2 / 2 of the sum of four pixels."""
    game = sums(augment=lambda key, x: 3.0 * x, penalty=penalties.weighted((1.0, penalties.r1)))
    assert float(discriminators_metrics(game)["penalty"]) == pytest.approx(0.5 * 4 * 9)


@pytest.mark.slow
def test_the_generator_learns_through_the_augmentation():
    """Its own gradient against finite differences."""
    with jax.enable_x64(True):
        nets = [
            jaxgan.from_linen(
                jaxgan.networks.MLP((6,), shape, activation=jnp.tanh, dtype=jnp.float64)
            )
            for shape in ((8, 8, 3), ())
        ]
        game = jaxgan.gan(*nets, latent=lambda key, n: jax.random.normal(key, (n, 2)),
                          augment=diff_augment())  # fmt: skip
        batch = {"image": jnp.asarray(IMAGES[:, :8, :8], jnp.float64)}
        params, state = jax.jit(game.init)(KEY, batch)
        params = jax.tree.map(lambda x: x.astype(jnp.float64), params)
        loss, own = game.losses["generator"], params["generator"]
        direction = jax.tree.map(lambda x: jnp.cos(jnp.arange(x.size)).reshape(x.shape), own)

        @jax.jit
        def at(t):
            moved = optax.tree.add_scale(own, t, direction)
            return loss({**params, "generator": moved}, state, batch, KEY, 0)[0]

        gradient = jax.jit(
            lambda: own_gradient(loss, "generator", params, state, batch, KEY, 0)[1]
        )()
        slope = optax.tree.vdot(gradient, direction)
        np.testing.assert_allclose(slope, (at(1e-6) - at(-1e-6)) / 2e-6, rtol=1e-6)
        assert abs(float(slope)) > 1e-3


def counting() -> Augmentation:
    """Adds the number of its updates to the images."""
    return Augmentation(
        lambda: jnp.zeros(()),
        lambda count, key, x, step: x + count,
        lambda count, logits, batch_size: count + 1.0,
    )


def test_state_is_updated_in_the_discriminators_turns():
    """And is that of before the turn in which it is used."""
    game = sums(augment=counting())
    turns = ("discriminator", "discriminator", "generator")
    optimizers = dict.fromkeys(game.losses, optax.sgd(0.0))
    algorithm = jaxgan.jit(jaxgan.alternating(game, optimizers, turns=turns))
    state = algorithm.init(KEY, BATCH)
    batches = jax.tree.map(lambda x: jnp.stack([x, x]), BATCH)
    for step in (1, 2):
        state, metrics = algorithm.update(state, batches, KEY)
        assert state.model_state["generator"] == {}
        assert float(state.model_state["discriminator"]["augment"]) == 2 * step
        mean_count = 2 * step - 1.5
        logits = float(metrics["discriminator"]["real_logits"])
        assert logits == pytest.approx(4 * (2.0 + mean_count))


def test_one_stage_updates_the_state_once():
    game = sums(augment=counting())
    algorithm = jaxgan.jit(jaxgan.one_stage(game, dict.fromkeys(game.losses, optax.sgd(0.0))))
    state = algorithm.init(KEY, BATCH)
    state, _ = algorithm.update(state, jax.tree.map(lambda x: x[None], BATCH), KEY)
    assert float(state.model_state["discriminator"]["augment"]) == 1.0


def test_a_chain_applies_its_parts_in_order_with_keys_and_states_of_their_own():
    """`(2 (x + sum) + u) / step + v`, where u and v are of the keys of their places."""
    uniform = lambda key, x: x + jax.random.uniform(key, x.shape)
    total = Augmentation(
        lambda: jnp.zeros(()),
        lambda total, key, x, step: x + total,
        lambda total, logits, batch_size: total + batch_size * jnp.mean(logits),
    )
    over_step = augment.stateless(lambda key, x, step: x / step)
    both = augment.chain(total, lambda key, x: 2.0 * x, uniform, over_step, uniform)
    state, x = both.init(), np.full(4, 6.0, "f4")
    for step in (1, 2, 3):
        u = [np.asarray(jax.random.uniform(jax.random.fold_in(KEY, i), (4,))) for i in (2, 4)]
        expected = (2.0 * (6.0 + 12.0 * (step - 1)) + u[0]) / step + u[1]
        np.testing.assert_allclose(both.apply(state, KEY, x, step), expected, rtol=1e-6)
        state = both.update(state, jnp.full(2, 3.0), 4)
    assert [jax.tree.leaves(part) for part in state] == [[36.0], [], [], [], []]
    with pytest.raises(ValueError, match="no augmentation to chain"):
        augment.chain()


# ---- instance noise


@pytest.mark.parametrize("step", [0, 5, 20])
def test_instance_noise_follows_its_schedule(step):
    """Independent and normal, with the deviation of the step."""
    noisy = augment.instance_noise(optax.linear_schedule(0.4, 0.0, 10))
    zeros = jnp.zeros((500, 8, 8, 1))
    noise = np.asarray(jax.jit(lambda step: noisy.apply((), KEY, zeros, step))(step))
    expected = 0.04 * max(0, 10 - step)
    assert abs(noise.std() - expected) <= 0.01 * expected + 1e-6
    assert abs(noise.mean()) <= 4 * expected / np.sqrt(noise.size) + 1e-6
    constant = augment.instance_noise(0.2).apply((), KEY, zeros, step)
    assert float(constant.std()) == pytest.approx(0.2, rel=0.02)


def test_an_augmentation_has_the_step_of_its_game():
    """For both sorts of images and for penalties."""
    game = sums(
        augment=augment.stateless(lambda key, x, step: (1.0 + step) * x),
        penalty=penalties.weighted((1.0, penalties.r1)),
    )
    params, state = game.init(KEY, BATCH)
    metrics = jax.jit(game.losses["discriminator"])(params, state, BATCH, KEY, 2)[1].metrics
    assert float(metrics["real_logits"]) == 4 * 3.0 * 2.0
    assert float(metrics["fake_logits"]) == 4 * 3.0 * 0.5
    assert float(metrics["penalty"]) == pytest.approx(0.5 * 4 * 9)


def test_no_augmentation_and_a_function_have_no_state():
    for given in (None, lambda key, x: 2.0 * x):
        augmentation = augment.as_augmentation(given)
        assert augmentation.init() == ()
        assert sums(augment=given).init(KEY, BATCH)[1]["discriminator"] == {}
