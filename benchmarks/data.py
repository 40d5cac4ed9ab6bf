"""Throughput of the input pipeline, in images per second, against that of the training step.

    python -m benchmarks.data

The input pipeline is `data.minibatches`, from host or device memory, of `uint8` or `float32`
images, including the transfer to the device. The training step is that of the workloads W1, W2 and
W3 in benchmarks/workloads.py; its throughput is the batch size over the time of a step.
"""

import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np
import tyro

from jaxgan.runs.command_line import xla_flags

SECONDS = 2.0
NUM_EXAMPLES = {"W1": 60_000, "W2": 60_000, "W3": 20_000}


def main(workload: tuple[str, ...] = ("W1", "W2", "W3")) -> None:
    """Print the throughput of the input pipeline and of the training step, one row per workload.

    Args:
      workload: workloads, from W1, W2, W3.
    """
    xla_flags.set_flags()
    from benchmarks.step import print_row
    from benchmarks.workloads import OURS, WORKLOADS, make_step

    sources = ["host, uint8", "host, float32", "device, uint8"]
    print_row("workload", "step, images/s", *sources, "slowest / step")
    print_row(*["---"] * (3 + len(sources)))
    for name in workload:
        shape, batch = WORKLOADS[name].image, WORKLOADS[name].batch
        images = np.random.default_rng(0).integers(0, 256, (NUM_EXAMPLES[name], *shape), np.uint8)
        step, _ = make_step(WORKLOADS[name], OURS)
        consumed = batch / seconds(lambda _, step=step: step())
        supplied = [
            batch / seconds(load)
            for load in (
                fetch(images, batch),
                fetch(images.astype(np.float32) / 127.5 - 1.0, batch),
                fetch(images, batch, on_device=True),
            )
        ]
        print_row(
            name,
            f"{consumed:.0f}",
            *(f"{x:.0f}" for x in supplied),
            f"{min(supplied) / consumed:.0f}x",
        )


def fetch(images: np.ndarray, batch: int, *, on_device: bool = False) -> Callable[[int], None]:
    """Loader `index -> None`, which waits until the minibatch of that index is on the device."""
    import jax

    from jaxgan import data

    minibatches = data.minibatches({"image": images}, batch_size=batch, on_device=on_device)
    return lambda index: jax.block_until_ready(jax.device_put(minibatches(index, 1)))


def seconds(call: Callable[[int], object]) -> float:
    """Median time of a call in seconds, after two warm-up calls."""
    times = []
    end = float("inf")
    for index in itertools.count():
        start = time.perf_counter()
        call(index)
        times.append(time.perf_counter() - start)
        if index == 1:
            times, end = [], time.perf_counter() + SECONDS
        if times and time.perf_counter() > end:
            return statistics.median(times)


if __name__ == "__main__":
    tyro.cli(main)
