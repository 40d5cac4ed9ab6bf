"""A GAN on a one-dimensional Gaussian, after figure 1 of the first GAN paper.

Commands:

    python -m experiments.gaussian1d
    python -m experiments.gaussian1d --loss minimax --discriminator-turns 5

At the equilibrium the generator has the density of the data, and D is 1/2 everywhere. `stages.png`
has four stages of training side by side, as in the figure of the paper: the densities of the data
and of the generator, D, the optimal discriminator for that generator,
`D*(x) = p_data(x) / (p_data(x) + p_generator(x))`, and below them the map from z to x. `samples/`
has the plot and the curves of every stage, `samples.gif` the animation.

Hardware: a CPU, a minute of one core, 35 seconds of which train. Results are in docs/results.md. On
the way the generator still overshoots: plots after a fifth of the steps can be worse than
earlier ones.

Choice of the defaults, from single runs that differ in more than one setting: ReLU networks left
the optimal D off by 0.09 to 0.15; with tanh networks and a learning rate of D that fades as the
generator's does, three seeds of 10 000 steps were off by 0.03 to 0.09; with a constant R1 weight
and 6000 steps, one seed of three missed a tail. The minibatches are quasi-random because a random
one of 512 points has one or two beyond 3 standard deviations, or none.

Reference: Goodfellow et al., *Generative Adversarial Nets*, 2014, figure 1 and proposition 1,
https://arxiv.org/abs/1406.2661.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from jaxgan.runs import Experiment, TrainingConfig, flag, main
from jaxgan.runs.config.training_config import adam, frozen, network

if TYPE_CHECKING:
    import numpy as np

    from jaxgan import Game, Network
    from jaxgan.data import Mixture
    from jaxgan.evaluation import Evaluation
    from jaxgan.types import Array, PRNGKey


@dataclasses.dataclass(frozen=True)
class Config(TrainingConfig):
    """Train a GAN on a one-dimensional Gaussian."""

    data: Literal["gaussian"] = "gaussian"
    """Distribution of the data, with --mean and --std."""
    mean: float = 2.0
    """Mean of the data."""
    std: float = flag(1.0, at_least=1e-3)
    """Standard deviation of the data."""
    num_steps: int = 10_000
    """Total number of training steps."""
    decay_steps: int = flag(10_000, at_least=1)
    """Steps until the generator's learning rate is 0 and the R1 weight is --r1-last."""
    batch_size: int = 512
    """Points per minibatch, over all devices."""
    loss: Literal["minimax", "non_saturating"] = "non_saturating"
    """Adversarial loss of the players."""
    r1: float = flag(1.0, at_least=0.0)
    """Initial weight gamma of the R1 penalty on D; 0 for none, as in the paper."""
    r1_last: float = flag(0.03, at_least=0.0)
    """Weight of the R1 penalty after its exponential decay."""
    discriminator_turns: int = flag(1, at_least=1)
    """Discriminator turns per step, the k of the paper."""
    discriminator_lr: float = flag(2e-3, at_least=0.0)
    """Learning rate of Adam for the discriminator, which does not decay."""
    generator_lr: float = flag(1e-3, at_least=0.0)
    """Initial learning rate of Adam for the generator."""
    b1: float = 0.0
    """Decay rate b1 of Adam."""
    b2: float = 0.99
    """Decay rate b2 of Adam."""
    lr_decay: Literal["none", "linear", "cosine"] = "cosine"
    """Decay of the generator's learning rate to 0."""
    ema: float = 0.999
    """Decay of the moving averages of both players, for samples and plots, after a warm-up."""
    scan_steps: int = 20
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


def make(config: Config, mixture: Mixture) -> Experiment:
    """Game, training algorithm and data."""
    import numpy as np

    import jaxgan
    from jaxgan import data, schedules
    from jaxgan.experiments import density_curves

    game, discriminator = make_game(config)
    k, steps = config.discriminator_turns, config.decay_steps
    constant = dataclasses.replace(config, lr_decay="none")
    optimizers = {
        "discriminator": adam(constant, config.discriminator_lr, decay_steps=steps, turns=k),
        "generator": adam(config, config.generator_lr, decay_steps=steps),
    }
    algorithm = jaxgan.alternating(
        game,
        frozen(config, optimizers),
        turns=[*k * ["discriminator"], "generator"],
        ema=dict.fromkeys(game.losses, schedules.ema_warmup(config.ema)),
        accumulate=config.accumulate,
    )
    return Experiment(
        game=game,
        algorithm=algorithm,
        scan_steps=config.scan_steps,
        minibatches=data.sampled_minibatches(
            lambda key, n: config.mean + config.std * quasi_normal(key, n),
            batch_size=config.batch_size,
            seed=config.seed,
        ),
        sample_batch=lambda n: {"image": np.zeros((n, 1), np.float32)},
        data={
            "name": mixture.name,
            "source": f"a Gaussian with mean {config.mean} and standard deviation {config.std}",
            "fingerprint": mixture.fingerprint,
        },
        evaluation=make_evaluation(game, mixture),
        draw=density_curves.plot_curves(game, discriminator, mixture, last=config.num_steps),
    )


def make_game(config: Config) -> tuple[Game, Network]:
    """The game and its discriminator; it trains on quasi-random latents and samples random ones."""
    import jax.numpy as jnp
    from jaxgan.experiments.mixture import fading_r1

    import jaxgan
    from jaxgan import latents, losses, networks

    generator = network(config, networks.MLP((64, 64), output_shape=(1,), activation=jnp.tanh))
    discriminator = network(config, networks.MLP((128, 128), activation=jnp.tanh))
    r1 = (config.r1, config.r1_last, config.decay_steps)
    game_with = lambda latent: jaxgan.gan(
        generator,
        discriminator,
        latent=latent,
        loss=getattr(losses, config.loss)(),
        penalty=fading_r1(*r1) if config.r1 else None,
    )
    random = game_with(latents.normal(1))
    trained = game_with(quasi_normal)
    return trained._replace(sample=random.sample, prior=random.prior), discriminator


def quasi_normal(key: PRNGKey, n: int) -> Array:
    """Quasi-random standard normal sample, `[n, 1]`.

    Row i is the quantile at `u + i (sqrt(5) - 1) / 2 mod 1`, with one random u per key: each row is
    exactly normal, and together they are spread nearly as evenly as n quantiles (Kronecker's
    sequence with a random shift). A minibatch of them has the moments, and the share of points in
    a tail, of the distribution, up to O(log n / n) instead of O(1 / sqrt(n)).
    """
    import jax
    import jax.numpy as jnp

    from jaxgan.parallel import axis

    golden = jnp.uint32(2654435769)  # 2^32 (sqrt(5) - 1) / 2: integers wrap, and lose no bits
    shifted = jax.random.bits(key) + golden * axis.global_rows(n).astype(jnp.uint32)
    u = ((shifted >> 9).astype(jnp.float32) + 0.5) * 2.0**-23
    return jax.scipy.stats.norm.ppf(u)[:, None]


def make_evaluation(game: Game, mixture: Mixture) -> Evaluation:
    """Distances of 10 000 random samples from the data, and the gap of the optimal D."""
    import jax
    import numpy as np
    from jaxgan.experiments.density_curves import QUANTILES, optimal_gap, quantiles
    from scipy.stats import ks_1samp, norm

    from jaxgan import metrics
    from jaxgan.evaluation import Evaluation

    def compute(real: np.ndarray, generated: np.ndarray) -> metrics.Records:
        n, std = len(generated), float(generated.std())
        mean, cdf = float(generated.mean()), norm(mixture.centers[0, 0], mixture.std).cdf
        ks = float(ks_1samp(generated[:, 0], cdf).statistic)
        return {
            "mean": metrics.MetricRecord("mean", mean, std / np.sqrt(n), num_generated=n),
            "std": metrics.MetricRecord("std", std, std / np.sqrt(2 * n), num_generated=n),
            "ks": metrics.MetricRecord("ks", ks, num_generated=n),
        }

    def compute_gap(real: np.ndarray, generated: np.ndarray) -> metrics.Records:
        value = optimal_gap(mixture, generated)
        return {"optimal_gap": metrics.MetricRecord("optimal_gap", value, num_generated=QUANTILES)}

    collected = lambda compute: metrics.collecting(compute, features=metrics.RAW, min_real=0)
    real, others = (mixture.sample(jax.random.key(seed), 10_000) for seed in (1, 2))
    of_quantiles = Evaluation(
        {"optimal_gap": collected(compute_gap)},
        {"z": quantiles(QUANTILES)},
        target="z",
        split="quantiles of the prior",
        sample=lambda params, model_state, batch, key: game.decode(params, model_state, batch["z"]),
    )
    return Evaluation(
        {
            "moments": collected(compute),
            "swd": metrics.sliced_wasserstein(num_projections=1),
        },
        {"image": real},
        split="fresh draws",
        others={"image": others},
        best="ks",
        parts={"quantiles": of_quantiles},
    )


if __name__ == "__main__":
    main(Config, make)
