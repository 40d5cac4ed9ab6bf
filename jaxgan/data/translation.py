"""Minibatches of pictures for translation: resized, cropped and mirrored, decoded in parallel."""

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
    """What is done to a picture in training, drawn anew every time.

    Attributes:
      load_size: side that it is resized to, a square; `None` to keep its size.
      crop_size: side of the square that is cut out of it, anywhere.
      flip: whether it is mirrored, left to right, half of the time.
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
    """Minibatches of pictures on the disk, a pure function of (seed, number).

    Every example is a pure function of (seed, its number): which picture, where it is cut and
    whether it is mirrored. Threads decode the next ones ahead (grain), so that a step does not wait
    for the disk.

    Args:
      sets: by the batch's names, such as `source` and `target`.
      paired: pictures of equal number belong together, and are cut and mirrored alike. Otherwise
        every set has an order of its own, and a shorter one begins anew earlier.
      batch_size: examples per minibatch, over all devices.
      seed: what order and jitter depend on.
      jitter: what is done to pictures.

    Returns:
      `(start, count) -> {name: float32[count, batch_size / processes, crop, crop, channels]}` in
      [-1, 1], this process's rows.

    Raises:
      DataError: a picture is smaller than what is to be cut out of it, which is noticed when it is
        read; `load_size` is smaller; the pairs are not as many; or the batch size does not divide
        over the processes.

    Example:
      >>> x, y = load_sets("horse2zebra", "train")  # doctest: +SKIP
      >>> draw = translation_minibatches(
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
    mine = batch_size // processes
    examples = _Examples(sets, paired, seed, jitter, batch_size, mine, process)
    stream: dict[str, Any] = {"next": None, "rows": None}  # where reading ahead has come to

    def draw(start: int, count: int) -> Batch:
        if stream["next"] != start:
            stream["rows"] = _read_ahead(examples, start * mine)
        rows = [next(stream["rows"]) for _ in range(count * mine)]
        stream["next"] = start + count
        stacked = {name: np.stack([row[name] for row in rows]) for name in sets}
        return jax.tree.map(lambda x: x.reshape(count, mine, *x.shape[1:]), stacked)

    return draw


def resized_examples(
    sets: Mapping[str, Pictures], size: int, *, limit: int | None = None
) -> Examples:
    """The first pictures of every set, resized to squares, in memory: for evaluation and sheets.

    Args:
      sets: by name.
      size: side of the squares.
      limit: how many of each; as many as the smallest set has when left out.

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
    """This process's rows, one after the other, as a source that grain reads from."""

    sets: Mapping[str, Pictures]
    paired: bool
    seed: int
    jitter: Jitter
    batch_size: int
    mine: int
    process: int

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        minibatch, within = divmod(int(i), self.mine)
        row = minibatch * self.batch_size + self.process * self.mine + within
        example = {}
        for number, (name, pictures) in enumerate(self.sets.items()):
            stream = 0 if self.paired else number
            epoch, position = divmod(row, len(pictures))
            which = int(shuffled(position, n=len(pictures), seed=self.seed + stream, epoch=epoch))
            rng = np.random.Generator(
                np.random.Philox(key=[self.seed, stream], counter=[0, 0, 0, row])
            )
            example[name] = as_float(_jittered(pictures, which, self.jitter, rng))
        return example


def _jittered(
    pictures: Pictures, which: int, jitter: Jitter, rng: np.random.Generator
) -> np.ndarray:
    picture = pictures.read(which)
    if jitter.load_size is not None:
        picture = resized(picture, (jitter.load_size, jitter.load_size))
    height, width, _ = picture.shape
    crop = jitter.crop_size
    if min(height, width) < crop:
        raise DataError(
            f"{pictures.names[which]} has {height} x {width} pixels, and {crop} x {crop} are to be "
            "cut out of it; give a load size, or a smaller crop size"
        )
    top, left = rng.integers(0, [height - crop + 1, width - crop + 1])
    picture = picture[top : top + crop, left : left + crop]
    return picture[:, ::-1] if jitter.flip and rng.random() < 0.5 else picture


def _read_ahead(examples: _Examples, first: int) -> Iterator[dict[str, np.ndarray]]:
    import grain  # takes a second

    rows = grain.MapDataset.source(examples).slice(slice(first, None))
    options = grain.ReadOptions(
        num_threads=THREADS, prefetch_buffer_size=max(2 * examples.mine, THREADS)
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
        raise DataError(f"there are {lengths} pictures; pairs need as many of either")
