"""What the programs have in common: five steps of training, and how much two results differ."""

from collections.abc import Callable

import jax
import numpy as np

import jaxgan
from tests import games

KEY = jax.random.key(3)
# Of the activations of one seed, one may lie so near a rectifier's kink that the order of a sum
# decides its slope; a wrong scale shows for both.
SEEDS = (3, 4)
NUM_STEPS = 5


def train(
    algorithm: jaxgan.TrainingAlgorithm,
    minibatches: Callable = games.minibatches,
    *,
    seed: int = SEEDS[0],
    callbacks: tuple = (),
) -> jaxgan.TrainState:
    key = jax.random.key(seed)
    return jaxgan.fit(algorithm, minibatches, key=key, num_steps=NUM_STEPS, callbacks=callbacks)


def difference(a, b) -> float:
    """The largest difference of a leaf, relative to the leaf's largest value."""
    worst = 0.0
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        worst = max(worst, np.abs(x - y).max() / max(np.abs(x).max(), 1e-2))
    return worst
