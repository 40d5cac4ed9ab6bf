"""Ways to run one pure update: each takes an algorithm and gives one back.

    jit(algorithm)   one device
    pmap(algorithm)  several devices, each with its rows of every minibatch

The numbers are the same up to the order of floating-point sums. `init` leaves the state where
`update` wants it, and `update` reuses the memory of the state that it is given (donation): go on
with the state that it returns.
"""

from collections.abc import Sequence
from typing import Any

import chex
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgan.axis import DATA_AXIS
from jaxgan.training import TrainingAlgorithm, TrainState
from jaxgan.types import Batch, Metrics, PRNGKey


def jit(algorithm: TrainingAlgorithm, *, max_traces: int | None = None) -> TrainingAlgorithm:
    """The algorithm compiled for one device, its state donated.

    Args:
      algorithm: any pure algorithm.
      max_traces: how often `update` may be traced before it is an error; `None` for any number.

    Returns:
      The compiled algorithm.

    Example:
      >>> algorithm = jit(alternating(game, optimizers))  # doctest: +SKIP
    """
    return algorithm._replace(
        init=jax.jit(algorithm.init),
        update=jax.jit(_guarded(algorithm.update, max_traces), donate_argnums=0),
    )


def pmap(
    algorithm: TrainingAlgorithm,
    *,
    devices: Sequence[jax.Device] | None = None,
    max_traces: int | None = None,
) -> TrainingAlgorithm:
    """The algorithm mapped over devices: equal shares of every minibatch, one replicated state.

    Args:
      algorithm: any pure algorithm.
      devices: which; all local ones when left out.
      max_traces: as in `jit`.

    Returns:
      An algorithm that takes the same states and batches as the one it was given.

    Raises:
      ValueError: in `update`, the batch size does not divide by the number of devices.

    Example:
      >>> algorithm = pmap(alternating(game, optimizers))  # doctest: +SKIP
    """
    devices = list(devices or jax.local_devices())
    replicated = NamedSharding(Mesh(np.array(devices), (DATA_AXIS,)), PartitionSpec())
    mapped = jax.pmap(
        _guarded(algorithm.update, max_traces),
        axis_name=DATA_AXIS,
        in_axes=(None, 1, None),
        out_axes=None,
        donate_argnums=0,
        devices=devices,
    )

    def share(x: Any) -> Any:
        num_turns, batch = x.shape[:2]
        if batch % len(devices):
            raise ValueError(
                f"a batch of {batch} does not divide over {len(devices)} devices; "
                f"choose a multiple of {len(devices)}"
            )
        return x.reshape(num_turns, len(devices), batch // len(devices), *x.shape[2:])

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        state, metrics = mapped(state, jax.tree.map(share, batches), key)
        if devices[0].platform == "cpu":
            # Virtual devices share the cores: rounds dispatched ahead can starve a collective's
            # rendezvous of the threads that it waits for, and the program aborts.
            jax.block_until_ready(state)
        return state, metrics

    return algorithm._replace(init=jax.jit(algorithm.init, out_shardings=replicated), update=update)


def _guarded(update: Any, max_traces: int | None) -> Any:
    return update if max_traces is None else chex.assert_max_traces(update, max_traces)
