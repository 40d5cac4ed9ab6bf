"""Gated convolutions with noise, decoders and skip-layer excitation: the layers of FastGAN.

Liu, Zhu, Song and Elgammal, *Towards Faster and Stabilized GAN Training for High-fidelity Few-shot
Image Synthesis*, 2021, https://arxiv.org/abs/2101.04775, section 3 and figures 3 and 4.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan import ops
from jaxgan.networks.layers import DCGAN_KERNEL_INIT, BatchNorm, Conv
from jaxgan.networks.mlp import leaky_relu
from jaxgan.networks.spectral import applied
from jaxgan.parallel import axis
from jaxgan.types import Array


class SkipExcitation(nn.Module):
    """Skip-layer excitation: factors in (0, 1) for the channels of a map, from a much coarser one.

    The coarse map is pooled to the base of the network, convolved over all of it to one pixel, and
    convolved once more, with a leaky ReLU between and a sigmoid at the end.

    Attributes:
      features: number of factors.
      pool: factor by which the map is pooled.
      dtype: dtype of the computation; parameters are float32.
    """

    features: int
    pool: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """`[batch, height, width, any] -> [batch, 1, 1, features]`."""
        x = ops.average_pool(x, self.pool)
        x = leaky_relu(
            spectral_conv(
                x,
                self.features,
                (x.shape[1], x.shape[2]),
                padding="VALID",
                dtype=self.dtype,
                train=train,
            )
        )
        return jax.nn.sigmoid(
            spectral_conv(x, self.features, (1, 1), dtype=self.dtype, train=train)
        )


class GatedConv(nn.Module):
    """3 x 3 convolution, noise of a learned strength, batch normalisation, gated linear unit.

    Attributes:
      features: number of output channels.
      noise: whether there is noise, in training: normal per example and pixel.
      norm: whether there is batch normalisation.
      dtype: dtype of the computation; parameters are float32.
    """

    features: int
    noise: bool = False
    norm: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """`[batch, height, width, any] -> [batch, height, width, features]`."""
        x = spectral_conv(x, 2 * self.features, (3, 3), dtype=self.dtype, train=train)
        if self.noise:
            strength = self.param("noise_strength", nn.initializers.zeros, ())
            if train:
                noise = axis.normal(self.make_rng("noise"), (*x.shape[:3], 1))
                x += (strength * noise).astype(x.dtype)
        return gated(BatchNorm(dtype=self.dtype)(x, train=train) if self.norm else x)


class Decoder(nn.Module):
    """Decoder of a map: doublings with convolutions and gated linear units, then the image.

    Without batch normalisation, whose running averages would mix real and generated images.

    Attributes:
      channels: channels of the image.
      features: channels of the finest map; each coarser one has twice as many.
      doublings: number of times that the sides are doubled.
      dtype: dtype of the computation; parameters and output are float32.
    """

    channels: int
    features: int
    doublings: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """`[batch, h, w, any] -> [batch, h 2^doublings, w 2^doublings, channels]`, in [-1, 1]."""
        for level in reversed(range(self.doublings)):
            conv = GatedConv(self.features << level, norm=False, dtype=self.dtype)
            x = conv(ops.nearest(x), train=train)
        x = spectral_conv(x, self.channels, (3, 3), dtype=self.dtype, train=train)
        return jnp.tanh(x.astype(jnp.float32))


def gated(x: Array) -> Array:
    """Gated linear unit: the first half of the channels, times the sigmoid of the second."""
    return jax.nn.glu(x, axis=-1)


def spectral_conv(
    x: Array,
    features: int,
    kernel_size: tuple[int, int],
    *,
    stride: int = 1,
    padding: str = "SAME",
    dtype: Any,
    train: bool,
) -> Array:
    """Convolution without a bias, spectrally normalised; called within a compact module."""
    layer = Conv(
        features,
        kernel_size,
        stride,
        padding,
        use_bias=False,
        kernel_init=DCGAN_KERNEL_INIT,
        dtype=dtype,
    )
    return applied(layer, x, spectral_norm=True, train=train)
