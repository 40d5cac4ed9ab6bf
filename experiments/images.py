"""A GAN on images: any network, loss, penalty and augmentation, or the preset of a paper.

Commands:

    python -m experiments.images --data-dir DIR --size 64
    python -m experiments.images --data-dir DIR --size 64 --preset r3gan
    python -m experiments.images --preset stylegan2 --help
    python -m experiments.images --data-dir DIR --size 64 --conditional --loss hinge

A preset is a set of flags from a paper (`experiments/presets.py`); any flag overrides it. With
fewer than 20 000 images, no `--instance-noise` and no preset that says otherwise (most have
`--augment none`), the discriminator sees augmented images (`--augment`), so that it cannot memorise
them; `config.json` records this.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from jaxgan.errors import DataError
from jaxgan.experiments import presets
from jaxgan.runs import AlgorithmConfig, Experiment, SizedImageFlags, flag, main
from jaxgan.runs.config.algorithms import play
from jaxgan.runs.config.training_config import learning_rates

if TYPE_CHECKING:
    from jaxgan import Evaluation, Network
    from jaxgan.data import Dataset
    from jaxgan.latents import Latent
    from jaxgan.losses import AdversarialLoss
    from jaxgan.types import Array, Batch, ByPlayer, Examples, PRNGKey

WITHOUT_FEATURES = ("mlp", "maxout", "fastgan")  # discriminators that cannot have a head


@dataclasses.dataclass(frozen=True)
class Config(SizedImageFlags, AlgorithmConfig):
    """Train a GAN on images, such as your own."""

    PRESETS: ClassVar = presets.PRESETS
    DCGAN_LEARNING_RATE: ClassVar = 1e-3  # the default

    data: str = flag("folder", resumable=True)
    """folder (image files in --data-dir, in train/ and test/ or val/ if it has these; folders in
    them are classes), mnist, digits, or any TFDS image set."""
    preset: str | None = None
    """Defaults of the flags below from a paper: gan, dcgan, lsgan, wgan, wgan_gp, dragan, sngan,
    sagan, biggan, stylegan2, r3gan, fastgan, acgan, infogan. With --help, they are shown."""
    network: Literal[
        "dcgan",
        "infogan",
        "mlp",
        "maxout",
        "sngan",
        "sagan",
        "biggan",
        "biggan_deep",
        "stylegan2",
        "r3gan",
        "fastgan",
    ] = "dcgan"
    """Networks: of a paper (infogan: dcgan with a dense layer in both); or fully connected (mlp),
    or those of Goodfellow et al. (maxout)."""
    features: int = flag(32, at_least=1)
    """Channels of the finest layer of convolutional networks."""
    discriminator_norm: Literal["none", "batch"] = "none"
    """Normalisation of the discriminator of dcgan and infogan, and of its head: batch as in the
    papers; none with gradient penalties, since batch statistics make the logit of an example depend
    on the others."""
    latent: int = flag(64, at_least=1)
    """Latent dimension; the prior is standard normal, and uniform noise with InfoGAN's codes."""
    conditional: bool = False
    """Condition both networks on the label; the columns of the grids are then classes."""
    acgan: float = flag(0.0, at_least=0.0)
    """Weight of AC-GAN's classifier of the labels in both players' losses, which needs
    --conditional, and goes with all networks but mlp, maxout and fastgan; 0 for none."""
    infogan: float = flag(0.0, at_least=0.0)
    """Weight of InfoGAN's prediction of the codes in both players' losses, for the same networks; 0
    for none."""
    categorical: int = flag(10, at_least=2)
    """Values of InfoGAN's categorical code."""
    continuous: int = flag(2, at_least=0)
    """Number of InfoGAN's continuous codes."""
    pack: int = flag(1, at_least=1)
    """Images that the discriminator sees at once (PacGAN)."""
    loss: Literal[
        "minimax",
        "non_saturating",
        "wasserstein",
        "hinge",
        "least_squares",
        "relativistic_paired",
        "relativistic_average",
    ] = "non_saturating"
    """Adversarial loss of the players."""
    label_smoothing: float = flag(0.0, at_least=0.0, below=0.5)
    """One-sided label smoothing: the discriminator's target for real images is 1 minus this."""
    r1: float = flag(1.0, at_least=0.0)
    """Weight gamma of the R1 gradient penalty, at real images; 0 for none. Only the loss depends on
    it: the DCGAN of the paper is --r1 0 --discriminator-norm batch."""
    r2: float = flag(0.0, at_least=0.0)
    """Weight gamma of the R2 gradient penalty, at generated images; 0 for none."""
    gradient_penalty: float = flag(0.0, at_least=0.0)
    """Weight of the WGAN-GP penalty, between real and generated images; 10 in the paper."""
    dragan: float = flag(0.0, at_least=0.0)
    """Weight of the DRAGAN penalty, near real images; 10 in the paper."""
    penalty_every: int = flag(16, at_least=1)
    """Steps between gradient penalties, each weighted by that number (lazy regularisation)."""
    lecam: float = flag(0.0, at_least=0.0)
    """Weight of LeCam regularisation; 0 for none. 0.3 in the authors' code for 10 000 images, whose
    term is one-sided."""
    consistency: float = flag(0.0, at_least=0.0)
    """Weight of balanced consistency (bCR) under shifts by a few pixels; 10 in the paper."""
    latent_consistency: float = flag(0.0, at_least=0.0)
    """Weight of consistency in the latents (zCR) of the discriminator; 5 in the paper."""
    latent_diversity: float = flag(0.0, at_least=0.0)
    """Weight of diversity in the latents (zCR) of the generator; 0.5 in the paper."""
    path_length: float = flag(0.0, at_least=0.0)
    """Weight of the generator's path length penalty, every fourth step; 2 in the paper. It is that
    in the latents, and `stylegan2` has no style mixing with it."""
    mode_seeking: float = flag(0.0, at_least=0.0)
    """Weight of the generator's mode seeking term; 1 in the paper."""
    orthogonal: float = flag(0.0, at_least=0.0)
    """Weight of the generator's orthogonal regularisation; 1e-4 in the paper."""
    augment: Literal["auto", "none", "diff_augment", "ada"] = "auto"
    """Augmentation of all images that the discriminator receives; auto is diff_augment if there are
    fewer than 20 000 training images, and none otherwise. The probability of ada follows the signs
    of the logits; of losses whose logits have no threshold at 0 (wasserstein, least_squares,
    relativistic) it rises to 0.3 in --burn-in-steps or --decay-steps, with R3GAN's
    transformations."""
    instance_noise: float = flag(0.0, at_least=0.0)
    """Standard deviation of normal noise on all images that the discriminator receives, which falls
    linearly to 0 in --decay-steps; with it, --augment auto is none."""
    discriminator_turns: int = flag(1, at_least=1)
    """Discriminator turns per step, the k of Goodfellow et al. (2014)."""
    discriminator_lr: float | None = flag(None, at_least=0.0)
    """Learning rate of the discriminator; default: 1e-3 for the DCGAN, and 2e-4 for the others."""
    generator_lr: float | None = flag(None, at_least=0.0)
    """Learning rate of the generator; default: 1e-3 for the DCGAN, and 2e-4 for the others."""
    b1: float = flag(0.5, at_least=0.0, below=1.0)
    """Decay rate b1 of Adam."""
    clip_weights: float = flag(0.0, at_least=0.0)
    """Largest absolute weight of the discriminator, 0.01 in WGAN; 0 for no clipping."""
    decay_steps: int = flag(10_000, at_least=1)
    """Steps until the learning rates are 0, with --lr-decay."""
    burn_in_steps: int = flag(0, at_least=0)
    """Steps of R3GAN's schedules, along cosines: the gammas fall to a tenth, learning rates to a
    quarter, and b2 goes to 0.99; 0 for constants."""
    ema: float = flag(0.998, at_least=0.0)
    """Decay of the moving average of the generator for sampling, after a warm-up; 0 for none."""
    evaluate_features: str = flag("auto", resumable=True)
    """Features of the metrics: digits, random, pixels, or the path of Inception's weight file; auto
    for those that belong to the data set."""


def make(config: Config, dataset: Dataset) -> Experiment:
    """Networks, game, training algorithm and data."""
    import numpy as np

    import jaxgan
    from jaxgan import data, schedules
    from jaxgan.experiments import grids, image_networks, image_optimizers, image_terms

    check(config, dataset)
    image_optimizers.check(config)
    prior, augmentation = make_prior(config), image_terms.chosen_augmentation(config, dataset)
    generator, discriminator = image_networks.make_networks(config, dataset)
    discriminator_terms, generator_terms = image_terms.make_terms(config, prior)
    game = jaxgan.gan(
        generator,
        discriminator,
        latent=prior,
        loss=make_loss(config),
        penalty=discriminator_terms,
        generator_penalty=generator_terms,
        augment=image_terms.make_augment(config, augmentation),
        conditions=("label",) if config.conditional else (),
    )
    rates = image_optimizers.learning_rates_of(config)
    algorithm = play(
        config,
        game,
        image_optimizers.make_optimizers(config, rates),
        step_size=learning_rates(config, rates["generator"], decay_steps=config.decay_steps),
        turns=[*config.discriminator_turns * ["discriminator"], "generator"],
        ema={"generator": schedules.ema_warmup(config.ema)} if config.ema else None,
    )
    return Experiment(
        game=game,
        algorithm=algorithm,
        minibatches=data.minibatches(
            dataset.train, batch_size=config.batch_size, seed=config.seed, x_flips=config.x_flips
        ),
        sample_batch=lambda n: {
            "image": np.zeros((n, *dataset.image_shape), np.float32),
            "label": np.arange(n, dtype=np.int32) % (dataset.num_classes or 1),
        },
        data=dataset.record | {"augment": augmentation},
        evaluation=make_evaluation(config, discriminator, dataset),
        draw=grids.draw_codes(game, prior) if config.infogan else None,
    )


def check(config: Config, dataset: Dataset) -> None:
    """Raises a `DataError` if flags do not go together, or with the data."""
    if config.conditional and dataset.num_classes is None:
        raise DataError(f"{dataset.name} has no labels; leave out --conditional")
    if config.acgan and not config.conditional:
        raise DataError("--acgan classifies labels, expected --conditional as well")
    if config.acgan and config.infogan:
        raise DataError("--acgan and --infogan both need the head of D, expected one of them")
    if config.infogan and config.conditional:
        raise DataError("--infogan finds categories without labels; leave out --conditional")
    if (config.acgan or config.infogan) and config.network in WITHOUT_FEATURES:
        name = "acgan" if config.acgan else "infogan"
        raise DataError(
            f"--{name} needs features of the discriminator, which --network {config.network} has "
            "not; choose dcgan, sngan, biggan, stylegan2 or r3gan"
        )
    if config.label_smoothing and config.loss not in ("minimax", "non_saturating"):
        raise DataError(
            f"--label-smoothing is for the logistic losses, minimax and non_saturating, and --loss "
            f"is {config.loss}; set it to 0"
        )
    if config.pack > 1 and (config.conditional or config.infogan):
        raise DataError("--pack is for GANs without conditions or codes; set it to 1")


def make_prior(config: Config) -> Latent:
    """Standard normal latents, or InfoGAN's codes with uniform noise."""
    from jaxgan import latents

    if not config.infogan:
        return latents.normal(config.latent)
    return latents.Codes(
        config.latent, categorical=(config.categorical,), continuous=config.continuous
    )


def make_loss(config: Config) -> AdversarialLoss:
    """The adversarial loss."""
    from jaxgan import losses

    smoothing = {"real_label": 1.0 - config.label_smoothing} if config.label_smoothing else {}
    return getattr(losses, config.loss)(**smoothing)


def make_evaluation(config: Config, discriminator: Network, dataset: Dataset) -> Evaluation:
    """The scores of generated images, and that of InfoGAN's codes."""
    from jaxgan import evaluation, features

    judge = features.by_name(config.evaluate_features, data=dataset.name)
    of_images = evaluation.of_images(dataset.test, dataset.train, features=judge)
    if not config.infogan or not of_images.metrics:  # of which few images have none
        return of_images
    return of_images._replace(
        parts={"codes": evaluation_of_codes(config, discriminator, dataset.test)}
    )


def evaluation_of_codes(config: Config, discriminator: Network, test: Examples) -> Evaluation:
    """How certainly and evenly InfoGAN's Q reads a category from held-out images, without labels.

    Their Inception score by Q, `exp(H(c) - E H(c | x))`, at most the number of categories. Among
    runs of several seeds the largest belongs to the categories that are most clearly apart.
    """
    import jaxgan
    from jaxgan import metrics

    def logits(params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey) -> Array:
        own, state = params["discriminator"], model_state["discriminator"]
        state = state.get("network", state)  # which may also have those of penalties
        (_, outputs), _ = discriminator.apply(own, state, batch["image"], train=False)
        return outputs[:, : config.categorical]

    q = metrics.Features("q", lambda rows: {"logits": rows})
    score = metrics.classifier_score(q, splits=1)._replace(paired=True)  # each image once
    return jaxgan.Evaluation({"inception_score": score}, test, sample=logits)


if __name__ == "__main__":
    main(Config, make)
