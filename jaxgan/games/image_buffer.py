"""Image history buffer (Shrivastava et al., 2017): earlier generated images for a discriminator."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.parallel import axis
from jaxgan.types import Array, PRNGKey


class ImageBuffer(NamedTuple):
    """Image history buffer (Shrivastava et al., 2017): images generated in earlier steps.

    Attributes:
      images: `[size, ...]`, zeros from index `filled` on.
      filled: number of images in the buffer, `int32[]`.
    """

    images: Array
    filled: Array


def empty(size: int, image: jax.ShapeDtypeStruct | Array) -> ImageBuffer:
    """An empty buffer for `size` images of the shape and dtype of `image`, `[...]`.

    A query of a buffer of size 0 returns its images unchanged.

    Raises:
      ValueError: the size is negative.
    """
    if size < 0:
        raise ValueError(f"the size of the buffer is {size}, expected at least 0")
    return ImageBuffer(jnp.zeros((size, *image.shape), image.dtype), jnp.zeros((), jnp.int32))


def query(buffer: ImageBuffer, images: Array, key: PRNGKey) -> tuple[Array, ImageBuffer]:
    """Returns each image or, in its place, an earlier image from the buffer.

    Images are processed one by one. While the buffer is not full, an image is stored and returned.
    Afterwards, with probability 1/2 the image is returned and not stored; otherwise a random image
    of the buffer is returned, and replaced by it. The rows of all devices go through one replicated
    buffer, in their global order: a batch may be larger than the buffer, and the result does not
    depend on the number of devices.

    Args:
      buffer: from `empty`, or from the previous query.
      images: `[n, ...]`, this device's rows.
      key: a scalar typed key, the same on all devices.

    Returns:
      The images for the discriminator, `[n, ...]`, and the new buffer.

    Reference:
      Shrivastava et al., *Learning from Simulated and Unsupervised Images through Adversarial
      Training*, 2017, https://arxiv.org/abs/1612.07828, section 2.3; Zhu et al., 2017,
      https://arxiv.org/abs/1703.10593 (a buffer of 50).

    Example:
      >>> images = jnp.arange(3.0)[:, None]
      >>> output, buffer = query(empty(5, images[0]), images, jax.random.key(0))
      >>> output[:, 0].tolist(), int(buffer.filled)  # not full yet: returns the images unchanged
      ([0.0, 1.0, 2.0], 3)
    """
    size, n = len(buffer.images), len(images)
    if size == 0:
        return images, buffer
    global_images = axis.all_gather(images)
    rows = axis.all_gather(axis.global_rows(n))
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, rows)

    def step(buffer: ImageBuffer, row: tuple[Array, PRNGKey]) -> tuple[ImageBuffer, Array]:
        image, key = row
        key_store, key_index = jax.random.split(key)
        full = buffer.filled >= size
        store = ~full | jax.random.bernoulli(key_store)
        index = jnp.where(full, jax.random.randint(key_index, (), 0, size), buffer.filled % size)
        earlier = buffer.images[index]
        output = jnp.where(full & store, earlier, image)
        updated = buffer.images.at[index].set(jnp.where(store, image, earlier))
        return ImageBuffer(updated, jnp.minimum(buffer.filled + 1, size)), output

    buffer, outputs = jax.lax.scan(step, buffer, (global_images, keys))
    return axis.local_rows(outputs, n), buffer
