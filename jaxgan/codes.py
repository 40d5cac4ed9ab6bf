"""What codes are for: reconstructions, paths, maps, arithmetic, anomalies.

Functions of games that have `encode` and `decode`: autoencoders, VAEs, VAE-GANs, BiGANs; those that
only decode take GANs too. Argument order as everywhere: the game, *learned, observed*.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxgan import latents, losses
from jaxgan.game import Game
from jaxgan.types import Array, ByPlayer


def reconstruct(game: Game, params: ByPlayer, model_state: ByPlayer, images: Array) -> Array:
    """Images, encoded and decoded, without chance.

    Args:
      game: one that encodes and decodes.
      params, model_state: everybody's.
      images: `[n, height, width, channels]`.

    Returns:
      Of their shape.

    Raises:
      ValueError: the game has no codes.

    Example:
      >>> again = reconstruct(game, state.params, state.model_state, images)  # doctest: +SKIP
    """
    encode, decode = _halves(game)
    return decode(params, model_state, encode(params, model_state, images))


def interpolate(
    game: Game,
    params: ByPlayer,
    model_state: ByPlayer,
    start: Array,
    end: Array,
    *,
    num: int = 8,
    path: Callable[[Array, Array, Array], Array] = latents.lerp,
) -> Array:
    """Images on the way from the codes of some to the codes of others.

    Args:
      game: one that encodes and decodes.
      params, model_state: everybody's.
      start, end: `[n, height, width, channels]` each.
      num: images on a way, both ends among them; at least 2.
      path: `latents.lerp`, or `latents.slerp`.

    Returns:
      `[n, num, height, width, channels]`.

    Raises:
      ValueError: the game has no codes, or `num` is below 2.

    Example:
      >>> ways = interpolate(game, params, model_state, threes, eights)  # doctest: +SKIP
    """
    encode, decode = _halves(game)
    if num < 2:
        raise ValueError(f"num is {num}, expected at least 2: a way has two ends")
    a, b = (encode(params, model_state, images) for images in (start, end))
    codes = jax.vmap(lambda t: path(a, b, t), out_axes=1)(jnp.linspace(0.0, 1.0, num))
    flat = decode(params, model_state, codes.reshape(-1, *codes.shape[2:]))
    return flat.reshape(*codes.shape[:2], *flat.shape[1:])


def latent_map(game: Game, params: ByPlayer, model_state: ByPlayer, *, side: int = 20) -> Array:
    """What the plane of a latent space of two dimensions decodes to, over the prior's quantiles.

    Args:
      game: one that decodes, of codes with two dimensions and a standard normal prior.
      params, model_state: everybody's.
      side: images along either axis.

    Returns:
      `[side * side, height, width, channels]`, row after row, the second coordinate downwards.

    Raises:
      ValueError: the game does not decode.

    Reference:
      Kingma and Welling, *Auto-Encoding Variational Bayes*, 2014, https://arxiv.org/abs/1312.6114,
      figure 4.

    Example:
      >>> images.save_sheet("map.png", latent_map(game, params, state))  # doctest: +SKIP
    """
    if game.decode is None:
        raise ValueError("the game does not decode; there is nothing to map")
    return game.decode(params, model_state, latents.normal_grid(side))


def analogy(
    game: Game,
    params: ByPlayer,
    model_state: ByPlayer,
    images: Array,
    *,
    plus: Array,
    minus: Array,
    strength: Array | float = 1.0,
) -> Array:
    """Latent arithmetic: images, with what `plus` has and `minus` has not.

    `decode(encode(images) + strength (mean encode(plus) - mean encode(minus)))`.

    Args:
      game: one that encodes and decodes.
      params, model_state: everybody's.
      images: `[n, height, width, channels]`, what is changed.
      plus, minus: examples with and without an attribute, `[m, ...]` each; the more, the better.
      strength: how much of the difference is added; a number, or one for each image `[n]`.

    Returns:
      `[n, height, width, channels]`.

    Raises:
      ValueError: the game has no codes.

    Reference:
      Radford, Metz and Chintala, *Unsupervised Representation Learning with Deep Convolutional
      Generative Adversarial Networks*, 2016, https://arxiv.org/abs/1511.06434, section 6.3.2.

    Example:
      >>> smiling = analogy(
      ...     game, params, model_state, faces, plus=smiles, minus=others
      ... )  # doctest: +SKIP
    """
    encode, decode = _halves(game)
    codes = encode(params, model_state, images)
    mean = lambda examples: jnp.mean(encode(params, model_state, examples), axis=0)
    difference = (mean(plus) - mean(minus))[None]
    weight = jnp.asarray(strength).reshape(-1, *[1] * (codes.ndim - 1))
    return decode(params, model_state, codes + weight * difference)


class Normality(NamedTuple):
    """What codes of normal examples look like: a Gaussian.

    Attributes:
      mean: `[dim]`.
      whitening: `[dim, dim]`, W with `W W^T = inverse of the covariance`.
    """

    mean: Array
    whitening: Array


def normality(codes: Array, *, shrinkage: float = 1e-3) -> Normality:
    """The Gaussian of codes of normal examples.

    Args:
      codes: `[n, ...]`, flattened.
      shrinkage: share of the mean variance that is added to every variance, so that a dimension
        which codes do not use does not decide.

    Returns:
      What `code_distance` takes.

    Example:
      >>> normality(jnp.array([[1.0], [-1.0], [1.0], [-1.0]])).mean.tolist()
      [0.0]
    """
    flat = codes.reshape(codes.shape[0], -1)
    mean = jnp.mean(flat, axis=0)
    centred = flat - mean[None]
    covariance = centred.T @ centred / flat.shape[0]
    ridge = shrinkage * jnp.trace(covariance) / covariance.shape[0] + 1e-12
    values, vectors = jnp.linalg.eigh(covariance + ridge * jnp.eye(covariance.shape[0]))
    return Normality(mean, vectors / jnp.sqrt(values)[None])


def code_distance(codes: Array, normal: Normality) -> Array:
    """Mahalanobis distance of codes from those of normal examples, over the square root of dim.

    `sqrt((z - m)^T S^-1 (z - m) / dim)`, with their mean m and covariance S; about 1 for normal
    ones.

    Args:
      codes: `[n, ...]`.
      normal: from `normality`.

    Returns:
      `[n]`.

    Reference:
      Lee, Lee, Lee and Shin, *A Simple Unified Framework for Detecting Out-of-Distribution Samples
      and Adversarial Attacks*, 2018, https://arxiv.org/abs/1807.03888.

    Example:
      >>> normal = normality(jnp.array([[1.0], [-1.0], [1.0], [-1.0]]), shrinkage=0.0)
      >>> code_distance(jnp.array([[2.0]]), normal).round(3).tolist()
      [2.0]
    """
    flat = codes.reshape(codes.shape[0], -1)
    white = (flat - normal.mean[None]) @ normal.whitening
    return jnp.sqrt(jnp.mean(white**2, axis=1))


def anomaly_scores(
    game: Game,
    params: ByPlayer,
    model_state: ByPlayer,
    images: Array,
    normal: Normality,
) -> Mapping[str, Array]:
    """How unlike the training examples images are, in two ways; higher is more anomalous.

    `reconstruction`: mean squared error of the reconstruction, for what the decoder cannot draw.
    `latent`: `code_distance`, for codes where there are none of normal examples.

    Args:
      game: one that encodes and decodes, trained on normal examples.
      params, model_state: everybody's.
      images: `[n, height, width, channels]` in [-1, 1].
      normal: `normality(codes of normal examples)`.

    Returns:
      `{"reconstruction": [n], "latent": [n]}`.

    Raises:
      ValueError: the game has no codes.

    Reference:
      An and Cho, *Variational Autoencoder based Anomaly Detection using Reconstruction
      Probability*, 2015, SNU Data Mining Center, 2015-2 Special Lecture on IE.

    Example:
      >>> normal = normality(game.encode(params, model_state, train))  # doctest: +SKIP
      >>> scores = anomaly_scores(game, params, model_state, test, normal)  # doctest: +SKIP
    """
    encode, decode = _halves(game)
    codes = encode(params, model_state, images)
    again = decode(params, model_state, codes)
    chex.assert_equal_shape([images, again])
    return {
        "reconstruction": losses.squared_error(again, images),
        "latent": code_distance(codes, normal),
    }


Half = Callable[[ByPlayer, ByPlayer, Array], Array]


def _halves(game: Game) -> tuple[Half, Half]:
    if game.encode is None or game.decode is None:
        raise ValueError("the game has no encode or no decode; this is for games that learn codes")
    return game.encode, game.decode
