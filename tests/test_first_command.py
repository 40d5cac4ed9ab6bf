"""The first steps of the README's first command, and what its samples are like."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxgan import evaluator
from jaxgan.features import mnist_classifier
from jaxgan.runs.load import load_run
from tests.conftest import ROOT
from tests.support import README, code_blocks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    blocks = code_blocks(README, "bash")
    command = next(block for block in blocks if "python -m experiments" in block)
    module = re.search(r"python (-m experiments\.\w+.*)$", command.strip())[1]
    directory = tmp_path_factory.mktemp("first")
    tests_own = ("XLA_FLAGS", "NPROC", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in tests_own}
    done = subprocess.run(
        [
            sys.executable,
            *shlex.split(module),
            *("--num-steps", "400", "--run-dir", str(directory / "run")),
        ],
        cwd=ROOT,
        env=environment,  # compiled for speed, as for a user
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return directory / "run"


def test_it_samples_digits_of_all_classes(run_dir: Path):
    """By the digit classifier that comes with jaxgan: shares of the classes, and the records."""
    entry = json.loads((run_dir / "evaluation.json").read_text(encoding="utf-8"))["evaluations"][-1]
    values = {record["name"]: record["value"] for record in entry["records"]}
    run = load_run(run_dir, with_data=True)
    experiment, state = run.experiment, run.state
    assert entry["step"] == int(state.step)
    params, _ = experiment.game.init(jax.random.key(0), experiment.sample_batch(2))
    untrained = state._replace(params=params, ema_params={}, ema_model_state={})
    measure = evaluator(experiment.game, experiment.evaluation, num_samples=1000)
    blank = measure(untrained)["fid_mnist_classifier"].value
    assert values["fid_mnist_classifier"] < 0.01 * blank
    assert values["precision_mnist_classifier"] > 0.35
    assert values["recall_mnist_classifier"] > 0.3

    samples = run.sample(1000, seed=1)
    classes = mnist_classifier().apply(samples)["logits"].argmax(axis=1)
    shares = np.bincount(classes, minlength=10) / 1000
    # No class is missing, and none is most of them. (The classifier takes many of scikit-learn's
    # digits, which are blurred, for an 8.)
    assert shares.min() > 0.005, shares
    assert shares.max() < 0.5, shares
