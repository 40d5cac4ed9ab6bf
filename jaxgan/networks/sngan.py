"""Residual networks of SNGAN and SAGAN, with spectral normalisation and self-attention.

Miyato, Kataoka, Koyama and Yoshida, *Spectral Normalization for Generative Adversarial Networks*,
2018, https://arxiv.org/abs/1802.05957, tables 3 to 5; Miyato and Koyama, *cGANs with Projection
Discriminator*, 2018, https://arxiv.org/abs/1802.05637; Zhang, Goodfellow, Metaxas and Odena,
*Self-Attention Generative Adversarial Networks*, 2019, https://arxiv.org/abs/1805.08318.

    SNGAN, CIFAR-10     SNGANGenerator((32, 32, 3), (256,) * 4)
                        SNGANDiscriminator((128,) * 4, num_halvings=2)
    SNGAN, 128 pixels   SNGANGenerator((128, 128, 3)), SNGANDiscriminator()
    SAGAN, 128 pixels   the same, with attention=32, and spectral_norm=True in the generator
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
from jaxgan.networks.conditioning import ProjectionHead, one_hot
from jaxgan.networks.dcgan import num_levels
from jaxgan.networks.layers import BatchNorm, Conv, check_widths
from jaxgan.networks.residual import (
    GLOROT,
    WIDEST,
    DownBlock,
    UpBlock,
    check_attention,
    coarsest,
    generator_widths,
)
from jaxgan.networks.spectral import applied
from jaxgan.types import Array


class SNGANGenerator(nn.Module):
    """Residual generator of SNGAN: a dense layer, and blocks that double the sides.

    With classes, batch normalisation in the blocks has a scale and a bias per class.

    Attributes:
      image_shape: `(height, width, channels)`.
      features: channels of the finest block; each coarser one has twice as many, up to 16 times. Or
        the channels of the coarsest map and of every block, one block per doubling.
      spectral_norm: whether layers are spectrally normalised, as in SAGAN; not the scales and
        biases of conditional batch normalisation, as there.
      attention: height of the map to which self-attention is applied; 32 in SAGAN.
      num_classes: number of classes, or `None` for an unconditional network.
      dtype: dtype of the computation; parameters and output are float32.

    Example:
      >>> generator = SNGANGenerator((32, 32, 3), features=64)
      >>> run = partial(generator.init_with_output, train=False)
      >>> images, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 128)))
      >>> images.shape
      (8, 32, 32, 3)
    """

    image_shape: tuple[int, int, int]
    features: int | Sequence[int] = 64
    spectral_norm: bool = False
    attention: int | None = None
    num_classes: int | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None, *, train: bool) -> Array:
        """`z [batch, latent]`, `label int[batch] -> [batch, *image_shape]`, in [-1, 1] by tanh."""
        height, width, channels = self.image_shape
        base, *widths = generator_widths(self.image_shape, self.features, "SNGAN")
        check_widths(latent=z.shape[-1], features=(base, *widths))
        sides = coarsest(height, width, len(widths), "SNGAN")
        check_attention(self.attention, [sides[0] << i for i in range(1, len(widths) + 1)])
        options = {"spectral_norm": self.spectral_norm, "dtype": self.dtype}
        apply = partial(applied, spectral_norm=self.spectral_norm, train=train)

        dense = nn.Dense(math.prod(sides) * base, kernel_init=GLOROT, dtype=self.dtype)
        x = apply(dense, z).reshape(-1, *sides, base)
        condition = one_hot(label, self.num_classes)
        for features in widths:
            x = UpBlock(features, **options)(x, condition, train=train)
            if x.shape[1] == self.attention:
                x = SelfAttention(**options)(x, train=train)
        x = jax.nn.relu(BatchNorm(dtype=self.dtype)(x, train=train))
        x = apply(Conv(channels, (3, 3), kernel_init=GLOROT, dtype=self.dtype), x)
        return jnp.tanh(x.astype(jnp.float32))


class SNGANDiscriminator(nn.Module):
    """Residual discriminator of SNGAN: blocks, a sum over the positions, and a projection head.

    Attributes:
      features: channels of the first block; each later one has twice as many, up to 16 times, and
        halves the sides, until they are at most 7; one more keeps width and sides. Or the channels
        of all blocks.
      num_halvings: number of blocks, from the first, that halve the sides; `None` for all but the
        last.
      spectral_norm: whether layers are spectrally normalised.
      attention: height of the map to which self-attention is applied; 32 in SAGAN.
      wide: whether a block's first convolution has the width of its output, as in BigGAN, or of its
        input.
      num_classes: number of classes, or `None` for an unconditional network.
      kernel_init: initialiser of the kernels.
      dtype: dtype of the computation; parameters and output are float32.
      with_features: whether to return `(logits, features)`, with the head's input as features
        `[batch, width]`, for `with_head` and feature matching.

    Example:
      >>> run = partial(SNGANDiscriminator(features=64).init_with_output, train=False)
      >>> logits, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 32, 32, 3)))
      >>> logits.shape
      (8,)
    """

    features: int | Sequence[int] = 64
    num_halvings: int | None = None
    spectral_norm: bool = True
    attention: int | None = None
    wide: bool = False
    num_classes: int | None = None
    kernel_init: Any = GLOROT
    dtype: Any = jnp.float32
    with_features: bool = False

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None, *, train: bool) -> Any:
        """`x [batch, height, width, channels]`, `label int[batch] -> logits [batch]`."""
        height, width = x.shape[1:3]
        widths = self._widths(height, width)
        check_widths(features=widths)
        halvings = len(widths) - 1 if self.num_halvings is None else self.num_halvings
        if not 0 <= halvings <= len(widths):
            raise SizeError(
                f"num_halvings is {halvings}, expected 0 to the number of blocks, {len(widths)}"
            )
        coarsest(height, width, halvings, type(self).__name__)
        check_attention(self.attention, [height >> i for i in range(1, halvings + 1)])
        options = {
            "spectral_norm": self.spectral_norm,
            "kernel_init": self.kernel_init,
            "dtype": self.dtype,
        }
        for i, features in enumerate(widths):
            hidden = features if self.wide or i == 0 else x.shape[-1]
            block = DownBlock(features, hidden, first=i == 0, halve=i < halvings, **options)
            x = block(x, train=train)
            if x.shape[1] == self.attention and i < halvings:
                x = SelfAttention(**options)(x, train=train)
        h = jnp.sum(jax.nn.relu(x).astype(jnp.float32), axis=(1, 2))
        head = ProjectionHead(self.num_classes, self.spectral_norm, self.kernel_init)
        logits = head(h, label, train=train)
        return (logits, h) if self.with_features else logits

    def _widths(self, height: int, width: int) -> list[int]:
        if not isinstance(self.features, int):
            return list(self.features)
        levels = num_levels(height, width, type(self).__name__)
        widths = [self.features * min(1 << level, WIDEST) for level in range(levels)]
        return [*widths, widths[-1]]
