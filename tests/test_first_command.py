"""The README's first command, as long as it takes, and what it draws.

Slow: five minutes on two cores.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxgan import data, launch
from tests.conftest import ROOT
from tests.test_documents import README, blocks

pytestmark = pytest.mark.slow


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """`|m_a - m_b|^2 + tr(A + B - 2 (A B)^1/2)` of the Gaussians fitted to two sets of rows."""
    difference = a.mean(axis=0) - b.mean(axis=0)
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(cov_a @ cov_b).real, 0.0))
    return float(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum())


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    command = next(block for block in blocks(README, "bash") if "python -m experiments" in block)
    module = re.search(r"python (-m experiments\.\w+.*)$", command.strip())[1]
    directory = tmp_path_factory.mktemp("first")
    done = subprocess.run(
        [sys.executable, *shlex.split(module), "--run-dir", str(directory / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return directory / "run"


def test_it_draws_digits_of_every_kind(run_dir: Path):
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier

    record = launch.read_record(run_dir)["data"]
    dataset = data.load(record["name"])
    flat = lambda images: data.as_float(images).reshape(len(images), -1)
    train, test = flat(dataset.train["image"][:10_000]), flat(dataset.test["image"])
    experiment, state = launch.load(run_dir)
    drawn = np.asarray(launch.sampler(experiment, 1000, seed=1)(state)).reshape(1000, -1)
    params, _ = experiment.game.init(jax.random.key(0), experiment.sample_batch(2))
    untrained = state._replace(params=params, ema_params={})
    blank = np.asarray(launch.sampler(experiment, 1000, seed=1)(untrained)).reshape(1000, -1)

    project = PCA(50, random_state=0).fit(train).transform
    distance = lambda images: frechet_distance(project(images), project(test))
    assert distance(drawn) < 0.06 * distance(blank)

    classifier = KNeighborsClassifier(5).fit(project(train), dataset.train["label"][:10_000])
    shares = np.bincount(classifier.predict(project(drawn)), minlength=10) / 1000
    assert shares.min() > 0.02, shares
    assert shares.max() < 0.3, shares
