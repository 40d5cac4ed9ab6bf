"""Residual networks of BigGAN: split latents, a shared embedding, orthogonal initialisation.

Brock, Donahue and Simonyan, *Large Scale GAN Training for High Fidelity Natural Image Synthesis*,
2019, https://arxiv.org/abs/1809.11096, appendix B.

    128 pixels   BigGANGenerator((128, 128, 3), attention=64, num_classes=1000), 120 latents
                 BigGANDiscriminator(attention=64, num_classes=1000)
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import SizeError
from jaxgan.networks.attention import SelfAttention
from jaxgan.networks.layers import BatchNorm, Conv, check_used, check_widths, checked_label
from jaxgan.networks.residual import UpBlock, check_attention, coarsest, generator_widths
from jaxgan.networks.sngan import SNGANDiscriminator
from jaxgan.networks.spectral import applied
from jaxgan.types import Array

ORTHOGONAL = nn.initializers.orthogonal()


class BigGANGenerator(nn.Module):
    """Residual generator of BigGAN.

    The latent is split into parts of equal size (the first ones are larger by one where it does not
    divide): one for the dense layer, and one for the batch normalisation of every block, to which
    the embedding of the label, shared by all blocks, is appended.

    Attributes:
      image_shape: `(height, width, channels)`.
      features: channels of the finest block; each coarser one has twice as many, up to 16 times. Or
        the channels of the coarsest map and of every block, one block per doubling.
      embedding: width of the shared embedding.
      attention: height of the map to which self-attention is applied; 64 in the paper.
      num_classes: number of classes, or `None` for an unconditional network.
      dtype: dtype of the computation; parameters and output are float32.

    Example:
      >>> generator = BigGANGenerator((32, 32, 3), features=64, num_classes=10)
      >>> run = partial(generator.init_with_output, train=False)
      >>> images, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 80)), jnp.zeros(8, int))
      >>> images.shape
      (8, 32, 32, 3)
    """

    image_shape: tuple[int, int, int]
    features: int | Sequence[int] = 96
    embedding: int = 128
    attention: int | None = None
    num_classes: int | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None, *, train: bool) -> Array:
        """`z [batch, latent]`, `label int[batch] -> [batch, *image_shape]`, in [-1, 1] by tanh."""
        height, width, channels = self.image_shape
        base, *widths = generator_widths(self.image_shape, self.features, "BigGAN")
        check_widths(features=(base, *widths), embedding=self.embedding)
        if z.shape[-1] <= len(widths):
            raise SizeError(
                f"BigGAN was given {z.shape[-1]} latents, which it splits into {len(widths) + 1} "
                "parts; give it more latents"
            )
        sides = coarsest(height, width, len(widths), "BigGAN")
        check_attention(self.attention, [sides[0] << i for i in range(1, len(widths) + 1)])
        layer: dict[str, Any] = {"kernel_init": ORTHOGONAL, "dtype": self.dtype}
        options = {**layer, "spectral_norm": True}
        block = {
            **options,
            "condition_spectral_norm": True,
            "shortcut_init": ORTHOGONAL,
            "condition_init": ORTHOGONAL,
        }
        apply = partial(applied, spectral_norm=True, train=train)

        first, *parts = jnp.array_split(z, len(widths) + 1, axis=1)
        check_used(label, self.num_classes)
        if self.num_classes is not None:
            embed = nn.Embed(self.num_classes, self.embedding, embedding_init=ORTHOGONAL)
            embedded = embed(checked_label(label, self.num_classes))
            parts = [jnp.concatenate([embedded, part], axis=1) for part in parts]
        x = apply(nn.Dense(math.prod(sides) * base, **layer), first).reshape(-1, *sides, base)
        for features, part in zip(widths, parts, strict=True):
            x = UpBlock(features, **block)(x, part, train=train)
            if x.shape[1] == self.attention:
                x = SelfAttention(**options)(x, train=train)
        x = jax.nn.relu(BatchNorm(dtype=self.dtype)(x, train=train))
        x = apply(Conv(channels, (3, 3), **layer), x)
        return jnp.tanh(x.astype(jnp.float32))


class BigGANDiscriminator(SNGANDiscriminator):
    """Residual discriminator of BigGAN: SNGAN's, with wide blocks and orthogonal initialisation.

    Attributes:
      features: channels of the first block; 96 in the paper.
      num_halvings, spectral_norm, attention, wide, num_classes, kernel_init, dtype, with_features:
        as in `SNGANDiscriminator`.

    Example:
      >>> discriminator = BigGANDiscriminator(features=64, num_classes=10)
      >>> run = partial(discriminator.init_with_output, train=False)
      >>> x, labels = jnp.zeros((8, 32, 32, 3)), jnp.zeros(8, int)
      >>> jax.eval_shape(run, jax.random.key(0), x, labels)[0].shape
      (8,)
    """

    features: int | Sequence[int] = 96
    wide: bool = True
    kernel_init: Any = ORTHOGONAL
