"""Random affine maps of an image's plane, and resampling by them.

Points are `(x, y, 1)`, in pixels from the centre of the image, x to the right and y down. A map is
composed as its inverse, which takes a pixel of the result to the point of the image where its value
is read.
"""

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from jaxgan.augment.draws import Draw
from jaxgan.types import Array

LARGEST_SHIFT = 1 / 8  # of translations by whole pixels, relative to the side
SHIFT_STD = 1 / 8  # of other translations, relative to the side
SCALE_STD = 0.2  # of the binary logarithm


def inverse_affine(draws: dict[str, list[Draw]], height: int, width: int) -> Array:
    """Inverse of the composed transformations of an image, `[3, 3]`.

    The order is that of the paper: mirror image, rotation by 90 degrees, translation by whole
    pixels, scaling, rotation, scaling of one axis, rotation, translation.
    """
    sides = jnp.array([width, height], jnp.float32)
    flip, quarter, whole, scale, aniso, shift = (
        draws[name][0] for name in ("xflip", "rotate90", "xint", "scale", "aniso", "xfrac")
    )
    before, after = (_rotation(-jnp.pi * rotation.uniform[0]) for rotation in draws["rotate"])
    turns = quarter.happens * jnp.floor(2.0 * quarter.uniform[0])  # -2, -1, 0 or 1
    size, aspect = (jnp.exp2(-SCALE_STD * drawn.normal[0]) for drawn in (scale, aniso))
    inverse = jnp.eye(3)
    for matrix in (
        _scaling(jnp.where(flip.uniform[0] < 0.0, -1.0, 1.0), 1.0),
        jnp.round(_rotation(-0.5 * jnp.pi * turns)),
        _translation(-jnp.round(LARGEST_SHIFT * whole.uniform * sides)),
        _scaling(size, size),
        before,
        _scaling(aspect, 1.0 / aspect),
        after,
        _translation(-SHIFT_STD * shift.normal * sides),
    ):
        inverse = jnp.matmul(inverse, matrix, precision="highest")
    return inverse


def resampled(image: Array, inverse: Array) -> Array:
    """The image at the points to which the inverse map takes the pixels, bilinearly.

    Beyond its border the image is mirrored, about the centres of the outermost pixels. A map of
    pixels onto pixels moves values without changing them.

    Args:
      image: `[height, width, channels]`.
      inverse: `[3, 3]`.

    Returns:
      `[height, width, channels]`.
    """
    height, width, _ = image.shape
    center = ((width - 1) / 2, (height - 1) / 2)
    x, y = jnp.meshgrid(jnp.arange(width) - center[0], jnp.arange(height) - center[1])
    at = [row[0] * x + row[1] * y + row[2] + c for row, c in zip(inverse, center, strict=False)]
    read = lambda channel: map_coordinates(channel, [at[1], at[0]], order=1, mode="mirror")
    return jax.vmap(read, in_axes=-1, out_axes=-1)(image)


def _scaling(x: Array | float, y: Array | float) -> Array:
    return jnp.diag(jnp.stack([x, y, 1.0]))


def _rotation(angle: Array) -> Array:
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    return jnp.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _translation(shift: Array) -> Array:
    return jnp.eye(3).at[:2, 2].set(shift)
