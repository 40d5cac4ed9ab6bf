"""Ways to run one pure update: each takes an algorithm and gives one back.

    jit(algorithm)      one device
    pmap(algorithm)     several devices of one process, each with its rows of every minibatch
    sharded(algorithm)  any number of devices and processes: one program over global arrays, which
                        the compiler divides; what is kept of the state may be divided too

`data_parallel` does the same for what is computed of a batch beside the game, as in evaluation.

The numbers are the same up to the order of floating-point sums. `init` leaves the state where
`update` wants it, and `update` reuses the memory of the state that it is given (donation): go on
with the state that it returns.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import chex
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgan.parallel import axis, multihost
from jaxgan.parallel.axis import DATA_AXIS
from jaxgan.training import TrainingAlgorithm, TrainState
from jaxgan.types import Batch, Metrics, PRNGKey, PyTree

STATE_AXIS = "fsdp"
LARGE = 1 << 14  # numbers in a leaf, from which on it is divided along that axis


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
      ValueError: there are several processes (`sharded` is for them), or, in `update`, the batch
        size does not divide by the number of devices.

    Example:
      >>> algorithm = pmap(alternating(game, optimizers))  # doctest: +SKIP
    """
    if jax.process_count() > 1:
        raise ValueError("pmap is for the devices of one process; use sharded for several")
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
        _check_divides(batch, len(devices))
        return x.reshape(num_turns, len(devices), batch // len(devices), *x.shape[2:])

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        state, metrics = mapped(state, jax.tree.map(share, batches), key)
        if devices[0].platform == "cpu":
            # Virtual devices share the cores: rounds dispatched ahead can starve a collective's
            # rendezvous of the threads that it waits for, and the program aborts.
            jax.block_until_ready(state)
        return state, metrics

    return algorithm._replace(init=jax.jit(algorithm.init, out_shardings=replicated), update=update)


def sharded(
    algorithm: TrainingAlgorithm, *, mesh: Mesh | None = None, max_traces: int | None = None
) -> TrainingAlgorithm:
    """The algorithm compiled once for all devices of all processes.

    The update is the program for the whole batch; the compiler divides its rows over all devices.
    If the mesh has an axis `fsdp`, what is kept between rounds of parameters, moving averages and
    optimizer states is divided along it too, every leaf of at least `LARGE` numbers; parameters
    are gathered for the round.

    Args:
      algorithm: any pure algorithm.
      mesh: of the axis `data`, and perhaps `fsdp`; all devices along `data` when left out.
      max_traces: as in `jit`.

    Returns:
      An algorithm that takes, in every process, that process's rows of the minibatches.

    Raises:
      ValueError: the mesh has other axes; in `update`, the batch size does not divide by the number
        of devices.

    References:
      Xu et al., *GSPMD: General and Scalable Parallelization for ML Computation Graphs*, 2021,
      https://arxiv.org/abs/2105.04663; divided states: Rajbhandari et al., *ZeRO: Memory
      Optimizations Toward Training Trillion Parameter Models*, 2020,
      https://arxiv.org/abs/1910.02054.

    Example:
      >>> auto = 2 * (jax.sharding.AxisType.Auto,)
      >>> mesh = jax.make_mesh((4, 2), ("data", "fsdp"), axis_types=auto)  # doctest: +SKIP
      >>> algorithm = sharded(alternating(game, optimizers), mesh=mesh)  # doctest: +SKIP
    """
    mesh = Mesh(np.array(jax.devices()), (DATA_AXIS,)) if mesh is None else mesh
    if mesh.axis_names not in ((DATA_AXIS,), (DATA_AXIS, STATE_AXIS)):
        raise ValueError(f"the mesh has the axes {mesh.axis_names}, expected data (and fsdp)")
    compiled = sharded_update(algorithm, mesh, max_traces=max_traces)

    def init(key: PRNGKey, batch: Batch) -> TrainState:
        shapes = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), batch)  # equal in all processes
        out = state_shardings(mesh, jax.eval_shape(algorithm.init, key, shapes))
        return jax.jit(algorithm.init, out_shardings=out)(key, shapes)

    def spread(x: Any) -> jax.Array:
        _check_divides(x.shape[1] * jax.process_count(), mesh.size)
        if jax.process_count() == 1:
            return jax.device_put(x, batch_sharding(mesh))
        return jax.make_array_from_process_local_data(batch_sharding(mesh), np.asarray(x))

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        state, metrics = compiled(state, jax.tree.map(spread, batches), key)
        if mesh.devices.flat[0].platform == "cpu":
            jax.block_until_ready(state)  # as in pmap
        return state, metrics

    return algorithm._replace(init=init, update=update)


def data_parallel(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """A function of a batch's rows, computed on all devices of all processes.

    Args:
      function: `(batch, *others) -> rows`, leaves `[n, ...]` for a batch of n examples.

    Returns:
      The function compiled. It takes the whole batch in every process, and gives all rows, as NumPy
      arrays, in every process.

    Raises:
      ValueError: in the call: the batch does not divide by the number of devices.

    Example:
      >>> features = data_parallel(lambda batch: network(batch["image"]))  # doctest: +SKIP
    """
    mesh = Mesh(np.array(jax.devices()), (DATA_AXIS,))
    rows, everywhere = (
        NamedSharding(mesh, PartitionSpec(DATA_AXIS)),
        NamedSharding(mesh, PartitionSpec()),
    )

    def program(batch: Batch, *others: PyTree) -> PyTree:
        if mesh.size == 1:
            return function(batch, *others)
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return jax.tree.map(axis.sharded, function(batch, *axis.replicated(others)))

    compiled = jax.jit(program)

    def place(x: Any) -> jax.Array:
        _check_divides(len(x), mesh.size)
        return jax.make_array_from_callback(np.shape(x), rows, lambda part: np.asarray(x)[part])

    def call(batch: Batch, *others: PyTree) -> PyTree:
        if jax.process_count() == 1:
            others = jax.device_put(others, everywhere)
        return multihost.to_host(compiled(jax.tree.map(place, batch), *others))

    return call


def sharded_update(
    algorithm: TrainingAlgorithm, mesh: Mesh, *, max_traces: int | None = None
) -> jax.stages.Wrapped:
    """The jitted update that `sharded` runs, over global arrays; to be compiled ahead of time, too.

    Example:
      >>> program = sharded_update(algorithm, mesh).lower(state, batches, key)  # doctest: +SKIP
    """

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):  # so that `axis` knows of it
            gathered = state._replace(params=axis.replicated(state.params))
            state, metrics = algorithm.update(gathered, batches, key)
            metrics = axis.replicated(metrics)
        return jax.lax.with_sharding_constraint(state, state_shardings(mesh, state)), metrics

    return jax.jit(_guarded(update, max_traces), donate_argnums=0)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Where batches lie: their rows, the second axis, over all devices."""
    return NamedSharding(mesh, PartitionSpec(None, mesh.axis_names))


def state_shardings(mesh: Mesh, state: TrainState) -> TrainState:
    """Where the leaves of a state, or of its shapes, lie."""
    return jax.tree.map(partial(_placement, mesh), state)


def _placement(mesh: Mesh, x: Any) -> NamedSharding:
    """Where a leaf of the state lies: everywhere, or in parts, cut along its longer channel side.

    Not along a kernel's taps: XLA would divide the convolution in space (docs/scaling.md).
    """
    parts = mesh.shape.get(STATE_AXIS, 1)
    channels = range(max(x.ndim - 2, 0), x.ndim)
    sides = [side for side in channels if x.shape[side] % parts == 0]
    if parts == 1 or x.size < LARGE or not sides:
        return NamedSharding(mesh, PartitionSpec())
    longest = max(sides, key=lambda side: x.shape[side])
    return NamedSharding(mesh, PartitionSpec(*longest * [None], STATE_AXIS))


def _check_divides(batch: int, num_devices: int) -> None:
    if batch % num_devices:
        raise ValueError(
            f"a batch of {batch} does not divide over {num_devices} devices; "
            f"choose a multiple of {num_devices}"
        )


def _guarded(update: Any, max_traces: int | None) -> Any:
    return update if max_traces is None else chex.assert_max_traces(update, max_traces)
