"""Networks of R3GAN: grouped residual blocks, without normalisation.

Huang, Gokaslan, Kuleshov and Tompkin, *The GAN is dead; long live the GAN! A Modern GAN Baseline*,
2024, https://arxiv.org/abs/2501.05441, section 4 and appendix.

    CIFAR-10    R3GANGenerator((32, 32, 3), features=768), R3GANDiscriminator(features=768)
    FFHQ-64     features=384
    FFHQ-256    features=96
    ImageNet    features=1536, max_features=1536, group_size=32, num_classes=1000

All of them have 64 latents.
"""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxgan import ops
from jaxgan.networks.conditioning import one_hot
from jaxgan.networks.dcgan import num_levels
from jaxgan.networks.layers import Conv, check_widths, doubled_widths
from jaxgan.networks.mlp import leaky_relu
from jaxgan.types import Array

NORMAL = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
EXPANSION = 2  # width of the grouped convolution as a multiple of the block's
GAIN = math.sqrt(2.0 / (1.0 + 0.2**2))  # of the leaky ReLU


class R3GANBlock(nn.Module):
    """Residual block of R3GAN: 1 x 1 to twice the width, grouped 3 x 3, 1 x 1 back.

    Biases and leaky ReLU follow the first two convolutions. The last starts at 0, and the first two
    with the variance of He et al. over the root of the number of blocks, as Fix-up initialisation
    has it for three layers: the network starts as its resampling, at any depth.

    Attributes:
      group_size: channels of a group.
      num_blocks: number of blocks of the whole network.
      dtype: dtype of the computation; parameters are float32.

    Reference:
      Zhang, Dauphin and Ma, *Fixup Initialization: Residual Learning Without Normalization*, 2019,
      https://arxiv.org/abs/1901.09321.
    """

    group_size: int
    num_blocks: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[batch, height, width, features] -> ` the same shape."""
        width = EXPANSION * x.shape[-1]
        variance = GAIN**2 / math.sqrt(self.num_blocks)
        init = nn.initializers.variance_scaling(variance, "fan_in", "normal")
        groups = max(width // self.group_size, 1)
        layer = {"kernel_init": init, "dtype": self.dtype}
        y = leaky_relu(Conv(width, (1, 1), **layer)(x))
        y = leaky_relu(Conv(width, (3, 3), groups=groups, **layer)(y))
        return x + _linear(x.shape[-1], nn.initializers.zeros, self.dtype)(y)


class R3GANGenerator(nn.Module):
    """Generator of R3GAN: a learned map scaled by the latent, and stages of residual blocks.

    Between stages, a 1 x 1 convolution changes the width, and bilinear upsampling doubles the
    sides. In training the output is linear, as in the authors' code; in evaluation it is clipped to
    [-1, 1], as their images are.

    Attributes:
      image_shape: `(height, width, channels)`.
      features: channels of the finest stage; each coarser one has twice as many.
      max_features: maximum number of channels of a stage.
      blocks: number of residual blocks per stage.
      group_size: channels of a group in the grouped convolutions.
      num_classes: number of classes, or `None` for an unconditional network; an embedding of the
        label, as wide as the latent, is appended to it.
      dtype: dtype of the computation; parameters and output are float32.

    Example:
      >>> from functools import partial
      >>> import jax
      >>> generator = R3GANGenerator((32, 32, 3), features=32, blocks=1)
      >>> run = partial(generator.init_with_output, train=False)
      >>> images, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 64)))
      >>> images.shape
      (8, 32, 32, 3)
    """

    image_shape: tuple[int, int, int]
    features: int = 96
    max_features: int = 768
    blocks: int = 2
    group_size: int = 16
    num_classes: int | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None, *, train: bool) -> Array:
        """`z [batch, latent]`, `label int[batch] -> [batch, *image_shape]`."""
        check_widths(latent=z.shape[-1], features=self.features, blocks=self.blocks)
        height, width, channels = self.image_shape
        widths = _widths(height, width, self.features, self.max_features)
        levels = len(widths) - 1
        condition = one_hot(label, self.num_classes)
        if condition is not None:
            z = jnp.concatenate([z, _dense(z.shape[-1], "embedding")(condition)], axis=1)

        shape = (height >> levels, width >> levels, widths[-1])
        basis = self.param("basis", nn.initializers.normal(1.0), shape)
        x = (basis[None] * _dense(widths[-1], "scale")(z)[:, None, None]).astype(self.dtype)
        for level in reversed(range(levels + 1)):
            if level < levels:
                x = ops.upsample(_to_width(x, widths[level], self.dtype))
            for _ in range(self.blocks):
                x = R3GANBlock(self.group_size, len(widths) * self.blocks, self.dtype)(x)
        x = _linear(channels, NORMAL, self.dtype)(x).astype(jnp.float32)
        return x if train else jnp.clip(x, -1.0, 1.0)


class R3GANDiscriminator(nn.Module):
    """Discriminator of R3GAN: the stages of its generator in reverse, with bilinear downsampling.

    The last map is multiplied by a learned one and summed over its positions; a dense layer makes
    the logit of the sums, or a vector whose inner product with the label's embedding is the logit.

    Attributes:
      features: channels of the finest stage; each coarser one has twice as many.
      max_features: maximum number of channels of a stage.
      blocks: number of residual blocks per stage.
      group_size: channels of a group in the grouped convolutions.
      num_classes: number of classes, or `None` for an unconditional network.
      dtype: dtype of the computation; parameters and output are float32.
      with_features: whether to return `(logits, features)`, with the head's input as features
        `[batch, width]`, for `with_head` and feature matching.

    Example:
      >>> import jax
      >>> run = R3GANDiscriminator(features=32, blocks=1).init_with_output
      >>> logits, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 32, 32, 3)))
      >>> logits.shape
      (8,)
    """

    features: int = 96
    max_features: int = 768
    blocks: int = 2
    group_size: int = 16
    num_classes: int | None = None
    dtype: Any = jnp.float32
    with_features: bool = False

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None) -> Any:
        """`x [batch, height, width, channels]`, `label int[batch] -> logits [batch]`."""
        check_widths(features=self.features, blocks=self.blocks)
        widths = _widths(x.shape[1], x.shape[2], self.features, self.max_features)
        x = _linear(widths[0], NORMAL, self.dtype)(x)
        for level in range(len(widths)):
            for _ in range(self.blocks):
                x = R3GANBlock(self.group_size, len(widths) * self.blocks, self.dtype)(x)
            if level + 1 < len(widths):
                x = _to_width(ops.downsample(x), widths[level + 1], self.dtype)
        x = x.astype(jnp.float32)
        positions = x.shape[1] * x.shape[2]
        init = nn.initializers.normal(1.0 / math.sqrt(positions))
        h = jnp.sum(x * self.param("basis", init, x.shape[1:])[None], axis=(1, 2))
        logits = self._logits(h, one_hot(label, self.num_classes))
        return (logits, h) if self.with_features else logits

    def _logits(self, h: Array, condition: Array | None) -> Array:
        if condition is None:
            return _dense(1, "logit")(h)[:, 0]
        width = h.shape[-1]
        embed = nn.Dense(
            width,
            use_bias=False,
            kernel_init=nn.initializers.variance_scaling(1.0 / width, "fan_in", "normal"),
            name="embedding",
        )
        return jnp.sum(_dense(width, "logit")(h) * embed(condition), axis=1)


def _widths(height: int, width: int, features: int, max_features: int) -> list[int]:
    """Channels of the stages, the finest first."""
    levels = num_levels(height, width, "R3GAN")
    return doubled_widths(features, levels, max_features)


def _to_width(x: Array, features: int, dtype: Any) -> Array:
    """A 1 x 1 convolution where the width changes; called within a compact module."""
    return x if x.shape[-1] == features else _linear(features, NORMAL, dtype)(x)


def _linear(features: int, init: Any, dtype: Any) -> Conv:
    return Conv(features, (1, 1), use_bias=False, kernel_init=init, dtype=dtype)


def _dense(features: int, name: str) -> nn.Dense:
    return nn.Dense(features, use_bias=False, kernel_init=NORMAL, name=name)
