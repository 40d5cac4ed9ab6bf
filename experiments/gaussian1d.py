"""A GAN on a one-dimensional Gaussian, after figure 1 of the first GAN paper.

Commands:

    python -m experiments.gaussian1d
    python -m experiments.gaussian1d --loss minimax --discriminator-turns 5

At the equilibrium the generator has the density of the data, and D is 1/2 everywhere. The plots in
`samples/` and the animation `samples.gif` show the densities of the data and of the generator, D,
the optimal discriminator for that generator, `D*(x) = p_data(x) / (p_data(x) + p_generator(x))`,
and below them the map from z to x.

Hardware: a CPU, half a minute.

Reference: Goodfellow et al., *Generative Adversarial Nets*, 2014, figure 1 and proposition 1,
https://arxiv.org/abs/1406.2661.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import tyro

from jaxgan.runs import Experiment, TrainingConfig, flag, main
from jaxgan.runs.training_config import adam, network

if TYPE_CHECKING:
    import numpy as np

    from jaxgan import Game, Network
    from jaxgan.data import Mixture
    from jaxgan.evaluation import Evaluation
    from jaxgan.training import TrainState


@dataclasses.dataclass(frozen=True)
class Config(TrainingConfig):
    """Train a GAN on a one-dimensional Gaussian."""

    data: Literal["gaussian"] = "gaussian"
    """Distribution of the data, with --mean and --std."""
    mean: float = 2.0
    """Mean of the data."""
    std: float = 1.0
    """Standard deviation of the data."""
    num_steps: int = 10_000
    """Total number of training steps."""
    decay_steps: int = flag(10_000, at_least=1)
    """Steps until the learning rates are 0."""
    batch_size: int = 256
    """Points per minibatch, over all devices."""
    loss: Literal["minimax", "non_saturating"] = "non_saturating"
    """Adversarial loss of the players."""
    r1: float = 0.3
    """Weight gamma of the R1 penalty on D; 0 for none, as in the paper."""
    discriminator_turns: int = 1
    """Discriminator turns per step, the k of the paper."""
    learning_rate: float = flag(2e-3, at_least=0.0)
    """Initial learning rate of Adam for both players."""
    b1: float = 0.0
    """Decay rate b1 of Adam."""
    b2: float = 0.99
    """Decay rate b2 of Adam."""
    lr_decay: Literal["none", "linear", "cosine"] = "cosine"
    """Decay of the learning rates to 0."""
    ema: float = 0.999
    """Decay of the moving average of the generator, used for sampling, after a warm-up."""
    scan_steps: Annotated[int, tyro.conf.arg(aliases=["--scan-rounds"])] = 20
    """Steps per compiled call; the networks are so small that dispatch would dominate."""
    log_every: int = 100
    """Steps between logged metrics."""
    sample_every: int = 200
    """Steps between plots."""
    checkpoint_every: int = 5000
    """Steps between checkpoints."""

    def load_data(self) -> Mixture:
        """The mixture, whose points are sampled."""
        from jaxgan import data

        return data.gaussian(self.mean, self.std)

    def blank_data(self, record: Mapping[str, Any]) -> Mixture:
        """The mixture itself: there are no files that could be missing."""
        return self.load_data()


class Densities(NamedTuple):
    """Curves of the plot, on a grid of x."""

    x: np.ndarray
    data: np.ndarray
    generator: np.ndarray
    discriminator: np.ndarray
    optimal: np.ndarray


def make(config: Config, mixture: Mixture) -> Experiment:
    """Game, training algorithm and data."""
    import numpy as np

    import jaxgan
    from jaxgan import data, schedules

    game, generator, discriminator = make_game(config)
    k = config.discriminator_turns
    optimizer = lambda turns: adam(
        config, config.learning_rate, decay_steps=config.decay_steps, turns=turns
    )
    algorithm = jaxgan.alternating(
        game,
        {"discriminator": optimizer(k), "generator": optimizer(1)},
        turns=[*k * ["discriminator"], "generator"],
        ema={"generator": schedules.ema_warmup(config.ema)},
        accumulate=config.accumulate,
    )
    return Experiment(
        game=game,
        algorithm=algorithm,
        scan_steps=config.scan_steps,
        minibatches=data.sampled_minibatches(
            mixture.sample, batch_size=config.batch_size, seed=config.seed
        ),
        sample_batch=lambda n: {"image": np.zeros((n, 1), np.float32)},
        data={
            "name": mixture.name,
            "source": f"a Gaussian with mean {config.mean} and standard deviation {config.std}",
            "fingerprint": mixture.fingerprint,
        },
        evaluation=make_evaluation(mixture),
        draw=plot_densities(game, generator, discriminator, mixture),
    )


def make_game(config: Config) -> tuple[Game, Network, Network]:
    """The game, its generator and its discriminator."""
    import jax

    import jaxgan
    from jaxgan import latents, losses, networks, penalties

    generator = network(config, networks.MLP((64, 64), output_shape=(1,), activation=jax.nn.relu))
    discriminator = network(config, networks.MLP((64, 64)))
    game = jaxgan.gan(
        generator,
        discriminator,
        latent=latents.uniform(1),
        loss=getattr(losses, config.loss)(),
        penalty=penalties.weighted((config.r1, penalties.r1)) if config.r1 else None,
    )
    return game, generator, discriminator


def make_evaluation(mixture: Mixture) -> Evaluation:
    """Mean and standard deviation of the samples, and their distance from fresh data."""
    import jax
    import numpy as np

    from jaxgan import metrics
    from jaxgan.evaluation import Evaluation

    def compute(real: np.ndarray, generated: np.ndarray) -> metrics.Records:
        n, std = len(generated), float(generated.std())
        return {
            "mean": metrics.MetricRecord(
                "mean", float(generated.mean()), std / np.sqrt(n), num_generated=n
            ),
            "std": metrics.MetricRecord("std", std, std / np.sqrt(2 * n), num_generated=n),
        }

    real, others = (mixture.sample(jax.random.key(seed), 10_000) for seed in (1, 2))
    return Evaluation(
        {
            "moments": metrics.collecting(compute, features=metrics.RAW, min_real=0),
            "swd": metrics.sliced_wasserstein(num_projections=1),
        },
        {"image": real},
        split="fresh draws",
        others={"image": others},
        best="swd_pixels",
    )


def densities(game: Game, discriminator: Network, mixture: Mixture, state: TrainState) -> Densities:
    """Both densities, D, and the optimal D for this generator, on a grid of x.

    The generator's density is a kernel estimate from 50 000 samples.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np
    from scipy.stats import gaussian_kde

    from jaxgan import with_ema

    batch = {"image": jnp.zeros((50_000, 1))}
    samples = game.sample(*with_ema(state), batch, jax.random.key(0))
    centre, reach = float(mixture.centres[0, 0]), 4.0 * mixture.std
    x = np.linspace(centre - reach, centre + reach, 401)
    own, model_state = state.params["discriminator"], state.model_state["discriminator"]
    logits, _ = discriminator.apply(
        own, model_state, jnp.asarray(x[:, None], jnp.float32), train=False
    )
    data = np.exp(mixture.log_density(x[:, None]))
    generated = gaussian_kde(np.asarray(samples)[:, 0])(x)
    optimal = data / (data + generated)
    return Densities(x, data, generated, np.asarray(jax.nn.sigmoid(logits)), optimal)


def gap(curves: Densities) -> float:
    """Mean of |D(x) - 1/2| under the density of the data."""
    import numpy as np

    return float(np.average(np.abs(curves.discriminator - 0.5), weights=curves.data))


def plot_densities(game: Game, generator: Network, discriminator: Network, mixture: Mixture):
    """Plots the densities, D and the optimal D, and below them the map from z to x."""

    def draw(path: Path, state: TrainState) -> None:
        import jax.numpy as jnp
        import numpy as np
        from matplotlib.figure import Figure

        from jaxgan import with_ema
        from jaxgan.parallel import multihost

        state = multihost.to_host(state)
        if not multihost.is_main():
            return
        curves = densities(game, discriminator, mixture, state)
        z = np.linspace(-1.0, 1.0, 41)
        own, model_state = (by_player["generator"] for by_player in with_ema(state))
        x, _ = generator.apply(own, model_state, jnp.asarray(z[:, None], jnp.float32), train=False)
        low, high = curves.x[0], curves.x[-1]
        figure = Figure(figsize=(7, 5), layout="constrained")
        top, bottom = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        top.plot(curves.x, curves.data, "k:", label="data")
        top.plot(curves.x, curves.generator, color="tab:green", label="generator")
        top.plot(curves.x, curves.discriminator, "--", color="tab:blue", label="D(x)")
        top.plot(curves.x, curves.optimal, color="tab:blue", alpha=0.3, label="optimal D(x)")
        top.axhline(0.5, color="grey", linewidth=0.5)
        top.set(ylim=(0.0, 1.0), ylabel="density, probability")
        top.set_title(f"step {int(state.step)}: mean |D(x) - 1/2| over the data {gap(curves):.3f}")
        top.legend(loc="upper right", fontsize="small")
        starts = low + (z + 1.0) / 2.0 * (high - low)
        bottom.plot([starts, np.asarray(x)[:, 0]], [0, 1], color="grey", linewidth=0.7)
        bottom.set(xlim=(low, high), ylim=(0, 1), yticks=[0, 1], yticklabels=["z", "x"])
        figure.savefig(path, dpi=90)

    return draw


if __name__ == "__main__":
    main(Config, make)
