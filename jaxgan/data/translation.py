"""Minibatches for image-to-image translation: decoded in parallel, resized, cropped and flipped."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxgan.data.pictures import Pictures, resized
from jaxgan.data.sampler import as_float
from jaxgan.data.shuffle import shuffled
from jaxgan.errors import DataError
from jaxgan.types import Batch, Examples

THREADS = 8


@dataclasses.dataclass(frozen=True)
class Jitter:
    """Random jitter of training images (resize, crop, flip), sampled anew for each use.

    Attributes:
      load_size: side in pixels of the square that images are resized to; `None` to keep their size.
      crop_size: side in pixels of the square crop at a random position.
      flip: whether to flip images left to right with probability 1/2.
    """

    load_size: int | None = 286
    crop_size: int = 256
    flip: bool = True


def translation_minibatches(
    sets: Mapping[str, Pictures],
    *,
    paired: bool,
    batch_size: int,
    seed: int = 0,
    jitter: Jitter = Jitter(),
) -> Callable[[int, int], Batch]:
    """Minibatches of image files: a pure function of (seed, index).

    Every example is a pure function of (seed, its index): image, crop position and flip. Threads
    decode ahead of use (with grain), so that training steps do not wait for the disk.

    Args:
      sets: images by entry of the batch, such as `source` and `target`.
      paired: whether images of equal index form pairs, which are cropped and flipped alike.
        Otherwise every set has its own random order, and a shorter set starts its next epoch
        earlier.
      batch_size: examples per minibatch, over all devices.
      seed: seed of the order and the jitter.
      jitter: resize, crop and flip of the images.

    Returns:
      `(start, count) -> {name: float32[count, batch_size / processes, crop, crop, channels]}` in
      [-1, 1], this process's rows.

    Raises:
      DataError: `load_size` is smaller than the crop; paired sets have unequal numbers of images;
        or the batch size is not divisible by the number of processes. The returned function raises
        it for an image that is smaller than the crop.

    Example:
      >>> x, y = load_sets("horse2zebra", "train")  # doctest: +SKIP
      >>> batches = translation_minibatches(
      ...     {"x": x, "y": y}, paired=False, batch_size=1
      ... )  # doctest: +SKIP
    """
    _check(sets, paired, jitter)
    process, processes = jax.process_index(), jax.process_count()
    if batch_size < 1 or batch_size % processes:
        raise DataError(
            f"the batch size is {batch_size} and there are {processes} processes; "
            f"choose a multiple of {processes}"
        )
    local_size = batch_size // processes
    examples = _Examples(sets, paired, seed, jitter, batch_size, local_size, process)
    stream: dict[str, Any] = {"next": None, "rows": None}  # prefetch iterator and its position

    def batches(start: int, count: int) -> Batch:
        if stream["next"] != start:
            stream["rows"] = _read_ahead(examples, start * local_size)
        rows = [next(stream["rows"]) for _ in range(count * local_size)]
        stream["next"] = start + count
        stacked = {name: np.stack([row[name] for row in rows]) for name in sets}
        return jax.tree.map(lambda x: x.reshape(count, local_size, *x.shape[1:]), stacked)

    return batches


def resized_examples(
    sets: Mapping[str, Pictures], size: int, *, limit: int | None = None
) -> Examples:
    """First images of every set, resized to squares, in memory: for evaluation and image grids.

    Args:
      sets: images by name.
      size: side of the squares in pixels.
      limit: maximum number of images per set; the size of the smallest set if `None`.

    Returns:
      `{name: uint8[n, size, size, channels]}`.
    """
    n = min(map(len, sets.values()))
    n = n if limit is None else min(n, limit)
    return {
        name: np.stack([resized(pictures.read(i), (size, size)) for i in range(n)])
        for name, pictures in sets.items()
    }


@dataclasses.dataclass(frozen=True)
class _Examples:
    """Stream of this process's rows, as a random-access data source for grain."""

    sets: Mapping[str, Pictures]
    paired: bool
    seed: int
    jitter: Jitter
    batch_size: int
    local_size: int
    process: int

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        minibatch, within = divmod(int(i), self.local_size)
        row = minibatch * self.batch_size + self.process * self.local_size + within
        example = {}
        for set_index, (name, pictures) in enumerate(self.sets.items()):
            stream = 0 if self.paired else set_index
            epoch, position = divmod(row, len(pictures))
            index = int(shuffled(position, n=len(pictures), seed=self.seed + stream, epoch=epoch))
            rng = np.random.Generator(
                np.random.Philox(key=[self.seed, stream], counter=[0, 0, 0, row])
            )
            example[name] = as_float(_jittered(pictures, index, self.jitter, rng))
        return example


def _jittered(
    pictures: Pictures, index: int, jitter: Jitter, rng: np.random.Generator
) -> np.ndarray:
    picture = pictures.read(index)
    if jitter.load_size is not None:
        picture = resized(picture, (jitter.load_size, jitter.load_size))
    height, width, _ = picture.shape
    crop = jitter.crop_size
    if min(height, width) < crop:
        raise DataError(
            f"{pictures.names[index]} has {height} x {width} pixels, expected at least {crop} x "
            f"{crop} for the crop; set a load size, or a smaller crop size"
        )
    top, left = rng.integers(0, [height - crop + 1, width - crop + 1])
    picture = picture[top : top + crop, left : left + crop]
    return picture[:, ::-1] if jitter.flip and rng.random() < 0.5 else picture


def _read_ahead(examples: _Examples, first: int) -> Iterator[dict[str, np.ndarray]]:
    import grain  # imported lazily: it takes a second

    rows = grain.MapDataset.source(examples).slice(slice(first, None))
    options = grain.ReadOptions(
        num_threads=THREADS, prefetch_buffer_size=max(2 * examples.local_size, THREADS)
    )
    return iter(rows.to_iter_dataset(options))


def _check(sets: Mapping[str, Pictures], paired: bool, jitter: Jitter) -> None:
    if jitter.crop_size < 1 or (jitter.load_size or jitter.crop_size) < jitter.crop_size:
        raise DataError(
            f"the load size is {jitter.load_size} and the crop size {jitter.crop_size}; expected a "
            "crop of at least 1 and at most the load size"
        )
    lengths = {name: len(pictures) for name, pictures in sets.items()}
    if paired and len(set(lengths.values())) > 1:
        raise DataError(f"there are {lengths} images; pairs need equal numbers")
