"""What the programs have in common: five steps of training, and how much two results differ."""

import functools
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


def count_compilations() -> Callable[[], int]:
    """A function: how many programs jax has compiled, or taken from its cache on disk, since."""
    events = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **more: events.append(event)
    )
    return lambda: sum("backend_compile" in event for event in events)


def train(
    algorithm: jaxgan.TrainingAlgorithm,
    minibatches: Callable = games.minibatches,
    *,
    seed: int = SEEDS[0],
    num_steps: int = NUM_STEPS,
    state: jaxgan.TrainState | None = None,
    callbacks: tuple = (),
) -> jaxgan.TrainState:
    key = jax.random.key(seed)
    more = {"state": state, "callbacks": callbacks}
    return jaxgan.fit(algorithm, minibatches, key=key, num_steps=num_steps, **more)


@functools.cache
def one_device(name: str, num_steps: int = NUM_STEPS) -> list[list[np.ndarray]]:
    """Leaves of a case's state after so many steps of SGD on one device, for each of `SEEDS`.

    The program is that of the contract's tests, and taken from the cache on disk.
    """
    algorithm = jaxgan.jit(games.CASES[name]().with_sgd.algorithm)
    states = [train(algorithm, seed=seed, num_steps=num_steps) for seed in SEEDS]
    return [jax.tree.leaves(jax.device_get(state)) for state in states]


def difference(a, b) -> float:
    """The largest difference of a leaf, relative to the leaf's largest value."""
    worst = 0.0
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        worst = max(worst, np.abs(x - y).max() / max(np.abs(x).max(), 1e-2))
    return worst
