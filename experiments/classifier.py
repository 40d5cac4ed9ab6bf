"""A convolutional classifier of handwritten digits, as feature extractor for metrics.

Commands:

    python -m experiments.classifier
    python -m jaxgan export runs/classifier --out jaxgan/features/mnist_classifier.safetensors

It is a game of one player. These commands made the weights that `jaxgan.features.mnist_classifier`
reads, on the real MNIST; their accuracy is in their metadata and in the run's `evaluation.json`.
The weights predate the moving averages of batch statistics, so a run now gives different ones; they
stay, so that metrics over them remain comparable.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jaxgan.errors import DataError
from jaxgan.runs import Experiment, SizedImageFlags, TrainingConfig, flag, main
from jaxgan.runs.config.training_config import adam, frozen, network

if TYPE_CHECKING:
    from jaxgan import Game, Network
    from jaxgan.data import Dataset
    from jaxgan.training import TrainState


@dataclasses.dataclass(frozen=True)
class Config(SizedImageFlags, TrainingConfig):
    """Train a classifier of handwritten digits."""

    num_steps: int = 4000
    """Total number of training steps."""
    decay_steps: int = flag(4000, at_least=1)
    """Steps until the learning rate is 0."""
    batch_size: int = 128
    """Examples per minibatch."""
    sample_every: int = 2000
    """Steps between grids of the test images with the highest loss."""
    learning_rate: float = flag(3e-3, at_least=0.0)
    """Peak learning rate of AdamW."""
    warmup_steps: int = 300
    """Steps in which the learning rate rises linearly from 0, at most half of --decay-steps."""
    lr_decay: Literal["none", "linear", "cosine"] = "cosine"
    """Decay of the learning rate to 0."""
    weight_decay: float = 1e-2
    """Decoupled weight decay of AdamW, relative to the learning rate."""
    ema: float = 0.998
    """Decay of the moving average of the parameters, which is evaluated and exported."""


def make(config: Config, dataset: Dataset) -> Experiment:
    """Network, game, training algorithm and data."""
    import jaxgan
    from jaxgan import data, metrics, networks
    from jaxgan.evaluation import Evaluation

    if dataset.num_classes is None:
        raise DataError(f"{dataset.name} has no labels to learn; choose a --data that has some")
    game = classification(network(config, networks.ConvClassifier(dataset.num_classes)))
    optimizer = adam(config, config.learning_rate, decay_steps=config.decay_steps)
    return Experiment(
        game=game,
        algorithm=jaxgan.alternating(
            game,
            frozen(config, {"classifier": optimizer}),
            ema={"classifier": config.ema},
            accumulate=config.accumulate,
        ),
        minibatches=data.minibatches(
            dataset.train, batch_size=config.batch_size, seed=config.seed, x_flips=config.x_flips
        ),
        sample_batch=lambda n: data.with_float_images(
            {name: x[:n] for name, x in dataset.test.items()}
        ),
        data=dataset.record,
        evaluation=Evaluation(
            {"accuracy": metrics.accuracy()},
            dataset.test,
            target="label",
            best="accuracy",
            mode="max",
        ),
        draw=hardest_digits(game, dataset.test),
    )


def classification(network: Network) -> Game:
    """Game of one player, `classifier`, with the cross entropy; `sample` returns the logits."""
    import jax
    import jax.numpy as jnp
    import optax

    import jaxgan

    def init(key, batch):
        params, model_state = network.init(key, batch["image"])
        return {"classifier": params}, {"classifier": model_state}

    def loss(params, model_state, batch, key, step):
        key_move, key_network = jax.random.split(key)
        image, label = moved(batch["image"], key_move), batch["label"]
        own, state = params["classifier"], model_state["classifier"]
        outputs, state = network.apply(own, state, image, key=key_network, train=True)
        entropy = optax.softmax_cross_entropy_with_integer_labels(outputs["logits"], label)
        accuracy = jnp.mean(outputs["logits"].argmax(axis=1) == label)
        return jnp.mean(entropy), jaxgan.LossAux(state, {"accuracy": accuracy})

    def sample(params, model_state, batch, key):
        own, state = params["classifier"], model_state["classifier"]
        return network.apply(own, state, batch["image"], train=False)[0]["logits"]

    return jaxgan.Game(init, {"classifier": loss}, sample)


def moved(image, key):
    """Random affine augmentation of each image: rotation, scaling and translation.

    Rotations are of up to 12 degrees, scalings of up to 10 %, translations of up to 2 pixels.
    """
    import jax
    import jax.numpy as jnp

    from jaxgan.parallel import axis

    n, height, width, _ = image.shape
    center = jnp.array([(height - 1) / 2, (width - 1) / 2])
    grid = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")) * 1.0
    offsets = grid - center[:, None, None]

    def move(image, key):
        u = jax.random.uniform(key, (4,), minval=-1.0)
        angle, scale, shift = jnp.pi / 15 * u[0], 1.0 + 0.1 * u[1], 2.0 * u[2:]
        sine, cosine = jnp.sin(angle), jnp.cos(angle)
        rotation = jnp.array([[cosine, -sine], [sine, cosine]]) / scale
        source = jnp.einsum("ij,jhw->ihw", rotation, offsets) + (center + shift)[:, None, None]
        return jax.scipy.ndimage.map_coordinates(image, list(source), order=1, cval=-1.0)

    channels_first = jnp.moveaxis(image, -1, 1)
    keys = axis.example_keys(key, n)
    moved = jax.vmap(lambda image, key: jax.vmap(move, (0, None))(image, key))(channels_first, keys)
    return jnp.moveaxis(moved, 1, -1)


def hardest_digits(game: Game, test):
    """Writes a grid of the 100 test images with the highest cross entropy, highest first."""
    import jax
    import numpy as np
    import optax

    from jaxgan import data, images, with_ema
    from jaxgan.parallel import multihost

    batch = data.with_float_images(test)
    logits = jax.jit(lambda params, state: game.sample(params, state, batch, jax.random.key(0)))

    def draw(path: Path, state: TrainState) -> None:
        losses = optax.softmax_cross_entropy_with_integer_labels(
            logits(*with_ema(state)), batch["label"]
        )
        worst = np.argsort(-multihost.to_host(losses))[:100]
        if multihost.is_main():
            images.save_grid(path, batch["image"][worst])

    return draw


if __name__ == "__main__":
    main(Config, make)
