"""Trees of arrays as checkpoints see them: their digest and their structure."""

import hashlib
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.parallel import multihost
from jaxgan.tree import by_path
from jaxgan.types import PyTree


def digest(tree: PyTree) -> str:
    """SHA-256 of a pytree: name, dtype, shape and bytes of every leaf with elements, by name.

    Container types do not matter: a `TrainState` and the nested dictionaries in its checkpoint have
    the same digest.

    Args:
      tree: pytree of arrays, perhaps sharded over processes, all of which must then call it.

    Returns:
      The digest in hexadecimal, 64 digits.

    Example:
      >>> digest({"a": np.zeros(2)}) == digest({"a": np.zeros(2)}) != digest({"b": np.zeros(2)})
      True
    """
    sha256 = hashlib.sha256()
    for name, leaf in sorted(by_path(without_keys(tree)).items()):
        array = multihost.to_host(leaf)
        if not array.size:
            continue
        sha256.update(f"{name} {array.dtype} {array.shape}\n".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()


def structure(tree: PyTree) -> str:
    """SHA-256 of names, shapes and dtypes of the leaves that have elements."""
    lines = [
        f"{name} {tuple(leaf.shape)} {np.dtype(leaf.dtype).name}\n"
        for name, leaf in sorted(by_path(tree).items())
        if math.prod(leaf.shape)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def storable(tree: PyTree) -> PyTree:
    """The tree as Orbax can save it: `None` for arrays without elements, and no typed keys."""
    return jax.tree.map(lambda x: x if math.prod(x.shape) else None, without_keys(tree))


def from_storable(abstract: PyTree, tree: PyTree) -> PyTree:
    """Inverse of `storable`, for a tree of the shapes, dtypes and shardings of `abstract`."""

    def leaf(a: Any, x: Any) -> Any:
        if x is None:
            return jnp.zeros(a.shape, a.dtype, device=a.sharding)
        return jax.random.wrap_key_data(x, impl=_key_impl(a.dtype)) if _is_key(a) else x

    return jax.tree.map(leaf, abstract, tree)


def without_keys(tree: PyTree) -> PyTree:
    """The tree, or one of shapes, with typed PRNG keys, such as an optimizer's, as their data."""

    def data(x: Any) -> Any:
        if not _is_key(x):
            return x
        if isinstance(x, jax.Array):
            return jax.random.key_data(x)
        shape = jax.eval_shape(jax.random.key_data, x)
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=x.sharding)

    return jax.tree.map(data, tree)


def _is_key(x: Any) -> bool:
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _key_impl(dtype: Any) -> str:
    """Name of the generator of a dtype of keys."""
    names = ("threefry2x32", "rbg", "unsafe_rbg")
    return next(name for name in names if jax.random.key(0, impl=name).dtype == dtype)
