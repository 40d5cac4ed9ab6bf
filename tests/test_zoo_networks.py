"""Networks of the GANs since 2018: sizes of the published ones, and what they compute."""

import itertools
import json
from collections import Counter
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import networks
from jaxgan.errors import SizeError
from jaxgan.networks import biggan_deep
from jaxgan.networks.gated import SkipExcitation
from jaxgan.networks.residual import DownBlock, UpBlock
from jaxgan.networks.style import StyleLayer, ToImage
from jaxgan.parallel import axis
from tests.support import normal

KEY = jax.random.key(0)
SLOW = pytest.mark.slow
PUBLISHED = json.loads(
    (Path(__file__).parent / "reference_parameters.json").read_text(encoding="utf-8")
)


def shapes_of(module, *inputs):
    """Shapes of the parameters, without computing them."""
    abstract = [jax.ShapeDtypeStruct(s, jnp.float32 if len(s) > 1 else jnp.int32) for s in inputs]
    params, _ = jax.eval_shape(networks.from_linen(module).init, KEY, *abstract)
    return [leaf.shape for leaf in jax.tree.leaves(params)]


def initialized(module, *inputs):
    """A network with normally distributed parameters, also where they start at 0.

    Computed by NumPy: initialisers take longer to compile than all that is tested here.
    """
    network = networks.from_linen(module)
    rng = np.random.default_rng(0)

    def value(path, leaf):
        name = path[-1].key
        if name in ("mean", "var"):
            return np.full(leaf.shape, float(name == "var"), np.float32)
        fan_in = max(np.prod(leaf.shape[:-1]), 1.0) if name == "kernel" else 4.0
        return np.float32(rng.normal(size=leaf.shape) / np.sqrt(fan_in))

    return network, *jax.tree_util.tree_map_with_path(value, variables_of(network, *inputs))


def variables_of(network, *inputs):
    """Shapes of parameters and state."""
    return jax.eval_shape(network.init, KEY, *inputs)


def run(network, params, state, *inputs, train=False):
    """Output and state, compiled: nothing of a small network is worth an operation by itself."""
    apply = lambda *args: network.apply(*args, key=KEY, train=train)
    return jax.jit(apply)(params, state, *inputs)


# ---- sizes of the published networks

SIZES = {
    "cifar10": (32, {"features": 768}, {"features": 512}),
    "ffhq256": (256, {"features": 96}, {"features": 64}),
}


@pytest.mark.parametrize("name", PUBLISHED["networks"])
def test_parameters_are_those_of_the_published_code(name):
    """As many of every shape, up to the order of axes."""
    method, size, *conditional, kind = name.split()
    side, r3gan, stylegan2 = SIZES[size]
    options = {"num_classes": 10} if conditional else {}
    if method == "r3gan":
        latent, options = 64, options | r3gan
        classes = networks.R3GANGenerator, networks.R3GANDiscriminator
    else:
        latent, options = 512, options | stylegan2
        classes = networks.StyleGAN2Generator, networks.StyleGAN2Discriminator
        if size == "cifar10":
            options |= {"mapping_layers": 2} if kind == "generator" else {"residual": False}
    if kind == "generator":
        module, inputs = classes[0]((side, side, 3), **options), [(2, latent)]
    else:
        module, inputs = classes[1](**options), [(2, side, side, 3)]
    shapes = shapes_of(module, *inputs, *([(2,)] if conditional else []))
    sides = [sorted(side for side in shape if side > 1) or [1] for shape in shapes]
    assert Counter(" ".join(map(str, shape)) for shape in sides) == PUBLISHED["networks"][name]


@pytest.mark.parametrize(
    ("generator", "discriminator", "latent", "published"),
    [
        (networks.BigGANGenerator, networks.BigGANDiscriminator, 120, (70_433_988, 87_982_370)),
        (
            networks.BigGANDeepGenerator,
            networks.BigGANDeepDiscriminator,
            128,
            (50_244_484, 34_590_210),
        ),
    ],
)
def test_biggan_of_128_pixels_has_the_published_number_of_parameters(
    generator, discriminator, latent, published
):
    """Those that the tests of google/compare_gan state, for ImageNet."""
    options = {"attention": 64, "num_classes": 1000}
    count = lambda shapes: sum(int(np.prod(shape)) for shape in shapes)
    generator, discriminator = generator((128, 128, 3), **options), discriminator(**options)
    assert count(shapes_of(generator, (2, latent), (2,))) == published[0]
    assert count(shapes_of(discriminator, (2, 128, 128, 3), (2,))) == published[1]


def test_sngan_of_cifar10_by_hand():
    """Miyato et al., table 3: every residual block has two 3 x 3 and, where it must, a 1 x 1."""
    count = lambda shapes: sum(int(np.prod(shape)) for shape in shapes)
    conv = lambda taps, n_in, n_out: taps**2 * n_in * n_out + n_out
    up = 2 * conv(3, 256, 256) + conv(1, 256, 256) + 4 * 256
    generator = shapes_of(networks.SNGANGenerator((32, 32, 3), (256,) * 4), (2, 128))
    assert count(generator) == 129 * 4096 + 3 * up + 2 * 256 + conv(3, 256, 3)
    first = conv(3, 3, 128) + conv(3, 128, 128) + conv(1, 3, 128)
    same = 2 * conv(3, 128, 128)
    discriminator = networks.SNGANDiscriminator((128,) * 4, num_halvings=2)
    expected = first + (same + conv(1, 128, 128)) + 2 * same + 129
    assert count(shapes_of(discriminator, (2, 32, 32, 3))) == expected


# ---- all families: sizes, labels, dtypes, modes

GENERATORS = {
    "sngan": partial(networks.SNGANGenerator, features=4),
    "biggan": partial(networks.BigGANGenerator, features=4),
    "biggan_deep": partial(networks.BigGANDeepGenerator, features=4, embedding=3),
    "r3gan": partial(networks.R3GANGenerator, features=4, max_features=8, group_size=4, blocks=1),
    "stylegan2": partial(
        networks.StyleGAN2Generator, features=4, max_features=8, style=6, mapping_layers=2
    ),
    "fastgan": partial(networks.FastGANGenerator, features=2, max_features=8),
}
DISCRIMINATORS = {
    "sngan": partial(networks.SNGANDiscriminator, features=4),
    "biggan": partial(networks.BigGANDiscriminator, features=4),
    "biggan_deep": partial(networks.BigGANDeepDiscriminator, features=4),
    "r3gan": partial(
        networks.R3GANDiscriminator, features=4, max_features=8, group_size=4, blocks=1
    ),
    "stylegan2": partial(
        networks.StyleGAN2Discriminator, features=4, max_features=8, mapping_layers=2
    ),
    "fastgan": partial(networks.FastGANDiscriminator, features=2, max_features=8),
}


SIDES = [(28, 28, 1), (16, 32, 1), (32, 32, 3)]


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("shape", [(16, 28, 1), *(pytest.param(s, marks=SLOW) for s in SIDES)])
def test_sizes_and_dtypes(name, shape):
    """Sides of 4 to 7 times a power of two, also two that differ; float32 outside of bfloat16."""

    def play(z, label):
        generator = networks.from_linen(GENERATORS[name](shape, num_classes=3), dtype="bfloat16")
        discriminator = networks.from_linen(DISCRIMINATORS[name](num_classes=3), dtype="bfloat16")
        g_variables = generator.init(KEY, z, label)
        images, g_state = generator.apply(*g_variables, z, label, key=KEY, train=True)
        d_variables = discriminator.init(KEY, images, label)
        logits, d_state = discriminator.apply(*d_variables, images, label, key=KEY, train=True)
        return images, logits, (g_variables, d_variables, g_state, d_state)

    z, label = jax.ShapeDtypeStruct((2, 8), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.int32)
    images, logits, variables = jax.eval_shape(play, z, label)
    assert images.shape == (2, *shape)
    if name == "fastgan":  # and a map of logits
        logits, _ = logits
        of_map = {16: 1, 28: 4, 32: 5}
        assert logits.shape == (2, of_map[shape[0]], of_map[shape[1]])
    else:
        assert logits.shape == (2,)
    assert {leaf.dtype for leaf in jax.tree.leaves((images, logits, variables))} == {
        jnp.dtype(jnp.float32)
    }


@pytest.mark.parametrize("name", [name for name in DISCRIMINATORS if name != "fastgan"])
def test_logits_are_affine_in_the_features(name):
    """The last hidden layer: with its bias, it predicts the logits of more examples than it has
    units, and features do not change them."""
    x = normal(32, 8, 8, 1)
    network, params, state = initialized(DISCRIMINATORS[name](with_features=True), x)
    plain = networks.from_linen(DISCRIMINATORS[name]())
    apply = lambda network: jax.jit(partial(network.apply, train=False))(params, state, x)[0]
    (logits, features), without = apply(network), apply(plain)
    np.testing.assert_array_equal(logits, without)
    rows = np.column_stack([features, np.ones(len(x))])
    assert features.shape[1] <= 8
    assert np.std(features, axis=0).max() > 1e-3
    predicted = rows @ np.linalg.lstsq(rows, logits, rcond=1e-6)[0]
    np.testing.assert_allclose(predicted, logits, rtol=0, atol=1e-4 * np.abs(logits).max())


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.slow
def test_labels_matter_and_are_asked_for(name):
    label = jnp.array([2, 0])
    labels = label, jnp.array([2, 1])
    z, x = normal(2, 8), normal(2, 8, 8, 1)
    modules = GENERATORS[name]((8, 8, 1), num_classes=3), DISCRIMINATORS[name](num_classes=3)
    for module, given in zip(modules, (z, x), strict=True):
        network, params, state = initialized(module, given, label)
        apply = jax.jit(lambda *args, n=network: n.apply(*args, train=False)[0])
        found, other = (jax.tree.leaves(apply(params, state, given, y))[0] for y in labels)
        # The second example's label alone is another one; the first shares no statistics with it.
        if name != "stylegan2":
            np.testing.assert_array_equal(found[0], other[0])
        assert not np.allclose(found[1], other[1])
        with pytest.raises(ValueError, match="num_classes=3 and was called without labels"):
            jax.eval_shape(network.init, KEY, given)
        unconditional = networks.from_linen(module.clone(num_classes=None))
        with pytest.raises(ValueError, match="called with labels and has no num_classes"):
            jax.eval_shape(unconditional.init, KEY, given, label)


def test_a_conditional_sagan_normalises_its_convolutions_and_not_its_scales():
    """As the authors' code. Scales and biases begin at 0, and move with gradients of order 1."""
    module = GENERATORS["sngan"]((8, 8, 1), num_classes=3, spectral_norm=True)
    network, z, labels = networks.from_linen(module), normal(6, 8), jnp.arange(6) % 3
    params, state = jax.jit(network.init)(KEY, z, labels)

    def loss(params):
        images, _ = network.apply(params, state, z, labels, train=True)
        return jnp.mean(images * normal(*images.shape, seed=1))

    gradients = jax.jit(jax.grad(loss))(params)
    block, spectral = gradients["UpBlock_0"], state["spectral"]["UpBlock_0"]
    assert {"SpectralNorm_0", "SpectralNorm_1", "SpectralNorm_2"} == set(spectral)
    for i in (0, 1):
        for name in ("scale", "bias"):
            kernel = block[f"ConditionalBatchNorm_{i}"][name]["kernel"]
            assert 0.0 < np.abs(kernel).max() < 1.0


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("size", [(30, 30), (7, 7), (32, 36)])
def test_sides_that_do_not_halve(name, size):
    message = rf"was given images of {size[0]} x {size[1]}"
    with pytest.raises(SizeError, match=message):
        shapes_of(GENERATORS[name]((*size, 1)), (2, 8))
    with pytest.raises(SizeError, match=message):
        shapes_of(DISCRIMINATORS[name](), (2, *size, 1))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (networks.SNGANGenerator((32, 32, 1), (8, 8, 0, 8)), r"features is \(8, 8, 0, 8\)"),
        (networks.SNGANGenerator((32, 32, 1), (4,) * 7), "halve 6 times; expected sides that 64"),
        (networks.SNGANGenerator((32, 32, 1), 4, attention=12), "attention is 12, .* 8, 16, 32"),
        (
            networks.BigGANGenerator((32, 32, 1), (4,) * 9),
            "given 8 latents, which it splits into 9",
        ),
        (networks.BigGANGenerator((32, 32, 1), 0), r"features is \(0, 0, 0, 0\)"),
        (
            networks.BigGANDeepGenerator((16, 16, 1), (4, 4, 8)),
            r"features is \(4, 4, 8\), expected numbers that do not increase",
        ),
        (networks.R3GANGenerator((32, 32, 1), blocks=0), "blocks is 0"),
        (networks.R3GANGenerator((32, 32, 1), 11, group_size=8), "which do not divide them"),
        (networks.StyleGAN2Generator((32, 32, 1), style=0), "features is 0"),
        (networks.StyleGAN2Generator((32, 32, 1), style_mixing=1.5), "style_mixing is 1.5"),
    ],
)
def test_arguments_that_do_not_fit(module, message):
    with pytest.raises(SizeError, match=message):
        shapes_of(module, (2, 8))


def test_attention_that_no_map_of_a_discriminator_has():
    with pytest.raises(SizeError, match=r"attention is 32, .* 16, 8, 4"):
        shapes_of(networks.SNGANDiscriminator(4, attention=32), (2, 32, 32, 1))


# ---- residual blocks of SNGAN and BigGAN


def plain_conv(x, layer):
    """A convolution with sides that stay, by NumPy: a product for each tap of the kernel."""
    kernel, (h, w) = layer["kernel"], x.shape[1:3]
    before = [(taps - 1) // 2 for taps in kernel.shape[:2]]
    x = np.pad(x, [(0, 0), *((n, n) for n in before), (0, 0)])
    taps = itertools.product(*map(range, kernel.shape[:2]))
    return sum(x[:, i : i + h, j : j + w] @ kernel[i, j] for i, j in taps) + layer["bias"]


def relu(x):
    return np.maximum(x, 0.0)


def copies(x):
    return np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)


def means(x):
    return sum(x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4


def test_up_block_in_the_papers_order():
    """Doubled before each convolution, that of the shortcut too."""
    x = normal(3, 4, 3, 5)
    _, p, state = initialized(UpBlock(6), x)
    y, _ = run(networks.from_linen(UpBlock(6)), p, state, x)
    norm = lambda x, i: (
        x / np.sqrt(1 + 1e-5) * p[f"BatchNorm_{i}"]["scale"] + p[f"BatchNorm_{i}"]["bias"]
    )
    h = plain_conv(copies(relu(norm(x, 0))), p["Conv_0"])
    h = plain_conv(relu(norm(h, 1)), p["Conv_1"])
    np.testing.assert_allclose(y, h + plain_conv(copies(x), p["Conv_2"]), atol=1e-4)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("halve", [True, False])
@pytest.mark.parametrize("features", [5, 6])
def test_down_block_in_the_papers_order(first, halve, features):
    """Convolved before each mean, the shortcut too; which is the identity where nothing changes."""
    x = normal(2, 4, 6, 5)
    block = DownBlock(features, 7, first=first, halve=halve, spectral_norm=False)
    network, p, state = initialized(block, x)
    y, _ = run(network, p, state, x)
    pooled = means if halve else lambda x: x
    h = plain_conv(x if first else relu(x), p["Conv_0"])
    h = pooled(plain_conv(relu(h), p["Conv_1"]))
    shortcut = plain_conv(x, p["Conv_2"]) if halve or features == 6 else x
    np.testing.assert_allclose(y, h + pooled(shortcut), atol=1e-4)


def by_norm(layer, state):
    """A layer's parameters, with the kernel over its norm as the state estimates it."""
    matrix = layer["kernel"].reshape(-1, layer["kernel"].shape[-1]).T
    u = state["u"] / np.linalg.norm(state["u"])
    return layer | {"kernel": layer["kernel"] / np.linalg.norm(matrix.T @ u)}


def convolutions_by_norm(params, state):
    return [by_norm(params[f"Conv_{i}"], state[f"SpectralNorm_{i}"]) for i in range(len(state))]


@pytest.mark.parametrize("double", [True, False])
def test_generator_block_of_biggan_deep_in_the_papers_order(double):
    """Figure 16: doubled before the first 3 x 3 convolution; the shortcut drops channels."""
    x, c = normal(2, 3, 4, 8), normal(2, 3)
    network, p, state = initialized(biggan_deep._GeneratorBlock(4, double, jnp.float32), x, c)
    spectral = state["spectral"]
    own = {name: spectral[name] for name in spectral if name.startswith("Spectral")}

    def activated(y, i):
        name = f"ConditionalBatchNorm_{i}"
        scale, bias = (
            (c @ by_norm(p[name][part], spectral[name][f"SpectralNorm_{k}"])["kernel"])
            for k, part in enumerate(("scale", "bias"))
        )
        y = (1 + scale[:, None, None]) * (y / np.sqrt(1 + 1e-5)) + bias[:, None, None]
        return relu(y)

    sized, convs = copies if double else lambda y: y, convolutions_by_norm(p, own)
    h = plain_conv(activated(x, 0), convs[0])
    h = plain_conv(sized(activated(h, 1)), convs[1])
    h = plain_conv(activated(h, 2), convs[2])
    h = plain_conv(activated(h, 3), convs[3])
    y, _ = run(network, p, state, x, c)
    np.testing.assert_allclose(y, h + sized(x[..., :4]), atol=1e-4)


@pytest.mark.parametrize(
    ("features", "halve"),
    [(12, True), *(pytest.param(*x, marks=SLOW) for x in ((8, True), (8, False)))],
)
def test_discriminator_block_of_biggan_deep_in_the_papers_order(halve, features):
    """Figure 16: a mean before the last convolution; the shortcut gets channels."""
    x = normal(2, 4, 6, 8)
    block = biggan_deep._DiscriminatorBlock(features, halve, jnp.float32)
    network, p, state = initialized(block, x)
    convs = convolutions_by_norm(p, state["spectral"])
    sized, h = means if halve else lambda y: y, x
    for conv in convs[:3]:
        h = plain_conv(relu(h), conv)
    h, shortcut = plain_conv(sized(relu(h)), convs[3]), sized(x)
    if features > 8:
        shortcut = np.concatenate([shortcut, plain_conv(shortcut, convs[4])], axis=-1)
    y, _ = run(network, p, state, x)
    np.testing.assert_allclose(y, h + shortcut, atol=1e-4)


def test_power_iterations_are_state_that_training_changes():
    x = normal(2, 8, 8, 1)
    network, params, state = initialized(networks.SNGANDiscriminator(2), x)
    _, trained = run(network, params, state, x, train=True)
    _, evaluated = run(network, params, state, x)
    jax.tree.map(np.testing.assert_array_equal, evaluated, state)
    assert set(state) == {"spectral"}
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(trained), strict=True):
        assert not np.array_equal(before, after)


def calls_of(kinds, network, *args, train=False):
    """Inputs and outputs of submodules of some kinds, in order: `[(inputs, output), ...]`."""

    def collect(*args):
        calls = []

        def record(call, inputs, options, context):
            output = call(*inputs, **options)
            if isinstance(context.module, kinds) and context.method_name == "__call__":
                calls.append((inputs, output))
            return output

        with nn.intercept_methods(record):
            network.apply(*args, key=KEY, train=train)
        return calls

    return jax.jit(collect)(*args)


@pytest.mark.slow
def test_a_latent_of_biggan_is_split_over_the_blocks():
    """A change of the last part leaves all but the last block's output; of the first, nothing."""
    z, label = jnp.asarray(normal(2, 7)), jnp.array([0, 2])
    module = GENERATORS["biggan"]((16, 16, 1), num_classes=3)
    network, params, state = initialized(module, z, label)
    blocks = lambda z: [
        (condition, output)
        for (_, condition), output in calls_of(UpBlock, network, params, state, z, label)
    ]
    (first, a), (last, b) = blocks(z)
    embedding = params["Embed_0"]["embedding"][label]
    np.testing.assert_array_equal(first, jnp.concatenate([embedding, z[:, 3:5]], axis=1))
    np.testing.assert_array_equal(last, jnp.concatenate([embedding, z[:, 5:]], axis=1))
    (_, same), (_, other) = blocks(z.at[:, 6].add(1.0))
    np.testing.assert_array_equal(a, same)
    assert not np.allclose(b, other)
    (_, changed), _ = blocks(z.at[:, 0].add(1.0))
    assert not np.allclose(a, changed)


@SLOW
def test_biggan_starts_orthogonal():
    init = jax.jit(networks.from_linen(GENERATORS["biggan"]((8, 8, 1))).init)
    params, _ = init(KEY, jnp.zeros((2, 8)))
    kernel = params["UpBlock_0"]["Conv_0"]["kernel"].reshape(-1, 4)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(4), atol=1e-5)


# ---- R3GAN


def test_r3gan_starts_as_its_resampling():
    """Blocks start as the identity, so generator and discriminator start linear."""
    z, x = normal(2, 5), normal(2, 8, 8, 1)
    for module, given in ((GENERATORS["r3gan"]((8, 8, 1)), z), (DISCRIMINATORS["r3gan"](), x)):
        network, moved, state = initialized(module, given)
        start = jax.tree_util.tree_map_with_path(
            lambda path, p: 0.0 * p if "Conv_2" in jax.tree_util.keystr(path) else p, moved
        )
        apply = jax.jit(lambda *args, n=network: n.apply(*args, train=True)[0])
        for params, linear in ((start, True), (moved, False)):
            both = apply(params, state, given) + apply(params, state, -given)
            assert np.allclose(both, 0.0, atol=1e-5) == linear


@pytest.mark.slow
def test_initial_scale_of_r3gans_blocks():
    """He et al.'s for the leaky ReLU, times L^(-1/4) for L blocks of three layers."""
    module = networks.R3GANDiscriminator(64, blocks=3)
    params, _ = jax.jit(networks.from_linen(module).init)(KEY, jnp.zeros((1, 8, 8, 1)))
    block = params["R3GANBlock_0"]
    gain = np.sqrt(2 / (1 + 0.2**2)) * 6 ** (-1 / 4)
    assert np.std(block["Conv_0"]["kernel"]) == pytest.approx(gain / np.sqrt(64), rel=0.03)
    assert np.std(block["Conv_1"]["kernel"]) == pytest.approx(gain / np.sqrt(9 * 16), rel=0.03)
    assert not np.any(block["Conv_2"]["kernel"])


@pytest.mark.slow
def test_pictures_are_clipped_in_evaluation_alone():
    z = 9.0 * normal(2, 8)
    for name in ("r3gan", "stylegan2"):
        options = {"style_mixing": 0.0} if name == "stylegan2" else {}
        network, params, state = initialized(GENERATORS[name]((8, 8, 1), **options), z)
        if name == "stylegan2":
            params = jax.tree_util.tree_map_with_path(
                lambda path, p: jnp.zeros(()) if "noise_strength" in str(path) else p, params
            )
        linear, _ = run(network, params, state, z, train=True)
        pictures, _ = run(network, params, state, z)
        assert np.max(np.abs(linear)) > 1.0
        np.testing.assert_allclose(np.clip(linear, -1.0, 1.0), pictures, atol=1e-5)


# ---- StyleGAN2


def style_generator(**options):
    module = GENERATORS["stylegan2"]((8, 8, 1), **options)
    return initialized(module, normal(16, 3))


def styles_of(network, params, state, z, **mode):
    """The style that each layer receives, `[layer, batch, style]`."""
    calls = calls_of((StyleLayer, ToImage), network, params, state, z, **mode)
    return np.stack([inputs[1] for inputs, _ in calls])


@pytest.mark.slow
def test_every_image_layer_has_the_style_of_the_convolution_after_it():
    """conv, image, then of each finer resolution conv, conv, image: 5 layers, 4 styles."""
    network, params, state = style_generator(style_mixing=1.0)
    mapping = jax.tree.map(lambda p: 100.0 * p, params["MappingNetwork_0"])  # 1 / MAPPING_RATE
    params = params | {"MappingNetwork_0": mapping}
    z = normal(64, 3)
    conv, image, up, after, last = styles_of(network, params, state, z, train=True)
    np.testing.assert_allclose(image, up, atol=1e-6)
    own = styles_of(network, params, state, z)
    np.testing.assert_allclose(own, np.stack(5 * [own[0]]), atol=1e-6)
    # The first layer has the latent's own style; each later one may begin with the second.
    np.testing.assert_allclose(conv, own[0], atol=1e-6)
    # Compared up to rounding, since XLA may compute a style once for each layer that receives it.
    mixed = np.stack([np.any(np.abs(s - conv) > 1e-4, axis=1) for s in (up, after, last)])
    assert np.all(mixed[1:] >= mixed[:-1])  # once changed, changed
    assert np.all(mixed[-1])  # with probability 1
    counts = np.bincount(mixed.sum(axis=0), minlength=4)[1:]
    assert counts.min() > 10  # 64 examples over three first layers


@pytest.mark.slow
def test_style_mixing_has_its_probability():
    network, params, state = style_generator(style_mixing=0.25)
    z = normal(400, 3)
    conv, *_, last = styles_of(network, params, state, z, train=True)
    assert np.mean(np.any(conv != last, axis=1)) == pytest.approx(0.25, abs=0.07)


@pytest.mark.slow
def test_mean_style_and_truncation():
    """The mean moves by 0.005 of its distance in training; w, in evaluation, by psi of its own."""
    network, params, _ = style_generator()
    mean = normal(1, 6, seed=5)
    state, z = {"averages": {"w": jnp.asarray(mean[0])}}, normal(8, 3)
    w = styles_of(network, params, state, z)[0]
    _, moved = run(network, params, state, z, train=True)
    expected = 0.995 * mean[0] + 0.005 * w.mean(axis=0)
    np.testing.assert_allclose(moved["averages"]["w"], expected, rtol=1e-4, atol=1e-5)
    truncated = networks.from_linen(GENERATORS["stylegan2"]((8, 8, 1), truncation=0.25))
    styles = styles_of(truncated, params, state, z)[0]
    np.testing.assert_allclose(styles, mean + 0.25 * (w - mean), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_styles_take_the_place_of_latents():
    """The synthesis of mapped latents is the generator; a style per layer mixes two images."""
    make = partial(networks.StyleGAN2Generator, (8, 8, 1), 4, max_features=4, style=6)
    whole, synthesis = (networks.from_linen(make(mapping_layers=2, inputs=i)) for i in "zw")
    z = normal(2, 5)
    params, state = whole.init(KEY, z)
    mapping = networks.MappingNetwork(6, 2)
    w = mapping.apply({"params": params["MappingNetwork_0"]}, z)
    apply = lambda network, x: network.apply(params, state, x, train=False)[0]
    expected = apply(whole, z)
    np.testing.assert_allclose(apply(synthesis, w), expected, rtol=0, atol=1e-6)
    layers = jnp.stack(4 * [w], axis=1)
    np.testing.assert_allclose(apply(synthesis, layers), expected, rtol=0, atol=1e-6)
    mixed = apply(synthesis, layers.at[:, 2:].set(w[::-1, None]))
    assert np.abs(mixed - expected).max() > 1e-3
    with pytest.raises(SizeError, match=r"shape \(2, 3, 6\), expected .batch, 6. or .batch, 4, 6."):
        apply(synthesis, layers[:, :3])


def test_demodulation_forgets_the_scale_of_kernels():
    network, params, state = style_generator()
    z = normal(4, 3)

    def scaled(path, p):
        names = [part.key for part in path]
        layer = names[0].startswith("StyleLayer") and names[-1] == "kernel" and len(names) == 2
        return 3.0 * p if layer else p

    other = jax.tree_util.tree_map_with_path(scaled, params)
    images, same = (run(network, p, state, z)[0] for p in (params, other))
    np.testing.assert_allclose(images, same, atol=1e-5)


@pytest.mark.slow
def test_noise_and_mixing_belong_to_the_example():
    """The same on one device and on four; in evaluation one noise map for all latents."""
    network, params, state = style_generator(style_mixing=0.5)
    z = normal(8, 3)
    apply = jax.jit(lambda z: network.apply(params, state, z, key=KEY, train=True))
    mapped = jax.jit(jax.vmap(apply, axis_name=axis.DATA_AXIS))
    (whole, updated), (shares, of_each) = apply(z), mapped(z.reshape(4, 2, 3))
    np.testing.assert_allclose(shares.reshape(whole.shape), whole, atol=1e-5)
    np.testing.assert_allclose(
        of_each["averages"]["w"], np.tile(updated["averages"]["w"], (4, 1)), atol=1e-6
    )
    equal = jnp.tile(z[:1], (8, 1))
    noisy, same = apply(equal)[0], run(network, params, state, equal)[0]
    assert np.ptp(noisy, axis=0).max() > 1e-3
    np.testing.assert_allclose(same, np.tile(same[:1], (8, 1, 1, 1)), atol=1e-6)


def test_stylegan2s_discriminator_over_devices():
    """Groups of examples reach over devices."""
    x = normal(8, 8, 8, 1)
    network, params, state = initialized(DISCRIMINATORS["stylegan2"](), x)
    apply = lambda x: network.apply(params, state, x, train=True)[0]
    mapped = jax.jit(jax.vmap(apply, axis_name=axis.DATA_AXIS))
    whole, alone = jax.jit(lambda x: (apply(x), apply(x[:1])))(x)
    np.testing.assert_allclose(mapped(x[:, None]).reshape(8), whole, rtol=1e-4, atol=1e-5)
    assert not np.allclose(whole[0], alone[0], rtol=1e-4)


# ---- FastGAN


def test_excitation_reaches_over_four_levels():
    """Of maps of 4, 8, ... 128 pixels: 4 to 64, and 8 to 128; of fewer, from the coarsest."""
    module = networks.FastGANGenerator((128, 128, 1), features=1)
    params, _ = variables_of(networks.from_linen(module), jnp.zeros((2, 3)))
    skips = [params[f"SkipExcitation_{i}"]["Conv_0"]["kernel"].shape for i in range(2)]
    assert skips == [(4, 4, 32, 2), (4, 4, 16, 1)]  # over all of the coarse map, pooled to 4 x 4
    module = networks.FastGANGenerator((28, 28, 1), features=1)
    params, _ = variables_of(networks.from_linen(module), jnp.zeros((2, 3)))
    assert params["SkipExcitation_0"]["Conv_0"]["kernel"].shape == (7, 7, 4, 1)
    assert "SkipExcitation_1" not in params


def test_excitation_scales_channels():
    """Factors by hand: means of 2 x 2, a product with the whole map, leaky ReLU, 1 x 1, sigmoid."""
    x = normal(2, 8, 12, 3)
    network, params, state = initialized(SkipExcitation(5, pool=2), x)
    y, _ = run(network, params, state, x)
    kernels = [params[f"Conv_{i}"]["kernel"] for i in (0, 1)]
    sigmas = []
    for i, kernel in enumerate(kernels):
        w, u = kernel.reshape(-1, 5), state["spectral"][f"SpectralNorm_{i}"]["u"]
        sigmas.append(np.linalg.norm(w @ (u / np.linalg.norm(u))))
    h = np.einsum("nhwi,hwio->no", means(x), kernels[0] / sigmas[0])
    h = np.where(h > 0, h, 0.2 * h) @ (kernels[1][0, 0] / sigmas[1])
    np.testing.assert_allclose(y[:, 0, 0], 1 / (1 + np.exp(-h)), atol=1e-5)


@pytest.mark.slow
def test_fastgans_discriminator_decodes_what_it_sees():
    """The image, and in training a quadrant of it that belongs to the example."""
    x = normal(8, 16, 24, 1)
    network, params, state = initialized(DISCRIMINATORS["fastgan"](), x)
    mapped = jax.vmap(
        lambda x: network.apply(params, state, x, key=KEY, train=True), axis_name=axis.DATA_AXIS
    )
    (_, features), _ = run(network, params, state, x, train=True)
    ((_, of_devices), _) = jax.jit(mapped)(x.reshape(4, 2, 16, 24, 1))
    (decoded, whole), (part, quadrant) = features["reconstructions"]
    assert decoded.shape == whole.shape
    assert part.shape == quadrant.shape
    np.testing.assert_allclose(whole, x, atol=1e-6)  # decoded at full resolution
    np.testing.assert_allclose(
        of_devices["reconstructions"][1][1].reshape(quadrant.shape), quadrant, atol=1e-6
    )
    quadrants = [x[:, i : i + 8, j : j + 12] for i in (0, 8) for j in (0, 12)]
    which = [[np.allclose(q[n], quadrant[n]) for q in quadrants] for n in range(8)]
    assert np.sum(which, axis=1).tolist() == [1] * 8
    assert np.count_nonzero(np.sum(which, axis=0)) > 2
    (_, features), _ = run(network, params, state, x)
    np.testing.assert_array_equal(features["reconstructions"][1][1], quadrants[0])


def test_the_quadrant_is_decoded_from_its_own_pixels():
    """The map of a quadrant depends on that quadrant, up to the borders of convolutions."""
    x = jnp.zeros((1, 64, 64, 1))
    network, params, state = initialized(DISCRIMINATORS["fastgan"](features=1), x)
    pixel = lambda x: network.apply(params, state, x, train=False)[0][1]["reconstructions"][1][0]
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(pixel(x))))(x)[0, :, :, 0]
    far = np.abs(gradient[48:, :]).max(), np.abs(gradient[:, 48:]).max()
    assert max(far) == 0.0
    assert np.abs(gradient[:32, :32]).max() > 0.0
