"""A GAN on handwritten digits or other small images, with a choice of losses and penalties.

Commands:

    python -m experiments.mnist
    python -m experiments.mnist --r1 0 --discriminator-norm batch
    python -m experiments.mnist --loss minimax --r1 0 --network maxout
    python -m experiments.mnist --loss relativistic_paired --r1 0.1 --r2 0.1
    python -m experiments.mnist --batch-size 16 --accumulate 4 --dtype bfloat16 --remat
    python -m experiments.mnist --loss wasserstein --r1 0 --gradient-penalty 10 --penalty-every 1 \
        --discriminator-turns 5

Hardware: two CPU cores. The first command takes three to five minutes (60 steps per second with
both cores to itself). Results: strokes after 200 steps, broken digits after 1000, mostly legible
digits after 2000, and a few broken ones until the end. The mean of D settles within 300 steps and
stays: at the end it is 0.505 on real and 0.484 on generated images, with losses of 1.35 and 0.72;
the equilibrium has log 4 = 1.386 and log 2 = 0.693.

Choice of the defaults: with the non-saturating loss, batch normalisation in D and no penalty, D
wins (0.8 against 0.2 after 10 000 steps), and more digits stay broken. R1 with gamma = 1, computed
at every 16th step, keeps the balance and takes a tenth more time.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from jaxgan.errors import DataError
from jaxgan.runs import AlgorithmConfig, Experiment, SizedPictureFlags, flag, main
from jaxgan.runs.algorithms import optimizer, play
from jaxgan.runs.training_config import frozen, learning_rates, network

if TYPE_CHECKING:
    from jaxgan import Network
    from jaxgan.data import Dataset
    from jaxgan.penalties import Penalty


@dataclasses.dataclass(frozen=True)
class Config(SizedPictureFlags, AlgorithmConfig):
    """Train a GAN on handwritten digits, or on other small images."""

    network: Literal["dcgan", "mlp", "maxout"] = "dcgan"
    """Convolutional, fully connected, or the networks of Goodfellow et al. (2014)."""
    features: int = 32
    """Channels of the finest layer of the DCGAN."""
    discriminator_norm: Literal["none", "batch"] = "none"
    """Normalisation of the DCGAN's discriminator: batch as in the paper; none with gradient
    penalties, since batch statistics make the logit of an example depend on the others."""
    latent: int = 64
    """Latent dimension; the prior is standard normal."""
    conditional: bool = False
    """Condition both networks on the label; the columns of the sheets are then classes."""
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
    r1: float = 1.0
    """Weight gamma of the R1 gradient penalty, at real images; 0 for none. Only the loss depends on
    it: the DCGAN of the paper is --r1 0 --discriminator-norm batch."""
    r2: float = 0.0
    """Weight gamma of the R2 gradient penalty, at generated images; 0 for none."""
    gradient_penalty: float = 0.0
    """Weight of the WGAN-GP penalty, between real and generated images; 10 in the paper."""
    dragan: float = 0.0
    """Weight of the DRAGAN penalty, near real images; 10 in the paper."""
    penalty_every: int = 16
    """Steps between penalties, each weighted by that number (lazy regularisation)."""
    discriminator_turns: int = 1
    """Discriminator turns per step, the k of Goodfellow et al. (2014)."""
    discriminator_lr: float | None = flag(None, at_least=0.0)
    """Learning rate of Adam for the discriminator; default: 1e-3 for the DCGAN, and 2e-4 for the
    fully connected networks, which collapse at more."""
    generator_lr: float | None = flag(None, at_least=0.0)
    """Learning rate of Adam for the generator; default: 1e-3 for the DCGAN, and 2e-4 for the fully
    connected networks, which collapse at more."""
    b1: float = 0.5
    """Decay rate b1 of Adam."""
    decay_steps: int = flag(10_000, at_least=1)
    """Steps until the learning rates are 0, with --lr-decay."""
    ema: float = 0.998
    """Decay of the moving average of the generator for sampling, after a warm-up; 0 for none."""
    evaluate_features: str = flag("auto", resumable=True)
    """Features of the metrics: digits, random, pixels, or the path of Inception's weight file; auto
    for those that belong to the data set."""


def make(config: Config, dataset: Dataset) -> Experiment:
    """Networks, game, training algorithm and data."""
    import numpy as np

    import jaxgan
    from jaxgan import data, evaluation, features, latents, losses, schedules

    if config.conditional and dataset.num_classes is None:
        raise DataError(f"{dataset.name} has no labels; leave out --conditional")
    generator, discriminator = make_networks(config, dataset)
    game = jaxgan.gan(
        generator,
        discriminator,
        latent=latents.normal(config.latent),
        loss=getattr(losses, config.loss)(),
        penalty=make_penalty(config),
        condition=("label",) if config.conditional else (),
    )
    k, decay_steps = config.discriminator_turns, config.decay_steps
    default_lr = 1e-3 if config.network == "dcgan" else 2e-4
    rate = lambda chosen: default_lr if chosen is None else chosen
    optimizers = {
        "discriminator": optimizer(
            config, rate(config.discriminator_lr), decay_steps=decay_steps, turns=k
        ),
        "generator": optimizer(config, rate(config.generator_lr), decay_steps=decay_steps),
    }
    algorithm = play(
        config,
        game,
        frozen(config, optimizers),
        step_size=learning_rates(config, rate(config.generator_lr), decay_steps=decay_steps),
        turns=[*k * ["discriminator"], "generator"],
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
        data=dataset.record,
        evaluation=evaluation.of_images(
            dataset.test,
            dataset.train,
            features=features.by_name(config.evaluate_features, data=dataset.name),
        ),
    )


def make_networks(config: Config, dataset: Dataset) -> tuple[Network, Network]:
    """Generator and discriminator."""
    import jax
    import jax.numpy as jnp

    from jaxgan import networks

    classes = dataset.num_classes if config.conditional else None
    shape = dataset.image_shape
    if config.network == "dcgan":
        modules = (
            networks.DCGANGenerator(shape, config.features, num_classes=classes),
            networks.DCGANDiscriminator(
                config.features,
                batch_norm=config.discriminator_norm == "batch",
                num_classes=classes,
            ),
        )
    else:
        modules = (
            networks.MLP(
                (1200, 1200),
                output_shape=shape,
                activation=jax.nn.relu,
                output_activation=jnp.tanh,
                num_classes=classes,
            ),
            networks.MaxoutMLP(num_classes=classes)
            if config.network == "maxout"
            else networks.MLP((512, 256), num_classes=classes),
        )
    generator, discriminator = (network(config, module) for module in modules)
    return generator, discriminator


def make_penalty(config: Config) -> Penalty | None:
    """Weighted sum of the penalties whose weight is not 0; `None` if there are none."""
    from jaxgan import penalties

    terms = {
        penalties.r1: config.r1,
        penalties.r2: config.r2,
        penalties.wgan_gp: config.gradient_penalty,
        penalties.dragan: config.dragan,
    }
    wanted = [(weight, penalty) for penalty, weight in terms.items() if weight]
    if not wanted:
        return None
    return penalties.lazily(penalties.weighted(*wanted), every=config.penalty_every)


if __name__ == "__main__":
    main(Config, make)
