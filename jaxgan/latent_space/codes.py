"""Codes of images: reconstruction, interpolation, manifolds, arithmetic, anomaly detection.

They take games that have `encode` and `decode`: autoencoders, VAEs, VAE-GANs and BiGANs; functions
that only decode take GANs too. The argument order is the game, learned values, data.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from jaxgan import latents, losses
from jaxgan.game import Game
from jaxgan.types import Array, ByPlayer


def reconstruct(game: Game, params: ByPlayer, model_state: ByPlayer, images: Array) -> Array:
    """Deterministic reconstruction of images, `decode(encode(images))`.

    Args:
      game: a game with `encode` and `decode`.
      params, model_state: those of all players.
      images: `[n, height, width, channels]`.

    Returns:
      Reconstructions, of the shape of `images`.

    Raises:
      ValueError: the game has no `encode` or no `decode`.

    Example, of a game whose code is the mean of an image:
      >>> mean = lambda params, model_state, images: images.mean((1, 2))
      >>> flat = lambda params, model_state, codes: codes[:, None, None] * jnp.ones((1, 2, 2, 1))
      >>> game = Game(None, {}, encode=mean, decode=flat)
      >>> image = jnp.array([[0.0, 1.0], [0.0, 1.0]])[None, ..., None]
      >>> reconstruct(game, {}, {}, image)[0, ..., 0].tolist()
      [[0.5, 0.5], [0.5, 0.5]]
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
    """Decoded images along the path between the codes of two batches of images.

    Args:
      game: a game with `encode` and `decode`.
      params, model_state: those of all players.
      start, end: images `[n, height, width, channels]` each.
      num: number of images per path, including both ends; at least 2.
      path: `latents.lerp` or `latents.slerp`.

    Returns:
      `[n, num, height, width, channels]`.

    Raises:
      ValueError: the game has no `encode` or no `decode`, or `num` is below 2.

    Example, of a game whose code is the mean of an image:
      >>> mean = lambda params, model_state, images: images.mean((1, 2))
      >>> flat = lambda params, model_state, codes: codes[:, None, None] * jnp.ones((1, 2, 2, 1))
      >>> game = Game(None, {}, encode=mean, decode=flat)
      >>> black, white = -jnp.ones((1, 2, 2, 1)), jnp.ones((1, 2, 2, 1))
      >>> interpolate(game, {}, {}, black, white, num=3).mean((2, 3, 4)).tolist()
      [[-1.0, 0.0, 1.0]]
    """
    encode, decode = _halves(game)
    if num < 2:
        raise ValueError(f"num is {num}, expected at least 2: a path has two ends")
    a, b = (encode(params, model_state, images) for images in (start, end))
    codes = jax.vmap(lambda t: path(a, b, t), out_axes=1)(jnp.linspace(0.0, 1.0, num))
    flat = decode(params, model_state, codes.reshape(-1, *codes.shape[2:]))
    return flat.reshape(*codes.shape[:2], *flat.shape[1:])


def latent_map(game: Game, params: ByPlayer, model_state: ByPlayer, *, side: int = 20) -> Array:
    """Learned manifold of a two-dimensional latent space: a grid of decoded prior quantiles.

    Args:
      game: a game with `decode`, a two-dimensional code and a standard normal prior.
      params, model_state: those of all players.
      side: number of images along each axis.

    Returns:
      `[side * side, height, width, channels]`, in row-major order; the first coordinate increases
      left to right, the second top to bottom.

    Raises:
      ValueError: the game has no `decode`.

    Reference:
      Kingma and Welling, *Auto-Encoding Variational Bayes*, 2014, https://arxiv.org/abs/1312.6114,
      figure 4.

    Example, of a game whose images are of one pixel, with the code as its two channels:
      >>> game = Game(None, {}, decode=lambda params, model_state, codes: codes[:, None, None])
      >>> pixels = latent_map(game, {}, {}, side=2)[:, 0, 0]
      >>> (pixels > 0).tolist()
      [[False, False], [True, False], [False, True], [True, True]]
    """
    if game.decode is None:
        raise ValueError("the game does not decode; use a game with decode, such as vae")
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
    """Latent arithmetic: adds the attribute that `plus` has and `minus` lacks to images.

    `decode(encode(images) + strength (mean encode(plus) - mean encode(minus)))`.

    Args:
      game: a game with `encode` and `decode`.
      params, model_state: those of all players.
      images: images to change, `[n, height, width, channels]`.
      plus, minus: examples with and without the attribute, `[m, ...]` each; more examples give a
        better estimate of the direction.
      strength: multiple of the difference that is added; a float, or one per image `[n]`.

    Returns:
      `[n, height, width, channels]`.

    Raises:
      ValueError: the game has no `encode` or no `decode`.

    Reference:
      Radford, Metz and Chintala, *Unsupervised Representation Learning with Deep Convolutional
      Generative Adversarial Networks*, 2016, https://arxiv.org/abs/1511.06434, section 6.3.2.

    Example, of a game whose code is the mean of an image:
      >>> mean = lambda params, model_state, images: images.mean((1, 2))
      >>> flat = lambda params, model_state, codes: codes[:, None, None] * jnp.ones((1, 2, 2, 1))
      >>> game = Game(None, {}, encode=mean, decode=flat)
      >>> grey, white = jnp.zeros((1, 2, 2, 1)), jnp.ones((1, 2, 2, 1))
      >>> lighter = analogy(game, {}, {}, grey, plus=white, minus=grey, strength=0.5)
      >>> lighter[0, ..., 0].tolist()
      [[0.5, 0.5], [0.5, 0.5]]
    """
    encode, decode = _halves(game)
    codes = encode(params, model_state, images)
    mean = lambda examples: jnp.mean(encode(params, model_state, examples), axis=0)
    difference = (mean(plus) - mean(minus))[None]
    weight = jnp.asarray(strength).reshape(-1, *[1] * (codes.ndim - 1))
    return decode(params, model_state, codes + weight * difference)


def code_distance(codes: Array, normal: Array, *, k: int = 5) -> Array:
    """Mean Euclidean distance of codes to their k nearest neighbours among normal codes.

    Normal examples of several classes form several clusters of codes; a distance from their common
    mean would score the region between the clusters as normal.

    Args:
      codes: `[n, ...]`.
      normal: codes of normal examples, `[m, ...]`, m at least k.
      k: number of neighbours, at least 1.

    Returns:
      `[n]`.

    Raises:
      ValueError: k is below 1, there are fewer than k normal examples, or the two are not codes of
        one shape.

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
        raise ValueError(
            f"k is {k} and there are {normal.shape[0]} normal examples; choose k from 1 to their "
            "number"
        )
    if codes.shape[1:] != normal.shape[1:]:
        raise ValueError(
            f"codes have the shape {codes.shape} and normal {normal.shape}, expected codes of "
            "normal images: game.encode(params, model_state, images)"
        )
    flat = lambda x: x.reshape(x.shape[0], -1)
    # From differences, which XLA fuses with their sum: products cancel between distant clusters.
    squares = jnp.sum((flat(codes)[:, None] - flat(normal)[None]) ** 2, axis=-1)
    return jnp.mean(jnp.sqrt(-jax.lax.top_k(-squares, k)[0]), axis=1)


ANOMALY_SCORES = ("reconstruction", "latent")
NUM_NORMAL = 5000  # training images whose codes are the normal ones, in experiments and commands


def anomaly_scores(
    game: Game,
    params: ByPlayer,
    model_state: ByPlayer,
    images: Array,
    normal: Array,
) -> dict[str, Array]:
    """Two anomaly scores of images; higher is more anomalous.

    `reconstruction`: mean squared reconstruction error, high for images that the decoder cannot
    generate. `latent`: `code_distance`, high for codes far from those of normal examples.

    Args:
      game: a game with `encode` and `decode`, trained on normal examples.
      params, model_state: those of all players.
      images: `[n, height, width, channels]` in [-1, 1].
      normal: codes of normal examples, `game.encode(params, model_state, train)`.

    Returns:
      `{"reconstruction": [n], "latent": [n]}`.

    Raises:
      ValueError: the game has no `encode` or no `decode`, or there are fewer normal examples than
        neighbours in `code_distance`.

    Reference:
      Sakurada and Yairi, *Anomaly Detection Using Autoencoders with Nonlinear Dimensionality
      Reduction*, 2014, https://doi.org/10.1145/2689746.2689747.

    Example, of a game whose code is the mean of an image, and that is trained on grey ones:
      >>> mean = lambda params, model_state, images: images.mean((1, 2))
      >>> flat = lambda params, model_state, codes: codes[:, None, None] * jnp.ones((1, 2, 2, 1))
      >>> game = Game(None, {}, encode=mean, decode=flat)
      >>> white, stripes = jnp.ones((2, 2)), jnp.array([[1.0, -1.0], [1.0, -1.0]])
      >>> images = jnp.stack([white, stripes])[..., None]
      >>> scores = anomaly_scores(game, {}, {}, images, normal=jnp.zeros((5, 1)))
      >>> scores["reconstruction"].tolist(), scores["latent"].tolist()
      ([0.0, 1.0], [1.0, 0.0])
    """
    encode, decode = _halves(game)
    codes = encode(params, model_state, images)
    outputs = decode(params, model_state, codes)
    chex.assert_equal_shape([images, outputs])
    return {
        "reconstruction": losses.squared_error(outputs, images),
        "latent": code_distance(codes, normal),
    }


Half = Callable[[ByPlayer, ByPlayer, Array], Array]  # encoder or decoder


def _halves(game: Game) -> tuple[Half, Half]:
    """The game's encoder and decoder."""
    if game.encode is None or game.decode is None:
        raise ValueError("the game has no encode or no decode; use a game with both, such as vae")
    return game.encode, game.decode
