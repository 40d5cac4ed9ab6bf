"""Errors of an output against its target, one value per example, for images in [-1, 1]."""

import chex
import jax.numpy as jnp

from jaxgan.types import Array


def squared_error(output: Array, target: Array) -> Array:
    """`mean (output - target)^2` over each example: `[batch, ...] x 2 -> [batch]`.

    Example:
      >>> squared_error(jnp.zeros((1, 4)), jnp.full((1, 4), 0.5)).tolist()
      [0.25]
    """
    chex.assert_equal_shape([output, target])
    return jnp.mean((output - target) ** 2, axis=tuple(range(1, target.ndim)))


def absolute_error(output: Array, target: Array) -> Array:
    """`mean |output - target|` over each example: `[batch, ...] x 2 -> [batch]`.

    Its best constant is the median, where that of the squared error is the mean: outputs are
    sharper where the target is uncertain.

    Example:
      >>> absolute_error(jnp.zeros((1, 4)), jnp.full((1, 4), 0.5)).tolist()
      [0.5]
    """
    chex.assert_equal_shape([output, target])
    return jnp.mean(jnp.abs(output - target), axis=tuple(range(1, target.ndim)))
