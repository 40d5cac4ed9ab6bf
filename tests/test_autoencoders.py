"""Experiments with autoencoders and VAEs, and the commands on their runs."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import autoencoder, classifier, mnist, restoration, vae, vae_gan
from jaxgan import UserError, data, latent_space
from jaxgan.errors import DataError
from jaxgan.runs.launch import launch
from jaxgan.runs.load import load_run
from tests.support import command, pixels, refused, size_of, train, write_images

SMALL = {"data": "digits", "features": 4, "batch_size": 16, "log_every": 50}
SMALL |= {"evaluate_samples": 300, "learning_rate": 3e-3}


def run(module, directory, **fields) -> dict[str, float]:
    """Trains a small run of an experiment; the values of its last evaluation."""
    return train(module, directory, **{**SMALL, **fields})


def refused_by(function, *args, **kwargs) -> str:
    """The message of the error that a user gets."""
    with pytest.raises(UserError, match=r".") as error:
        function(*args, **kwargs)
    assert error.value.exit_status == 2
    return str(error.value)


# ---- tasks of the autoencoder


@pytest.mark.slow
def test_codes_reconstruct_interpolate_and_add(tmp_path):
    directory, out = tmp_path / "run", tmp_path / "out.png"
    values = run(autoencoder, directory, num_steps=30, decay_steps=30)
    assert {"l1", "mse", "psnr", "ssim", "sharpness"} == set(values)
    assert size_of(directory / "samples" / "step_0000030.png") == (10 * 30 + 2, 10 * 30 + 2)

    common = {"num": 4, "out": out}
    command("reconstruct", directory, **common)
    assert size_of(out) == (4 * 30 + 2, 2 * 30 + 2)
    command("interpolate", directory, steps=3, path="slerp", **common)
    assert size_of(out) == (5 * 30 + 2, 4 * 30 + 2)

    digits = data.load("digits").test
    for label in (0, 1):
        write_images(tmp_path / str(label), digits["image"][digits["label"] == label][:5])
    folders = {"plus": tmp_path / "0", "minus": tmp_path / "1"}
    command("arithmetic", directory, **folders, steps=4, **common)
    assert size_of(out) == (5 * 30 + 2, 4 * 30 + 2)

    # Images of another size, depth or number of channels are resized and converted.
    (tmp_path / "large").mkdir()
    for i, digit in enumerate(digits["image"][:4, ..., 0]):
        large = np.kron(np.repeat(digit[..., None], 3, axis=-1), np.ones((2, 2, 1), np.uint8))
        wide = Image.fromarray(np.pad(large, [(0, 0), (20, 20), (0, 0)]))
        wide.save(tmp_path / "large" / f"{i}.png")
        Image.fromarray(large).resize((28, 28), Image.Resampling.BICUBIC).convert("L").save(
            tmp_path / "large" / f"{i}.webp", lossless=True
        )
    command("reconstruct", directory, input=tmp_path / "large", out=out, num=8)
    rows = pixels(out)
    for top in (2, 32):  # the images, and their reconstructions
        row = rows[top : top + 28, 2:].reshape(28, 8, 30, -1)
        np.testing.assert_allclose(row[:, ::2], row[:, 1::2], atol=2)
    text = refused(command, "reconstruct", directory, input=tmp_path / "none", **common)
    assert "does not exist" in text
    text = refused(command, "latent-map", directory, out=out, side=2)
    assert "codes of the shape (16,)" in text
    text = refused(command, "interpolate", directory, label=3, **common, input=tmp_path)
    assert "--label is of latents from the prior, and --input has images" in text
    text = refused(command, "interpolate", directory, steps=1, **common)
    assert "--steps is 1" in text


@pytest.mark.slow
def test_anomaly_detection(tmp_path, capsys):
    """The command puts a strange image first, and its scores are those of the functions."""
    directory = tmp_path / "run"
    values = run(autoencoder, directory, task="anomaly", anomaly=3, num_steps=200, decay_steps=200)
    assert set(values) == {"roc_auc_reconstruction", "roc_auc_latent"}
    loaded = load_run(directory, with_data=True)
    experiment, state = loaded.experiment, loaded.state
    digits = data.load("digits")
    kept = digits.train["image"][digits.train["label"] != 3]
    drawn = experiment.minibatches(0, 100)["image"]
    assert {x.tobytes() for x in drawn.reshape(-1, 28, 28, 1)} <= {
        x.tobytes() for x in data.as_float(kept)
    }

    strange = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 1), np.uint8)
    images = np.concatenate([digits.test["image"][:30], strange])
    write_images(tmp_path / "in", images, names=[*(f"digit{i}" for i in range(30)), "strange"])
    out = tmp_path / "anomalies.json"
    command("anomalies", directory, input=tmp_path / "in", out=out, score="reconstruction")
    listed = json.loads(out.read_text(encoding="utf-8"))["images"]
    assert listed[0]["name"] == "strange.png"
    assert listed[0]["reconstruction_share_above"] == 0.0
    assert "strange.png" in capsys.readouterr().out
    (tmp_path / "in" / "bad.png").write_bytes(b"no image")
    assert "bad.png cannot be read" in refused(
        command, "encode", directory, input=tmp_path / "in", out=tmp_path / "codes.npz"
    )
    command("encode", directory, "--skip-bad", input=tmp_path / "in", out=tmp_path / "codes.npz")
    assert "left out, since they cannot be read: bad.png" in capsys.readouterr().out
    with np.load(tmp_path / "codes.npz") as file:
        order = [[f"digit{i}.png" for i in range(30)].index(name) for name in file["names"][:30]]
        codes = experiment.game.encode(state.params, state.model_state, data.as_float(images))
        np.testing.assert_allclose(file["codes"][:30], codes[np.array(order)], atol=1e-5)
        assert file["names"][30] == "strange.png"
    normal = experiment.game.encode(state.params, state.model_state, data.as_float(kept))
    expected = latent_space.anomaly_scores(
        experiment.game, state.params, state.model_state, data.as_float(images), jnp.asarray(normal)
    )
    by_name = {record["name"]: record for record in listed}
    for kind in latent_space.ANOMALY_SCORES:
        listed_scores = [by_name[f"digit{i}.png"][kind] for i in range(30)]
        np.testing.assert_allclose(listed_scores, expected[kind][:30], rtol=1e-3, atol=1e-5)


def test_an_unknown_label_is_refused(tmp_path):
    config = dataclasses.replace(autoencoder.Config(), task="anomaly", anomaly=11, data="digits")
    with pytest.raises(DataError, match=r"digits has no class 11 for --anomaly; it has 0, 1, 2, 3"):
        autoencoder.make(config, config.load_data())


@pytest.mark.slow
def test_denoising_beats_the_noise(tmp_path):
    """And the translation of a run denoises images as they are."""
    directory = tmp_path / "run"
    values = run(restoration, directory, task="denoise", num_steps=300, decay_steps=300)
    assert values["noisy/psnr"] == pytest.approx(10 * np.log10(4 / 0.25), abs=0.05)
    assert values["psnr"] > values["noisy/psnr"] + 2.0
    digits = data.load("digits").test["image"][:3]
    noise = np.random.default_rng(0).normal(scale=40, size=digits.shape)
    noisy = np.clip(digits + noise, 0, 255).astype(np.uint8)
    padded = np.pad(noisy, [(0, 0), (0, 5), (0, 2), (0, 0)])  # sides that no network halves
    write_images(tmp_path / "in", padded)
    command("translate", directory, input=tmp_path / "in", out=tmp_path / "out")
    with Image.open(tmp_path / "out" / "0000.png") as picture:
        assert picture.size == (30, 33)
        cleaned = np.asarray(picture)[:28, :28]
    error = lambda x: np.mean((x.astype(float) - digits[0, ..., 0]) ** 2)
    assert error(cleaned) < 0.8 * error(noisy[0, ..., 0])


def colored(n: int, seed: int) -> np.ndarray:
    """Images whose colour follows from their grey: bright pixels are red, dark ones blue."""
    rng = np.random.default_rng(seed)
    gray = np.repeat(np.repeat(rng.random((n, 4, 4)), 4, axis=1), 4, axis=2)
    return (255 * np.stack([gray, gray * 0.5, 1 - gray], axis=-1)).astype(np.uint8)


@pytest.mark.slow
def test_colours_that_follow_from_grey_are_learned(tmp_path):
    for split, n, seed in (("train", 64, 0), ("test", 16, 1)):
        write_images(tmp_path / "images" / split, colored(n, seed))
    values = run(
        restoration, tmp_path / "run", task="colorize", data="folder",
        data_dir=str(tmp_path / "images"), num_steps=150, decay_steps=150, x_flips=True,
        features=8,
    )  # fmt: skip
    assert values["mse"] < 0.3 * values["mean_color/mse"]
    write_images(tmp_path / "grey", colored(1, 2)[..., :1])
    command("translate", tmp_path / "run", input=tmp_path / "grey", out=tmp_path / "out")
    with Image.open(tmp_path / "out" / "0000.png") as picture:
        assert picture.mode == "RGB"
    config = dataclasses.replace(restoration.Config(), task="colorize", data="digits")
    with pytest.raises(DataError, match="digits has images of 1 channel, colorize needs 3"):
        restoration.make(config, config.load_data())


def test_colour_is_added_to_the_luma_of_the_input():
    from jaxgan import corruptions

    gray = corruptions.grayscale()
    rng = np.random.default_rng(0)
    seen, output = (jnp.asarray(rng.uniform(-1, 1, (2, 4, 4, c)), jnp.float32) for c in (1, 3))
    colored = restoration.with_luma_of(seen, output)
    key = jax.random.key(0)
    np.testing.assert_allclose(gray(key, colored), seen, atol=1e-6)
    true = restoration.with_luma_of(gray(key, output), output)
    np.testing.assert_allclose(true, output, atol=1e-6)


# ---- the VAE, and the VAE-GAN with its relatives


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        {"latent": 2},
        {"network": "dcgan", "likelihood": "gaussian", "binarize": False},
        {"bound": "importance_weighted", "num_samples": 3},
    ],
)
def test_vaes(flags, tmp_path):
    values = run(vae, tmp_path / "run", num_steps=20, decay_steps=20, bound_samples=20, **flags)
    assert values["importance_weighted_20"] > values["elbo"]
    entries = json.loads((tmp_path / "run" / "evaluation.json").read_text(encoding="utf-8"))[
        "evaluations"
    ]
    assert entries[-1]["records"][0]["num_generated"] == 297  # test images; samples are 300
    assert any(name.startswith("samples/fid_") for name in values)
    if flags == {"latent": 2}:
        out = tmp_path / "map.png"
        command("latent-map", tmp_path / "run", out=out, side=3, step="best")
        assert size_of(out) == (84, 84)


def test_test_images_are_binarised_deterministically():
    images = np.full((4, 50, 50, 1), 64, np.uint8)
    on = vae.binarized_bytes(images)
    assert set(np.unique(on)) == {0, 255}
    assert np.mean(on == 255) == pytest.approx(64 / 255, abs=0.02)
    np.testing.assert_array_equal(on, vae.binarized_bytes(images))


@pytest.mark.slow
@pytest.mark.parametrize("game", ["vae_gan", "vae", "adversarial_autoencoder", "bigan"])
def test_four_games_with_the_same_networks(game, tmp_path):
    values = run(vae_gan, tmp_path / "run", game=game, num_steps=2, latent=4)
    assert {"reconstruction/mse", "reconstruction/sharpness", "fid_mnist_classifier"} <= set(values)
    command("reconstruct", tmp_path / "run", num=10, seed=1, step="best", out=tmp_path / "out.png")
    assert size_of(tmp_path / "out.png") == (302, 62)


def test_folders_without_classes_have_no_labels(tmp_path):
    """Nor do they need any, but for what is made of labels."""
    for split in ("train", "test"):
        write_images(tmp_path / split, colored(4, 0))
    folder = {"data": "folder", "data_dir": str(tmp_path)}
    for module, fields, message in (
        (classifier, {}, "has no labels to learn"),
        (mnist, {"conditional": True}, "has no labels; leave out --conditional"),
        (autoencoder, {"task": "anomaly"}, "has no labels, of which --task anomaly leaves one out"),
    ):
        config = dataclasses.replace(module.Config(), **folder, **fields)
        with pytest.raises(DataError, match=message):
            module.make(config, config.load_data())


@pytest.mark.parametrize(
    ("module", "fields", "message"),
    [
        (mnist, {}, "given images of 10 x 9; expected sides that are 4 to 7 times a power of two"),
        (vae_gan, {}, "given images of 10 x 9"),
        (restoration, {"task": "denoise"}, "have 10 x 9 pixels, and denoise and colorize"),
        (autoencoder, {"latent": 0}, "--latent is 0, expected at least 1"),
    ],
)
def test_invalid_sizes_are_refused_before_config_json_is_written(module, fields, message, tmp_path):
    for split in ("train", "test"):
        write_images(tmp_path / split, np.zeros((4, 10, 9, 3), np.uint8))
    config = dataclasses.replace(
        module.Config(), data="folder", data_dir=str(tmp_path), run_dir=str(tmp_path / "run"),
        batch_size=4, **fields,
    )  # fmt: skip
    assert message in refused_by(launch, config, module.make, name=module.__name__)
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.slow
def test_a_gan_has_no_encoder(tmp_path):
    small = {"data": "digits", "network": "mlp", "num_steps": 1, "evaluate_every": 0}
    train(mnist, tmp_path / "run", **small, sample_every=5)
    message = refused(command, "reconstruct", tmp_path / "run", num=1, out=tmp_path / "out.png")
    assert "autoencoders" in message


# ---- on the real MNIST


@pytest.mark.slow
def test_a_vae_of_mnist(tmp_path, mnist_folder):
    """A fourteenth of the default's steps (-117.0 nats); -98.4 and -93.9 nats after all of them."""
    values = run(
        vae, tmp_path / "run", data="mnist", data_dir=str(mnist_folder.parent), features=500,
        batch_size=100, num_steps=2000, decay_steps=2000, bound_samples=100,
        evaluate_samples=2000, learning_rate=1e-3,
    )  # fmt: skip
    assert values["elbo"] > -120.0
    assert values["importance_weighted_100"] > values["elbo"] + 2.0


@pytest.mark.slow
def test_denoising_mnist(tmp_path, mnist_folder):
    values = run(
        restoration, tmp_path / "run", task="denoise", data="mnist", features=16,
        data_dir=str(mnist_folder.parent), num_steps=300, decay_steps=300,
    )  # fmt: skip
    assert values["psnr"] > values["noisy/psnr"] + 6.0


@pytest.mark.slow
def test_a_digit_that_is_not_in_the_training_set(tmp_path, mnist_folder):
    values = run(
        autoencoder, tmp_path / "run", task="anomaly", anomaly=2, data="mnist", features=16,
        data_dir=str(mnist_folder.parent), num_steps=500, decay_steps=500, evaluate_samples=None,
    )  # fmt: skip
    assert values["roc_auc_latent"] > 0.85
    assert values["roc_auc_reconstruction"] > 0.85


@pytest.mark.slow
def test_colours_of_photographs(tmp_path, cifar10_images):
    """Better than the mean colour, on images that were held out."""
    for split, part in (("train", slice(0, 3600)), ("test", slice(3600, None))):
        write_images(tmp_path / "images" / split, cifar10_images[part], names=None)
    values = run(
        restoration, tmp_path / "run", task="colorize", data="folder", x_flips=True, features=16,
        data_dir=str(tmp_path / "images"), num_steps=400, decay_steps=400, batch_size=64,
        evaluate_samples=None, learning_rate=1e-3,
    )  # fmt: skip
    assert values["mse"] < 0.95 * values["mean_color/mse"]
    assert values["l1"] < values["mean_color/l1"]


def test_classes_of_a_folder_are_left_out_by_name_or_number():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    train = {"image": images, "label": np.array([0, 1, 1, 0])}
    dataset = data.Dataset("pets", "here", train, train, classes=("dog", "cat"))
    assert autoencoder.class_number("cat", dataset) == autoencoder.class_number("1", dataset) == 1
    with pytest.raises(
        DataError, match=r"pets has no class cow for --anomaly; it has 0 \(dog\), 1"
    ):
        autoencoder.class_number("cow", dataset)
    numbers = dataset._replace(classes=("1", "0"))
    assert autoencoder.class_number("1", numbers) == 0  # the name comes first
    config = autoencoder.Config(anomaly="cat")
    with pytest.raises(DataError, match="--anomaly is for --task anomaly"):
        autoencoder.make(config, dataset)
