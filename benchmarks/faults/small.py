"""A run with all that runs have, on a GAN so small that a step takes less than a millisecond.

    python -m benchmarks.faults.small --run-dir DIR --num-steps 1000

It can be made to diverge or to collapse at a step. Once the learning rates were halved by a
rollback, it no longer diverges.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from jaxgan.runs import Experiment, TrainingConfig, main
from jaxgan.runs.config.training_config import adam, frozen

SHAPE = (4, 4, 1)


@dataclasses.dataclass(frozen=True)
class Config(TrainingConfig):
    """Train a tiny GAN on random images."""

    diverge_at: int = 0
    """Step in which it diverges; 0 for none."""
    diverge: Literal["loss", "gradient"] = "loss"
    """What is NaN: the generator's loss, or a gradient of it where the loss is finite."""
    collapse_at: int = 0
    """Step from which on all samples become one; 0 for none."""
    batch_size: int = 8
    """Examples per minibatch."""
    evaluate_samples: int | None = 64
    """Number of samples per evaluation."""
    learning_rate: float = 1e-2
    """Learning rate of both players."""

    def load_data(self) -> np.ndarray:
        """Random images."""
        return np.random.default_rng(0).integers(0, 256, (64, *SHAPE), np.uint8)

    def blank_data(self, record: Mapping[str, Any]) -> np.ndarray:
        """Black images."""
        return np.zeros((64, *SHAPE), np.uint8)


def make(config: Config, images: np.ndarray) -> Experiment:
    """Game, algorithm and data."""
    import jaxgan
    from jaxgan import data, metrics

    game = rigged(config)
    optimizer = adam(config, config.learning_rate, decay_steps=1)
    examples = {"image": images}
    return Experiment(
        game=game,
        algorithm=jaxgan.alternating(
            game,
            frozen(config, {"discriminator": optimizer, "generator": optimizer}),
            ema={"generator": 0.9},
        ),
        minibatches=data.minibatches(examples, batch_size=config.batch_size, seed=config.seed),
        sample_batch=lambda n: {"image": np.zeros((n, *SHAPE), np.float32)},
        data={"name": "noise", "source": "random", "fingerprint": "noise"},
        evaluation=jaxgan.Evaluation(
            {"fid": metrics.frechet_distance(metrics.PIXELS)}, examples, best="fid_pixels"
        ),
    )


def rigged(config: Config) -> Any:
    """A GAN whose generator's loss has a term of its own in the steps of the config."""
    import jax
    import jax.numpy as jnp

    import jaxgan
    from jaxgan import latents

    def linear(key, x, *_):
        return {"w": jax.random.normal(key, (x.shape[1:][0], 16))}, {}

    generator = jaxgan.Network(
        linear,
        lambda params, state, z, key=None, train=False: (
            jnp.tanh(z @ params["w"]).reshape(-1, *SHAPE),
            state,
        ),
    )
    discriminator = jaxgan.Network(
        lambda key, x: ({"w": 0.1 * jax.random.normal(key, (16,))}, {}),
        lambda params, state, x, key=None, train=False: (
            x.reshape(-1, 16) @ params["w"],
            state,
        ),
    )
    game = jaxgan.gan(generator, discriminator, latent=latents.normal(4))
    plain = game.losses["generator"]

    def loss(params, model_state, batch, key, step):
        value, aux = plain(params, model_state, batch, key, step)
        weights = params["generator"]["w"]
        if config.diverge_at and config.lr_scale == 1:
            bad = {"loss": lambda w: jnp.nan * w.sum(), "gradient": lambda w: jnp.sqrt(0 * w.sum())}
            now = step + 1 == config.diverge_at
            value += jax.lax.cond(now, bad[config.diverge], lambda w: 0 * w.sum(), weights)
        if config.collapse_at:
            value += jnp.where(step >= config.collapse_at, 1e3, 0.0) * jnp.sum(weights**2)
        return value, aux

    return game._replace(losses={**game.losses, "generator": loss})


if __name__ == "__main__":
    main(Config, make)
