"""Grouped convolution as ordinary ones.

XLA's CPU backend computes grouped convolutions, and the gradients of their kernels most of all, in
naive loops. A TPU multiplies by matrices of 128 rows, of which a group of 16 channels fills an
eighth, and copies images into other layouts for it (docs/performance.md, docs/scaling.md).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgan.types import Array


def num_joined(groups: int, width: int, *, at_least: int = 1, at_most: int | None = None) -> int:
    """Number of neighbouring groups that are joined to one of `at_least` channels, if there are.

    Args:
      groups: number of groups.
      width: channels of a group.
      at_least: the smallest number with this many channels is taken;
      at_most: or the largest number with not more channels than this.
    """
    divisors = [n for n in range(1, groups + 1) if groups % n == 0]
    if at_most is not None:
        return max([n for n in divisors if n * width <= at_most], default=1)
    return min([n for n in divisors if n * width >= at_least], default=groups)


def block_diagonal(w: Array, groups: int, joined: int) -> Array:
    """Kernel `[kh, kw, joined in / groups, out]` of fewer groups, each of some that are `joined`.

    It is that of `[kh, kw, in / groups, out]`, and zero between the groups that are joined.
    """
    *taps, n_in, n_out = w.shape
    blocks = w.reshape(*taps, 1, n_in, groups // joined, joined, n_out // groups)
    same = jnp.eye(joined, dtype=bool).reshape(1, 1, joined, 1, 1, joined, 1)
    return jnp.where(same, blocks, 0).reshape(*taps, joined * n_in, n_out)


def diagonal_blocks(w: Array, groups: int, joined: int) -> Array:
    """Transpose of `block_diagonal`: the blocks `[kh, kw, in / groups, out]` on the diagonals."""
    *taps, n_in, n_out = w.shape
    own = n_in // joined
    blocks = w.reshape(*taps, joined, own, groups // joined, joined, n_out // groups)
    diagonal = jnp.diagonal(blocks, axis1=2, axis2=5)  # the joined groups come last
    return jnp.moveaxis(diagonal, -1, -2).reshape(*taps, own, n_out)


def mapped(operation: Callable[[Array, Array], Array], a: Array, b: Array, groups: int) -> Array:
    """The operation for every group of channels, the last axis of both arguments and of the result.

    A loop, whose body is compiled once.
    """
    if groups == 1:
        return operation(a, b)
    split = lambda x: x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
    pairs = tuple(jnp.moveaxis(split(x), -2, 0) for x in (a, b))
    out = jnp.moveaxis(jax.lax.map(lambda pair: operation(*pair), pairs), 0, -2)
    return out.reshape(*out.shape[:-2], out.shape[-2] * out.shape[-1])
