"""Arguments that would be misread, or end in an error of another library, are refused in a line."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxgan
from experiments import (
    cyclegan,
    gaussian1d,
    image_optimizers,
    images,
    mixture,
    pix2pix,
    stacked_mnist,
)
from jaxgan import (
    augment,
    corruptions,
    data,
    latent_space,
    latents,
    loop,
    losses,
    metrics,
    networks,
    ops,
    optimizers,
    penalties,
    schedules,
)
from jaxgan import images as grids
from jaxgan.errors import DataError, MetricError, RunError
from jaxgan.features import mnist_classifier, per_channel
from jaxgan.metrics.neighbors import nearest
from jaxgan.population import member_keys, population
from tests.games import CASES, minibatches

KEY = jax.random.key(0)
MLP = jaxgan.from_linen(networks.MLP((4,)))
POINTS = jaxgan.from_linen(networks.MLP((4,), output_shape=(2,)))
SGD = optax.sgd(0.1)


def gan(**options):
    return jaxgan.gan(POINTS, MLP, latent=latents.normal(2), **options)


def cyclegan_of(loss):
    pair = {"x2y": MLP, "y2x": MLP}, {"x": MLP, "y": MLP}
    return jaxgan.games.cyclegan(*pair, loss=loss)


def sgd(game):
    return jaxgan.alternating(game, {"discriminator": SGD, "generator": SGD})


def points(start, count):
    return {"image": np.zeros((count, 6, 2), np.float32)}


def continued_twice():
    algorithm = jaxgan.jit(sgd(gan()))
    state = jaxgan.fit(algorithm, points, key=KEY, num_steps=1)
    for _ in range(2):
        jaxgan.fit(algorithm, points, key=KEY, num_steps=2, state=state)


def trained(**options):
    return jaxgan.fit(sgd(gan(**options)), points, key=KEY, num_steps=1)


def evaluated(metric):
    evaluation = jaxgan.Evaluation({"fid": metric}, {"image": np.zeros((6, 2), np.float32)})
    state = sgd(gan()).init(KEY, {"image": np.zeros((6, 2))})
    return jaxgan.evaluator(gan(), evaluation)(state)


def evaluated_on(images):
    evaluation = jaxgan.Evaluation({"swd": metrics.sliced_wasserstein()}, {"image": images})
    return jaxgan.evaluator(gan(), evaluation)


DOUBLED = MLP._replace(
    apply=lambda params, state, x, **kwargs: MLP.apply(
        params, state, jnp.concatenate([x, x]), **kwargs
    )
)


def outputs(module, x):
    return jax.eval_shape(functools.partial(module.init_with_output, train=True), KEY, x)


REFUSED = {
    "loss is the function least_squares; call it: least_squares": lambda: gan(
        loss=losses.least_squares
    ),
    "loss is the function hinge; call it": lambda: gan(loss=losses.hinge),
    "loss is 'hinge', expected one of jaxgan.losses": lambda: gan(loss="hinge"),
    "generator is a MLP, expected a jaxgan.Network: jaxgan.from_linen": lambda: jaxgan.gan(
        networks.MLP((4,), output_shape=(2,)), MLP, latent=latents.normal(2)
    ),
    "x is a MLP, expected a jaxgan.Network": lambda: jaxgan.cyclegan(
        {"x2y": MLP, "y2x": MLP}, {"x": networks.MLP((4,)), "y": MLP}
    ),
    "latent is 4, expected a prior": lambda: jaxgan.gan(POINTS, MLP, latent=4),
    "latent is normal, expected a prior": lambda: jaxgan.gan(POINTS, MLP, latent=latents.normal),
    "latent is uniform, expected a prior": lambda: jaxgan.games.bigan(
        MLP, MLP, MLP, latent=latents.uniform
    ),
    "latent is truncated, expected a prior": lambda: jaxgan.games.adversarial_autoencoder(
        MLP, MLP, MLP, latent=latents.truncated
    ),
    "the penalty is lecam, expected a function .* call it": lambda: jaxgan.games.pix2pix(
        MLP, MLP, penalty=penalties.lecam
    ),
    r"the penalty is 1.0, expected a function .*, or a Regularizer$": lambda: gan(penalty=1.0),
    "penalty is lecam, .* call it": lambda: gan(penalty=penalties.lecam),
    "penalty is weighted, .* call it": lambda: gan(penalty=penalties.weighted),
    r'conditions is "label", expected a tuple: \("label",\)': lambda: gan(conditions="label"),
    "optimizers is a GradientTransformation.*, expected a dict with one": lambda: (
        jaxgan.alternating(gan(), SGD)
    ),
    "key is 0, expected a key": lambda: jaxgan.fit(
        jaxgan.alternating(gan(), {"discriminator": SGD, "generator": SGD}),
        minibatches,
        key=0,
        num_steps=1,
    ),
    "of the generators depends on the logits of real images": lambda: cyclegan_of(
        losses.relativistic_paired()
    ),
    "the generators depends on the logits of real images": lambda: cyclegan_of(
        losses.relativistic_average()
    ),
    "bound is 'iwae', expected elbo or importance_weighted": lambda: jaxgan.games.vae(
        MLP, MLP, bound="iwae"
    ),
    "fraction is 50, expected k / n": lambda: losses.top_k(losses.hinge(), 50),
    r"momentum is -1.5, expected a number in \(-1, 1\)": lambda: jaxgan.negative_momentum(
        gan(), {"discriminator": SGD, "generator": SGD}, momentum=-1.5
    ),
    "clip_weights needs the parameters": lambda: optimizers.clip_weights(1.0).update(
        jnp.ones(2), optimizers.clip_weights(1.0).init(jnp.ones(2))
    ),
    "low is 1.0 and high is -1.0, expected low < high": lambda: latents.uniform(2, 1.0, -1.0),
    "bound of the truncation is -1.0, expected a positive": lambda: latents.truncated_normal(
        2, -1.0
    ),
    "of is 'fakes', expected real, fake or both": lambda: penalties.auxiliary_classifier(
        of="fakes"
    ),
    "the augmentation has state, which this penalty does not keep": lambda: penalties.consistency(
        augment.ada()
    ),
    r"of is \(\), expected real, fake or both": lambda: penalties.consistency(MLP, of=()),
    "loss is the function wasserstein; call it": lambda: jaxgan.games.pix2pix(
        MLP, MLP, loss=losses.wasserstein
    ),
    "loss is the function minimax; call it": lambda: cyclegan_of(losses.minimax),
    "loss is the function non_saturating; call it": lambda: jaxgan.games.bigan(
        MLP, MLP, MLP, latent=latents.normal(2), loss=losses.non_saturating
    ),
    "loss is the function relativistic_average; call it": lambda: (
        jaxgan.games.adversarial_autoencoder(
            MLP, MLP, MLP, latent=latents.normal(2), loss=losses.relativistic_average
        )
    ),
    "epsilon is -1.0, expected a positive number": lambda: penalties.mode_seeking(-1.0),
    "sigma is 0.0, expected a positive number": lambda: penalties.approximate_r1(
        jnp.sum, jnp.ones((2, 3)), jnp.ones((2, 3)), KEY, 0, sigma=0.0
    ),
    r"p is 5.0, expected a probability in \[0, 1\]": lambda: augment.ada(p=5.0),
    "half_life is -5, expected at least 0 images": lambda: schedules.ema_half_life(
        -5, batch_size=4
    ),
    "num_projections is 0, expected at least 1": lambda: metrics.sliced_wasserstein(
        num_projections=0
    ),
    "std is -0.1 and within 3.0, expected positive": lambda: metrics.mode_coverage(
        np.zeros((1, 2)), std=-0.1
    ),
    "k_precision is 0 and k_density 5, expected at least 1": lambda: (
        metrics.precision_recall_density_coverage(k_precision=0)
    ),
    "k is 0, expected at least 1": lambda: nearest(np.zeros((1, 2)), np.zeros((2, 2)), 0),
    "num is 0, expected 1 to 4 directions": lambda: latent_space.sefa(jnp.eye(4), 0),
    "num is 5, expected 1 to 4 directions": lambda: latent_space.sefa(jnp.eye(4), 5),
    "norm is 'layer', expected batch, instance or none": lambda: outputs(
        networks.PatchDiscriminator(2, norm="layer"), jnp.ones((1, 32, 32, 1))
    ),
    "norm is 'Batch', expected batch, instance or none": lambda: outputs(
        networks.UNetGenerator(1, 2, norm="Batch"), jnp.ones((1, 32, 32, 1))
    ),
    "SpectralNorm was given a MLP with the parameters .*, expected a layer": lambda: outputs(
        networks.SpectralNorm(networks.MLP((3,))), jnp.ones((1, 2))
    ),
    "a raw key, expected a typed one: jax.random.key": lambda: jaxgan.fit(
        CASES["simultaneous"]().algorithm, minibatches, key=jax.random.PRNGKey(0), num_steps=1
    ),
    "a hyper-parameter is one number or a list of numbers, expected an array": lambda: population(
        lambda h: None, {"rate": 1e-3}
    ),
    "padding is 'valid', expected SAME or VALID": lambda: ops.conv_transpose(
        jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), padding="valid"
    ),
    "num is 4, expected 1 to 3 for 5 samples of 3": lambda: latent_space.principal_components(
        jnp.ones((5, 2)), jnp.ones((5, 3)), 4
    ),
    r"the discriminator's loss has the shape \(6, 6\), expected that of the logits": lambda: (
        trained(loss=losses.hinge()._replace(discriminator=lambda r, f: r[:, None] - f[None]))
    ),
    r"the generator's loss has the shape \(6, 6\), expected that of the logits": lambda: trained(
        loss=lambda step: losses.hinge()._replace(generator=lambda r, f: f[:, None] - r[None])
    ),
    "logits of 12 examples, expected those of the 6 that it was given": lambda: jaxgan.fit(
        sgd(jaxgan.gan(POINTS, DOUBLED, latent=latents.normal(2))),
        points,
        key=KEY,
        num_steps=1,
    ),
    "augmentation returned 4 images of 6, expected as many": lambda: trained(
        augment=lambda key, images: images[:4]
    ),
    "callbacks is <built-in function print>, expected a list": lambda: jaxgan.fit(
        sgd(gan()), points, key=KEY, num_steps=1, callbacks=print
    ),
    "num_steps is 1000.0, expected a whole number": lambda: jaxgan.fit(
        sgd(gan()), points, key=KEY, num_steps=1e3
    ),
    r"image of minibatches\(0, 1\) has the shape \(6, 2\), expected \[1, batch": lambda: jaxgan.fit(
        sgd(gan()), lambda start, count: {"image": np.zeros((6, 2))}, key=KEY, num_steps=1
    ),
    "algorithm is a Game, expected a training algorithm": lambda: jaxgan.jit(gan()),
    "compiled already, expected a pure one: jit, pmap or sharded come last": lambda: (
        jaxgan.scan_steps(jaxgan.pmap(sgd(gan())), 2)
    ),
    "the state was given to an earlier update, which reused its buffers": lambda: continued_twice(),
    "generator_penalty is r1, expected a Regularizer": lambda: gan(generator_penalty=penalties.r1),
    'turns is "generator", expected a list of turns': lambda: jaxgan.alternating(
        gan(), {"discriminator": SGD, "generator": SGD}, turns="generator"
    ),
    "ema is 0.99, expected a dict of decays by player": lambda: jaxgan.extragradient(
        gan(), {"discriminator": SGD, "generator": SGD}, ema=0.99
    ),
    "game is a dict, expected a Game": lambda: jaxgan.optimistic({"generator": SGD}, gan()),
    "batch size is 0, expected at least 1": lambda: data.sampled_minibatches(
        data.ring().sample, batch_size=0
    ),
    "minibatches is a dict, expected .*start, count": lambda: jaxgan.fit(
        sgd(gan()), {"image": np.zeros((6, 2))}, key=KEY, num_steps=1
    ),
    "minibatches is a generator, expected .*streamed": lambda: jaxgan.fit(
        sgd(gan()), (points(0, 1) for _ in range(2)), key=KEY, num_steps=1
    ),
    "the algorithm is compiled already, expected a pure one": lambda: jaxgan.pmap(
        jaxgan.jit(sgd(gan()))
    ),
    r"weighted\(\) was given \(10.0, .*, expected pairs \(weight, penalty\)": lambda: (
        penalties.weighted(10.0, penalties.r1)
    ),
    "make is Linear, expected a function that makes the module: lambda rngs": lambda: (
        jaxgan.from_nnx(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    ),
    "likelihood is gaussian, expected a Likelihood": lambda: jaxgan.games.vae(
        MLP, MLP, likelihood=losses.gaussian
    ),
    "error is 'l1', expected a function": lambda: jaxgan.games.autoencoder(MLP, MLP, error="l1"),
    "corruption is gaussian_noise, expected a function": lambda: jaxgan.games.autoencoder(
        MLP, MLP, corruption=corruptions.gaussian_noise
    ),
    "observe is binarized, expected a function": lambda: jaxgan.games.vae(
        MLP, MLP, observe=corruptions.binarized
    ),
    r"the keys have the shape \(3,\), expected one for each of 2 members": lambda: population(
        lambda h: sgd(gan()), {"rate": jnp.ones(2)}
    ).init(member_keys(range(3)), points(0, 1)),
    r"the keys have the shape \(\), expected one for each member": lambda: population(
        sgd(gan())
    ).init(KEY, points(0, 1)),
    "fid is frechet_distance, expected a metric": lambda: evaluated(metrics.frechet_distance),
    'the features mine return .*, expected a dict with "features": array': lambda: evaluated(
        metrics.frechet_distance(metrics.Features("mine", lambda x: x))
    ),
    "there are no images, expected at least one": lambda: grids.grid(np.zeros((0, 4, 4, 1))),
    "there are no frames, expected at least one": lambda: grids.save_animation("a.gif", []),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


def test_a_label_that_the_batch_lacks():
    with pytest.raises(KeyError, match="the batch has no label; its entries are image"):
        gan(conditions=("label",)).sample({}, {}, {"image": np.zeros((2, 2))}, KEY)


def test_refused_by_data_and_metrics():
    rows = np.zeros((30, 4, 4, 1), np.float32)
    rows[20] = 200.0  # not in the first minibatch
    for refused in (
        lambda: data.minibatches({"image": rows}, batch_size=2),
        lambda: evaluated_on(rows),
    ):
        with pytest.raises(DataError, match=r"image has values from 0 to 200, expected floats in"):
            refused()
    with pytest.raises(DataError, match="epoch is a list, expected a function n -> batches"):
        data.streamed([{"image": rows}])
    with pytest.raises(DataError, match="a batch of epoch 0 is a tuple, expected a dict of arrays"):
        data.streamed(lambda n: [(rows, rows)])(0, 1)
    with pytest.raises(DataError, match="expected one length for all arrays, at least 1"):
        data.minibatches({"image": np.zeros((0, 4, 4, 1), np.uint8)}, batch_size=2)
    with pytest.raises(MetricError, match="there are 2 candidates, expected at least 3 neighbours"):
        nearest(np.zeros((1, 2)), np.zeros((2, 2)), 3)
    with pytest.raises(DataError, match=r"shape \(9, 8, 8\), expected .*: images\[..., None\]"):
        data.minibatches({"image": np.zeros((9, 8, 8), np.uint8)}, batch_size=2)
    bytes_ = np.zeros((2, 8, 8, 1), np.uint8)
    for metric in (metrics.sharpness(), metrics.reconstruction(), metrics.ms_ssim_diversity()):
        with pytest.raises(
            MetricError, match=r"have the dtype uint8, expected floats in \[-1, 1\]"
        ):
            metric.update(metric.init(), real=bytes_, generated=bytes_)
    assert per_channel(mnist_classifier()._replace(suffix="")).score_name("fid") != "fid"


def test_fit_warns():
    """Of images of bytes as floats, and of a training that diverged."""
    with pytest.warns(UserWarning, match=r"image has values from 0 to 255, expected floats in"):
        loop.first_state(
            CASES["simultaneous"]().algorithm,
            lambda start, count: {"image": 255 * np.eye(8)[None, None, :, :, None]},
            key=KEY,
        )
    steep = optax.sgd(1e30)
    algorithm = jaxgan.alternating(gan(), {"discriminator": steep, "generator": steep})
    ones = lambda start, count: {"image": np.ones((count, 6, 2), np.float32)}
    with pytest.warns(UserWarning, match="training diverged: .* is (nan|inf|-inf) at step 5"):
        jaxgan.fit(algorithm, ones, key=KEY, num_steps=5)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"optimizer": "sgd"}, "--burn-in-steps sets schedules of Adam"),
        ({"lr_decay": "cosine"}, "--burn-in-steps sets schedules of Adam"),
        ({"weight_decay": 0.1}, "excludes --warmup-steps and --weight-decay"),
    ],
)
def test_flags_that_a_burn_in_would_ignore(flags, message):
    with pytest.raises(DataError, match=message):
        images.make(images.Config(burn_in_steps=5, **flags), data.load("digits"))


def test_clipped_gradients_with_a_burn_in():
    """Adam's first step is the same whatever the norm; its second moment is not."""
    state = {}
    for norm in (0.0, 1.0):
        config = images.Config(burn_in_steps=5, clip_norm=norm, b2=0.5)
        adam = image_optimizers.make_optimizer(config, 0.1, turns=1)
        _, state[norm] = adam.update(jnp.array([30.0, 40.0]), adam.init(jnp.zeros(2)))
    second = lambda s: jax.tree.leaves(optax.tree_utils.tree_get(s, "nu"))[0]
    np.testing.assert_allclose(second(state[0.0]) / second(state[1.0]), 2500.0, rtol=1e-4)


@pytest.mark.parametrize("module", [mixture, gaussian1d])
def test_an_exponential_decay_does_not_reach_0(module):
    config = module.Config(r1_last=0.0, r1=1.0)
    with pytest.raises(RunError, match=r"--r1-last is 0.0, expected above 0"):
        module.make(config, config.load_data())


def test_flags_that_digits_have_not():
    """Those of image files, where the images are made of digits."""
    for flag, value in (("size", "64"), ("skip_bad", True)):
        config = stacked_mnist.Config(data="digits", **{flag: value})
        message = f"--{flag.replace('_', '-')} does not apply to stacked digits"
        with pytest.raises(DataError, match=message):
            stacked_mnist.make(config, config.load_data())
    flags = {
        "channels": 1,
        "skip_bad": True,
        "preprocess": "crop",
        "load_size": 40,
        "x_flips": False,
    }
    for module, (flag, value) in itertools.product((pix2pix, cyclegan), flags.items()):
        config = module.Config(data="recolored", **{flag: value})
        message = f"--{flag.replace('_', '-')} does not apply to recoloured digits"
        with pytest.raises(DataError, match=message):
            config.load_data()
