"""Minibatch sampler: a pure function of (seed, index).

Minibatch i does not depend on when or in which process it is computed. There is no iterator state
to save, and resuming is exact.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.data.shuffle import mixed, shuffled, word
from jaxgan.errors import DataError
from jaxgan.types import Batch

FLIPS = np.uint32(0x666C6970)  # makes the mirroring independent of the order, of the same seed


def minibatches(
    examples: Mapping[str, Any],
    *,
    batch_size: int,
    seed: int = 0,
    on_device: bool = False,
    x_flips: bool = False,
    process: tuple[int, int] | None = None,
) -> Callable[[int, int], Batch]:
    """Shuffled minibatches of arrays in memory: a pure function of (seed, index).

    Every epoch is a new random permutation of the examples; its remainder that does not fill a
    minibatch is dropped; a set smaller than a minibatch is repeated instead. `uint8` images are
    converted to float32 in [-1, 1].

    Args:
      examples: `{name: array[n, ...]}`, all of one length.
      batch_size: examples per minibatch, over all devices.
      seed: seed of the permutations.
      on_device: whether to keep the arrays on the default device and gather there, in a compiled
        program; otherwise in host memory with NumPy. The minibatches are the same.
      x_flips: whether to mirror each `image` horizontally with probability 1/2, anew in every
        epoch: a pure function of (seed, index of the minibatch, row).
      process: `(i, n)`, to get the i-th of n equal parts of every minibatch, with rows in order;
        if `None`, the part of this process among all JAX processes.

    Returns:
      `(start, count) -> batches`: minibatches `start` to `start + count - 1`, with leaves
      `[count, batch_size / n, ...]`.

    Raises:
      DataError: there are no examples, arrays have unequal lengths, images are neither `uint8` nor
        floats in [-1, 1] (see `check_images`), or the batch size is not divisible by the number of
        processes.
      ValueError: `batch_size` is below 1, `seed` is outside [0, 2^64), or `x_flips` is set without
        an `image`.

    Example:
      >>> batches = minibatches({"image": np.zeros((10, 28, 28, 1), np.uint8)}, batch_size=4)
      >>> batches(0, 2)["image"].shape
      (2, 4, 28, 28, 1)
    """
    if not isinstance(examples, Mapping):
        raise DataError(
            f"the examples are a {type(examples).__name__}, expected a dict of arrays, such as "
            '{"image": images}'
        )
    as_array = lambda x: x if hasattr(x, "dtype") else np.asarray(x)  # of a list
    examples = {name: as_array(x) for name, x in examples.items()}
    n = _num_examples(examples)
    if batch_size < 1:
        raise ValueError(f"batch size is {batch_size}, expected at least 1")
    if not 0 <= seed < 2**64:
        raise ValueError(f"the seed is {seed}, expected 0 to 2^64 - 1")
    if x_flips and "image" not in examples:
        raise ValueError(
            f"x_flips mirrors the image, and the examples have {', '.join(sorted(examples))}"
        )
    check_images(examples)
    part, parts = (jax.process_index(), jax.process_count()) if process is None else process
    if batch_size % parts:
        raise DataError(
            f"the batch size is {batch_size} and there are {parts} processes; "
            f"choose a multiple of {parts}"
        )
    rows = np.arange(batch_size).reshape(parts, -1)[part]
    indices = partial(_indices, n=n, batch_size=batch_size, rows=rows, seed=seed)
    flips = partial(_flips, rows=rows, seed=seed) if x_flips else lambda start, count: None
    if on_device:
        resident = jax.device_put(dict(examples))
        gather = jax.jit(_gathered)

        def batches(start: int, count: int) -> Batch:
            return gather(resident, indices(start, count), flips(start, count))
    else:
        arrays = {name: np.asarray(array) for name, array in examples.items()}

        def batches(start: int, count: int) -> Batch:
            return _gathered(arrays, indices(start, count), flips(start, count))

    return batches


def as_float(image: Any) -> Any:
    """Converts `uint8` 0 ... 255 to float32 in [-1, 1]; other dtypes are unchanged.

    Args:
      image: array of any shape, of NumPy or JAX.

    Returns:
      An array of that shape.

    Example:
      >>> as_float(np.array([0, 255], np.uint8))
      array([-1.,  1.], dtype=float32)
    """
    if image.dtype != np.uint8:
        return image
    # The difference is exact, so there is a single rounding, identical in NumPy and XLA (which
    # would replace a division by an approximation).
    return (image.astype(np.float32) - np.float32(127.5)) * np.float32(1 / 127.5)


def with_float_images(batch: Mapping[str, Any], *, leading: int = 1) -> Batch:
    """The batch with its `uint8` images as floats in [-1, 1]; other entries are unchanged.

    Labels and attributes, entries with a number or a vector per example, may be `uint8`, too; they
    are not images unless they are named `image`.

    Args:
      batch: `{name: array}`.
      leading: number of axes in front of those of an example.

    Returns:
      A dictionary of the same names.

    Example:
      >>> batch = {"image": np.zeros((2, 8, 8, 1), np.uint8), "label": np.array([3, 7], np.uint8)}
      >>> batch = with_float_images(batch)
      >>> float(batch["image"].min()), batch["label"].tolist()
      (-1.0, [3, 7])
    """
    is_image = lambda name, array: array.ndim > leading + (1 if name != "image" else 0)
    return {
        name: as_float(array) if is_image(name, array) else array for name, array in batch.items()
    }


def check_images(examples: Mapping[str, Any], *, warn: bool = True) -> None:
    """Checks that images are `uint8`, or floats in [-1, 1]; warns if they seem to lie in [0, 1].

    Of more than 1000 images, 1000 that are evenly spaced are checked.

    Args:
      examples: `{name: array[n, ...]}`; those of rank 4 are images, and so is `image` of `uint8`.
      warn: whether to warn.

    Raises:
      DataError: they are neither, not finite, or outside the range; or bytes without an axis of
        channels.

    Example:
      >>> check_images({"image": np.linspace(-1, 1, 12).reshape(1, 2, 2, 3)})
    """
    for name, array in examples.items():
        if name == "image" and np.ndim(array) == 3 and array.dtype == np.uint8:
            raise DataError(
                f"{name} has the shape {array.shape}, expected [n, height, width, channels]: "
                "images[..., None]"
            )
        if np.ndim(array) == 4 and array.dtype != np.uint8 and len(array):
            spaced = np.linspace(0, len(array) - 1, 1000).round().astype(int)
            _check_range(name, np.asarray(array if len(array) <= 1000 else array[spaced]), warn)


def _check_range(name: str, images: np.ndarray, warn: bool) -> None:
    if not jnp.issubdtype(images.dtype, jnp.floating):  # NumPy does not know bfloat16
        raise DataError(
            f"{name} has the dtype {images.dtype}, expected uint8 (which is converted), or floats "
            "in [-1, 1]"
        )
    low, high = float(images.min()), float(images.max())
    if not -1.001 <= low <= high <= 1.001:
        raise DataError(
            f"{name} has values from {low:g} to {high:g}, expected floats in [-1, 1]; scale them, "
            "or pass uint8"
        )
    if warn and low >= 0.0 and high > 0.9:
        warnings.warn(
            f"{name} has values from {low:g} to {high:g}; generators have outputs in [-1, 1], so "
            "scale images in [0, 1] by 2 x - 1",
            stacklevel=3,
        )


def _indices(
    start: int, count: int, *, n: int, batch_size: int, rows: np.ndarray, seed: int
) -> np.ndarray:
    """Indices of the examples in these rows of the minibatches, `uint32[count, len(rows)]`."""
    epoch_size = n // batch_size * batch_size or n
    first = (start + np.arange(count))[:, None] * batch_size
    epoch, position = np.divmod(first + rows, epoch_size)
    return shuffled(position, n=n, seed=seed, epoch=epoch)


def _flips(start: int, count: int, *, rows: np.ndarray, seed: int) -> np.ndarray:
    """Which of these rows of the minibatches are mirrored, `bool[count, len(rows)]`."""
    number = (start + np.arange(count))[:, None].astype(np.uint32)
    key = mixed(mixed(word(seed) ^ FLIPS) ^ number)
    return (mixed(key ^ rows.astype(np.uint32)) >> np.uint32(31)).astype(bool)


def _gathered(arrays: Mapping[str, Any], indices: Any, flips: Any) -> Batch:
    batch = {name: array[indices] for name, array in arrays.items()}
    if flips is not None:
        batch["image"] = _mirrored(batch["image"], flips)
    return with_float_images(batch, leading=2)


def _mirrored(images: Any, flips: Any) -> Any:
    if isinstance(images, np.ndarray):
        images[flips] = images[flips][:, :, ::-1]  # rows were gathered, and so are a copy
        return images
    flips = flips.reshape(*flips.shape, *[1] * (images.ndim - 2))
    return jnp.where(flips, images[:, :, :, ::-1], images)


def _num_examples(examples: Mapping[str, Any]) -> int:
    lengths = {name: len(array) for name, array in examples.items()}
    if not lengths or 0 in lengths.values() or len(set(lengths.values())) > 1:
        raise DataError(
            f"the arrays have lengths {lengths}, expected one length for all arrays, at least 1"
        )
    return next(iter(lengths.values()))
