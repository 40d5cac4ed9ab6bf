"""Several real processes over localhost: the numbers of one, exact resume, and a clear end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxgan import data
from jaxgan.errors import DataError
from tests import games
from tests.conftest import ROOT
from tests.test_parallel import EIGHT_DEVICES

FOUR_DEVICES = EIGHT_DEVICES | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
EXPERIMENT = "experiments.mnist --data digits --network mlp --log-every 1 --checkpoint-every 10"


def start(module, *args, env=FOUR_DEVICES):
    return subprocess.Popen(
        [sys.executable, "-m", *module.split(), *map(str, args)],
        cwd=ROOT,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, timeout=400):
    out, errors = process.communicate(timeout=timeout)
    return process.returncode, out, errors


def free_port():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def found():
    port = free_port()
    both = [start("tests.processes_program", port, i) for i in (0, 1)]
    (status, out, errors), (other, _, other_errors) = map(finish, both)
    assert (status, other) == (0, 0), errors + other_errors
    return json.loads(out.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", games.CASES)
def test_two_processes_are_one_device(found, name):
    assert found[name] < 2e-6


@pytest.mark.slow
def test_evaluation_by_two_processes_is_one_device(found):
    assert found["measured"] == pytest.approx(games.measured(), rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_pmap_is_for_one_process(found):
    assert found["error"] == "pmap is for the devices of one process; use sharded for several"


def metrics(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return {record["step"]: record for record in map(json.loads, lines)}


@pytest.mark.slow
def test_one_is_killed_the_other_ends_and_one_goes_on(tmp_path):
    """Two processes train; one is killed; the run is finished by one process on one device."""
    one = start(EXPERIMENT, "--num-steps", 40, "--run-dir", tmp_path / "one", env={})
    assert finish(one)[0] == 0

    flags = ["--num-steps", 100_000, "--run-dir", tmp_path / "two", "--distributed"]
    flags += ["--coordinator", f"localhost:{free_port()}", "--num-processes", 2, "--process-id"]
    first, second = (start(EXPERIMENT, *flags, i) for i in (0, 1))
    checkpoint = tmp_path / "two" / "checkpoints" / "20"
    deadline = time.time() + 300
    while not checkpoint.exists() and time.time() < deadline:
        assert first.poll() is None, finish(first)
        time.sleep(0.1)
    second.send_signal(signal.SIGKILL)
    killed = time.time()
    status, _, errors = finish(first, timeout=60)
    finish(second)
    assert time.time() - killed < 30
    assert status == 1, errors
    messages = [line for line in errors.splitlines() if line.startswith("error:")]
    assert len(messages) == 1, errors
    assert "another process of this run has ended or cannot be reached" in messages[0]

    again = start(EXPERIMENT, "--num-steps", 40, "--run-dir", tmp_path / "two", env={})
    newest = max(int(path.name) for path in (tmp_path / "two" / "checkpoints").glob("[0-9]*"))
    if newest >= 40:
        pytest.skip("the processes were too quick to be stopped before the end")
    status, out, errors = finish(again)
    assert status == 0, errors
    assert f"goes on from step {newest}" in out
    alone, together = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert sorted(together) == list(range(1, 41))
    for step in range(1, 21):
        for name in ("discriminator/loss", "generator/loss"):
            # Adam, through a spike of the loss in step 17, and another order of sums
            np.testing.assert_allclose(together[step][name], alone[step][name], rtol=2e-2)


@pytest.mark.parametrize("count", [1, 3])
def test_each_process_reads_its_rows(count):
    examples = {"image": np.arange(50)}
    whole = data.minibatches(examples, batch_size=12, process=(0, 1))(2, count)["image"]
    parts = [
        data.minibatches(examples, batch_size=12, process=(i, 4))(2, count)["image"]
        for i in range(4)
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_a_batch_that_does_not_divide_over_processes():
    with pytest.raises(DataError, match="batch size is 10 and there are 4 processes"):
        data.minibatches({"image": np.zeros(50)}, batch_size=10, process=(0, 4))
