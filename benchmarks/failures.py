"""How GANs fail: small games that fail on purpose, beside the same games fixed.

    python -m benchmarks.failures
    python -m benchmarks.failures --only collapses --out figures

A figure for each, with a row for the failing game and one for the fixed: losses, the mean of D on
real and generated points, and samples at three steps. What the health of a run would say of them is
printed. docs/failures.md explains the figures.

Hardware: a CPU, a minute.
"""

import dataclasses
import functools
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

import jaxgan
from jaxgan import augment, data, latents, losses, metrics, networks, penalties
from jaxgan.errors import NonFiniteError
from jaxgan.runs.session.divergence import Divergence
from jaxgan.runs.session.health import Health, with_norms
from jaxgan.training import TrainState
from jaxgan.types import Metrics

LOGS = 200  # logged steps of a game
GRIDS = 10  # times that its samples are looked at
SAMPLES = 400
PLAYERS = {"discriminator": "tab:blue", "generator": "tab:orange"}
OUTPUTS = {"real_output": "tab:blue", "fake_output": "tab:orange", "held_out": "tab:green"}


@dataclasses.dataclass(frozen=True)
class Config:
    """Play games that fail and the same games fixed, and draw both."""

    only: tuple[str, ...] = ("collapses", "wins", "overfits", "oscillates", "explodes")
    """Failures."""
    out: Path = Path("docs/images")
    """Folder of the figures."""


class Scene(NamedTuple):
    """A game, how it is played, and how it is drawn.

    Attributes:
      title: the game in a few words.
      game: the game.
      algorithm: how it is played.
      minibatches: its data.
      real: the distribution of real points.
      num_steps: training steps.
      shown: steps at which samples are drawn.
      reach: half the side of the plots of samples.
      train: the points that `minibatches` draws from, if they are few; D is then also measured on
        other real points.
    """

    title: str
    game: jaxgan.Game
    algorithm: jaxgan.TrainingAlgorithm
    minibatches: Callable[[int, int], Any]
    real: data.Mixture
    num_steps: int
    shown: tuple[int, int, int]
    reach: float = 1.6
    train: np.ndarray | None = None


class Played(NamedTuple):
    """What was seen of a game: a row of metrics and samples for every logged step, and notes."""

    rows: dict[int, Metrics]
    samples: dict[int, np.ndarray]
    notes: list[dict[str, Any]]


def main(config: Config) -> None:
    """Plays both games of each failure, prints what health says, and draws them."""
    for name in config.only:
        scenes = list(SCENES[name]())
        played = [play(scene) for scene in scenes]
        for scene, seen in zip(scenes, played, strict=True):
            print(f"{name}: {scene.title}")
            print(
                "".join(f"  step {note['step']}: {note['text']}\n" for note in seen.notes), end=""
            )
        draw(config.out / f"{name}.png", scenes, played)


# ---- the games


def mlp(*widths: int, **fields: Any) -> jaxgan.Network:
    return jaxgan.from_linen(networks.MLP(widths, activation=jax.nn.relu, **fields))


def ring_gan(**options: Any) -> jaxgan.Game:
    """Both networks have two hidden layers of 64 units."""
    generator = mlp(64, 64, output_shape=(2,))
    return jaxgan.gan(generator, mlp(64, 64), **{"latent": latents.normal(8)} | options)


def collapses() -> Iterator[Scene]:
    """The generator moves five times for each move of the discriminator."""
    ring, adam = data.ring(std=0.02), optax.adam(1e-3, b1=0.5)
    r1 = penalties.weighted((0.1, penalties.r1))
    for title, moves, penalty in (("five moves of G", 5, None), ("one move, and R1", 1, r1)):
        game = ring_gan(penalty=penalty)
        turns = ("discriminator", *moves * ("generator",))
        yield Scene(
            title,
            game,
            jaxgan.alternating(game, {"discriminator": adam, "generator": adam}, turns=turns),
            data.sampled_minibatches(ring.sample, batch_size=64),
            ring,
            num_steps=4000,
            shown=(1000, 2400, 4000),
        )


def wins() -> Iterator[Scene]:
    """Real and generated points are far apart, and the generator's loss saturates."""
    ring = data.ring(radius=3.0, std=0.1)
    optimizers = {"discriminator": optax.adam(5e-3, b1=0.5), "generator": optax.sgd(0.02)}
    r1 = penalties.weighted((0.1, penalties.r1))
    for title, penalty in (("minimax loss", None), ("with R1", r1)):
        game = ring_gan(
            latent=latents.uniform(8, -0.5, 0.5), loss=losses.minimax(), penalty=penalty
        )
        yield Scene(
            title,
            game,
            jaxgan.alternating(game, optimizers),
            data.sampled_minibatches(ring.sample, batch_size=64),
            ring,
            num_steps=4000,
            shown=(40, 2000, 4000),
            reach=4.5,
        )


def overfits() -> Iterator[Scene]:
    """Few points in eight dimensions, and a discriminator that can learn them by heart."""
    cloud = data.Mixture("cloud", np.zeros((1, 8)), 0.6)
    adams = {"discriminator": optax.adam(2e-3, b1=0.5), "generator": optax.adam(3e-4, b1=0.5)}
    train = np.asarray(cloud.sample(jax.random.key(9), 32))
    for title, noise in (
        ("32 training points", None),
        ("with instance noise", augment.instance_noise(0.5)),
    ):
        game = jaxgan.gan(
            mlp(64, 64, output_shape=(8,)),
            mlp(256, 256),
            latent=latents.normal(8),
            augment=noise,
        )
        yield Scene(
            title,
            game,
            jaxgan.alternating(game, adams),
            data.minibatches({"image": train}, batch_size=32),
            cloud,
            num_steps=3000,
            shown=(300, 1500, 3000),
            reach=2.0,
            train=train,
        )


def oscillates() -> Iterator[Scene]:
    """A bilinear game: the generator moves a cloud, and the critic is linear."""
    cloud, sgd = data.Mixture("cloud", np.zeros((1, 2)), 0.05), optax.sgd(0.2)
    start = lambda *theta: lambda key, *inputs: (jnp.array(theta), {})
    moved = jaxgan.Network(
        start(1.0, 0.0), lambda theta, state, z, **_: (theta[None] + 0.05 * z, state)
    )
    slope = jaxgan.Network(start(0.0, 0.4), lambda psi, state, x, **_: (x @ psi, state))
    r1 = penalties.weighted((1.0, penalties.r1))
    for title, penalty in (("linear critic", None), ("with R1", r1)):
        game = jaxgan.gan(
            moved, slope, latent=latents.normal(2), loss=losses.wasserstein(), penalty=penalty
        )
        yield Scene(
            title,
            game,
            jaxgan.alternating(game, {"discriminator": sgd, "generator": sgd}),
            data.sampled_minibatches(cloud.sample, batch_size=64),
            cloud,
            num_steps=300,
            shown=(201, 212, 224),
        )


def explodes() -> Iterator[Scene]:
    """A critic without a constraint: its loss, and the gradients, have no bound."""
    ring, sgd = data.ring(std=0.02), optax.sgd(0.1)
    gp = penalties.weighted((1.0, penalties.wgan_gp))
    for title, penalty in (("WGAN without constraint", None), ("WGAN-GP", gp)):
        game = ring_gan(loss=losses.wasserstein(), penalty=penalty)
        yield Scene(
            title,
            game,
            jaxgan.alternating(game, {"discriminator": sgd, "generator": sgd}),
            data.sampled_minibatches(ring.sample, batch_size=64),
            ring,
            num_steps=2000,
            shown=(100, 290, 2000),
        )


SCENES: dict[str, Callable[[], Iterator[Scene]]] = {
    function.__name__: function for function in (collapses, wins, overfits, oscillates, explodes)
}


# ---- playing


def play(scene: Scene) -> Played:
    """Trains, logs, and looks for signs of failing, as a run does."""
    every = scene.num_steps // LOGS
    real = np.asarray(scene.real.sample(jax.random.key(1), SAMPLES))
    distance, divergence = metrics.sliced_wasserstein(), Divergence()
    sample = jax.jit(lambda *args: scene.game.sample(*args, {"image": real}, jax.random.key(2)))
    output = jax.jit(functools.partial(held_out_output, scene.game))
    seen, scores = Played({}, {}, []), {}

    def watch(step: int, state: TrainState, logged: Metrics) -> None:
        logged = jax.device_get(with_norms(state, logged))
        points = np.asarray(sample(state.params, state.model_state))
        divergence(step, state, logged)
        divergence.check()
        if scene.train is not None:
            logged["discriminator"]["held_out"] = output(state, real)
        seen.rows[step], seen.samples[step] = logged, points
        health.logged(step, state, logged)
        if step % (scene.num_steps // GRIDS) == 0:
            health.sampled(step, points)
            accumulated = distance.update(distance.init(), real=real, generated=points)
            (record,) = distance.compute(accumulated).values()
            scores[step] = record.value
            health.evaluated(step, record.name, scores, mode="min")

    with tempfile.TemporaryDirectory() as folder:
        health = Health(Path(folder) / "health.json", Console(file=io.StringIO()))
        algorithm = jaxgan.jit(jaxgan.scan_steps(scene.algorithm, every))
        try:
            jaxgan.fit(
                algorithm,
                scene.minibatches,
                key=jax.random.key(0),
                num_steps=scene.num_steps,
                callbacks=[watch],
            )
        except NonFiniteError as error:
            health.notes.append({"step": max(seen.rows) + every, "text": str(error)})
    return seen._replace(notes=health.notes)


def held_out_output(game: jaxgan.Game, state: TrainState, points: np.ndarray) -> Any:
    """The mean of D on real points that it was not trained on."""
    loss = game.losses["discriminator"]
    batch, key = {"image": points}, jax.random.key(3)
    _, aux = loss(state.params, state.model_state, batch, key, state.step)
    return aux.metrics["real_output"]


# ---- drawing


def draw(path: Path, scenes: list[Scene], played: list[Played]) -> None:
    """A row of panels for each game, as a PNG file of few colours."""
    figure = Figure(figsize=(11, 2.3 * len(scenes)), layout="constrained")
    axes = figure.subplots(len(scenes), 5)
    for row, scene, seen in zip(axes, scenes, played, strict=True):
        row[0].set_title(scene.title, loc="left", fontsize="medium", fontweight="bold")
        draw_curves(row[0], seen, PLAYERS, lambda player: (player, "loss"))
        draw_curves(row[1], seen, OUTPUTS, lambda name: ("discriminator", name))
        row[1].set_title("D on real and generated", fontsize="medium")
        for ax, step in zip(row[2:], scene.shown, strict=True):
            draw_samples(ax, scene, seen.samples, step)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(buffer).convert("RGB").quantize(64).save(path, optimize=True)


def draw_curves(ax: Axes, seen: Played, colors: dict[str, str], entry: Callable) -> None:
    for name, color in colors.items():
        player, metric = entry(name)
        if any(metric in row[player] for row in seen.rows.values()):
            values = [float(row[player][metric]) for row in seen.rows.values()]
            ax.plot(list(seen.rows), values, color=color, linewidth=1, label=LABELS[name])
    largest = max(np.abs(line.get_ydata()).max() for line in ax.lines)
    if largest > 1e3:
        powers = 10.0 ** np.linspace(0, np.ceil(np.log10(largest)), 4)[1:].round()
        ax.set_yscale("symlog")
        ax.set_yticks([*-powers, 0.0, *powers])
        ax.minorticks_off()
    ax.legend(fontsize="x-small", loc="best")
    ax.tick_params(labelsize="x-small")


def draw_samples(ax: Axes, scene: Scene, samples: dict[int, np.ndarray], step: int) -> None:
    real = scene.train
    if real is None:
        real = np.asarray(scene.real.sample(jax.random.key(4), 200))
    ax.scatter(*real[:, :2].T, s=6, color="black", linewidths=0)
    points = samples.get(step, np.full((1, 2), np.nan))  # nothing after a divergence
    ax.scatter(*points[:, :2].T, s=3, color="tab:orange", linewidths=0)
    if not (np.abs(points[:, :2]) < scene.reach).all(axis=1).any():
        ax.text(0.5, 0.5, "none in view", transform=ax.transAxes, ha="center", va="center")
    limits = (-scene.reach, scene.reach)
    ax.set(xlim=limits, ylim=limits, xticks=[], yticks=[], aspect="equal")
    ax.set_title(f"step {step}", fontsize="medium")


LABELS = {
    "discriminator": "D's loss",
    "generator": "G's loss",
    "real_output": "real",
    "fake_output": "generated",
    "held_out": "real, held out",
}


if __name__ == "__main__":
    main(tyro.cli(Config))
