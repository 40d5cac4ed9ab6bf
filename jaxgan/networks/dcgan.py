"""DCGAN generator, discriminator and encoder, for sides that are 4 to 7 times a power of two.

Radford, Metz and Chintala, *Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks*, 2016, https://arxiv.org/abs/1511.06434.

The number of levels follows from the size: 28 is 7 doubled twice, 32 is 4 doubled three times, 64
is 4 doubled four times. The finest layer has `features` channels, each coarser layer twice as many
as the one before.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import SizeError
from jaxgan.networks.layers import (
    DCGAN_KERNEL_INIT,
    DCGAN_SCALE_INIT,
    BatchNorm,
    Conv,
    ConvTranspose,
    check_used,
    check_widths,
    checked_label,
)
from jaxgan.networks.mlp import leaky_relu
from jaxgan.types import Array

KERNEL = (4, 4)
LARGEST_BASE = 7


class DCGANGenerator(nn.Module):
    """DCGAN generator: one dense layer, then transposed convolutions of stride 2.

    Attributes:
      image_shape: `(height, width, channels)`.
      features: channels of the last hidden layer.
      batch_norm: whether every hidden layer has batch normalisation.
      num_classes: number of classes, or `None` for an unconditional network; an embedding of the
        label is concatenated to the latent.
      dtype: dtype of the computation; parameters and output are float32.
      output_activation: activation of the output; `None` for none, as for a VAE's logits.
      use_bias: whether layers add a bias; PyTorch's DCGAN has none.
      dense_features: width of a dense hidden layer between latent and maps, `16 * features` in
        InfoGAN's networks for MNIST; 0 for none. With it, units of dense layers are normalised one
        by one, as in its authors' code, and not by channels of the map that they become.

    Example:
      >>> generator = DCGANGenerator((32, 32, 3), features=64)
      >>> run = partial(generator.init_with_output, train=False)
      >>> images, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 100)))
      >>> images.shape
      (8, 32, 32, 3)
    """

    image_shape: tuple[int, int, int]
    features: int = 64
    batch_norm: bool = True
    num_classes: int | None = None
    dtype: Any = jnp.float32
    output_activation: Callable[[Array], Array] | None = jnp.tanh
    use_bias: bool = True
    dense_features: int = 0

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None, *, train: bool) -> Array:
        """`z [batch, latent]`, `label int[batch] -> [batch, *image_shape]`, in [-1, 1] by tanh."""
        check_widths(latent=z.shape[-1], features=self.features)
        height, width, channels = self.image_shape
        levels = num_levels(height, width)
        base = (height >> levels, width >> levels, self.features << (levels - 1))

        check_used(label, self.num_classes)
        if self.num_classes is not None:
            z = jnp.concatenate([z, _embedded(label, self.num_classes, z.shape[-1])], axis=-1)
        layer: dict[str, Any] = {
            "use_bias": self.use_bias,
            "kernel_init": DCGAN_KERNEL_INIT,
            "dtype": self.dtype,
        }
        if self.dense_features:
            z = self._normalized(nn.Dense(self.dense_features, **layer)(z), train)
        x = nn.Dense(math.prod(base), **layer)(z)
        if self.dense_features:
            x = self._normalized(x, train).reshape(-1, *base)
        else:
            x = self._normalized(x.reshape(-1, *base), train)
        for level in reversed(range(levels - 1)):
            x = ConvTranspose(self.features << level, KERNEL, **layer)(x)
            x = self._normalized(x, train)
        x = ConvTranspose(channels, KERNEL, **layer)(x)
        x = x.astype(jnp.float32)
        return x if self.output_activation is None else self.output_activation(x)

    def _normalized(self, x: Array, train: bool) -> Array:
        if self.batch_norm:
            x = BatchNorm(scale_init=DCGAN_SCALE_INIT, dtype=self.dtype)(x, train=train)
        return jax.nn.relu(x)


class DCGANDiscriminator(nn.Module):
    """DCGAN discriminator: convolutions of stride 2, then one dense layer to a logit.

    Attributes:
      features: channels of the first hidden layer.
      batch_norm: whether every hidden layer but the first has batch normalisation. Turn it off
        with a gradient penalty, which is defined per example.
      num_classes: number of classes, or `None` for an unconditional network. With classes, the
        inner product of the label's embedding and the features is added to the logit (Miyato and
        Koyama, *cGANs with Projection Discriminator*, 2018, https://arxiv.org/abs/1802.05637).
      dtype: dtype of the computation; parameters and output are float32.
      with_features: whether to return `(logits, features)`, with the dense layer's input as
        features `[batch, width]`, as `vae_gan` needs it.
      use_bias: whether layers add a bias; PyTorch's DCGAN has none.
      dense_features: width of a dense hidden layer after the maps, normalised like them; its output
        takes the place of the features. `16 * features` in InfoGAN's networks for MNIST; 0 for
        none.

    Example:
      >>> discriminator = DCGANDiscriminator(features=64, batch_norm=False)
      >>> run = partial(discriminator.init_with_output, train=False)
      >>> logits, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 32, 32, 3)))
      >>> logits.shape
      (8,)
    """

    features: int = 64
    batch_norm: bool = True
    num_classes: int | None = None
    dtype: Any = jnp.float32
    with_features: bool = False
    use_bias: bool = True
    dense_features: int = 0

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None, *, train: bool) -> Any:
        """`x [batch, height, width, channels]`, `label int[batch] -> logits [batch]`."""
        x = _halvings(x, self.features, self.batch_norm, self.dtype, train, self.use_bias)
        if self.dense_features:
            x = self._dense(x, train)
        logits = nn.Dense(1, use_bias=self.use_bias, kernel_init=DCGAN_KERNEL_INIT)(x)[:, 0]
        check_used(label, self.num_classes)
        if self.num_classes is not None:
            logits += jnp.sum(_embedded(label, self.num_classes, x.shape[-1]) * x, axis=-1)
        return (logits, x) if self.with_features else logits

    def _dense(self, x: Array, train: bool) -> Array:
        layer = {"kernel_init": DCGAN_KERNEL_INIT, "dtype": self.dtype}
        x = nn.Dense(self.dense_features, use_bias=self.use_bias, **layer)(x)
        if self.batch_norm:
            x = BatchNorm(scale_init=DCGAN_SCALE_INIT, dtype=self.dtype)(x, train=train)
        return leaky_relu(x).astype(jnp.float32)


class DCGANHead(nn.Module):
    """Auxiliary head of a normalised DCGAN discriminator: a dense hidden layer, then the outputs.

    InfoGAN's Q, for `with_head`: dense, batch normalisation, leaky ReLU, dense.

    Attributes:
      outputs: number of outputs, such as the `num_outputs` of `latents.Codes`.
      features: width of the hidden layer; 128 in the paper.
      dtype: dtype of the computation; parameters and output are float32.

    Reference:
      Chen et al., *InfoGAN: Interpretable Representation Learning by Information Maximizing
      Generative Adversarial Nets*, 2016, https://arxiv.org/abs/1606.03657, table 1.

    Example:
      >>> run = partial(DCGANHead(12).init_with_output, train=False)
      >>> outputs, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 1024)))
      >>> outputs.shape
      (8, 12)
    """

    outputs: int
    features: int = 128
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """`x [batch, width] -> [batch, outputs]`."""
        layer = partial(nn.Dense, kernel_init=DCGAN_KERNEL_INIT, dtype=self.dtype)
        x = layer(self.features)(x)
        x = BatchNorm(scale_init=DCGAN_SCALE_INIT, dtype=self.dtype)(x, train=train)
        return layer(self.outputs)(leaky_relu(x)).astype(jnp.float32)


class DCGANEncoder(nn.Module):
    """DCGAN encoder: the discriminator's convolutions, then one dense layer to any output shape.

    Attributes:
      output_shape: shape of one example's output: `(dim,)` for a code, `(2, dim)` for mean and
        log-variance, as `vae` needs it.
      features: channels of the first hidden layer.
      batch_norm: whether every hidden layer but the first has batch normalisation.
      dtype: dtype of the computation; parameters and output are float32.

    Example:
      >>> encoder = DCGANEncoder((2, 16), features=64)  # mean and log-variance of 16 dimensions
      >>> run = partial(encoder.init_with_output, train=False)
      >>> codes, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 28, 28, 1)))
      >>> codes.shape
      (8, 2, 16)
    """

    output_shape: Sequence[int]
    features: int = 64
    batch_norm: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """`x [batch, height, width, channels] -> [batch, *output_shape]`."""
        check_widths(output_shape=self.output_shape)
        x = _halvings(x, self.features, self.batch_norm, self.dtype, train)
        x = nn.Dense(math.prod(self.output_shape))(x)
        return x.reshape(x.shape[0], *self.output_shape)


def num_levels(height: int, width: int, network: str = "DCGAN") -> int:
    """Number of times an image size is halved until both sides are at most 7.

    Raises:
      SizeError: a side is not divisible by two that many times, or both are at most 7.
    """
    levels = 0
    while max(height, width) >> levels > LARGEST_BASE:
        levels += 1
    if levels == 0 or height % (1 << levels) or width % (1 << levels):
        raise SizeError(
            f"{network} was given images of {height} x {width}; expected sides that are 4 to 7 "
            "times a power of two (8, 28, 32, 48, 64, 96, 128, ...), or a shorter one that the "
            "power of the longer divides: resize the images"
        )
    return levels


def _halvings(
    x: Array, features: int, batch_norm: bool, dtype: Any, train: bool, use_bias: bool = True
) -> Array:
    """Convolutions of stride 2 down to the base, flattened; called within a compact module."""
    conv = partial(
        Conv,
        kernel_size=KERNEL,
        stride=2,
        use_bias=use_bias,
        kernel_init=DCGAN_KERNEL_INIT,
        dtype=dtype,
    )
    for level in range(num_levels(x.shape[1], x.shape[2])):
        x = conv(features << level)(x)
        if batch_norm and level > 0:
            x = BatchNorm(scale_init=DCGAN_SCALE_INIT, dtype=dtype)(x, train=train)
        x = leaky_relu(x)
    return x.reshape(x.shape[0], -1).astype(jnp.float32)


def _embedded(label: Array | None, num_classes: int, width: int) -> Array:
    """Learned embedding of the label, `[batch, width]`."""
    embed = nn.Embed(num_classes, width, embedding_init=DCGAN_KERNEL_INIT)
    return embed(checked_label(label, num_classes))
