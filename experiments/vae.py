"""A variational autoencoder (VAE), evaluated by bounds of the log-likelihood.

Commands:

    python -m experiments.vae
    python -m experiments.vae --latent 2
    python -m experiments.vae --bound importance_weighted --num-samples 5
    python -m experiments.vae --network dcgan --likelihood gaussian --no-binarize
    python -m jaxgan reconstruct runs/vae
    python -m jaxgan interpolate runs/vae

`evaluation.json` has the ELBO and the importance-weighted bound of the log-likelihood of held-out
images, in nats, and the generator metrics of samples. A grid in `samples/` has two rows of
held-out images, each above its reconstructions, and samples below; with two latent dimensions it is
the learned manifold.

Hardware: two CPU cores. The first command takes two minutes, half a minute of which is the
evaluation. Results on MNIST: -98.4 nats (ELBO) and -93.8 (importance-weighted, k = 500) on test
images; reconstructions that differ from their images only in smoothness; samples of which half are
digits, blurred, and the others lie between digits.

Reference: Kingma and Welling, *Auto-Encoding Variational Bayes*, 2014,
https://arxiv.org/abs/1312.6114. The default networks are the paper's.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from jaxgan.experiments import grids
from jaxgan.runs import Experiment, SizedImageFlags, TrainingConfig, flag, main
from jaxgan.runs.config.training_config import adam, frozen, network

if TYPE_CHECKING:
    from jaxgan import Evaluation, Network
    from jaxgan.data import Dataset
    from jaxgan.losses import Likelihood


@dataclasses.dataclass(frozen=True)
class Config(SizedImageFlags, TrainingConfig):
    """Train a variational autoencoder on small images."""

    num_steps: int = 30_000
    """Total number of training steps."""
    batch_size: int = 100
    """Examples per minibatch, over all devices."""
    network: Literal["mlp", "dcgan"] = "mlp"
    """mlp: one hidden layer in encoder and decoder, as in the paper. dcgan: convolutions."""
    features: int = 500
    """Hidden units of mlp, or channels of dcgan, for which 32 are enough."""
    latent: int = 20
    """Latent dimension."""
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    """Likelihood p(x|z): Bernoulli, or Gaussian with a learned standard deviation."""
    binarize: bool = True
    """Binarise pixels stochastically: training images at every step, test images once."""
    bound: Literal["elbo", "importance_weighted"] = "elbo"
    """Bound of the log-likelihood that is maximised."""
    num_samples: int = flag(1, at_least=1)
    """Latent samples per image in training."""
    beta: float = flag(1.0, at_least=0.0)
    """Weight of the KL divergence from the prior."""
    free_bits: float = flag(0.0, at_least=0.0)
    """Nats per latent dimension that are free of cost."""
    learning_rate: float = flag(1e-3, at_least=0.0)
    """Initial learning rate of Adam."""
    lr_decay: Literal["none", "linear", "cosine"] = "cosine"
    """Decay of the learning rate to 0."""
    decay_steps: int = flag(30_000, at_least=1)
    """Steps until the learning rate is 0."""
    bound_samples: int = flag(500, at_least=1)
    """Latent samples per image, k, of the importance-weighted bound in evaluation."""
    evaluate_features: str = flag("auto", resumable=True)
    """Features of the metrics: digits, random, pixels, or the path of Inception's weight file; auto
    for those that belong to the data set."""
    evaluate_every: int = 30_000
    """Steps between evaluations, which take half a minute; the last step is evaluated too."""
    log_every: int = 500
    """Steps between logged metrics."""
    sample_every: int = 5000
    """Steps between grids of reconstructions and samples."""
    checkpoint_every: int = 5000
    """Steps between checkpoints."""


def make(config: Config, dataset: Dataset) -> Experiment:
    """Networks, game, training algorithm and data."""
    import numpy as np

    import jaxgan
    from jaxgan import corruptions, data

    encoder, decoder = make_networks(config, dataset)
    likelihood = make_likelihood(config)
    game = jaxgan.vae(
        encoder,
        decoder,
        likelihood=likelihood,
        bound=config.bound,
        num_samples=config.num_samples,
        beta=config.beta,
        free_bits=config.free_bits,
        observe=corruptions.binarized() if config.binarize else None,
    )
    optimizer = adam(config, config.learning_rate, decay_steps=config.decay_steps)
    algorithm = jaxgan.alternating(
        game, frozen(config, {"autoencoder": optimizer}), accumulate=config.accumulate
    )
    return Experiment(
        game=game,
        algorithm=algorithm,
        scan_steps=10 if config.network == "mlp" else 1,
        minibatches=data.minibatches(
            dataset.train, batch_size=config.batch_size, seed=config.seed, x_flips=config.x_flips
        ),
        sample_batch=lambda n: {"image": np.zeros((n, *dataset.image_shape), np.float32)},
        data=dataset.record,
        evaluation=make_evaluation(config, dataset, encoder, decoder, likelihood),
        draw=(
            grids.draw_latent_map(game)
            if config.latent == 2
            else grids.draw_reconstructions_and_samples(game, dataset.test)
        ),
    )


def make_networks(config: Config, dataset: Dataset) -> tuple[Network, Network]:
    """Encoder and decoder; a decoder of logits has no output activation."""
    import jax.numpy as jnp

    from jaxgan import networks

    shape, codes = dataset.image_shape, (2, config.latent)
    output_activation = None if config.likelihood == "bernoulli" else jnp.tanh
    if config.network == "dcgan":
        return (
            network(config, networks.DCGANEncoder(codes, config.features)),
            network(
                config,
                networks.DCGANGenerator(
                    shape, config.features, output_activation=output_activation
                ),
            ),
        )
    hidden = {"features": (config.features,), "activation": jnp.tanh}
    return (
        network(config, networks.MLP(output_shape=codes, **hidden)),
        network(
            config, networks.MLP(output_shape=shape, output_activation=output_activation, **hidden)
        ),
    )


def make_likelihood(config: Config) -> Likelihood:
    """Likelihood of pixels given the output of the decoder."""
    from jaxgan import losses

    return losses.bernoulli() if config.likelihood == "bernoulli" else losses.gaussian()


def make_evaluation(
    config: Config, dataset: Dataset, encoder: Network, decoder: Network, likelihood: Likelihood
) -> Evaluation:
    """Bounds of the log-likelihood of held-out images, and generator metrics of samples."""
    import jax.numpy as jnp

    import jaxgan
    from jaxgan import evaluation, features, metrics

    bounds = jaxgan.vae_bounds(
        encoder, decoder, likelihood=likelihood, num_samples=config.bound_samples
    )
    images = dataset.test["image"]
    judge = features.by_name(config.evaluate_features, data=dataset.name)

    def bounds_per_image(params, model_state, batch, key):
        observed = {"image": batch["seen"]}
        return jnp.stack(bounds(params, model_state, observed, key), axis=1)

    return jaxgan.Evaluation(
        {"bounds": metrics.averages("elbo", f"importance_weighted_{config.bound_samples}")},
        {"image": images, "seen": binarized_bytes(images) if config.binarize else images},
        best="elbo",
        mode="max",
        sample=bounds_per_image,
        parts={"samples": evaluation.of_images(dataset.test, dataset.train, features=judge)},
    )


def binarized_bytes(images):
    """Stochastic binarisation of `uint8` images to 0 and 255, with a fixed seed."""
    import numpy as np

    uniform = np.random.default_rng(0).random(images.shape, np.float32)
    return np.where(uniform * 255.0 < images, 255, 0).astype(np.uint8)


if __name__ == "__main__":
    main(Config, make)
