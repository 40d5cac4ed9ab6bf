"""What the programs have in common: five steps of training, and how much two results differ."""

from collections.abc import Callable

import jax
import numpy as np

import jaxgan
from tests import games

KEY = jax.random.key(3)
NUM_STEPS = 5


def train(
    algorithm: jaxgan.TrainingAlgorithm,
    minibatches: Callable = games.minibatches,
    *,
    callbacks: tuple = (),
) -> jaxgan.TrainState:
    return jaxgan.fit(algorithm, minibatches, key=KEY, num_steps=NUM_STEPS, callbacks=callbacks)


def difference(a, b) -> float:
    """The largest difference of a leaf, relative to the leaf's largest value."""
    worst = 0.0
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        worst = max(worst, np.abs(x - y).max() / max(np.abs(x).max(), 1e-2))
    return worst
