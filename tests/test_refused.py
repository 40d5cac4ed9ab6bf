"""Arguments that would be misread, or end in an error of another library, are refused in a line."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from experiments import cyclegan, gaussian1d, images, mixture, pix2pix, stacked_mnist
from jaxgan import (
    augment,
    data,
    latent_space,
    latents,
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
from jaxgan.metrics.neighbours import nearest
from jaxgan.population import population
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
    r'condition is "label", expected a tuple: \("label",\)': lambda: gan(condition="label"),
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
    "penalty is a Regularizer, which gan takes": lambda: jaxgan.games.pix2pix(
        MLP, MLP, penalty=penalties.lecam()
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
    "a hyper-parameter is one number, expected an array": lambda: population(
        lambda h: None, {"rate": 1e-3}
    ),
    "padding is 'valid', expected SAME or VALID": lambda: ops.conv_transpose(
        jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), padding="valid"
    ),
    "num is 4, expected 1 to 3 for 5 samples of 3": lambda: latent_space.principal_components(
        jnp.ones((5, 2)), jnp.ones((5, 3)), 4
    ),
    "there are no images, expected at least one": lambda: grids.grid(np.zeros((0, 4, 4, 1))),
    "there are no frames, expected at least one": lambda: grids.save_animation("a.gif", []),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


def test_refused_by_data_and_metrics():
    with pytest.raises(DataError, match="expected one length for all arrays, at least 1"):
        data.minibatches({"image": np.zeros((0, 4, 4, 1), np.uint8)}, batch_size=2)
    with pytest.raises(MetricError, match="there are 2 candidates, expected at least 3 neighbours"):
        nearest(np.zeros((1, 2)), np.zeros((2, 2)), 3)
    bytes_ = np.zeros((2, 8, 8, 1), np.uint8)
    for metric in (metrics.sharpness(), metrics.reconstruction(), metrics.ms_ssim_diversity()):
        with pytest.raises(
            MetricError, match=r"have the dtype uint8, expected floats in \[-1, 1\]"
        ):
            metric.update(metric.init(), real=bytes_, generated=bytes_)
    assert per_channel(mnist_classifier()._replace(suffix="")).score_name("fid") != "fid"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"optimizer": "sgd"}, "--burn-in-steps has schedules of Adam"),
        ({"lr_decay": "cosine"}, "--burn-in-steps has schedules of Adam"),
        ({"weight_decay": 0.1}, "goes without --warmup-steps and --weight-decay"),
    ],
)
def test_flags_that_a_burn_in_would_ignore(flags, message):
    digits = data.load("digits")
    with pytest.raises(DataError, match=message):
        images.check(images.Config(burn_in_steps=5, **flags), digits)


def test_clipped_gradients_with_a_burn_in():
    """Adam's first step is the same whatever the norm; its second moment is not."""
    state = {}
    for norm in (0.0, 1.0):
        config = images.Config(burn_in_steps=5, clip_norm=norm, b2=0.5)
        adam = images.make_optimizer(config, 0.1, turns=1)
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
        config = module.Config(data="recoloured", **{flag: value})
        message = f"--{flag.replace('_', '-')} does not apply to recoloured digits"
        with pytest.raises(DataError, match=message):
            config.load_data()
