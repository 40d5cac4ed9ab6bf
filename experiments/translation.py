"""Flags, data and learning rate schedule of the image translation experiments."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from jaxgan.errors import DataError, ImageError
from jaxgan.runs import ImageFlags, TrainingConfig, flag
from jaxgan.runs.config import training_config

if TYPE_CHECKING:
    from optax import GradientTransformation

    from jaxgan.data import ImageFiles
    from jaxgan.loop import Minibatches
    from jaxgan.types import Examples


@dataclasses.dataclass(frozen=True)
class Config(ImageFlags, TrainingConfig):
    """Flags of the image translation experiments."""

    data: str = "folder"
    """folder (images in --data-dir), recolored (digits in two pairs of colours, with known true
    translations), or a TFDS data set such as cycle_gan/horse2zebra."""
    data_dir: str | None = None
    """Folder with train/ and test/ (pairs side by side), or trainA/ trainB/ testA/ testB/; val in
    place of test is found, too, and without both, a share of the training images is held out."""
    direction: Literal["a2b", "b2a"] = "a2b"
    """Direction of the translation; A is the left half of side-by-side pairs."""
    preprocess: Literal[
        "resize_and_crop",
        "crop",
        "scale_width",
        "scale_width_and_crop",
        "scale_shortside",
        "scale_shortside_and_crop",
        "none",
    ] = "resize_and_crop"
    """How training images are resized to the load size: to squares (resize), or by width or
    shorter side, keeping the aspect ratio; and whether a square is then cropped at random. none:
    only to multiples of 4 pixels. Without a crop, all images must come out in one size."""
    load_size: int | None = flag(None, at_least=1)
    """Side length to which images are resized before cropping; default: 1.12 times the crop."""
    crop_size: int = flag(256, at_least=1)
    """Side length of the square training crops."""
    x_flips: bool = True
    """Mirror images horizontally with probability 1/2."""
    num_steps: int | None = None
    """Total number of training steps; default: those of all epochs."""
    epochs: int = 100
    """Number of epochs with a constant learning rate."""
    decay_epochs: int = 100
    """Number of epochs with linear decay of the learning rate to 0."""
    learning_rate: float = flag(2e-4, at_least=0.0)
    """Initial learning rate of Adam for both players."""
    b1: float = 0.5
    """Decay rate b1 of Adam."""
    lr_decay: Literal["none", "linear", "cosine"] = "linear"
    """Decay of the learning rate to 0, in --decay-epochs after --epochs; none: always constant."""
    batch_size: int = 1
    """Images per minibatch, over all devices."""
    evaluate_samples: int | None = None
    """Images per evaluation; default: all test images, of two unpaired sets as many as the smaller
    one has."""

    def blank_data(self, record: Mapping[str, Any]) -> Data:
        """Black images with the recorded shapes."""
        return blank(self, record)


class Data(NamedTuple):
    """Two sets of images, or a set of pairs.

    Attributes:
      minibatches: training data, `(start, count) -> batches`.
      num_train: number of training images, of the larger set.
      test: test images, in memory.
      train: training images of pairs, at most 1000, in memory.
      channels: number of channels of each set.
      record: the run's record of the data.
    """

    minibatches: Minibatches
    num_train: int
    test: Examples
    train: Examples
    channels: dict[str, int]
    record: Mapping[str, object]


def load(config: Config, names: tuple[str, str], *, paired: bool) -> Data:
    """Loads two sets of images under the given names, in the direction of the config."""
    from jaxgan import data

    if config.data == "recolored":
        of_files = ("background", "channels", "held_out", "skip_bad")
        config.refuse(*of_files, "preprocess", "load_size", "x_flips", data="recoloured digits")
        return _recolored(config, names, paired=paired)
    if config.data != "folder" and config.image_options() != data.ImageOptions():
        raise DataError(
            "--background, --channels, --held-out and --skip-bad are for --data folder, and --data "
            f"is {config.data}; leave them out"
        )
    swap = config.direction == "b2a"
    if config.data == "folder":
        splits = [_of_folder(config, split, paired=paired) for split in ("train", "test")]
    elif paired:
        raise DataError(f"{config.data} has no pairs; give --data folder and --data-dir")
    else:
        splits = [
            data.load_tfds_sets(config.data, split, data_dir=config.data_dir)
            for split in ("train", "test")
        ]
        splits = [both[::-1] for both in splits] if swap else splits
    train, test = (dict(zip(names, both, strict=True)) for both in splits)
    for name in names:
        if train[name].channels != test[name].channels:
            raise DataError(
                f"the training images {name} have {train[name].channels} channels and the test "
                f"images {test[name].channels}; give --channels 1 or --channels 3"
            )
    load_size = config.load_size or math.ceil(config.crop_size * 286 / 256)
    jitter = data.Jitter(load_size, config.crop_size, config.x_flips, config.preprocess)
    examples = data.resized_examples(test, jitter)
    return Data(
        minibatches=data.translation_minibatches(
            train,
            paired=paired,
            batch_size=config.batch_size,
            seed=config.seed,
            jitter=jitter,
        ),
        num_train=max(map(len, train.values())),
        test=examples,
        train=data.resized_examples(train, jitter, limit=1000) if paired else {},
        channels={name: image_files.channels for name, image_files in train.items()},
        record=_record(config, train, test)
        | {
            "num_train": max(map(len, train.values())),
            "num_test": len(examples[names[0]]),
            "image_shapes": {name: list(images.shape[1:]) for name, images in examples.items()},
        },
    )


def blank(config: Config, record: Mapping[str, Any]) -> Data:
    """Black images with the recorded shapes, in place of sets whose files are not needed."""
    import numpy as np

    shapes = record["image_shapes"]
    zeros = lambda *rows: {
        name: np.broadcast_to(np.uint8(0), (*rows, *shape)) for name, shape in shapes.items()
    }
    return Data(
        minibatches=lambda start, count: {
            name: images.astype(np.float32)
            for name, images in zeros(count, config.batch_size).items()
        },
        num_train=record["num_train"],
        test=zeros(record["num_test"]),
        train=zeros(min(record["num_train"], 1000)),
        channels={name: shape[-1] for name, shape in shapes.items()},
        record=record,
    )


def _of_folder(config: Config, split: str, *, paired: bool) -> tuple[ImageFiles, ImageFiles]:
    """Both sets of a split, in the direction of the config."""
    from jaxgan import data

    if config.data_dir is None:
        raise DataError("there are no images; give --data-dir, or --data recolored")
    load_both = data.load_pairs if paired else data.load_sets
    swap = config.direction == "b2a"
    try:
        return load_both(config.data_dir, split, swap=swap, options=config.image_options())
    except ImageError as error:
        raise error.with_flag() from None


def _record(
    config: Config, train: Mapping[str, ImageFiles], test: Mapping[str, ImageFiles]
) -> dict[str, Any]:
    """The run's record of image files: their contents, what was converted, and what left out."""
    from jaxgan import data

    fingerprints = [
        hashlib.sha256("".join(p.fingerprint for p in split.values()).encode()).hexdigest()
        for split in (train, test)
    ]
    conversions: dict[str, dict[str, int]] = {}
    for name in train:
        counts = collections.Counter(train[name].conversions)
        counts.update(test[name].conversions)
        conversions[name] = dict(counts)
    left_out = sorted(
        {file for split in (train, test) for p in split.values() for file in p.left_out}
    )
    words = f"{config.data_dir or config.data} {config.direction}: " + " and ".join(
        f"{len(train[name])} + {len(test[name])} {name}"
        + (f" (converted: {data.conversions_in_words(counts)})" if counts else "")
        for name, counts in conversions.items()
    )
    evaluated = min(map(len, test.values()))
    for name, image_files in test.items():
        if len(image_files) > evaluated:
            words += f"; evaluated on {evaluated} of the {len(image_files)} test images {name}"
    if left_out:
        words += f"; left out: {len(left_out)} that cannot be read"
    return {
        "name": config.data,
        "source": words,
        "fingerprint": fingerprints[0],
        "test_fingerprint": fingerprints[1],
        "conversions": conversions,
        "left_out": left_out,
        "background": config.background,
    }


def _recolored(config: Config, names: tuple[str, str], *, paired: bool) -> Data:
    """Digits in two colourings; the test set is always paired, as the true translation."""
    from jaxgan import data

    digits = data.load("auto", data_dir=config.data_dir)
    swap = config.direction == "b2a"
    rename = dict(zip(names[::-1] if swap else names, ("x", "y"), strict=True))

    def rendered(images, *, paired: bool) -> Examples:
        examples = data.recolored(images, paired=paired)
        return {name: examples[rename[name]] for name in names}

    train = rendered(digits.train["image"], paired=paired)
    # Without pairs, each set is shuffled independently.
    groups = [names] if paired else [(name,) for name in names]
    samplers = [
        data.minibatches(
            {name: train[name] for name in group},
            batch_size=config.batch_size,
            seed=config.seed + number,
        )
        for number, group in enumerate(groups)
    ]
    return Data(
        minibatches=lambda start, count: {
            name: images for sampler in samplers for name, images in sampler(start, count).items()
        },
        num_train=len(train[names[0]]),
        test=rendered(digits.test["image"], paired=True),
        train={name: images[:1000] for name, images in train.items()},
        channels=dict.fromkeys(names, 3),
        record=dict(digits.record)
        | {
            "name": f"recoloured {digits.name}",
            "image_shapes": {name: list(images.shape[1:]) for name, images in train.items()},
        },
    )


def adam(config: Config, num_train: int) -> GradientTransformation:
    """Adam with the schedule of both papers: a constant learning rate, then linear decay to 0."""
    per_epoch = steps_per_epoch(config, num_train)
    return training_config.adam(
        config,
        config.learning_rate,
        constant_steps=config.epochs * per_epoch,
        decay_steps=config.decay_epochs * per_epoch,
    )


def num_steps(config: Config, num_train: int) -> int:
    """Number of training steps of all epochs."""
    return (config.epochs + config.decay_epochs) * steps_per_epoch(config, num_train)


def steps_per_epoch(config: Config, num_train: int) -> int:
    """Number of training steps of an epoch, at least 1."""
    return max(num_train // (config.accumulate * config.batch_size), 1)
