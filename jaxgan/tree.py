"""Leaves of pytrees by path."""

from typing import Any

import jax

from jaxgan.types import PyTree


def by_path(tree: PyTree) -> dict[str, Any]:
    """Leaves of a pytree by path, such as `params/generator/Dense_0/kernel`.

    Args:
      tree: a pytree.

    Returns:
      Leaves by their paths, of which the parts are joined by `/`, in the order of the tree.

    Example:
      >>> by_path({"a": {"b": 1}, "c": [2, 3]})
      {'a/b': 1, 'c/0': 2, 'c/1': 3}
    """
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def path_name(path: Any) -> str:
    """A path of `jax.tree_util` as text, its parts joined by `/`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")
