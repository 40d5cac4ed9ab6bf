"""Protocols of published GAN results, run by `benchmarks/published.py`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxgan
from experiments import density_curves, gaussian1d, mixture, mnist
from jaxgan import Evaluation, data, evaluator, latents, losses, metrics, networks, penalties
from jaxgan.training import TrainingAlgorithm, TrainState
from jaxgan.types import Array, PRNGKey

SEEDS = 10
CHUNK = 1000  # training steps per compiled call of a population


@dataclasses.dataclass(frozen=True)
class Row:
    """Row of a results table, with the records of every seed."""

    what: str
    published: str
    value: str
    seeds: str
    records: Sequence[Any] = ()


# ---- games with known solutions


def dirac() -> list[Row]:
    """Convergence rates of the Dirac-GAN (Mescheder, Geiger and Nowozin, 2018): data at 0, a
    generator at θ, D(x) = ψx, the logistic loss with f'(0) = 1/2, gradient descent with learning
    rate 0.1. The published rates are exact, by a theorem. The measured rate is the factor per step
    by which the distance from the equilibrium changes, over 2000 steps that start close to it.
    """
    eta, slope = 0.1, 0.5
    simultaneous, alternating = (("discriminator", "generator"),), ("discriminator", "generator")
    cases = {
        "simultaneous, no penalty: √(1 + η²f'²)": (
            simultaneous,
            0.0,
            np.sqrt(1 + (eta * slope) ** 2),
        ),
        "simultaneous, R1 γ = 0.5: √(1 − ηγ + η²f'²)": (
            simultaneous,
            0.5,
            np.sqrt(1 - eta * 0.5 + (eta * slope) ** 2),
        ),
        "alternating, no penalty: 1": (alternating, 0.0, 1.0),
    }
    with jax.enable_x64(True):
        return [
            Row(what, f"{rate:.6f}", f"{_dirac_rate(turns, gamma, eta):.6f}", "exact start")
            for what, (turns, gamma, rate) in cases.items()
        ]


def _dirac_rate(turns: Any, gamma: float, eta: float, num_steps: int = 2000) -> float:
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

    _, distance = jax.jit(lambda s: jax.lax.scan(step, s, None, length=num_steps))(state)
    # Slope of the log distance, over which the oscillation averages out.
    slope = np.polyfit(np.arange(num_steps), np.log(np.asarray(distance)), 1)[0]
    return float(np.exp(slope))


def gaussian() -> list[Row]:
    """Figure 1 of Goodfellow et al. (2014): a GAN on a one-dimensional Gaussian N(2, 1)
    (`experiments/gaussian1d.py` with its defaults). At the equilibrium the densities are equal and
    D is 1/2 (proposition 1). Results: mean, standard deviation and Kolmogorov-Smirnov distance of
    10 000 random samples, whose distance would be 0.009 on average for a perfect generator; the
    largest |D*(x) − 1/2| of the optimal D for that generator, where the density of the data exceeds
    1 % of its maximum (3.03 σ); and the mean of |D(x) − 1/2| under the density of the data.
    Differences: a normal prior instead of a uniform one, whose map to a Gaussian is
    infinitely steep at the ends, and quasi-random minibatches.
    """
    results = []
    for seed in range(3):
        config = gaussian1d.Config(seed=seed)
        experiment = gaussian1d.make(config, config.load_data())
        state = trained(experiment, config)
        records = evaluator(experiment.game, experiment.evaluation, num_samples=10_000)(state)
        game, discriminator = gaussian1d.make_game(config)
        distribution = data.gaussian(config.mean, config.std)
        gap = density_curves.gap(density_curves.curves_of(game, discriminator, distribution, state))
        names = ("mean", "std", "ks", "quantiles/optimal_gap")
        results.append((*(records[name].value for name in names), gap))
    columns = [
        ", ".join(f"{value:.3f}" for value in column) for column in zip(*results, strict=True)
    ]
    truths = {
        "mean": "2",
        "standard deviation": "1",
        "Kolmogorov-Smirnov distance": "0",
        "maximum of abs(D*(x) − 1/2)": "0",
        "mean of abs(D(x) − 1/2)": "0",
    }
    return [
        Row(name, truth, value, "0 to 2")
        for (name, truth), value in zip(truths.items(), columns, strict=True)
    ]


# ---- mixtures of Gaussians in the plane


def ring() -> list[Row]:
    """Mode coverage of eight Gaussians on a circle of radius 1, σ = 0.01, with 2500 samples;
    protocol and published results of PacGAN (Lin et al., 2018), table 1, mean ± standard error of
    10 trials. Differences: `experiments/mixture.py` has networks of 3 x 128, a uniform prior, an R1
    weight that decays from 0.1 to 1e-5, Adam with 2e-3 decaying to 0, batches of 256, 20 000 steps,
    and the moving average of the generator; the paper has a generator of 4 x 400 with batch
    normalisation, a discriminator of 3 x 200 maxout, Adam with 1e-4, batches of 100, 400 000 steps.
    A perfect generator has 8 modes, 98.9 % high-quality samples, and a reverse KL of .0014.
    """
    published = {
        "modes": "GAN 6.3 ± .5, PacGAN4 7.8 ± .1",
        "high_quality": "GAN 98.2 %, PacGAN4 95.9 %",
        "reverse_kl": "GAN .45 ± .09, PacGAN4 .07 ± .02",
    }
    return _modes("ring", published)


def grid() -> list[Row]:
    """Mode coverage of 25 Gaussians on {−4, −2, 0, 2, 4}², σ = 0.05; otherwise the protocol of
    *ring*. A perfect generator has 25 modes, 98.9 % high-quality samples, and a reverse KL of
    .0048.
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
    evaluate = evaluator(game, mixture.make_evaluation(distribution), num_samples=2500)
    seeds = [evaluate(jax.tree.map(itemgetter(i), states)) for i in range(SEEDS)]
    rows = []
    for metric, quoted in published.items():
        values = np.array([records[metric].value for records in seeds])
        error = values.std(ddof=1) / np.sqrt(SEEDS)
        scale, unit = (100.0, " %") if metric == "high_quality" else (1.0, "")
        value = f"{scale * values.mean():.3g} ± {scale * error:.2g}{unit}"
        extremes = f"{scale * values.min():.3g} to {scale * values.max():.3g}{unit}"
        all_records = [dataclasses.asdict(records[metric]) for records in seeds]
        rows.append(Row(metric, quoted, f"{value} ({extremes})", f"0 to {SEEDS - 1}", all_records))
    return rows


def _population(
    algorithm: TrainingAlgorithm,
    sample: Callable[[PRNGKey, int], Array],
    batch_size: int,
    num_steps: int,
) -> TrainState:
    """Final states of one run per seed, trained together in one program."""
    keys = jax.vmap(jax.random.key)(jnp.arange(SEEDS))
    width = sample(keys[0], 1).shape[1]
    init = lambda key: algorithm.init(key, {"image": jnp.zeros((batch_size, width))})
    states = jax.jit(jax.vmap(init))(keys)

    def step(state: TrainState, key: PRNGKey) -> tuple[TrainState, None]:
        key_data = jax.random.fold_in(jax.random.fold_in(key, 1), state.step)
        keys_data = jax.random.split(key_data, algorithm.num_minibatches)
        batches = {"image": jax.vmap(lambda key: sample(key, batch_size))(keys_data)}
        return algorithm.update(state, batches, key)[0], None

    @jax.jit
    def chunk(states: TrainState) -> TrainState:
        member = lambda state, key: jax.lax.scan(
            lambda state, _: step(state, key), state, None, length=CHUNK
        )[0]
        return jax.vmap(member)(states, keys)

    for _ in range(num_steps // CHUNK):
        states = chunk(states)
    return states


# ---- MNIST


def parzen() -> list[Row]:
    """Parzen-window log-likelihood on MNIST in nats, Goodfellow et al. (2014), table 1. Trained on
    the first 50 000 training images; 10 000 samples; σ of 10 values in [0.1, 1], selected on the
    first 1000 of the last 10 000 training images; mean over the 10 000 test images in [0, 1],
    ± standard error. Generator 100 → 1200 → 1200 → 784, ReLU; discriminator two maxout layers of
    240 x 5 with dropout, as in the paper. Differences: Adam instead of momentum, and samples of the
    moving average of the generator's parameters, with decay 0.9999 over 20 000 steps of 100 images.

    Theis, van den Oord and Bethge (2016) show that this estimate ranks models neither by likelihood
    nor by visual quality; it is here because the paper reports it. The results agree: with a
    shorter moving average (0.999, 24 000 steps), samples have a `fid_mnist_classifier` of 2.5 and
    182 nats; with the longer one after 18 000 steps, samples are blurred and have 21 and 241 nats.
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
    evaluation = Evaluation({"parzen": metrics.parzen_log_likelihood(validation)}, dataset.test)
    (record,) = evaluator(game, evaluation, num_samples=10_000)(state).values()
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
    """Losses and penalties of `experiments/mnist.py` on MNIST, over training steps, with Adam of
    b1 = 0.5, b2 = 0.999 and 1e-3 unless the row says otherwise. The metric is
    `fid_mnist_classifier`, the Fréchet distance between 10 000 samples and the 10 000 test images
    over the features of the digit classifier in the package (SHA-256 in the records). No published
    results use these features, and the metric is not FID. The last column has the floor: the score
    of 10 000 training images in place of samples.
    """
    presets = {
        "non-saturating, R1 every 16th step": {},
        "non-saturating, batch normalisation, no penalty": {
            "r1": 0.0,
            "discriminator_norm": "batch",
        },
        "WGAN-GP, 2 critic turns, 5e-4": {
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
PRESET_ADAM = {"b1": 0.5, "b2": 0.999, "discriminator_lr": 1e-3, "generator_lr": 1e-3}


def _preset(name: str, flags: Mapping[str, Any]) -> Row:
    config = mnist.Config(data="mnist", num_steps=PRESET_STEPS[-1], **{**PRESET_ADAM, **flags})
    experiment = mnist.make(config, config.load_data())
    fid = {"fid": experiment.evaluation.metrics["fid"]}
    evaluation = experiment.evaluation._replace(metrics=fid)
    evaluate = evaluator(experiment.game, evaluation, num_samples=10_000)
    by_step = {}

    def callback(step: int, state: TrainState, _: Any) -> None:
        if step in PRESET_STEPS:
            by_step[step] = evaluate(state)["fid_mnist_classifier"]

    trained(experiment, config, [callback])
    value = ", ".join(f"{record.value:.3g} after {step}" for step, record in by_step.items())
    floor = by_step[PRESET_STEPS[-1]].floor
    records = [{"step": step} | dataclasses.asdict(record) for step, record in by_step.items()]
    return Row(name, "none", value, f"0; floor {floor:.2g}", records)


def trained(experiment: Any, config: Any, callbacks: Sequence[Any] = ()) -> TrainState:
    """Final state of an experiment, trained without a run directory."""
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
