"""What codes are for: reconstructions, paths, maps, arithmetic, anomalies.

Functions of games that have `encode` and `decode`: autoencoders, VAEs, VAE-GANs, BiGANs; those that
only decode take GANs too. Argument order as everywhere: the game, *learned, observed*.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from jaxgan import latents, losses
from jaxgan.game import Game
from jaxgan.metrics.neighbours import squared_distances
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


def code_distance(codes: Array, normal: Array, *, k: int = 5) -> Array:
    """Mean Euclidean distance of codes to the k nearest of normal examples' codes.

    Several kinds of normal examples are several clouds of codes; a distance from their common mean
    would call what lies between them normal.

    Args:
      codes: `[n, ...]`.
      normal: `[m, ...]`, m at least k.
      k: how many neighbours.

    Returns:
      `[n]`.

    Raises:
      ValueError: there are fewer than k normal examples.

    Reference:
      Ramaswamy, Rastogi and Shim, *Efficient Algorithms for Mining Outliers from Large Data Sets*,
      2000, https://doi.org/10.1145/342009.335437; over learned features: Sun, Ming, Zhu and Li,
      *Out-of-Distribution Detection with Deep Nearest Neighbors*, 2022,
      https://arxiv.org/abs/2204.06507.

    Example:
      >>> code_distance(jnp.array([[3.0]]), jnp.array([[0.0], [1.0], [2.0]]), k=2).tolist()
      [1.5]
    """
    if not 0 < k <= normal.shape[0]:
        raise ValueError(f"k is {k} and there are {normal.shape[0]} normal examples")
    flat = lambda x: x.reshape(x.shape[0], -1)
    centre = jnp.mean(flat(normal), axis=0, keepdims=True)  # fewer digits are lost around it
    squares = squared_distances(flat(codes) - centre, flat(normal) - centre)
    return jnp.mean(jnp.sqrt(-jax.lax.top_k(-squares, k)[0]), axis=1)


ANOMALY_SCORES = ("reconstruction", "latent")


def anomaly_scores(
    game: Game,
    params: ByPlayer,
    model_state: ByPlayer,
    images: Array,
    normal: Array,
) -> dict[str, Array]:
    """How unlike normal examples images are, in two ways; higher is more anomalous.

    `reconstruction`: mean squared error of the reconstruction, for what the decoder cannot draw.
    `latent`: `code_distance`, for codes where normal examples have none.

    Args:
      game: one that encodes and decodes, trained on normal examples.
      params, model_state: everybody's.
      images: `[n, height, width, channels]` in [-1, 1].
      normal: codes of normal examples, `game.encode(params, model_state, train)`.

    Returns:
      `{"reconstruction": [n], "latent": [n]}`.

    Raises:
      ValueError: the game has no codes.

    Reference:
      Sakurada and Yairi, *Anomaly Detection Using Autoencoders with Nonlinear Dimensionality
      Reduction*, 2014, https://doi.org/10.1145/2689746.2689747.

    Example:
      >>> normal = game.encode(params, model_state, train)  # doctest: +SKIP
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
