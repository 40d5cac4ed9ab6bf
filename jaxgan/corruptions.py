"""What is taken from an image before a network is to restore it, or drawn of it before it is seen.

A corruption is a function `(key, images) -> images`. What it draws for an example comes from the
example's own key (see `jaxgan.parallel.axis`), so it is the same on any number of devices.
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
    """Adds independent normal noise to every value, `x + std N(0, 1)`; the result is not clipped.

    Args:
      std: standard deviation on the scale of [-1, 1]; papers whose images are in [0, 1] mean half
        of it by the same number.

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
    """Sets values to -1 (black), each with the probability `rate`.

    Args:
      rate: in [0, 1].

    Returns:
      `(key, [batch, ...]) -> [batch, ...]`.

    Raises:
      ValueError: `rate` is no probability.

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
    """Draws every pixel as on or off, 1 with the probability `(x + 1) / 2`, and -1 otherwise.

    Drawn anew in every round, it is the binarised data of the literature on bounds of likelihoods.

    Returns:
      `(key, [batch, ...]) -> [batch, ...]`, of -1 and 1.

    Reference:
      Salakhutdinov and Murray, *On the Quantitative Analysis of Deep Belief Networks*, 2008,
      https://doi.org/10.1145/1390156.1390266.

    Example:
      >>> sorted(set(binarized()(jax.random.key(0), jnp.zeros((1, 20))).ravel().tolist()))
      [-1.0, 1.0]
    """
    draw = lambda key, x: 2.0 * jax.random.bernoulli(key, (x + 1.0) / 2.0).astype(x.dtype) - 1.0
    return _per_example(draw)


def grey() -> Corruption:
    """Takes the colour away: luma alone, `0.299 R + 0.587 G + 0.114 B`; nothing is drawn.

    Returns:
      `(key, [batch, height, width, 3]) -> [batch, height, width, 1]`; images of one channel stay
      as they are.

    Reference:
      ITU-R Recommendation BT.601.

    Example:
      >>> grey()(jax.random.key(0), jnp.ones((2, 4, 4, 3))).shape
      (2, 4, 4, 1)
    """

    def luma(key: PRNGKey, images: Array) -> Array:
        chex.assert_rank(images, 4)
        if images.shape[-1] == 1:
            return images
        return jnp.sum(images * jnp.asarray(LUMA).reshape(1, 1, 1, 3), axis=-1, keepdims=True)

    return luma


def _per_example(draw: Callable[[PRNGKey, Array], Array]) -> Corruption:
    return lambda key, x: jax.vmap(draw)(axis.example_keys(key, x.shape[0]), x)
