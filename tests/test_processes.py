"""Several real processes over localhost: the results of one, exact resume, and a clear end."""

import json
import signal
import socket
import time

import numpy as np
import pytest

from jaxgan import data
from jaxgan.errors import DataError
from tests import games, support
from tests.programs import processes
from tests.programs.common import difference, one_device

EXPERIMENT = ["--data", "digits", "--network", "mlp", "--batch-size", 16, "--r1", 0]
EXPERIMENT += ["--log-every", 1, "--checkpoint-every", 10, "--evaluate-every", 0]
EXPERIMENT += ["--b1", 0.5, "--b2", 0.999]  # by which rounding grows less than by the defaults


def start(*args, **environment):
    return support.start("experiments.mnist", *EXPERIMENT, *args, **environment)


def free_port():
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        return unused.getsockname()[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    port, folder = free_port(), tmp_path_factory.mktemp("processes")
    both = [
        support.start("tests.programs.processes", port, i, folder, **support.devices(4))
        for i in (0, 1)
    ]
    (status, out, errors), (other, _, other_errors) = map(support.finish, both)
    assert (status, other) == (0, 0), errors + other_errors
    return json.loads(out.splitlines()[-1]) | {"folder": folder}


@pytest.mark.slow
@pytest.mark.parametrize("name", processes.CASES)
def test_two_processes_are_one_device(results, name):
    with np.load(results["folder"] / f"{name}.npz") as leaves:
        assert difference(one_device(name)[0], list(leaves.values())) < 2e-6


@pytest.mark.slow
def test_evaluation_by_two_processes_is_one_device(results):
    assert results["scores"] == pytest.approx(games.scores(), rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_pmap_is_for_one_process(results):
    assert results["error"] == "pmap is for the devices of one process; use sharded for several"


@pytest.mark.slow
def test_one_is_killed_the_other_ends_and_one_resumes(tmp_path):
    """Two processes train; one is killed; the run is finished by one process on one device."""
    one = start("--num-steps", 40, "--run-dir", tmp_path / "one")
    status, _, errors = support.finish(one)
    assert status == 0, errors

    flags = ["--num-steps", 100_000, "--run-dir", tmp_path / "two", "--distributed"]
    flags += ["--coordinator", f"localhost:{free_port()}", "--num-processes", 2, "--process-id"]
    first, second = (start(*flags, i, **support.devices(4)) for i in (0, 1))
    while not (tmp_path / "two" / "checkpoints" / "20").exists():
        assert first.poll() is None, support.finish(first)
        time.sleep(0.05)
    second.send_signal(signal.SIGKILL)
    status, _, errors = support.finish(first)
    support.finish(second)
    assert status == 1, errors
    message = support.one_line(errors)
    assert "another process of this run has ended or cannot be reached" in message

    newest = max(int(path.name) for path in (tmp_path / "two" / "checkpoints").glob("[0-9]*"))
    if newest >= 40:
        pytest.skip("the processes were too quick to be stopped before the end")
    again = start("--num-steps", 40, "--run-dir", tmp_path / "two")
    status, out, errors = support.finish(again)
    assert status == 0, errors
    assert f"resumes from step {newest}" in out
    alone, together = (
        {record["step"]: record for record in support.read_lines(tmp_path / run / "metrics.jsonl")}
        for run in ("one", "two")
    )
    assert sorted(together) == list(range(1, 41))
    for step in range(1, 21):
        for name in ("discriminator/loss", "generator/loss"):
            # Adam, through a spike of the loss in step 17, and another order of sums
            np.testing.assert_allclose(together[step][name], alone[step][name], rtol=2e-2)


@pytest.mark.parametrize("count", [1, 3])
def test_each_process_reads_its_rows(count):
    examples = {"image": np.arange(50)}
    all_rows = data.minibatches(examples, batch_size=12, process=(0, 1))(2, count)["image"]
    parts = [
        data.minibatches(examples, batch_size=12, process=(i, 4))(2, count)["image"]
        for i in range(4)
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), all_rows)


def test_a_batch_that_does_not_divide_over_processes():
    with pytest.raises(DataError, match="batch size is 10 and there are 4 processes"):
        data.minibatches({"image": np.zeros(50)}, batch_size=10, process=(0, 4))
