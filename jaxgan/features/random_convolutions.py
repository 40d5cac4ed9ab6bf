"""Features of random convolutions: for images without a suitable pretrained network."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import SizeError
from jaxgan.metrics import Features
from jaxgan.types import Array

WIDTHS = (32, 64, 128)  # filters of each scale
SIDE = 5


def random_convolutions() -> Features:
    """Feature extractor of random filters at three scales, the same in every program.

    At each scale, filters of 5 x 5 pixels and all channels, with independent normal weights of mean
    zero and unit norm, are followed by ReLU; features are the spatial means and standard deviations
    of the responses. Between scales, responses are averaged over 2 x 2 pixels. Such features see
    edges, textures and their arrangement over some 20 pixels, but no objects: they compare
    generators of one set of images with each other, and are not comparable to scores over any
    trained network.

    Returns:
      Features of images `[n, height, width, channels]` in [-1, 1], at least 4 x 4 pixels:
      `features` `[n, 448]`.

    Raises:
      SizeError: in a call, images are smaller.

    Reference:
      Saxe et al., *On Random Weights and Unsupervised Feature Learning*, 2011,
      https://icml.cc/2011/papers/551_icmlpaper.pdf.

    Example:
      >>> random_convolutions().apply(jnp.zeros((2, 32, 32, 3)))["features"].shape
      (2, 448)
    """
    return Features("random_convolutions", _apply)


@jax.jit
def _apply(images: Array) -> dict[str, Array]:
    height, width = images.shape[1:3]
    if min(height, width) < 4:
        raise SizeError(f"an image has {height} x {width} pixels, expected at least 4 x 4")
    x, features = images, []
    for i, width in enumerate(WIDTHS):
        x = _convolved(x, _filters(i, x.shape[-1], width))
        features += [jnp.mean(x, axis=(1, 2)), jnp.std(x, axis=(1, 2))]
        n, height, columns = x.shape[0], x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
        x = x[:, :height, :columns].reshape(n, height // 2, 2, columns // 2, 2, width)
        x = x.mean(axis=(2, 4))
    return {"features": jnp.concatenate(features, axis=1)}


def _filters(scale: int, channels: int, width: int) -> Array:
    """Filters `[5, 5, channels, width]`, from NumPy's frozen generator."""
    filters = np.random.RandomState(scale).standard_normal((SIDE, SIDE, channels, width))
    filters -= filters.mean(axis=(0, 1, 2))
    filters /= np.sqrt(np.sum(filters**2, axis=(0, 1, 2)))
    return jnp.asarray(filters, jnp.float32)


def _convolved(x: Array, filters: Array) -> Array:
    padded = jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.nn.relu(
        jax.lax.conv_general_dilated(padded, filters, (1, 1), "VALID", dimension_numbers=layout)
    )
