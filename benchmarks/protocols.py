"""The protocols of published numbers, as `benchmarks/published.py` plays them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxgan
from experiments import gaussian1d, mixture, mnist
from jaxgan import Evaluation, data, evaluator, latents, losses, metrics, networks, penalties
from jaxgan.training import TrainingAlgorithm, TrainState
from jaxgan.types import Array, PRNGKey

SEEDS = 10
CHUNK = 1000  # rounds of a population that are one program


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table, and the records behind it."""

    what: str
    published: str
    value: str
    seeds: str
    records: Sequence[Any] = ()


# ---- exact truths


def dirac() -> list[Row]:
    """Dirac-GAN (Mescheder, Geiger and Nowozin, 2018): data at 0, a generator at θ, D(x) = ψx, the
    logistic loss with f'(0) = 1/2, descended with step 0.1. Rates are exact: what is published is a
    theorem, and what is measured is the factor per round by which the distance from equilibrium
    changes, over 2000 rounds that begin close to it.
    """
    eta, slope = 0.1, 0.5
    together, in_turn = (("discriminator", "generator"),), ("discriminator", "generator")
    cases = {
        "simultaneous, no penalty: √(1 + η²f'²)": (together, 0.0, np.sqrt(1 + (eta * slope) ** 2)),
        "simultaneous, R1 γ = 0.5: √(1 − ηγ + η²f'²)": (
            together,
            0.5,
            np.sqrt(1 - eta * 0.5 + (eta * slope) ** 2),
        ),
        "alternating, no penalty: 1": (in_turn, 0.0, 1.0),
    }
    with jax.enable_x64(True):
        return [
            Row(what, f"{rate:.6f}", f"{_dirac_rate(turns, gamma, eta):.6f}", "exact start")
            for what, (turns, gamma, rate) in cases.items()
        ]


def _dirac_rate(turns: Any, gamma: float, eta: float, rounds: int = 2000) -> float:
    scalar = lambda key, *inputs: (jnp.zeros(()), {})
    game = jaxgan.gan(
        jaxgan.Network(scalar, lambda theta, state, z, **_: (theta * jnp.ones_like(z), state)),
        jaxgan.Network(scalar, lambda psi, state, x, **_: (psi * x[:, 0], state)),
        latent=latents.normal(1),
        loss=losses.minimax(),
        penalty=penalties.weighted((gamma, penalties.r1)) if gamma else None,
    )
    algorithm = jaxgan.alternating(game, dict.fromkeys(game.losses, optax.sgd(eta)), turns=turns)
    batches = {"image": jnp.zeros((algorithm.num_minibatches, 4, 1))}
    key, first = jax.random.key(0), jax.tree.map(lambda x: x[0], batches)
    start = {"discriminator": jnp.array(0.0), "generator": jnp.array(1e-6)}
    state = algorithm.init(key, first)._replace(params=start)

    def step(state: TrainState, _: None) -> tuple[TrainState, Array]:
        state, _ = algorithm.update(state, batches, key)
        return state, jnp.hypot(state.params["discriminator"], state.params["generator"])

    _, distance = jax.jit(lambda s: jax.lax.scan(step, s, None, length=rounds))(state)
    # The slope of the logarithm, in which the turning round averages out.
    slope = np.polyfit(np.arange(rounds), np.log(np.asarray(distance)), 1)[0]
    return float(np.exp(slope))


def gaussian() -> list[Row]:
    """Figure 1 of Goodfellow et al. (2014): a GAN on the line, data N(2, 1), a uniform prior
    (`experiments/gaussian1d.py` as it stands). At the equilibrium the densities are equal and D is
    1/2 (proposition 1). Mean and standard deviation of 10 000 samples, and the mean of |D(x) − 1/2|
    where the data lie.
    """
    found = []
    for seed in range(3):
        config = gaussian1d.Config(seed=seed)
        experiment = gaussian1d.make(config)
        state = trained(experiment, config)
        records = evaluator(experiment.game, experiment.evaluation, num_samples=10_000)(state)
        game, _, discriminator = gaussian1d.make_game(config)
        distribution = data.gaussian(config.mean, config.std)
        gap = gaussian1d.gap(gaussian1d.densities(game, discriminator, distribution, state))
        found.append((records["mean"].value, records["std"].value, gap))
    columns = [", ".join(f"{value:.3f}" for value in column) for column in zip(*found, strict=True)]
    names = ("mean", "standard deviation", "mean of abs(D(x) − 1/2)")
    return [
        Row(name, truth, value, "0 to 2")
        for name, truth, value in zip(names, ("2", "1", "0"), columns, strict=True)
    ]


# ---- mixtures of the plane


def ring() -> list[Row]:
    """Eight Gaussians on a circle of radius 1, σ = 0.01; 2500 samples; protocol and published
    numbers of PacGAN (Lin et al., 2018), table 1, mean ± standard error of 10 trials. Differences:
    networks of 3 x 128 with a uniform prior, R1 that fades from 0.1 to 1e-5, Adam 2e-3 falling to
    0, batches of 256, 20 000 rounds, the average of the generator (`experiments/mixture.py`); the
    paper's have 4 x 400 with batch normalisation against 3 x 200 maxout, Adam 1e-4, batches of 100,
    400 000 rounds. A perfect generator: 8 modes, 98.9 % of high quality, reverse KL .0014.
    """
    published = {
        "modes": "GAN 6.3 ± .5, PacGAN4 7.8 ± .1",
        "high_quality": "GAN 98.2 %, PacGAN4 95.9 %",
        "reverse_kl": "GAN .45 ± .09, PacGAN4 .07 ± .02",
    }
    return _modes("ring", published)


def grid() -> list[Row]:
    """Twenty-five Gaussians on {−4, −2, 0, 2, 4}², σ = 0.05; all else as under *ring*. A perfect
    generator: 25 modes, 98.9 % of high quality, reverse KL .0048.
    """
    published = {
        "modes": "GAN 17.3 ± .8, PacGAN4 24.8 ± .2",
        "high_quality": "GAN 94.8 %, PacGAN4 93.6 %",
        "reverse_kl": "GAN .70 ± .07, PacGAN4 .04 ± .01",
    }
    return _modes("grid", published)


def _modes(name: str, published: Mapping[str, str]) -> list[Row]:
    config = mixture.Config(data=name)
    distribution = getattr(data, name)()
    game, algorithm = mixture.make_gan(config)
    states = _population(algorithm, distribution.sample, config.batch_size, config.num_steps)
    what = mixture.make_evaluation(distribution)
    measure = evaluator(game, what, num_samples=2500)
    seeds = [measure(jax.tree.map(itemgetter(i), states)) for i in range(SEEDS)]
    rows = []
    for metric, quoted in published.items():
        values = np.array([records[metric].value for records in seeds])
        error = values.std(ddof=1) / np.sqrt(SEEDS)
        scale, unit = (100.0, " %") if metric == "high_quality" else (1.0, "")
        value = f"{scale * values.mean():.3g} ± {scale * error:.2g}{unit}"
        extremes = f"{scale * values.min():.3g} to {scale * values.max():.3g}{unit}"
        listed = [dataclasses.asdict(records[metric]) for records in seeds]
        rows.append(Row(metric, quoted, f"{value} ({extremes})", f"0 to {SEEDS - 1}", listed))
    return rows


def _population(
    algorithm: TrainingAlgorithm,
    sample: Callable[[PRNGKey, int], Array],
    batch_size: int,
    num_steps: int,
) -> TrainState:
    """Trains one member per seed, all in one program."""
    keys = jax.vmap(jax.random.key)(jnp.arange(SEEDS))
    width = sample(keys[0], 1).shape[1]
    init = lambda key: algorithm.init(key, {"image": jnp.zeros((batch_size, width))})
    states = jax.jit(jax.vmap(init))(keys)

    def play(state: TrainState, key: PRNGKey) -> tuple[TrainState, None]:
        drawn = jax.random.fold_in(jax.random.fold_in(key, 1), state.step)
        fresh = jax.random.split(drawn, algorithm.num_minibatches)
        batches = {"image": jax.vmap(lambda key: sample(key, batch_size))(fresh)}
        return algorithm.update(state, batches, key)[0], None

    @jax.jit
    def chunk(states: TrainState) -> TrainState:
        member = lambda state, key: jax.lax.scan(
            lambda state, _: play(state, key), state, None, length=CHUNK
        )[0]
        return jax.vmap(member)(states, keys)

    for _ in range(num_steps // CHUNK):
        states = chunk(states)
    return states


# ---- MNIST


def parzen() -> list[Row]:
    """Parzen-window log-likelihood on MNIST, Goodfellow et al. (2014), table 1, in nats. Trained on
    the first 50 000 training images; 10 000 samples; σ of 10 values in [0.1, 1], chosen on the
    first 1000 of the last 10 000 training images; mean over the 10 000 test images in [0, 1], ±
    their standard error. Generator 100 → 1200 → 1200 → 784, ReLU; discriminator two maxout layers
    of 240 x 5 with dropout, as in the paper. Differences: Adam instead of momentum, and samples
    by the average of the generator's parameters, with decay 0.9999 over 20 000 rounds of 100.

    Theis, van den Oord and Bethge (2016) show that this number ranks models neither by likelihood
    nor by looks; it stands here because the paper reports it. Seen here too: a shorter average
    (0.999, 24 000 rounds) has a `fid_mnist_classifier` of 2.5 and 182 nats, the longer one after
    18 000 rounds, blurred, 21 and 241 nats.
    """
    dataset = data.load("mnist")
    train = {name: array[:50_000] for name, array in dataset.train.items()}
    validation = data.as_float(dataset.train["image"][50_000:51_000])
    generator = networks.MLP(
        (1200, 1200),
        output_shape=dataset.image_shape,
        activation=jax.nn.relu,
        output_activation=jnp.tanh,
    )
    game = jaxgan.gan(
        jaxgan.from_linen(generator),
        jaxgan.from_linen(networks.MaxoutMLP()),
        latent=latents.uniform(100),
    )
    adam = optax.adam(2e-4, b1=0.5)
    algorithm = jaxgan.alternating(
        game, {"discriminator": adam, "generator": adam}, ema={"generator": 0.9999}
    )
    state = jaxgan.fit(
        jaxgan.jit(algorithm),
        data.minibatches(train, batch_size=100),
        key=jax.random.key(0),
        num_steps=PARZEN_STEPS,
    )
    what = Evaluation({"parzen": metrics.parzen_log_likelihood(validation)}, dataset.test)
    (record,) = evaluator(game, what, num_samples=10_000)(state).values()
    return [
        Row(
            "log-likelihood",
            "225 ± 2 (DBN 138 ± 2, deep GSN 214 ± 1.1)",
            f"{record.value:.1f} ± {record.standard_error:.1f} (σ = "
            f"{record.details['bandwidth']:.3f})",
            "0",
            [dataclasses.asdict(record)],
        )
    ]


PARZEN_STEPS = 20_000


def mnist_presets() -> list[Row]:
    """Presets of `experiments/mnist.py` on MNIST over time: `fid_mnist_classifier`, the Fréchet
    distance of 10 000 samples from the 10 000 test images over the features of the digit classifier
    that comes with jaxgan (sha256 in the records). No paper has numbers over these features, and
    they are not FID. The floor, 10 000 training images in place of samples, is in the last column.
    """
    presets = {
        "default: non-saturating, R1 every 16th round": {},
        "non-saturating, batch normalisation, no penalty": {
            "r1": 0.0,
            "discriminator_norm": "batch",
        },
        "WGAN-GP, 2 critic turns": {
            "loss": "wasserstein",
            "r1": 0.0,
            "gradient_penalty": 10.0,
            "penalty_every": 2,
            "discriminator_turns": 2,
            "discriminator_lr": 5e-4,
            "generator_lr": 5e-4,
        },
        "relativistic, R1 and R2 (R3GAN's loss)": {
            "loss": "relativistic_paired",
            "r1": 0.1,
            "r2": 0.1,
        },
        "hinge, R1": {"loss": "hinge"},
    }
    return [_preset(name, flags) for name, flags in presets.items()]


PRESET_STEPS = (500, 1000, 3000)


def _preset(name: str, flags: Mapping[str, Any]) -> Row:
    config = mnist.Config(data="mnist", num_steps=PRESET_STEPS[-1], **flags)
    experiment = mnist.make(config)
    what = experiment.evaluation._replace(metrics={"fid": experiment.evaluation.metrics["fid"]})
    measure = evaluator(experiment.game, what, num_samples=10_000)
    found = {}

    def look(step: int, state: TrainState, _: Any) -> None:
        if step in PRESET_STEPS:
            found[step] = measure(state)["fid_mnist_classifier"]

    trained(experiment, config, [look])
    value = ", ".join(f"{record.value:.3g} after {step}" for step, record in found.items())
    floor = found[PRESET_STEPS[-1]].floor
    records = [{"step": step} | dataclasses.asdict(record) for step, record in found.items()]
    return Row(name, "none", value, f"0; floor {floor:.2g}", records)


def trained(experiment: Any, config: Any, callbacks: Sequence[Any] = ()) -> TrainState:
    return jaxgan.fit(
        jaxgan.jit(experiment.algorithm),
        experiment.minibatches,
        key=jax.random.key(config.seed),
        num_steps=config.num_steps,
        callbacks=callbacks,
    )


PROTOCOLS: dict[str, Callable[[], list[Row]]] = {
    "dirac": dirac,
    "gaussian": gaussian,
    "ring": ring,
    "grid": grid,
    "parzen": parzen,
    "mnist_presets": mnist_presets,
}
