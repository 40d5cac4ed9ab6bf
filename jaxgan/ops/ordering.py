"""Order of computations, where the compiler would choose one that keeps more in memory."""

import jax
import jax.numpy as jnp

from jaxgan.types import PyTree


def after(earlier: PyTree, tree: PyTree) -> PyTree:
    """The tree unchanged, computed after `earlier`, as far as the compiler knows.

    XLA's CPU backend removes optimization barriers before it merges equal computations and orders
    the rest, so that what is computed once more to save memory is merged, and its operands are
    kept. A dependency stays: the leaves are 0 if the first element of a leaf of `earlier` is NaN.

    Args:
      earlier: arrays, of which the floating-point ones are waited for.
      tree: arrays of any dtype, also typed keys.

    Returns:
      The tree, whose values are those of `tree` unless `earlier` has a NaN.

    Example:
      >>> int(after(jnp.array(0.5), jnp.array(3)))
      3
    """
    elements = [
        leaf.ravel()[0].astype(jnp.float32)
        for leaf in jax.tree.leaves(earlier)
        if leaf.size and jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    is_nan = jnp.isnan(sum(elements, jnp.zeros(())))

    def select(x: jax.Array) -> jax.Array:
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            data = select(jax.random.key_data(x))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
        return jnp.where(is_nan, jnp.zeros_like(x), x)

    return jax.tree.map(select, tree)
