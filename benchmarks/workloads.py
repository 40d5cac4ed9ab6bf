"""Workloads of the benchmarks: games with jaxgan's layers or with flax's own.

| workload | networks | batch |
|---|---|---|
| W1 | MLP GAN on 28 x 28: G 100-256-512-1024-784, D 784-512-256-1 | 128 |
| W2 | DCGAN on 28 x 28 x 1, 5 x 5: G 7x7x256, 128, 64 (stride 2), 1 (stride 2); D 64, 128 | 128 |
| W3 | DCGAN on 64 x 64 x 3, 4 x 4 kernels, 64 features, four levels | 64 |
| W4-GP, W4-R1 | W2 with a gradient penalty at every step (W4-GP: Wasserstein loss) | 128 |
| W5-1, W5-4 | CycleGAN on 64 x 64 x 3: two residual generators, 32 features, 6 blocks | 1, 4 |

A step is one turn of the discriminator and one of the generator, with the same fakes and
Adam(2e-4, b1 0.5) in float32; batch normalisation is in training mode, in W2 in the generator only.
The step of W5 is the turn of the two generators only, with least-squares, cycle and identity terms.
"""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxgan
from jaxgan import LossAux, latents, losses, networks, penalties
from jaxgan.game import own_gradient

LATENT = 100
LEAK = 0.2


class Layers(NamedTuple):
    """Layers: `conv(features, taps, stride)`, `conv_transpose(...)`, `batch_norm(x, train)`."""

    conv: Any
    conv_transpose: Any
    batch_norm: Any


OURS = Layers(
    conv=lambda n, k, s: networks.Conv(n, (k, k), s),
    conv_transpose=lambda n, k, s: networks.ConvTranspose(n, (k, k), s),
    batch_norm=lambda x, train: networks.BatchNorm()(x, train=train),
)
PLAIN = Layers(
    conv=lambda n, k, s: nn.Conv(n, (k, k), s),
    conv_transpose=lambda n, k, s: nn.ConvTranspose(n, (k, k), (s, s)),
    batch_norm=lambda x, train: nn.BatchNorm(not train, momentum=0.9)(x),
)


class ConvGenerator(nn.Module):
    """Generator: dense to `base`, then transposed convolutions `(features, taps, stride)`."""

    layers: Layers
    base: tuple[int, int, int]
    stack: tuple[tuple[int, int, int], ...]

    @nn.compact
    def __call__(self, z, *, train: bool):
        x = nn.Dense(int(np.prod(self.base)))(z).reshape(-1, *self.base)
        x = nn.relu(self.layers.batch_norm(x, train))
        for features, taps, stride in self.stack[:-1]:
            x = self.layers.conv_transpose(features, taps, stride)(x)
            x = nn.relu(self.layers.batch_norm(x, train))
        return jnp.tanh(self.layers.conv_transpose(*self.stack[-1])(x))


class ConvDiscriminator(nn.Module):
    """Discriminator: convolutions `(features, taps, stride)`, then a dense layer to one logit."""

    layers: Layers
    stack: tuple[tuple[int, int, int], ...]
    batch_norm: bool

    @nn.compact
    def __call__(self, x, *, train: bool):
        for level, (features, taps, stride) in enumerate(self.stack):
            x = self.layers.conv(features, taps, stride)(x)
            if self.batch_norm and level:
                x = self.layers.batch_norm(x, train)
            x = nn.leaky_relu(x, LEAK)
        return nn.Dense(1)(x.reshape(x.shape[0], -1))[:, 0]


class Workload(NamedTuple):
    """Sizes of a GAN workload, shared by the JAX and the PyTorch implementation.

    Attributes:
      image: `(height, width, channels)`.
      batch: examples per step.
      base: shape of the output of the generator's dense layer; `None` for the MLPs.
      generator: transposed convolutions of the generator, `(features, taps, stride)` each.
      discriminator: convolutions of the discriminator, `(features, taps, stride)` each.
      batch_norm: whether the discriminator has batch normalisation too.
      penalty: gradient penalty, `None`, `"gp"` or `"r1"`.
    """

    image: tuple[int, int, int]
    batch: int
    base: tuple[int, int, int] | None = None
    generator: tuple[tuple[int, int, int], ...] = ()
    discriminator: tuple[tuple[int, int, int], ...] = ()
    batch_norm: bool = False
    penalty: str | None = None

    @property
    def has_plain(self) -> bool:
        """Whether flax's own layers give a different program."""
        return self.base is not None

    @property
    def compiles(self) -> bool:
        """Whether `torch.compile` supports it: it has no double backward."""
        return self.penalty is None


class Translation(NamedTuple):
    """Sizes of a CycleGAN workload, the turn of the generators."""

    batch: int
    side: int = 64
    features: int = 32
    num_blocks: int = 6
    has_plain = False
    compiles = True


W2 = Workload(
    (28, 28, 1), 128, (7, 7, 256), ((128, 5, 1), (64, 5, 2), (1, 5, 2)), ((64, 5, 2), (128, 5, 2))
)
WORKLOADS = {
    "W1": Workload((28, 28, 1), 128),
    "W2": W2,
    "W3": Workload(
        (64, 64, 3),
        64,
        (4, 4, 512),
        ((256, 4, 2), (128, 4, 2), (64, 4, 2), (3, 4, 2)),
        ((64, 4, 2), (128, 4, 2), (256, 4, 2), (512, 4, 2)),
        batch_norm=True,
    ),
    "W4-GP": W2._replace(penalty="gp"),
    "W4-R1": W2._replace(penalty="r1"),
    "W5-1": Translation(batch=1),
    "W5-4": Translation(batch=4),
}
MLP_GENERATOR, MLP_DISCRIMINATOR = (256, 512, 1024), (512, 256)


def make_networks(workload: Workload, layers: Layers) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator."""
    if workload.base is None:
        generator = networks.MLP(
            MLP_GENERATOR, output_shape=workload.image, output_activation=jnp.tanh
        )
        return generator, networks.MLP(MLP_DISCRIMINATOR)
    generator = ConvGenerator(layers, workload.base, workload.generator)
    return generator, ConvDiscriminator(layers, workload.discriminator, workload.batch_norm)


def make_step(workload: Workload | Translation, layers: Layers, *, share_minibatches: bool = True):
    """`step()`, which runs one training step and waits for it, and the FLOPs of the step."""
    if isinstance(workload, Translation):
        return _make_translation_step(workload)
    generator, discriminator = make_networks(workload, layers)
    penalty = {
        None: None,
        "gp": penalties.weighted((10.0, penalties.wgan_gp)),
        "r1": penalties.weighted((10.0, penalties.r1)),
    }[workload.penalty]
    game = jaxgan.gan(
        jaxgan.from_linen(generator),
        jaxgan.from_linen(discriminator),
        latent=latents.normal(LATENT),
        loss=losses.wasserstein() if workload.penalty == "gp" else losses.non_saturating(),
        penalty=penalty,
    )
    adam = optax.adam(2e-4, b1=0.5)
    algorithm = jaxgan.jit(
        jaxgan.alternating(
            game, {"discriminator": adam, "generator": adam}, share_minibatches=share_minibatches
        )
    )
    shape = (algorithm.num_minibatches, workload.batch, *workload.image)
    batches = {"image": np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)}
    key = jax.random.key(0)
    state = algorithm.init(key, {"image": batches["image"][0]})
    flops = algorithm.update.lower(state, batches, key).compile().cost_analysis()["flops"]

    def step():
        nonlocal state
        state, metrics = algorithm.update(state, batches, key)
        jax.block_until_ready(state)
        return metrics

    return step, flops


CYCLE, IDENTITY = 10.0, 5.0


def _make_translation_step(workload: Translation):
    generator = networks.ResNetGenerator(3, workload.features, workload.num_blocks)
    discriminator = networks.PatchDiscriminator(workload.features, norm="instance")
    shape = (workload.batch, workload.side, workload.side, 3)
    real = np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 4)
    params = {
        "generators": [jax.jit(generator.init)(key, real[0])["params"] for key in keys[:2]],
        "discriminators": [
            jax.jit(partial(discriminator.init, train=True))(key, real[0])["params"]
            for key in keys[2:]
        ],
    }
    adam = optax.adam(2e-4, b1=0.5)
    opt_state = adam.init(params["generators"])

    def loss(params, model_state, batch, key, step):
        to_b, to_a = (partial(generator.apply, {"params": p}) for p in params["generators"])
        d_a, d_b = (
            partial(discriminator.apply, {"params": p}, train=True)
            for p in params["discriminators"]
        )
        a, b = batch["image"]
        fake_b, fake_a = to_b(a), to_a(b)
        distance = lambda x, y: jnp.mean(jnp.abs(x - y))
        value = jnp.mean((d_b(fake_b) - 1.0) ** 2) + jnp.mean((d_a(fake_a) - 1.0) ** 2)
        value += CYCLE * (distance(to_a(fake_b), a) + distance(to_b(fake_a), b))
        value += IDENTITY * (distance(to_a(a), a) + distance(to_b(b), b))
        return value, LossAux({}, {})

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(params, opt_state, batch):
        (value, _), gradient = own_gradient(loss, "generators", params, {}, batch, keys[0], 0)
        updates, opt_state = adam.update(gradient, opt_state)
        own = optax.apply_updates(params["generators"], updates)
        return {**params, "generators": own}, opt_state, value

    batch = {"image": real}
    flops = update.lower(params, opt_state, batch).compile().cost_analysis()["flops"]

    def step():
        nonlocal params, opt_state
        params, opt_state, value = update(params, opt_state, batch)
        return value.block_until_ready()

    return step, flops
