"""Networks of FastGAN, a lightweight GAN for few images: skip-layer excitation.

Liu, Zhu, Song and Elgammal, *Towards Faster and Stabilized GAN Training for High-fidelity Few-shot
Image Synthesis*, 2021, https://arxiv.org/abs/2101.04775.

    gan(FastGANGenerator(...), FastGANDiscriminator(...), loss=losses.hinge(),
        penalty=penalties.reconstruction(), augment=augment.diff_augment(), ...)

The layers are the paper's; the numbers of channels follow the rule of the other networks here.
"""

import math
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan import ops
from jaxgan.errors import SizeError
from jaxgan.networks.dcgan import num_levels
from jaxgan.networks.gated import Decoder, GatedConv, SkipExcitation, gated, spectral_conv
from jaxgan.networks.layers import (
    DCGAN_KERNEL_INIT,
    BatchNorm,
    check_used,
    check_widths,
    checked_label,
    doubled_widths,
)
from jaxgan.networks.mlp import leaky_relu
from jaxgan.networks.spectral import applied
from jaxgan.parallel import axis
from jaxgan.types import Array

LEVELS_OF_A_SKIP = 4  # from 4 pixels to 64, from 8 to 128, from 16 to 256
LARGEST_MAP = 8  # on which the discriminator decides


class FastGANGenerator(nn.Module):
    """Generator of FastGAN: convolutions, gated linear units, and skip-layer excitation.

    Every resolution is doubled from the one below by a convolution; every second one, from the
    first, has another convolution and noise. The channels of a map are scaled by factors in (0, 1)
    that are computed from the map four levels below (the coarsest one, if there are fewer levels).

    Attributes:
      image_shape: `(height, width, channels)`.
      features: channels of the finest map; each coarser one has twice as many.
      max_features: maximum number of channels.
      num_classes: number of classes, or `None` for an unconditional network; an embedding of the
        label is concatenated to the latent.
      dtype: dtype of the computation; parameters and output are float32.

    Example:
      >>> generator = FastGANGenerator((64, 64, 3), features=16)
      >>> run = partial(generator.init_with_output, train=False)
      >>> images, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 256)))
      >>> images.shape
      (8, 64, 64, 3)
    """

    image_shape: tuple[int, int, int]
    features: int = 32
    max_features: int = 512
    num_classes: int | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None, *, train: bool) -> Array:
        """`z [batch, latent]`, `label int[batch] -> [batch, *image_shape]`, in [-1, 1] by tanh."""
        check_widths(latent=z.shape[-1], features=self.features)
        height, width, channels = self.image_shape
        levels = num_levels(height, width, "FastGAN")
        widths = doubled_widths(self.features, levels, self.max_features)[::-1]
        check_used(label, self.num_classes)
        if self.num_classes is not None:
            embed = nn.Embed(self.num_classes, z.shape[-1])
            z = jnp.concatenate([z, embed(checked_label(label, self.num_classes))], axis=1)

        base = (height >> levels, width >> levels, 2 * widths[0])
        dense = nn.Dense(
            math.prod(base), use_bias=False, kernel_init=DCGAN_KERNEL_INIT, dtype=self.dtype
        )
        x = applied(dense, z, spectral_norm=True, train=train).reshape(-1, *base)
        maps = [gated(BatchNorm(dtype=self.dtype)(x, train=train))]
        for level in range(1, levels + 1):
            x = ops.nearest(maps[-1])
            x = GatedConv(widths[level], noise=level % 2 == 1, dtype=self.dtype)(x, train=train)
            if level % 2 == 1:
                x = GatedConv(widths[level], noise=True, dtype=self.dtype)(x, train=train)
            below = level - min(LEVELS_OF_A_SKIP, levels)
            if below >= 0:
                skip = SkipExcitation(widths[level], 1 << below, dtype=self.dtype)
                x = x * skip(maps[below], train=train)
            maps.append(x)
        x = spectral_conv(maps[-1], channels, (3, 3), dtype=self.dtype, train=train)
        return jnp.tanh(x.astype(jnp.float32))


class FastGANDiscriminator(nn.Module):
    """Discriminator of FastGAN: residual blocks that halve the sides to at most 8, and decoders.

    It learns to decode what it sees: the image, from the last map, and a random quadrant of it,
    from that quadrant of the map before. `penalties.reconstruction()` compares what it decodes of
    real images with what it saw, the augmented images, at the decoders' resolution.

    Attributes:
      features: channels of the finest map; each coarser one has twice as many.
      max_features: maximum number of channels.
      num_classes: number of classes, or `None` for an unconditional network; the inner product of
        the label's embedding and the mean of the last map is added to the logits.
      dtype: dtype of the computation; parameters and outputs are float32.

    Example:
      >>> run = partial(FastGANDiscriminator(features=16).init_with_output, train=False)
      >>> (logits, features), _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 64, 64, 3)))
      >>> logits.shape
      (8, 5, 5)
    """

    features: int = 32
    max_features: int = 512
    num_classes: int | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, label: Array | None = None, *, train: bool
    ) -> tuple[Array, dict[str, list[tuple[Array, Array]]]]:
        """`x [batch, height, width, channels]`, `label int[batch] -> (logits, features)`.

        Returns:
          Logits `[batch, rows, columns]`, one per square of 4 x 4 positions of the last map; and
          `{"reconstructions": [(decoded, image), (decoded, image)]}` of images and of quadrants.
        """
        check_widths(features=self.features)
        levels = self._levels(*x.shape[1:3])
        widths = doubled_widths(self.features, levels, self.max_features)
        y = leaky_relu(spectral_conv(x, widths[0], (3, 3), dtype=self.dtype, train=train))
        for level in range(1, levels + 1):
            before = y
            y = FastGANBlock(widths[level], dtype=self.dtype)(y, train=train)

        quadrant = self._quadrants(x.shape[0], train)
        decoder = partial(Decoder, x.shape[3], self.features, dtype=self.dtype)
        doublings = min(levels, LEVELS_OF_A_SKIP)
        whole = decoder(doublings)(y, train=train)
        part = decoder(min(levels - 1, LEVELS_OF_A_SKIP))(_cropped(before, quadrant), train=train)
        images = [_shrunk(x, whole), _shrunk(_cropped(x, quadrant), part)]
        features = {"reconstructions": list(zip((whole, part), images, strict=True))}

        h = spectral_conv(y, widths[-1], (1, 1), dtype=self.dtype, train=train)
        h = leaky_relu(BatchNorm(dtype=self.dtype)(h, train=train))
        logits = spectral_conv(h, 1, (4, 4), padding="VALID", dtype=self.dtype, train=train)
        logits = logits[..., 0].astype(jnp.float32)
        check_used(label, self.num_classes)
        if self.num_classes is not None:
            embedded = nn.Embed(self.num_classes, h.shape[-1])(
                checked_label(label, self.num_classes)
            )
            mean = jnp.mean(h.astype(jnp.float32), axis=(1, 2))
            logits += jnp.sum(embedded * mean, axis=1)[:, None, None]
        return logits, features

    def _levels(self, height: int, width: int) -> int:
        num_levels(height, width, "FastGAN")  # refuses sides that do not halve
        levels = 1
        while max(height, width) >> levels > LARGEST_MAP:
            levels += 1
        if min(height, width) >> levels < 4:
            raise SizeError(
                f"FastGAN was given images of {height} x {width}, whose last map would be less "
                "than 4 pixels high or wide; expected sides that differ less"
            )
        return levels

    def _quadrants(self, n: int, train: bool) -> Array:
        """Row and column of a random quadrant per example, `[n, 2]`; the first in evaluation."""
        if not train:
            return jnp.zeros((n, 2), jnp.int32)
        keys = axis.example_keys(self.make_rng("quadrant"), n)
        return jax.vmap(lambda key: jax.random.randint(key, (2,), 0, 2))(keys)


class FastGANBlock(nn.Module):
    """Residual block that halves the sides: the mean of two convolutions and of a pooled one.

    Attributes:
      features: number of output channels.
      dtype: dtype of the computation; parameters are float32.
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """`[batch, height, width, any] -> [batch, height / 2, width / 2, features]`."""
        norm = lambda x: leaky_relu(BatchNorm(dtype=self.dtype)(x, train=train))
        conv = partial(spectral_conv, features=self.features, dtype=self.dtype, train=train)
        y = norm(conv(x, kernel_size=(4, 4), stride=2))
        y = norm(conv(y, kernel_size=(3, 3)))
        return 0.5 * (y + norm(conv(ops.average_pool(x), kernel_size=(1, 1))))


def _cropped(x: Array, quadrant: Array) -> Array:
    """One quadrant of each image, `[batch, height / 2, width / 2, channels]`."""
    n, height, width, channels = x.shape
    parts = x.reshape(n, 2, height // 2, 2, width // 2, channels)
    return jax.vmap(lambda part, q: part[q[0], :, q[1]])(parts, quadrant)


def _shrunk(x: Array, decoded: Array) -> Array:
    """The images at the resolution at which they are decoded."""
    return ops.average_pool(x, x.shape[1] // decoded.shape[1])
