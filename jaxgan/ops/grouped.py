"""Grouped convolution as an ordinary one, whose kernel is zero between groups.

XLA's CPU backend computes the kernel gradient of a grouped convolution in naive loops, 10 to 20
times as slowly as that of the ordinary one with all its products with zeros (docs/performance.md).
"""

import jax.numpy as jnp

from jaxgan.types import Array


def block_diagonal(w: Array, groups: int) -> Array:
    """Kernel `[kh, kw, in, out]` of the ordinary convolution, of `[kh, kw, in / groups, out]`."""
    if groups == 1:
        return w
    *taps, n_in, n_out = w.shape
    blocks = w.reshape(*taps, 1, n_in, groups, n_out // groups)
    same = jnp.eye(groups, dtype=bool).reshape(1, 1, groups, 1, groups, 1)
    return jnp.where(same, blocks, 0).reshape(*taps, groups * n_in, n_out)


def diagonal_blocks(w: Array, groups: int) -> Array:
    """Transpose of `block_diagonal`: the blocks `[kh, kw, in / groups, out]` on the diagonal."""
    *taps, n_in, n_out = w.shape
    blocks = w.reshape(*taps, groups, n_in // groups, groups, n_out // groups)
    diagonal = jnp.diagonal(blocks, axis1=2, axis2=4)  # [kh, kw, in / groups, out / groups, groups]
    return jnp.moveaxis(diagonal, -1, -2).reshape(*taps, n_in // groups, n_out)
