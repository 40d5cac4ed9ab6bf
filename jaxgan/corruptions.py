"""Input corruptions for denoising autoencoders, and stochastic binarisation.

A corruption is a function `(key, images) -> images`. The randomness of an example comes from the
example's own key (see `jaxgan.parallel.axis`), so results are the same on any number of devices.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from jaxgan.parallel import axis
from jaxgan.types import Array, PRNGKey

Corruption = Callable[[PRNGKey, Array], Array]

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in ITU-R BT.601


def gaussian_noise(std: float) -> Corruption:
    """Additive Gaussian noise, `x + std N(0, 1)`, independent for every value and not clipped.

    Args:
      std: standard deviation on the scale of [-1, 1], at least 0: twice that of papers with images
        in [0, 1].

    Returns:
      `(key, [batch, ...]) -> [batch, ...]`.

    Raises:
      ValueError: `std` is negative.

    Reference:
      Vincent, Larochelle, Lajoie, Bengio and Manzagol, *Stacked Denoising Autoencoders*, 2010,
      https://jmlr.org/papers/v11/vincent10a.html.

    Example:
      >>> noisy = gaussian_noise(0.5)(jax.random.key(0), jnp.zeros((2, 8, 8, 1)))
      >>> bool(0.4 < jnp.std(noisy) < 0.6)
      True
    """
    if std < 0.0:
        raise ValueError(f"std is {std}, expected at least 0")
    return _per_example(lambda key, x: x + std * jax.random.normal(key, x.shape, x.dtype))


def masking(rate: float) -> Corruption:
    """Masking noise: each value is set to -1 (black) with probability `rate`.

    Args:
      rate: probability in [0, 1].

    Returns:
      `(key, [batch, ...]) -> [batch, ...]`.

    Raises:
      ValueError: `rate` is not in [0, 1].

    Reference:
      Vincent, Larochelle, Bengio and Manzagol, *Extracting and Composing Robust Features with
      Denoising Autoencoders*, 2008, https://doi.org/10.1145/1390156.1390294.

    Example:
      >>> float(jnp.mean(masking(1.0)(jax.random.key(0), jnp.ones((2, 4)))))
      -1.0
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate is {rate}, expected a probability in [0, 1]")
    return _per_example(lambda key, x: jnp.where(jax.random.bernoulli(key, rate, x.shape), -1.0, x))


def binarized() -> Corruption:
    """Stochastic binarisation: each value is 1 with probability `(x + 1) / 2`, and -1 otherwise.

    With a new key at every training step it is the dynamically binarised data of the literature on
    likelihood bounds.

    Returns:
      `(key, [batch, ...]) -> [batch, ...]`, with values -1 and 1.

    Reference:
      Salakhutdinov and Murray, *On the Quantitative Analysis of Deep Belief Networks*, 2008,
      https://doi.org/10.1145/1390156.1390266.

    Example:
      >>> sorted(set(binarized()(jax.random.key(0), jnp.zeros((1, 20))).ravel().tolist()))
      [-1.0, 1.0]
    """
    sample = lambda key, x: 2.0 * jax.random.bernoulli(key, (x + 1.0) / 2.0).astype(x.dtype) - 1.0
    return _per_example(sample)


def grayscale() -> Corruption:
    """Conversion to greyscale: luma `0.299 R + 0.587 G + 0.114 B`; deterministic.

    Returns:
      `(key, [batch, height, width, 3]) -> [batch, height, width, 1]`; images of one channel are
      unchanged.

    Reference:
      ITU-R Recommendation BT.601.

    Example:
      >>> grayscale()(jax.random.key(0), jnp.ones((2, 4, 4, 3))).shape
      (2, 4, 4, 1)
    """

    def luma(key: PRNGKey, images: Array) -> Array:
        chex.assert_rank(images, 4)
        if images.shape[-1] == 1:
            return images
        return jnp.sum(images * jnp.asarray(LUMA).reshape(1, 1, 1, 3), axis=-1, keepdims=True)

    return luma


def _per_example(corrupt: Callable[[PRNGKey, Array], Array]) -> Corruption:
    return lambda key, x: jax.vmap(corrupt)(axis.example_keys(key, x.shape[0]), x)
