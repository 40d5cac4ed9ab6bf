"""Directions in a latent space along which generated images change most."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax.numpy as jnp

from jaxgan.tree import by_path
from jaxgan.types import Array, Params


class Directions(NamedTuple):
    """Directions in the latent space along which images change, the strongest first.

    Attributes:
      vectors: unit vectors of the latent space, `[k, dim]`.
      strengths: how much the images change along each, `[k]`, decreasing.

    Example:
      >>> found = sefa(jnp.diag(jnp.array([1.0, 3.0])))
      >>> abs(found.vectors).tolist(), found.strengths.tolist()
      ([[0.0, 1.0], [1.0, 0.0]], [9.0, 1.0])
    """

    vectors: Array
    strengths: Array


def sefa(kernel: Array, num: int | None = None) -> Directions:
    """Closed-form factorisation of the generator's first layer (SeFa).

    The first layer maps a step `a n` along a unit vector n to `a A n`. The steps that it stretches
    most are the eigenvectors of `A^T A` with the largest eigenvalues, which are the strengths. The
    authors' code normalises the rows of A first, their paper does not.

    Args:
      kernel: `A^T`, weights of the first layer as flax stores them, `[dim, features]`; the columns
        of several layers that take the latent may be concatenated.
      num: number of directions, at most `dim`; `dim` if `None`.

    Returns:
      Directions, the strongest first.

    Raises:
      AssertionError: the kernel is not a matrix.
      ValueError: `num` is out of range.

    Reference:
      Shen and Zhou, *Closed-Form Factorization of Latent Semantics in GANs*, 2021,
      https://arxiv.org/abs/2007.06600.

    Example:
      >>> sefa(jnp.diag(jnp.array([1.0, 3.0])), 1).strengths.tolist()
      [9.0]
    """
    chex.assert_rank(kernel, 2)
    num = kernel.shape[0] if num is None else num
    if not 1 <= num <= kernel.shape[0]:
        raise ValueError(f"num is {num}, expected 1 to {kernel.shape[0]} directions")
    values, vectors = jnp.linalg.eigh(kernel @ kernel.T)
    return Directions(vectors.T[::-1][:num], values[::-1][:num])


def principal_components(codes: Array, features: Array, num: int) -> Directions:
    """Latent directions of the principal components of generated features (GANSpace).

    With the features' first `num` principal components V, and the coordinates
    `c = V^T (y - mean y)` of every sample, the directions are the columns of the U that minimises
    `sum ||U c - (z - mean z)||^2`, each normalised.

    Args:
      codes: latents z, `[n, dim]`, sampled from the prior.
      features: features y of their images, or the images, `[n, ...]`.
      num: number of components, at most n - 1 and the number of features. A component that the
        features do not have, beyond their rank, has the strength 0 and an arbitrary direction.

    Returns:
      Directions; their strengths are the components' variances.

    Raises:
      ValueError: `num` is out of range.

    Reference:
      Härkönen, Hertzmann, Lehtinen and Paris, *GANSpace: Discovering Interpretable GAN Controls*,
      2020, https://arxiv.org/abs/2004.02546, section 2.3.

    Example:
      >>> import jax
      >>> z = jax.random.normal(jax.random.key(0), (100, 2))
      >>> found = principal_components(z, z * jnp.array([[1.0, 5.0]]), 1)
      >>> abs(found.vectors).round().tolist()
      [[0.0, 1.0]]
    """
    chex.assert_equal(codes.shape[0], features.shape[0])
    flat = features.reshape(features.shape[0], -1)
    most = min(flat.shape[0] - 1, flat.shape[1])
    if not 1 <= num <= most:
        raise ValueError(
            f"num is {num}, expected 1 to {most} for {flat.shape[0]} samples of {flat.shape[1]} "
            "features"
        )
    centered = flat - jnp.mean(flat, axis=0, keepdims=True)
    left, singular, _ = jnp.linalg.svd(centered, full_matrices=False)
    left, singular = left[:, :num], singular[:num]
    # Coordinates are `left * singular`, with orthogonal columns: least squares is a projection.
    vectors = left.T @ (codes - jnp.mean(codes, axis=0, keepdims=True))
    vectors = vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    return Directions(vectors, singular**2 / (features.shape[0] - 1))


def first_layer(params: Params, dim: int, path: str | None = None) -> Array:
    """Weights of the layer that takes the latent, `[dim, features]`, among a network's parameters.

    Of a conditional network whose first layer takes latent and embedding, the latent's rows.

    Args:
      params: parameters of the generator network.
      dim: dimension of the latents.
      path: the weights' path, such as `Dense_0/kernel`; found if only one matrix is called `kernel`
        and has `dim` rows, or, if none has, more.

    Returns:
      The weights, for `sefa`.

    Raises:
      ValueError: there is no such matrix, or several; the message lists the candidates.

    Example:
      >>> first_layer({"Dense_0": {"kernel": jnp.ones((8, 3)), "bias": jnp.ones(3)}}, 8).shape
      (8, 3)
    """
    matrices = {
        name: leaf
        for name, leaf in by_path(params).items()
        if leaf.ndim == 2 and leaf.shape[0] >= dim
    }
    fitting = _kernels(matrices, lambda rows: rows == dim) or _kernels(matrices, lambda _: True)
    chosen = list(fitting) if path is None else [path]
    if len(chosen) != 1 or chosen[0] not in matrices:
        raise ValueError(
            f"the layer that takes latents of dimension {dim} is {path or 'not unique'}; choose "
            f"one of {', '.join(matrices) or 'none'}"
        )
    return matrices[chosen[0]][:dim]


def _kernels(matrices: dict[str, Array], fits: Callable[[int], bool]) -> list[str]:
    return [
        name for name, leaf in matrices.items() if name.endswith("kernel") and fits(leaf.shape[0])
    ]
