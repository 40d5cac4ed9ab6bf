"""Flags, data and learning rate schedule of the image translation experiments."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from jaxgan.errors import DataError
from jaxgan.runs import TrainingConfig, flag, training_config

if TYPE_CHECKING:
    from optax import GradientTransformation

    from jaxgan.loop import Minibatches
    from jaxgan.types import Examples


@dataclasses.dataclass(frozen=True)
class Config(TrainingConfig):
    """Flags of the image translation experiments."""

    data: str = "folder"
    """folder (images in --data-dir), recoloured (digits in two pairs of colours, with known true
    translations), or a TFDS data set such as cycle_gan/horse2zebra."""
    data_dir: str | None = None
    """Folder with train/ and test/ (pairs side by side), or trainA/ trainB/ testA/ testB/."""
    direction: Literal["a2b", "b2a"] = "a2b"
    """Direction of the translation; A is the left half of side-by-side pairs."""
    load_size: int | None = None
    """Side length to which images are resized before cropping; default: 1.12 times the crop."""
    crop_size: int = 256
    """Side length of the square training crops."""
    flip: bool = True
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
    """Images per evaluation; default: the whole test set."""


class Data(NamedTuple):
    """Two sets of images, or a set of pairs.

    Attributes:
      minibatches: training data, `(start, count) -> batches`.
      num_train: number of training images, of the larger set.
      test: test images, in memory.
      train: the first training images, at most 1000, in memory.
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
    if config.data == "recoloured":
        return _recoloured(config, names, paired=paired)
    from jaxgan import data

    swap = config.direction == "b2a"
    if config.data == "folder":
        if config.data_dir is None:
            raise DataError("there are no pictures; give --data-dir, or --data recoloured")
        load_both = data.load_pairs if paired else data.load_sets
        splits = [load_both(config.data_dir, split, swap=swap) for split in ("train", "test")]
    elif paired:
        raise DataError(f"{config.data} has no pairs; give --data folder and --data-dir")
    else:
        splits = [
            data.load_tfds_sets(config.data, split, data_dir=config.data_dir)
            for split in ("train", "test")
        ]
        splits = [both[::-1] for both in splits] if swap else splits
    train, test = (dict(zip(names, both, strict=True)) for both in splits)
    load_size = config.load_size or math.ceil(config.crop_size * 286 / 256)
    fingerprint = hashlib.sha256("".join(p.fingerprint for p in train.values()).encode())
    return Data(
        minibatches=data.translation_minibatches(
            train,
            paired=paired,
            batch_size=config.batch_size,
            seed=config.seed,
            jitter=data.Jitter(load_size, config.crop_size, config.flip),
        ),
        num_train=max(map(len, train.values())),
        test=data.resized_examples(test, config.crop_size),
        train=data.resized_examples(train, config.crop_size, limit=1000),
        channels={name: pictures.channels for name, pictures in train.items()},
        record={
            "name": config.data,
            "source": f"{config.data_dir} {config.direction}: "
            + " and ".join(f"{len(p)} {name}" for name, p in train.items()),
            "fingerprint": fingerprint.hexdigest(),
        },
    )


def _recoloured(config: Config, names: tuple[str, str], *, paired: bool) -> Data:
    """Digits in two colourings; the test set is always paired, as the true translation."""
    from jaxgan import data

    digits = data.load("auto", data_dir=config.data_dir)
    swap = config.direction == "b2a"
    rename = dict(zip(names[::-1] if swap else names, ("x", "y"), strict=True))

    def rendered(images, *, paired: bool) -> Examples:
        examples = data.recoloured(images, paired=paired)
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
        record=dict(digits.record) | {"name": f"recoloured {digits.name}"},
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
