"""The data axis: what a program that sees one device's rows knows of the other devices.

A loss, a normalisation layer or an update is written once, for the rows it is given. Where
`parallel.pmap` maps it over devices, the axis `DATA_AXIS` is bound while it is traced, and the
functions below speak for all devices. Where nothing is mapped, the same functions are identities.
So nothing has to be told how it will be run, and one pure update runs in every way.

The rule they serve: **randomness belongs to examples, not to devices.** What is drawn for an
example is drawn from `fold_in(key, global row of the example)`, so one device and eight devices
draw the same numbers.
"""

import jax
import jax.numpy as jnp

from jaxgan.types import Array, PRNGKey, PyTree

DATA_AXIS = "data"


def is_bound() -> bool:
    """Whether the code being traced is mapped over `DATA_AXIS`."""
    try:
        jax.lax.axis_index(DATA_AXIS)
    except NameError:  # the error that jax documents for an axis that is not mapped
        return False
    return True


def mean(tree: PyTree) -> PyTree:
    """Mean of every leaf over the devices of the data axis; the identity when there is none.

    Gradients of a local loss are averaged *after* differentiation, `mean(grad(loss))`, which is
    right under `pmap`, `shard_map` without replication checks and `vmap(axis_name=...)` alike.
    """
    return jax.lax.pmean(tree, DATA_AXIS) if is_bound() else tree


def rows(n: int) -> Array:
    """Rows of the global batch that this device's `n` examples are, `int32[n]`."""
    first = jax.lax.axis_index(DATA_AXIS) * n if is_bound() else 0
    return first + jnp.arange(n, dtype=jnp.int32)


def example_keys(key: PRNGKey, n: int) -> PRNGKey:
    """One key per example, `fold_in(key, global row)`: the same on any number of devices.

    Args:
      key: a scalar typed key.
      n: how many examples this device holds.

    Returns:
      Typed keys of shape `[n]`, to be used under `jax.vmap`.

    Example:
      >>> import jax
      >>> keys = example_keys(jax.random.key(0), 4)
      >>> noise = jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys)  # [4, 2]
    """
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, rows(n))
