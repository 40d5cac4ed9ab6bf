"""Game dynamics, measured: rates of the training algorithms, ring modes of each, and populations.

    python -m benchmarks.dynamics
    python -m benchmarks.dynamics --only rates population
    python -m benchmarks.dynamics --only unrolled --seeds 3 --num-steps 1000

- `rates`: spectral radius of a step of each training algorithm in the bilinear game
  `min max x y`, beside the published formula.
- `methods`: modes and high-quality samples of ring and grid by each training algorithm, with the
  networks of `experiments.mixture` (64 wide, no penalty) and one budget of gradient evaluations,
  which are both players' on one minibatch.
- `unrolled`: ring modes with k = 0, 5 and 10 unrolled steps, in the setting of Metz et al., 2017,
  https://arxiv.org/abs/1611.02163, appendix A (25 000 steps there), with a smaller minibatch.
- `population`: training steps per second of ten members in one program, and of ten single runs one
  after another, interleaved; medians.

All seeds of a row are trained as one population.
"""

import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from jaxgan.runs.command_line import xla_flags

Rows = list[dict[str, Any]]
SCANNED = 50  # steps of an update of `unrolled` and `methods`, which divide theirs


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure game dynamics and populations, and print a table of each."""

    only: tuple[str, ...] = ("rates", "population", "unrolled", "methods")
    """Tables to compute."""
    seeds: int = 10
    """Seeds of every row of `methods` and `unrolled`."""
    num_steps: int = 5000
    """Training steps of `unrolled`; simultaneous steps that are the budget of `methods`."""
    unroll_steps: tuple[int, ...] = (0, 5, 10)
    """Values of k of `unrolled`."""
    batch_size: int = 128
    """Points per minibatch; 512 in Metz et al."""
    repeats: int = 5
    """Timed blocks of `population`."""
    json: Path | None = None
    """File to write the tables to; those in it that are not computed are kept."""


def main(config: Config) -> None:
    """Computes the tables one by one, and writes each when it is done."""
    xla_flags.set_flags()
    tables: dict[str, Callable[[Config], Rows]] = {
        "rates": rates,
        "population": populations,
        "unrolled": unrolled,
        "methods": methods,
    }
    if unknown := sorted(set(config.only) - set(tables)):
        raise SystemExit(f"error: no table {', '.join(unknown)}; there are {', '.join(tables)}")
    for name in config.only:
        rows = tables[name](config)
        print(f"\n{name}\n{markdown(rows)}", flush=True)
        if config.json is not None:
            done = (
                json.loads(config.json.read_text(encoding="utf-8")) if config.json.exists() else {}
            )
            config.json.write_text(json.dumps(done | {name: rows}, indent=2) + "\n")


def markdown(rows: Rows) -> str:
    """The rows as a table."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(row[name]) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ---- rates in the bilinear game


def rates(config: Config) -> Rows:
    """Measured and published rates, with a step size of 0.3."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    import jaxgan
    from jaxgan import Game, LossAux

    init = lambda key, batch: ({"x": jnp.ones(()), "y": jnp.ones(())}, {"x": {}, "y": {}})
    loss = lambda sign: lambda p, *_: (sign * p["x"] * p["y"], LossAux({}, {}))
    game = Game(init, {"x": loss(1.0), "y": loss(-1.0)}, None)
    h = 0.3
    play = (game, {"x": optax.sgd(h), "y": optax.sgd(h)})
    ways = {
        "simultaneous": (jaxgan.simultaneous(*play), np.sqrt(1 + h**2)),
        "alternating": (jaxgan.alternating(*play), 1.0),
        "extragradient": (jaxgan.extragradient(*play), np.sqrt(1 - h**2 + h**4)),
        "optimistic": (jaxgan.optimistic(*play), np.sqrt((1 + np.sqrt(1 - 4 * h**2)) / 2)),
        "negative momentum, -0.3": (jaxgan.negative_momentum(*play), _momentum_rate(h, -0.3)),
        "lookahead of simultaneous, k = 5": (
            jaxgan.lookahead(jaxgan.simultaneous(*play)),
            abs(0.5 + 0.5 * (1 - 1j * h) ** 5) ** 0.2,
        ),
        "consensus, gamma = 1": (jaxgan.consensus(*play, strength=1.0), np.hypot(1 - h, h)),
        "symplectic": (jaxgan.symplectic(*play), np.hypot(1 - h, h)),
        "competitive": (jaxgan.competitive(*play, step_size=h), 1 / np.sqrt(1 + h**2)),
        "ode (RK4)": (
            jaxgan.ode(*play, step_size=h),
            np.sqrt(1 - h**6 / 72 + h**8 / 576),
        ),
    }
    rows = []
    with jax.enable_x64(True):
        for name, (algorithm, published) in ways.items():
            measured = _decay_of(algorithm, 20_000)
            rows.append({"": name, "measured": f"{measured:.6f}", "published": f"{published:.6f}"})
    return rows


def _decay_of(algorithm: Any, num_steps: int) -> float:
    """Mean factor per step by which the distance to the solution changes, from its logarithm."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    batches, key = {"image": np.zeros((1, 1))}, jax.random.key(0)
    state = algorithm.init(key, {"image": np.zeros(1)})

    def step(state: Any, _: Any) -> tuple[Any, Any]:
        state, _ = algorithm.update(state, batches, key)
        norm = jnp.hypot(state.params["x"], state.params["y"])
        # The game is linear, and so are the methods: parameters and optimizer states are scaled.
        scale = lambda x: x / norm if jnp.issubdtype(x.dtype, jnp.floating) else x
        return jax.tree.map(scale, state), jnp.log(norm)

    _, logs = jax.jit(lambda s: jax.lax.scan(step, s, None, length=num_steps))(state)
    return float(np.exp(np.mean(np.asarray(logs)[num_steps // 2 :])))


def _momentum_rate(h: float, beta: float) -> float:
    """Largest root of `(l - 1)^2 (l - beta)^2 + h^2 l^3`, Gidel et al., 2019, theorem 6."""
    import numpy as np

    squares = np.polymul(np.poly([1, 1]), np.poly([beta, beta]))
    return float(np.abs(np.roots(squares + np.array([0, h**2, 0, 0, 0]))).max())


# ---- ring and grid


def unrolled(config: Config) -> Rows:
    """Ring modes with 0, 5 and 10 unrolled steps, of D's Adam."""
    import optax

    import jaxgan
    from jaxgan import data

    game = _metz_game()
    optimizers = {
        "discriminator": optax.adam(1e-4, b1=0.5, eps_root=1e-16),
        "generator": optax.adam(1e-4, b1=0.5),
    }
    rows = []
    for k in config.unroll_steps:
        algorithm = jaxgan.unrolled(game, optimizers, num_steps=k)
        start = time.perf_counter()
        values = _scores(game, algorithm, config, config.num_steps, data.ring(radius=2.0, std=0.02))
        rows.append({"k": k, **values, "minutes": f"{(time.perf_counter() - start) / 60:.1f}"})
        print(rows[-1], flush=True)
    return rows


def methods(config: Config) -> Rows:
    """Modes of ring and grid of every training algorithm, under one budget of evaluations."""
    import optax

    import jaxgan
    from experiments import mixture
    from jaxgan import data

    game, _ = mixture.make_gan(mixture.Config(features=64, r1=0.0))
    adam = lambda **more: optax.adam(1e-3, b1=0.0, b2=0.99, **more)
    play = (game, {"discriminator": adam(eps_root=1e-16), "generator": adam()})
    # Whose own step is the optimizer's: with SGD they are the papers' algorithms.
    plain = (game, dict.fromkeys(play[1], optax.sgd(0.1)))
    # Gradient evaluations of both players per step; a Jacobian product counts as two.
    ways = {
        "simultaneous": (jaxgan.simultaneous(*play), 1),
        "alternating": (jaxgan.alternating(*play), 1),
        "optimistic": (jaxgan.optimistic(*play), 1),
        "negative momentum": (jaxgan.negative_momentum(*play), 1),
        "lookahead of alternating": (jaxgan.lookahead(jaxgan.alternating(*play)), 1),
        "past extragradient": (jaxgan.extragradient(*play, past=True), 1),
        "extragradient": (jaxgan.extragradient(*play), 2),
        "consensus, 0.1": (jaxgan.consensus(*play, strength=0.1), 3),
        "symplectic, 0.1": (jaxgan.symplectic(*play, strength=0.1), 5),
        "ode, steps of 0.1": (jaxgan.ode(*plain, step_size=0.1), 4),
        "unrolled, k = 5": (jaxgan.unrolled(*play, num_steps=5), 6),
        "competitive, steps of 0.1": (jaxgan.competitive(*plain, step_size=0.1, iterations=2), 15),
    }
    rows = []
    for name, (algorithm, evaluations) in ways.items():
        num_steps = config.num_steps // evaluations // SCANNED * SCANNED
        row = {"": name, "steps": num_steps}
        for points in (data.ring(), data.grid()):
            scores = _scores(game, algorithm, config, num_steps, points)
            row |= {f"{points.name}, {score}": value for score, value in scores.items()}
        rows.append(row)
        print(row, flush=True)
    return rows


def _metz_game() -> Any:
    """Networks of Metz et al.: G 256 -> 128 -> 128 -> 2, D x / 4 -> 128 -> 1, rectified units."""
    import flax.linen as nn
    import jax

    import jaxgan
    from jaxgan import latents, losses, networks

    own: dict[str, Any] = {
        "activation": jax.nn.relu,
        "kernel_init": nn.initializers.orthogonal(0.8),
    }
    discriminator = jaxgan.from_linen(networks.MLP((128,), **own))

    def apply(params: Any, state: Any, x: Any, **options: Any) -> Any:
        return discriminator.apply(params, state, x / 4, **options)

    return jaxgan.gan(
        jaxgan.from_linen(networks.MLP((128, 128), output_shape=(2,), **own)),
        discriminator._replace(apply=apply),
        latent=latents.normal(256),
        loss=losses.minimax(),
    )


def _scores(
    game: Any, algorithm: Any, config: Config, num_steps: int, mixture: Any
) -> dict[str, str]:
    """Modes and high-quality share of 2500 samples, mean ± standard error over the seeds."""
    import jax
    import numpy as np

    import jaxgan
    from jaxgan import data, metrics, population
    from jaxgan.runs.population.tables import mean_and_error

    seeds = range(config.seeds)
    samplers = [
        data.sampled_minibatches(mixture.sample, batch_size=config.batch_size, seed=seed)
        for seed in seeds
    ]
    members = jaxgan.jit(
        jaxgan.scan_steps(population.population(algorithm, own_data=True), SCANNED)
    )
    state = jaxgan.fit(
        members,
        population.stacked_minibatches(samplers),
        key=population.member_keys(seeds),
        num_steps=num_steps - num_steps % SCANNED,
    )
    metric = metrics.mode_coverage(mixture.centers, mixture.std)
    batch = {"image": np.zeros((2500, 2), np.float32)}
    sample = jax.jit(jax.vmap(lambda p, s: game.sample(p, s, batch, jax.random.key(0))))
    real = mixture.sample(jax.random.key(1), 2500)
    values: dict[str, list[float]] = {"modes": [], "high_quality": []}
    for rows in np.asarray(sample(state.params, state.model_state)):
        records = metric.compute(metric.update(metric.init(), real=real, generated=rows))
        for name in values:
            values[name].append(records[name].value)
    return {name: "{:.2f} ± {:.2f}".format(*mean_and_error(own)) for name, own in values.items()}


# ---- populations


def populations(config: Config) -> Rows:
    """Members' steps per second, together and one after another."""
    rows = []
    for name, (algorithm, sampler, scan) in _workloads().items():
        together, alone = _times(algorithm, sampler, scan, config.repeats)
        rows.append(
            {
                "": name,
                "one after another": f"{1 / alone:.0f}",
                "together": f"{1 / together:.0f}",
                "ratio": f"{alone / together:.2f}",
            }
        )
        print(rows[-1], flush=True)
    return rows


def _workloads() -> dict[str, tuple[Any, Any, int]]:
    """Algorithm, minibatches and steps per call of each workload; the calls of the experiments."""
    import numpy as np
    import optax

    import jaxgan
    from experiments import mixture
    from jaxgan import data, latents, networks

    ring = data.ring()
    points = lambda n: data.sampled_minibatches(ring.sample, batch_size=n)
    mlp = lambda **flags: mixture.make_gan(mixture.Config(**flags))[1]
    images = {"image": np.random.default_rng(0).integers(0, 256, (256, 28, 28, 1), np.uint8)}
    adam = optax.adam(1e-3)
    dcgan = lambda features: jaxgan.alternating(
        jaxgan.gan(
            jaxgan.from_linen(networks.DCGANGenerator((28, 28, 1), features)),
            jaxgan.from_linen(networks.DCGANDiscriminator(features, False)),
            latent=latents.normal(64),
        ),
        {"discriminator": adam, "generator": adam},
    )
    return {
        "MLP 16 wide, 16 points": (mlp(features=16), points(16), 20),
        "MLP 32 wide, 64 points": (mlp(features=32), points(64), 20),
        "MLP 128 wide, 256 points (the ring experiment)": (mlp(), points(256), 20),
        "the same, one step per call": (mlp(), points(256), 1),
        "MLP 16 wide, 16 points, one step per call": (mlp(features=16), points(16), 1),
        "DCGAN 4 features, 16 images": (dcgan(4), data.minibatches(images, batch_size=16), 1),
        "DCGAN 16 features, 32 images": (dcgan(16), data.minibatches(images, batch_size=32), 1),
    }


def _times(algorithm: Any, sampler: Any, scan: int, repeats: int) -> tuple[float, float]:
    """Seconds per step and member of ten members in one program, and of single runs."""
    import jax

    import jaxgan
    from jaxgan import population

    num, key = 10, jax.random.key(0)
    keys = population.member_keys(range(num))
    scanned = lambda one: jaxgan.jit(jaxgan.scan_steps(one, scan) if scan > 1 else one)
    members = scanned(population.population(algorithm))
    single = scanned(algorithm)
    batches = sampler(0, single.num_minibatches)
    first = jax.tree.map(lambda x: x[0], batches)
    states = {"together": members.init(keys, first), "alone": single.init(key, first)}
    updates = {"together": (members.update, keys), "alone": (single.update, key)}

    def block(name: str, calls: int) -> float:
        update, own_key = updates[name]
        start = time.perf_counter()
        for _ in range(calls):
            states[name], _ = update(states[name], batches, own_key)
        jax.block_until_ready(states[name])
        return (time.perf_counter() - start) / calls / scan

    seconds: dict[str, list[float]] = {"together": [], "alone": []}
    calls = {name: max(1, round(0.5 / (scan * block(name, 2)))) for name in seconds}
    calls = {name: max(1, round(0.5 / (scan * block(name, 2)))) for name in seconds}
    for _ in range(repeats):
        for name, times in seconds.items():
            times.append(block(name, calls[name]))
    return statistics.median(seconds["together"]) / num, statistics.median(seconds["alone"])


if __name__ == "__main__":
    main(tyro.cli(Config))
