"""Run by test_parallel.py with eight virtual devices: every game on one and on eight of them.

Prints one line of JSON, `{case: largest difference of a leaf, relative to its largest value}`. All
play with SGD, which shows a wrong scale of the gradients that Adam would hide.
"""

import json

import chex
import jax
import numpy as np
import optax
from jax.sharding import AxisType

import jaxgan
from jaxgan import axis, parallel
from tests import games

KEY = jax.random.key(3)
SGD = {"discriminator": optax.sgd(0.05), "generator": optax.sgd(0.05)}
ROUNDS = 5


def play(algorithm):
    return jaxgan.fit(algorithm, games.minibatches, key=KEY, num_steps=ROUNDS)


def difference(a, b):
    worst = 0.0
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        worst = max(worst, np.abs(x - y).max() / max(np.abs(x).max(), 1e-2))
    return worst


def recompiles(algorithm):
    """How many programs are compiled after the first round; there should be none."""
    state = jaxgan.fit(algorithm, games.minibatches, key=KEY, num_steps=1)
    compiled = []
    listen = lambda event, seconds, **more: compiled.append(event)
    jax.monitoring.register_event_duration_secs_listener(listen)
    update, key = algorithm.update, jax.random.fold_in(KEY, 1)
    batches = games.minibatches(1, algorithm.num_minibatches)
    count = lambda: sum("backend_compile" in event for event in compiled)
    before = count()
    for _ in range(3):
        state, _ = update(state, batches, key)
    jax.block_until_ready(state)
    after = count()
    jax.jit(lambda x: x + after)(1.0)  # something new, to see that it is counted
    assert count() > after
    return after - before


def main():
    assert jax.local_device_count() == 8
    auto = 2 * (AxisType.Auto,)
    meshes = {
        "sharded": None,
        "sharded fsdp": jax.make_mesh((4, 2), ("data", "fsdp"), axis_types=auto),
    }
    parallel.LARGE = 32  # so that there is something to divide
    found = {}
    for name, make in games.CASES.items():
        chex.clear_trace_counter()
        case = make()._replace(optimizers=SGD)
        one = play(jaxgan.jit(case.algorithm))
        if name not in games.LOCAL:
            eight = play(jaxgan.pmap(case.algorithm, max_traces=1))
            assert len(jax.tree.leaves(eight)[0].sharding.device_set) == 8
            found[f"{name} pmap"] = difference(one._asdict(), eight._asdict())
        for mode, mesh in meshes.items():
            chex.clear_trace_counter()
            eight = play(jaxgan.sharded(case.algorithm, mesh=mesh, max_traces=1))
            found[f"{name} {mode}"] = difference(one._asdict(), eight._asdict())
    first = eight.params["generator"]["Dense_0"]
    found["parts"] = [list(first[name].sharding.spec) for name in ("kernel", "bias")]

    case = games.CASES["non_saturating_adam_ema"]()
    found["recompiles"] = {
        mode: recompiles(getattr(jaxgan, mode)(case.algorithm))
        for mode in ("jit", "pmap", "sharded")
    }

    draws = jax.pmap(lambda _: axis.example_keys(KEY, 2), axis_name=axis.DATA_AXIS)(np.arange(8))
    np.testing.assert_array_equal(
        jax.random.key_data(draws).reshape(16, -1), jax.random.key_data(axis.example_keys(KEY, 16))
    )

    try:
        jaxgan.pmap(games.CASES["minimax"]().algorithm).update(
            one, jax.tree.map(lambda x: x[:, :6], games.minibatches(0, 1)), KEY
        )
    except ValueError as error:
        found["error"] = str(error)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
