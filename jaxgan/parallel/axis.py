"""Collectives over the data axis that also work on a single device.

A loss, a normalisation layer or an update is written once, for the rows of its batch. Under
`parallel.pmap`, which maps it over devices, the axis `DATA_AXIS` is bound while it is traced, and
the functions below are collectives over all devices. Under `parallel.sharded`, which traces the
program for the global batch, they are sharding constraints. Otherwise they are identities. The same
pure update therefore runs in every mode.

**Randomness belongs to examples, not to devices.** Random numbers of an example are sampled with
`fold_in(key, global row of the example)`, so they are the same on one device and on eight, and in a
large batch and in the minibatches that accumulate its gradient (`minibatch`).
"""

import contextlib
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jax.typing import DTypeLike

from jaxgan.errors import GameError
from jaxgan.types import Array, PRNGKey, PyTree

DATA_AXIS = "data"


class _Minibatch:
    """Number of a minibatch, perhaps traced; equal to itself alone, as a key of jax's caches."""

    def __init__(self, number: Array | int) -> None:
        self.number = number


class _Recorder:
    """Whether rows were asked for; equal to itself alone, as a key of jax's caches."""

    used = False


# Part of the keys of jax's caches of traced functions.
_minibatch = jax.make_user_context(None)
_independent = jax.make_user_context(None)
_recorder = jax.make_user_context(None)


def is_bound() -> bool:
    """Whether the code being traced is mapped over `DATA_AXIS`.

    Returns:
      True under `parallel.pmap`, `shard_map` and `vmap(axis_name="data")`; false elsewhere, also
      under `parallel.sharded`.

    Example:
      >>> is_bound(), jax.vmap(lambda x: x + is_bound(), axis_name="data")(jnp.zeros(2)).tolist()
      (False, [1.0, 1.0])
    """
    try:
        jax.lax.axis_index(DATA_AXIS)
    except NameError:  # the error that jax documents for an unbound axis
        return False
    return True


def mean(tree: PyTree) -> PyTree:
    """Mean of every leaf over the devices of the data axis; the identity if the axis is not bound.

    In a program over global arrays, the leaves are means over all devices already.

    Average the gradients of a local loss *after* differentiation, `mean(grad(loss))`, which is
    correct under `pmap`, `shard_map` without replication checks and `vmap(axis_name=...)`.

    Args:
      tree: pytree of arrays, of one structure and shape on all devices.

    Returns:
      A tree of that structure, the same on all devices.

    Example, with two rows in place of two devices:
      >>> jax.vmap(mean, axis_name="data")(jnp.array([1.0, 3.0])).tolist()
      [2.0, 2.0]
    """
    return jax.lax.pmean(tree, DATA_AXIS) if is_bound() else replicated(tree)


def num_shards() -> int:
    """Number of devices among which this code's rows are divided: 1 where it sees all rows.

    Returns:
      The number of devices, an integer and not an array.

    Example:
      >>> num_shards(), jax.vmap(lambda x: x / num_shards(), axis_name="data")(jnp.ones(2)).tolist()
      (1, [0.5, 0.5])
    """
    return jax.lax.axis_size(DATA_AXIS) if is_bound() else 1


def replicated(tree: PyTree) -> PyTree:
    """The tree unchanged, constrained to be replicated on all devices.

    Without the constraint, parameters computed from a sharded optimizer state would stay sharded by
    channels, and so would the activations computed with them.

    Args:
      tree: pytree of arrays.

    Returns:
      The same values. Where the axis is bound, and outside of `parallel.sharded`, the tree itself.

    Example:
      >>> with jax.set_mesh(jax.sharding.Mesh(jax.devices()[:1], "data")):
      ...     tuple(replicated(jnp.ones(2)).sharding.spec)
      ()
    """
    return tree if is_bound() else _constrained(tree, PartitionSpec())


@contextlib.contextmanager
def minibatch(number: Array | int) -> Iterator[None]:
    """Context of code that is traced for minibatch `number` of several that are one large batch.

    In it, `global_rows` counts from the first row of that minibatch in the large batch.

    Args:
      number: number of the minibatch, from 0, perhaps traced.

    Example:
      >>> with minibatch(2):
      ...     global_rows(4).tolist()
      [8, 9, 10, 11]
    """
    with _minibatch(_Minibatch(number)):
        yield


@contextlib.contextmanager
def independent_examples(why: str) -> Iterator[None]:
    """Context of code that is right only for networks that treat examples independently.

    In it, `couple_examples` raises.

    Args:
      why: what needs it, for the message.
    """
    with _independent(why):
        yield


def couple_examples(what: str) -> None:
    """Declares that a layer computes with several examples of the batch at once.

    Raises:
      ValueError: the code is traced in the context of `independent_examples`.
    """
    if (why := _independent.value) is not None:
        raise GameError(
            f"{why} needs a discriminator that treats examples independently, and {what} does not"
        )


def global_rows(n: int) -> Array:
    """Indices in the global batch of this device's `n` examples, `int32[n]`.

    Args:
      n: number of examples on this device.

    Returns:
      `int32[n]`: 0 to `n - 1` on the first device, `n` to `2 n - 1` on the second, and so on;
      outside of `minibatch`.

    Example:
      >>> jax.vmap(lambda _: global_rows(3), axis_name="data")(jnp.zeros(2)).tolist()
      [[0, 1, 2], [3, 4, 5]]
    """
    if (recorder := _recorder.value) is not None:
        recorder.used = True
    return sharded(_part() * n + jnp.arange(n, dtype=jnp.int32))


def sampled(function: Callable[[PRNGKey], PyTree], key: PRNGKey) -> PyTree:
    """`function(key)`, with a different key on every device if it samples without `example_keys`.

    A custom function, such as `lambda key: jax.random.normal(key, (n, dim))`, would otherwise
    have the same random numbers on every device that the batch is mapped over, and in every
    minibatch of an accumulated batch.

    Args:
      function: `key -> samples` of this device's examples.
      key: a scalar typed key, the same on all devices.

    Returns:
      The samples, a pytree as `function` returns it.

    Example:
      >>> import jax
      >>> sampled(lambda key: jax.random.normal(key, (4, 2)), jax.random.key(0)).shape
      (4, 2)
    """
    recorder, outer = _Recorder(), _recorder.value
    if outer is not None:  # whose samples are those of this device by this call
        outer.used = True
    with _recorder(recorder):
        samples = function(key)
    if recorder.used or not (is_bound() or _minibatch.value is not None):
        return samples
    return function(jax.random.fold_in(key, _part()))


def _part() -> Array | int:
    """Number of this code's rows among the equal parts of the global batch."""
    shard = jax.lax.axis_index(DATA_AXIS) if is_bound() else 0
    current = _minibatch.value
    return shard if current is None else shard + current.number * num_shards()


def sharded(x: Array) -> Array:
    """`x` `[n, ...]` unchanged, with its rows constrained to be sharded over the devices.

    In a program over global arrays (`parallel.sharded`), the data is sharded, and so is what is
    computed from it. What is computed from a key alone, such as latents, would otherwise be
    replicated, together with everything computed from it.

    Args:
      x: `[n, ...]`, of which n is a multiple of the number of devices.

    Returns:
      The same values. Where the axis is bound, and outside of `parallel.sharded`, `x` itself.

    Example:
      >>> with jax.set_mesh(jax.sharding.Mesh(jax.devices()[:1], "data")):
      ...     tuple(sharded(jnp.ones(2)).sharding.spec)
      ('data',)
    """
    return x if is_bound() else _constrained(x, PartitionSpec(_mesh_axes()))


def all_gather(x: Array) -> Array:
    """The rows of all devices, in device order, replicated; `x` is this device's `[n, ...]`.

    Args:
      x: rows of this device, `[n, ...]`; n is the same on all devices.

    Returns:
      `[devices * n, ...]`; `x` if the axis is not bound.

    Example:
      >>> jax.vmap(all_gather, axis_name="data")(jnp.array([[1.0], [2.0]])).tolist()
      [[1.0, 2.0], [1.0, 2.0]]
    """
    return jax.lax.all_gather(x, DATA_AXIS, tiled=True) if is_bound() else replicated(x)


def local_rows(x: Array, n: int) -> Array:
    """This device's `n` rows of an array from `all_gather`.

    Args:
      x: rows of all devices, `[devices * n, ...]`, in device order.
      n: number of rows of one device.

    Returns:
      `[n, ...]`; `x` if the axis is not bound.

    Example:
      >>> rows = jnp.array([[1.0, 2.0], [3.0, 4.0]])  # of two devices
      >>> jax.vmap(lambda x: local_rows(10 * all_gather(x), 2), axis_name="data")(rows).tolist()
      [[10.0, 20.0], [30.0, 40.0]]
    """
    if not is_bound():
        return sharded(x)
    return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(DATA_AXIS) * n, n)


def example_keys(key: PRNGKey, n: int) -> PRNGKey:
    """One key per example, `fold_in(key, global row)`, independent of the number of devices.

    Args:
      key: a scalar typed key.
      n: number of examples on this device.

    Returns:
      Typed keys of shape `[n]`, for use under `jax.vmap`.

    Example:
      >>> key = jax.random.key(0)
      >>> noise = jax.vmap(lambda key: jax.random.normal(key, (2,)))(example_keys(key, 4))  # [4, 2]
      >>> bool(example_keys(key, 8)[3] == example_keys(key, 4)[3])  # in any batch
      True
    """
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, global_rows(n))


def normal(key: PRNGKey, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """Standard normal noise `[n, ...]` of `n` examples, independent of the number of devices.

    Args:
      key: a scalar typed key.
      shape: shape of the noise; the first axis is this device's examples.
      dtype: floating-point type.

    Returns:
      An array of that shape and type.

    Example:
      >>> import jax
      >>> images = jnp.zeros((4, 28, 28, 1))
      >>> noisy = images + 0.1 * normal(jax.random.key(0), images.shape)
    """
    sample = lambda key: jax.random.normal(key, shape[1:], dtype)
    return jax.vmap(sample)(example_keys(key, shape[0]))


def _mesh_axes() -> tuple[str, ...]:
    """Mesh axes under `parallel.sharded`; empty otherwise."""
    axes = jax.sharding.get_abstract_mesh().axis_names
    return axes if DATA_AXIS in axes else ()


def _constrained(tree: PyTree, spec: PartitionSpec) -> PyTree:
    return jax.lax.with_sharding_constraint(tree, spec) if _mesh_axes() else tree
