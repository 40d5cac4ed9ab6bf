"""Runs of `benchmarks/zoo.py`: a preset trained and judged, and the times of steps."""

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import jax
import numpy as np

import jaxgan
from benchmarks import digits
from benchmarks.protocols import trained
from experiments import mnist, presets
from jaxgan import Evaluation, data, evaluator, features, metrics
from jaxgan.runs import with_preset
from jaxgan.training import TrainState


def config_of(name: str, **flags: Any) -> mnist.Config:
    """The flags of a preset, or the defaults of the experiment."""
    return with_preset(
        mnist.Config, name if name in presets.PRESETS else None, data="mnist", **flags
    )


def run(
    name: str,
    seed: int,
    channels: int,
    marks: Collection[int],
    judges: dict[str, Any],
    *,
    num_samples: int,
) -> dict[str, Any]:
    """Record of a run: scores by step, at the marks, and by judge."""
    config = config_of(name, seed=seed, features=channels, num_steps=max(marks))
    experiment = mnist.make(config, config.load_data())
    assert experiment.evaluation is not None
    evaluation = Evaluation(
        {judge: metrics.frechet_distance(f) for judge, f in judges.items()},
        experiment.evaluation.examples,
    )
    evaluate = evaluator(experiment.game, evaluation, num_samples=num_samples)
    by_step: dict[int, dict[str, float]] = {}

    def callback(step: int, state: TrainState, _: Any) -> None:
        if step in marks:
            values = [record.value for record in evaluate(state).values()]
            by_step[step] = dict(zip(judges, values, strict=True))

    start = time.process_time()
    trained(experiment, config, [callback])
    return {
        "preset": name,
        "seed": seed,
        "steps": config.num_steps,
        "scores": by_step,
        "cpu_seconds": round(time.process_time() - start),
    }


def make_judges() -> dict[str, Any]:
    """Features by the name of the judge."""
    return {
        "mnist_classifier": features.mnist_classifier(),
        "lenet5": digits.lenet(data.load("mnist")),
    }


# ---- times


def milliseconds(names: Iterable[str], channels: int, rounds: int = 3) -> dict[str, float]:
    """Median time of a step of each preset, all taking turns."""
    players = {name: player(name, channels) for name in names}
    times: dict[str, list[float]] = {name: [] for name in players}
    for _ in range(rounds):
        for name, play in players.items():
            times[name].append(play())
    return {name: round(1000 * float(np.median(values)), 2) for name, values in times.items()}


def player(name: str, channels: int, count: int = 16) -> Callable[[], float]:
    """A function that plays some steps, over which lazy penalties average out; seconds of one."""
    config = config_of(name, features=channels)
    experiment = mnist.make(config, config.load_data())
    algorithm = jaxgan.jit(experiment.algorithm)
    key, size = jax.random.key(0), algorithm.num_minibatches
    state = jaxgan.fit(algorithm, experiment.minibatches, key=key, num_steps=count)

    def play() -> float:
        nonlocal state
        jax.block_until_ready(state)
        start = time.perf_counter()
        for i in range(count):
            batches = experiment.minibatches(i * size, size)
            state, _ = algorithm.update(state, batches, key)
        jax.block_until_ready(state)
        return (time.perf_counter() - start) / count

    return play
