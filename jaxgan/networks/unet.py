"""U-Net generator of pix2pix, for image-to-image translation.

Isola et al., *Image-to-Image Translation with Conditional Adversarial Networks*, 2017,
https://arxiv.org/abs/1611.07004, section 3.2.1 and appendix 6.1.1.
"""

from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import SizeError
from jaxgan.networks.layers import (
    DCGAN_KERNEL_INIT,
    DCGAN_SCALE_INIT,
    Conv,
    ConvTranspose,
    Dropout,
    check_widths,
    normalized,
)
from jaxgan.networks.mlp import leaky_relu
from jaxgan.types import Array

WIDEST = 8  # maximum width as a multiple of the first layer's channels
WITHOUT_DROPOUT = 5  # the outer four levels and the innermost one


class UNetGenerator(nn.Module):
    """U-Net generator: images to images of the same size, with skip connections at every level.

    4 x 4 convolutions of stride 2 down to one pixel (for images of `2^num_levels` pixels), and
    transposed convolutions back up, each of which takes the output of its level on the way down as
    additional input. Dropout on the way up is the noise of pix2pix: as in the PyTorch code of the
    authors, in the levels of full width but the innermost, so in three of 8 levels, in one of 6,
    and in none of 5. (Their first code, in Lua, has it in the innermost three.) With 8 levels, 64
    features and 3 input and output channels it has 54 413 955 parameters.

    Attributes:
      channels: number of output channels.
      features: channels at half resolution; they double per level, up to eight times as many.
      num_levels: number of times that the size is halved; if `None`, down to one pixel of the
        shorter side (8 for 256 pixels).
      dropout: dropout rate in the inner levels, in [0, 1).
      norm: `batch` normalisation as in pix2pix (equal to instance normalisation at batch size 1),
        `instance` normalisation, or `none`.
      dtype: dtype of the computation; parameters and output are float32.

    Example:
      >>> run = partial(UNetGenerator(features=32, num_levels=4).init_with_output, train=False)
      >>> outputs, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 64, 64, 1)))
      >>> outputs.shape
      (1, 64, 64, 3)
    """

    channels: int = 3
    features: int = 64
    num_levels: int | None = None
    dropout: float = 0.5
    norm: Literal["batch", "instance", "none"] = "batch"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """`x [batch, height, width, any] -> [batch, height, width, channels]` in [-1, 1]."""
        levels = self.num_levels
        if levels is None:
            levels = max(min(x.shape[1:3]).bit_length() - 1, 1)
        check_widths(num_levels=levels)
        step = 1 << levels
        if x.shape[1] % step or x.shape[2] % step:
            raise SizeError(
                f"UNetGenerator was given images of {x.shape[1]} x {x.shape[2]}; expected sides "
                f"that {step} divides, for {levels} levels: resize the images, or take fewer levels"
            )
        make = partial(
            self._convolution, kernel_init=DCGAN_KERNEL_INIT, use_bias=self.norm != "batch"
        )
        down = partial(make, Conv, stride=2, padding=((1, 1), (1, 1)))
        up = partial(make, ConvTranspose)

        skips = []
        for level in range(levels):
            innermost = level == levels - 1
            x = down(self._width(level))(leaky_relu(x) if level else x)
            # A single pixel has no instance statistics.
            x = x if innermost or level == 0 else self._normalized(x, train)
            skips.append(x)
        for level in reversed(range(1, levels)):
            x = jax.nn.relu(
                x if level == levels - 1 else jnp.concatenate([x, skips[level]], axis=-1)
            )
            x = self._normalized(up(self._width(level - 1))(x), train)
            if 0 < levels - 1 - level <= levels - WITHOUT_DROPOUT:
                x = Dropout(self.dropout)(x, train=train)
        x = jax.nn.relu(jnp.concatenate([x, skips[0]], axis=-1) if levels > 1 else x)
        x = up(self.channels, use_bias=True)(x)
        return jnp.tanh(x.astype(jnp.float32))

    def _width(self, level: int) -> int:
        return self.features * min(1 << level, WIDEST)

    def _convolution(self, kind: Any, features: int, **more: Any) -> Any:
        return kind(features, (4, 4), dtype=self.dtype, **more)

    def _normalized(self, x: Array, train: bool) -> Array:
        return normalized(x, self.norm, scale_init=DCGAN_SCALE_INIT, dtype=self.dtype, train=train)
