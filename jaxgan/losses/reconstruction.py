"""Reconstruction losses, one value per example, for images in [-1, 1]."""

import chex
import jax.numpy as jnp

from jaxgan.types import Array


def squared_error(output: Array, target: Array) -> Array:
    """Mean squared error of each example, `mean (output - target)^2`.

    Args:
      output, target: `[batch, ...]`, of one shape.

    Returns:
      `[batch]`.

    Example:
      >>> squared_error(jnp.zeros((1, 4)), jnp.full((1, 4), 0.5)).tolist()
      [0.25]
    """
    chex.assert_equal_shape([output, target])
    return jnp.mean((output - target) ** 2, axis=tuple(range(1, target.ndim)))


def absolute_error(output: Array, target: Array) -> Array:
    """Mean absolute error of each example, `mean |output - target|`.

    It is minimised by the conditional median, the squared error by the conditional mean: outputs
    are sharper where the target is uncertain.

    Args:
      output, target: `[batch, ...]`, of one shape.

    Returns:
      `[batch]`.

    Example:
      >>> absolute_error(jnp.zeros((1, 4)), jnp.full((1, 4), 0.5)).tolist()
      [0.5]
    """
    chex.assert_equal_shape([output, target])
    return jnp.mean(jnp.abs(output - target), axis=tuple(range(1, target.ndim)))
