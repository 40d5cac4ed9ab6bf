"""Games on eight virtual devices; started by test_parallel.py.

    python -m tests.programs.parallel quick DIR     some games in every mode, and what else there is
    python -m tests.programs.parallel all DIR       games of all kinds under pmap, fewer sharded,
                                                    and a few with sharded parameters

Writes the states of each as `DIR/CASE MODE SEED.npz`, which the test compares with those of one
device, and prints one line of JSON. With `all` it begins with the states `DIR/CASE first SEED.npz`,
and compiles nothing to make them. All train with SGD, which shows a wrong scale of the gradients
that Adam would hide.
"""

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import jaxgan
from jaxgan import checkpoint
from jaxgan.parallel import axis, multihost
from jaxgan.parallel import modes as parallel_modes
from tests import games
from tests.programs.common import KEY, SEEDS, count_compilations, difference, train


def data_mesh():
    return Mesh(np.array(jax.devices()), ("data",))


def fsdp_mesh():
    return jax.make_mesh((4, 2), ("data", "fsdp"), axis_types=2 * (AxisType.Auto,))


def modes():
    """Each mode, and the mesh over which it shards the state."""
    return {
        "pmap": (jaxgan.pmap, data_mesh()),
        "sharded": (jaxgan.sharded, data_mesh()),
        "sharded fsdp": (partial(jaxgan.sharded, mesh=fsdp_mesh()), fsdp_mesh()),
    }


# The cases of each mode, in the quick suite and in the slow one.
QUICK = {
    "pmap": ("normalized_gan", "consensus"),
    "sharded": ("minimax",),
    "sharded fsdp": ("normalized_gan",),
}
# Under pmap, a game that is there with normalised networks is left out without them, and so is what
# differs from another in the order of turns alone.
LEFT_OUT = ("simultaneous", "generator_first", "three_discriminator_turns", "dcgan_r1")
LEFT_OUT += ("autoencoder_adam_ema", "accumulated", "accumulated_cyclegan")
# (Under `sharded` the program is that of one device, partitioned by the compiler.)
MORE = (
    "dcgan",
    "vae_free_bits",
    "relativistic_average",
    "extragradient_from_the_past",
    "normalized_vae_gan",
    "normalized_bigan",
)
ALL = {
    "pmap": tuple(
        name
        for name in games.CASES
        if f"normalized_{name}" not in games.CASES and name not in LEFT_OUT
    ),
    "sharded": games.QUICK + MORE,
    "sharded fsdp": (*games.TRANSFORMED, "dcgan", "path_length", "normalized_cyclegan"),
}


class Compilations:
    """A callback that counts the programs compiled after the first step."""

    def __init__(self) -> None:
        self.count, self.before = count_compilations(), None

    def __call__(self, step, state, metrics) -> None:
        if self.before is None:
            self.before = self.count()
        self.after = self.count() - self.before


def read_state(path, algorithm, mesh):
    """The state whose leaves are in a file, on a mesh; none if there is no file."""
    if not path.exists():
        return None
    state = jax.eval_shape(algorithm.init, KEY, games.minibatch())
    with np.load(path) as leaves:
        host = jax.tree.unflatten(jax.tree.structure(state), leaves.values())
    return jax.device_put(host, parallel_modes.state_shardings(mesh, state))


def train_all(which, folder):
    """Programs compiled too many by case and mode, and the last state of each mode."""
    recompiled, states = {}, {}
    for name in games.CASES:
        case = games.CASES[name]().with_sgd
        chosen = [
            mode
            for mode in modes()
            if name in (ALL if which == "all" else QUICK)[mode]
            and (case.pmap_is_one_device or mode != "pmap")
        ]
        for mode in chosen:
            in_mode, mesh = modes()[mode]
            algorithm, compilations = in_mode(case.algorithm), Compilations()
            for seed in SEEDS:
                first = read_state(folder / f"{name} first {seed}.npz", case.algorithm, mesh)
                eight = train(algorithm, seed=seed, state=first, callbacks=(compilations,))
                assert len(jax.tree.leaves(eight)[0].sharding.device_set) == 8
                leaves = jax.tree.leaves(multihost.to_host(eight))
                np.savez(folder / f"{name} {mode} {seed}.npz", *leaves)
            recompiled[f"{name} {mode}"] = compilations.after
            states[mode] = eight
    return recompiled, states


def count_one_compilation() -> int:
    """What `Compilations` counts where a program is compiled in the second step."""
    compilations = Compilations()
    compilations(1, None, None)
    jax.jit(lambda x: x + 1.5)(2.5)
    compilations(2, None, None)
    return compilations.after


def check_keys_of_examples():
    """Keys bit for bit those of one device, under pmap and in a program over global arrays."""
    expected = jax.random.key_data(axis.example_keys(KEY, 16))
    mapped = jax.pmap(lambda _: axis.example_keys(KEY, 2), axis_name=axis.DATA_AXIS)(np.arange(8))
    np.testing.assert_array_equal(jax.random.key_data(mapped).reshape(16, -1), expected)

    @jax.jit
    def sharded():
        with jax.sharding.use_abstract_mesh(fsdp_mesh().abstract_mesh):
            return jax.random.key_data(axis.example_keys(KEY, 16)), games.LATENT(KEY, 16)

    with jax.set_mesh(fsdp_mesh()):
        keys, latents = sharded()
    assert len(latents.sharding.device_set) == 8
    np.testing.assert_array_equal(keys, expected)
    # jax 0.12 vectorises the normal distribution's inverse by shape: its last bits may differ.
    one = jax.jit(games.LATENT, static_argnums=1)(KEY, 16)
    np.testing.assert_allclose(latents, one, rtol=1e-6)


def check_checkpoint(state):
    """A sharded state, saved, and restored on one device."""
    replicated = multihost.to_host(state)
    with tempfile.TemporaryDirectory() as folder:
        with checkpoint.open_manager(Path(folder)) as manager:
            checkpoint.save(manager, state)
        one = jax.tree.map(lambda x: jax.device_put(x, jax.devices()[0]), replicated)
        with checkpoint.open_manager(Path(folder)) as manager:
            restored = checkpoint.restore(manager, one)
    assert {len(x.sharding.device_set) for x in jax.tree.leaves(restored)} == {1}
    assert checkpoint.digest(restored) == checkpoint.digest(state)


def members_over_devices(algorithm) -> float:
    """Eight members under vmap, one on each device, against the same on one device."""
    batches = games.minibatches(0, algorithm.num_minibatches)
    keys = jax.random.split(KEY, 8)
    init = jax.jit(jax.vmap(algorithm.init, in_axes=(0, None)))
    update = jax.jit(jax.vmap(algorithm.update, in_axes=(0, None, 0)))
    states = init(keys, games.minibatch())
    apart = NamedSharding(Mesh(np.array(jax.devices()), "members"), PartitionSpec("members"))
    sharded, _ = update(jax.device_put(states, apart), batches, keys)
    assert all(x.sharding.is_equivalent_to(apart, x.ndim) for x in jax.tree.leaves(sharded.params))
    return difference(update(states, batches, keys)[0], sharded)


def error_of_six_examples() -> str:
    algorithm = jaxgan.pmap(games.CASES["minimax"]().algorithm)
    try:
        algorithm.update(None, jax.tree.map(lambda x: x[:, :6], games.minibatches(0, 1)), KEY)
    except ValueError as error:
        return str(error)
    return ""


def main(which, folder):
    assert jax.local_device_count() == 8
    parallel_modes.LARGE = 32  # so that there is something to shard
    recompiled, states = train_all(which, Path(folder))
    results = {"recompiled": recompiled}
    if which == "quick":
        generator = states["sharded fsdp"].params["generator"]
        large, small = generator["Dense_1"]["kernel"], generator["BatchNorm_0"]["scale"]
        check_keys_of_examples()
        check_checkpoint(states["sharded fsdp"])
        results |= {
            "one compilation": count_one_compilation(),
            "specs": [list(leaf.sharding.spec) for leaf in (large, small)],
            "members": members_over_devices(games.CASES["minimax"]().algorithm),
            "scores": games.scores(),
            "error": error_of_six_examples(),
        }
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
