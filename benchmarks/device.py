"""Throughput of the GAN training step on a device: steps and images per second, FLOP/s, memory.

    python -m benchmarks.device
    python -m benchmarks.device --size mnist cifar10 --dtype bfloat16

DCGANs for MNIST (28 x 28 x 1), CIFAR-10 (32 x 32 x 3) and 128 x 128 x 3 images, each in float32 and
in bfloat16, on random images in device memory. The peak is the measured rate of a large matrix
product in the same dtype; the floating-point operations of a step are those that XLA counts in the
compiled program.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
import tyro

import jaxgan
from jaxgan import latents, networks

SIZES = {  # image shape, features, examples per step
    "mnist": ((28, 28, 1), 64, 256),
    "cifar10": ((32, 32, 3), 128, 256),
    "128px": ((128, 128, 3), 64, 64),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Print the throughput of the GAN training step, one row per image size and dtype."""

    size: tuple[Literal["mnist", "cifar10", "128px"], ...] = ("mnist", "cifar10", "128px")
    """Image sizes of the DCGANs."""
    dtype: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
    """Dtypes in which the networks compute; parameters are float32."""
    repeats: int = 5
    """Number of timings of each, of which the median is reported."""
    seconds: float = 2.0
    """Minimum total time of the timings of each, in seconds."""
    batch_size: int | None = None
    """Examples per step; default: 256, 256 and 64 for the three sizes."""


def main(config: Config) -> None:
    """Prints the table, each row as soon as it is measured."""
    device = jax.devices()[0]
    print(f"{device.device_kind}, jax {jax.__version__}\n")
    print("| images | dtype | batch | steps/s | images/s | TFLOP/s | of peak | peak GB |")
    print("|---|---|---|---|---|---|---|---|")
    for dtype in config.dtype:
        peak = matmul_rate(jnp.dtype(dtype), config)
        for size in config.size:
            shape, features, batch = SIZES[size]
            batch = config.batch_size or batch
            seconds, flops = step_time(shape, features, batch, jnp.dtype(dtype), config)
            rate, memory = flops / seconds, (device.memory_stats() or {}).get("peak_bytes_in_use")
            cells = [
                size, dtype, batch, f"{1 / seconds:.2f}", f"{batch / seconds:.0f}",
                f"{rate / 1e12:.2f}", f"{rate / peak:.0%}",
                "unknown" if memory is None else f"{memory / 2**30:.2f}",
            ]  # fmt: skip
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def step_time(
    shape: tuple[int, int, int], features: int, batch: int, dtype: Any, config: Config
) -> tuple[float, float]:
    """Seconds per step, and floating-point operations per step as counted by XLA."""
    game = jaxgan.gan(
        jaxgan.from_linen(networks.DCGANGenerator(shape, features, dtype=dtype)),
        jaxgan.from_linen(networks.DCGANDiscriminator(features, dtype=dtype)),
        latent=latents.normal(128),
    )
    adam = optax.adam(2e-4, b1=0.5)
    plain = jaxgan.alternating(game, {"discriminator": adam, "generator": adam})
    algorithm, key = jaxgan.jit(plain), jax.random.key(0)
    batches = {"image": jax.random.uniform(key, (1, batch, *shape), minval=-1.0)}
    state = algorithm.init(key, {"image": batches["image"][0]})
    program = jax.jit(plain.update, donate_argnums=0).lower(state, batches, key).compile()
    held = [state]

    def run() -> Any:
        held[0], _ = program(held[0], batches, key)
        return held[0].step

    return median_seconds(run, config), float(program.cost_analysis()["flops"])


def matmul_rate(dtype: Any, config: Config) -> float:
    """Floating-point operations per second of a square matrix product."""
    n = 8192 if jax.default_backend() != "cpu" else 2048
    matrix = jax.random.normal(jax.random.key(0), (n, n)).astype(dtype)
    product = jax.jit(lambda a: a @ a)
    return 2.0 * n**3 / median_seconds(lambda: product(matrix), config)


def median_seconds(run: Callable[[], Any], config: Config) -> float:
    """Median time per call in seconds, over calls dispatched without waiting in between."""
    jax.block_until_ready(run())
    start = time.perf_counter()
    jax.block_until_ready(run())
    once = time.perf_counter() - start
    count, times = max(1, round(config.seconds / config.repeats / once)), []
    for _ in range(config.repeats):
        start = time.perf_counter()
        for _ in range(count):
            last = run()
        jax.block_until_ready(last)
        times.append((time.perf_counter() - start) / count)
    return statistics.median(times)


if __name__ == "__main__":
    main(tyro.cli(Config))
