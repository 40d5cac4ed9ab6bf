"""A buffer of images drawn earlier, from which a discriminator is shown some again."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.parallel import axis
from jaxgan.types import Array, PRNGKey


class ImageBuffer(NamedTuple):
    """Images drawn in earlier rounds.

    Attributes:
      images: `[size, ...]`; those from `filled` on are not yet filled.
      filled: how many there are, `int32[]`.
    """

    images: Array
    filled: Array


def empty(size: int, image: jax.ShapeDtypeStruct | Array) -> ImageBuffer:
    """A buffer for images like this one, `[...]`; a buffer of size 0 gives back what it is given.

    Raises:
      ValueError: the size is negative.
    """
    if size < 0:
        raise ValueError(f"the size of the buffer is {size}, expected at least 0")
    return ImageBuffer(jnp.zeros((size, *image.shape), image.dtype), jnp.zeros((), jnp.int32))


def query(buffer: ImageBuffer, images: Array, key: PRNGKey) -> tuple[Array, ImageBuffer]:
    """Shows each image, or in its place an older one.

    One by one: while the buffer is not full, an image is put into it and shown. After that, with
    probability 1/2 it is shown and forgotten; otherwise an image of the buffer is shown, and it takes
    its place. The rows of all devices go through one buffer, in their global order, so a batch may be
    larger than the buffer, and any number of devices does the same.

    Args:
      buffer: from `empty`, or from the query before.
      images: `[n, ...]`, this device's rows.
      key: a scalar typed key, the same on all devices.

    Returns:
      What to show, `[n, ...]`, and the new buffer.

    Reference:
      Shrivastava et al., *Learning from Simulated and Unsupervised Images through Adversarial
      Training*, 2017, https://arxiv.org/abs/1612.07828, section 2.3; Zhu et al., 2017,
      https://arxiv.org/abs/1703.10593 (a buffer of 50).

    Example:
      >>> images = jnp.arange(3.0)[:, None]
      >>> shown, buffer = query(empty(5, images[0]), images, jax.random.key(0))
      >>> shown[:, 0].tolist(), int(buffer.filled)  # not full yet: all of them are shown
      ([0.0, 1.0, 2.0], 3)
    """
    size, n = len(buffer.images), len(images)
    if size == 0:
        return images, buffer
    every = axis.all_gather(images)
    keys = jax.random.split(key, len(every))

    def step(buffer: ImageBuffer, row: tuple[Array, PRNGKey]) -> tuple[ImageBuffer, Array]:
        image, key = row
        key_coin, key_place = jax.random.split(key)
        full = buffer.filled >= size
        keeps = ~full | jax.random.bernoulli(key_coin)
        place = jnp.where(full, jax.random.randint(key_place, (), 0, size), buffer.filled % size)
        older = buffer.images[place]
        shown = jnp.where(full & keeps, older, image)
        kept = buffer.images.at[place].set(jnp.where(keeps, image, older))
        return ImageBuffer(kept, jnp.minimum(buffer.filled + 1, size)), shown

    buffer, shown = jax.lax.scan(step, buffer, (every, keys))
    return axis.local_rows(shown, n), buffer
