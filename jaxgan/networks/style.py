"""Layers of StyleGAN2: equalised learning rates, and modulated convolution with noise.

Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, 2020,
https://arxiv.org/abs/1912.04958.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan import ops
from jaxgan.networks.layers import check_widths
from jaxgan.parallel import axis
from jaxgan.types import Array


def scaled_leaky_relu(x: Array) -> Array:
    """`sqrt(2) max(x, 0.2 x)`, which keeps the second moment of its input, roughly."""
    return math.sqrt(2.0) * jax.nn.leaky_relu(x, 0.2)


class EqualDense(nn.Module):
    """Dense layer with an equalised learning rate, `y = r (W x / sqrt(in) + b)`.

    The parameter W starts as `N(0, 1) / r` and is scaled where it is used, so that Adam's steps are
    of the same relative size in layers of all widths, and r times as large as others.

    Attributes:
      features: number of outputs.
      lr_multiplier: r; 0.01 in the mapping network.
      bias_init: initial value of the bias where it is used, `r b`.
      dtype: dtype of the computation; parameters are float32.

    Reference:
      Karras, Aila, Laine and Lehtinen, *Progressive Growing of GANs for Improved Quality,
      Stability, and Variation*, 2018, https://arxiv.org/abs/1710.10196, section 4.1.

    Example:
      >>> run = EqualDense(8).init_with_output
      >>> y, _ = jax.eval_shape(run, jax.random.key(0), jnp.ones((2, 4)))
      >>> y.shape
      (2, 8)
    """

    features: int
    lr_multiplier: float = 1.0
    bias_init: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[batch, in] -> [batch, features]`."""
        check_widths(features=self.features)
        rate = self.lr_multiplier
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0 / rate), shape)
        bias = self.param("bias", nn.initializers.constant(self.bias_init / rate), shape[1:])
        kernel = (kernel * (rate / math.sqrt(x.shape[-1]))).astype(self.dtype)
        return x.astype(self.dtype) @ kernel + (rate * bias).astype(self.dtype)[None]


class EqualConv(nn.Module):
    """Convolution with an equalised learning rate: a kernel `N(0, 1)`, over the root of its fan in.

    With `down`, the image is filtered by `ops.filtered`, and every second pixel is computed.

    Attributes:
      features: number of output channels.
      kernel_size: side of the kernel, odd.
      down: whether to halve the sides, which are then even.
      use_bias: whether to add a bias.
      dtype: dtype of the computation; parameters are float32.

    Example:
      >>> layer = EqualConv(8, down=True)
      >>> x = jnp.zeros((1, 16, 16, 3))
      >>> y, _ = jax.eval_shape(layer.init_with_output, jax.random.key(0), x)
      >>> y.shape
      (1, 8, 8, 8)
    """

    features: int
    kernel_size: int = 3
    down: bool = False
    use_bias: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[batch, height, width, in] -> [batch, out_height, out_width, features]`."""
        check_widths(features=self.features)
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        kernel = (kernel / math.sqrt(math.prod(shape[:3]))).astype(self.dtype)
        x = x.astype(self.dtype)
        border = self.kernel_size // 2
        if self.down:
            x = ops.filtered(x, padding=(border + 1, border + 1))
            x = ops.conv(x, kernel, stride=2, padding="VALID")
        else:
            x = ops.conv(x, kernel, padding=2 * ((border, border),))
        if not self.use_bias:
            return x
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return x + bias.astype(self.dtype).reshape(1, 1, 1, -1)


class StyleLayer(nn.Module):
    """Modulated 3 x 3 convolution, noise of a learned strength, bias, and leaky ReLU.

    Attributes:
      features: number of output channels.
      seed: seed of the noise in evaluation.
      up: whether the sides are doubled.
      dtype: dtype of the convolution; parameters are float32.
    """

    features: int
    seed: int
    up: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, w: Array, *, train: bool) -> Array:
        """`x [batch, h, w, in]`, `w [batch, style] -> [batch, out_h, out_w, features]`."""
        styles = EqualDense(x.shape[-1], bias_init=1.0)(w)
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        x = modulated_conv(x.astype(self.dtype), kernel, styles, up=self.up)
        strength = self.param("noise_strength", nn.initializers.zeros, ())
        x += (strength * self._noise(x, train)).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return scaled_leaky_relu(x + bias.astype(self.dtype).reshape(1, 1, 1, -1))

    def _noise(self, x: Array, train: bool) -> Array:
        """Normal noise per example and pixel; in evaluation the same map for all, always."""
        if not train:
            return jax.random.normal(jax.random.key(self.seed), (*x.shape[1:3], 1))[None]
        return axis.normal(self.make_rng("noise"), (*x.shape[:3], 1))


class ToImage(nn.Module):
    """Modulated 1 x 1 convolution to the image's channels, without demodulation.

    Attributes:
      channels: channels of the image.
      dtype: dtype of the convolution; parameters and output are float32.
    """

    channels: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, w: Array) -> Array:
        """`x [batch, h, w, in]`, `w [batch, style] -> [batch, h, w, channels]`."""
        styles = EqualDense(x.shape[-1], bias_init=1.0)(w) / math.sqrt(x.shape[-1])
        shape = (1, 1, x.shape[-1], self.channels)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        y = modulated_conv(x.astype(self.dtype), kernel, styles, demodulate=False)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        return y.astype(jnp.float32) + bias.reshape(1, 1, 1, -1)


def modulated_conv(
    x: Array, kernel: Array, styles: Array, *, demodulate: bool = True, up: bool = False
) -> Array:
    """Convolution with a kernel per example: modulated by a style, and normalised.

    The kernel of example n is `w'_{k,i,o} = s_{n,i} w_{k,i,o}`; demodulated,
    `w' / sqrt(sum_{k,i} w'^2 + 1e-8)`. Computed as one convolution with the common kernel, by
    scaling input and output channels, which is the same.

    Args:
      x: `[batch, height, width, in]`.
      kernel: `[taps, taps, in, out]`, of 1, 3 or 5 taps.
      styles: s, `[batch, in]`.
      demodulate: whether to normalise.
      up: whether to double the sides: a transposed convolution, and `ops.filtered`.

    Returns:
      `[batch, out_height, out_width, out]`.

    Reference:
      Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, 2020,
      https://arxiv.org/abs/1912.04958, section 2.2, eq. 1 and 3.

    Example:
      >>> x, kernel, styles = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 5)), jnp.ones((2, 3))
      >>> modulated_conv(x, kernel, styles).shape
      (2, 8, 8, 5)
    """
    x = x * styles[:, None, None].astype(x.dtype)
    taps = kernel.shape[0]
    border = taps // 2
    if up:
        pads = 2 * ((taps - 1, taps - 1),)
        y = ops.conv_transpose(x, kernel.astype(x.dtype), stride=2, padding=pads)
        y = 4.0 * ops.filtered(y, padding=(2 - border, 2 - border))
    else:
        y = ops.conv(x, kernel.astype(x.dtype), padding=2 * ((border, border),))
    if demodulate:
        energy = jnp.sum(ops.at_least_float32(kernel) ** 2, axis=(0, 1))
        scale = jax.lax.rsqrt(ops.at_least_float32(styles) ** 2 @ energy + 1e-8)
        y = y * scale[:, None, None].astype(y.dtype)
    return y
