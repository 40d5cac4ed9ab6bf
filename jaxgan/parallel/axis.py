"""The data axis: what a program that sees one device's rows knows of the other devices.

A loss, a normalisation layer or an update is written once, for the rows it is given. Where
`parallel.pmap` maps it over devices, the axis `DATA_AXIS` is bound while it is traced, and the
functions below speak for all devices. Where `parallel.sharded` traces the program of the whole
batch, they tell the compiler what to divide. Elsewhere they are identities. So nothing has to be
told how it will be run, and one pure update runs in every way.

The rule they serve: **randomness belongs to examples, not to devices.** What is drawn for an
example is drawn from `fold_in(key, global row of the example)`, so one device and eight devices
draw the same numbers.
"""

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

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

    In a program over global arrays the leaves are means already.

    Gradients of a local loss are averaged *after* differentiation, `mean(grad(loss))`, which is
    right under `pmap`, `shard_map` without replication checks and `vmap(axis_name=...)` alike.
    """
    return jax.lax.pmean(tree, DATA_AXIS) if is_bound() else replicated(tree)


def replicated(tree: PyTree) -> PyTree:
    """The tree as it is; the compiler is told to have it whole on every device from here on.

    Without this, what is made from a divided optimizer state would stay divided by channels, and
    so would the activations that meet it.
    """
    return tree if is_bound() else _placed(tree, PartitionSpec())


def global_rows(n: int) -> Array:
    """Rows of the global batch that this device's `n` examples are, `int32[n]`."""
    first = jax.lax.axis_index(DATA_AXIS) * n if is_bound() else 0
    return sharded(first + jnp.arange(n, dtype=jnp.int32))


def sharded(x: Array) -> Array:
    """`x` `[n, ...]` as it is; the compiler is told to divide its rows over the devices.

    In a program over global arrays (`parallel.sharded`) the data comes divided, and so does what is
    computed of it. What is computed of a key alone, as latents are, would be computed whole on
    every device, and everything that follows from it.
    """
    return x if is_bound() else _placed(x, PartitionSpec(_mesh_axes()))


def all_gather(x: Array) -> Array:
    """The rows of all devices in their order, whole on each, from this device's `[n, ...]`."""
    return jax.lax.all_gather(x, DATA_AXIS, tiled=True) if is_bound() else replicated(x)


def local_rows(x: Array, n: int) -> Array:
    """This device's n rows of what `gathered` gave."""
    if not is_bound():
        return sharded(x)
    return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(DATA_AXIS) * n, n)


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
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, global_rows(n))


def _mesh_axes() -> tuple[str, ...]:
    """Axes of the mesh that `parallel.sharded` traces for; none otherwise."""
    axes = jax.sharding.get_abstract_mesh().axis_names
    return axes if DATA_AXIS in axes else ()


def _placed(tree: PyTree, spec: PartitionSpec) -> PyTree:
    return jax.lax.with_sharding_constraint(tree, spec) if _mesh_axes() else tree
