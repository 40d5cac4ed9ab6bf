"""Networks of StyleGAN2: mapping network, skip generator, residual discriminator.

Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, 2020,
https://arxiv.org/abs/1912.04958; Karras et al., *Training Generative Adversarial Networks with
Limited Data*, 2020, https://arxiv.org/abs/2006.06676, for the sizes.

    FFHQ-256    the defaults, with 512 latents, and group_size=8
    CIFAR-10    features=512, mapping_layers=2, style_mixing=0; group_size=32, residual=False
"""

import itertools
import math
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan import ops
from jaxgan.errors import SizeError
from jaxgan.networks.conditioning import one_hot
from jaxgan.networks.dcgan import num_levels
from jaxgan.networks.layers import check_used, check_widths, doubled_widths
from jaxgan.networks.minibatch import minibatch_stddev
from jaxgan.networks.style import EqualConv, EqualDense, StyleLayer, ToImage, scaled_leaky_relu
from jaxgan.parallel import axis
from jaxgan.types import Array

DECAY = 0.995  # of the average of w
MAPPING_RATE = 0.01  # learning rate of the mapping network, relative to the others


class MappingNetwork(nn.Module):
    """Mapping network: dense layers from the latent, or from a label's embedding, to the style w.

    Latent and embedding are divided by the root of their mean square, and concatenated.

    Attributes:
      features: width of all layers and of w.
      num_layers: number of layers.
      num_classes: number of classes, or `None` for an unconditional network.

    Example:
      >>> mapping = MappingNetwork(features=64, num_layers=2)
      >>> w, _ = jax.eval_shape(mapping.init_with_output, jax.random.key(0), jnp.ones((8, 64)))
      >>> w.shape
      (8, 64)
    """

    features: int = 512
    num_layers: int = 8
    num_classes: int | None = None

    @nn.compact
    def __call__(self, z: Array | None, label: Array | None = None) -> Array:
        """`z [batch, latent]` or `None`, `label int[batch] -> w [batch, features]`, float32."""
        check_widths(features=self.features, num_layers=self.num_layers)
        inputs = [] if z is None else [_normalized(z)]
        condition = one_hot(label, self.num_classes)
        if condition is not None:
            inputs.append(_normalized(EqualDense(self.features)(condition)))
        x = jnp.concatenate(inputs, axis=1)
        for _ in range(self.num_layers):
            x = scaled_leaky_relu(EqualDense(self.features, MAPPING_RATE)(x))
        return x


class StyleGAN2Generator(nn.Module):
    """Skip generator of StyleGAN2: a learned map, and modulated convolutions at every resolution.

    Every resolution has two modulated convolutions (the coarsest one) and adds its image to that of
    the coarser ones, upsampled. In training, noise and style mixing have keys per example; the
    running mean of w is model state. In evaluation the noise is a constant map per layer, and w is
    moved towards its mean (truncation). The image is linear in training, as in the authors' code,
    and clipped to [-1, 1] in evaluation, as their images are.

    Attributes:
      image_shape: `(height, width, channels)`.
      features: channels at the finest resolution; each coarser one has twice as many.
      max_features: maximum number of channels.
      style: width of w and of the mapping network.
      mapping_layers: number of layers of the mapping network.
      style_mixing: probability, in [0, 1], that an example's layers from a random one on have the
        style of a second, normally distributed latent. (The authors' code draws once per
        minibatch.)
      truncation: psi in `mean + psi (w - mean)`, in evaluation; 1 for none.
      num_classes: number of classes, or `None` for an unconditional network.
      dtype: dtype of the convolutions; parameters, w and output are float32.
      inputs: `w` for the synthesis network alone, with the parameters of the whole: its inputs are
        styles `[batch, style]`, or one per layer, `[batch, layers, style]` (W+ in the literature),
        which `MappingNetwork` makes of latents.

    Example:
      >>> generator = StyleGAN2Generator((32, 32, 3), features=16, style=64, mapping_layers=2)
      >>> run = partial(generator.init_with_output, train=False)
      >>> images, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 64)))
      >>> images.shape
      (8, 32, 32, 3)
    """

    image_shape: tuple[int, int, int]
    features: int = 64
    max_features: int = 512
    style: int = 512
    mapping_layers: int = 8
    style_mixing: float = 0.9
    truncation: float = 1.0
    num_classes: int | None = None
    dtype: Any = jnp.float32
    inputs: Literal["z", "w"] = "z"

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None, *, train: bool) -> Array:
        """`z [batch, latent]`, `label int[batch] -> [batch, *image_shape]`."""
        check_widths(latent=z.shape[-1], features=self.features)
        if not 0.0 <= self.style_mixing <= 1.0:
            raise SizeError(f"style_mixing is {self.style_mixing}, expected one in [0, 1]")
        height, width, channels = self.image_shape
        widths = _widths(height, width, self.features, self.max_features)
        levels = len(widths) - 1
        styles = iter(self._styles(z, label, 2 * levels + 2, train))

        shape = (height >> levels, width >> levels, widths[-1])
        x = self.param("constant", nn.initializers.normal(1.0), shape)
        x = jnp.broadcast_to(x.astype(self.dtype), (z.shape[0], *shape))
        image = jnp.zeros((), jnp.float32)
        style = next(styles)
        for level in reversed(range(levels + 1)):
            layer = partial(StyleLayer, widths[level], dtype=self.dtype)
            if level < levels:
                x = layer(2 * level + 1, up=True)(x, style, train=train)
                image, style = ops.upsample(image), next(styles)
            x = layer(2 * level)(x, style, train=train)
            style = next(styles)
            image += ToImage(channels, dtype=self.dtype)(x, style)
        return image if train else jnp.clip(image, -1.0, 1.0)

    def _styles(self, z: Array, label: Array | None, count: int, train: bool) -> list[Array]:
        """The styles of `count` layers, each `[batch, style]`."""
        if self.inputs == "w":
            return self._given(z, count)
        mapping = MappingNetwork(self.style, self.mapping_layers, self.num_classes)
        w = mapping(z, label)
        mean = self.variable("averages", "w", jnp.zeros, (self.style,))
        if not train:
            return count * [mean.value[None] + self.truncation * (w - mean.value[None])]
        if self.is_mutable_collection("averages"):
            batch_mean = axis.mean(jnp.mean(jax.lax.stop_gradient(w), axis=0))
            mean.value += (1.0 - DECAY) * (batch_mean - mean.value)
        if self.style_mixing == 0.0:
            return count * [w]
        keys = axis.example_keys(self.make_rng("mixing"), z.shape[0])
        z, first = jax.vmap(lambda key: self._mixing(key, z.shape[1:], count))(keys)
        other = mapping(z, label)
        return [jnp.where((i < first)[:, None], w, other) for i in range(count)]

    def _given(self, w: Array, count: int) -> list[Array]:
        if w.shape[1:] not in ((self.style,), (count, self.style)):
            raise SizeError(
                f"StyleGAN2 was given styles of the shape {w.shape}, expected "
                f"[batch, {self.style}] or [batch, {count}, {self.style}]"
            )
        return count * [w] if w.ndim == 2 else [w[:, i] for i in range(count)]

    def _mixing(self, key: Array, shape: tuple[int, ...], count: int) -> tuple[Array, Array]:
        """A second latent of an example, and the first layer that has its style."""
        key_z, key_first, key_mixed = jax.random.split(key, 3)
        first = jax.random.randint(key_first, (), 1, count)
        mixed = jax.random.bernoulli(key_mixed, self.style_mixing)
        return jax.random.normal(key_z, shape), jnp.where(mixed, first, count)


class StyleGAN2Discriminator(nn.Module):
    """Residual discriminator of StyleGAN2, with the minibatch standard deviation.

    With classes, the logit is the inner product of a vector and the mapped label.

    Attributes:
      features: channels at the finest resolution; each coarser one has twice as many.
      max_features: maximum number of channels.
      group_size: examples in a group of `minibatch_stddev`.
      residual: whether there are shortcuts; none for CIFAR-10 in the authors' code.
      mapping_layers: number of layers of the label's mapping network.
      num_classes: number of classes, or `None` for an unconditional network.
      dtype: dtype of the convolutions but the last; parameters and output are float32.
      with_features: whether to return `(logits, features)`, with the head's input as features
        `[batch, width]`, for `with_head` and feature matching.

    Example:
      >>> run = StyleGAN2Discriminator(features=16).init_with_output
      >>> logits, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 32, 32, 3)))
      >>> logits.shape
      (8,)
    """

    features: int = 64
    max_features: int = 512
    group_size: int = 4
    residual: bool = True
    mapping_layers: int = 8
    num_classes: int | None = None
    dtype: Any = jnp.float32
    with_features: bool = False

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None) -> Any:
        """`x [batch, height, width, channels]`, `label int[batch] -> logits [batch]`."""
        check_widths(features=self.features, group_size=self.group_size)
        widths = _widths(x.shape[1], x.shape[2], self.features, self.max_features)
        x = scaled_leaky_relu(EqualConv(widths[0], 1, dtype=self.dtype)(x))
        for here, below in itertools.pairwise(widths):
            y = scaled_leaky_relu(EqualConv(here, dtype=self.dtype)(x))
            y = scaled_leaky_relu(EqualConv(below, down=True, dtype=self.dtype)(y))
            if self.residual:
                shortcut = EqualConv(below, 1, use_bias=False, dtype=self.dtype)
                y = (shortcut(ops.downsample(x)) + y) * math.sqrt(0.5)
            x = y
        x = minibatch_stddev(x.astype(jnp.float32), self.group_size)
        x = scaled_leaky_relu(EqualConv(widths[-1])(x))
        h = scaled_leaky_relu(EqualDense(widths[-1])(x.reshape(x.shape[0], -1)))
        logits = self._logits(h, label)
        return (logits, h) if self.with_features else logits

    def _logits(self, h: Array, label: Array | None) -> Array:
        check_used(label, self.num_classes)
        if self.num_classes is None:
            return EqualDense(1)(h)[:, 0]
        width = h.shape[-1]
        mapping = MappingNetwork(width, self.mapping_layers, self.num_classes)
        products = EqualDense(width)(h) * mapping(None, label)
        return jnp.sum(products, axis=1) / math.sqrt(width)


def _widths(height: int, width: int, features: int, max_features: int) -> list[int]:
    """Channels at every resolution, the finest first."""
    levels = num_levels(height, width, "StyleGAN2")
    return doubled_widths(features, levels, max_features)


def _normalized(x: Array) -> Array:
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=1, keepdims=True) + 1e-8)
