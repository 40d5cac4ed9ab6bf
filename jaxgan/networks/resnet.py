"""ResNet generator of CycleGAN, for image-to-image translation.

Zhu et al., *Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks*, 2017,
https://arxiv.org/abs/1703.10593, appendix 7.2, after Johnson et al., *Perceptual Losses for
Real-Time Style Transfer and Super-Resolution*, 2016, https://arxiv.org/abs/1603.08155.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import SizeError
from jaxgan.networks.layers import DCGAN_KERNEL_INIT, Conv, ConvTranspose, InstanceNorm
from jaxgan.types import Array

NUM_HALVINGS = 2


class ResNetGenerator(nn.Module):
    """Residual generator: images to images of the same size.

    A 7 x 7 convolution, two of stride 2, residual blocks of two 3 x 3 convolutions, two transposed
    convolutions of stride 2, and a 7 x 7 convolution; instance normalisation after all but the
    last. The 7 x 7 convolutions and the blocks use reflection padding.

    Attributes:
      channels: number of output channels.
      features: channels at full resolution; twice as many at half resolution, four times in the
        residual blocks.
      num_blocks: number of residual blocks; in the paper 9 for images of 256 pixels and more, and
        6 below.
      dtype: dtype of the computation; parameters and output are float32.

    Example:
      >>> generator = ResNetGenerator(features=32, num_blocks=6)
      >>> run = generator.init_with_output
      >>> outputs, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 64, 64, 1)))
      >>> outputs.shape
      (1, 64, 64, 3)
    """

    channels: int = 3
    features: int = 64
    num_blocks: int = 9
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`x [batch, height, width, any] -> [batch, height, width, channels]` in [-1, 1]."""
        step = 1 << NUM_HALVINGS
        if x.shape[1] % step or x.shape[2] % step:
            raise SizeError(
                f"ResNetGenerator was given images of {x.shape[1]} x {x.shape[2]}; expected sides "
                f"that {step} divides: resize or pad the images"
            )
        conv = partial(Conv, padding="VALID", kernel_init=DCGAN_KERNEL_INIT, dtype=self.dtype)
        normalized = lambda x: InstanceNorm(dtype=self.dtype)(x)
        activated = lambda x: jax.nn.relu(normalized(x))

        x = activated(conv(self.features, (7, 7))(reflected(x, 3)))
        for level in range(1, NUM_HALVINGS + 1):
            down = conv(self.features << level, (3, 3), stride=2, padding=((1, 1), (1, 1)))
            x = activated(down(x))
        width = self.features << NUM_HALVINGS
        for _ in range(self.num_blocks):
            y = activated(conv(width, (3, 3))(reflected(x, 1)))
            x += normalized(conv(width, (3, 3))(reflected(y, 1)))
        for level in reversed(range(NUM_HALVINGS)):
            up = ConvTranspose(
                self.features << level,
                (3, 3),
                padding=((1, 2), (1, 2)),
                kernel_init=DCGAN_KERNEL_INIT,
                dtype=self.dtype,
            )
            x = activated(up(x))
        x = conv(self.channels, (7, 7))(reflected(x, 3))
        return jnp.tanh(x.astype(jnp.float32))


def reflected(x: Array, border: int) -> Array:
    """Reflection padding of `x` `[batch, height, width, channels]` by `border` pixels."""
    return jnp.pad(x, ((0, 0), (border, border), (border, border), (0, 0)), mode="reflect")
