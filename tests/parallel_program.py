"""Run by test_parallel.py with eight virtual devices: games on one and on eight of them.

    python -m tests.parallel_program quick     some games in every way, and what else there is
    python -m tests.parallel_program every     every game in every way

Prints one line of JSON, `{case: largest difference of a leaf, relative to its largest value}`. All
play with SGD, which shows a wrong scale of the gradients that Adam would hide.
"""

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import chex
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import jaxgan
from jaxgan import checkpoint, parallel
from jaxgan.parallel import axis, multihost
from tests import games

KEY = jax.random.key(3)
ROUNDS = 5
QUICK = {"pmap": games.QUICK, "sharded": ("dcgan", "minimax")}


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


def ways(name, which):
    divided = partial(jaxgan.sharded, mesh=fsdp_mesh())
    found = {"pmap": jaxgan.pmap, "sharded": jaxgan.sharded, "sharded fsdp": divided}
    if name in games.LOCAL:
        del found["pmap"]
    if which == "quick":
        return {way: of for way, of in found.items() if name in QUICK[way.split()[0]]}
    return found


def on_eight_devices(name, case, which):
    """Differences from one device, and the last one's state."""
    found, one = {}, play(jaxgan.jit(case.algorithm))
    for way, parallel_of in ways(name, which).items():
        chex.clear_trace_counter()
        eight = play(parallel_of(case.algorithm, max_traces=1))
        assert len(jax.tree.leaves(eight)[0].sharding.device_set) == 8
        found[f"{name} {way}"] = difference(one, eight)
    return found, eight


def fsdp_mesh():
    return jax.make_mesh((4, 2), ("data", "fsdp"), axis_types=2 * (AxisType.Auto,))


def check_draws():
    """Keys bit for bit those of one device, under pmap and in a program over global arrays."""
    expected = jax.random.key_data(axis.example_keys(KEY, 16))
    mapped = jax.pmap(lambda _: axis.example_keys(KEY, 2), axis_name=axis.DATA_AXIS)(np.arange(8))
    np.testing.assert_array_equal(jax.random.key_data(mapped).reshape(16, -1), expected)

    @jax.jit
    def divided():
        with jax.sharding.use_abstract_mesh(fsdp_mesh().abstract_mesh):
            return jax.random.key_data(axis.example_keys(KEY, 16)), games.LATENT(KEY, 16)

    with jax.set_mesh(fsdp_mesh()):
        keys, latents = divided()
    assert len(latents.sharding.device_set) == 8
    np.testing.assert_array_equal(keys, expected)
    # jax 0.12 vectorises the normal distribution's inverse by shape: its last bits may differ.
    one = jax.jit(games.LATENT, static_argnums=1)(KEY, 16)
    np.testing.assert_allclose(latents, one, rtol=1e-6)


def check_checkpoint(state):
    """A divided state, saved, and restored on one device."""
    whole = multihost.to_host(state)
    with tempfile.TemporaryDirectory() as folder:
        with checkpoint.open_manager(Path(folder)) as manager:
            checkpoint.save(manager, state)
        one = jax.tree.map(lambda x: jax.device_put(x, jax.devices()[0]), whole)
        with checkpoint.open_manager(Path(folder)) as manager:
            restored = checkpoint.restore(manager, one)
    assert {len(x.sharding.device_set) for x in jax.tree.leaves(restored)} == {1}
    assert checkpoint.digest(restored) == checkpoint.digest(state)


def members_over_devices(algorithm):
    """Eight members under vmap, one on each device, against the same on one device."""
    batches = games.minibatches(0, algorithm.num_minibatches)
    keys = jax.random.split(KEY, 8)
    init = jax.jit(jax.vmap(algorithm.init, in_axes=(0, None)))
    update = jax.jit(jax.vmap(algorithm.update, in_axes=(0, None, 0)))
    states = init(keys, jax.tree.map(lambda x: x[0], batches))
    apart = NamedSharding(Mesh(np.array(jax.devices()), "members"), PartitionSpec("members"))
    spread, _ = update(jax.device_put(states, apart), batches, keys)
    assert all(x.sharding.is_equivalent_to(apart, x.ndim) for x in jax.tree.leaves(spread.params))
    return difference(update(states, batches, keys)[0], spread)


def main(which):
    assert jax.local_device_count() == 8
    parallel.LARGE = 32  # so that there is something to divide
    found = {}
    for name in QUICK["pmap"] if which == "quick" else games.CASES:
        differences, last = on_eight_devices(name, games.CASES[name]().with_sgd, which)
        found |= differences
    if which == "quick":
        first = last.params["generator"]["Dense_0"]
        found["parts"] = [list(first[leaf].sharding.spec) for leaf in ("kernel", "bias")]
        check_draws()
        check_checkpoint(last)

        algorithm = games.CASES["non_saturating_adam_ema"]().algorithm
        all_ways = {"jit": jaxgan.jit, "pmap": jaxgan.pmap, "sharded": jaxgan.sharded}
        found["recompiles"] = {way: recompiles(of(algorithm)) for way, of in all_ways.items()}
        found["members"] = members_over_devices(algorithm)
        found["measured"] = games.measured()
        try:
            smaller = jax.tree.map(lambda x: x[:, :6], games.minibatches(0, 1))
            jaxgan.pmap(algorithm).update(None, smaller, KEY)
        except ValueError as error:
            found["error"] = str(error)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
