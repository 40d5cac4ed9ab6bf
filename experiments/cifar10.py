"""A GAN on CIFAR-10: small photographs of ten classes.

Commands:

    python -m experiments.cifar10 --preset sngan
    python -m experiments.cifar10 --preset biggan --conditional
    python -m experiments.cifar10 --evaluate-features inception.pth

The images are those of TFDS, which downloads them; preparing them needs TensorFlow, once: `pip
install 'jaxgan[tfds]'`. Without Inception's weights, whose path
is `--evaluate-features`, scores are over random convolutions and not comparable to those of papers.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from jaxgan.experiments import images
from jaxgan.runs import Experiment, flag, main

if TYPE_CHECKING:
    from jaxgan.data import Dataset


@dataclasses.dataclass(frozen=True)
class Config(images.Config):
    """Train a GAN on the photographs of CIFAR-10."""

    data: str = flag("cifar10", resumable=True)
    """cifar10, or another TFDS image set, or folder (image files in --data-dir, in train/ and test/
    or val/ if it has these; folders in them are classes)."""
    features: int = flag(64, at_least=1)
    """Channels of the finest layer of convolutional networks."""
    x_flips: bool = True
    """Mirror training images horizontally with probability 1/2, anew in every epoch."""


def make(config: Config, dataset: Dataset) -> Experiment:
    """Networks, game, training algorithm and data, as in `experiments/images.py`."""
    return images.make(config, dataset)


if __name__ == "__main__":
    main(Config, make)
