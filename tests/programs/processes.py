"""A few games on two processes of four devices each; started twice by test_processes.py.

    python -m tests.programs.processes PORT PROCESS_ID DIR

Process 0 writes the leaves of each case's state as `DIR/CASE.npz`, which the test compares with
those of one device, and prints one line of JSON.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np

import jaxgan
from jaxgan.parallel import axis, multihost

if __name__ == "__main__":  # before anything that uses jax, as the modules below do
    multihost.initialize(f"localhost:{sys.argv[1]}", 2, int(sys.argv[2]))
from tests import games
from tests.programs.common import KEY, train

CASES = (  # each kind of statistic over devices
    *("minimax", "lecam", "dcgan", "path_length", "normalized_cyclegan"),
    *games.TRANSFORMED,
)


def my_rows(start, count):
    """This process's half of every minibatch."""
    half = lambda x: x.reshape(count, 2, games.BATCH // 2, *x.shape[2:])[:, jax.process_index()]
    return jax.tree.map(half, games.minibatches(start, count))


def error_of_pmap() -> str:
    try:
        jaxgan.pmap(games.CASES["minimax"]().algorithm)
    except ValueError as error:
        return str(error)
    return ""


def main() -> None:
    assert (jax.process_count(), jax.device_count(), jax.local_device_count()) == (2, 8, 4)
    assert multihost.all_reduce_max(jax.process_index()) == 1
    for name in CASES:
        algorithm = games.CASES[name]().with_sgd.algorithm
        two = multihost.to_host(train(jaxgan.sharded(algorithm), my_rows))
        if multihost.is_main():
            np.savez(Path(sys.argv[3]) / f"{name}.npz", *jax.tree.leaves(two))
    keys = jax.jit(lambda: jax.random.key_data(axis.example_keys(KEY, 16)))()
    np.testing.assert_array_equal(keys, jax.random.key_data(axis.example_keys(KEY, 16)))
    results = {"scores": games.scores(), "error": error_of_pmap()}
    if multihost.is_main():
        print(json.dumps(results))


if __name__ == "__main__":
    main()
