"""Residual networks of BigGAN-deep: bottleneck blocks whose shortcuts drop or append channels.

Brock, Donahue and Simonyan, *Large Scale GAN Training for High Fidelity Natural Image Synthesis*,
2019, https://arxiv.org/abs/1809.11096, appendix B, tables 7 to 9 and figure 16.

    128 pixels   BigGANDeepGenerator((128, 128, 3), attention=64, num_classes=1000), 128 latents
                 BigGANDeepDiscriminator(attention=64, num_classes=1000)
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan import ops
from jaxgan.errors import SizeError
from jaxgan.networks.attention import SelfAttention
from jaxgan.networks.biggan import ORTHOGONAL
from jaxgan.networks.conditioning import ConditionalBatchNorm, ProjectionHead
from jaxgan.networks.dcgan import num_levels
from jaxgan.networks.layers import BatchNorm, Conv, check_used, check_widths, checked_label
from jaxgan.networks.residual import WIDEST, check_attention, coarsest, generator_widths
from jaxgan.networks.spectral import applied
from jaxgan.types import Array

BOTTLENECK = 4  # channels of a block over those between its 1 x 1 convolutions


class BigGANDeepGenerator(nn.Module):
    """Residual generator of BigGAN-deep: two blocks per size, the second of which doubles it.

    All of the latent, and the embedding of the label, condition the batch normalisations of every
    block. Its convolutions are 1 x 1, 3 x 3, 3 x 3 and 1 x 1, and its shortcut keeps the first
    channels.

    Attributes:
      image_shape: `(height, width, channels)`.
      features: channels of the finest block; each coarser one has twice as many, up to 16 times. Or
        the channels of the coarsest map and of every size, which must not increase.
      embedding: width of the embedding of the label.
      attention: height of the map to which self-attention is applied; 64 in the paper.
      num_classes: number of classes, or `None` for an unconditional network.
      dtype: dtype of the computation; parameters and output are float32.

    Example:
      >>> generator = BigGANDeepGenerator((32, 32, 3), features=64, num_classes=10)
      >>> run = partial(generator.init_with_output, train=False)
      >>> images, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 128)), jnp.zeros(8, int))
      >>> images.shape
      (8, 32, 32, 3)
    """

    image_shape: tuple[int, int, int]
    features: int | Sequence[int] = 128
    embedding: int = 128
    attention: int | None = None
    num_classes: int | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None, *, train: bool) -> Array:
        """`z [batch, latent]`, `label int[batch] -> [batch, *image_shape]`, in [-1, 1] by tanh."""
        height, width, channels = self.image_shape
        base, *widths = generator_widths(self.image_shape, self.features, "BigGAN-deep")
        check_widths(latent=z.shape[-1], features=(base, *widths), embedding=self.embedding)
        if sorted((base, *widths), reverse=True) != [base, *widths]:
            raise SizeError(
                f"features is {(base, *widths)}, expected numbers that do not increase: shortcuts "
                "drop channels"
            )
        sides = coarsest(height, width, len(widths), "BigGAN-deep")
        check_attention(self.attention, [sides[0] << i for i in range(1, len(widths) + 1)])
        layer: dict[str, Any] = {"kernel_init": ORTHOGONAL, "dtype": self.dtype}
        apply = partial(applied, spectral_norm=True, train=train)

        condition = z
        check_used(label, self.num_classes)
        if self.num_classes is not None:
            embed = nn.Embed(self.num_classes, self.embedding, embedding_init=ORTHOGONAL)
            condition = jnp.concatenate([z, embed(checked_label(label, self.num_classes))], axis=1)
        x = apply(nn.Dense(math.prod(sides) * base, **layer), condition).reshape(-1, *sides, base)
        for features in widths:
            x = _GeneratorBlock(x.shape[-1], double=False, dtype=self.dtype)(x, condition, train)
            x = _GeneratorBlock(features, double=True, dtype=self.dtype)(x, condition, train)
            if x.shape[1] == self.attention:
                x = SelfAttention(spectral_norm=True, **layer)(x, train=train)
        x = jax.nn.relu(BatchNorm(dtype=self.dtype)(x, train=train))
        x = apply(Conv(channels, (3, 3), **layer), x)
        return jnp.tanh(x.astype(jnp.float32))


class BigGANDeepDiscriminator(nn.Module):
    """Residual discriminator of BigGAN-deep: two blocks per size, and a projection head.

    A convolution, and per size a block that halves it by average pooling and one that keeps it. A
    block's convolutions are 1 x 1, 3 x 3, 3 x 3 and 1 x 1; its shortcut is the input, to which the
    channels of a 1 x 1 convolution are appended.

    Attributes:
      features: channels of the first convolution; each size has twice as many as the one before, up
        to 16 times, until the sides are at most 7. Or the channels of the first convolution and of
        every size, which must not decrease.
      attention: height of the map to which self-attention is applied; 64 in the paper.
      num_classes: number of classes, or `None` for an unconditional network.
      dtype: dtype of the computation; parameters and output are float32.
      with_features: whether to return `(logits, features)`, with the head's input as features
        `[batch, width]`, for `with_head` and feature matching.

    Example:
      >>> discriminator = BigGANDeepDiscriminator(features=64, num_classes=10)
      >>> run = partial(discriminator.init_with_output, train=False)
      >>> x, labels = jnp.zeros((8, 32, 32, 3)), jnp.zeros(8, int)
      >>> jax.eval_shape(run, jax.random.key(0), x, labels)[0].shape
      (8,)
    """

    features: int | Sequence[int] = 128
    attention: int | None = None
    num_classes: int | None = None
    dtype: Any = jnp.float32
    with_features: bool = False

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None, *, train: bool) -> Any:
        """`x [batch, height, width, channels]`, `label int[batch] -> logits [batch]`."""
        height, width = x.shape[1:3]
        base, *widths = self._widths(height, width)
        check_widths(features=(base, *widths))
        if sorted((base, *widths)) != [base, *widths]:
            raise SizeError(
                f"features is {(base, *widths)}, expected numbers that do not decrease: shortcuts "
                "append channels"
            )
        coarsest(height, width, len(widths), "BigGAN-deep")
        check_attention(self.attention, [height >> i for i in range(1, len(widths) + 1)])
        layer: dict[str, Any] = {"kernel_init": ORTHOGONAL, "dtype": self.dtype}
        x = applied(Conv(base, (3, 3), **layer), x, spectral_norm=True, train=train)
        for features in widths:
            x = _DiscriminatorBlock(features, halve=True, dtype=self.dtype)(x, train)
            x = _DiscriminatorBlock(features, halve=False, dtype=self.dtype)(x, train)
            if x.shape[1] == self.attention:
                x = SelfAttention(spectral_norm=True, **layer)(x, train=train)
        h = jnp.sum(jax.nn.relu(x).astype(jnp.float32), axis=(1, 2))
        logits = ProjectionHead(self.num_classes, True, ORTHOGONAL)(h, label, train=train)
        return (logits, h) if self.with_features else logits

    def _widths(self, height: int, width: int) -> list[int]:
        if not isinstance(self.features, int):
            return list(self.features)
        levels = num_levels(height, width, "BigGAN-deep")
        return [self.features * min(1 << level, WIDEST) for level in range(levels + 1)]


class _GeneratorBlock(nn.Module):
    features: int
    double: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, condition: Array, train: bool) -> Array:
        """`[batch, h, w, at least features] -> [batch, 2 h, 2 w, features]`, or the same sides."""
        layer: dict[str, Any] = {"kernel_init": ORTHOGONAL, "dtype": self.dtype}
        apply = partial(applied, spectral_norm=True, train=train)
        hidden = max(1, x.shape[-1] // BOTTLENECK)

        def activated(x: Array) -> Array:
            norm = ConditionalBatchNorm(ORTHOGONAL, True, self.dtype)
            return jax.nn.relu(norm(x, condition, train=train))

        sized = ops.nearest if self.double else lambda x: x
        y = apply(Conv(hidden, (1, 1), **layer), activated(x))
        y = apply(Conv(hidden, (3, 3), **layer), sized(activated(y)))
        y = apply(Conv(hidden, (3, 3), **layer), activated(y))
        y = apply(Conv(self.features, (1, 1), **layer), activated(y))
        return y + sized(x[..., : self.features])


class _DiscriminatorBlock(nn.Module):
    features: int
    halve: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[batch, h, w, up to features] -> [batch, h / 2, w / 2, features]`, or the same sides."""
        layer: dict[str, Any] = {"kernel_init": ORTHOGONAL, "dtype": self.dtype}
        apply = partial(applied, spectral_norm=True, train=train)
        hidden = max(1, self.features // BOTTLENECK)
        sized = ops.average_pool if self.halve else lambda x: x

        y = apply(Conv(hidden, (1, 1), **layer), jax.nn.relu(x))
        y = apply(Conv(hidden, (3, 3), **layer), jax.nn.relu(y))
        y = apply(Conv(hidden, (3, 3), **layer), jax.nn.relu(y))
        y = apply(Conv(self.features, (1, 1), **layer), sized(jax.nn.relu(y)))
        x = sized(x)
        if more := self.features - x.shape[-1]:
            x = jnp.concatenate([x, apply(Conv(more, (1, 1), **layer), x)], axis=-1)
        return y + x
