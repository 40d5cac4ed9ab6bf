"""Run by test_processes.py, twice at a time: every game on two processes of four devices each.

    python -m tests.processes_program PORT PROCESS_ID

Process 0 prints one line of JSON, as parallel_program does.
"""

import json
import sys

import jax
import numpy as np

import jaxgan
from jaxgan.parallel import axis, multihost

if __name__ == "__main__":  # before anything that uses jax, as the modules below do
    multihost.initialize(f"localhost:{sys.argv[1]}", 2, int(sys.argv[2]))
from tests import games
from tests.parallel_program import KEY, ROUNDS, difference


def my_rows(start, count):
    """This process's half of every minibatch."""
    half = lambda x: x.reshape(count, 2, games.BATCH // 2, *x.shape[2:])[:, jax.process_index()]
    return jax.tree.map(half, games.minibatches(start, count))


def play(algorithm, minibatches):
    state = jaxgan.fit(algorithm, minibatches, key=KEY, num_steps=ROUNDS)
    return multihost.to_host(state._asdict())


def main() -> None:
    assert (jax.process_count(), jax.device_count(), jax.local_device_count()) == (2, 8, 4)
    assert multihost.all_reduce_max(jax.process_index()) == 1
    found = {"measured": games.measured()}
    for name, make in games.CASES.items():
        case = make().with_sgd
        two = play(jaxgan.sharded(case.algorithm), my_rows)
        if multihost.is_main():
            found[name] = difference(play(jaxgan.jit(case.algorithm), games.minibatches), two)
    draws = jax.jit(lambda: jax.random.key_data(axis.example_keys(KEY, 16)))()
    np.testing.assert_array_equal(draws, jax.random.key_data(axis.example_keys(KEY, 16)))
    try:
        jaxgan.pmap(case.algorithm)
    except ValueError as error:
        found["error"] = str(error)
    if multihost.is_main():
        print(json.dumps(found))


if __name__ == "__main__":
    main()
