"""PatchGAN discriminator of pix2pix and CycleGAN.

Isola et al., *Image-to-Image Translation with Conditional Adversarial Networks*, 2017,
https://arxiv.org/abs/1611.07004, section 3.2.2 and appendix 6.1.2.
"""

from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxgan.errors import SizeError
from jaxgan.networks.layers import (
    DCGAN_KERNEL_INIT,
    DCGAN_SCALE_INIT,
    Conv,
    normalized,
)
from jaxgan.networks.mlp import leaky_relu
from jaxgan.types import Array

WIDEST = 8  # maximum width as a multiple of the first layer's channels


class PatchDiscriminator(nn.Module):
    """PatchGAN discriminator: images to a map of logits, one per patch.

    4 x 4 convolutions: `num_layers` of stride 2 and two of stride 1, the last of which outputs the
    logits. The receptive field of a logit is 16, 34, 70, 142, 286 pixels wide for 1 to 5 layers.
    With 0 layers all convolutions are 1 x 1, and the receptive field is one pixel.

    Attributes:
      features: channels of the first layer; they double per layer, up to eight times as many.
      num_layers: number of convolutions of stride 2; 3 is the papers' "70 x 70".
      norm: normalisation of all layers but the first and the last: `batch` as in pix2pix,
        `instance` as in CycleGAN, or `none`.
      dtype: dtype of the computation; parameters and output are float32.

    Example:
      >>> import jax
      >>> source = target = jnp.zeros((1, 256, 256, 3))
      >>> run = partial(PatchDiscriminator().init_with_output, train=False)
      >>> logits, _ = jax.eval_shape(run, jax.random.key(0), source, target)
      >>> logits.shape  # of overlapping patches of 70 x 70 pixels
      (1, 30, 30)
    """

    features: int = 64
    num_layers: int = 3
    norm: Literal["batch", "instance", "none"] = "batch"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, *images: Array, train: bool) -> Array:
        """`images [batch, height, width, any]`, joined by channels, `-> [batch, rows, columns]`.

        Raises:
          SizeError: the images are so small that there would be no patch.
        """
        if self.num_layers < 0:
            raise SizeError(f"num_layers is {self.num_layers}, expected at least 0")
        size, pad = (4, 1) if self.num_layers else (1, 0)
        conv = partial(
            Conv,
            kernel_size=(size, size),
            padding=((pad, pad), (pad, pad)),
            kernel_init=DCGAN_KERNEL_INIT,
            dtype=self.dtype,
        )
        # Before batch normalisation a bias has no effect.
        hidden = partial(conv, use_bias=self.norm != "batch")
        x = jnp.concatenate(images, axis=-1)
        x = leaky_relu(conv(self.features, stride=2 if self.num_layers else 1)(x))
        for level in range(1, max(self.num_layers, 1) + 1):
            width = self.features * min(1 << level, WIDEST)
            stride = 2 if level < self.num_layers else 1
            self._check_size(x, images[0])
            x = leaky_relu(self._normalized(hidden(width, stride=stride)(x), train))
        self._check_size(x, images[0])
        return conv(1)(x)[..., 0].astype(jnp.float32)

    def _check_size(self, x: Array, image: Array) -> None:
        if self.num_layers and min(x.shape[1:3]) < 2:
            height, width = image.shape[1:3]
            raise SizeError(
                f"{height} x {width} pixels are too few for a patch discriminator of "
                f"{self.num_layers} layers; choose fewer layers, or larger crops"
            )

    def _normalized(self, x: Array, train: bool) -> Array:
        return normalized(x, self.norm, scale_init=DCGAN_SCALE_INIT, dtype=self.dtype, train=train)
