"""Random affine maps of colours."""

import jax.numpy as jnp
import numpy as np

from jaxgan.augment.draws import COLOR, Draw
from jaxgan.errors import SizeError
from jaxgan.types import Array

BRIGHTNESS_STD = 0.2
CONTRAST_STD = 0.5  # of the binary logarithm
SATURATION_STD = 1.0  # of the binary logarithm
AXIS = np.ones(3) / np.sqrt(3.0)  # of greys
LUMA = np.outer(AXIS, AXIS)
CHROMA = np.eye(3) - LUMA
TURN = np.cross(np.eye(3), AXIS)  # the cross product of the axis with a colour


def color_map(draws: dict[str, list[Draw]]) -> tuple[Array, Array]:
    """The composed map of colours `c -> linear c + offset`, `[3, 3]` and `[3]`.

    The order is that of the paper: brightness, contrast, inversion of luma, hue, saturation.
    """
    brightness, contrast, luma, hue, saturation = (draws[name][0] for name in COLOR)
    angle = jnp.pi * hue.uniform[0]
    linear = jnp.eye(3)
    for matrix in (
        jnp.exp2(CONTRAST_STD * contrast.normal[0]) * jnp.eye(3),
        jnp.eye(3) - 2.0 * LUMA * (luma.uniform[0] < 0.0),
        jnp.eye(3) + jnp.sin(angle) * TURN - (1.0 - jnp.cos(angle)) * CHROMA,
        jnp.eye(3) + (jnp.exp2(SATURATION_STD * saturation.normal[0]) - 1.0) * CHROMA,
    ):
        linear = jnp.matmul(matrix, linear, precision="highest")
    return linear, BRIGHTNESS_STD * brightness.normal[0] * jnp.sum(linear, axis=1)


def recolored(image: Array, linear: Array, offset: Array) -> Array:
    """The image with its colours mapped; of a grey image, the mean of the three channels.

    Args:
      image: `[height, width, channels]`, of 3 channels or 1.
      linear, offset: the map, `[3, 3]` and `[3]`.

    Raises:
      SizeError: the image has another number of channels.
    """
    if image.shape[-1] == 3:
        return jnp.einsum("hwc,dc->hwd", image, linear, precision="highest") + offset[None, None]
    if image.shape[-1] == 1:
        return jnp.sum(linear) / 3.0 * image + jnp.sum(offset) / 3.0
    raise SizeError(
        f"images of {image.shape[-1]} channels cannot be augmented in colour, expected 1 or 3; "
        f"leave {', '.join(COLOR)} out of the policy"
    )
