"""One device or eight: the same numbers up to the order of sums."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

import jaxgan
from jaxgan.parallel import axis
from tests import games
from tests.conftest import CACHE, ROOT
from tests.parallel_program import QUICK

EIGHT_DEVICES = {
    "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    "NPROC": "16",  # threads for the rendezvous of eight devices on few cores
    "JAX_PLATFORMS": "cpu",
    "JAX_COMPILATION_CACHE_DIR": str(CACHE),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def test_meshes_that_sharded_does_not_know():
    mesh = jax.make_mesh((1,), ("model",), axis_types=(AxisType.Auto,))
    with pytest.raises(ValueError, match=r"axes \('model',\), expected data \(and fsdp\)"):
        jaxgan.sharded(games.CASES["minimax"]().algorithm, mesh=mesh)


def program(which):
    run = subprocess.run(
        [sys.executable, "-m", "tests.parallel_program", which],
        cwd=ROOT,
        env=os.environ | EIGHT_DEVICES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def found():
    return program("quick")


@pytest.fixture(scope="module")
def found_of_every_game():
    return program("every")


@pytest.mark.parametrize("name", QUICK["pmap"])
def test_pmap_on_eight_devices_is_one_device(found, name):
    assert found[f"{name} pmap"] < 2e-6


@pytest.mark.parametrize("way", ["sharded", "sharded fsdp"])
@pytest.mark.parametrize("name", QUICK["sharded"])
def test_sharded_on_eight_devices_is_one_device(found, name, way):
    assert found[f"{name} {way}"] < 2e-6


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pmap", "sharded", "sharded fsdp"])
@pytest.mark.parametrize("name", games.CASES)
def test_every_game_on_eight_devices(found_of_every_game, name, way):
    """Under sharded with layers of other libraries too: the program is that of the whole batch."""
    if way == "pmap" and name in games.LOCAL:
        assert f"{name} {way}" not in found_of_every_game
    else:
        assert found_of_every_game[f"{name} {way}"] < 2e-6


def test_members_of_a_population_on_devices_of_their_own(found):
    assert found["members"] < 2e-6


def test_evaluation_on_eight_devices_is_one_device(found):
    assert found["measured"] == pytest.approx(games.measured(), rel=1e-4, abs=1e-6)


def test_every_mode_compiles_once(found):
    assert found["recompiles"] == {"jit": 0, "pmap": 0, "sharded": 0}


def test_a_divided_state_lies_in_parts(found):
    assert found["parts"] == [[None, "fsdp"], []]


def test_batches_that_do_not_divide(found):
    assert found["error"].startswith("a batch of 6 does not divide over 8 devices")


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


def test_a_second_trace_is_an_error_when_it_is_asked_to_be():
    import chex

    chex.clear_trace_counter()
    algorithm = jaxgan.jit(games.CASES["minimax"]().algorithm, max_traces=1)
    batches = games.minibatches(0, algorithm.num_minibatches)
    state = algorithm.init(jax.random.key(0), jax.tree.map(lambda x: x[0], batches))
    state, _ = algorithm.update(state, batches, jax.random.key(0))
    smaller = jax.tree.map(lambda x: x[:, :4], batches)
    with pytest.raises(AssertionError, match="is traced > 1 times"):
        algorithm.update(state, smaller, jax.random.key(0))
