"""Discriminators made of other networks: with an auxiliary head, and of packs of images."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxgan.errors import SizeError
from jaxgan.game import Network
from jaxgan.types import Array, ModelState, Params, PRNGKey


def with_head(discriminator: Network, head: Network) -> Network:
    """The discriminator with a second output, computed from its features by another network.

    The class logits of AC-GAN (`penalties.auxiliary_classifier`) and the code predictions of
    InfoGAN (`penalties.mutual_information`) are such outputs. Both networks belong to the
    discriminator's player.

    Args:
      discriminator: `images -> (logits, features)`, such as a `DCGANDiscriminator` or another of
        this package with `with_features=True`. It is called without the game's conditions, as in
        AC-GAN.
      head: `features -> outputs`, such as `MLP((128,), output_shape=(10,))`.

    Returns:
      The network `(images, *conditions) -> (logits, outputs)`; its parameters and model state are
      `{"discriminator": ..., "head": ...}`.

    Raises:
      ValueError: in `init`, the discriminator returns no features.

    Reference:
      Odena, Olah and Shlens, *Conditional Image Synthesis with Auxiliary Classifier GANs*, 2017,
      https://arxiv.org/abs/1610.09585.

    Example:
      >>> from jaxgan.networks import MLP, DCGANDiscriminator, from_linen
      >>> discriminator = from_linen(DCGANDiscriminator(batch_norm=False, with_features=True))
      >>> of_classes = with_head(discriminator, from_linen(MLP((), output_shape=(10,))))
    """

    def init(key: PRNGKey, images: Array, *conditions: Array) -> tuple[Params, ModelState]:
        key_discriminator, key_head = jax.random.split(key)
        params, state = discriminator.init(key_discriminator, images)
        output, _ = discriminator.apply(params, state, images, train=False)
        if not isinstance(output, tuple):
            raise ValueError(
                "with_head was given a discriminator that returns logits alone, expected (logits, "
                "features): set with_features=True"
            )
        head_params, head_state = head.init(key_head, output[1])
        return (
            {"discriminator": params, "head": head_params},
            {"discriminator": state, "head": head_state},
        )

    def apply(
        params: Params,
        model_state: ModelState,
        images: Array,
        *conditions: Array,
        key: PRNGKey | None = None,
        train: bool,
    ) -> tuple[Any, ModelState]:
        keys = (None, None) if key is None else jax.random.split(key)
        (logits, features), state = discriminator.apply(
            params["discriminator"], model_state["discriminator"], images, key=keys[0], train=train
        )
        outputs, head_state = head.apply(
            params["head"], model_state["head"], features, key=keys[1], train=train
        )
        return (logits, outputs), {"discriminator": state, "head": head_state}

    return Network(init, apply)


def packed(discriminator: Network, size: int) -> Network:
    """PacGAN: the discriminator sees packs of `size` consecutive images, joined by channels.

    Every pack has one logit, `[batch / size]`, so that a generator without variety is noticed. The
    value of a gradient penalty at an image is a share of its pack's.

    Args:
      discriminator: `[batch, ..., size * channels] -> [batch]`.
      size: images per pack, at least 1, which divides the batch of a device.

    Returns:
      The network `[batch, ..., channels] -> [batch / size]`.

    Raises:
      ValueError: `size` is below 1; or the game has conditions, which belong to images, not packs.
      SizeError: in a call, the batch is not a multiple of `size`.

    Reference:
      Lin, Khetan, Fanti and Oh, *PacGAN: The power of two samples in generative adversarial
      networks*, 2018, https://arxiv.org/abs/1712.04086.

    Example:
      >>> from jaxgan.networks import MLP, from_linen
      >>> discriminator = packed(from_linen(MLP((32,))), 2)
      >>> images = jnp.zeros((6, 8, 8, 1))
      >>> params, state = discriminator.init(jax.random.key(0), images)
      >>> discriminator.apply(params, state, images, train=True)[0].shape
      (3,)
    """
    if size < 1:
        raise ValueError(f"a pack has {size} images, expected at least 1")

    def pack(images: Array, *conditions: Array) -> Array:
        if conditions:
            raise ValueError("a packed discriminator takes no conditions")
        if images.shape[0] % size:
            raise SizeError(
                f"a batch of {images.shape[0]} images on a device cannot be divided into packs of "
                f"{size}; choose a multiple of {size}"
            )
        packs = images.reshape(-1, size, *images.shape[1:])
        return jnp.concatenate([packs[:, i] for i in range(size)], axis=-1)

    def init(key: PRNGKey, *inputs: Array) -> tuple[Params, ModelState]:
        return discriminator.init(key, pack(*inputs))

    def apply(
        params: Params, model_state: ModelState, *inputs: Array, **options: Any
    ) -> tuple[Any, ModelState]:
        return discriminator.apply(params, model_state, pack(*inputs), **options)

    return Network(init, apply)
