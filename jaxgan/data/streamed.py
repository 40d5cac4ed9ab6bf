"""Minibatches from anything that yields batches: grain, tf.data, PyTorch loaders, generators."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxgan.data.sampler import check_images, with_float_images
from jaxgan.errors import DataError
from jaxgan.types import Batch


def streamed(epoch: Callable[[int], Iterable[Mapping[str, Any]]]) -> Callable[[int, int], Batch]:
    """Minibatch sampler over the batches of iterables, one per epoch.

    Minibatches that are asked for in order are read once. A run that resumes at minibatch i reads
    the i batches before it again, and drops them. Resuming is exact if `epoch(n)` yields the same
    batches every time: seed its shuffling with n, and leave no randomness to workers.

    Args:
      epoch: `n -> batches` of epoch n = 0, 1, ..., each `{name: [batch, ...]}` of equal shapes;
        images are `uint8`, and are converted to float32 in [-1, 1], or floats in that range. With
        several processes, those of this process.

    Returns:
      `(start, count) -> batches`: minibatches `start` to `start + count - 1`, with leaves
      `[count, batch, ...]`.

    Raises:
      DataError: `epoch` is not a function; raised by the returned function: an epoch yields no
        batch, a batch that is not a dict, or batches of unequal shapes (drop the last one of an
        epoch if it is smaller); or images are neither `uint8` nor floats in [-1, 1].

    Example:
      >>> loader = [{"image": np.zeros((2, 8, 8, 1), np.uint8)}] * 3
      >>> batches = streamed(lambda n: loader)
      >>> batches(0, 4)["image"].shape
      (4, 2, 8, 8, 1)
    """
    if not callable(epoch):
        raise DataError(
            f"epoch is a {type(epoch).__name__}, expected a function n -> batches of epoch n, such "
            "as lambda n: loader"
        )
    position: dict[str, Any] = {"next": None, "stream": None, "shapes": None}

    def checked(batch: Batch) -> Batch:
        first = position["shapes"] is None
        shapes = {name: array.shape for name, array in batch.items()}
        if first:
            position["shapes"] = shapes
        if shapes != position["shapes"]:
            raise DataError(
                f"batches have the shapes {position['shapes']} and {shapes}, expected equal ones; "
                "drop the last batch of an epoch if it is smaller"
            )
        check_images(batch, warn=first)
        return with_float_images(batch)

    def batches(start: int, count: int) -> Batch:
        if position["next"] != start:
            position["stream"] = itertools.islice(_epochs(epoch), start, None)
        position["next"] = None  # after an error, the stream is read again from its beginning
        taken = [checked(batch) for batch in itertools.islice(position["stream"], count)]
        position["next"] = start + count
        return jax.tree.map(lambda *rows: np.stack(rows), *taken)

    return batches


def _epochs(epoch: Callable[[int], Iterable[Mapping[str, Any]]]) -> Iterator[Batch]:
    for n in itertools.count():
        empty = True
        for batch in epoch(n):
            empty = False
            if not isinstance(batch, Mapping):
                raise DataError(
                    f"a batch of epoch {n} is a {type(batch).__name__}, expected a dict of arrays, "
                    'such as {"image": images}'
                )
            yield {name: np.asarray(rows) for name, rows in batch.items()}  # type: ignore[misc]
        if empty:
            raise DataError(f"epoch {n} has no batches, expected at least one")
