"""Networks: what they compute, against independent forms of the same."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxgan
from jaxgan import networks
from jaxgan.errors import SizeError
from jaxgan.networks.dcgan import num_levels
from jaxgan.parallel import axis
from tests.support import normal

KEY = jax.random.key(0)


def sharded(f, x, devices):
    """`f` over shares of the batch, as several devices would compute it."""
    shares = x.reshape(devices, -1, *x.shape[1:])
    return jax.jit(jax.vmap(f, axis_name=axis.DATA_AXIS))(shares)


def applied(module, variables, x, **options):
    return jax.jit(partial(module.apply, **options))(variables, x)


# ---- convolution layers


def test_conv_transpose_layer_takes_linen_weights():
    x = normal(2, 5, 5, 3)
    theirs = nn.ConvTranspose(4, (4, 4), (2, 2))
    variables = jax.jit(theirs.init)(KEY, x)
    y = applied(networks.ConvTranspose(4), variables, x)
    np.testing.assert_allclose(y, applied(theirs, variables, x), atol=1e-5)


def test_conv_layer_takes_linen_weights():
    x = normal(2, 7, 6, 3)
    theirs = nn.Conv(4, (4, 4), strides=2)
    variables = jax.jit(theirs.init)(KEY, x)
    y = applied(networks.Conv(4, stride=2), variables, x)
    np.testing.assert_allclose(y, applied(theirs, variables, x), atol=1e-5)


# ---- batch normalisation and dropout


def test_batch_norm_is_linens():
    x = 3.0 + 2.0 * normal(6, 5, 5, 4)
    theirs = nn.BatchNorm(use_running_average=False, momentum=0.9)
    variables = jax.jit(theirs.init)(KEY, x)
    ours = networks.BatchNorm()
    y, updated = applied(ours, variables, x, train=True, mutable="batch_stats")
    expected, their_update = applied(theirs, variables, x, mutable="batch_stats")
    np.testing.assert_allclose(y, expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), updated, their_update)
    evaluated = applied(ours, variables | updated, x, train=False)
    expected = applied(nn.BatchNorm(use_running_average=True), variables | updated, x)
    np.testing.assert_allclose(evaluated, expected, atol=1e-5)


def test_batch_norm_over_devices_is_over_the_global_batch():
    x = normal(8, 3, 3, 2) * np.arange(1, 9, dtype=np.float32).reshape(8, 1, 1, 1)
    norm = networks.BatchNorm()
    variables = jax.jit(partial(norm.init, train=True))(KEY, x)
    run = lambda x: norm.apply(variables, x, train=True, mutable="batch_stats")
    whole, statistics = jax.jit(run)(x)
    shares, of_each = sharded(run, x, 4)
    np.testing.assert_allclose(shares.reshape(x.shape), whole, rtol=1e-4, atol=1e-5)
    for device in range(4):
        jax.tree.map(
            lambda a, b, device=device: np.testing.assert_allclose(a[device], b, rtol=1e-5),
            of_each,
            statistics,
        )


@pytest.mark.parametrize(("levels", "sides"), [(8, (2, 4, 8)), (6, (2,)), (5, ())])
def test_levels_of_the_unet_with_dropout(levels, sides):
    """After the transposed convolutions to 2, 4 and 8 pixels: Isola et al.'s PyTorch code."""
    seen = []

    def record(call, args, kwargs, context):
        if isinstance(context.module, networks.Dropout):
            seen.append(args[0].shape[1])
        return call(*args, **kwargs)

    network = networks.UNetGenerator(1, features=1, num_levels=levels)
    image = jax.ShapeDtypeStruct((1, 2**levels, 2**levels, 1), jnp.float32)
    keys = {"params": KEY, "dropout": KEY}
    with nn.intercept_methods(record):
        jax.eval_shape(lambda x: network.init(keys, x, train=True), image)
    # The innermost goes from 1 to 2 pixels, without dropout; its output is the next level's input.
    assert tuple(side // 2 for side in seen) == sides


def test_dropout_belongs_to_the_example():
    x = np.ones((64, 50), np.float32)
    layer = networks.Dropout(0.25)
    run = lambda x: layer.apply({}, x, train=True, rngs={"dropout": KEY})
    whole = np.asarray(jax.jit(run)(x))
    np.testing.assert_array_equal(sharded(run, x, 8).reshape(x.shape), whole)
    assert set(np.unique(whole)) == {0.0, np.float32(1 / 0.75)}
    assert abs(float((whole == 0).mean()) - 0.25) < 0.03
    assert len(np.unique(np.asarray(whole), axis=0)) == 64
    np.testing.assert_array_equal(layer.apply({}, x, train=False), x)


# ---- architectures


def test_maxout_is_the_maximum_of_affine_pieces():
    module = networks.MaxoutMLP((3,), pieces=4)
    x = normal(5, 2, 2, 1)
    variables = jax.jit(partial(module.init, train=False))(KEY, x)
    params = jax.tree.map(np.asarray, variables["params"])
    flat = x.reshape(5, 4)
    affine = flat @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
    hidden = np.stack([affine[:, 4 * unit : 4 * unit + 4].max(axis=1) for unit in range(3)], axis=1)
    expected = hidden @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]
    np.testing.assert_allclose(
        applied(module, {"params": params}, x, train=False), expected[:, 0], rtol=1e-4
    )


@pytest.mark.parametrize(
    ("size", "levels"), [(8, 1), (14, 1), (28, 2), (32, 3), (48, 3), (64, 4), (96, 4), (256, 6)]
)
def test_dcgan_sizes(size, levels):
    assert num_levels(size, size) == levels
    shape = (size, size, 3)
    generator = jaxgan.from_linen(networks.DCGANGenerator(shape, 2))
    discriminator = jaxgan.from_linen(networks.DCGANDiscriminator(2))

    def play(key):
        z = jax.random.normal(key, (2, 5))
        images, _ = generator.apply(*generator.init(key, z), z, train=False)
        logits, _ = discriminator.apply(*discriminator.init(key, images), images, train=False)
        return images, logits

    images, logits = jax.eval_shape(play, KEY)
    assert images.shape == (2, *shape)
    assert logits.shape == (2,)


@pytest.mark.parametrize("size", [(7, 7), (30, 30), (28, 30), (100, 100)])
def test_dcgan_sizes_that_do_not_halve(size):
    with pytest.raises(ValueError, match=f"DCGAN was given images of {size[0]} x {size[1]}"):
        num_levels(*size)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (networks.MLP((8, 0)), r"features is \(8, 0\), expected at least 1"),
        (networks.MLP((8,), output_shape=(2, 0)), r"output_shape is \(2, 0\)"),
        (networks.MaxoutMLP(pieces=0), "pieces is 0"),
        (networks.DCGANGenerator((8, 8, 1), features=0), "features is 0"),
        (networks.DCGANDiscriminator(features=-1), "features is -1"),
        (networks.DCGANEncoder((0,)), r"output_shape is \(0,\)"),
        (networks.UNetGenerator(num_levels=0), "num_levels is 0"),
        (networks.UNetGenerator(features=0), "features is 0"),
        (networks.ResNetGenerator(features=0), "features is 0"),
        (networks.PatchDiscriminator(features=0), "features is 0"),
        (networks.Dropout(1.0), "dropout is 1.0, expected at least 0 and below 1"),
    ],
)
def test_widths_below_one(module, message):
    """Users of the commands read these lines."""
    shape = (1, 5) if isinstance(module, networks.DCGANGenerator) else (1, 8, 8, 1)
    with pytest.raises(SizeError, match=message) as error:
        jaxgan.from_linen(module).init(KEY, jnp.zeros(shape))
    assert isinstance(error.value, jaxgan.UserError)


def test_dcgan_parameter_count():
    """By hand, for 28 x 28 x 1, 64 features and a latent of 100; kernels 4 x 4."""
    count = lambda params: sum(leaf.size for leaf in jax.tree.leaves(params))
    z, image = jnp.zeros((2, 100)), jnp.zeros((2, 28, 28, 1))
    shapes = jax.eval_shape(
        jaxgan.from_linen(networks.DCGANGenerator((28, 28, 1), 64)).init, KEY, z
    )[0]
    dense = 100 * 7 * 7 * 128 + 7 * 7 * 128
    assert count(shapes) == dense + 2 * 128 + (16 * 128 * 64 + 64) + 2 * 64 + (16 * 64 + 1)
    shapes = jax.eval_shape(jaxgan.from_linen(networks.DCGANDiscriminator(64)).init, KEY, image)[0]
    assert count(shapes) == (16 + 1) * 64 + (16 * 64 * 128 + 128) + 2 * 128 + 7 * 7 * 128 + 1


def test_infogan_parameter_count():
    """By hand, for the networks of the paper's table 1, with codes of 62 + 10 + 2 dimensions."""
    count = lambda module, x: sum(
        leaf.size
        for leaf in jax.tree.leaves(jax.eval_shape(jaxgan.from_linen(module).init, KEY, x)[0])
    )
    generator = networks.DCGANGenerator((28, 28, 1), 64, dense_features=1024)
    hidden, maps = (74 + 1) * 1024 + 2 * 1024, (1024 + 1 + 2) * 7 * 7 * 128
    convolutions = (16 * 128 + 1) * 64 + 2 * 64 + (16 * 64 + 1)
    assert count(generator, jnp.zeros((2, 74))) == hidden + maps + convolutions
    discriminator = networks.DCGANDiscriminator(64, dense_features=1024)
    convolutions = (16 + 1) * 64 + (16 * 64 + 1) * 128 + 2 * 128
    hidden = (7 * 7 * 128 + 1) * 1024 + 2 * 1024
    assert count(discriminator, jnp.zeros((2, 28, 28, 1))) == convolutions + hidden + 1024 + 1
    hidden, outputs = (1024 + 1) * 128 + 2 * 128, (128 + 1) * 12
    assert count(networks.DCGANHead(12), jnp.zeros((2, 1024))) == hidden + outputs


def test_the_normalised_head():
    """By NumPy: dense, batch normalisation with the batch's statistics, leaky ReLU, dense."""
    x = normal(6, 5)
    head = networks.from_linen(networks.DCGANHead(3, features=4))
    params, state = jax.jit(head.init)(KEY, x)
    params = jax.tree.map(lambda p: np.asarray(p) + normal(*p.shape, seed=1), params)
    first, scale, last = (params[name] for name in ("Dense_0", "BatchNorm_0", "Dense_1"))
    hidden = x @ first["kernel"] + first["bias"]
    hidden = (hidden - hidden.mean(axis=0)) / np.sqrt(hidden.var(axis=0) + 1e-5)
    hidden = hidden * scale["scale"] + scale["bias"]
    expected = np.where(hidden > 0, hidden, 0.2 * hidden) @ last["kernel"] + last["bias"]
    outputs, updated = jax.jit(partial(head.apply, train=True))(params, state, x)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert not np.allclose(updated["batch_stats"]["BatchNorm_0"]["mean"], 0.0)


def test_the_dense_layer_gives_the_discriminators_features():
    """By hand, from the features of the network without it."""
    x = normal(3, 8, 8, 1)
    module = networks.DCGANDiscriminator(2, False, with_features=True, dense_features=5)
    variables = jax.jit(partial(module.init, train=False))(KEY, x)
    logits, features = jax.jit(partial(module.apply, train=False))(variables, x)
    plain = networks.DCGANDiscriminator(2, False, with_features=True)
    convolutions = {
        "Conv_0": variables["params"]["Conv_0"],
        "Dense_0": {"kernel": np.zeros((32, 1), "f4"), "bias": np.zeros(1, "f4")},
    }
    _, maps = applied(plain, {"params": convolutions}, x, train=False)
    hidden, output = (variables["params"][name] for name in ("Dense_0", "Dense_1"))
    expected = maps @ hidden["kernel"]  # biases are 0
    expected = np.where(expected > 0, expected, 0.2 * expected)
    np.testing.assert_allclose(features, expected, atol=1e-6)
    np.testing.assert_allclose(logits, (expected @ output["kernel"])[:, 0], atol=1e-6)


def test_dcgan_initialisation():
    module = networks.DCGANGenerator((28, 28, 1), 64)
    params = jax.jit(partial(module.init, train=False))(KEY, jnp.zeros((2, 100)))["params"]
    kernels = [np.ravel(leaf["kernel"]) for leaf in params.values() if "kernel" in leaf]
    assert np.concatenate(kernels).std() == pytest.approx(0.02, rel=0.02)
    assert np.mean(params["BatchNorm_0"]["scale"]) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    "module",
    [
        networks.MLP((4,), num_classes=3),
        networks.MaxoutMLP((4,), num_classes=3),
        networks.DCGANDiscriminator(2, num_classes=3),
    ],
)
def test_labels_matter_and_are_asked_for(module):
    network = jaxgan.from_linen(module)
    x = normal(3, 8, 8, 1)
    labels = jnp.arange(3)
    params, model_state = jax.jit(network.init)(KEY, x, labels)
    logits = jax.jit(lambda y: network.apply(params, model_state, x, y, train=False)[0])
    assert not np.allclose(logits(labels), logits(labels[::-1]))
    with pytest.raises(ValueError, match="num_classes=3 and was called without labels"):
        network.init(KEY, x)
    with pytest.raises(ValueError, match="labels are float32, expected integers 0 to 2"):
        network.init(KEY, x, jnp.float32([0, 1, 2]))
    with pytest.raises(ValueError, match="labels are 1 to 3, expected 0 to 2"):
        network.init(KEY, x, labels + 1)
    unconditional = jaxgan.from_linen(module.clone(num_classes=None))
    with pytest.raises(ValueError, match="called with labels and has no num_classes"):
        jax.eval_shape(unconditional.init, KEY, x, labels)
    out_of_range = np.asarray(logits(labels + 1))  # traced, so that their range is unknown
    np.testing.assert_array_equal(np.isnan(out_of_range), [False, False, True])


def test_bfloat16_computes_and_keeps_float32_outside():
    z, float32 = jnp.zeros((2, 5)), jnp.dtype(jnp.float32)
    for dtype in (jnp.float32, jnp.bfloat16):
        network = jaxgan.from_linen(networks.DCGANGenerator((8, 8, 1), 4, dtype=dtype))
        params, model_state = jax.jit(network.init)(KEY, z)
        assert {leaf.dtype for leaf in jax.tree.leaves((params, model_state))} == {float32}
        output, _ = jax.eval_shape(partial(network.apply, train=True), params, model_state, z)
        assert output.dtype == float32
    lowered = jax.jit(lambda z: network.apply(params, model_state, z, train=False)[0]).lower(z)
    convolutions = [line for line in lowered.as_text().splitlines() if ".convolution" in line]
    assert convolutions
    assert all("f32" not in line and "bf16" in line for line in convolutions)


# ---- adapters for modules of other libraries


class LinenModule(nn.Module):
    """Batch statistics and dropout, from linen's own layers."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(4)(x))
        return nn.Dropout(0.5, deterministic=not train)(x)


class NnxModule(nnx.Module):
    """The same, from nnx's."""

    def __init__(self, rngs):
        self.dense = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.norm(self.dense(x)))


@pytest.mark.parametrize(
    "network", [jaxgan.from_linen(LinenModule()), jaxgan.from_nnx(lambda rngs: NnxModule(rngs))]
)
def test_adapters(network):
    x = normal(16, 3)
    params, model_state = jax.jit(network.init)(KEY, x)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 3 * 4 + 4 + 4 + 4
    assert sum(leaf.size for leaf in jax.tree.leaves(model_state)) == 4 + 4

    apply = jax.jit(network.apply, static_argnames="train")
    first, updated = apply(params, model_state, x, key=KEY, train=True)
    again, _ = apply(params, model_state, x, key=KEY, train=True)
    other, _ = apply(params, model_state, x, key=jax.random.key(5), train=True)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert jax.tree.structure(updated) == jax.tree.structure(model_state)
    assert any(
        not np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(updated), jax.tree.leaves(model_state), strict=True)
    )

    evaluated, kept = apply(params, model_state, x, train=False)
    jax.tree.map(np.testing.assert_array_equal, kept, model_state)
    by_name = jax.tree.map(np.asarray, params)
    (dense,) = (layer for layer in by_name.values() if "kernel" in layer)
    by_hand = x @ dense["kernel"] + dense["bias"]
    np.testing.assert_allclose(evaluated, by_hand / np.sqrt(1 + 1e-5), rtol=1e-4, atol=1e-5)

    # In evaluation mode the output is affine in the kernel: sum_i x_i / sqrt(1 + 1e-5).
    total = lambda p: network.apply(p, model_state, x, train=False)[0].sum()
    of_kernel = next(g for g in jax.tree.leaves(jax.jit(jax.grad(total))(params)) if g.ndim == 2)
    expected = np.broadcast_to(x.sum(axis=0)[:, None], (3, 4)) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(of_kernel, expected, rtol=1e-4)


def test_from_linen_without_a_train_argument():
    network = jaxgan.from_linen(nn.Dense(2))
    params, model_state = network.init(KEY, jnp.ones((1, 3)))
    assert model_state == {}
    train, _ = network.apply(params, {}, jnp.ones((1, 3)), train=True)
    np.testing.assert_array_equal(
        train, network.apply(params, {}, jnp.ones((1, 3)), train=False)[0]
    )


def num_parameters(module, *inputs):
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
    params, _ = jax.eval_shape(networks.from_linen(module).init, jax.random.key(0), *shapes)
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def test_the_papers_translation_networks():
    """Parameters of the authors' reference networks at 256 pixels."""
    image = (1, 256, 256, 3)
    assert num_parameters(networks.ResNetGenerator(), image) == 11_378_179
    assert num_parameters(networks.PatchDiscriminator(norm="instance"), image) == 2_764_737
    assert num_parameters(networks.PatchDiscriminator(), image, image) == 2_768_705


@pytest.mark.parametrize(
    ("num_layers", "field"),
    [
        (0, 1),
        (1, 16),
        (2, 34),
        pytest.param(3, 70, marks=pytest.mark.slow),
        pytest.param(4, 142, marks=pytest.mark.slow),
        pytest.param(5, 286, marks=pytest.mark.slow),
    ],
)
def test_receptive_field_of_a_patch_logit(num_layers, field):
    """A logit in the middle depends on a square of that many pixels."""
    side = 2 * field + 40
    network = networks.from_linen(networks.PatchDiscriminator(1, num_layers, norm="none"))
    x = jnp.ones((1, side, side, 1))
    params, _ = jax.eval_shape(network.init, jax.random.key(0), x)
    params = jax.tree.map(lambda p: jnp.full(p.shape, 1 / p.size), params)

    def middle(x):
        logits, _ = network.apply(params, {}, x, train=True)
        return logits[0, logits.shape[1] // 2, logits.shape[2] // 2]

    rows, columns = np.nonzero(np.asarray(jax.jit(jax.grad(middle))(x))[0, :, :, 0])
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == field


def test_instance_norm_is_by_example_and_channel():
    x = 3.0 + 2.0 * normal(2, 8, 8, 3)
    normalized = jax.jit(networks.InstanceNorm().init_with_output)
    y = np.asarray(normalized(KEY, x)[0])
    np.testing.assert_allclose(np.mean(y, (1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(np.var(y, (1, 2)), 1.0, atol=1e-4)
    alone, _ = normalized(KEY, x[:1, ..., 1:2])
    np.testing.assert_allclose(y[:1, ..., 1:2], alone, atol=1e-6)


def test_sides_that_a_residual_generator_cannot_halve_twice():
    with pytest.raises(ValueError, match="images of 30 x 32; expected sides that 4 divides"):
        networks.ResNetGenerator(3, 4, 1).init(jax.random.key(0), jnp.zeros((1, 30, 32, 3)))


@pytest.mark.parametrize(
    ("flag", "in_training"),
    [
        ("train", True),
        ("training", True),
        ("is_training", True),
        ("deterministic", False),
        ("use_running_average", False),
    ],
)
def test_from_linen_knows_the_names_of_modes(flag, in_training):
    """Batch statistics after one step of momentum 0.9 from 0 are a tenth of the batch's."""
    names = {}
    exec(  # a module whose argument has the name
        f"def call(self, x, {flag}):\n"
        f"    average = {'not ' if in_training else ''}{flag}\n"
        "    return nn.BatchNorm(momentum=0.9, use_running_average=average, name='norm')(x)",
        {"nn": nn},
        names,
    )
    module = type("Module", (nn.Module,), {"__call__": nn.compact(names["call"])})()
    network = jaxgan.from_linen(module)
    x = jnp.array([[1.0], [3.0]])
    params, state = network.init(KEY, x)
    _, unchanged = network.apply(params, state, x, train=False)
    _, updated = network.apply(params, state, x, train=True)
    assert float(unchanged["batch_stats"]["norm"]["mean"][0]) == 0.0
    assert float(updated["batch_stats"]["norm"]["mean"][0]) == pytest.approx(0.2)


def test_from_linen_refuses_modes_of_other_names():
    class Module(nn.Module):
        @nn.compact
        def __call__(self, x, evaluate=True):
            return nn.BatchNorm(use_running_average=evaluate)(x)

    network = jaxgan.from_linen(Module())
    params, state = network.init(KEY, jnp.ones((2, 3)))
    network.apply(params, state, jnp.ones((2, 3)), train=False)
    with pytest.raises(ValueError, match="Module has batch statistics, which differ in training"):
        jax.eval_shape(lambda x: network.apply(params, state, x, train=True), jnp.ones((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize(("num_layers", "least"), [(1, 6), (2, 12), (3, 24), (4, 48)])
def test_images_too_small_for_patches(num_layers, least):
    """One pixel less than the least side leaves no patch: `least` gives one."""
    network = jaxgan.from_linen(networks.PatchDiscriminator(1, num_layers, norm="none"))
    init = lambda side: network.init(KEY, jnp.zeros((1, side, side, 1)))
    with pytest.raises(SizeError, match="are too few for a patch discriminator"):
        init(least - 1)
    params, state = init(least)
    patches, _ = network.apply(params, state, jnp.zeros((1, least, least, 1)), train=False)
    assert patches.shape == (1, 1, 1)
