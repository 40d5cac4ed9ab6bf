"""An autoencoder on images, and anomaly detection with it.

Commands:

    python -m experiments.autoencoder
    python -m experiments.autoencoder --task anomaly --anomaly 7 --run-dir runs/anomaly
    python -m jaxgan reconstruct runs/autoencoder
    python -m jaxgan anomalies runs/autoencoder --input FOLDER

The task *reconstruct* learns latent codes. The task *anomaly* leaves one class out of the training
set and evaluates two anomaly scores that separate it from held-out examples of the other classes.
For images without labels, train *reconstruct* on normal images and run `jaxgan anomalies`.
`evaluation.json` has the metrics.

Hardware: two CPU cores, half a minute or less on MNIST. Results: the area under the ROC curve of
the left-out digit, mean over the ten digits, is 0.86 with the distance between codes and 0.80 with
the reconstruction error. (A 1 is always reconstructed well, in the training set or not: its error
has 0.14.)
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from jaxgan.errors import DataError
from jaxgan.experiments import grids
from jaxgan.runs import Experiment, SizedImageFlags, TrainingConfig, flag, main
from jaxgan.runs.config.training_config import adam, frozen, network

if TYPE_CHECKING:
    from jaxgan import Evaluation, Game
    from jaxgan.data import Dataset
    from jaxgan.types import Examples


@dataclasses.dataclass(frozen=True)
class Config(SizedImageFlags, TrainingConfig):
    """Train an autoencoder, for reconstruction or for anomaly detection."""

    task: Literal["reconstruct", "anomaly"] = "reconstruct"
    """reconstruct: train on all classes. anomaly: leave one class out and detect it."""
    num_steps: int = 3000
    """Total number of training steps."""
    decay_steps: int = flag(3000, at_least=1)
    """Steps until the learning rate is 0."""
    learning_rate: float = flag(1e-3, at_least=0.0)
    """Initial learning rate of Adam."""
    lr_decay: Literal["none", "linear", "cosine"] = "cosine"
    """Decay of the learning rate to 0."""
    features: int = flag(32, at_least=1)
    """Channels of the finest layer of the networks."""
    latent: int = flag(16, at_least=1)
    """Latent dimension."""
    anomaly: int | str = 0
    """Class that the task anomaly leaves out of the training set, and detects: its name, or its
    number."""
    sample_every: int = 500
    """Steps between grids of reconstructions."""
    evaluate_every: int = 1000
    """Steps between evaluations; the last step is evaluated too."""


def make(config: Config, dataset: Dataset) -> Experiment:
    """Networks, game, training algorithm and data."""
    import jaxgan
    from jaxgan import data, networks

    if config.anomaly and config.task != "anomaly":
        raise DataError("--anomaly is for --task anomaly; add it, or leave out --anomaly")
    game = jaxgan.autoencoder(
        network(config, networks.DCGANEncoder((config.latent,), config.features)),
        network(config, networks.DCGANGenerator(dataset.image_shape, config.features)),
    )
    make_evaluation = anomaly_detection if config.task == "anomaly" else reconstruction
    train, evaluation = make_evaluation(config, dataset, game)
    optimizer = adam(config, config.learning_rate, decay_steps=config.decay_steps)
    return Experiment(
        game=game,
        algorithm=jaxgan.alternating(
            game, frozen(config, {"autoencoder": optimizer}), accumulate=config.accumulate
        ),
        minibatches=data.minibatches(
            train, batch_size=config.batch_size, seed=config.seed, x_flips=config.x_flips
        ),
        sample_batch=lambda n: {"image": data.as_float(dataset.test["image"][:n])},
        data=dataset.record,
        evaluation=evaluation,
        draw=grids.draw_reconstructions(game, dataset.test),
    )


def reconstruction(config: Config, dataset: Dataset, game: Game) -> tuple[Examples, Evaluation]:
    """All training images, and an evaluation of the reconstructions of test images."""
    import jaxgan
    from jaxgan import metrics

    train, test = {"image": dataset.train["image"]}, {"image": dataset.test["image"]}
    errors = {"pairs": metrics.reconstruction(), "sharpness": metrics.sharpness()}
    return train, jaxgan.Evaluation(errors, test, others=train, best="mse")


def anomaly_detection(config: Config, dataset: Dataset, game: Game) -> tuple[Examples, Evaluation]:
    """Training images of all classes but one, and an evaluation of the detection of that one."""
    import jax.numpy as jnp

    import jaxgan
    from jaxgan import data, latent_space, metrics

    left_out = class_number(config.anomaly, dataset)
    train = {"image": dataset.train["image"][dataset.train["label"] != left_out]}
    normal = data.as_float(train["image"][: latent_space.NUM_NORMAL])
    test = {
        "image": dataset.test["image"],
        "anomalous": (dataset.test["label"] == left_out).astype("i4"),
    }

    def scores(params, model_state, batch, key):
        codes = game.encode(params, model_state, normal)
        by_name = latent_space.anomaly_scores(game, params, model_state, batch["image"], codes)
        return jnp.stack([by_name[name] for name in latent_space.ANOMALY_SCORES], axis=1)

    return train, jaxgan.Evaluation(
        {"roc_auc": metrics.roc_auc(*latent_space.ANOMALY_SCORES)},
        test,
        target="anomalous",
        others=train,
        best="roc_auc_latent",
        mode="max",
        sample=scores,
    )


def class_number(name: int | str, dataset: Dataset) -> int:
    """Number of a class, by its name, which comes first, or its number.

    Raises:
      DataError: there are no labels, or no training image has this one.
    """
    import numpy as np

    if "label" not in dataset.train:
        raise DataError(f"{dataset.name} has no labels, of which --task anomaly leaves one out")
    numbers = [int(label) for label in np.unique(dataset.train["label"])]
    names = {number: dataset.classes[number] for number in numbers} if dataset.classes else {}
    by_name = {name: number for number, name in names.items()}
    by_number = {str(number): number for number in numbers}
    if (found := by_name.get(str(name), by_number.get(str(name)))) is not None:
        return found
    known = ", ".join(f"{number} ({names[number]})" if names else f"{number}" for number in numbers)
    raise DataError(f"{dataset.name} has no class {name} for --anomaly; it has {known}")


if __name__ == "__main__":
    main(Config, make)
