"""Terms of published methods: closed forms with linear networks, and NumPy's sums."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special

import jaxgan
from jaxgan import augment, latents, losses, networks, penalties, schedules
from jaxgan.parallel import axis
from jaxgan.penalties import ForwardPass
from tests import games
from tests.support import normal
from tests.test_penalties import CODES, FAKE, KEY, LINEAR, NORM, REAL, W, linear_gan, played

A = 0.3 * normal(3, 3, seed=5)
LABELS = jnp.array([0, 2, 1, 1, 0, 2])


def forward(**changes) -> ForwardPass:
    """`D(x) = w . x` and `G(z) = z A`."""
    fake = CODES @ A
    passed = ForwardPass(LINEAR, lambda z: z @ A, CODES, REAL, fake, LINEAR(REAL), LINEAR(fake))
    return passed._replace(prior=latents.normal(3), **changes)


def value(term, passed=None, key=KEY):
    passed = forward() if passed is None else passed
    values, state = jax.jit(lambda key: term.apply((), passed, key, 0))(key)
    assert state == () == term.init()
    assert values.shape == (6,)
    return np.asarray(values)


def noise_of(key, shape=(3,)):
    sample = jax.vmap(lambda key: jax.random.normal(key, shape))
    return np.asarray(jax.jit(lambda key: sample(axis.example_keys(key, 6)))(key))


# ---- consistency


@pytest.mark.parametrize("of", ["real", "fake"])
def test_consistency_of_a_linear_critic(of):
    """Under an augmentation that adds u per example, `(w . u)^2`."""
    shifts = np.arange(18.0).reshape(6, 3) / 10
    shifted = value(penalties.consistency(lambda key, x: x + shifts, of=of))
    np.testing.assert_allclose(shifted, (shifts @ np.asarray(W)) ** 2, rtol=1e-4)
    scaled = value(penalties.consistency(lambda key, x: 3.0 * x, of=of))
    logits = getattr(forward(), f"{of}_logits")
    np.testing.assert_allclose(scaled, 4.0 * np.square(logits), rtol=1e-4)


def test_consistency_takes_augmentations_without_state():
    """Those of `augment.chain` and of a schedule, which the step reaches."""
    double = augment.stateless(lambda key, x, step: 2.0 * x)
    chained = augment.chain(double, lambda key, x: x - 1.0)
    expected = value(penalties.consistency(lambda key, x: 2.0 * x - 1.0))
    np.testing.assert_allclose(value(penalties.consistency(chained)), expected, rtol=1e-6)


def test_consistency_is_that_of_the_discriminator_in_its_game():
    """Its loss moves the discriminator by hand's gradient, and not the generator."""
    penalty = penalties.consistency(lambda key, x: 2.0 * x, of="fake")
    before, after, metrics = played(linear_gan(penalty=penalty))
    w, fake = before.params["discriminator"], CODES @ before.params["generator"]
    loss = lambda w: jnp.mean(fake @ w - REAL @ w) + jnp.mean((fake @ w) ** 2)
    np.testing.assert_allclose(
        after.params["discriminator"], w - 0.1 * jax.jit(jax.grad(loss))(w), rtol=1e-5
    )
    assert "penalty" not in metrics["generator"]


@pytest.mark.parametrize(
    "term",
    [penalties.latent_consistency(0.0), penalties.consistency(lambda key, x: x, of="fake")],
    ids=["latent", "fake"],
)
def test_consistency_of_what_does_not_change_is_0_under_augmentation(term):
    """The same random numbers augment the generated images of both passes."""
    noisy = lambda key, x: x + jax.random.normal(key, x.shape)
    game = jaxgan.gan(
        jaxgan.from_linen(networks.MLP((4,), output_shape=(2,))),
        jaxgan.from_linen(networks.MLP((4,))),
        latent=latents.normal(3),
        augment=noisy,
        penalty=term,
    )
    batch = {"image": jnp.ones((5, 2))}
    params, state = jax.jit(game.init)(jax.random.key(0), batch)
    loss = jax.jit(game.losses["discriminator"])
    _, aux = loss(params, state, batch, jax.random.key(1), 0)
    assert float(aux.metrics["penalty"]) == 0.0


def test_lazy_and_weighted_terms_of_packs():
    """Of which there are fewer than images: terms with one value per pack, and per image."""
    packed = networks.packed(jaxgan.from_linen(networks.MLP((4,))), 2)
    critic = lambda values: lambda c, real, fake, key, step: values
    per_image, per_pack = critic(jnp.arange(6.0)), critic(jnp.arange(3.0))
    batch = {"image": jnp.ones((6, 2))}
    for penalty, expected in (
        (penalties.weighted((1.0, per_image), (10.0, per_pack)), 2.5 + 10.0),
        (penalties.lazily(per_pack, every=2), 2.0),
    ):
        game = jaxgan.gan(
            jaxgan.from_linen(networks.MLP((4,), output_shape=(2,))),
            packed,
            latent=latents.normal(3),
            penalty=penalty,
        )
        params, state = jax.jit(game.init)(jax.random.key(0), batch)
        loss = jax.jit(game.losses["discriminator"])
        _, aux = loss(params, state, batch, jax.random.key(1), 0)
        assert float(aux.metrics["penalty"]) == expected


def test_latent_consistency_and_diversity_of_linear_networks():
    """`(sigma e A w)^2` and `-mean (sigma e A)^2`, with the same e."""
    moved = 0.2 * noise_of(KEY) @ np.asarray(A)
    of_discriminator = value(penalties.latent_consistency(0.2))
    np.testing.assert_allclose(of_discriminator, (moved @ np.asarray(W)) ** 2, rtol=1e-3)
    of_generator = value(penalties.latent_diversity(0.2))
    np.testing.assert_allclose(of_generator, -np.mean(moved**2, axis=1), rtol=1e-3)


# ---- the generator


def test_mode_seeking_of_a_linear_generator():
    other = np.asarray(latents.normal(3)(KEY, 6))
    z, a = np.asarray(CODES), np.asarray(A)
    expected = abs(z - other).mean(axis=1) / (abs((z - other) @ a).mean(axis=1) + 0.1)
    np.testing.assert_allclose(value(penalties.mode_seeking(0.1)), expected, rtol=1e-4)
    collapsed = forward(generator=lambda z: 0.0 * z, fake=jnp.zeros((6, 3)))
    np.testing.assert_allclose(
        value(penalties.mode_seeking(0.1), collapsed), abs(z - other).mean(axis=1) / 0.1, rtol=1e-5
    )


def test_feature_matching_over_several_features():
    real = {"a": REAL, "b": REAL.reshape(6, 3, 1) ** 2}
    fake = {"a": FAKE, "b": FAKE.reshape(6, 3, 1) ** 2}
    values = value(penalties.feature_matching(), forward(real_features=real, fake_features=fake))
    expected = sum(np.sum((real[k].mean(0) - fake[k].mean(0)) ** 2) for k in real)
    np.testing.assert_allclose(values, np.full(6, expected), rtol=1e-5)


def test_features_are_matched_over_all_devices():
    """Values and, averaged over devices, gradients."""

    def value_and_gradient(real, fake, scale):
        def mean(scale):
            features = {"real_features": real, "fake_features": scale * fake}
            passed = forward(fake=fake, **features)
            return penalties.feature_matching().apply((), passed, KEY, 0)[0].mean()

        return axis.mean(jax.value_and_grad(mean)(scale))

    one = jax.jit(value_and_gradient)(REAL, FAKE, 2.0)
    mapped = jax.jit(jax.vmap(value_and_gradient, (0, 0, None), axis_name=axis.DATA_AXIS))
    three = mapped(REAL.reshape(3, 2, 3), FAKE.reshape(3, 2, 3), 2.0)
    for ours, expected in zip(three, one, strict=True):
        np.testing.assert_allclose(ours, np.full(3, expected), rtol=1e-5)


def test_transport_cost():
    z, images = CODES.reshape(6, 3), jnp.arange(18.0).reshape(6, 3, 1, 1)
    expected = np.mean((images.reshape(6, 3) - z) ** 2, axis=1)
    np.testing.assert_allclose(value(penalties.transport(), forward(fake=images)), expected, 1e-5)
    with pytest.raises(AssertionError, match="shape"):
        value(penalties.transport(), forward(fake=images[:, :2]))


# ---- gradient penalties by differences


@pytest.mark.parametrize(
    ("approximate", "x"), [(penalties.approximate_r1, REAL), (penalties.approximate_r2, FAKE)]
)
def test_approximate_penalties_by_hand(approximate, x):
    """At `D(x) = |x|^2 / 2` the difference quotient is `x . e + sigma |e|^2 / 2`."""
    square = lambda x: 0.5 * jnp.sum(x**2, axis=-1)
    e = noise_of(KEY)
    expected = 0.5 * (np.sum(x * e, axis=1) + 0.25 * np.sum(e**2, axis=1)) ** 2
    values = jax.jit(lambda: approximate(square, REAL, FAKE, KEY, 0, sigma=0.5))()
    np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_approximate_r1_is_r1_on_average():
    many = jnp.zeros((20_000, 3))
    r1 = lambda critic, real, fake, **options: jax.jit(
        lambda: penalties.approximate_r1(critic, real, fake, KEY, 0, **options)
    )()
    values = np.asarray(r1(LINEAR, many, many, sigma=0.1))
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean() - NORM**2 / 2) < 4 * error < 0.1 * NORM**2
    patches = lambda x: x[..., None] * W[None]  # three logits, whose sum is linear
    summed = r1(lambda x: patches(x @ W), REAL, FAKE)
    direct = r1(lambda x: (x @ W) * W.sum(), REAL, FAKE)
    np.testing.assert_allclose(summed, direct, rtol=1e-3)


# ---- auxiliary heads


def cross_entropy(logits, labels):
    logits = np.asarray(logits, np.float64)
    return scipy.special.logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]


@pytest.mark.parametrize("of", [("real",), ("fake",), ("real", "fake")])
def test_auxiliary_classifier_is_a_cross_entropy(of):
    passed = forward(real_features=REAL, fake_features=FAKE, conditions=(LABELS,))
    features = {"real": REAL, "fake": FAKE}
    expected = sum(cross_entropy(features[name], LABELS) for name in of)
    np.testing.assert_allclose(
        value(penalties.auxiliary_classifier(of=of), passed), expected, rtol=1e-5
    )


def test_auxiliary_classifier_in_a_game():
    """Both players descend it: one step of SGD each, on logits that are the images themselves."""
    game = linear_gan(
        conditions=("label",),
        penalty=penalties.auxiliary_classifier(),
        generator_penalty=penalties.weighted((2.0, penalties.auxiliary_classifier(of=("fake",)))),
    )
    batch = {"image": REAL, "label": LABELS}
    params, state = jax.jit(game.init)(KEY, batch)
    entropy = lambda x: cross_entropy(x, LABELS).mean()
    fake = CODES @ params["generator"]
    for player, expected in (
        ("discriminator", entropy(REAL) + entropy(fake)),
        ("generator", 2.0 * entropy(fake)),
    ):
        _, aux = jax.jit(game.losses[player])(params, state, batch, KEY, 0)
        assert float(aux.metrics["penalty"]) == pytest.approx(expected, rel=1e-5)


CODE = latents.Codes(2, categorical=(3, 2), continuous=2)


def test_mutual_information_by_numpy():
    """Cross-entropies of the categories, and half the squares of the continuous codes."""
    z = np.asarray(jax.jit(CODE, static_argnums=1)(KEY, 6), np.float64)
    outputs = np.random.default_rng(0).normal(size=(6, 7))
    passed = forward(latents=jnp.float32(z), fake_features=jnp.float32(outputs))
    expected = cross_entropy(outputs[:, :3], z[:, 2:5].argmax(axis=1))
    expected += cross_entropy(outputs[:, 3:5], z[:, 5:7].argmax(axis=1))
    expected += 0.3 * 0.5 * np.sum((z[:, 7:] - outputs[:, 5:]) ** 2, axis=1)
    term = penalties.mutual_information(CODE, continuous_weight=0.3)
    np.testing.assert_allclose(value(term, passed), expected, rtol=1e-5)


def test_mutual_information_is_bounded_by_the_entropy():
    """A head that knows nothing has log k, one that reads the code off the image nearly 0."""
    code = latents.Codes(0, categorical=(3,))
    z = jax.jit(code, static_argnums=1)(KEY, 6)
    for outputs, expected in ((0.0 * z, np.log(3)), (50.0 * z, 0.0)):
        passed = forward(latents=z, fake_features=outputs)
        value_of = value(penalties.mutual_information(code), passed)
        np.testing.assert_allclose(value_of, np.full(6, expected), atol=1e-6)


def test_terms_say_what_they_lack():
    for term, name in (
        (penalties.feature_matching(), "feature_matching"),
        (penalties.auxiliary_classifier(), "auxiliary_classifier"),
        (penalties.mutual_information(CODE), "mutual_information"),
    ):
        with pytest.raises(ValueError, match=f"{name} needs a discriminator that returns"):
            value(term)
    reconstructions = {"reconstructions": [(REAL, FAKE)]}
    with pytest.raises(ValueError, match="given the reconstructions of a FastGANDiscriminator"):
        value(penalties.feature_matching(), forward(fake_features=reconstructions))
    with pytest.raises(ValueError, match=r'pass conditions=\("label",\)'):
        value(penalties.auxiliary_classifier(), forward(real_features=REAL, fake_features=FAKE))


# ---- parameters


def test_orthogonal_regularisation_by_numpy():
    rng = np.random.default_rng(0)
    params = {
        "Conv_0": {"kernel": rng.normal(size=(2, 2, 3, 4)), "bias": rng.normal(size=4)},
        "embedding": rng.normal(size=(5, 3)),
    }
    off_diagonal = lambda w: np.sum((w.T @ w * (1 - np.eye(w.shape[1]))) ** 2)
    of_kernel = off_diagonal(params["Conv_0"]["kernel"].reshape(12, 4))
    passed = forward(params=jax.tree.map(jnp.float32, params))
    for exclude, expected in (
        ((), of_kernel + off_diagonal(params["embedding"])),
        (("embedding",), of_kernel),
        (("Conv_0", "embedding"), 0.0),
    ):
        values = value(penalties.orthogonal(exclude), passed)
        np.testing.assert_allclose(values, np.full(6, expected), rtol=1e-4)


def test_orthogonal_columns_of_any_length_cost_nothing():
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 3)))
    passed = forward(params={"w": jnp.float32(q * np.array([0.1, 2.0, 30.0]))})
    np.testing.assert_allclose(value(penalties.orthogonal(), passed), np.zeros(6), atol=1e-6)


def test_a_term_has_the_parameters_of_its_player():
    """The generator's 3 x 3 matrix is regularised, in one step of SGD by hand."""
    game = linear_gan(generator_penalty=penalties.weighted((0.5, penalties.orthogonal())))
    before, after, _ = played(game)
    w, matrix = after.params["discriminator"], before.params["generator"]

    def loss(matrix):
        products = matrix.T @ matrix
        off_diagonal = products - jnp.diag(jnp.diag(products))
        return -jnp.mean(CODES @ matrix @ w) + 0.5 * jnp.sum(off_diagonal**2)

    np.testing.assert_allclose(
        after.params["generator"], matrix - 0.1 * jax.jit(jax.grad(loss))(matrix), rtol=1e-5
    )


def test_clipped_weights_stay_within_their_bound():
    """A step that would leave it ends on it, any other is unchanged."""
    optimizer = optax.chain(optax.sgd(1.0), jaxgan.optimizers.clip_weights(0.5))
    params = {"w": jnp.array([0.4, -0.4, 0.1, 3.0]), "b": jnp.array(-2.0)}
    gradients = {"w": jnp.array([-0.3, 0.3, 0.2, 0.0]), "b": jnp.array(0.1)}
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    after = optax.apply_updates(params, updates)
    np.testing.assert_allclose(after["w"], [0.5, -0.5, -0.1, 0.5], rtol=1e-6)
    assert float(after["b"]) == -0.5
    with pytest.raises(ValueError, match=r"the bound of the weights is 0.0"):
        jaxgan.optimizers.clip_weights(0.0)


# ---- losses


@pytest.mark.parametrize("num_devices", [1, 4])
@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.75, 1.0])
def test_top_k_ranks_the_examples_of_all_devices(fraction, num_devices):
    """The mean of the loss, and its gradient, are those of the k best of eight."""
    loss = losses.top_k(losses.non_saturating(), fraction)
    f = np.random.default_rng(0).permutation(8).astype("f4") - 3.0
    kept = np.argsort(-f)[: max(1, round(8 * fraction))]
    mean = lambda f: jnp.mean(loss.generator(f, f))
    split = f.reshape(num_devices, -1)
    mapped = jax.jit(jax.vmap(jax.value_and_grad(mean), axis_name=axis.DATA_AXIS))
    values, gradients = mapped(split)
    expected = np.zeros(8)
    expected[kept] = -scipy.special.expit(-f[kept]) / len(kept)
    assert float(values.mean()) == pytest.approx(np.logaddexp(0, -f[kept]).mean(), rel=1e-5)
    np.testing.assert_allclose(gradients.ravel() / num_devices, expected, rtol=1e-5, atol=1e-8)
    plain = losses.non_saturating().discriminator
    np.testing.assert_array_equal(jax.jit(loss.discriminator)(f, f), jax.jit(plain)(f, f))


def test_a_loss_may_follow_the_step():
    """The generator's loss is that of all examples at first, and of the best half in the end."""
    fraction = schedules.cosine(1.0, 0.5, 10)
    scheduled = linear_gan(loss=lambda step: losses.top_k(losses.wasserstein(), fraction(step)))
    params, state = jax.jit(scheduled.init)(KEY, {"image": REAL})
    logits = np.asarray(CODES) @ params["generator"] @ params["discriminator"]
    loss = jax.jit(scheduled.losses["generator"])
    for step, k in ((0, 6), (10, 3)):
        own, _ = loss(params, state, {"image": REAL}, KEY, step)
        assert float(own) == pytest.approx(-np.sort(logits)[-k:].mean(), rel=1e-5)
    joint = jax.jit(scheduled.joint_gradients)(params, state, {"image": REAL}, KEY, 10)
    assert float(joint["generator"][0][0]) == pytest.approx(float(own), rel=1e-6)


def test_joint_losses_are_those_of_the_players():
    """With the penalties of both."""
    game = linear_gan(
        penalty=penalties.weighted((0.5, penalties.r1)),
        generator_penalty=penalties.feature_matching(),
    )
    params, state = jax.jit(game.init)(KEY, {"image": REAL})
    joint = jax.jit(game.joint_gradients)(params, state, {"image": REAL}, KEY, 0)
    for player, loss in game.losses.items():
        own, aux = jax.jit(loss)(params, state, {"image": REAL}, KEY, 0)
        assert abs(float(aux.metrics["penalty"])) > 0.01
        np.testing.assert_allclose(joint[player][0][0], own, rtol=1e-5)


# ---- discriminators made of others


def test_a_pack_is_one_image_of_more_channels():
    plain = games.mlp_discriminator()
    packed, images = networks.packed(plain, 3), np.asarray(games.minibatch()["image"])[:6]
    params, state = jax.jit(packed.init)(KEY, images)
    joined = np.stack([np.concatenate(images[i : i + 3], axis=-1) for i in (0, 3)])
    logits, expected = (
        jax.jit(partial(network.apply, train=True))(params, state, x)[0]
        for network, x in ((packed, images), (plain, joined))
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="batch of 5 images on a device cannot be divided"):
        packed.apply(params, state, images[:5], train=True)
    with pytest.raises(ValueError, match="takes no conditions"):
        packed.init(KEY, images, LABELS)
    with pytest.raises(ValueError, match="a pack has 0 images"):
        networks.packed(plain, 0)


def test_packs_of_one_image_are_the_plain_game():
    """And packs of two have a game with a gradient penalty."""
    plain, one = (
        jaxgan.gan(games.mlp_generator(), discriminator, latent=games.LATENT)
        for discriminator in (
            games.mlp_discriminator(),
            networks.packed(games.mlp_discriminator(), 1),
        )
    )
    params, state = jax.jit(plain.init)(KEY, games.minibatch())
    for player, loss in plain.losses.items():
        both = (loss, one.losses[player])
        values = jax.jit(
            lambda both=both: [f(params, state, games.minibatch(), KEY, 0)[0] for f in both]
        )()
        np.testing.assert_allclose(*values, rtol=1e-6)
    two = jaxgan.gan(
        games.mlp_generator(),
        networks.packed(games.mlp_discriminator(), 2),
        latent=games.LATENT,
        penalty=penalties.weighted((1.0, penalties.r1)),
    )
    params, state = jax.eval_shape(two.init, KEY, games.minibatch())
    loss = lambda *args: two.losses["discriminator"](*args, games.minibatch(), KEY, 0)[0]
    assert jax.eval_shape(loss, params, state).shape == ()
    with pytest.raises(ValueError, match="one_stage needs one per example"):
        jax.eval_shape(two.joint_gradients, params, state, games.minibatch(), KEY, 0)


def test_a_head_is_a_second_network_on_the_features():
    images, labels = games.minibatch()["image"], games.minibatch()["label"]
    discriminator = games.normalized(with_features=True)
    head = jaxgan.from_linen(networks.MLP((4,), output_shape=(3,)))
    both = networks.with_head(discriminator, head)
    params, state = jax.jit(both.init)(KEY, images, labels)
    apply = lambda network: jax.jit(partial(network.apply, key=KEY, train=True))
    (logits, outputs), new = apply(both)(params, state, images, labels)
    (expected, features), own = apply(discriminator)(
        params["discriminator"], state["discriminator"], images
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-6)
    of_head, _ = apply(head)(params["head"], {}, features)
    np.testing.assert_allclose(outputs, of_head, rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, new["discriminator"], own)
    with pytest.raises(ValueError, match=r"returns logits alone, .* with_features=True"):
        networks.with_head(games.normalized(), head).init(KEY, images, labels)


# ---- schedules


def test_cosine_is_r3gans_burn_in():
    """By the formula of its code, for a rise and a fall."""
    for start, end in ((0.05, 0.005), (0.9, 0.99), (0.0, 5e5)):
        schedule = schedules.cosine(start, end, 200)
        for step in (0, 1, 77, 199, 200, 1000):
            decay = 0.5 * (1 + np.cos(np.pi * min(step, 200) / 200))
            expected = start + (1 - decay) * (end - start)
            tolerance = 1e-6 * max(start, end)
            assert float(schedule(jnp.array(step))) == pytest.approx(expected, abs=tolerance)
    with pytest.raises(ValueError, match="a cosine of 0 steps"):
        schedules.cosine(1.0, 0.0, 0)


def test_the_weight_of_parameters_halves_in_their_half_life():
    decay = schedules.ema_half_life(10_000, batch_size=50)
    weight = np.prod([float(decay(jnp.array(step))) for step in range(200)])
    assert weight == pytest.approx(0.5, rel=1e-4)


def test_half_lives_ramp_up_and_follow_schedules():
    """StyleGAN2: at most a share of the images so far; R3GAN: along a cosine from 0."""
    rampup = schedules.ema_half_life(10_000, batch_size=50, rampup=0.05)
    for step in (1, 100, 3999, 4000, 9000):
        images = min(10_000, 0.05 * 50 * step)
        assert float(rampup(jnp.array(step))) == pytest.approx(0.5 ** (50 / images), rel=1e-5)
    scheduled = schedules.ema_half_life(schedules.cosine(0.0, 5e5, 100), batch_size=50)
    assert float(scheduled(jnp.array(50))) == pytest.approx(0.5 ** (50 / 2.5e5), rel=1e-5)
    for schedule in (rampup, scheduled):
        assert float(schedule(jnp.array(0))) == 0.0  # the first parameters themselves
    # More images than an int32 can count, with whole numbers for all.
    whole = schedules.ema_half_life(10_000_000_000, batch_size=2048, rampup=1)
    step = 2_000_000
    weight = float(whole(jnp.array(step))) ** step
    assert weight == pytest.approx(0.5, rel=0.15)  # of decays close to 1, which round
    with pytest.raises(ValueError, match="batch_size is 0"):
        schedules.ema_half_life(10.0, batch_size=0)


def test_adam_with_schedules_of_rate_and_b2():
    """As PyTorch's, whose bias correction is that of the present b2; by NumPy."""
    rate, b2 = schedules.cosine(0.1, 0.01, 5), schedules.cosine(0.9, 0.99, 5)
    adam = optax.inject_hyperparams(optax.adam)(rate, b1=0.0, b2=b2)
    x = jnp.array([1.0, -2.0])
    state, expected, second = adam.init(x), np.array([1.0, -2.0]), np.zeros(2)
    update = jax.jit(adam.update)
    for step in range(8):
        gradient = np.cos(np.arange(2) + step)
        updates, state = update(jnp.float32(gradient), state, x)
        x = optax.apply_updates(x, updates)
        beta = float(b2(step))
        second = beta * second + (1 - beta) * gradient**2
        corrected = np.sqrt(second / (1 - beta ** (step + 1)))
        expected = expected - float(rate(step)) * gradient / (corrected + 1e-8)
        np.testing.assert_allclose(x, expected, rtol=1e-5)
