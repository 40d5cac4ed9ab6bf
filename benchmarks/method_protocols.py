"""What methods are for, measured on MNIST: conditions, codes, few images, normalised layers.

Run by `benchmarks/published.py`; the judges are those of `benchmarks/judges.py`.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from scipy.special import xlogy

import jaxgan
from benchmarks import digits
from benchmarks.judges import in_parts, judges, monotonicity, purity, read
from benchmarks.protocols import Row, trained
from experiments import image_networks, images, mnist
from experiments import stacked_mnist as stacked
from jaxgan import data, latents, networks
from jaxgan.metrics import Features, classifier_score
from jaxgan.runs import with_preset
from jaxgan.training import TrainState, with_ema

SEEDS = range(3)
NUM_SAMPLES = 5000
FEW = 1000
ACCURACY = "accuracy of the code on test images"
BY_Q = "Inception score by Q of training images"


def conditional() -> list[Row]:
    """Digits of the asked-for class: `python -m experiments.mnist --data mnist --conditional
    --features 16`, 10 000 samples with labels in turn, and the share that a classifier reads as
    their label; three seeds. In the last column the share of the 10 000 test images.
    """
    dataset, labels = data.load("mnist"), np.arange(10_000) % 10
    shares: dict[str, list[float]] = {name: [] for name in judges()}
    for seed in SEEDS:
        config = mnist.Config(data="mnist", conditional=True, features=16, seed=seed)
        experiment = mnist.make(config, dataset)
        decode = decoder(experiment.game, trained(experiment, config))
        samples = in_parts(decode, prior_rows(config, len(labels)), labels.astype(np.int32))
        for name, judge in judges().items():
            shares[name].append(float(np.mean(read(judge, samples) == labels)))
        print("conditional", seed, shares, flush=True)
    real = data.as_float(dataset.test["image"])
    return [
        Row(
            f"share of samples that {name} reads as their label",
            "none",
            digits.median_of(values),
            f"0 to 2; {np.mean(read(judges()[name], real) == dataset.test['label']):.3f} of images",
        )
        for name, values in shares.items()
    ]


def infogan() -> list[Row]:
    """InfoGAN without labels (`python -m experiments.mnist --data mnist --preset infogan --features
    16 --num-steps 10000`; the paper has 64 channels, and 5000 steps of 128), with the paper's
    weight of the codes, 1, three seeds, and with `--infogan 0.2`, nine. Purity: share of 10 000
    samples whose digit, as a classifier reads it, is that of their categorical code, after the best
    matching of codes and digits. Inception score by Q: `exp(H(c) - E H(c | x))` of Q's categories
    of 20 000 training images, 10 at most, for which no label is needed; with `--infogan 0.2` it
    ranks the nine seeds almost as their purity does, so that of several runs the one with the
    largest score can be chosen without labels. Monotonicity: largest rank correlation of a
    continuous code at 21 values in [-1, 1] with the slant (the covariance of rows and columns over
    the variance of rows) or the width (the standard deviation of columns) of the image, averaged
    over 500 samples. Accuracy of the code: share of the 10 000 test images whose digit is that of
    the category that Q reads from them, after the best matching; Chen et al., 2016,
    https://arxiv.org/abs/1606.03657, section 7.2, report an error of 5 %. Where purity is 0.7 to
    0.8, some codes share a digit and others have two; which seeds these are changes with the
    weight, and with the width as well: with 32 channels and weight 1, seeds 0 and 2 have 0.711 and
    0.969 by LeNet-5. Measured apart, with weight 0.2 and translations of what D sees,
    `augment.diff_augment(("translation",))`: 0.89, 0.886, 0.856, 0.978, 0.767, 0.782, 0.952, 0.751
    and 0.988 for the nine seeds, six of which have 0.85, where five have it without; other seeds
    fail.
    """
    dataset = data.load("mnist")
    found: dict[str, list[float]] = {}
    for weight, num_seeds in ((1.0, 3), (0.2, 9)):
        for seed in range(num_seeds):
            for what, value in infogan_scores(dataset, weight, seed).items():
                found.setdefault(f"weight {weight:g}: {what}", []).append(value)
            print("infogan", weight, seed, found, flush=True)
    rows = [
        Row(
            what,
            "0.95" if ACCURACY in what else "none",
            digits.median_of(values),
            f"0 to {len(values) - 1}",
        )
        for what, values in found.items()
    ]
    purities, scores = (found[f"weight 0.2: {what}"] for what in ("purity by LeNet-5", BY_Q))
    groups = [range(first, first + 3) for first in (0, 3, 6)]
    chosen = [max(group, key=lambda seed: scores[seed]) for group in groups]
    best = ", ".join(f"{purities[seed]:.3g}" for seed in chosen)
    what = (
        "weight 0.2, the best by Q of three seeds, of 0 to 2, 3 to 5 and 6 to 8: purity by LeNet-5"
    )
    return [*rows, Row(what, "none", best, ", ".join(map(str, chosen)))]


def infogan_scores(dataset: data.Dataset, weight: float, seed: int) -> dict[str, float]:
    """What the codes of one trained InfoGAN say about the digits, without labels."""
    own = {"data": "mnist", "features": 16, "num_steps": 10_000, "infogan": weight, "seed": seed}
    config = with_preset(mnist.Config, "infogan", **own)
    experiment, prior = mnist.make(config, dataset), images.make_prior(config)
    assert isinstance(prior, latents.Codes)
    state = trained(experiment, config)
    decode = decoder(experiment.game, state)
    z = prior(jax.random.key(1), 10_000)
    codes = np.argmax(prior.split(z).categories[0], axis=1)
    samples = in_parts(decode, z)
    purities = {
        f"purity by {name}": purity(codes, read(judge, samples)) for name, judge in judges().items()
    }
    walks = {
        f"monotonicity of {name}": value for name, value in monotonicity(decode, prior).items()
    }
    discriminator = discriminator_of(config, dataset, state)
    test, train = (
        categories_by_q(discriminator, images)
        for images in (dataset.test["image"], dataset.train["image"][:20_000])
    )
    by_q = classifier_score(Features("q", lambda x: {"logits": x}), splits=1)
    (score,) = by_q.compute(by_q.update(by_q.init(), generated=train)).values()
    accuracy = purity(np.argmax(test, axis=1), dataset.test["label"])
    return purities | walks | {BY_Q: score.value, ACCURACY: accuracy}


def stacked_mnist() -> list[Row]:
    """Modes of Stacked MNIST, images of three digits (`python -m experiments.stacked_mnist --data
    mnist --num-steps 20000`: a DCGAN of 32 channels with R1 at every 16th step, in batches of 64),
    by 26 000 samples, two seeds. A mode is one of the 1000 numbers, as a classifier reads the three
    channels; the reverse KL is that of their shares to the uniform distribution, whose expectation
    is 0.019 for a perfect generator. Published with this number of samples, by other classifiers:
    PacGAN (Lin et al., 2018), table 2, and R3GAN (Huang et al., 2024), table 1, whose other results
    are StyleGAN2's 940 modes and 0.42, and, in an ablation of its loss, 1000 and 0.078. After 4000
    steps there are 955 modes, and after 8000 all. With a cosine decay of the learning rates over
    the 20 000 steps the reverse KL is 0.113 and 0.135.
    """
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in judges()}
    for seed in SEEDS[:2]:
        config = stacked.Config(data="mnist", num_steps=20_000, seed=seed)
        experiment = stacked.make(config, config.load_data())
        decode = decoder(experiment.game, trained(experiment, config))
        channels = np.moveaxis(in_parts(decode, prior_rows(config, 26_000)), -1, 0)[..., None]
        for name, judge in judges().items():
            hundreds, tens, ones = (read(judge, channel) for channel in channels)
            numbers = 100 * hundreds + 10 * tens + ones
            shares = np.bincount(numbers, minlength=1000) / len(numbers)
            kl = float(np.sum(xlogy(shares, 1000 * shares)))
            found[name].append((np.count_nonzero(shares), kl))
        print("stacked_mnist", seed, found, flush=True)
    modes, kls = "78.9, PacDCGAN2 1000, R3GAN 1000", "4.50, PacDCGAN2 .06, R3GAN .029"
    rows = []
    for name, values in found.items():
        counts, divergences = zip(*values, strict=True)
        text = digits.median_of(divergences)
        rows += [
            Row(f"modes by {name}", f"DCGAN {modes}", ", ".join(map(str, counts)), "0, 1"),
            Row(f"reverse KL by {name}", f"DCGAN {kls}", text, "0, 1; floor 0.019"),
        ]
    return rows


def few_digits() -> list[Row]:
    """Digits from 1000 training images of MNIST, with what keeps the discriminator from learning
    them by heart: `experiments.mnist` with 16 channels, no gradient penalty, 3000 steps of 64
    images (192 epochs), seeds 0 to 2. Results: the Fréchet distance between 5000 samples and the
    test images over the classifier of the package, and over LeNet-5. Last column: by how much the
    logits of D are higher for the training images than for the test images, medians. Consistency,
    LeCam and DiffAugment close this gap, and after these few steps none of them has better samples:
    they learn more slowly, and overfitting costs little yet (ADA's authors train on 25 million
    images, not on 0.2). Without any of them, seed 0 has 53.2 over LeNet-5 after 3000 steps and 56.8
    after 6000.
    """
    full = data.load("mnist")
    dataset = full._replace(train={name: rows[:FEW] for name, rows in full.train.items()})
    settings: dict[str, dict[str, Any]] = {
        "nothing": {},
        "bCR, 10": {"consistency": 10.0},
        "LeCam, 0.3": {"lecam": 0.3},
        "ADA": {"augment": "ada"},
        "DiffAugment": {"augment": "diff_augment"},
    }
    rows = []
    for name, flags in settings.items():
        scores: dict[str, list[float]] = {judge: [] for judge in judges()}
        gaps: list[float] = []
        for seed in SEEDS:
            own = {"augment": "none", "r1": 0.0, "num_steps": 3000, "features": 16} | flags
            config = mnist.Config(data="mnist", seed=seed, **own)
            state = trained(mnist.make(config, dataset), config)
            decode = decoder(mnist.make(config, dataset).game, state)
            samples = in_parts(decode, prior_rows(config, NUM_SAMPLES))
            for judge, judged_by in judges().items():
                scores[judge].append(digits.distance(samples, full, judged_by))
            gaps.append(overfitting(config, dataset, state))
            print(name, seed, scores, gaps, flush=True)
        rows.append(
            Row(
                name,
                digits.median_of(scores["mnist_classifier"]),
                digits.median_of(scores["LeNet-5"]),
                f"{np.median(gaps):.2g}",
            )
        )
    return rows


def spectral_normalization() -> list[Row]:
    """A learning rate of D that is far too high, 3e-2, with and without spectral normalisation of
    its layers and without any penalty: DCGAN's generator (16 channels, 1e-3) against three
    convolutions with leaky ReLUs, Adam with b1 = 0.5, hinge loss, 1000 steps of 64 digits, three
    seeds. Results: the Fréchet distance between 5000 samples and the test images over the
    classifier of the package, and over LeNet-5; medians, and all values.
    """
    dataset = data.load("mnist")
    rows = []
    for name, normalized in (("plain", False), ("spectral normalisation", True)):
        scores: dict[str, list[float]] = {judge: [] for judge in judges()}
        for seed in SEEDS:
            game = jaxgan.gan(
                jaxgan.from_linen(networks.DCGANGenerator(dataset.image_shape, 16)),
                jaxgan.from_linen(Convolutions(normalized)),
                latent=latents.normal(64),
                loss=jaxgan.losses.hinge(),
            )
            adam = lambda rate: optax.adam(rate, b1=0.5)
            state = jaxgan.fit(
                jaxgan.jit(
                    jaxgan.alternating(game, {"discriminator": adam(3e-2), "generator": adam(1e-3)})
                ),
                data.minibatches(dataset.train, batch_size=64, seed=seed),
                key=jax.random.key(seed),
                num_steps=1000,
            )
            z = latents.normal(64)(jax.random.key(1), NUM_SAMPLES)
            samples = in_parts(decoder(game, state), z)
            for judge, judged_by in judges().items():
                scores[judge].append(digits.distance(samples, dataset, judged_by))
            print(name, seed, scores, flush=True)
        by_classifier = digits.median_of(scores["mnist_classifier"])
        rows.append(Row(name, by_classifier, digits.median_of(scores["LeNet-5"]), "0 to 2"))
    return rows


class Convolutions(nn.Module):
    """Discriminator without normalisation of activations."""

    spectral_norm: bool

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        for width, stride in ((16, 2), (32, 2), (64, 1)):
            layer = networks.Conv(width, (3, 3), stride=stride)
            x = nn.leaky_relu(self.normalized(layer, x, train), 0.2)
        return self.normalized(nn.Dense(1), x.reshape(len(x), -1), train)[:, 0]

    def normalized(self, layer: nn.Module, x: jax.Array, train: bool) -> jax.Array:
        """The layer's output, with its kernel divided by its norm or as it is."""
        return networks.SpectralNorm(layer)(x, train=train) if self.spectral_norm else layer(x)


# ---- states


def decoder(game: jaxgan.Game, state: TrainState) -> Callable[..., jax.Array]:
    """Images of latents and conditions, by the averaged parameters."""
    assert game.decode is not None
    return jax.jit(functools.partial(game.decode, *with_ema(state)))


def prior_rows(config: images.Config, count: int) -> jax.Array:
    """Latents of an experiment."""
    return images.make_prior(config)(jax.random.key(1), count)


def discriminator_of(
    config: images.Config, dataset: data.Dataset, state: TrainState
) -> Callable[[np.ndarray], Any]:
    """Output of the discriminator's network, without averages, as a function of images."""
    _, discriminator = image_networks.make_networks(config, dataset)
    params, own = state.params["discriminator"], state.model_state["discriminator"]
    network_state = own.get("network", own)
    return jax.jit(lambda x: discriminator.apply(params, network_state, x, train=False)[0])


def categories_by_q(discriminator: Callable[..., Any], images: np.ndarray) -> np.ndarray:
    """The logits of the categories that InfoGAN's Q reads from images in bytes, `[n, 10]`."""
    return in_parts(lambda rows: discriminator(rows)[1][:, :10], data.as_float(images))


def overfitting(config: images.Config, dataset: data.Dataset, state: TrainState) -> float:
    """Mean logit of the training images, minus that of as many test images."""
    apply = discriminator_of(config, dataset, state)
    logits = lambda split: in_parts(apply, data.as_float(split["image"][:FEW]))
    return float(np.mean(logits(dataset.train)) - np.mean(logits(dataset.test)))


HEADS = {
    "few_digits": ("what", "mnist_classifier", "LeNet-5", "gap of D"),
    "spectral_normalization": ("what", "mnist_classifier", "LeNet-5", "seeds"),
}
PROTOCOLS = {
    "conditional": conditional,
    "infogan": infogan,
    "stacked_mnist": stacked_mnist,
    "few_digits": few_digits,
    "spectral_normalization": spectral_normalization,
}
