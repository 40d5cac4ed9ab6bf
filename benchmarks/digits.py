"""Digits of `experiments.mnist` beside those of other settings, in equal time on the same cores.

Run by `benchmarks/published.py` as the protocol *digits*; needs PyTorch
(`pip install -e '.[bench]'`).

The contestants of a seed train at once, each for slices of a few seconds in which the others are
stopped (SIGSTOP), so that all have the same time, compilation included, and the same machine. They
end when the first has taken all of its steps.
"""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

import jaxgan
from benchmarks.protocols import Row, trained
from experiments import classifier
from jaxgan import Evaluation, checkpoint, data, evaluator, features, metrics
from jaxgan.errors import DataError
from jaxgan.metrics import Features
from jaxgan.types import Array

SLICE = 4.0  # seconds
SEEDS = range(3)
NUM_SAMPLES = 10_000
MNIST = ("experiments.mnist", "--data", "mnist", "--evaluate-every", "0")
TORCH = ("benchmarks.torch_dcgan",)
CONTESTANTS = {
    "defaults": MNIST,
    "Adam with b1 = 0.5, b2 = 0.999, 1e-3; R1 with 1": (
        *(*MNIST, "--num-steps", "1000000", "--b1", "0.5", "--b2", "0.999", "--r1", "1"),
        *("--discriminator-lr", "1e-3", "--generator-lr", "1e-3", "--lr-decay", "none"),
    ),
    "defaults with labels, --conditional": (*MNIST, "--conditional"),
    "PyTorch, DCGAN of the tutorial": TORCH,
}


def digits() -> list[Row]:
    """Digits of MNIST after the time that `python -m experiments.mnist` takes on this machine,
    beside its former defaults, its defaults with labels, and a DCGAN in PyTorch (the networks and
    settings of PyTorch's tutorial at 28 pixels, `benchmarks/torch_dcgan.py`), which take turns of
    4 seconds on the same cores. Results: the Fréchet distance between 10 000 samples and the 10 000
    test images over the 84 features of LeNet-5 (LeCun et al., 1998), trained for this table and
    used for nothing else, and `fid_mnist_classifier`, by which the defaults were chosen; median of
    three seeds, and all of them. The last column has the number of steps, and the floor: the score
    of 10 000 training images in place of samples. With labels (of the training images in training,
    and as many samples of every class) digits come out right; nothing that was tried without them,
    networks, losses, penalties, averages, decays, batches, halves the distance. This compares
    recipes under a budget of time, not frameworks, whose steps take about as long for equal
    networks (docs/performance.md): the tutorial's have twice the channels, and its batches twice
    the images, so that it takes a tenth of the steps.
    """
    if importlib.util.find_spec("torch") is None:
        raise DataError("a contestant needs PyTorch: pip install -e '.[bench]'")
    dataset = data.load("mnist")
    judges = {"LeNet-5": lenet(dataset), "mnist_classifier": features.mnist_classifier()}
    found: dict[str, list[Any]] = {name: [] for name in CONTESTANTS}
    for seed in SEEDS:
        for name, (samples, steps) in compete(seed).items():
            scores = {judge: distance(samples, dataset, f) for judge, f in judges.items()}
            found[name].append({"seed": seed, "steps": steps} | scores)
            print(name, found[name][-1], flush=True)
    floors = {judge: distance(training_images(dataset), dataset, f) for judge, f in judges.items()}
    return [
        Row(
            f"{name}: {judge}",
            "none",
            median_of([record[judge] for record in records]),
            f"0 to {len(SEEDS) - 1}; {records[0]['steps']} steps; floor {floors[judge]:.2g}",
            records,
        )
        for judge in judges
        for name, records in found.items()
    ]


def median_of(values: Sequence[float]) -> str:
    """Median, and all values."""
    return f"{np.median(values):.3g} ({', '.join(f'{value:.3g}' for value in values)})"


# ---- the contestants


def compete(seed: int) -> dict[str, tuple[np.ndarray, int]]:
    """Samples of all contestants after equal time, and the number of their steps."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / str(i) for i, name in enumerate(CONTESTANTS)}
        running = {name: start(CONTESTANTS[name], paths[name], seed) for name in CONTESTANTS}
        first = next(iter(running.values()))
        while first.poll() is None:
            for process in running.values():
                process.send_signal(signal.SIGCONT)
                wait(process, SLICE)
                process.send_signal(signal.SIGSTOP)
        for process in list(running.values())[1:]:
            process.terminate()
            process.send_signal(signal.SIGCONT)
            process.wait()
        return {name: samples_of(CONTESTANTS[name], paths[name]) for name in CONTESTANTS}


def start(words: Sequence[str], path: Path, seed: int) -> subprocess.Popen:
    """A contestant, stopped."""
    out = ("--output", f"{path}.npy") if words == TORCH else ("--run-dir", str(path))
    command = [sys.executable, "-m", *words, *out, "--seed", str(seed)]
    with open(f"{path}.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    os.kill(process.pid, signal.SIGSTOP)
    return process


def wait(process: subprocess.Popen, seconds: float) -> None:
    """Waits for some seconds, or for the end of the process."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)


def samples_of(words: Sequence[str], path: Path) -> tuple[np.ndarray, int]:
    """Samples of a contestant that has ended, and the number of its steps."""
    if words == TORCH:
        steps = int(re.findall(r"(\d+) steps", Path(f"{path}.log").read_text(encoding="utf-8"))[-1])
        return np.load(f"{path}.npy"), steps
    run = jaxgan.load_run(path)
    return run.sample(NUM_SAMPLES), run.step


# ---- the judges


class LeNet5(nn.Module):
    """LeNet-5 with rectified units and maximum pooling.

    LeCun, Bottou, Bengio and Haffner, *Gradient-Based Learning Applied to Document Recognition*,
    1998, https://doi.org/10.1109/5.726791.
    """

    @nn.compact
    def __call__(self, image: Array, *, train: bool) -> dict[str, Array]:
        """84 features and 10 logits of images `[n, 28, 28, 1]`."""
        x = image
        for width, padding in ((6, "SAME"), (16, "VALID")):
            x = nn.relu(nn.Conv(width, (5, 5), padding=padding)(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.relu(nn.Dense(120)(x.reshape(len(x), -1)))
        x = nn.relu(nn.Dense(84)(x))
        return {"features": x, "logits": nn.Dense(10)(x)}


def lenet(dataset: data.Dataset) -> Features:
    """LeNet-5, trained as `experiments.classifier` trains its network."""
    config = classifier.Config(data="mnist")
    network = jaxgan.from_linen(LeNet5())
    game = classifier.classification(network)
    experiment = classifier.make(config, dataset)
    optimizers = {"classifier": classifier.adam(config, 3e-3, decay_steps=config.decay_steps)}
    algorithm = jaxgan.alternating(game, optimizers)
    state = trained(experiment._replace(game=game, algorithm=algorithm), config)
    accuracy = Evaluation({"accuracy": metrics.accuracy()}, dataset.test, target="label")
    print(evaluator(game, accuracy)(state)["accuracy"])
    params, model_state = state.params["classifier"], state.model_state["classifier"]
    apply = jax.jit(lambda images: network.apply(params, model_state, images, train=False)[0])
    return Features("lenet5", apply, checkpoint.digest(params))


def distance(images: np.ndarray, dataset: data.Dataset, judge: Features) -> float:
    """Fréchet distance between images and the test images."""
    metric = metrics.frechet_distance(judge)
    acc = metric.init()
    for side, x in (("real", data.as_float(dataset.test["image"])), ("generated", images)):
        for start in range(0, len(x), 500):
            rows = judge.apply(x[start : start + 500])["features"]
            acc = metric.update(acc, **{side: rows})
    (record,) = metric.compute(acc).values()
    return record.value


def training_images(dataset: data.Dataset) -> np.ndarray:
    """The first training images, as many as there are samples."""
    return data.as_float(dataset.train["image"][:NUM_SAMPLES])


PROTOCOLS = {"digits": digits}
