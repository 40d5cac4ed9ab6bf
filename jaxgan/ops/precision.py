"""Precision of what is summed or averaged."""

import jax.numpy as jnp

from jaxgan.types import Array


def at_least_float32(x: Array) -> Array:
    """Casts floats of 16 bits to float32; wider ones are unchanged.

    Args:
      x: array of floats, of any shape.

    Returns:
      An array of that shape.

    Example:
      >>> at_least_float32(jnp.ones(2, jnp.bfloat16)).dtype
      dtype('float32')
    """
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
