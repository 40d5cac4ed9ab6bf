"""Minibatches from anything that yields batches: grain, tf.data, PyTorch loaders, generators."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxgan.data.sampler import as_float
from jaxgan.errors import DataError
from jaxgan.types import Batch


def streamed(epoch: Callable[[int], Iterable[Mapping[str, Any]]]) -> Callable[[int, int], Batch]:
    """Minibatch sampler over the batches of iterables, one per epoch.

    Minibatches that are asked for in order are read once. A run that resumes at minibatch i reads
    the i batches before it again, and drops them. Resuming is exact if `epoch(n)` yields the same
    batches every time: seed its shuffling with n, and leave no randomness to workers.

    Args:
      epoch: `n -> batches` of epoch n = 0, 1, ..., each `{name: [batch, ...]}` of equal shapes;
        `uint8` images are converted to float32 in [-1, 1]. With several processes, those of this
        process.

    Returns:
      `(start, count) -> batches`: minibatches `start` to `start + count - 1`, with leaves
      `[count, batch, ...]`.

    Raises:
      DataError: raised by the returned function: an epoch yields no batch, or batches of unequal
        shapes (drop the last one of an epoch if it is smaller).

    Example:
      >>> loader = [{"image": np.zeros((2, 8, 8, 1), np.uint8)}] * 3
      >>> batches = streamed(lambda n: loader)
      >>> batches(0, 4)["image"].shape
      (4, 2, 8, 8, 1)
    """
    position: dict[str, Any] = {"next": None, "stream": None}

    def batches(start: int, count: int) -> Batch:
        if position["next"] != start:
            position["stream"] = itertools.islice(_epochs(epoch), start, None)
        taken = list(itertools.islice(position["stream"], count))
        position["next"] = start + count
        return jax.tree.map(_stacked, *taken)

    return batches


def _epochs(epoch: Callable[[int], Iterable[Mapping[str, Any]]]) -> Iterator[Batch]:
    for n in itertools.count():
        empty = True
        for batch in epoch(n):
            empty = False
            yield {name: as_float(np.asarray(rows)) for name, rows in batch.items()}
        if empty:
            raise DataError(f"epoch {n} has no batches, expected at least one")


def _stacked(*rows: np.ndarray) -> np.ndarray:
    shapes = {array.shape for array in rows}
    if len(shapes) > 1:
        raise DataError(
            f"batches have the shapes {sorted(shapes)}, expected equal ones; drop the last batch "
            "of an epoch if it is smaller"
        )
    return np.stack(rows)
