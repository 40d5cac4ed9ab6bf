"""Presets of the image experiments, and what their flags build."""

import dataclasses
from functools import partial
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgan
from experiments import (
    cifar10,
    grids,
    image_networks,
    image_optimizers,
    image_terms,
    images,
    mnist,
    presets,
    stacked_mnist,
)
from jaxgan import Game, checkpoint, data, evaluation, features, latents, metrics
from jaxgan.augment import ada
from jaxgan.errors import DataError, RunError
from jaxgan.runs import cli, sweep, with_preset
from jaxgan.runs.command_line import arguments
from jaxgan.runs.config.presets import defaults
from jaxgan.training import TrainState
from tests import support

CONFIGS = [mnist.Config, images.Config, cifar10.Config, stacked_mnist.Config]
TINY = {"data": "digits", "features": 4, "batch_size": 8, "evaluate_every": 0}


@pytest.mark.parametrize("name", presets.PRESETS)
def test_presets_are_flags_and_cite_a_paper(name):
    reference, flags = presets.PRESETS[name]
    assert "https://arxiv.org/abs/" in reference
    for config_type in CONFIGS:
        config = with_preset(config_type, name)
        assert config.preset == name
        assert {field: getattr(config, field) for field in flags} == dict(flags)
        unset = dataclasses.asdict(dataclasses.replace(config, preset=None))
        default = dataclasses.asdict(config_type())
        assert {f for f in unset if unset[f] != default[f]} <= set(flags)


def test_all_presets_are_named_in_help():
    text = " ".join(Path(images.__file__).read_text(encoding="utf-8").split())
    assert f"from a paper: {', '.join(presets.PRESETS)}. With --help" in text


def test_flags_override_a_preset(monkeypatch):
    chosen = {}
    monkeypatch.setattr(
        "jaxgan.runs.launch.launch", lambda config, *_, **__: chosen.update(c=config)
    )
    argv = ["--gradient-penalty", "3", "--preset=wgan_gp", "--latent", "7"]
    assert support.exit_status(cli.main, mnist.Config, mnist.make, argv=argv) == 0
    assert chosen["c"] == with_preset(mnist.Config, "wgan_gp", gradient_penalty=3.0, latent=7)


def test_a_sweep_over_presets():
    args = arguments.Sweep(experiment="mnist", grid=(("preset", "wgan_gp", "infogan"),))
    points = sweep._points(mnist, args, ["--latent", "7"])
    assert list(points.values()) == [
        with_preset(mnist.Config, name, latent=7) for name in ("wgan_gp", "infogan")
    ]


def test_without_a_preset_the_defaults_are_those_of_the_config():
    assert defaults(mnist.Config, ["--r1", "3"]) == mnist.Config()


def test_unknown_presets():
    with pytest.raises(
        RunError, match="--preset is wgn, which this experiment lacks; it has gan, "
    ):
        defaults(mnist.Config, ["--preset", "wgn"])
    assert "--preset is wgn" in support.refused(
        cli.main, mnist.Config, mnist.make, argv=["--preset=wgn"]
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"acgan": 1.0}, "expected --conditional as well"),
        ({"acgan": 1.0, "infogan": 1.0, "conditional": True}, "expected one of them"),
        (
            {"infogan": 1.0, "network": "mlp"},
            "--infogan needs features of the discriminator, which --network mlp has not",
        ),
        ({"label_smoothing": 0.1, "loss": "hinge"}, "logistic losses, .* and --loss is hinge"),
        ({"pack": 2, "conditional": True}, "--pack is for GANs without conditions"),
        ({"clip_weights": 0.1, "algorithm": "optimistic"}, "to which --algorithm optimistic adds"),
        ({"burn_in_steps": 9, "algorithm": "ode"}, "--algorithm ode has no --burn-in-steps"),
        (
            {"algorithm": "competitive", "discriminator_lr": 1e-3, "generator_lr": 1e-4},
            "--algorithm competitive has one step size for both players",
        ),
    ],
)
def test_flags_that_do_not_go_together(flags, message):
    config = mnist.Config(data="digits", **flags)
    with pytest.raises(DataError, match=message):
        mnist.make(config, config.load_data())


@pytest.mark.parametrize("name", ["sngan", "biggan", "biggan_deep", "stylegan2", "r3gan"])
def test_other_networks_may_have_a_head(name):
    """AC-GAN's, over the features, in place of the projection of the labels."""
    config = mnist.Config(data="digits", network=name, features=4, conditional=True, acgan=1.0)
    dataset = config.load_data()
    _, discriminator = image_networks.make_networks(config, dataset)
    x, label = jnp.zeros((2, *dataset.image_shape)), jnp.zeros(2, int)
    params, state = jax.eval_shape(discriminator.init, jax.random.key(0), x, label)
    apply = partial(discriminator.apply, train=True, key=jax.random.key(0))
    (logits, classes), _ = jax.eval_shape(apply, params, state, x, label)
    assert (logits.shape, classes.shape) == ((2,), (2, 10))
    assert "embedding" not in str(jax.tree.structure(params))


def test_few_images_are_augmented():
    small = data.load("digits")
    large = small._replace(train={"image": np.zeros((image_terms.FEW, 8, 8, 1), np.uint8)})
    assert image_terms.chosen_augmentation(images.Config(), small) == "diff_augment"
    assert image_terms.chosen_augmentation(images.Config(), large) == "none"
    assert image_terms.chosen_augmentation(images.Config(augment="none"), small) == "none"
    assert image_terms.chosen_augmentation(images.Config(instance_noise=0.1), small) == "none"


def test_instance_noise_comes_after_the_named_augmentation():
    """Of images that it leaves as they are: ADA's probability is 0 at first."""
    x = np.zeros((500, 4, 4, 1), np.float32)
    for name in ("none", "ada"):
        augment = image_terms.make_augment(images.Config(instance_noise=0.5, decay_steps=10), name)
        state = augment.init()
        noise = jax.jit(augment.apply)(state, jax.random.key(0), x, 5)
        assert np.std(noise) == pytest.approx(0.25, rel=0.03)
        assert len(jax.tree.leaves(state)) == len(jax.tree.leaves(ada().init())) * (name == "ada")


@pytest.mark.parametrize("loss", ["wasserstein", "least_squares", "relativistic_paired"])
def test_ada_of_losses_without_a_zero_has_a_schedule(loss):
    """Their logits' signs say nothing: there is no state, and R3GAN's p rises to 0.3."""
    config = images.Config(loss=loss, burn_in_steps=10)
    assert image_terms.make_augment(config, "ada").init() == ()
    assert set(image_terms.make_augment(images.Config(loss="hinge"), "ada").init()) == set(
        ada().init()
    )
    x = np.random.default_rng(0).uniform(-1, 1, (2000, 8, 8, 1)).astype("f4")
    apply = jax.jit(image_terms.make_augment(config, "ada").apply)
    changed = lambda step: np.mean(
        np.abs(apply((), jax.random.key(0), x, step) - x).max(axis=(1, 2, 3)) > 1e-6
    )
    assert changed(0) == 0.0
    assert 0.5 < changed(10) < 1.0
    assert changed(10) == changed(20)


@pytest.mark.parametrize(("algorithm", "updates"), [("alternating", 1), ("extragradient", 2)])
def test_schedules_of_a_burn_in(algorithm, updates):
    """R3GAN's: learning rate to a quarter, b2 to 0.99, along cosines of the training steps."""
    config = images.Config(burn_in_steps=10, b1=0.0, b2=0.9, algorithm=algorithm)
    adam = image_optimizers.make_optimizer(config, 1.0, turns=1)
    params = jnp.zeros(())
    state, used = adam.init(params), []
    for _ in range(10 * updates + 1):
        _, state = adam.update(jnp.ones(()), state, params)
        used.append((state.hyperparams["learning_rate"], state.hyperparams["b2"]))
    cosine = (1 - np.cos(np.pi * np.linspace(0, 1, 10 * updates + 1))) / 2
    expected = np.stack([1 - 0.75 * cosine, 0.9 + 0.09 * cosine], axis=1)
    np.testing.assert_allclose(used, expected, rtol=1e-5)


def test_a_burn_in_of_unrolled_descent_has_a_derivative_at_a_gradient_of_zero():
    config = images.Config(burn_in_steps=10, algorithm="unrolled")
    adam = image_optimizers.make_optimizer(config, 1.0, turns=1)
    step = lambda gradient: adam.update(gradient, adam.init(gradient), gradient)[0]
    assert np.isfinite(jax.grad(step)(jnp.zeros(())))


def test_channels_of_stacked_digits_are_digits():
    digits = data.load("digits")
    numbers = data.stacked(digits, num_train=50, num_test=5)
    known = {image.tobytes(): label for image, label in zip(*digits.train.values(), strict=True)}
    for image, label in zip(numbers.train["image"], numbers.train["label"], strict=True):
        found = [known[np.ascontiguousarray(image[..., [i]]).tobytes()] for i in range(3)]
        assert label == 100 * found[0] + 10 * found[1] + found[2]
    with pytest.raises(DataError, match="3 channels and 1000 classes, expected 1 channel"):
        data.stacked(numbers)


def test_features_per_channel_are_those_of_the_channels():
    classifier = features.mnist_classifier()
    x = np.random.default_rng(0).uniform(-1, 1, (4, 28, 28, 3)).astype(np.float32)
    outputs = features.per_channel(classifier).apply(x)
    for i in range(3):
        alone = classifier.apply(x[..., [i]])
        np.testing.assert_allclose(outputs["logits"][:, i], alone["logits"], rtol=1e-4, atol=1e-4)
        part = outputs["features"].reshape(4, 3, -1)[:, i]
        np.testing.assert_allclose(part, alone["features"], rtol=1e-4, atol=1e-4)


def test_rows_of_the_grid_of_codes(tmp_path, monkeypatch):
    """Of a generator whose images are its latents, `[1, dim]` pixels."""
    codes = latents.Codes(3, categorical=(4,), continuous=2)
    game = Game(
        init=lambda key, batch: ({}, {}),
        losses={},
        sample=lambda *_: None,
        decode=lambda params, model_state, z: z[:, None, :, None],
    )
    grid = {}
    monkeypatch.setattr(
        "jaxgan.images.save_grid", lambda path, x, columns: grid.update(x=x, columns=columns)
    )
    state = TrainState(jnp.zeros((), jnp.int32), {}, {}, {}, {}, {})
    grids.draw_codes(game, codes, rows=2)(tmp_path / "grid.png", state)
    z = grid["x"][:, 0, :, 0].reshape(3, 2, 4, 9)  # what varies, row, column
    assert grid["columns"] == 4
    np.testing.assert_array_equal(np.ptp(z[..., :3], axis=2), 0)
    np.testing.assert_array_equal(z[0, ..., 3:7], np.broadcast_to(np.eye(4), (2, 4, 4)))
    np.testing.assert_array_equal(np.ptp(z[1:, ..., 3:7], axis=2), 0)
    np.testing.assert_allclose(z[1, ..., 7], [np.linspace(-2, 2, 4)] * 2, rtol=1e-6)
    np.testing.assert_allclose(z[2, ..., 8], [np.linspace(-2, 2, 4)] * 2, rtol=1e-6)
    np.testing.assert_array_equal(np.ptp(z[1, ..., 8], axis=1), 0)
    assert np.abs(z[0, 0] - z[0, 1]).max() > 0


@pytest.mark.slow
def test_the_score_of_codes_is_the_information_of_q_about_real_images():
    """exp of `H(mean q) - mean H(q)` over the test images, with Q by hand."""
    config = with_preset(mnist.Config, "infogan", **TINY, categorical=4, augment="ada")
    dataset = config.load_data()
    experiment = mnist.make(config, dataset)
    state = jax.jit(experiment.algorithm.init)(
        jax.random.key(0), jax.tree.map(lambda x: x[0], experiment.minibatches(0, 1))
    )
    own = state.params["discriminator"]
    own = jax.tree.map(lambda x: 5.0 * x, own)  # away from equal probabilities
    state = state._replace(params={**state.params, "discriminator": own})
    evaluate = evaluation.evaluator(experiment.game, experiment.evaluation, num_samples=1000)
    record = evaluate(state)["codes/inception_score_q"]
    assert record.num_generated == len(dataset.test["image"]) < 1000
    _, discriminator = image_networks.make_networks(config, dataset)
    (_, outputs), _ = jax.jit(partial(discriminator.apply, train=False))(
        own,
        state.model_state["discriminator"]["network"],
        data.as_float(dataset.test["image"]),
    )
    q = jax.nn.softmax(np.asarray(outputs, np.float64)[:, :4])
    entropy = lambda p: -np.sum(p * np.log(p), axis=-1)
    assert record.value == pytest.approx(
        np.exp(entropy(q.mean(axis=0)) - entropy(q).mean()), rel=1e-4
    )
    assert record.value > 1.05
    assert evaluation.over(experiment.evaluation, metrics.PIXELS).parts == {}
    without_codes = mnist.make(mnist.Config(**TINY), dataset)
    assert without_codes.evaluation.parts == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", presets.PRESETS)
def test_presets_resume_bit_for_bit(name, tmp_path):
    """From a checkpoint after the first of three steps; with one turn of D, to compile less."""
    flags = {**TINY, "burn_in_steps": 5} if name == "r3gan" else TINY
    config = with_preset(mnist.Config, name, **flags, discriminator_turns=1)
    experiment = mnist.make(config, config.load_data())
    algorithm = jaxgan.jit(experiment.algorithm)

    def train(num_steps, state=None):
        return jaxgan.fit(
            algorithm,
            experiment.minibatches,
            key=jax.random.key(0),
            num_steps=num_steps,
            state=state,
        )

    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, train(1))
        restored = checkpoint.restore(manager, train(0))
    whole = train(3)
    chex.assert_tree_all_finite(whole)
    assert checkpoint.digest(train(3, restored)) == checkpoint.digest(whole)
    evaluation.trace(experiment.game, experiment.evaluation, whole)
