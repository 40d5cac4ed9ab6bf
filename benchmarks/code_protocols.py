"""The protocols of autoencoders, as `benchmarks/published.py` plays them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.protocols import Row, trained
from experiments import autoencoder, restoration, vae, vae_gan
from jaxgan import Evaluation, data, evaluator, metrics
from jaxgan.metrics import Records


def likelihood() -> list[Row]:
    """Bounds of the log-likelihood of MNIST's test images, each pixel drawn as on or off once and
    for all, in nats; in training drawn anew in every round, of the first 50 000 images. One hidden
    layer of 500 tanh units on either side and 20 latent dimensions, as in Kingma and Welling
    (2014), Adam, 30 000 rounds of 100 (`experiments/vae.py`). ELBO: divergence in closed form, 500
    codes for an image; L_500: the importance-weighted bound of the same codes. Published: Burda,
    Grosse and Salakhutdinov (2016), table 1, one stochastic layer, L_5000, larger networks (two
    layers of 200 on either side, 50 dimensions) and a longer training.

    The Parzen log-likelihood is that of the GAN below, under the same protocol (σ from the first
    1000 of the training images that trained nothing, 10 000 samples, grey test images, trained on
    grey images drawn as on or off); samples are means of p(x|z). See the caveat there: it rewards a
    blur of the right width, which the average of the GAN's parameters has.
    """
    settings = {
        "VAE": ({}, "−86.76"),
        "importance-weighted, k = 5": (
            {"bound": "importance_weighted", "num_samples": 5},
            "−85.54",
        ),
    }
    rows = []
    for name, (flags, published) in settings.items():
        config = vae.Config(data="mnist", **flags)
        experiment = vae.make(config)
        dataset = data.load("mnist")
        train = {"image": dataset.train["image"][:50_000]}
        state = trained(
            experiment._replace(minibatches=data.minibatches(train, batch_size=config.batch_size)),
            config,
        )
        validation = data.as_float(dataset.train["image"][50_000:51_000])
        samples = Evaluation({"parzen": metrics.parzen_log_likelihood(validation)}, dataset.test)
        what = experiment.evaluation._replace(parts={"samples": samples})
        found = evaluator(experiment.game, what, num_samples=10_000)(state)
        for label, quoted, record in (
            ("ELBO", "none", found["elbo"]),
            ("L_500", f"{published} (L_5000)", found["importance_weighted_500"]),
            ("Parzen", "none; the GAN below 246.5 ± 2.0", found["samples/parzen_log_likelihood"]),
        ):
            value = f"{record.value:.2f} ± {record.standard_error:.2f}".replace("-", "−")
            rows.append(Row(f"{name}: {label}", quoted, value, "0", [dataclasses.asdict(record)]))
    return rows


def denoising() -> list[Row]:
    """Normal noise on MNIST's test images, removed by a U-Net (`experiments/restoration.py
    --task denoise`, 3000 rounds of 64); peak signal-to-noise ratio in dB, mean over 10 000 images,
    on the range [−1, 1]. A standard deviation of 1 here is 0.5 where images are in [0, 1].
    """
    rows = []
    for noise in (0.5, 1.0):
        found = _records(restoration, task="denoise", noise=noise)
        before, after = found["noisy/psnr"], found["psnr"]
        value = f"{after.value:.2f} ({before.value:.2f} before; {after.value - before.value:+.2f})"
        kept = [dataclasses.asdict(record) for record in (before, after)]
        rows.append(Row(f"σ = {noise}", "none", value, "0", kept))
    return rows


def anomalies() -> list[Row]:
    """Nine of MNIST's digits are normal, and one was never seen: area under the ROC curve of two
    scores over the 10 000 test images, ± DeLong's standard error (`experiments/autoencoder.py
    --task anomaly`, convolutions, 16 latent dimensions, 3000 rounds of 64). Error: mean squared
    error of the reconstruction. Codes: mean distance to the 5 nearest codes of 5000 training
    images. Nothing was chosen by these numbers but which distance of codes is meant: that from
    their common mean (Mahalanobis) had 0.57 in the mean, since nine digits have no common middle.
    """
    names = {"roc_auc_reconstruction": "error", "roc_auc_latent": "codes"}
    areas: dict[str, list[float]] = {name: [] for name in names}
    rows = []
    for digit in range(10):
        found = _records(autoencoder, task="anomaly", anomaly=digit)
        records = {name: found[name] for name in names}
        texts = []
        for name, record in records.items():
            areas[name].append(record.value)
            texts.append(f"{names[name]} {record.value:.3f} ± {record.standard_error:.3f}")
        kept = [dataclasses.asdict(record) for record in records.values()]
        rows.append(Row(f"digit {digit}", "none", ", ".join(texts), "0", kept))
    means = ", ".join(f"{names[name]} {np.mean(values):.3f}" for name, values in areas.items())
    return [*rows, Row("mean of ten", "none", means, "0")]


def sharper() -> list[Row]:
    """A VAE and a VAE-GAN over the same encoder and decoder, after the same 3000 rounds of 64 on
    MNIST (`experiments/vae_gan.py`, Adam 1e-3 for all). Of reconstructions of the 10 000 test
    images: sharpness (variance of the Laplacian over that of the images; 1 is right), squared
    error, and `fid_mnist_classifier`, the distance of what the digit classifier sees; of 10 000
    samples the last too. Larsen et al. (2016) show pictures and no such numbers. A VAE minimises
    the squared error and so has less of it; on digits that makes it the closer one in features too,
    for all its blur. Images are drawn by averages of parameters and batch statistics.
    """
    rows = []
    for game in ("vae", "vae_gan"):
        found = _records(vae_gan, game=game, num_steps=3000, learning_rate=1e-3)
        columns = {
            "sharpness": found["reconstruction/sharpness"],
            "squared error": found["reconstruction/mse"],
            "reconstructions' distance": found["reconstruction/fid_mnist_classifier"],
            "samples' distance": found["fid_mnist_classifier"],
        }
        value = ", ".join(f"{name} {record.value:.3g}" for name, record in columns.items())
        kept = [dataclasses.asdict(record) for record in columns.values()]
        rows.append(Row(game, "none", value, "0", kept))
    return rows


def _records(module: Any, **flags: Any) -> Records:
    """What an experiment's evaluation finds on MNIST after the last round."""
    config = module.Config(data="mnist", **flags)
    experiment = module.make(config)
    state = trained(experiment, config)
    return evaluator(experiment.game, experiment.evaluation, num_samples=10_000)(state)


PROTOCOLS: dict[str, Callable[[], list[Row]]] = {
    "likelihood": likelihood,
    "denoising": denoising,
    "anomalies": anomalies,
    "sharper": sharper,
}
