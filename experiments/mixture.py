"""A GAN on mixtures of Gaussians in the plane, evaluated by mode coverage.

Commands:

    python -m experiments.mixture
    python -m experiments.mixture --data grid
    python -m experiments.mixture --data swiss_roll --run-dir runs/swiss_roll
    python -m experiments.mixture --data ring --r1 0 --run-dir runs/without_r1
    python -m experiments.mixture --algorithm unrolled --run-dir runs/unrolled

Hardware: a CPU, half a minute to a minute. The ring, the grid, their 2500 samples and their metrics
are those of Lin et al., *PacGAN*, 2018, https://arxiv.org/abs/1712.04086, table 1; the networks are
smaller. `python -m benchmarks.published --only ring grid` trains ten seeds of each.

All modes are covered because the R1 penalty is large at first, so that D is smooth while the
generator spreads, and decays by the time that D has to resolve the width of a mode. Without it, a
ring lost modes in one of ten seeds, and a grid lost one to five modes in half of them (10 000
steps, a normal prior). Samples are sharp because the learning rates decay to 0, the generator is
averaged, and the prior is uniform in two dimensions: the boundaries between modes are lines there,
and take up more of the latent space in eight dimensions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jaxgan.errors import RunError
from jaxgan.runs import AlgorithmConfig, Experiment, flag, main
from jaxgan.runs.config.algorithms import optimizer, play
from jaxgan.runs.config.training_config import frozen, learning_rates, network

if TYPE_CHECKING:
    from jaxgan import Game, TrainingAlgorithm
    from jaxgan.data import Mixture
    from jaxgan.evaluation import Evaluation
    from jaxgan.penalties import Penalty
    from jaxgan.training import TrainState


@dataclasses.dataclass(frozen=True)
class Config(AlgorithmConfig):
    """Train a GAN on a mixture of Gaussians in the plane."""

    data: Literal["ring", "grid", "spiral", "swiss_roll"] = "ring"
    """Mixture: eight or 25 Gaussians (ring, grid), or many along a curve."""
    num_steps: int = 20_000
    """Total number of training steps."""
    decay_steps: int = flag(20_000, at_least=1)
    """Steps until the learning rates are 0 and the R1 weight is --r1-last."""
    batch_size: int = 256
    """Points per minibatch, over all devices."""
    features: int = flag(128, at_least=1)
    """Width of the three hidden layers of both networks."""
    r1: float = flag(0.1, at_least=0.0)
    """Initial weight gamma of the R1 penalty; 0 for none."""
    r1_last: float = flag(1e-5, at_least=0.0)
    """Final weight of the R1 penalty."""
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
    scan_steps: int = 20
    """Steps per compiled call; the networks are so small that dispatch would dominate."""
    log_every: int = 200
    """Steps between logged metrics."""
    sample_every: int = 500
    """Steps between plots."""
    checkpoint_every: int = 5000
    """Steps between checkpoints."""
    evaluate_samples: int = 2500
    """Samples per evaluation, as in the paper."""

    def load_data(self) -> Mixture:
        """The mixture, whose points are sampled."""
        from jaxgan import data

        return getattr(data, self.data)()

    def blank_data(self, record: Mapping[str, Any]) -> Mixture:
        """The mixture itself: there are no files that could be missing."""
        return self.load_data()


def make(config: Config, mixture: Mixture) -> Experiment:
    """Game, training algorithm and data."""
    import numpy as np

    from jaxgan import data

    game, algorithm = make_gan(config)
    return Experiment(
        game=game,
        algorithm=algorithm,
        scan_steps=config.scan_steps,
        minibatches=data.sampled_minibatches(
            mixture.sample, batch_size=config.batch_size, seed=config.seed
        ),
        sample_batch=lambda n: {"image": np.zeros((n, 2), np.float32)},
        data={
            "name": mixture.name,
            "source": f"{len(mixture.centers)} Gaussians with standard deviation {mixture.std}",
            "fingerprint": mixture.fingerprint,
        },
        evaluation=make_evaluation(mixture),
        draw=plot_samples(game, mixture),
    )


def make_gan(config: Config) -> tuple[Game, TrainingAlgorithm]:
    """The game, with its networks and penalty, and its training algorithm."""
    import jax

    import jaxgan
    from jaxgan import latents, networks, schedules

    widths = 3 * (config.features,)
    game = jaxgan.gan(
        network(config, networks.MLP(widths, output_shape=(2,), activation=jax.nn.relu)),
        network(config, networks.MLP(widths)),
        latent=latents.uniform(2),
        penalty=fading_r1(config.r1, config.r1_last, config.decay_steps) if config.r1 else None,
    )
    rate = {"learning_rate": config.learning_rate, "decay_steps": config.decay_steps}
    algorithm = play(
        config,
        game,
        frozen(config, dict.fromkeys(game.losses, optimizer(config, **rate))),
        step_size=learning_rates(config, **rate),
        ema={"generator": schedules.ema_warmup(config.ema)},
    )
    return game, algorithm


def fading_r1(r1: float, last: float, decay_steps: int) -> Penalty:
    """R1 penalty whose weight decays exponentially from `r1` to `last`, where it stays."""
    import optax

    from jaxgan import penalties

    if last <= 0.0:
        raise RunError(f"--r1-last is {last}, expected above 0, the limit of an exponential decay")
    weight = optax.exponential_decay(r1, decay_steps, last / r1, end_value=last)
    return penalties.weighted((weight, penalties.r1))


def make_evaluation(mixture: Mixture) -> Evaluation:
    """Sliced Wasserstein distance; and mode coverage, for the ring and the grid."""
    import jax

    from jaxgan import metrics
    from jaxgan.evaluation import Evaluation

    real, others = (mixture.sample(jax.random.key(seed), 2500) for seed in (1, 2))
    distance = {"swd": metrics.sliced_wasserstein()}
    modes = {"modes": metrics.mode_coverage(mixture.centers, mixture.std)}
    has_modes = mixture.name in ("ring", "grid")
    return Evaluation(
        modes | distance if has_modes else distance,
        {"image": real},
        split="fresh draws",
        others={"image": others},
        best="partition_kl" if has_modes else "swd_pixels",
    )


def plot_samples(game: Game, mixture: Mixture):
    """Plots 2500 samples over the density of the data."""
    import jax
    import numpy as np

    from jaxgan import images, with_ema
    from jaxgan.parallel import multihost

    batch = {"image": np.zeros((2500, 2), np.float32)}
    sample = jax.jit(lambda p, state: game.sample(p, state, batch, jax.random.key(0)))
    reach = 1.15 * np.abs(mixture.centers).max()
    line = np.linspace(-reach, reach, 160)
    points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    wide = mixture._replace(std=max(mixture.std, reach / 40))  # so that modes are visible
    density = np.exp(wide.log_density(points)).reshape(160, 160)

    def draw(path: Path, state: TrainState) -> None:
        samples = multihost.to_host(sample(*with_ema(state)))
        if not multihost.is_main():
            return
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 5), layout="constrained")
        ax = figure.subplots()
        ax.imshow(
            density,
            extent=2 * (-reach, reach),
            origin="lower",
            cmap="Blues",
            interpolation="bilinear",
        )
        ax.scatter(*samples.T, s=3, c="tab:red", alpha=0.4, linewidths=0)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), title=f"step {int(state.step)}")
        with images.replacing(path) as part:
            figure.savefig(part, dpi=90)

    return draw


if __name__ == "__main__":
    main(Config, make)
