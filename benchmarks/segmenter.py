"""Segmentation network of photographs of facades, by which `benchmarks/facades.py` judges."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxgan
from jaxgan import Game, Network, data, weights, with_ema
from jaxgan.networks import BatchNorm, Conv, ConvTranspose, Dropout
from jaxgan.parallel import axis
from jaxgan.types import Array, Examples, PRNGKey

BATCH = 8
LEVELS = 4
SHIFT = 16  # training images are shifted by up to 1/16 of their side


class Segmenter(nn.Module):
    """U-Net of images to a map of logits of the same size, with batch normalisation.

    The finest skip connection is at half resolution; segmentation networks commonly stay coarser.

    Attributes:
      num_classes: number of classes.
      features: channels at half resolution; they double with each of three further levels.
      dropout: dropout rate at the innermost level.
    """

    num_classes: int
    features: int = 24
    dropout: float = 0.5

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """`x [batch, side, side, channels] -> [batch, side, side, num_classes]`."""
        activated = lambda x: jax.nn.relu(BatchNorm()(x, train=train))
        down = lambda n, x: activated(Conv(n, stride=2, use_bias=False)(x))
        up = lambda n, x: activated(ConvTranspose(n, use_bias=False)(x))
        conv = lambda n, x: activated(Conv(n, (3, 3), use_bias=False)(x))
        skips = []
        for level in range(LEVELS):
            width = self.features << level
            x = conv(width, down(width, x))
            skips.append(x)
        x = Dropout(self.dropout)(x, train=train)
        for level in reversed(range(LEVELS - 1)):
            width = self.features << level
            x = conv(width, jnp.concatenate([up(width, x), skips[level]], axis=-1))
        return ConvTranspose(self.num_classes)(x)


def segmentation(network: Network) -> Game:
    """Game of one player, `segmenter`, with the cross entropy per pixel, on moved images."""

    def init(key, batch):
        params, model_state = network.init(key, batch["image"])
        return {"segmenter": params}, {"segmenter": model_state}

    def loss(params, model_state, batch, key, step):
        key_move, key_network = jax.random.split(key)
        image, classes = moved(batch["image"], batch["classes"], key_move)
        own, state = params["segmenter"], model_state["segmenter"]
        logits, state = network.apply(own, state, image, key=key_network, train=True)
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
        return jnp.mean(entropy), jaxgan.LossAux(state, {"entropy": jnp.mean(entropy)})

    def sample(params, model_state, batch, key):
        own, state = params["segmenter"], model_state["segmenter"]
        return network.apply(own, state, batch["image"], train=False)[0].argmax(axis=-1)

    return Game(init, {"segmenter": loss}, sample)


def moved(image: Array, classes: Array, key: PRNGKey) -> tuple[Array, Array]:
    """Images and their classes, shifted with reflection, and mirrored with probability 1/2."""
    n, height, width, channels = image.shape
    border = height // SHIFT
    pad = ((0, 0), (border, border), (border, border), (0, 0))
    both = jnp.concatenate([image, classes[..., None].astype(image.dtype)], axis=-1)

    def move(image: Array, key: PRNGKey) -> Array:
        key_shift, key_flip = jax.random.split(key)
        top, left = jax.random.randint(key_shift, (2,), 0, 2 * border + 1)
        image = jax.lax.dynamic_slice(image, (top, left, 0), (height, width, channels + 1))
        return jnp.where(jax.random.bernoulli(key_flip), image[:, ::-1], image)

    both = jax.vmap(move)(jnp.pad(both, pad, mode="reflect"), axis.example_keys(key, n))
    return both[..., :-1], both[..., -1].astype(jnp.int32)


def trained(
    train: Examples, *, num_classes: int, num_steps: int, cache: Path, record: dict[str, Any]
) -> Callable[[Array], np.ndarray]:
    """A trained segmenter, `images [n, side, side, 3] in [-1, 1] -> classes [n, side, side]`.

    Args:
      train: `image` uint8 and `classes` int32.
      num_classes: number of classes.
      num_steps: number of training steps.
      cache: file of its weights, which is read if it has the same record, and written otherwise.
      record: what the weights depend on.
    """
    game = segmentation(jaxgan.from_linen(Segmenter(num_classes)))
    record = record | {"num_steps": num_steps, "num_classes": num_classes}
    if not (cache.exists() and weights.record(cache) == record):
        schedule = optax.cosine_decay_schedule(3e-3, num_steps)
        algorithm = jaxgan.alternating(
            game, {"segmenter": optax.adamw(schedule, weight_decay=1e-2)}, ema={"segmenter": 0.99}
        )
        state = jaxgan.fit(
            jaxgan.jit(algorithm),
            data.minibatches(train, batch_size=BATCH),
            key=jax.random.key(0),
            num_steps=num_steps,
        )
        cache.parent.mkdir(parents=True, exist_ok=True)
        weights.save(cache, *with_ema(state), record=record)
    learned = weights.load(cache)
    segment = jax.jit(lambda images: game.sample(*learned, {"image": images}, jax.random.key(0)))
    return lambda images: np.concatenate(
        [np.asarray(segment(images[i : i + 1])) for i in range(len(images))]
    )
