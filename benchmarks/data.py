"""How many images a second each way of feeding brings, against what a training step eats.

    python -m benchmarks.data

Feeding is `data.minibatches`, from host memory and from the device's, of bytes and of floats, with
the transfer to the device. The appetite is the batch size over the time of a step, of the workloads
W1, W2 and W3 in benchmarks/workloads.py.
"""

import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np
import tyro

from jaxgan.runs import xla_flags

SECONDS = 2.0
NUM_EXAMPLES = {"W1": 60_000, "W2": 60_000, "W3": 20_000}


def main(workload: tuple[str, ...] = ("W1", "W2", "W3")) -> None:
    """Prints a table, a row per workload.

    Args:
      workload: which of W1, W2, W3.
    """
    xla_flags.set_flags()
    from benchmarks.step import print_row
    from benchmarks.workloads import OURS, WORKLOADS, make_step

    ways = ["host, bytes", "host, float32", "device, bytes"]
    print_row("workload", "images/s eaten", *ways, "slowest feeds")
    print_row(*["---"] * (3 + len(ways)))
    for name in workload:
        shape, batch = WORKLOADS[name].image, WORKLOADS[name].batch
        images = np.random.default_rng(0).integers(0, 256, (NUM_EXAMPLES[name], *shape), np.uint8)
        step, _ = make_step(WORKLOADS[name], OURS)
        eaten = batch / seconds(lambda _, step=step: step())
        fed = [
            batch / seconds(draw)
            for draw in (
                fetch(images, batch),
                fetch(images.astype(np.float32) / 127.5 - 1.0, batch),
                fetch(images, batch, on_device=True),
            )
        ]
        print_row(name, f"{eaten:.0f}", *(f"{x:.0f}" for x in fed), f"{min(fed) / eaten:.0f}x")


def fetch(images: np.ndarray, batch: int, *, on_device: bool = False) -> Callable[[int], None]:
    """`number -> None`: a minibatch, ready on the device."""
    import jax

    from jaxgan import data

    draw = data.minibatches({"image": images}, batch_size=batch, on_device=on_device)
    return lambda number: jax.block_until_ready(jax.device_put(draw(number, 1)))


def seconds(call: Callable[[int], object]) -> float:
    """Median seconds of a call, after two that warm up."""
    times = []
    end = float("inf")
    for number in itertools.count():
        start = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - start)
        if number == 1:
            times, end = [], time.perf_counter() + SECONDS
        if times and time.perf_counter() > end:
            return statistics.median(times)


if __name__ == "__main__":
    tyro.cli(main)
