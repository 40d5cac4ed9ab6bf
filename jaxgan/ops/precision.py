"""Precision of what is summed or averaged."""

import jax.numpy as jnp

from jaxgan.types import Array


def at_least_float32(x: Array) -> Array:
    """Casts floats of 16 bits to float32; wider ones are unchanged."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
