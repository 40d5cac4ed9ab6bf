"""Minibatches for image-to-image translation: decoded in parallel, resized, cropped and flipped."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

import jax
import numpy as np

from jaxgan.data.image_files import ImageFiles, resized
from jaxgan.data.rows import in_parallel
from jaxgan.data.sampler import as_float
from jaxgan.data.shuffle import shuffled
from jaxgan.errors import DataError
from jaxgan.types import Batch, Examples

THREADS = 8


Preprocess = Literal[
    "resize_and_crop",
    "crop",
    "scale_width",
    "scale_width_and_crop",
    "scale_shortside",
    "scale_shortside_and_crop",
    "none",
]


@dataclasses.dataclass(frozen=True)
class Jitter:
    """Random jitter of training images (resize, crop, mirror), sampled anew for each use.

    Attributes:
      load_size: side in pixels that images are resized to.
      crop_size: side in pixels of the square crop at a random position.
      x_flips: whether to mirror images horizontally with probability 1/2.
      preprocess: how images are resized, and whether they are cropped afterwards. The names are
        those of the authors' code, and of code that builds on it (`scale_shortside`).
        `resize_and_crop`: to squares of `load_size`, whatever their aspect ratio.
        `crop`: not resized.
        `scale_width_and_crop`: to the width `load_size`, keeping the aspect ratio, and at least as
        high as the crop.
        `scale_shortside_and_crop`: to `load_size` along the shorter side, keeping the aspect
        ratio.
        `scale_width`, `scale_shortside`: the same, without a crop.
        `none`: not cropped, and resized to the nearest multiples of 4 pixels only.
        Without a crop, all images must come out in one size.

    Reference:
      Zhu, Park, Isola and Efros, *Unpaired Image-to-Image Translation using Cycle-Consistent
      Adversarial Networks*, 2017, https://arxiv.org/abs/1703.10593, and the options of
      https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix.

    Example, the middle of an image, of which training takes a random square of the same size:
      >>> image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
      >>> files = ImageFiles(("a",), 1, lambda i: image, "none")
      >>> middle = resized_examples({"x": files}, Jitter(4, 2, preprocess="crop"))
      >>> middle["x"][0, ..., 0].tolist()
      [[5, 6], [9, 10]]
    """

    load_size: int = 286
    crop_size: int = 256
    x_flips: bool = True
    preprocess: Preprocess = "resize_and_crop"


def translation_minibatches(
    sets: Mapping[str, ImageFiles],
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
        a file's image is smaller than the crop, or images have several sizes where they need one;
        or the batch size is not divisible by the number of processes. Of images from other sources
        than files, sizes are checked by the returned function.

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
        stacked = {name: _stacked([row[name] for row in rows], name) for name in sets}
        return jax.tree.map(lambda x: x.reshape(count, local_size, *x.shape[1:]), stacked)

    return batches


def resized_examples(
    sets: Mapping[str, ImageFiles], jitter: Jitter, *, limit: int | None = None
) -> Examples:
    """Images of every set, as in training but without chance, in memory: for evaluation.

    Of a set with more images than are asked for, a fixed random sample, in the order of the set.

    Args:
      sets: images by name.
      jitter: that of the training. With `resize_and_crop`, images are resized to the crop size, as
        in the authors' code; otherwise as in training, and cropped in the centre. None is flipped.
      limit: maximum number of images per set; the size of the smallest set if `None`.

    Returns:
      `{name: uint8[n, height, width, channels]}`, squares unless there is no crop.

    Raises:
      DataError: an image is smaller than the crop, or there is no crop and images come out in
        several sizes.

    Example:
      >>> files = ImageFiles(("a", "b"), 1, lambda i: np.full((6, 8, 1), i, np.uint8), "none")
      >>> images = resized_examples({"x": files}, Jitter(load_size=5, crop_size=4))
      >>> images["x"].shape, images["x"][:, 0, 0, 0].tolist()
      ((2, 4, 4, 1), [0, 1])
    """
    n = min(map(len, sets.values()))
    n = n if limit is None else min(n, limit)
    chosen = {name: _spread(n, len(image_files)) for name, image_files in sets.items()}
    crop = jitter.crop_size
    squares = jitter.preprocess == "resize_and_crop"
    fixed = dataclasses.replace(jitter, load_size=crop) if squares else jitter

    def example(image_files: ImageFiles, i: int) -> np.ndarray:
        image = _scaled(image_files.read(i), fixed)
        if "crop" not in fixed.preprocess:
            return image
        top, left = (room // 2 for room in _room(image.shape[:2], image_files.names[i], crop))
        return image[top : top + crop, left : left + crop]

    return {
        name: _stacked(
            list(in_parallel(partial(example, image_files), chosen[name], "resizing images")), name
        )
        for name, image_files in sets.items()
    }


def _spread(n: int, size: int) -> list[int]:
    """Indices of n images of a set, in order: names often begin with a class."""
    if n == size:
        return list(range(n))
    return sorted(shuffled(np.arange(n), n=size, seed=0, epoch=0).tolist())


@dataclasses.dataclass(frozen=True)
class _Examples:
    """Stream of this process's rows, as a random-access data source for grain."""

    sets: Mapping[str, ImageFiles]
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
        example, sizes = {}, set()
        for set_index, (name, image_files) in enumerate(self.sets.items()):
            stream = 0 if self.paired else set_index
            epoch, position = divmod(row, len(image_files))
            index = int(
                shuffled(position, n=len(image_files), seed=self.seed + stream, epoch=epoch)
            )
            rng = np.random.Generator(
                np.random.Philox(key=[self.seed, stream], counter=[0, 0, 0, row])
            )
            image = _scaled(image_files.read(index), self.jitter)
            sizes.add(image.shape[:2])
            cropped = _cropped(image, image_files.names[index], self.jitter, rng)
            example[name] = as_float(cropped)
        if self.paired and "crop" in self.jitter.preprocess:
            _check_pair(image_files.names[index], sizes)
        return example


def _cropped(image: np.ndarray, name: str, jitter: Jitter, rng: np.random.Generator) -> np.ndarray:
    """A scaled image, cropped and mirrored at random."""
    if "crop" in jitter.preprocess:
        crop = jitter.crop_size
        height, width = _room(image.shape[:2], name, crop)
        top, left = rng.integers(0, [height + 1, width + 1])
        image = image[top : top + crop, left : left + crop]
    return image[:, ::-1] if jitter.x_flips and rng.random() < 0.5 else image


def _scaled(image: np.ndarray, jitter: Jitter) -> np.ndarray:
    """An image resized as `jitter.preprocess` says, before the crop."""
    height, width, _ = image.shape
    return resized(image, _scaled_size((height, width), jitter))


def _scaled_size(size: tuple[int, int], jitter: Jitter) -> tuple[int, int]:
    """`(height, width)` of an image that is resized as `jitter.preprocess` says."""
    height, width = size
    target, how = jitter.load_size, jitter.preprocess
    if how == "resize_and_crop":
        return target, target
    if how.startswith("scale_width"):
        return max(target * height // width, jitter.crop_size), target
    if how.startswith("scale_shortside"):
        scale = target / min(height, width)
        return round(height * scale), round(width * scale)
    if how == "none":
        return max(round(height / 4), 1) * 4, max(round(width / 4), 1) * 4
    return size


def _room(size: tuple[int, ...], name: str, crop: int) -> tuple[int, int]:
    """Pixels by which an image is higher and wider than the crop."""
    height, width = size
    if min(height, width) < crop:
        raise DataError(
            f"{name} has {height} x {width} pixels, expected at least {crop} x {crop} for the "
            "crop; give --preprocess resize_and_crop or scale_shortside_and_crop, or a smaller "
            "--crop-size"
        )
    return height - crop, width - crop


def _check_pair(name: str, sizes: Iterable[tuple[int, ...]]) -> None:
    if len(found := sorted(set(sizes))) > 1:
        raise DataError(
            f"the pair of {name} has the sizes {found}, expected one size, to crop both alike; "
            "give --preprocess resize_and_crop"
        )


def _check_one_size(name: str, sizes: Iterable[tuple[int, ...]]) -> None:
    if len(found := sorted(set(sizes))) > 1:
        raise DataError(
            f"the images {name} come out in {len(found)} sizes, such as {found[0][0]} x "
            f"{found[0][1]} and {found[-1][0]} x {found[-1][1]}; give --preprocess "
            "resize_and_crop, scale_width_and_crop or scale_shortside_and_crop"
        )


def _stacked(images: list[np.ndarray], name: str) -> np.ndarray:
    _check_one_size(name, (image.shape for image in images))
    return np.stack(images)


def _read_ahead(examples: _Examples, first: int) -> Iterator[dict[str, np.ndarray]]:
    import grain  # imported lazily: it takes a second

    rows = grain.MapDataset.source(examples).slice(slice(first, None))
    options = grain.ReadOptions(
        num_threads=THREADS, prefetch_buffer_size=max(2 * examples.local_size, THREADS)
    )
    return iter(rows.to_iter_dataset(options))


def _check(sets: Mapping[str, ImageFiles], paired: bool, jitter: Jitter) -> None:
    smallest = jitter.crop_size if jitter.preprocess.endswith("and_crop") else 1
    if jitter.crop_size < 1 or jitter.load_size < smallest:
        raise DataError(
            f"the load size is {jitter.load_size} and the crop size {jitter.crop_size}; expected a "
            "crop of at least 1 and at most the load size"
        )
    lengths = {name: len(image_files) for name, image_files in sets.items()}
    if paired and len(set(lengths.values())) > 1:
        raise DataError(f"there are {lengths} images; pairs need equal numbers")
    _check_sizes(sets, paired, jitter)


def _check_sizes(sets: Mapping[str, ImageFiles], paired: bool, jitter: Jitter) -> None:
    """Raises a `DataError` for what would be found in the middle of training.

    Images of other sources than files have no sizes to check.
    """
    scaled = {
        name: [_scaled_size(size, jitter) for size in image_files.sizes]
        for name, image_files in sets.items()
    }
    if "crop" not in jitter.preprocess:
        for name, sizes in scaled.items():
            _check_one_size(name, sizes)
        return
    for name, sizes in scaled.items():
        for label, size in zip(sets[name].names, sizes, strict=False):
            _room(size, label, jitter.crop_size)
    if paired:
        labels = next(iter(sets.values())).names
        for label, *of_pair in zip(labels, *scaled.values(), strict=False):
            _check_pair(label, of_pair)
