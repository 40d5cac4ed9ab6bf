"""Registry of the games and training algorithms for which the contract holds.

An entry adds its tests. Sizes are the smallest that exercise every part.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jaxgan
from jaxgan import (
    Game,
    TrainingAlgorithm,
    corruptions,
    latents,
    losses,
    metrics,
    networks,
    penalties,
    schedules,
)
from jaxgan.augment import Augmentation, ada, diff_augment, instance_noise
from jaxgan.parallel import axis

BATCH = 8
LATENT = latents.normal(3)
SGD = {"discriminator": optax.sgd(0.05), "generator": optax.sgd(0.05)}
ADAM = {"discriminator": optax.adam(1e-3, b1=0.5), "generator": optax.adam(1e-3, b1=0.5)}


@dataclasses.dataclass(frozen=True)
class Case:
    """A game, its training algorithm, and which of the contract's properties it has.

    Attributes:
      game, optimizers, turns, ema, one_stage, accumulate: of the algorithm; SGD by default.
      play: `(game, optimizers) -> algorithm`, of one that is not alternating.
      sample_depends_on_key, step_depends_on_key: whether samples and training use randomness.
      pmap_is_one_device: false if randomness or batch statistics belong to the device under `pmap`,
        as in modules of other libraries. (Under `sharded` there is one program.)
      rate: learning rate of SGD.
    """

    game: Game
    optimizers: dict[str, optax.GradientTransformation] | None = None
    turns: tuple[str | tuple[str, ...], ...] | None = None
    ema: dict[str, float] | None = None
    one_stage: bool = False
    accumulate: int = 1
    play: Callable[..., TrainingAlgorithm] | None = None
    sample_depends_on_key: bool = True
    step_depends_on_key: bool = True
    pmap_is_one_device: bool = True
    rate: float = 0.05

    def __post_init__(self) -> None:
        if self.optimizers is None:
            sgd = dict.fromkeys(self.game.losses, optax.sgd(self.rate))
            object.__setattr__(self, "optimizers", sgd)

    @property
    def algorithm(self) -> TrainingAlgorithm:
        if self.play is not None:
            return self.play(self.game, self.optimizers)
        options = {"ema": self.ema, "accumulate": self.accumulate}
        if self.one_stage:
            return jaxgan.one_stage(self.game, self.optimizers, **options)
        return jaxgan.alternating(self.game, self.optimizers, turns=self.turns, **options)

    @property
    def with_sgd(self) -> "Case":
        """SGD shows a wrong scale of the gradients, which Adam would hide."""
        return dataclasses.replace(self, optimizers=None)


def minibatches(start: int, count: int) -> dict[str, np.ndarray]:
    """Uniform noise as images, and labels: minibatches number `start` to `start + count - 1`."""
    rngs = [np.random.default_rng(number) for number in range(start, start + count)]
    noise = lambda: np.stack([rng.uniform(-1, 1, (BATCH, 8, 8, 1)) for rng in rngs]).astype("f4")
    images = {"image": noise()}
    labels = {"label": np.stack([rng.integers(0, 3, BATCH) for rng in rngs]).astype("i4")}
    return images | labels | {name: noise() for name in ("source", "target", "x", "y")}


def minibatch() -> dict[str, np.ndarray]:
    """The first minibatch, leaves `[batch, ...]`."""
    return jax.tree.map(lambda x: x[0], minibatches(0, 1))


def mlp_generator(**kwargs) -> jaxgan.Network:
    return jaxgan.from_linen(
        networks.MLP((16,), output_shape=(8, 8, 1), output_activation=jnp.tanh, **kwargs)
    )


def mlp_discriminator(**kwargs) -> jaxgan.Network:
    return jaxgan.from_linen(networks.MLP((16,), **kwargs))


def mlp_gan(**kwargs) -> Game:
    return jaxgan.gan(mlp_generator(), mlp_discriminator(), latent=LATENT, **kwargs)


def dcgan(*, side: int = 8, batch_norm: bool = True, classes: int | None = None, **kwargs) -> Game:
    return jaxgan.gan(
        jaxgan.from_linen(networks.DCGANGenerator((side, side, 1), 4, num_classes=classes)),
        jaxgan.from_linen(networks.DCGANDiscriminator(4, batch_norm, num_classes=classes)),
        latent=LATENT,
        conditions=() if classes is None else ("label",),
        **kwargs,
    )


def cyclegan(**kwargs) -> Game:
    # Without instance normalisation, which amplifies the rounding of maps that are nearly constant,
    # as they often are in networks as small as these.
    generator = jaxgan.from_linen(networks.UNetGenerator(1, 2, dropout=0.0, norm="none"))
    discriminator = jaxgan.from_linen(networks.PatchDiscriminator(2, 1, norm="none"))
    return jaxgan.cyclegan(
        {"x2y": generator, "y2x": generator},
        {"x": discriminator, "y": discriminator},
        **{"pool_size": 3, **kwargs},
    )


def mlp_coder(*output_shape: int, **kwargs) -> jaxgan.Network:
    return jaxgan.from_linen(networks.MLP((16,), output_shape=output_shape, **kwargs))


def vae(**kwargs) -> Game:
    return jaxgan.vae(mlp_coder(2, 3), mlp_coder(8, 8, 1), **kwargs)


class Normalized(nn.Module):
    """One hidden layer with batch normalisation: any network of any game, cheap to compile."""

    output_shape: tuple[int, ...] = ()
    bounded: bool = False
    with_features: bool = False

    @nn.compact
    def __call__(self, *inputs, train: bool):
        x = jnp.concatenate([x.reshape(x.shape[0], -1) for x in inputs], axis=1)
        h = nn.relu(networks.BatchNorm()(nn.Dense(8)(x), train=train))
        y = nn.Dense(math.prod(self.output_shape))(h).reshape(-1, *self.output_shape)
        y = jnp.tanh(y) if self.bounded else y
        return (y, h) if self.with_features else y


def normalized(*output_shape: int, **kwargs) -> jaxgan.Network:
    return jaxgan.from_linen(Normalized(output_shape, **kwargs))


def normalized_generator() -> jaxgan.Network:
    return normalized(8, 8, 1, bounded=True)


def normalized_gan() -> Game:
    return jaxgan.gan(normalized_generator(), normalized(), latent=LATENT)


def adaptive_brightness() -> Augmentation:
    """An augmentation with state: its strength follows the sign of the discriminator's logits."""

    def apply(strength, key, images, step):
        keys = axis.example_keys(key, images.shape[0])
        shift = jax.vmap(lambda key: jax.random.uniform(key, images.shape[1:2]))(keys)
        return images + strength * shift.reshape(-1, images.shape[1], 1, 1)

    def update(strength, real_logits, batch_size):
        return strength + 0.1 + 0.1 * axis.mean(jnp.mean(jnp.tanh(real_logits)))

    return Augmentation(lambda: jnp.zeros(()), apply, update)


def infogan() -> Game:
    """InfoGAN with what else follows the step: the loss, the noise, the weight of a term."""
    codes = latents.Codes(2, categorical=(3,), continuous=1)
    information = penalties.mutual_information(codes)
    fraction = schedules.cosine(1.0, 0.5, 4)
    return jaxgan.gan(
        mlp_generator(),
        networks.with_head(normalized(with_features=True), mlp_coder(codes.num_outputs)),
        latent=codes,
        loss=lambda step: losses.top_k(losses.non_saturating(), fraction(step)),
        # With a large sigma, since the quotient amplifies rounding by its inverse.
        penalty=penalties.weighted(
            (1.0, information), (0.1, partial(penalties.approximate_r1, sigma=1.0))
        ),
        generator_penalty=penalties.weighted(
            (1.0, information), (schedules.cosine(1e-2, 0.0, 4), penalties.orthogonal())
        ),
        augment=instance_noise(optax.linear_schedule(0.1, 0.0, 4)),
    )


class NnxDiscriminator(nnx.Module):
    """Batch statistics and dropout of another library."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(64, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.logit = nnx.Linear(16, 1, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.hidden(x.reshape(x.shape[0], -1))))
        return self.logit(self.dropout(x))[:, 0]


class FlaxBatchNormGenerator(nn.Module):
    """A user's own module, with linen's own layers."""

    @nn.compact
    def __call__(self, z, *, train: bool):
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Dense(16)(z)))
        return jnp.tanh(nn.Dense(64)(x)).reshape(-1, 8, 8, 1)


CASES: dict[str, Callable[[], Case]] = {
    "minimax": lambda: Case(mlp_gan(loss=losses.minimax())),
    "non_saturating_adam_ema": lambda: Case(mlp_gan(), ADAM, ema={"generator": 0.9}),
    "three_discriminator_turns": lambda: Case(
        mlp_gan(), turns=("discriminator", "discriminator", "discriminator", "generator")
    ),
    "simultaneous": lambda: Case(mlp_gan(), turns=(("discriminator", "generator"),)),
    "generator_first": lambda: Case(mlp_gan(), turns=("generator", "discriminator")),
    "wgan_gp": lambda: Case(
        mlp_gan(loss=losses.wasserstein(), penalty=penalties.weighted((10.0, penalties.wgan_gp))),
        turns=("discriminator", "discriminator", "generator"),
    ),
    "relativistic_r1_r2": lambda: Case(
        mlp_gan(
            loss=losses.relativistic_paired(),
            penalty=penalties.weighted((0.5, penalties.r1), (0.5, penalties.r2)),
        )
    ),
    "relativistic_average": lambda: Case(mlp_gan(loss=losses.relativistic_average())),
    "hinge_dragan": lambda: Case(
        mlp_gan(loss=losses.hinge(), penalty=penalties.weighted((10.0, penalties.dragan)))
    ),
    "least_squares_lazy_r1": lambda: Case(
        mlp_gan(
            loss=losses.least_squares(),
            penalty=penalties.lazily(
                penalties.weighted((optax.linear_schedule(1.0, 0.1, 10), penalties.r1)), every=2
            ),
        )
    ),
    "lecam": lambda: Case(mlp_gan(penalty=penalties.weighted((0.3, penalties.lecam(0.9))))),
    "path_length": lambda: Case(
        mlp_gan(
            penalty=penalties.weighted((0.3, penalties.lecam(0.9)), (1.0, penalties.r1)),
            generator_penalty=penalties.weighted(
                (2.0, penalties.lazily(penalties.path_length(0.9), every=2))
            ),
        )
    ),
    "diff_augment": lambda: Case(mlp_gan(augment=diff_augment())),
    "adaptive_augmentation": lambda: Case(mlp_gan(augment=adaptive_brightness())),
    "ada": lambda: Case(
        jaxgan.gan(
            mlp_generator(),
            mlp_discriminator(output_activation=lambda logits: logits + 1.0),  # overfits at once
            latent=LATENT,
            augment=ada(images=20, interval=1),
        )
    ),
    "consistent": lambda: Case(
        mlp_gan(
            penalty=penalties.weighted(
                (1.0, penalties.consistency(diff_augment(("translation",)))),
                (1.0, penalties.consistency(diff_augment(("translation",)), of="fake")),
                (1.0, penalties.latent_consistency()),
            ),
            generator_penalty=penalties.weighted(
                (0.5, penalties.latent_diversity()), (0.1, penalties.mode_seeking())
            ),
        )
    ),
    "acgan": lambda: Case(
        jaxgan.gan(
            normalized_generator(),
            networks.with_head(normalized(with_features=True), mlp_coder(3)),
            latent=LATENT,
            conditions=("label",),
            penalty=penalties.auxiliary_classifier(),
            generator_penalty=penalties.auxiliary_classifier(of=("fake",)),
        )
    ),
    "infogan": lambda: Case(infogan(), rate=0.01),  # difference quotients amplify rounding
    "one_stage_with_state": lambda: Case(
        mlp_gan(
            penalty=penalties.lecam(0.9),
            generator_penalty=penalties.path_length(0.9),
            augment=adaptive_brightness(),
        ),
        one_stage=True,
    ),
    "dcgan": lambda: Case(dcgan(), ADAM, ema={"generator": 0.9}),
    "conditional_dcgan": lambda: Case(dcgan(classes=3)),
    "dcgan_r1": lambda: Case(
        dcgan(batch_norm=False, penalty=penalties.weighted((1.0, penalties.r1)))
    ),
    "one_stage_relativistic_average_r1": lambda: Case(
        dcgan(
            batch_norm=False,
            classes=3,
            loss=losses.relativistic_average(),
            penalty=penalties.weighted((1.0, penalties.r1)),
            one_pass=True,
        ),
        one_stage=True,
    ),
    "conditional_maxout_dropout": lambda: Case(
        jaxgan.gan(
            mlp_generator(num_classes=3),
            jaxgan.from_linen(networks.MaxoutMLP((8,), pieces=2, num_classes=3)),
            latent=latents.uniform(3),
            conditions=("label",),
        )
    ),
    "sngan": lambda: Case(
        jaxgan.gan(
            jaxgan.from_linen(networks.SNGANGenerator((8, 8, 1), 2, num_classes=3)),
            jaxgan.from_linen(networks.SNGANDiscriminator(2, num_classes=3)),
            latent=LATENT,
            loss=losses.hinge(),
            conditions=("label",),
        ),
        rate=0.002,
    ),
    "biggan": lambda: Case(
        jaxgan.gan(
            jaxgan.from_linen(
                networks.BigGANGenerator((8, 8, 1), 2, embedding=2, attention=8, num_classes=3)
            ),
            jaxgan.from_linen(networks.BigGANDiscriminator(2, attention=4, num_classes=3)),
            latent=LATENT,
            loss=losses.hinge(),
            conditions=("label",),
        ),
        rate=0.002,
    ),
    "r3gan": lambda: Case(
        jaxgan.gan(
            jaxgan.from_linen(networks.R3GANGenerator((8, 8, 1), 2, blocks=1, group_size=4)),
            jaxgan.from_linen(networks.R3GANDiscriminator(2, blocks=1, group_size=4)),
            latent=LATENT,
            loss=losses.relativistic_paired(),
            penalty=penalties.weighted((0.5, penalties.r1), (0.5, penalties.r2)),
        )
    ),
    "stylegan2": lambda: Case(
        jaxgan.gan(
            jaxgan.from_linen(networks.StyleGAN2Generator((8, 8, 1), 2, style=4, mapping_layers=1)),
            jaxgan.from_linen(networks.StyleGAN2Discriminator(2)),
            latent=LATENT,
            generator_penalty=penalties.weighted((2.0, penalties.path_length(0.9))),
        ),
        rate=0.003,
    ),
    "fastgan": lambda: Case(
        jaxgan.gan(
            jaxgan.from_linen(networks.FastGANGenerator((8, 8, 1), 2)),
            jaxgan.from_linen(networks.FastGANDiscriminator(2)),
            latent=LATENT,
            loss=losses.hinge(),
            penalty=penalties.reconstruction(),
            augment=diff_augment(),
        ),
        rate=2e-4,  # spectral normalisation divides kernels, and multiplies gradients
    ),
    "pix2pix": lambda: Case(
        jaxgan.pix2pix(
            jaxgan.from_linen(networks.UNetGenerator(1, features=2)),
            jaxgan.from_linen(networks.PatchDiscriminator(2, num_layers=1)),
            noise_channels=1,
            stochastic=True,
        ),
        rate=0.002,
    ),
    "cyclegan": lambda: Case(
        cyclegan(),
        {
            "discriminators": optax.sgd(0.05),
            "generators": optax.sgd(schedules.constant_then_linear(0.05, constant=2, decay=4)),
        },
        turns=("generators", "discriminators"),
        sample_depends_on_key=False,
        rate=0.02,
    ),
    "autoencoder_adam_ema": lambda: Case(
        jaxgan.autoencoder(mlp_coder(3), mlp_generator()),
        {"autoencoder": optax.adam(1e-3)},
        ema={"autoencoder": 0.9},
        sample_depends_on_key=False,
        step_depends_on_key=False,
    ),
    "denoising_autoencoder": lambda: Case(
        jaxgan.autoencoder(
            mlp_generator(),
            error=losses.absolute_error,
            corruption=corruptions.gaussian_noise(0.5),
        ),
    ),
    "vae_free_bits": lambda: Case(
        vae(
            num_samples=2,
            beta=optax.linear_schedule(0.5, 1.0, 4),
            free_bits=0.1,
            observe=corruptions.binarized(),
        ),
        rate=1e-3,  # the losses of VAEs are sums over pixels
    ),
    "vae_importance_weighted": lambda: Case(
        jaxgan.vae(
            jaxgan.from_linen(networks.DCGANEncoder((2, 3), 4)),
            jaxgan.from_linen(networks.DCGANGenerator((8, 8, 1), 4)),
            likelihood=losses.gaussian(),
            num_samples=2,
            bound="importance_weighted",
        ),
        rate=1e-3,
    ),
    "vae_gan": lambda: Case(
        jaxgan.vae_gan(
            jaxgan.from_linen(networks.DCGANEncoder((2, 3), 4)),
            jaxgan.from_linen(networks.DCGANGenerator((8, 8, 1), 4)),
            jaxgan.from_linen(networks.DCGANDiscriminator(4, with_features=True)),
            gamma=0.1,
        ),
        turns=(("encoder", "decoder", "discriminator"),),
        rate=0.01,
    ),
    "adversarial_autoencoder": lambda: Case(
        jaxgan.adversarial_autoencoder(
            mlp_coder(3), mlp_generator(), mlp_discriminator(), latent=LATENT
        ),
    ),
    "bigan": lambda: Case(
        jaxgan.bigan(
            mlp_coder(3),
            mlp_generator(),
            jaxgan.from_linen(networks.JointMLP((16,))),
            latent=LATENT,
        ),
        turns=("discriminator", ("generator", "encoder")),
    ),
    "accumulated": lambda: Case(
        jaxgan.gan(normalized_generator(), mlp_discriminator(), latent=LATENT), accumulate=2
    ),
    "accumulated_turns": lambda: Case(
        jaxgan.gan(
            networks.remat(normalized_generator()),
            jaxgan.from_linen(networks.MaxoutMLP((8,), pieces=2)),
            latent=LATENT,
            penalty=penalties.weighted((0.3, penalties.lecam(0.9))),
        ),
        turns=("discriminator", "discriminator", "generator"),
        ema={"generator": 0.9},
        accumulate=2,
    ),
    "accumulated_one_stage": lambda: Case(mlp_gan(), one_stage=True, accumulate=2),
    "accumulated_cyclegan": lambda: Case(
        cyclegan(),
        turns=(("discriminators", "generators"),),
        sample_depends_on_key=False,
        accumulate=2,
        rate=0.02,
    ),
    "flax_linen_and_nnx": lambda: Case(
        jaxgan.gan(
            jaxgan.from_linen(FlaxBatchNormGenerator()),
            jaxgan.from_nnx(lambda rngs: NnxDiscriminator(rngs)),
            latent=latents.truncated_normal(3),
        ),
        pmap_is_one_device=False,
    ),
    "extragradient": lambda: Case(
        mlp_gan(), ADAM, play=partial(jaxgan.extragradient, ema={"generator": 0.9})
    ),
    "extragradient_from_the_past": lambda: Case(
        mlp_gan(), play=partial(jaxgan.extragradient, past=True)
    ),
    "optimistic": lambda: Case(mlp_gan(), ADAM, play=jaxgan.optimistic),
    "negative_momentum": lambda: Case(mlp_gan(), play=jaxgan.negative_momentum),
    "consensus": lambda: Case(normalized_gan(), play=partial(jaxgan.consensus, strength=0.5)),
    "symplectic": lambda: Case(
        mlp_gan(penalty=penalties.weighted((1.0, penalties.r1))), play=jaxgan.symplectic
    ),
    "competitive": lambda: Case(mlp_gan(), play=partial(jaxgan.competitive, step_size=0.05)),
    "unrolled": lambda: Case(normalized_gan(), play=partial(jaxgan.unrolled, num_steps=2)),
    "ode": lambda: Case(
        mlp_gan(),
        play=partial(jaxgan.ode, step_size=0.05, regularization={"discriminator": 0.1}),
    ),
    "lookahead": lambda: Case(
        mlp_gan(), play=lambda *args: jaxgan.lookahead(jaxgan.alternating(*args), every=2)
    ),
    "normalized_gan": lambda: Case(normalized_gan()),
    "normalised_pix2pix": lambda: Case(
        jaxgan.pix2pix(
            normalized_generator(),
            normalized(),
            penalty=penalties.weighted((0.3, penalties.lecam(0.9))),
            noise_channels=1,
        ),
        rate=0.005,
    ),
    "normalized_cyclegan": lambda: Case(
        jaxgan.cyclegan(
            dict.fromkeys(("x2y", "y2x"), normalized_generator()),
            dict.fromkeys(("x", "y"), normalized()),
            pool_size=3,
        ),
        sample_depends_on_key=False,
        rate=0.01,
    ),
    "normalized_autoencoder": lambda: Case(
        jaxgan.autoencoder(normalized(3), normalized_generator()),
        sample_depends_on_key=False,
        step_depends_on_key=False,
    ),
    "normalized_vae": lambda: Case(
        jaxgan.vae(normalized(2, 3), normalized(8, 8, 1)),
        rate=1e-3,
    ),
    "normalized_vae_gan": lambda: Case(
        jaxgan.vae_gan(normalized(2, 3), normalized_generator(), normalized(with_features=True)),
        turns=(("encoder", "decoder", "discriminator"),),
        rate=0.01,
    ),
    "normalized_adversarial_autoencoder": lambda: Case(
        jaxgan.adversarial_autoencoder(
            normalized(3), normalized_generator(), normalized(), latent=LATENT
        ),
    ),
    "normalized_bigan": lambda: Case(
        jaxgan.bigan(normalized(3), normalized_generator(), normalized(), latent=LATENT),
        turns=("discriminator", ("generator", "encoder")),
    ),
}

# The quick suite has a case of each kind, with networks that are compiled quickly; the slow one has
# the others.
QUICK = (
    "minimax",
    "path_length",
    "one_stage_with_state",
    "conditional_maxout_dropout",
    "flax_linen_and_nnx",
    "consensus",
    "normalized_gan",
    "normalised_pix2pix",
    "normalized_cyclegan",
    "normalized_autoencoder",
    "normalized_vae",
)

# Cases whose programs are compiled in several forms: in scans, under vmap, on several devices.
# Batch statistics and dropout; and for the slow suite a case of each other kind of state, loop and
# operation.
TRANSFORMED = (
    "normalized_gan",
    "conditional_maxout_dropout",
)
ALSO_TRANSFORMED = (
    "path_length",
    "dcgan",
    "normalized_cyclegan",
    "wgan_gp",
    "ada",
    "infogan",
    "one_stage_with_state",
    "sngan",
    "r3gan",
    "vae_free_bits",
    "accumulated_turns",
    "extragradient",
    "lookahead",
)


def scores() -> dict[str, float]:
    """Metrics of samples of an untrained game; the same on any number of devices."""
    examples = {"image": np.random.default_rng(0).uniform(-1, 1, (50, 8, 8, 1)).astype("f4")}
    game, key = CASES["dcgan"]().game, jax.random.key(0)
    params, model_state = jax.jit(game.init)(key, examples)
    state = jaxgan.TrainState(jnp.zeros((), jnp.int32), params, model_state, {}, {}, {})
    evaluation = jaxgan.Evaluation(
        {
            "fid": metrics.frechet_distance(),
            "kid": metrics.kernel_distance(),
            "prdc": metrics.precision_recall_density_coverage(),
        },
        examples,
        others=examples,
    )
    records = jaxgan.evaluator(game, evaluation, num_samples=1030)(state)
    floors = {f"{name} floor": record.floor for name, record in records.items()}
    return {name: record.value for name, record in records.items()} | floors
