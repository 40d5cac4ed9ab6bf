"""A GAN on Stacked MNIST: how many of 1000 modes does the generator cover?

Commands:

    python -m experiments.stacked_mnist
    python -m experiments.stacked_mnist --num-steps 20000
    python -m experiments.stacked_mnist --preset r3gan

Every image has three random digits as its channels, and a mode is one of the 1000 numbers. The
evaluation classifies the digits of 26 000 samples: `modes` is the number of different numbers, and
`reverse_kl` the divergence of their shares from the uniform distribution.

Hardware: two CPU cores. Results on MNIST: the first command has 901 modes after 2000 steps, 955
after 4000 and all 1000 after 8000, some five minutes of a core, with a `reverse_kl` of 0.145 after
10 000. The second ends with 0.103 (0.019 for a perfect generator; two seeds, docs/results.md).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from jaxgan.experiments import images
from jaxgan.runs import Experiment, flag, main

if TYPE_CHECKING:
    from jaxgan.data import Dataset


@dataclasses.dataclass(frozen=True)
class Config(images.Config):
    """Train a GAN on images of three digits, and count the modes that it covers."""

    data: Literal["auto", "mnist", "digits"] = flag("auto", resumable=True)
    """auto (MNIST, or scikit-learn's digits where it is not available), mnist, or digits."""
    augment: Literal["auto", "none", "diff_augment", "ada"] = "none"
    """Augmentation of all images that the discriminator receives; auto is diff_augment if there are
    fewer than 20 000 training images, and none otherwise."""
    evaluate_samples: int | None = flag(26_000, at_least=1)
    """Number of samples per evaluation. Results for different numbers are not comparable, so it
    cannot change when a run is resumed; `jaxgan evaluate RUN --num-samples N` takes any other."""

    def load_data(self) -> Dataset:
        """The images of three digits."""
        from jaxgan import data

        return data.stacked(data.load(self.data, data_dir=self.data_dir))


def make(config: Config, dataset: Dataset) -> Experiment:
    """The experiment of `experiments/images.py`, evaluated by the modes that it covers."""
    from jaxgan import Evaluation, features, metrics

    of_files = ("size", "resize", "background", "channels", "held_out", "skip_bad")
    config.refuse("evaluate_features", *of_files, data="stacked digits")
    digits = features.per_channel(features.mnist_classifier())
    experiment = images.make(config, dataset)
    evaluation = Evaluation(
        {
            "class_coverage": metrics.class_coverage(digits, digits=3),
            "fid": metrics.frechet_distance(digits),
        },
        dataset.test,
        best=digits.score_name("reverse_kl"),
        parts=experiment.evaluation.parts,  # of codes
    )
    return experiment._replace(evaluation=evaluation)


if __name__ == "__main__":
    main(Config, make)
