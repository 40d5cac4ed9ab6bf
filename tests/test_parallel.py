"""One device or eight: the same results up to the order of sums."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

import jaxgan
from jaxgan import parallel
from jaxgan.parallel import axis
from tests import games, support
from tests.programs.common import SEEDS, difference, one_device
from tests.programs.parallel import ALL, QUICK


def program(which, folder):
    """What the program prints, and the folder with its states."""
    run = support.start("tests.programs.parallel", which, folder, **support.devices(8))
    status, out, errors = support.finish(run)
    assert status == 0, errors
    return json.loads(out) | {"folder": folder}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return program("quick", tmp_path_factory.mktemp("quick"))


@pytest.fixture(scope="module")
def of_all_games(tmp_path_factory):
    """From the first states of one device: the quick cases have their own."""
    folder = tmp_path_factory.mktemp("all")
    for name in set().union(*ALL.values()):
        for seed, leaves in zip(SEEDS, one_device(name, num_steps=0), strict=True):
            np.savez(folder / f"{name} first {seed}.npz", *leaves)
    return program("all", folder)


def of_eight_devices(results, name, mode, seed):
    with np.load(results["folder"] / f"{name} {mode} {seed}.npz") as leaves:
        return list(leaves.values())


def assert_one_device(results, name, mode):
    differences = [
        difference(one, of_eight_devices(results, name, mode, seed))
        for seed, one in zip(SEEDS, one_device(name), strict=True)
    ]
    assert min(differences) < 2e-6
    assert max(differences) < 0.01
    assert results["recompiled"][f"{name} {mode}"] == 0


@pytest.mark.parametrize(
    ("name", "mode"), [(name, mode) for mode, names in QUICK.items() for name in names]
)
def test_eight_devices_are_one_device(quick, name, mode):
    assert_one_device(quick, name, mode)


def test_compilations_are_counted(quick):
    assert quick["one compilation"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mode"), [(name, mode) for mode, names in ALL.items() for name in names]
)
def test_all_games_on_eight_devices(of_all_games, name, mode):
    if mode == "pmap" and not games.CASES[name]().pmap_is_one_device:
        assert f"{name} {mode}" not in of_all_games["recompiled"]
    else:
        assert_one_device(of_all_games, name, mode)


def test_members_of_a_population_on_devices_of_their_own(quick):
    assert quick["members"] < 2e-6


def test_evaluation_on_eight_devices_is_one_device(quick):
    assert quick["scores"] == pytest.approx(games.scores(), rel=1e-4, abs=1e-6)


def test_large_leaves_of_a_sharded_state_lie_in_parts(quick):
    assert quick["specs"] == [[None, "fsdp"], []]


def test_batches_that_do_not_divide(quick):
    assert quick["error"].startswith("the batch size is 6 and there are 8 devices")


def test_meshes_with_other_axes():
    mesh = jax.make_mesh((1,), ("model",), axis_types=(AxisType.Auto,))
    with pytest.raises(ValueError, match=r"axes \('model',\), expected data \(and fsdp\)"):
        jaxgan.sharded(games.CASES["minimax"]().algorithm, mesh=mesh)


def test_the_mapped_update_is_that_of_pmap():
    algorithm = games.CASES["minimax"]().with_sgd.algorithm
    state, batches, key = (
        algorithm.init(jax.random.key(0), games.minibatch()),
        games.minibatches(0, algorithm.num_minibatches),
        jax.random.key(1),
    )
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    mapped = parallel.mapped_update(algorithm, mesh)
    expected = jaxgan.pmap(algorithm).update(jax.tree.map(jnp.copy, state), batches, key)
    chex.assert_trees_all_close(mapped(state, batches, key), expected, rtol=1e-6)


def test_axis_outside_of_a_map():
    assert not axis.is_bound()
    np.testing.assert_array_equal(axis.global_rows(3), [0, 1, 2])
    assert axis.mean({"a": 2.0}) == {"a": 2.0}


def test_axis_inside_of_a_map():
    inside = lambda x: (axis.global_rows(2), axis.mean(x))
    rows, means = jax.vmap(inside, axis_name=axis.DATA_AXIS)(jnp.arange(4.0))
    np.testing.assert_array_equal(rows, np.arange(8).reshape(4, 2))
    np.testing.assert_array_equal(means, np.full(4, 1.5))
    # A function that was compiled outside is compiled anew inside.
    compiled = jax.jit(lambda x: axis.mean(x))
    assert float(compiled(3.0)) == 3.0
    np.testing.assert_array_equal(
        jax.vmap(compiled, axis_name=axis.DATA_AXIS)(jnp.arange(4.0)), np.full(4, 1.5)
    )


def test_a_second_trace_is_an_error_where_one_is_allowed():
    chex.clear_trace_counter()
    algorithm = jaxgan.jit(games.CASES["minimax"]().algorithm, max_traces=1)
    batches = games.minibatches(0, algorithm.num_minibatches)
    state = algorithm.init(jax.random.key(0), games.minibatch())
    state, _ = algorithm.update(state, batches, jax.random.key(0))
    smaller = jax.tree.map(lambda x: x[:, :4], batches)
    with pytest.raises(AssertionError, match="is traced > 1 times"):
        algorithm.update(state, smaller, jax.random.key(0))
