"""A GAN on handwritten digits or other small images, with a choice of losses and penalties.

Commands:

    python -m experiments.mnist
    python -m experiments.mnist --conditional --lr-decay cosine
    python -m experiments.mnist --r1 0 --discriminator-norm batch
    python -m experiments.mnist --loss minimax --r1 0 --network maxout
    python -m experiments.mnist --loss relativistic_paired --r1 0.1 --r2 0.1
    python -m experiments.mnist --batch-size 16 --accumulate 4 --dtype bfloat16 --remat
    python -m experiments.mnist --loss wasserstein --r1 0 --gradient-penalty 10 --penalty-every 1 \
        --discriminator-turns 5

Hardware: two CPU cores. The first command takes three to five minutes with both to itself (60 steps
per second), and more on a busy machine. Results are in docs/results.md. Strokes appear after 200
steps and mostly legible digits after 1000; `fid_mnist_classifier` is 1.71 after 2500 steps and 1.14
after 5000. Labels help most; with them, the cosine decay of the second command takes seed 0 from
0.36 to 0.09. The mean of D settles within 300 steps and stays: at the end of the first command it
is 0.502 on real and 0.494 on generated images, and the losses are 1.37 and 0.71; the equilibrium
has log 4 = 1.386 and log 2 = 0.693.

Choice of the defaults, by `fid_mnist_classifier`: with the non-saturating loss, batch normalisation
in D and no penalty, D wins (0.8 against 0.2 after 10 000 steps), and more digits stay broken. R1
with gamma = 1, computed at every 16th step, keeps the balance and takes a tenth more time. Adam's
moments matter most: after 2000 steps b1 = 0.5, b2 = 0.999 and 1e-3 have 4.20, b1 = 0 and b2 = 0.99
have 2.49, and 2.03 with 2e-3; after 10 000 steps the first have 1.34. A cosine decay of the
learning rates has 1.04 then, and a weight of R1 of 0.3 made no difference after 2500.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from jaxgan.experiments import images
from jaxgan.runs import Experiment, flag, main

if TYPE_CHECKING:
    from jaxgan.data import Dataset


@dataclasses.dataclass(frozen=True)
class Config(images.Config):
    """Train a GAN on handwritten digits, or on other small images."""

    DCGAN_LEARNING_RATE: ClassVar = 2e-3

    data: str = flag("auto", resumable=True)
    """auto (MNIST, or scikit-learn's digits where it is not available), mnist, digits, any TFDS
    image set, or folder (image files in --data-dir, in train/ and test/ or val/ if it has these;
    folders in them are classes)."""
    augment: Literal["auto", "none", "diff_augment", "ada"] = "none"
    """Augmentation of all images that the discriminator receives; auto is diff_augment if there are
    fewer than 20 000 training images, and none otherwise."""
    discriminator_lr: float | None = flag(None, at_least=0.0)
    """Learning rate of the discriminator; default: 2e-3 for the DCGAN, and 2e-4 for the others."""
    generator_lr: float | None = flag(None, at_least=0.0)
    """Learning rate of the generator; default: 2e-3 for the DCGAN, and 2e-4 for the others."""
    b1: float = flag(0.0, at_least=0.0, below=1.0)
    """Decay rate b1 of Adam."""
    b2: float = flag(0.99, at_least=0.0, below=1.0)
    """Decay rate b2 of Adam."""


def make(config: Config, dataset: Dataset) -> Experiment:
    """Networks, game, training algorithm and data, as in `experiments/images.py`."""
    return images.make(config, dataset)


if __name__ == "__main__":
    main(Config, make)
