"""Protocols of autoencoders and related games, run by `benchmarks/published.py`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.protocols import Row, trained
from experiments import autoencoder, restoration, vae, vae_gan
from jaxgan import Evaluation, data, evaluator, metrics
from jaxgan.metrics import Records


def likelihood() -> list[Row]:
    """Bounds of the log-likelihood of binarised MNIST test images, in nats. Test images are
    binarised stochastically once, the first 50 000 training images at every step. Encoder and
    decoder have one hidden layer of 500 tanh units, and the latent space 20 dimensions, as in
    Kingma and Welling (2014); Adam, 30 000 steps of 100 images (`experiments/vae.py`). ELBO: KL
    divergence in closed form, 500 latent samples per image; L_500: the importance-weighted bound of
    the same samples. Published: Burda, Grosse and Salakhutdinov (2016), table 1, one stochastic
    layer, L_5000, larger networks (two layers of 200 in encoder and decoder, 50 latent dimensions)
    and longer training.

    The Parzen-window log-likelihood has the protocol of *parzen* (σ selected on the first 1000 of
    the held-out training images, 10 000 samples, greyscale test images; trained on binarised
    images); samples are means of p(x|z). The caveat there applies: the estimate rewards a blur of
    the right width, which the moving average of the GAN's parameters has.
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
        experiment = vae.make(config, config.load_data())
        dataset = data.load("mnist")
        train = {"image": dataset.train["image"][:50_000]}
        state = trained(
            experiment._replace(minibatches=data.minibatches(train, batch_size=config.batch_size)),
            config,
        )
        validation = data.as_float(dataset.train["image"][50_000:51_000])
        samples = Evaluation({"parzen": metrics.parzen_log_likelihood(validation)}, dataset.test)
        evaluation = experiment.evaluation._replace(parts={"samples": samples})
        records = evaluator(experiment.game, evaluation, num_samples=10_000)(state)
        for label, quoted, record in (
            ("ELBO", "none", records["elbo"]),
            ("L_500", f"{published} (L_5000)", records["importance_weighted_500"]),
            (
                "Parzen",
                "none; GAN (*parzen*) 246.5 ± 2.0",
                records["samples/parzen_log_likelihood"],
            ),
        ):
            value = f"{record.value:.2f} ± {record.standard_error:.2f}".replace("-", "−")
            rows.append(Row(f"{name}: {label}", quoted, value, "0", [dataclasses.asdict(record)]))
    return rows


def denoising() -> list[Row]:
    """Denoising of MNIST test images with additive Gaussian noise, by a U-Net
    (`experiments/restoration.py --task denoise`, 3000 steps of 64 images): peak signal-to-noise
    ratio in dB, mean over 10 000 images in [−1, 1]. A standard deviation of 1 corresponds to 0.5
    for images in [0, 1].
    """
    rows = []
    for noise in (0.5, 1.0):
        records = _records(restoration, task="denoise", noise=noise)
        before, after = records["noisy/psnr"], records["psnr"]
        value = f"{after.value:.2f} ({before.value:.2f} before; {after.value - before.value:+.2f})"
        listed = [dataclasses.asdict(record) for record in (before, after)]
        rows.append(Row(f"σ = {noise}", "none", value, "0", listed))
    return rows


def anomalies() -> list[Row]:
    """Anomaly detection on MNIST, trained on nine digits: area under the ROC curve of two scores
    that detect the tenth among the 10 000 test images, ± DeLong's standard error
    (`experiments/autoencoder.py --task anomaly`, convolutions, 16 latent dimensions, 3000 steps of
    64 images). Error: mean squared error of the reconstruction. Codes: mean distance to the 5
    nearest codes of 5000 training images. These results selected the distance between codes and
    nothing else: the Mahalanobis distance from the common mean had 0.57 on average, since the codes
    of nine digits form separate clusters.
    """
    names = {"roc_auc_reconstruction": "error", "roc_auc_latent": "codes"}
    areas: dict[str, list[float]] = {name: [] for name in names}
    rows = []
    for digit in range(10):
        evaluated = _records(autoencoder, task="anomaly", anomaly=digit)
        records = {name: evaluated[name] for name in names}
        texts = []
        for name, record in records.items():
            areas[name].append(record.value)
            texts.append(f"{names[name]} {record.value:.3f} ± {record.standard_error:.3f}")
        listed = [dataclasses.asdict(record) for record in records.values()]
        rows.append(Row(f"digit {digit}", "none", ", ".join(texts), "0", listed))
    means = ", ".join(f"{names[name]} {np.mean(values):.3f}" for name, values in areas.items())
    return [*rows, Row("mean of ten", "none", means, "0")]


def sharper() -> list[Row]:
    """Sharpness of a VAE and of a VAE-GAN with the same encoder and decoder, after 3000 steps of 64
    images of MNIST (`experiments/vae_gan.py`, Adam with 1e-3 for all players). Metrics of the
    reconstructions of the 10 000 test images: sharpness (variance of the Laplacian relative to that
    of the images; 1 for real images), squared error, and `fid_mnist_classifier`, the Fréchet
    distance over the features of the digit classifier; the last also for 10 000 samples. Larsen et
    al. (2016) show images and no such metrics. A VAE minimises the squared error and has less of
    it; on digits, its reconstructions are also closer over the features, although they are blurred.
    Evaluated with the moving averages of parameters and batch statistics.
    """
    rows = []
    for game in ("vae", "vae_gan"):
        records = _records(vae_gan, game=game, num_steps=3000, learning_rate=1e-3)
        columns = {
            "sharpness": records["reconstruction/sharpness"],
            "squared error": records["reconstruction/mse"],
            "reconstructions' distance": records["reconstruction/fid_mnist_classifier"],
            "samples' distance": records["fid_mnist_classifier"],
        }
        value = ", ".join(f"{name} {record.value:.3g}" for name, record in columns.items())
        listed = [dataclasses.asdict(record) for record in columns.values()]
        rows.append(Row(game, "none", value, "0", listed))
    return rows


def _records(module: Any, **flags: Any) -> Records:
    """Records of an experiment's evaluation on MNIST after the last step."""
    config = module.Config(data="mnist", **flags)
    experiment = module.make(config, config.load_data())
    state = trained(experiment, config)
    return evaluator(experiment.game, experiment.evaluation, num_samples=10_000)(state)


PROTOCOLS: dict[str, Callable[[], list[Row]]] = {
    "likelihood": likelihood,
    "denoising": denoising,
    "anomalies": anomalies,
    "sharper": sharper,
}
