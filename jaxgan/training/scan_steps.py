"""Several training steps in one compiled call."""

import jax
import jax.numpy as jnp

from jaxgan.training.state import TrainingAlgorithm, TrainState, check_pure
from jaxgan.types import Batch, Metrics, PRNGKey


def scan_steps(algorithm: TrainingAlgorithm, steps_per_update: int) -> TrainingAlgorithm:
    """Several updates in one compiled `jax.lax.scan`: the same results with fewer dispatches.

    Useful if an update takes less time than its dispatch. On a CPU, XLA compiles the gradients of
    other libraries' convolutions to slow code inside loops; `jaxgan.networks` has fast ones.

    Args:
      algorithm: any training algorithm.
      steps_per_update: number of the algorithm's updates to combine into one, at least 1.

    Returns:
      An algorithm whose update takes `steps_per_update` times the minibatches; its metrics are
      means over the combined updates.

    Raises:
      ValueError: `steps_per_update` is below 1, or the algorithm is compiled.

    Example:
      >>> faster = scan_steps(algorithm, 10)  # doctest: +SKIP
    """
    check_pure(algorithm)
    if steps_per_update < 1:
        raise ValueError(f"steps_per_update is {steps_per_update}, expected at least 1")

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        state, metrics = jax.lax.scan(
            lambda state, step_batches: algorithm.update(state, step_batches, key),
            state,
            jax.tree.map(lambda x: x.reshape(steps_per_update, -1, *x.shape[1:]), batches),
        )
        return state, jax.tree.map(lambda x: jnp.mean(x, axis=0), metrics)

    return algorithm._replace(
        update=update,
        num_minibatches=steps_per_update * algorithm.num_minibatches,
        steps_per_update=steps_per_update * algorithm.steps_per_update,
    )
