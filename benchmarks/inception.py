"""Images a second of Inception's features, in jaxgan and in PyTorch.

    python -m benchmarks.inception

Both networks have random weights, and are timed in interleaved blocks, so that other load on the
machine affects both; the result is the median. The comparison needs PyTorch:
`pip install torch==2.13.0` (any CPU build).
"""

import dataclasses
import importlib.util
import statistics
from collections.abc import Callable
from typing import Any

import tyro

from benchmarks import step
from jaxgan.runs.command_line import xla_flags

SIDE = 299
Forward = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Config:
    """Time Inception's features in jaxgan and in PyTorch, interleaved."""

    batch_size: int = 32
    """Number of images at once."""
    repeats: int = 7
    """Number of timed blocks per implementation."""
    seconds: float = 2.0
    """Minimum duration of a block, which has at least one batch."""


def main(config: Config) -> None:
    """Prints a table, one row per implementation."""
    xla_flags.set_flags()
    forwards = {"jaxgan": ours(config.batch_size)}
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: no comparison; pip install torch==2.13.0")
    else:
        forwards |= torchs(config.batch_size)
    times = step.interleaved(forwards, step.Config(repeats=config.repeats, seconds=config.seconds))
    step.print_row(f"Inception, batches of {config.batch_size}", "images a second")
    step.print_row("---", "---")
    for name, seconds in times.items():
        step.print_row(name, f"{config.batch_size / statistics.median(seconds):.1f}")


def ours(batch_size: int) -> Forward:
    """Features of a batch, as `features.inception` computes them."""
    import jax
    import jax.numpy as jnp

    from jaxgan import networks

    network = networks.from_linen(networks.InceptionV3())
    images = jnp.full((batch_size, SIDE, SIDE, 3), 0.5)
    variables = jax.jit(network.init)(jax.random.key(0), images[:1])
    apply = jax.jit(lambda variables, x: network.apply(*variables, x, train=False)[0])
    return lambda: jax.block_until_ready(apply(variables, images))


def torchs(batch_size: int) -> dict[str, Forward]:
    """Features of a batch by PyTorch, in the forms that one would try."""
    import torch

    from benchmarks.torch_inception import inception

    images = torch.full((batch_size, 3, SIDE, SIDE), 0.5)
    last = inception().to(memory_format=torch.channels_last)
    of_last = images.to(memory_format=torch.channels_last)

    def forward(network: Any, x: Any) -> Forward:
        def apply() -> None:
            with torch.inference_mode():
                network(x)

        return apply

    return {
        "PyTorch": forward(inception(), images),
        "PyTorch, channels last": forward(last, of_last),
        "PyTorch, channels last, compiled": forward(torch.compile(last), of_last),
    }


if __name__ == "__main__":
    main(tyro.cli(Config))
