"""The figure of a GAN on a line: densities, D, and the optimal D for the generator.

Goodfellow et al., *Generative Adversarial Nets*, 2014, figure 1, https://arxiv.org/abs/1406.2661.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from jaxgan import Game, Network
    from jaxgan.data import Mixture
    from jaxgan.training import TrainState

QUANTILES = 10_000  # points of the prior from which the generator's density is computed
BANDWIDTH = 0.08  # of that estimate, in standard deviations of the data
NUM_STAGES = 4


class Curves(NamedTuple):
    """What is plotted of one step: functions of x, and the generator's map."""

    step: int
    x: np.ndarray
    data: np.ndarray
    generator: np.ndarray
    discriminator: np.ndarray
    optimal: np.ndarray
    z: np.ndarray
    mapped: np.ndarray


def quantiles(n: int) -> np.ndarray:
    """The `n` equidistant quantiles of the prior, `[n, 1]`."""
    import numpy as np
    from scipy.stats import norm

    return norm.ppf((np.arange(n) + 0.5) / n)[:, None].astype(np.float32)


def optimal_discriminator(
    mixture: Mixture, outputs: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Densities of the data and of the generator, and the optimal D for them, at x `[n]`.

    The generator's density is a kernel estimate from its outputs at quantiles of the prior, so it
    has no sampling noise.
    """
    import numpy as np
    from scipy.stats import gaussian_kde

    width = BANDWIDTH * mixture.std / float(outputs.std(ddof=1))
    data = np.exp(mixture.log_density(x[:, None]))
    generated = gaussian_kde(np.asarray(outputs, np.float64).ravel(), width)(x)
    return data, generated, data / (data + generated)


def optimal_gap(mixture: Mixture, outputs: np.ndarray) -> float:
    """Largest |D*(x) - 1/2| where the density of the data exceeds 1 % of its maximum."""
    import numpy as np

    reach = np.sqrt(2.0 * np.log(100.0)) * mixture.std
    x = mixture.centers[0, 0] + np.linspace(-reach, reach, 301)
    return float(np.abs(optimal_discriminator(mixture, outputs, x)[2] - 0.5).max())


def curves_of(game: Game, discriminator: Network, mixture: Mixture, state: TrainState) -> Curves:
    """Both densities, D, and the optimal D for this generator, on a grid of x."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxgan import with_ema

    params, model_state = with_ema(state)
    decode = lambda z: np.asarray(game.decode(params, model_state, jnp.asarray(z, jnp.float32)))
    center, reach = float(mixture.centers[0, 0]), 4.0 * mixture.std
    x = np.linspace(center - reach, center + reach, 401)
    own, column = params["discriminator"], jnp.asarray(x[:, None], jnp.float32)
    logits, _ = discriminator.apply(own, model_state["discriminator"], column, train=False)
    data, generated, optimal = optimal_discriminator(mixture, decode(quantiles(QUANTILES)), x)
    z = np.linspace(-3.0, 3.0, 41)
    return Curves(
        step=int(state.step),
        x=x,
        data=data,
        generator=generated,
        discriminator=np.asarray(jax.nn.sigmoid(logits)),
        optimal=optimal,
        z=z,
        mapped=decode(z[:, None])[:, 0],
    )


def gap(curves: Curves) -> float:
    """Mean of |D(x) - 1/2| under the density of the data."""
    import numpy as np

    return float(np.average(np.abs(curves.discriminator - 0.5), weights=curves.data))


def plot_curves(
    game: Game, discriminator: Network, mixture: Mixture, *, last: int
) -> Callable[[Path, TrainState], None]:
    """Plots a step and saves its curves; at the last step, plots the stages of training as well."""

    def draw(path: Path, state: TrainState) -> None:
        import numpy as np

        from jaxgan.parallel import multihost

        state = multihost.to_host(state)
        if not multihost.is_main():
            return
        curves = curves_of(game, discriminator, mixture, state)
        np.savez_compressed(path.with_suffix(".npz"), **curves._asdict())
        plot(path, [curves])
        if curves.step == last:
            plot(path.parent.parent / "stages.png", stages(path.parent))

    return draw


def stages(folder: Path) -> list[Curves]:
    """The first and the last curves of a folder, and two between them at geometric intervals."""
    import numpy as np

    files = sorted(folder.glob("step_*.npz"))
    chosen = np.unique(np.geomspace(1, len(files), NUM_STAGES).round().astype(int)) - 1
    return [Curves(**np.load(files[i])) for i in chosen]


def plot(path: Path, steps: Sequence[Curves]) -> None:
    """Plots steps side by side: the densities, D and the optimal D, and below them z to x."""
    from matplotlib.figure import Figure

    from jaxgan import images

    figure = Figure(figsize=(1.4 + 4.6 * len(steps), 5), layout="constrained")
    axes = figure.subplots(2, len(steps), sharex=True, squeeze=False, height_ratios=(4, 1))
    for curves, (top, bottom) in zip(steps, axes.T, strict=True):
        top.plot(curves.x, curves.data, "k:", label="data")
        top.plot(curves.x, curves.generator, color="tab:green", label="generator")
        top.plot(curves.x, curves.discriminator, "--", color="tab:blue", label="D(x)")
        top.plot(curves.x, curves.optimal, color="tab:blue", alpha=0.3, label="optimal D(x)")
        top.axhline(0.5, color="gray", linewidth=0.5)
        top.set(ylim=(0.0, 1.0), title=f"step {curves.step}: mean |D(x) - 1/2| {gap(curves):.3f}")
        starts = curves.x.mean() + curves.z * (curves.x[-1] - curves.x[0]) / 8.0
        bottom.plot([starts, curves.mapped], [0, 1], color="gray", linewidth=0.7)
        bottom.set(xlim=curves.x[[0, -1]], ylim=(0, 1), yticks=[0, 1], yticklabels=["z", "x"])
    axes[0, 0].set_ylabel("density, probability")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small")
    with images.replacing(path) as part:
        figure.savefig(part, dpi=90)
