"""Memory of a training step, with accumulated gradients and rematerialised activations.

    python -m benchmarks.memory
    python -m benchmarks.memory --workload dcgan --accumulate 1 4 --seconds 5

Compiles the update for this machine's device and prints the memory that the compiler reserves for
it beside the state, the batch and the results. The batch of a step is the same in every row: with
`accumulate` 4 it is four minibatches of a quarter. With `--seconds`, steps are timed, too.
"""

import dataclasses
import time
from typing import TYPE_CHECKING, Any, Literal

import tyro

from jaxgan.runs.command_line import xla_flags

if TYPE_CHECKING:
    from jaxgan import Game


@dataclasses.dataclass(frozen=True)
class Config:
    """Print the memory of training steps."""

    workload: tuple[Literal["dcgan", "unet"], ...] = ("dcgan", "unet")
    """dcgan: 64 x 64 pixels, 64 features. unet: pix2pix at 128 x 128 pixels, 64 features."""
    accumulate: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of minibatches in a step."""
    batch: int = 64
    """Examples in a step of the DCGAN; the U-Net has a quarter of them."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Dtype in which the networks compute."""
    seconds: float = 0.0
    """Time to measure steps for; 0 to compile only."""


def main(config: Config) -> None:
    """Prints a table, one row per workload, number of minibatches and rematerialisation."""
    xla_flags.set_flags()
    from benchmarks.step import print_row

    print_row("workload", "accumulate", "remat", "temporaries MiB", "step ms")
    print_row(*["---"] * 5)
    for workload in config.workload:
        for remat in (False, True):
            for accumulate in config.accumulate:
                size, milliseconds = measure(config, workload, accumulate, remat)
                print_row(
                    workload,
                    str(accumulate),
                    "yes" if remat else "no",
                    f"{size / 2**20:.0f}",
                    f"{milliseconds:.0f}" if config.seconds else "-",
                )


def measure(config: Config, workload: str, accumulate: int, remat: bool) -> tuple[int, float]:
    """Bytes of temporaries, and milliseconds per step, or 0."""
    import jax
    import optax

    import jaxgan

    game, batch = make_game(config, workload, remat)
    adam = optax.adam(2e-4, b1=0.5)
    algorithm = jaxgan.alternating(game, dict.fromkeys(game.losses, adam), accumulate=accumulate)
    batches = {
        name: jax.ShapeDtypeStruct((accumulate, len(x) // accumulate, *x.shape[1:]), x.dtype)
        for name, x in batch.items()
    }
    key = jax.random.key(0)
    state = jax.eval_shape(algorithm.init, key, batch)
    update = jax.jit(algorithm.update, donate_argnums=0).lower(state, batches, key).compile()
    temporaries = update.memory_analysis().temp_size_in_bytes
    if not config.seconds:
        return temporaries, 0.0
    state = jax.jit(algorithm.init)(key, batch)
    batches = {name: x.reshape(batches[name].shape) for name, x in batch.items()}
    return temporaries, 1e3 * seconds_per_step(update, state, batches, key, config.seconds)


def make_game(config: Config, workload: str, remat: bool) -> "tuple[Game, dict[str, Any]]":
    """The game, and the batch of a step."""
    import numpy as np

    import jaxgan
    from jaxgan import latents, networks

    def network(module: Any) -> jaxgan.Network:
        made = networks.from_linen(module, dtype=config.dtype)
        return networks.remat(made) if remat else made

    if workload == "dcgan":
        game = jaxgan.gan(
            network(networks.DCGANGenerator((64, 64, 3))),
            network(networks.DCGANDiscriminator()),
            latent=latents.normal(100),
        )
        return game, {"image": np.zeros((config.batch, 64, 64, 3), np.float32)}
    game = jaxgan.pix2pix(
        network(networks.UNetGenerator(norm="instance")),
        network(networks.PatchDiscriminator(norm="instance")),
    )
    images = np.zeros((config.batch // 4, 128, 128, 3), np.float32)
    return game, {"source": images, "target": images}


def seconds_per_step(update: Any, state: Any, batches: Any, key: Any, seconds: float) -> float:
    """Median time of a step, after the first."""
    import jax
    import numpy as np

    times: list[float] = []
    while len(times) < 4 or sum(times) < seconds:
        start = time.perf_counter()
        state, _ = jax.block_until_ready(update(state, batches, key))
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


if __name__ == "__main__":
    main(tyro.cli(Config))
