"""Parallel modes: transformations of a training algorithm that compile its pure update.

    jit(algorithm)      one device
    pmap(algorithm)     several devices of one process; the rows of minibatches are split
    sharded(algorithm)  any number of devices and processes: one program over global arrays,
                        partitioned by the compiler; the training state may be sharded, too

`data_parallel` does the same for functions of a batch outside training, as in evaluation.

Results are the same in all modes up to the order of floating-point sums. `init` returns a state
with the shardings that `update` expects. `update` donates its state argument: use the state that it
returns.
"""

import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import chex
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgan.ops import target
from jaxgan.parallel import axis, multihost
from jaxgan.parallel.axis import DATA_AXIS
from jaxgan.training import TrainingAlgorithm, TrainState
from jaxgan.training.state import check_pure
from jaxgan.types import Batch, Metrics, PRNGKey, PyTree

STATE_AXIS = "fsdp"
LARGE = 1 << 14  # minimum size, in elements, of a leaf to be sharded along that axis


def jit(algorithm: TrainingAlgorithm, *, max_traces: int | None = None) -> TrainingAlgorithm:
    """The algorithm compiled for one device, with the state donated.

    Args:
      algorithm: any pure algorithm.
      max_traces: maximum number of traces of `update`, beyond which it raises an `AssertionError`;
        `None` for no limit.

    Returns:
      The compiled algorithm.

    Example:
      >>> algorithm = jit(alternating(game, optimizers))  # doctest: +SKIP
    """
    check_pure(algorithm)
    # With its sharding the first state is committed to the device, as one from a checkpoint is: one
    # compilation of the update serves both.
    default = jax.device_put(0).sharding
    return algorithm._replace(
        init=compiled_init(algorithm, default),
        update=jax.jit(_guarded(algorithm.update, max_traces), donate_argnums=0),
        compiled=True,
    )


def pmap(
    algorithm: TrainingAlgorithm,
    *,
    devices: Sequence[jax.Device] | None = None,
    max_traces: int | None = None,
) -> TrainingAlgorithm:
    """The algorithm mapped over devices: minibatches split equally, the state replicated.

    Args:
      algorithm: any pure algorithm.
      devices: the devices; all local devices if `None`.
      max_traces: as in `jit`.

    Returns:
      An algorithm that takes the same states and batches as `algorithm`.

    Raises:
      ValueError: there are several processes (use `sharded`); in `update`, the batch size is not a
        multiple of the number of devices.

    Example:
      >>> algorithm = pmap(alternating(game, optimizers))  # doctest: +SKIP
    """
    check_pure(algorithm)
    if jax.process_count() > 1:
        raise ValueError("pmap is for the devices of one process; use sharded for several")
    devices = list(devices or jax.local_devices())
    replicated = NamedSharding(Mesh(np.array(devices), (DATA_AXIS,)), PartitionSpec())
    mapped = jax.pmap(
        _guarded(_compiled_for(devices[0].platform, algorithm.update), max_traces),
        axis_name=DATA_AXIS,
        in_axes=(None, 1, None),
        out_axes=None,
        donate_argnums=0,
        devices=devices,
    )

    def split(x: Any) -> Any:
        num_minibatches, batch = x.shape[:2]
        _check_divides(batch, len(devices))
        return x.reshape(num_minibatches, len(devices), batch // len(devices), *x.shape[2:])

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        state, metrics = mapped(state, jax.tree.map(split, batches), key)
        if devices[0].platform == "cpu":
            # Virtual devices share the cores: updates dispatched ahead can take the threads that a
            # collective's rendezvous waits for, and the program aborts.
            jax.block_until_ready(state)
        return state, metrics

    return algorithm._replace(
        init=compiled_init(algorithm, replicated), update=update, compiled=True
    )


def sharded(
    algorithm: TrainingAlgorithm, *, mesh: Mesh | None = None, max_traces: int | None = None
) -> TrainingAlgorithm:
    """The algorithm compiled once for all devices of all processes.

    The update is the program for the global batch, whose rows the compiler shards over all devices.
    If the mesh has an axis `fsdp`, the training state between updates (parameters, moving averages,
    optimizer states) is sharded along it, every leaf of at least `LARGE` elements; parameters are
    all-gathered for the update.

    Args:
      algorithm: any pure algorithm.
      mesh: mesh with the axis `data`, or `data` and `fsdp`; all devices along `data` if `None`.
      max_traces: as in `jit`.

    Returns:
      An algorithm whose update takes, in every process, that process's rows of the minibatches.

    Raises:
      ValueError: the mesh has other axes; in `update`, the batch size is not a multiple of the
        number of devices.

    Reference:
      Xu et al., *GSPMD: General and Scalable Parallelization for ML Computation Graphs*, 2021,
      https://arxiv.org/abs/2105.04663; sharded states: Rajbhandari et al., *ZeRO: Memory
      Optimizations Toward Training Trillion Parameter Models*, 2020,
      https://arxiv.org/abs/1910.02054.

    Example:
      >>> auto = 2 * (jax.sharding.AxisType.Auto,)
      >>> mesh = jax.make_mesh((4, 2), ("data", "fsdp"), axis_types=auto)  # doctest: +SKIP
      >>> algorithm = sharded(alternating(game, optimizers), mesh=mesh)  # doctest: +SKIP
    """
    check_pure(algorithm)
    mesh = Mesh(np.array(jax.devices()), (DATA_AXIS,)) if mesh is None else mesh
    if mesh.axis_names not in ((DATA_AXIS,), (DATA_AXIS, STATE_AXIS)):
        raise ValueError(f"the mesh has the axes {mesh.axis_names}, expected data (and fsdp)")
    compiled = sharded_update(algorithm, mesh, max_traces=max_traces)

    def init(key: PRNGKey, batch: Batch) -> TrainState:
        # The result must not depend on the process, whose rows of the batch differ.
        shapes = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), batch)
        out = state_shardings(mesh, jax.eval_shape(algorithm.init, key, shapes))
        return compiled_init(algorithm, out)(key, shapes)

    def to_global(x: Any) -> jax.Array:
        _check_divides(x.shape[1] * jax.process_count(), mesh.size)
        if jax.process_count() == 1:
            return jax.device_put(x, batch_sharding(mesh))
        return jax.make_array_from_process_local_data(batch_sharding(mesh), np.asarray(x))

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        state, metrics = compiled(state, jax.tree.map(to_global, batches), key)
        if mesh.devices.flat[0].platform == "cpu":
            jax.block_until_ready(state)  # as in pmap
        return state, metrics

    return algorithm._replace(init=init, update=update, compiled=True)


def data_parallel(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """A row-wise function of a batch, computed on all devices of all processes.

    Args:
      function: `(batch, *others) -> rows`, leaves `[n, ...]` for a batch of n examples.

    Returns:
      The compiled function. In every process it takes the global batch, and returns all rows as
      NumPy arrays.

    Raises:
      ValueError: raised by the returned function: the batch size is not a multiple of the number of
        devices.

    Example:
      >>> features = data_parallel(lambda batch: network(batch["image"]))  # doctest: +SKIP
    """
    mesh = Mesh(np.array(jax.devices()), (DATA_AXIS,))
    by_rows, replicated = (
        NamedSharding(mesh, PartitionSpec(DATA_AXIS)),
        NamedSharding(mesh, PartitionSpec()),
    )

    def program(batch: Batch, *others: PyTree) -> PyTree:
        if mesh.size == 1:
            return function(batch, *others)
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return jax.tree.map(axis.sharded, function(batch, *axis.replicated(others)))

    compiled = jax.jit(program)

    def to_global(x: Any) -> jax.Array:
        _check_divides(len(x), mesh.size)
        return jax.make_array_from_callback(np.shape(x), by_rows, lambda i: np.asarray(x)[i])

    def call(batch: Batch, *others: PyTree) -> PyTree:
        if jax.process_count() == 1:
            others = jax.device_put(others, replicated)
        return multihost.to_host(compiled(jax.tree.map(to_global, batch), *others))

    return call


def compiled_init(algorithm: TrainingAlgorithm, shardings: PyTree) -> jax.stages.Wrapped:
    """The jitted `init` of an algorithm, compiled quickly, since it runs once.

    Args:
      algorithm: any pure algorithm.
      shardings: sharding of the state, or of its leaves.

    Returns:
      `(key, batch) -> state`, with the bits of a program that is optimised further. On a CPU it is
      not for use inside of another `jax.jit`, which takes no compiler options.

    Example:
      >>> init = compiled_init(algorithm, jax.device_put(0).sharding)  # doctest: +SKIP
    """
    (device, *_) = jax.tree.leaves(shardings)[0].device_set
    options = {"xla_backend_optimization_level": 1} if device.platform == "cpu" else None
    return jax.jit(algorithm.init, out_shardings=shardings, compiler_options=options)


def sharded_update(
    algorithm: TrainingAlgorithm, mesh: Mesh, *, max_traces: int | None = None
) -> jax.stages.Wrapped:
    """The jitted update of `sharded`, over global arrays; can be lowered ahead of time.

    Args:
      algorithm: any pure algorithm.
      mesh: mesh with the axis `data`, or `data` and `fsdp`.
      max_traces: as in `jit`.

    Returns:
      `(state, batches, key) -> (state, metrics)`, with the state donated.

    Example:
      >>> program = sharded_update(algorithm, mesh).lower(state, batches, key)  # doctest: +SKIP
    """

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):  # read by `parallel.axis`
            gathered = state._replace(params=axis.replicated(state.params))
            state, metrics = algorithm.update(gathered, batches, key)
            metrics = axis.replicated(metrics)
        return jax.lax.with_sharding_constraint(state, state_shardings(mesh, state)), metrics

    update = _compiled_for(mesh.devices.flat[0].platform, update)
    return jax.jit(_guarded(update, max_traces), donate_argnums=0)


def mapped_update(algorithm: TrainingAlgorithm, mesh: Mesh) -> jax.stages.Wrapped:
    """The update of `pmap` over global arrays, on a mesh with the axis `data`: the same program.

    `jax.pmap` takes devices of this process alone; this can be lowered ahead of time for any.

    Args:
      algorithm: any pure algorithm.
      mesh: mesh with the axis `data`.

    Returns:
      `(state, batches, key) -> (state, metrics)`, with the state donated.

    Example:
      >>> program = mapped_update(algorithm, mesh).lower(state, batches, key)  # doctest: +SKIP
    """
    update = jax.shard_map(
        _compiled_for(mesh.devices.flat[0].platform, algorithm.update),
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(None, DATA_AXIS), PartitionSpec()),
        out_specs=PartitionSpec(),
        check_vma=False,
    )
    return jax.jit(update, donate_argnums=0)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Sharding of minibatches: rows, the second axis, over all devices.

    Args:
      mesh: mesh of the devices.

    Returns:
      The sharding of leaves `[num_minibatches, batch, ...]`.

    Example:
      >>> tuple(batch_sharding(Mesh(np.array(jax.devices()[:1]), ("data",))).spec)
      (None, 'data')
    """
    return NamedSharding(mesh, PartitionSpec(None, mesh.axis_names))


def state_shardings(mesh: Mesh, state: TrainState) -> TrainState:
    """Shardings of the leaves of a state, or of the state's shapes.

    Args:
      mesh: mesh with the axis `data`, or `data` and `fsdp`.
      state: the state, or what `jax.eval_shape` returns of it.

    Returns:
      A state of `NamedSharding`s: replicated, or, of leaves of at least `LARGE` elements, sharded
      along `fsdp` if the mesh has it.

    Example:
      >>> mesh = Mesh(np.array(jax.devices()[:1]), ("data",))
      >>> state_shardings(mesh, {"kernel": np.ones((3, 3))})["kernel"].is_fully_replicated
      True
    """
    return jax.tree.map(partial(_leaf_sharding, mesh), state)


def _leaf_sharding(mesh: Mesh, x: Any) -> NamedSharding:
    """Sharding of a leaf of the state: replicated, or sharded along its larger channel axis.

    Kernels are not sharded along their spatial axes: XLA would then partition the convolution
    spatially (docs/scaling.md).
    """
    num_shards = mesh.shape.get(STATE_AXIS, 1)
    channel_dims = range(max(x.ndim - 2, 0), x.ndim)
    dims = [dim for dim in channel_dims if x.shape[dim] % num_shards == 0]
    if num_shards == 1 or x.size < LARGE or not dims:
        return NamedSharding(mesh, PartitionSpec())
    largest = max(dims, key=lambda dim: x.shape[dim])
    return NamedSharding(mesh, PartitionSpec(*largest * [None], STATE_AXIS))


def _check_divides(batch: int, num_devices: int) -> None:
    if batch % num_devices:
        raise ValueError(
            f"the batch size is {batch} and there are {num_devices} devices; "
            f"choose a multiple of {num_devices}"
        )


def _compiled_for(platform: str, update: Callable[..., Any]) -> Callable[..., Any]:
    """The update, traced to be compiled for a platform."""

    @functools.wraps(update)
    def for_platform(*args: Any) -> Any:
        with target.compiled_for(platform):
            return update(*args)

    return for_platform


def _guarded(update: Any, max_traces: int | None) -> Any:
    return update if max_traces is None else chex.assert_max_traces(update, max_traces)
