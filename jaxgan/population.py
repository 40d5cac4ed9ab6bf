"""Populations: members of one game, of different seeds and hyper-parameters, in one program.

Members differ in seeds, and in hyper-parameters that are arrays with an axis of members. A member
is an ordinary `TrainState`: it can be extracted and trained alone, and states can be
stacked into a population.

    algorithm = jaxgan.jit(population(make, {"lr": jnp.array([1e-3, 2e-3])}))
    state = jaxgan.fit(algorithm, batches, key=member_keys([0, 1]), num_steps=1000)
    best = member(state, 1)
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgan import parallel
from jaxgan.loop import Minibatches
from jaxgan.training import TrainingAlgorithm, TrainState
from jaxgan.training.state import check_pure
from jaxgan.types import Batch, Metrics, PRNGKey, PyTree

MEMBER_AXIS = "members"


def population(
    make: TrainingAlgorithm | Callable[[PyTree], TrainingAlgorithm],
    hyperparameters: PyTree = None,
    *,
    own_data: bool = False,
    chunk: int | None = None,
) -> TrainingAlgorithm:
    """Training algorithm of P members at once, which differ in keys and hyper-parameters.

    The state has leaves `[P, ...]`, but for `step`, which all members share: what happens at every
    n-th step, such as a lazy penalty, costs no more than in a single run. Metrics are `[P]`. Keys
    are one for each member, `member_keys(seeds)`, also in `fit`. A member that diverges
    does not affect the others.

    Args:
      make: an algorithm, not compiled; or a function that builds the algorithm of a member from its
        hyper-parameters, which are traced: learning rates, weights of penalties, moments, decays of
        averages.
      hyperparameters: of all members, a pytree with leaves `[P, ...]`; `None` for none.
      own_data: whether every member has its own minibatches, with leaves
        `[num_minibatches, P, batch, ...]` (`stacked_minibatches`). If not, all have the same.
      chunk: number of members that are computed at once, the chunks one after the other, which
        bounds memory; all at once if `None`. On a CPU, other libraries' convolutions are slow in
        this loop.

    Returns:
      The algorithm, for `parallel.jit` or `over_devices`.

    Raises:
      ValueError: `chunk` is below 1, or hyper-parameters are not arrays with one entry per member;
        in `init`, there is not exactly one key per member.

    Example, of one player that minimises x^2, with two learning rates:
      >>> import optax
      >>> import jaxgan
      >>> loss = lambda params, *_: (params["x"] ** 2, jaxgan.LossAux({}, {}))
      >>> game = jaxgan.Game(lambda *_: ({"x": jnp.array(1.0)}, {"x": {}}), {"x": loss})
      >>> make = lambda h: jaxgan.simultaneous(game, {"x": optax.sgd(h["lr"])})
      >>> algorithm = population(make, {"lr": jnp.array([0.25, 0.5])})
      >>> batches, keys = {"image": jnp.zeros((1, 2, 1))}, member_keys([0, 1])
      >>> state, _ = algorithm.update(algorithm.init(keys, {}), batches, keys)
      >>> state.params["x"].tolist()  # 1 - 2 lr
      [0.5, 0.0]
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is {chunk}, expected at least 1 member")
    num_members = _num_members(hyperparameters)
    if isinstance(make, TrainingAlgorithm):
        check_pure(make)
        if num_members is not None:
            raise ValueError(
                "an algorithm has no hyper-parameters, expected a function of them that makes one"
            )
    of = (lambda _: make) if isinstance(make, TrainingAlgorithm) else make
    first = of(jax.tree.map(lambda x: x[0], hyperparameters))

    def init(keys: PRNGKey, batch: Batch) -> TrainState:
        if keys.ndim != 1 or num_members not in (None, keys.size):
            raise ValueError(
                f"the keys have the shape {keys.shape}, expected one for each "
                + (f"of {num_members} members" if num_members else "member")
                + ": member_keys(seeds)"
            )

        def one(hyper: PyTree, key: PRNGKey, own: Batch) -> TrainState:
            return _own(of(hyper).init(key, own if own_data else batch))

        state: TrainState = mapped(one, hyperparameters, keys, batch if own_data else None)
        return state._replace(step=jnp.zeros((), jnp.int32))

    def update(state: TrainState, batches: Batch, keys: PRNGKey) -> tuple[TrainState, Metrics]:
        def one(
            hyper: PyTree, key: PRNGKey, own: Batch, member: TrainState
        ) -> tuple[TrainState, Metrics]:
            member = member._replace(step=state.step)
            new, metrics = of(hyper).update(member, own if own_data else batches, key)
            return _own(new), metrics

        own = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), dict(batches)) if own_data else None
        new, metrics = mapped(one, hyperparameters, keys, own, _own(state))
        return new._replace(step=state.step + first.steps_per_update), metrics

    def mapped(function: Callable[..., PyTree], *args: PyTree) -> PyTree:
        if chunk is None:
            return jax.vmap(function)(*args)
        return jax.lax.map(lambda args: function(*args), args, batch_size=chunk)

    return first._replace(init=init, update=update)


def _num_members(hyperparameters: PyTree) -> int | None:
    """Number of members that the hyper-parameters are of; `None` if there are none."""
    leaves = jax.tree.leaves(hyperparameters)
    if any(jnp.ndim(leaf) == 0 for leaf in leaves):
        raise ValueError(
            "a hyper-parameter is one number or a list of numbers, expected an array with one per "
            "member: jnp.array([1e-3, 2e-3])"
        )
    sizes = sorted({len(leaf) for leaf in leaves})
    if len(sizes) > 1:
        raise ValueError(f"the hyper-parameters are those of {sizes} members")
    if 0 in sizes:
        raise ValueError("the hyper-parameters are empty, expected one entry for each member")
    return sizes[0] if sizes else None


def in_turn(algorithm: TrainingAlgorithm, *, own_data: bool = False) -> TrainingAlgorithm:
    """A population whose members are updated one after another, by one program of a single run.

    On a CPU, where networks that are not very small keep the cores busy alone, this is faster than
    `population`, and convolutions are not slowed down (docs/dynamics.md). Members have the bits of
    their single runs.

    Args:
      algorithm: any algorithm, not compiled; `scan_steps` comes before.
      own_data: as in `population`.

    Returns:
      The algorithm, compiled.

    Raises:
      ValueError: the algorithm is compiled already; in `init`, there is not one key per member.

    Example, of one player that minimises x^2:
      >>> import optax
      >>> import jaxgan
      >>> loss = lambda params, *_: (params["x"] ** 2, jaxgan.LossAux({}, {}))
      >>> start = lambda key, batch: ({"x": jax.random.normal(key)}, {"x": {}})
      >>> game = jaxgan.Game(start, {"x": loss})
      >>> algorithm = in_turn(jaxgan.simultaneous(game, {"x": optax.sgd(0.25)}))
      >>> batches, keys = {"image": jnp.zeros((1, 2, 1))}, member_keys([0, 1])
      >>> state = algorithm.init(keys, {})
      >>> before = state.params["x"].copy()  # the update takes the state's memory
      >>> state, _ = algorithm.update(state, batches, keys)
      >>> (state.params["x"] / before).tolist()
      [0.5, 0.5]
    """
    single = parallel.jit(algorithm)

    def init(keys: PRNGKey, batch: Batch) -> TrainState:
        if keys.ndim != 1:
            raise ValueError(
                f"the keys have the shape {keys.shape}, expected one for each member: "
                "member_keys(seeds)"
            )
        own = lambda i: jax.tree.map(lambda x: x[i], dict(batch)) if own_data else batch
        return _together([single.init(key, own(i)) for i, key in enumerate(keys)])

    def update(state: TrainState, batches: Batch, keys: PRNGKey) -> tuple[TrainState, Metrics]:
        own = lambda i: jax.tree.map(lambda x: x[:, i], dict(batches)) if own_data else batches
        results = [single.update(member(state, i), own(i), key) for i, key in enumerate(keys)]
        states, metrics = zip(*results, strict=True)
        return _together(states), jax.tree.map(lambda *leaves: jnp.stack(leaves), *metrics)

    return algorithm._replace(init=init, update=update, compiled=True)


def over_devices(
    algorithm: TrainingAlgorithm, *, devices: Sequence[jax.Device] | None = None
) -> TrainingAlgorithm:
    """A population compiled for several devices, with an equal part of the members on each.

    Args:
      algorithm: from `population`.
      devices: the devices; all local devices if `None`.

    Returns:
      The compiled algorithm, with the state donated.

    Raises:
      ValueError: in `init`, the number of members is not a multiple of the number of devices.

    Example:
      >>> algorithm = over_devices(population(make, hyperparameters))  # doctest: +SKIP
    """
    check_pure(algorithm)
    devices = list(devices or jax.local_devices())
    mesh = Mesh(np.array(devices), (MEMBER_AXIS,))
    apart = NamedSharding(mesh, PartitionSpec(MEMBER_AXIS))
    shared = NamedSharding(mesh, PartitionSpec())
    shardings: PyTree = TrainState._make([shared] + [apart] * (len(TrainState._fields) - 1))
    compiled = parallel.compiled_init(algorithm, shardings)

    def init(keys: PRNGKey, batch: Batch) -> TrainState:
        if len(keys) % len(devices):
            raise ValueError(
                f"there are {len(keys)} members and {len(devices)} devices; choose a multiple of "
                f"{len(devices)}"
            )
        return compiled(keys, batch)

    update = jax.jit(algorithm.update, out_shardings=(shardings, apart), donate_argnums=0)
    return algorithm._replace(init=init, update=update, compiled=True)


def member_keys(seeds: Sequence[int]) -> PRNGKey:
    """Keys of the members `[P]`: those of single runs, `jax.random.key(seed)`.

    Args:
      seeds: seed of each member, P in all.

    Returns:
      Typed keys of shape `[P]`, for `fit` and for the `init` of a population.

    Example:
      >>> keys = member_keys([0, 1, 2])
      >>> keys.shape, bool(keys[2] == jax.random.key(2))
      ((3,), True)
    """
    return jnp.stack([jax.random.key(seed) for seed in seeds])


def member(state: TrainState, index: int) -> TrainState:
    """Member number `index` of a population's state, as the state of a single run.

    Args:
      state: state of a population, leaves `[P, ...]`.
      index: number of the member, from 0; negative ones count from the end.

    Returns:
      The state of the member, with arrays of its own.

    Raises:
      IndexError: there is no such member.

    Example:
      >>> one = TrainState(jnp.int32(9), {"g": {"w": jnp.array([1.0])}}, {"g": {}}, {}, {}, {})
      >>> two = one._replace(params={"g": {"w": jnp.array([2.0])}})
      >>> alone = member(stack([one, two]), 1)
      >>> alone.params["g"]["w"].tolist(), int(alone.step)
      ([2.0], 9)
    """
    size = len(jax.tree.leaves(_own(state))[0])
    if not -size <= index < size:  # jax would take the last member
        raise IndexError(f"there is no member {index} of a population of {size}")
    own: TrainState = jax.tree.map(lambda x: x[index], _own(state))
    return own._replace(step=jnp.array(state.step))  # a copy: the population's is donated


def stack(states: Sequence[TrainState]) -> TrainState:
    """Stacks the states of single runs into the state of a population.

    Args:
      states: states of the members, of one structure and at the same step, P in all.

    Returns:
      The state, with leaves `[P, ...]`, but for the `step` that they share.

    Raises:
      ValueError: there are no states, or their steps differ.

    Example:
      >>> one = TrainState(jnp.int32(9), {"g": {"w": jnp.array([1.0])}}, {"g": {}}, {}, {}, {})
      >>> two = one._replace(params={"g": {"w": jnp.array([2.0])}})
      >>> stack([one, two]).params["g"]["w"].tolist()
      [[1.0], [2.0]]
    """
    steps = sorted({int(state.step) for state in states})
    if not steps:
        raise ValueError("there are no states, expected one for each member")
    if len(steps) != 1:
        raise ValueError(f"the members are at the steps {steps}, expected the same step")
    return _together(states)


def stacked_minibatches(samplers: Sequence[Minibatches]) -> Minibatches:
    """Minibatches of members that each have their own data, leaves `[count, P, batch, ...]`.

    Args:
      samplers: `(start, count) -> batches` of each member, such as `data.minibatches` with
        different seeds.

    Returns:
      `(start, count) -> batches`.

    Example:
      >>> of = lambda value: lambda start, count: {"image": np.full((count, 4, 1), value)}
      >>> samplers = [of(5), of(6)]
      >>> batch = stacked_minibatches(samplers)(0, 3)["image"]
      >>> batch.shape, batch[0, :, 0, 0].tolist()
      ((3, 2, 4, 1), [5, 6])
    """

    def minibatches(start: int, count: int) -> Batch:
        members = [sampler(start, count) for sampler in samplers]
        return jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *members)

    return minibatches


def diverged(metrics: Metrics) -> np.ndarray:
    """Which members have a metric that is NaN or infinite, `bool[P]`.

    Args:
      metrics: of a population, leaves `[P]`.

    Returns:
      `bool[P]`.

    Example:
      >>> diverged({"x": {"loss": jnp.array([0.5, jnp.nan])}})
      array([False,  True])
    """
    finite = [np.isfinite(jax.device_get(leaf)) for leaf in jax.tree.leaves(metrics)]
    return ~np.all(np.stack(finite), axis=0)


def _together(states: Sequence[TrainState]) -> TrainState:
    stacked: TrainState = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(_own, states))
    return stacked._replace(step=states[0].step)


def _own(state: TrainState) -> TrainState:
    """The part of the state that each member has: all but the step."""
    return state._replace(step=())  # type: ignore[arg-type]
