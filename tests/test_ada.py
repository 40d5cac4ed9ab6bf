"""ADA: maps against NumPy and SciPy, probabilities, and the rule by which p adapts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from scipy.spatial.transform import Rotation

from jaxgan import augment, schedules
from jaxgan.augment import R3GAN_POLICY, ada
from jaxgan.augment.affine import inverse_affine, resampled
from jaxgan.augment.color import color_map, recolored
from jaxgan.augment.corruption import band_matrices, cut, filtered, noisy
from jaxgan.augment.draws import BLIT, COLOR, GEOMETRY, NAMES, draw
from jaxgan.errors import SizeError
from jaxgan.parallel import axis

KEY = jax.random.key(0)
N, HEIGHT, WIDTH = 6, 8, 12
IMAGES = np.random.default_rng(0).uniform(-1, 1, (N, HEIGHT, WIDTH, 3)).astype("f4")


@functools.cache
def fixed(policy):
    """`(key, images, p) -> images`, with the step of the schedule in place of p."""
    augmentation = ada(policy, p=lambda step: step, target=None)
    return jax.jit(lambda key, images, p: augmentation.apply((), key, images, p))


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, None))
def jitted_draw(key, p):
    return draw(key, dict.fromkeys(NAMES, p))


@functools.cache
def draws_of(n, p=1.0):
    """The numbers of n images, by name; arrays in float64."""
    drawn = jitted_draw(jax.random.split(jax.random.key(1), n), p)
    return jax.tree.map(lambda x: np.asarray(x, np.float64), drawn)


def of_image(i, tree):
    return jax.tree.map(lambda x: jnp.asarray(x[i], jnp.float32), tree)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_no_probability_is_the_identity_bit_for_bit(channels):
    images = IMAGES[..., :channels]
    np.testing.assert_array_equal(fixed(NAMES)(KEY, images, 0.0), images)
    changed = np.asarray(fixed(NAMES)(KEY, images, 1.0)) != images
    assert changed.reshape(N, -1).any(axis=1).all()


# ---- the plane


def forward_affine(drawn):
    """The maps of the paper in their order, in homogeneous pixels from the centre."""
    first = {name: jax.tree.map(np.asarray, drawn[name][0]) for name in drawn}
    scale, aniso = (2.0 ** (0.2 * first[name].normal[0]) for name in ("scale", "aniso"))
    turns = np.floor(2.0 * first["rotate90"].uniform[0])
    shift = lambda t: np.array([[1, 0, t[0]], [0, 1, t[1]], [0, 0, 1]])
    sides = np.array([WIDTH, HEIGHT])

    def rotation(angle):
        return Rotation.from_rotvec([0, 0, angle]).as_matrix()

    steps = [
        np.diag([-1.0 if first["xflip"].uniform[0] < 0 else 1.0, 1, 1]),
        rotation(np.pi / 2 * turns),
        shift(np.round(first["xint"].uniform / 8 * sides)),
        np.diag([scale, scale, 1]),
        rotation(np.pi * drawn["rotate"][0].uniform[0]),
        np.diag([aniso, 1 / aniso, 1]),
        rotation(np.pi * drawn["rotate"][1].uniform[0]),
        shift(first["xfrac"].normal / 8 * sides),
    ]
    return functools.reduce(lambda composed, step: step @ composed, steps)


def test_the_composed_map_is_the_inverse_of_the_papers():
    drawn = draws_of(64)
    inverses = jax.jit(jax.vmap(lambda d: inverse_affine(d, HEIGHT, WIDTH)))(
        jax.tree.map(jnp.float32, drawn)
    )
    for i in range(64):
        expected = np.linalg.inv(forward_affine(jax.tree.map(lambda x, i=i: x[i], drawn)))
        np.testing.assert_allclose(inverses[i], expected, rtol=1e-5, atol=1e-5)


def test_resampling_is_scipys():
    """Points are (x, y) from the centre here, (row, column) there."""
    drawn = draws_of(64)
    center = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])
    for i in range(N):
        inverse = np.linalg.inv(forward_affine(jax.tree.map(lambda x, i=i: x[i], drawn)))
        linear, shift = inverse[:2, :2][::-1, ::-1], inverse[:2, 2][::-1]
        ours = jax.jit(resampled)(IMAGES[i], jnp.asarray(inverse, jnp.float32))
        for c in range(3):
            expected = scipy.ndimage.affine_transform(
                IMAGES[i, ..., c].astype(np.float64),
                linear,
                shift + center - linear @ center,
                order=1,
                mode="mirror",
            )
            np.testing.assert_allclose(ours[..., c], expected, atol=2e-5)


def test_flips_turns_and_whole_shifts_move_pixels_unchanged():
    square = IMAGES[:, :, :8]
    drawn = draws_of(64)
    others = {name: jax.tree.map(np.zeros_like, drawn[name]) for name in {*NAMES} - {*BLIT}}
    drawn = drawn | others  # not in place: other tests have the same ones
    maps = jax.jit(jax.vmap(lambda d: inverse_affine(d, 8, 8)))(jax.tree.map(jnp.float32, drawn))
    ours = jax.jit(jax.vmap(resampled, in_axes=(None, 0)))(square[0], maps)
    pad = [(HEIGHT, HEIGHT), (HEIGHT, HEIGHT), (0, 0)]
    seen = set()
    for i in range(24):
        own = jax.tree.map(lambda x, i=i: x[i], drawn)
        flip = own["xflip"][0].uniform[0] < 0
        turns = int(np.floor(2.0 * own["rotate90"][0].uniform[0]))
        x, y = np.round(own["xint"][0].uniform).astype(int)  # an eighth of the sides is a pixel
        expected = square[0, :, ::-1] if flip else square[0]
        expected = np.pad(np.rot90(expected, -turns), pad, mode="reflect")
        expected = expected[8 - y : 16 - y, 8 - x : 16 - x]
        np.testing.assert_array_equal(ours[i], expected)
        seen.add((flip, turns))
    assert len(seen) == 8


# ---- colours


def forward_color(drawn):
    """The maps of the paper in their order, in homogeneous colours."""
    n = {name: drawn[name][0].normal[0] for name in COLOR}
    u = {name: drawn[name][0].uniform[0] for name in COLOR}
    gray, brighter = np.ones(3) / np.sqrt(3), np.eye(4)
    brighter[:3, 3] = 0.2 * n["brightness"]
    project = np.outer(gray, gray)
    flip = np.eye(3) - 2 * project if u["lumaflip"] < 0 else np.eye(3)
    steps = [
        2.0 ** (0.5 * n["contrast"]) * np.eye(3),
        flip,
        Rotation.from_rotvec(np.pi * u["hue"] * gray).as_matrix(),
        project + 2.0 ** n["saturation"] * (np.eye(3) - project),
    ]
    for step in steps:
        matrix = np.eye(4)
        matrix[:3, :3] = step
        brighter = matrix @ brighter
    return brighter


def test_colours_are_mapped_as_in_the_paper():
    drawn, homogeneous = draws_of(64), np.pad(IMAGES[0], [(0, 0)] * 2 + [(0, 1)], constant_values=1)
    linear, offset = jax.jit(jax.vmap(color_map))(jax.tree.map(jnp.float32, drawn))
    recolor = jax.jit(recolored)
    for i in range(64):
        expected = forward_color(jax.tree.map(lambda x, i=i: x[i], drawn))
        np.testing.assert_allclose(linear[i], expected[:3, :3], atol=1e-5)
        np.testing.assert_allclose(offset[i], expected[:3, 3], atol=1e-5)
        ours = recolor(IMAGES[0], linear[i], offset[i])
        np.testing.assert_allclose(ours, (homogeneous @ expected.T)[..., :3], atol=2e-5)
        gray = np.broadcast_to(IMAGES[0, ..., :1], IMAGES[0].shape)
        ours = recolor(gray[..., :1], linear[i], offset[i])[..., 0]
        np.testing.assert_allclose(
            ours, recolor(gray, linear[i], offset[i]).mean(axis=2), atol=2e-5
        )


def test_other_channels_have_no_colours():
    two = jnp.zeros((2, 8, 8, 2))
    assert fixed((*BLIT, *GEOMETRY))(KEY, two, 0.5).shape == two.shape
    with pytest.raises(SizeError, match="images of 2 channels cannot be augmented in colour"):
        fixed(("hue",))(KEY, two, 0.5)


# ---- filter, noise, cutout


def test_bands_are_octaves_that_sum_to_the_identity():
    """Away from the border, waves of each frequency have the gains of the filters' spectra."""
    side = 128
    matrices = band_matrices(side)
    np.testing.assert_allclose(matrices.sum(axis=0), np.eye(side), atol=1e-6)
    half = lambda w: np.cos(w / 2) ** 4 * (1 + 2 * np.sin(w / 2) ** 2)  # |H(w)|^2 / 2 of db2
    middle = slice(32, 96)
    for w in (0.0, 0.3, 0.8, 1.5, 2.2, 3.0):
        wave = np.cos(w * np.arange(side))
        low, lower, lowest = half(w), half(2 * w), half(4 * w)
        gains = (low * lower * lowest, low * lower * (1 - lowest), low * (1 - lower), 1 - low)
        for matrix, gain in zip(matrices, gains, strict=True):
            np.testing.assert_allclose((matrix @ wave)[middle], gain * wave[middle], atol=1e-5)


def test_filters_amplify_their_bands_at_constant_expected_power():
    """A constant image has the lowest band alone, in both directions."""
    drawn, power = draws_of(64)["filter"], np.array([10, 1, 1, 1]) / 13
    constant = jnp.full((HEIGHT, WIDTH, 1), 0.5)
    ours = jax.jit(jax.vmap(lambda bands: filtered(constant, bands)))(
        jax.tree.map(jnp.float32, drawn)
    )
    for i in range(64):
        gain = 1.0
        for band in range(4):
            factors = np.ones(4)
            factors[band] = 2.0 ** drawn[band].normal[i, 0]
            gain *= factors[0] / np.sqrt(power @ factors**2)
        np.testing.assert_allclose(ours[i], 0.5 * gain**2, rtol=1e-4)


def test_filters_are_separable_convolutions_with_mirrored_borders():
    drawn, i = draws_of(64)["filter"], 3
    ours = filtered(jnp.asarray(IMAGES[0]), of_image(i, drawn))
    taps, gain, power = np.zeros(257), np.ones(4), np.array([10, 1, 1, 1]) / 13
    for band in range(4):
        factors = np.ones(4)
        factors[band] = 2.0 ** drawn[band].normal[i, 0]
        gain *= factors / np.sqrt(power @ factors**2)
    taps = gain @ band_matrices(257)[:, 128]  # the response to an impulse far from the border
    expected = IMAGES[0].astype(np.float64)
    for direction in (0, 1):
        expected = scipy.ndimage.convolve1d(expected, taps, direction, mode="mirror")
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.slow
def test_noise_is_half_normal_in_its_deviation():
    drawn = jax.tree.map(jnp.float32, draws_of(4000)["noise"][0])
    keys = jax.random.split(KEY, 4000)
    noise = jax.jit(jax.vmap(lambda d, key: noisy(jnp.zeros((8, 8, 1)), d, key)))(drawn, keys)
    deviations = np.asarray(noise).std(axis=(1, 2, 3))
    np.testing.assert_allclose(deviations, 0.1 * abs(drawn.normal[:, 0]), rtol=0.4, atol=1e-6)
    assert np.mean(np.square(noise)) == pytest.approx(0.01, rel=0.1)


def test_corruptions_of_a_policy_are_those_of_the_example():
    """At p = 1, each with the numbers and the key of its image, in their order."""
    ours = fixed(("filter", "noise", "cutout"))(KEY, IMAGES, 1.0)
    for i, key in enumerate(axis.example_keys(KEY, N)):
        key_draws, key_noise = jax.random.split(key)
        drawn = draw(key_draws, dict.fromkeys(("filter", "noise", "cutout"), 1.0))
        image = filtered(jnp.asarray(IMAGES[i]), drawn["filter"])
        image = cut(noisy(image, drawn["noise"][0], key_noise), drawn["cutout"][0])
        np.testing.assert_allclose(ours[i], image, atol=1e-5)


def test_cutout_is_a_rectangle_of_half_the_sides():
    """A pixel is cut if it is within a quarter of the sides of the centre, which is uniform."""
    drawn = jax.tree.map(jnp.float32, draws_of(4000)["cutout"][0])
    ones = jnp.ones((HEIGHT, WIDTH, 1))
    holes = np.asarray(jax.jit(jax.vmap(lambda d: cut(ones, d)))(drawn))[..., 0] == 0
    within = lambda side: [
        min(1, (i + 0.5) / side + 0.25) - max(0, (i + 0.5) / side - 0.25) for i in range(side)
    ]
    expected = np.outer(within(HEIGHT), within(WIDTH))
    np.testing.assert_allclose(holes.mean(axis=0), expected, atol=4.5 * 0.5 / np.sqrt(4000))
    rows, columns = holes.any(axis=2), holes.any(axis=1)
    assert rows.sum(axis=1).max() == HEIGHT // 2
    assert columns.sum(axis=1).max() == WIDTH // 2
    np.testing.assert_array_equal(holes, rows[:, :, None] & columns[:, None, :])


# ---- together


def test_each_transformation_happens_with_its_probability():
    n, p = 4000, 0.3
    for name, drawn in draws_of(n, p).items():
        for one in drawn:
            assert abs(one.happens.mean() - p) < 4 * np.sqrt(p * (1 - p) / n), name
            absent = one.happens == 0
            assert not one.uniform[absent].any()
            assert not one.normal[absent].any()


def test_an_image_is_rotated_with_probability_p():
    """Before the scaling of an axis, after it, or both."""
    ramp = np.broadcast_to(np.arange(8.0)[:, None, None], (4000, 8, 8, 1)).astype("f4")
    rotated = np.asarray(fixed(("rotate",))(KEY, ramp, 0.3)) != ramp
    assert abs(rotated.any(axis=(1, 2, 3)).mean() - 0.3) < 4 * np.sqrt(0.21 / 4000)


def test_factors_of_a_policy_multiply_p():
    images = np.broadcast_to(IMAGES[:1], (2000, *IMAGES.shape[1:]))
    policy = {"brightness": 0.5}
    augmentation = ada(policy, p=0.8, target=None)
    changed = jax.jit(lambda key: augmentation.apply((), key, images, 0))(KEY) != images
    assert abs(changed.any(axis=(1, 2, 3)).mean() - 0.4) < 4 * np.sqrt(0.24 / 2000)
    assert set(R3GAN_POLICY) == set(NAMES) - {"filter", "noise"}


def test_p_may_follow_the_step():
    burn_in = ada(("brightness",), p=schedules.cosine(0.0, 1.0, 10), target=None)
    at = jax.jit(lambda step: burn_in.apply((), KEY, IMAGES, step))
    np.testing.assert_array_equal(at(0), IMAGES)
    assert (at(10) != IMAGES).any(axis=(1, 2, 3)).all()
    assert burn_in.init() == ()


@pytest.mark.slow
def test_the_gradient_passes_through():
    """Every transformation is affine in the image: its derivative is its difference."""
    apply = lambda x: fixed(NAMES)(KEY, x, 1.0)
    direction = jnp.cos(jnp.arange(IMAGES.size, dtype=jnp.float32)).reshape(IMAGES.shape)
    value, derivative = jax.jvp(apply, (jnp.asarray(IMAGES),), (direction,))
    np.testing.assert_allclose(derivative, apply(IMAGES + direction) - value, atol=5e-5)
    assert float(jnp.abs(derivative).max()) > 0.5


@pytest.mark.slow
def test_randomness_belongs_to_the_example():
    apply = lambda images: fixed(NAMES)(KEY, images, 0.5)
    together = apply(IMAGES)
    apart = jax.vmap(apply, axis_name=axis.DATA_AXIS)(IMAGES.reshape(3, 2, *IMAGES.shape[1:]))
    np.testing.assert_allclose(apart.reshape(IMAGES.shape), together, atol=1e-5)
    equal = apply(np.broadcast_to(IMAGES[:1], IMAGES.shape))
    assert len(np.unique(np.asarray(equal).reshape(N, -1), axis=0)) == N


# ---- adaptation


def adapted(augmentation, logits, state=None):
    """The states after each of some minibatches of logits."""
    state, states = augmentation.init() if state is None else state, []
    for minibatch in logits:
        state = augmentation.update(state, jnp.asarray(minibatch), len(minibatch))
        states.append(state)
    return states


def test_p_counts_images_and_not_their_packs():
    """A discriminator of packs has fewer logits than images."""
    augmentation = ada(images=160, interval=1)
    state = augmentation.update(augmentation.init(), jnp.ones(8), 16)
    assert float(state["p"]) == pytest.approx(16 / 160)


def test_p_goes_from_0_to_1_while_the_discriminator_sees_that_many_images():
    """If it recognises all real images; and only after every fourth minibatch."""
    states = adapted(ada(images=160), np.ones((20, 8)))
    steps = [float(state["p"]) for state in states]
    np.testing.assert_allclose(steps, [0.2 * (i // 4) for i in range(1, 21)], rtol=1e-6)
    down = adapted(ada(images=160), -np.ones((24, 8)), states[-1])
    assert float(down[3]["p"]) == pytest.approx(0.8)
    assert float(down[-1]["p"]) == 0.0


def test_p_follows_the_mean_sign_of_its_minibatches():
    """By NumPy, at random logits whose mean sign is near the target."""
    rng, p, expected = np.random.default_rng(0), 0.5, []
    logits = rng.normal(size=(40, 8)).astype("f4") + 0.8
    for i in range(1, 41):
        if i % 5 == 0:
            p = max(0.0, p + 5 * 8 / 400 * np.sign(np.sign(logits[i - 5 : i]).mean() - 0.55))
        expected.append(p)
    states = adapted(ada(p=0.5, target=0.55, images=400, interval=5), logits)
    np.testing.assert_allclose([state["p"] for state in states], expected, atol=1e-6)
    assert len(set(np.round(expected, 3))) > 2


def test_statistics_are_those_of_all_devices():
    augmentation = ada(p=0.5, images=100, interval=1)
    logits = jnp.array([1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0])  # r = 3/4, on one device 0
    one = augmentation.update(augmentation.init(), logits, len(logits))
    four = jax.vmap(
        lambda logits: augmentation.update(augmentation.init(), logits, len(logits)),
        axis_name=axis.DATA_AXIS,
    )(logits.reshape(4, 2))
    for name, value in one.items():
        np.testing.assert_allclose(four[name], np.full(4, value), rtol=1e-6)
    assert float(one["p"]) == pytest.approx(0.58)


def test_errors_come_early():
    for message, arguments in {
        "policy has colour, expected some of xflip": {"policy": ("colour",)},
        "p is a schedule and adapts": {"p": lambda step: 0.5},
        "p is -0.1": {"p": -0.1},
        r"target is 1.5, expected a mean of signs in \(-1, 1\)": {"target": 1.5},
        "images=0 and interval=4": {"images": 0},
        "images=500000 and interval=0": {"interval": 0},
    }.items():
        with pytest.raises(ValueError, match=message):
            augment.ada(**arguments)
