"""Random filters of an image's frequency bands, noise, and cutout."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.augment.draws import TIMES, Draw
from jaxgan.types import Array, PRNGKey

NUM_BANDS = TIMES["filter"]  # of one octave each, but the lowest
POWER = np.array([10.0, 1.0, 1.0, 1.0]) / 13.0  # expected of a photograph in each band
GAIN_STD = 1.0  # of the binary logarithm of a band's gain
NOISE_STD = 0.1
CUTOUT = 0.5  # side of the rectangle, relative to the image's


def filtered(image: Array, bands: list[Draw]) -> Array:
    """The image `[height, width, channels]` with its frequency bands amplified at random.

    Each band's amplification is normalised to leave the expected power unchanged. Beyond its border
    the image is mirrored.
    """
    gains = jnp.ones(NUM_BANDS)
    for i, band in enumerate(bands):
        gain = jnp.ones(NUM_BANDS).at[i].set(jnp.exp2(GAIN_STD * band.normal[0]))
        gains *= gain / jnp.sqrt(jnp.sum(POWER * gain**2))
    rows, columns = (jnp.tensordot(gains, band_matrices(side), 1) for side in image.shape[:2])
    result = jnp.einsum("yi,xj,ijc->yxc", rows, columns, image, precision="highest")
    return jnp.where(sum(band.happens for band in bands) > 0.0, result, image)


@functools.cache
def band_matrices(side: int) -> np.ndarray:
    """Filters of the bands along an axis with mirrored borders, `[band, side, side]`.

    They sum to the identity.
    """
    taps, outputs = _bands(), np.arange(side)
    matrices, period = np.zeros((NUM_BANDS, side, side), np.float32), max(2 * (side - 1), 1)
    for i, tap in enumerate(taps.T):
        distance = np.abs(outputs + i - taps.shape[1] // 2) % period
        matrices[:, outputs, np.minimum(distance, period - distance)] += tap[:, None]
    return matrices


def _bands() -> np.ndarray:
    """Impulse responses of the bands, the lowest first, `[band, taps]`.

    An image is divided into halves of the spectrum by `H(z) H(1/z) / 2` and `H(-z) H(-1/z) / 2`,
    which sum to 1, with the wavelet of two vanishing moments; the lower one is then divided again.
    """
    root = np.sqrt(3.0)
    wavelet = np.array([1 - root, 3 - root, 3 + root, 1 + root]) / (4 * np.sqrt(2.0))
    low = np.convolve(wavelet, wavelet[::-1]) / 2
    high = -low * (-1.0) ** np.arange(len(low))
    bands = [np.ones(1)]
    for _ in range(NUM_BANDS - 1):
        stretched = [np.insert(band, np.arange(1, len(band)), 0.0) for band in bands]
        bands = [*(np.convolve(band, low) for band in stretched), high]
    longest = max(map(len, bands))
    return np.stack([np.pad(band, (longest - len(band)) // 2) for band in bands])


def noisy(image: Array, noise: Draw, key: PRNGKey) -> Array:
    """The image with normal noise, whose standard deviation is half-normal."""
    sigma = NOISE_STD * jnp.abs(noise.normal[0])
    return image + sigma * jax.random.normal(key, image.shape, image.dtype)


def cut(image: Array, cutout: Draw) -> Array:
    """The image with zeros in a rectangle of half its sides, about a uniform point."""
    height, width, _ = image.shape
    center, reach = 0.5 + 0.5 * cutout.uniform, 0.5 * CUTOUT * cutout.happens
    y = jnp.abs((jnp.arange(height) + 0.5) / height - center[1]) < reach
    x = jnp.abs((jnp.arange(width) + 0.5) / width - center[0]) < reach
    return jnp.where((y[:, None] & x[None, :])[..., None], 0.0, image)
