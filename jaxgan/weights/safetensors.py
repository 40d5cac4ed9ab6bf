"""Weights of a single network as a safetensors file, for use in other programs.

A safetensors file is a JSON header followed by the bytes of the arrays: it contains no code, and
all major frameworks read it. https://github.com/huggingface/safetensors
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from flax.traverse_util import unflatten_dict
from safetensors import safe_open
from safetensors.numpy import save as to_bytes

from jaxgan.errors import WeightsError
from jaxgan.files import replacing
from jaxgan.tree import by_path
from jaxgan.types import ModelState, Params


def save(
    path: str | Path,
    params: Params,
    model_state: ModelState,
    *,
    record: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Writes a network's `params/...` and `model_state/...`, with a record of their origin.

    Args:
      path: the file to write, `.safetensors`.
      params, model_state: pytrees of arrays; leaves are named by their paths.
      record: metadata of the weights, serialisable as JSON.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(f"{folder}/w.safetensors", {"kernel": np.ones(2)}, {}, record={"step": 1})
      ...     sorted(load_arrays(f"{folder}/w.safetensors"))
      ['params/kernel']
    """
    tree = {"params": params, "model_state": model_state}
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in by_path(tree).items()}
    content = to_bytes(arrays, metadata={"record": json.dumps(dict(record))})
    with replacing(path) as part:
        part.write_bytes(content)  # with the permissions of any other file


def load(path: str | Path) -> tuple[Params, ModelState]:
    """Reads the parameters and model state written by `save`, as nested dictionaries.

    Args:
      path: the file, `.safetensors`.

    Returns:
      `(params, model_state)`, NumPy arrays; `{}` for what the file lacks.

    Raises:
      WeightsError: the file is missing, damaged or not a safetensors file.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(f"{folder}/w.safetensors", {"Dense_0": {"kernel": np.ones(2)}}, {})
      ...     load(f"{folder}/w.safetensors")
      ({'Dense_0': {'kernel': array([1., 1.])}}, {})
    """
    arrays = load_arrays(path)
    try:
        tree = unflatten_dict(arrays, sep="/")
    except (TypeError, ValueError, AttributeError) as error:  # such as arrays `a` and `a/b`
        raise WeightsError(f"{path} has array names that do not form a tree ({error})") from None
    return tree.get("params", {}), tree.get("model_state", {})


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Reads all arrays of any safetensors file, by name.

    Args:
      path: the file, `.safetensors`.

    Returns:
      NumPy arrays by name, such as `params/Dense_0/kernel` in a file that `save` wrote.

    Raises:
      WeightsError: the file is missing, damaged or not a safetensors file.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(f"{folder}/w.safetensors", {"kernel": np.ones(2)}, {"mean": np.zeros(1)})
      ...     load_arrays(f"{folder}/w.safetensors")["model_state/mean"]
      array([0.])
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a mapping


def record(path: str | Path) -> dict[str, Any]:
    """Reads the record written by `save`.

    Args:
      path: the file, `.safetensors`.

    Returns:
      The metadata of the weights, as `json` reads them: tuples have become lists.

    Raises:
      WeightsError: the file is missing, damaged or not a safetensors file, or has no record.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(f"{folder}/w.safetensors", {"kernel": np.ones(2)}, {}, record={"step": 1})
      ...     record(f"{folder}/w.safetensors")
      {'step': 1}
    """
    with _opened(path) as file:
        found = json.loads(file.metadata()["record"])
        if not isinstance(found, dict):
            raise ValueError("its record is not a JSON object")
        return found


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """The file, with every error while it is read reported as one of the user's."""
    try:
        if Path(path).exists() and not Path(path).is_file():  # a pipe would be waited for
            raise ValueError("it is not a file")
        with safe_open(str(path), framework="numpy") as file:
            yield file
    except Exception as error:  # a damaged file raises errors of many types
        why = str(error).partition("\n")[0][:200] or type(error).__name__
        raise WeightsError(
            f"{path} cannot be read as safetensors ({why}); restore the file from a copy"
        ) from None
