"""Residual blocks that double or halve the sides of images: those of SNGAN, SAGAN and BigGAN."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan import ops
from jaxgan.errors import SizeError
from jaxgan.networks.conditioning import ConditionalBatchNorm
from jaxgan.networks.dcgan import num_levels
from jaxgan.networks.layers import BatchNorm, Conv
from jaxgan.networks.spectral import applied
from jaxgan.types import Array

GLOROT = nn.initializers.glorot_uniform()
GLOROT_RELU = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")
WIDEST = 16  # maximum width as a multiple of the finest layer's channels


class UpBlock(nn.Module):
    """Residual block of a generator, which doubles the sides by nearest-neighbour upsampling.

    Normalisation, ReLU, doubling, 3 x 3 convolution, normalisation, ReLU, 3 x 3 convolution; the
    shortcut is doubled and goes through a 1 x 1 convolution.

    Attributes:
      features: number of output channels.
      spectral_norm: whether the convolutions are spectrally normalised.
      condition_spectral_norm: whether the scales and biases of conditional batch normalisation are,
        as in BigGAN.
      kernel_init: initialiser of the 3 x 3 convolutions.
      shortcut_init: initialiser of the 1 x 1 convolution.
      condition_init: initialiser of conditional batch normalisation.
      dtype: dtype of the computation; parameters are float32.
    """

    features: int
    spectral_norm: bool = False
    condition_spectral_norm: bool = False
    kernel_init: Any = GLOROT_RELU
    shortcut_init: Any = GLOROT
    condition_init: Any = nn.initializers.zeros
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None, *, train: bool) -> Array:
        """`x [batch, h, w, any]`, `condition [batch, dim] -> [batch, 2 h, 2 w, features]`."""
        apply = partial(applied, spectral_norm=self.spectral_norm, train=train)
        conv = partial(Conv, self.features, dtype=self.dtype)

        def activated(x: Array) -> Array:
            if condition is None:
                return jax.nn.relu(BatchNorm(dtype=self.dtype)(x, train=train))
            norm = ConditionalBatchNorm(
                self.condition_init, self.condition_spectral_norm, self.dtype
            )
            return jax.nn.relu(norm(x, condition, train=train))

        y = ops.nearest(activated(x))
        y = apply(conv((3, 3), kernel_init=self.kernel_init), y)
        y = apply(conv((3, 3), kernel_init=self.kernel_init), activated(y))
        # A 1 x 1 convolution commutes with nearest-neighbour upsampling.
        return y + ops.nearest(apply(conv((1, 1), kernel_init=self.shortcut_init), x))


class DownBlock(nn.Module):
    """Residual block of a discriminator, which halves the sides by average pooling, or keeps them.

    ReLU, 3 x 3 convolution, ReLU, 3 x 3 convolution, mean; the shortcut goes through a 1 x 1
    convolution, unless sides and width stay. The first block of a network has no first ReLU.

    Attributes:
      features: number of output channels.
      hidden: number of channels between the convolutions.
      first: whether the input is the image.
      halve: whether the sides are halved.
      spectral_norm: whether the convolutions are spectrally normalised.
      kernel_init: initialiser of the convolutions.
      dtype: dtype of the computation; parameters are float32.
    """

    features: int
    hidden: int
    first: bool = False
    halve: bool = True
    spectral_norm: bool = True
    kernel_init: Any = GLOROT
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """`[batch, h, w, any] -> [batch, h / 2, w / 2, features]`, or the same sides."""
        apply = partial(applied, spectral_norm=self.spectral_norm, train=train)
        conv = partial(Conv, kernel_init=self.kernel_init, dtype=self.dtype)
        pooled = ops.average_pool if self.halve else lambda x: x

        y = apply(conv(self.hidden, (3, 3)), x if self.first else jax.nn.relu(x))
        y = pooled(apply(conv(self.features, (3, 3)), jax.nn.relu(y)))
        if self.halve or x.shape[-1] != self.features:
            x = apply(conv(self.features, (1, 1)), pooled(x))  # it commutes with means
        return x + y


def generator_widths(
    image_shape: tuple[int, int, int], features: int | Sequence[int], network: str
) -> list[int]:
    """Channels of the coarsest map and of every block: those given, or doubled from the finest.

    Raises:
      SizeError: `features` is a number, and the sides are not 4 to 7 times a power of two; or there
        are fewer than two.
    """
    if not isinstance(features, int):
        if len(features) < 2:
            raise SizeError(
                f"{network} was given the features {tuple(features)}, expected those of the "
                "coarsest map and of at least one block"
            )
        return list(features)
    levels = num_levels(*image_shape[:2], network)
    widths = [features * min(1 << level, WIDEST) for level in reversed(range(levels))]
    return [widths[0], *widths]


def coarsest(height: int, width: int, halvings: int, network: str) -> tuple[int, int]:
    """Sides of the coarsest map.

    Raises:
      SizeError: the sides cannot be halved that many times.
    """
    step = 1 << halvings
    if height % step or width % step:
        raise SizeError(
            f"{network} was given images of {height} x {width}, which its blocks halve {halvings} "
            f"times; expected sides that {step} divides: resize the images, or take fewer blocks"
        )
    return height // step, width // step


def check_attention(attention: int | None, heights: Sequence[int]) -> None:
    """Raises `SizeError` if self-attention is asked for at a height that no map has."""
    if attention is not None and attention not in heights:
        raise SizeError(
            f"attention is {attention}, expected the height of a map between blocks: one of "
            f"{', '.join(map(str, heights))}"
        )
