"""Accumulated gradients, rematerialised activations, and networks that compute in bfloat16."""

import math
from dataclasses import replace
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.extend.core import jaxprs_in_params

import jaxgan
from jaxgan import Game, LossAux, networks, ops, penalties
from jaxgan.game import own_gradient
from jaxgan.parallel import axis
from tests import games

KEY = jax.random.key(5)
MINIBATCHES = {"accumulated_one_stage": 4}  # in a large batch; of other cases 2, to compile less

# Games of which an accumulated step is not the step of the large batch, and why.
BATCH_STATISTICS = {
    "dcgan",
    "conditional_dcgan",
    "dcgan_r1",
    "acgan",
    "infogan",
    "pix2pix",
    "vae_importance_weighted",
    "vae_gan",
    "flax_linen_and_nnx",
    "accumulated",
    "accumulated_turns",
    *(name for name in games.CASES if name.startswith("normalized_")),
}
MEANS_OF_THE_BATCH = {  # in the loss
    "relativistic_average",
    "one_stage_relativistic_average_r1",
    "vae_free_bits",
}
STATE_THAT_FOLLOWS_MINIBATCHES = {  # of a penalty or an augmentation
    "lecam",
    "path_length",
    "adaptive_augmentation",
    "ada",
    "one_stage_with_state",
}
DIFFERENT = BATCH_STATISTICS | MEANS_OF_THE_BATCH | STATE_THAT_FOLLOWS_MINIBATCHES
QUICK = ("accumulated_one_stage",)
SLOW = (
    "conditional_maxout_dropout",  # a latent, a label and masks of each example
    "relativistic_average",
    "wgan_gp",
    "lecam",
    "dcgan_r1",
    "denoising_autoencoder",
    "cyclegan",
    "normalized_gan",
)


def all_cases():
    return [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def large_batches(start, count):
    """Batches of twice the size of those of the tests."""
    batches = games.minibatches(2 * start, 2 * count)
    return jax.tree.map(lambda x: x.reshape(count, 2 * games.BATCH, *x.shape[2:]), batches)


def in_parts(batches, number):
    """Every batch as that number of minibatches, in order."""
    return jax.tree.map(lambda x: x.reshape(number * len(x), -1, *x.shape[2:]), batches)


@pytest.mark.parametrize("name", all_cases())
def test_accumulated_minibatches_are_one_large_batch(name):
    """4 minibatches of 4 are one of 16, with its latents and masks: two steps of SGD."""
    case, number = games.CASES[name]().with_sgd, MINIBATCHES.get(name, 2)
    large, small = (replace(case, accumulate=n).algorithm for n in (1, number))
    assert small.num_minibatches == number * large.num_minibatches
    batches = large_batches(0, large.num_minibatches)
    start = jax.jit(large.init)(KEY, jax.tree.map(lambda x: x[0], batches))
    ends = []
    for algorithm, data in ((large, batches), (small, in_parts(batches, number))):
        state, update = start, jax.jit(algorithm.update)
        for _ in range(2):
            state, metrics = update(state, data, KEY)
        ends.append((state.params, state.model_state, metrics))
    worst = max(
        np.abs(a - b).max() / max(np.abs(a).max(), 1e-2)
        for a, b in zip(*(jax.tree.leaves(jax.device_get(end)) for end in ends), strict=True)
    )
    assert (worst < 2e-6) == (name not in DIFFERENT), worst


def counting_game() -> Game:
    """One player on a number, whose loss is number times image; a state that counts own turns."""

    def loss(params, model_state, batch, key, step):
        rows = axis.global_rows(2)
        state = {"calls": model_state["a"]["calls"] + 1}
        metrics = {"row": rows[0].astype(jnp.float32), "number": jax.random.uniform(key)}
        return params["a"] * jnp.mean(batch["image"]), LossAux(state, metrics)

    init = lambda key, batch: ({"a": jnp.array(1.0)}, {"a": {"calls": jnp.zeros((), jnp.int32)}})
    return Game(init, {"a": loss}, None)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_accumulation_by_hand(backend, monkeypatch):
    """Unrolled on a CPU, in a scan elsewhere: two turns of three minibatches of two rows."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    algorithm = jaxgan.alternating(
        counting_game(), {"a": optax.sgd(0.1)}, turns=["a", "a"], accumulate=3
    )
    assert algorithm.num_minibatches == 6
    state = algorithm.init(KEY, {"image": jnp.zeros(2)})
    batches = {"image": jnp.arange(12.0).reshape(6, 2)}
    update = jax.jit(algorithm.update)
    new, metrics = update(state, batches, KEY)
    first, second = 1.0, 1.0 - 0.1 * np.mean(np.arange(6))
    np.testing.assert_allclose(new.params["a"], second - 0.1 * np.mean(np.arange(6, 12)), rtol=1e-6)
    losses = (first * np.mean(np.arange(6)), second * np.mean(np.arange(6, 12)))
    np.testing.assert_allclose(metrics["a"]["loss"], np.mean(losses), rtol=1e-6)
    assert new.model_state["a"]["calls"] == 6
    assert metrics["a"]["row"] == (0 + 2 + 4) / 3
    assert new.step == 1
    keys = jax.random.split(jax.random.fold_in(KEY, 0), 2)  # one for each turn
    np.testing.assert_allclose(
        metrics["a"]["number"], np.mean([jax.random.uniform(key) for key in keys]), rtol=1e-6
    )
    text = str(jax.make_jaxpr(algorithm.update)(state, batches, KEY))
    assert ("scan[" in text) == (backend == "gpu")


def test_rows_of_minibatches():
    """Of one device, of several, and in functions that were compiled for another minibatch."""
    compiled = jax.jit(lambda: axis.global_rows(3))
    np.testing.assert_array_equal(compiled(), [0, 1, 2])
    for number in (0, 2):
        with axis.minibatch(number):
            np.testing.assert_array_equal(compiled(), 3 * number + np.arange(3))
    mapped = jax.vmap(lambda _: axis.global_rows(2), axis_name=axis.DATA_AXIS)
    with axis.minibatch(2):
        np.testing.assert_array_equal(mapped(jnp.zeros(4)), 16 + np.arange(8).reshape(4, 2))
    np.testing.assert_array_equal(compiled(), [0, 1, 2])


@pytest.mark.parametrize("play", [jaxgan.alternating, jaxgan.simultaneous, jaxgan.one_stage])
@pytest.mark.parametrize("accumulate", [0, 1.5, 2.0])
def test_fewer_than_one_minibatch_or_no_whole_number(play, accumulate):
    message = f"accumulate is {accumulate}, expected a whole number of at least 1"
    with pytest.raises(ValueError, match=message):
        play(games.mlp_gan(), games.SGD, accumulate=accumulate)


# ---- memory of a step


def temporary_bytes(algorithm, size, side=16):
    """Memory of the compiled update beside its arguments and results."""
    image = jax.ShapeDtypeStruct((algorithm.num_minibatches, size, side, side, 3), jnp.float32)
    first = {"image": jax.ShapeDtypeStruct(image.shape[1:], image.dtype)}
    state = jax.eval_shape(algorithm.init, KEY, first)
    update = jax.jit(algorithm.update, donate_argnums=0)
    program = update.lower(state, {"image": image}, KEY).compile()
    return program.memory_analysis().temp_size_in_bytes


def dcgan(side=16, features=8, wrap=lambda network: network):
    return jaxgan.gan(
        wrap(jaxgan.from_linen(networks.DCGANGenerator((side, side, 3), features))),
        wrap(jaxgan.from_linen(networks.DCGANDiscriminator(features))),
        latent=games.LATENT,
    )


@pytest.mark.slow
def test_accumulation_takes_the_memory_of_one_minibatch():
    algorithm = partial(jaxgan.alternating, dcgan(), games.SGD)
    whole = temporary_bytes(algorithm(), 128)
    quarter = temporary_bytes(algorithm(), 32)
    accumulated = temporary_bytes(algorithm(accumulate=4), 32)
    assert quarter < 0.3 * whole
    assert accumulated < 1.25 * quarter


@pytest.mark.slow
def test_rematerialisation_takes_less_memory():
    """For networks of a usual width; in very small ones the convolutions' own memory prevails."""
    plain, rematerialized = (
        temporary_bytes(jaxgan.alternating(dcgan(28, 32, wrap), games.SGD), 64, side=28)
        for wrap in (lambda network: network, networks.remat)
    )
    assert rematerialized < 0.85 * plain


def kept_bytes(network, shape):
    """Bytes per example that a network keeps for its gradient, beside its input."""

    def residuals(size):
        x = jax.ShapeDtypeStruct((size, *shape), jnp.float32)
        params, state = jax.eval_shape(network.init, KEY, x)
        apply = lambda state, key, params, x: network.apply(params, state, x, key=key, train=True)[
            0
        ]
        vjp = lambda state, key, *args: jax.vjp(partial(apply, state, key), *args)[1]
        leaves = jax.tree.leaves(jax.eval_shape(vjp, state, KEY, params, x))
        return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)

    return residuals(2) - residuals(1) - 4 * math.prod(shape)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (networks.DCGANGenerator((16, 16, 3), 8), (5,)),
        (networks.ResNetGenerator(3, 8, 3), (16, 16, 3)),
        (networks.UNetGenerator(3, 8, 4), (16, 16, 3)),
        (networks.PatchDiscriminator(8, 2, "instance"), (32, 32, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_kept_for_the_gradient(module, shape):
    """Half or less; and half of that in bfloat16."""
    plain, rematerialized = (
        kept_bytes(wrap(jaxgan.from_linen(module)), shape) for wrap in (lambda n: n, networks.remat)
    )
    assert rematerialized < 0.5 * plain
    low = kept_bytes(networks.remat(jaxgan.from_linen(module, dtype=jnp.bfloat16)), shape)
    assert low < 0.6 * rematerialized


# ---- gradients of rematerialised networks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("generator", "discriminator"),
    [
        (networks.DCGANGenerator((8, 8, 1), 4), networks.DCGANDiscriminator(4, batch_norm=False)),
        (
            networks.MLP((16,), output_shape=(8, 8, 1)),
            networks.MaxoutMLP((8,), pieces=2),
        ),
    ],
    ids=["dcgan", "maxout"],
)
def test_gradients_of_rematerialised_networks(generator, discriminator):
    """With dropout, batch statistics, and a penalty on the gradient, a second derivative."""
    modules = [jaxgan.from_linen(module) for module in (generator, discriminator)]
    batch, results = games.minibatch(), []
    for wrap in (lambda network: network, networks.remat):
        game = jaxgan.gan(
            *map(wrap, modules),
            latent=games.LATENT,
            penalty=penalties.weighted((1.0, penalties.r1)),
        )
        params, state = jax.jit(game.init)(KEY, batch)

        @jax.jit
        def gradients(params, state, game=game):
            gradient = lambda name: own_gradient(
                game.losses[name], name, params, state, batch, KEY, 0
            )
            return {name: gradient(name) for name in game.losses}

        results.append(jax.device_get(gradients(params, state)))
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * max(np.abs(a).max(), 1e-2))


def test_what_comes_after_is_unchanged():
    """Bit for bit, of any dtype; and it waits: without the earlier value there is none."""
    tree = {"x": jnp.array([-0.0, 1.5]), "i": jnp.arange(3), "key": jax.random.split(KEY, 2)}
    result = jax.jit(ops.after)({"a": jnp.ones(3), "n": jnp.arange(2)}, tree)
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x, result["x"]), tree["x"], strict=True)
    assert np.signbit(result["x"][0])
    np.testing.assert_array_equal(result["i"], tree["i"])
    np.testing.assert_array_equal(*map(jax.random.key_data, (result["key"], tree["key"])))
    lost = ops.after(jnp.array([np.nan, 1.0]), tree)
    assert not np.any(lost["x"])
    np.testing.assert_array_equal(ops.after({}, tree["i"]), tree["i"])


# ---- bfloat16

X, Z, LABEL = (2, 16, 16, 3), (2, 5), jnp.array([0, 1])
MODULES = {
    "DCGANGenerator": (
        networks.DCGANGenerator((16, 16, 3), 4, num_classes=2, dense_features=6),
        (Z, LABEL),
    ),
    "DCGANDiscriminator": (
        networks.DCGANDiscriminator(4, num_classes=2, dense_features=6),
        (X, LABEL),
    ),
    "DCGANEncoder": (networks.DCGANEncoder((2, 3), 4), (X,)),
    "MLP": (networks.MLP((8, 8), (3,), num_classes=2), (Z, LABEL)),
    "MaxoutMLP": (networks.MaxoutMLP((8,), pieces=2, num_classes=2), (X, LABEL)),
    "JointMLP": (networks.JointMLP((8, 8)), (X, Z)),
    "ConvClassifier": (networks.ConvClassifier(features=4), (X,)),
    "UNetGenerator": (networks.UNetGenerator(3, 2, 4), (X,)),
    "ResNetGenerator": (networks.ResNetGenerator(3, 2, 1), (X,)),
    "PatchDiscriminator": (networks.PatchDiscriminator(2, 1), (X, X)),
}
PRODUCTS = {"jaxgan_conv", "jaxgan_conv_input_gradient", "dot_general"}
LOGITS = {"DCGANDiscriminator", "DCGANEncoder", "MaxoutMLP", "ConvClassifier"}  # in float32


@pytest.mark.parametrize("name", MODULES)
def test_networks_compute_in_bfloat16_and_keep_float32(name):
    """All products but those to the logits have bfloat16 factors, and all sums are in float32."""
    module, shapes = MODULES[name]
    inputs = [jnp.zeros(shape) if isinstance(shape, tuple) else shape for shape in shapes]
    network = jaxgan.from_linen(module, dtype=jnp.bfloat16)
    apply = partial(network.apply, key=KEY, train=True)
    params, state = jax.eval_shape(network.init, KEY, *inputs)
    jaxpr, outputs = jax.make_jaxpr(apply, return_shape=True)(params, state, *inputs)
    assert {leaf.dtype for leaf in jax.tree.leaves((params, state, outputs))} == {
        jnp.dtype(jnp.float32)
    }
    products = [eqn for eqn in equations(jaxpr.jaxpr) if eqn.primitive.name in PRODUCTS]
    low = [eqn for eqn in products if factors(eqn) == {"bfloat16"}]
    assert len(low) == len(products) - (name in LOGITS) > 0
    sums = [eqn for eqn in equations(jaxpr.jaxpr) if eqn.primitive.name == "reduce_sum"]
    assert {dtype for eqn in sums for dtype in factors(eqn)} <= {"float32"}


def equations(jaxpr):
    """All equations, also of functions within."""
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jaxprs_in_params(eqn.params):
            yield from equations(inner)


def factors(eqn):
    return {str(v.aval.dtype) for v in eqn.invars if v.aval.ndim}


def test_modules_without_a_dtype():
    with pytest.raises(ValueError, match="FlaxBatchNormGenerator has no field dtype; give it one"):
        jaxgan.from_linen(games.FlaxBatchNormGenerator(), dtype=jnp.bfloat16)


def test_logits_of_16_bits_are_cast_before_the_loss():
    """Of a discriminator of the user's own, say: the loss and what is logged are float32."""
    network = games.mlp_discriminator()

    def apply(*args, **kwargs):
        logits, state = network.apply(*args, **kwargs)
        return logits.astype(jnp.bfloat16), state

    low = jaxgan.Network(network.init, apply)
    game = jaxgan.gan(games.mlp_generator(), low, latent=games.LATENT)
    params, state = jax.eval_shape(game.init, KEY, games.minibatch())
    for loss in game.losses.values():
        value, aux = jax.eval_shape(loss, params, state, games.minibatch(), KEY, 0)
        assert {x.dtype for x in jax.tree.leaves((value, aux.metrics))} == {jnp.dtype("float32")}
