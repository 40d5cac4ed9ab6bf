"""A GAN that learns to draw handwritten digits.

Commands:

    python -m experiments.mnist
    python -m experiments.mnist --r1 0 --discriminator-norm batch
    python -m experiments.mnist --loss minimax --r1 0 --network maxout
    python -m experiments.mnist --loss relativistic_paired --r1 0.1 --r2 0.1
    python -m experiments.mnist --loss wasserstein --r1 0 --gradient-penalty 10 --penalty-every 1 \
        --discriminator-turns 5

Hardware: two CPU cores. The first command takes three to five minutes (60 rounds a second when it
had both cores to itself). What was seen: strokes after 200 rounds, broken digits after 1000, most
of them legible after 2000, a few broken ones to the end. D settles within 300 rounds and stays:
0.505 on real images, 0.484 on generated ones at the end, with losses of 1.35 and 0.72 where
equilibrium has log 4 = 1.386 and log 2 = 0.693.

Why the defaults: the non-saturating loss with batch normalisation in D and no penalty lets D win
(0.8 against 0.2 after 10 000 rounds), and digits stay more broken. R1 with gamma = 1, computed in
every 16th round, keeps the balance for a tenth more time.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from jaxgan.errors import DataError
from jaxgan.runs import Config as BaseConfig
from jaxgan.runs import Experiment, main

if TYPE_CHECKING:
    from flax.linen import Module

    from jaxgan.data import Dataset
    from jaxgan.penalties import Penalty


@dataclasses.dataclass(frozen=True)
class Config(BaseConfig):
    """Trains a GAN on handwritten digits, or on any other small images."""

    network: Literal["dcgan", "mlp", "maxout"] = "dcgan"
    """Convolutional; fully connected; or the fully connected pair of Goodfellow et al., 2014."""
    features: int = 32
    """Channels of the DCGAN's widest layers."""
    discriminator_norm: Literal["none", "batch"] = "none"
    """Normalisation of the DCGAN's discriminator. The paper's is batch; gradient penalties want
    none, since batch statistics make an example's logit depend on the others."""
    latent: int = 64
    """Dimension of the normal prior."""
    conditional: bool = False
    """Give both networks the label; the sheets' columns are then classes."""
    loss: Literal[
        "minimax",
        "non_saturating",
        "wasserstein",
        "hinge",
        "least_squares",
        "relativistic_paired",
        "relativistic_average",
    ] = "non_saturating"
    """What the players pay."""
    r1: float = 1.0
    """Weight gamma of the penalty on the discriminator's gradient at real images; 0 for none. It
    changes the loss alone: the paper's DCGAN is --r1 0 --discriminator-norm batch."""
    r2: float = 0.0
    """The same at generated images."""
    gradient_penalty: float = 0.0
    """Weight of WGAN-GP's penalty, between real and generated images; the paper's is 10."""
    dragan: float = 0.0
    """Weight of DRAGAN's penalty, near real images; the paper's is 10."""
    penalty_every: int = 16
    """Rounds between penalties, each then that many times as heavy (lazy regularisation)."""
    discriminator_turns: int = 1
    """The k of Goodfellow et al., 2014: turns of the discriminator in a round."""
    discriminator_lr: float = 1e-3
    """Adam's learning rate."""
    generator_lr: float = 1e-3
    """Adam's learning rate."""
    b1: float = 0.5
    """Adam's first decay rate."""
    ema: float = 0.998
    """Decay of the generator's average, which draws the samples, after a warm-up; 0 for none."""


def make(config: Config) -> Experiment:
    """Networks, game, algorithm and data."""
    import numpy as np
    import optax

    import jaxgan
    from jaxgan import data, evaluation, latents, losses, schedules

    dataset = data.load(config.data, data_dir=config.data_dir)
    if config.conditional and dataset.num_classes is None:
        raise DataError(f"{dataset.name} has no labels; leave out --conditional")
    generator, discriminator = make_networks(config, dataset)
    game = jaxgan.gan(
        jaxgan.from_linen(generator),
        jaxgan.from_linen(discriminator),
        latent=latents.normal(config.latent),
        loss=getattr(losses, config.loss)(),
        penalty=make_penalty(config),
        condition=("label",) if config.conditional else (),
    )
    algorithm = jaxgan.alternating(
        game,
        {
            "discriminator": optax.adam(config.discriminator_lr, b1=config.b1),
            "generator": optax.adam(config.generator_lr, b1=config.b1),
        },
        turns=[*config.discriminator_turns * ["discriminator"], "generator"],
        ema={"generator": schedules.ema_warmup(config.ema)} if config.ema else None,
    )
    return Experiment(
        game=game,
        algorithm=algorithm,
        minibatches=data.minibatches(dataset.train, batch_size=config.batch_size, seed=config.seed),
        sample_batch=lambda n: {
            "image": np.zeros((n, *dataset.image_shape), np.float32),
            "label": np.arange(n, dtype=np.int32) % (dataset.num_classes or 1),
        },
        data=dataset.record,
        evaluation=evaluation.of_images(dataset.test, dataset.train),
    )


def make_networks(config: Config, dataset: Dataset) -> tuple[Module, Module]:
    """Generator and discriminator."""
    import jax
    import jax.numpy as jnp

    from jaxgan import networks

    classes = dataset.num_classes if config.conditional else None
    shape = dataset.image_shape
    if config.network == "dcgan":
        return (
            networks.DCGANGenerator(shape, config.features, num_classes=classes),
            networks.DCGANDiscriminator(
                config.features,
                batch_norm=config.discriminator_norm == "batch",
                num_classes=classes,
            ),
        )
    generator = networks.MLP(
        (1200, 1200),
        output_shape=shape,
        activation=jax.nn.relu,
        output_activation=jnp.tanh,
        num_classes=classes,
    )
    if config.network == "maxout":
        return generator, networks.MaxoutMLP(num_classes=classes)
    return generator, networks.MLP((512, 256), num_classes=classes)


def make_penalty(config: Config) -> Penalty | None:
    """The weighted sum of the penalties that were asked for."""
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
