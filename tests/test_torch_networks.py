"""Weights of published PyTorch networks: the same outputs, and the same arrays back.

The modules for PyTorch are written here, from the published architectures. Where PyTorch is not
installed, the definitions of its layers and the round trip are tested.
"""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import networks, ops, weights
from jaxgan.errors import WeightsError
from jaxgan.networks import from_linen
from jaxgan.weights import torch_networks

KEY = jax.random.key(0)
LATENT = (2, 5)
IMAGE = (2, 64, 64, 3)

# Our modules, and the shapes of their inputs.
NETWORKS = {
    "resnet_generator": (networks.ResNetGenerator(2, 4, num_blocks=2), (2, 16, 20, 3)),
    "unet_generator": (networks.UNetGenerator(2, 2, 6, dropout=0.0), IMAGE),
    "unet_generator instance": (networks.UNetGenerator(2, 2, 6, 0.0, "instance"), IMAGE),
    "patch_discriminator": (networks.PatchDiscriminator(4), (2, 32, 40, 3)),
    "patch_discriminator instance": (networks.PatchDiscriminator(4, 2, "instance"), IMAGE),
    "patch_discriminator pixels": (networks.PatchDiscriminator(4, 0), (2, 9, 7, 3)),
    "dcgan_generator": (networks.DCGANGenerator((64, 64, 3), 4, use_bias=False), LATENT),
    "dcgan_discriminator": (networks.DCGANDiscriminator(4, use_bias=False), IMAGE),
}


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


@functools.cache
def random_network(name):
    """A network, its input, and random values in the place of all its leaves; variances are > 0."""
    module, shape = NETWORKS[name]
    network, rng = from_linen(module), np.random.default_rng(0)
    x = rng.normal(size=shape).astype("f4")
    like = jax.eval_shape(network.init, KEY, x)
    value = lambda path, leaf: (
        rng.uniform(0.5, 2.0, leaf.shape)
        if path[-1] == jax.tree_util.DictKey("var")
        else rng.normal(size=leaf.shape) * 0.3
    ).astype("f4")
    return network, x, jax.tree_util.tree_map_with_path(value, like)


def kind_of(name):
    return name.split()[0]


def output(network, learned, x):
    return np.asarray(jax.jit(lambda x: network.apply(*learned, x, train=False)[0])(x))


# ---- without PyTorch


def test_round_trip(name, tmp_path):
    """Of all arrays, bit for bit, through a file; the prefix of PyTorch's data parallelism too."""
    _, _, learned = random_network(name)
    state_dict = weights.to_torch(*learned, kind_of(name))
    weights.save_state_dict(tmp_path / "weights.safetensors", state_dict)
    read = weights.load_state_dict(tmp_path / "weights.safetensors")
    shapes = jax.eval_shape(lambda: learned)
    for prefix in ("", "module."):
        arrays = {prefix + key: value for key, value in read.items()}
        again = weights.from_torch(arrays, kind_of(name), like=shapes)
        chex.assert_trees_all_equal(again, learned)
    assert sum(x.size for x in jax.tree.leaves(learned)) == sum(
        x.size for key, x in state_dict.items() if not key.endswith("num_batches_tracked")
    )


def test_names_and_shapes_of_the_tutorials_generator():
    _, _, learned = random_network("dcgan_generator")
    shapes = {k: v.shape for k, v in weights.to_torch(*learned, "dcgan_generator").items()}
    norm = lambda i, n: {
        f"main.{i}.{name}": () if name == "num_batches_tracked" else (n,)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }
    assert shapes == {
        "main.0.weight": (5, 32, 4, 4),
        **norm(1, 32),
        "main.3.weight": (32, 16, 4, 4),
        **norm(4, 16),
        "main.6.weight": (16, 8, 4, 4),
        **norm(7, 8),
        "main.9.weight": (8, 4, 4, 4),
        **norm(10, 4),
        "main.12.weight": (4, 3, 4, 4),
    }


@pytest.mark.parametrize(("stride", "padding", "more"), [(2, 1, 0), (2, 1, 1), (1, 0, 0)])
def test_transposed_convolutions_by_their_definition(stride, padding, more):
    """PyTorch's: every pixel adds its multiple of the kernel to the output, the padding cut off."""
    rng, taps = np.random.default_rng(0), 3 if more else 4
    x, w = rng.normal(size=(5, 6, 2)).astype("f4"), rng.normal(size=(2, 3, taps, taps)).astype("f4")
    height, width = ((n - 1) * stride + taps + more for n in (5, 6))
    full = np.zeros((height, width, 3))
    for i, j in np.ndindex(5, 6):
        rows, columns = (slice(stride * k, stride * k + taps) for k in (i, j))
        full[rows, columns] += np.einsum("c,cohw->hwo", x[i, j], w)
    expected = full[padding : height - padding, padding : width - padding]
    kernel = torch_networks.TRANSPOSED.from_torch(w)
    sides = (taps - 1 - padding, taps - 1 - padding + more)
    ours = ops.conv_transpose(
        jnp.asarray(x)[None], jnp.asarray(kernel), stride=stride, padding=(sides, sides)
    )
    np.testing.assert_allclose(ours[0], expected, rtol=1e-4, atol=1e-5)


def test_biases_that_pytorch_does_not_have_are_0():
    module = networks.DCGANDiscriminator(4)
    like = jax.eval_shape(from_linen(module).init, KEY, np.zeros(IMAGE, "f4"))
    _, _, learned = random_network("dcgan_discriminator")
    state_dict = weights.to_torch(*learned, "dcgan_discriminator")
    params, _ = weights.from_torch(state_dict, "dcgan_discriminator", like=like)
    np.testing.assert_array_equal(params["Conv_1"]["bias"], np.zeros(8))
    np.testing.assert_array_equal(params["Conv_1"]["kernel"], learned[0]["Conv_1"]["kernel"])


def test_what_has_no_counterpart_is_not_needed():
    """Dropout in the residual blocks moves their second convolution; old files have statistics."""
    _, _, learned = random_network("resnet_generator")
    state_dict = weights.to_torch(*learned, "resnet_generator")
    moved = {key.replace("conv_block.5", "conv_block.6"): x for key, x in state_dict.items()}
    moved |= {"model.2.running_mean": np.ones(4, "f4"), "model.2.running_var": np.ones(4, "f4")}
    again = weights.from_torch(moved, "resnet_generator", like=learned)
    chex.assert_trees_all_equal(again, learned)


def changed(**changes):
    _, _, learned = random_network("patch_discriminator")
    state_dict = weights.to_torch(*learned, "patch_discriminator")
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    return {k: v for k, v in {**state_dict, **changes}.items() if v is not None}


@pytest.mark.parametrize(
    ("state_dict", "kind", "message"),
    [
        (
            {"model__5__weight": None},
            "patch_discriminator",
            r"has no model\.5\.weight, which patch_discriminator needs for Conv_2/kernel; it has m",
        ),
        (
            {"model__5__weight": np.zeros((16, 9, 4, 4))},
            "patch_discriminator",
            r"model\.5\.weight has the shape \(16, 9, 4, 4\), and Conv_2/kernel of shape "
            r"\(4, 4, 8, 16\) needs \(16, 8, 4, 4\)",
        ),
        (
            {"model__14__weight": np.zeros((1, 1, 4, 4))},
            "patch_discriminator",
            r"has model\.14\.weight, for which this patch_discriminator has no place",
        ),
        ({}, "dcgan_generator", "a dcgan_generator has no place for 'ConvTranspose_0'; its layers"),
        ({}, "critic", "there is no kind of network critic; choose resnet_generator, unet_gen"),
    ],
)
def test_errors_are_one_line(state_dict, kind, message):
    _, _, learned = random_network("patch_discriminator")
    with pytest.raises(WeightsError, match=message) as error:
        weights.from_torch(changed(**state_dict), kind, like=learned)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (networks.DCGANGenerator((64, 64, 3), 4), "has a bias per pixel, .*use_bias=False"),
        (networks.DCGANGenerator((64, 96, 3), 4, use_bias=False), "expected a square map of 32 ch"),
    ],
)
def test_networks_that_pytorchs_cannot_be(module, message):
    learned = jax.tree.map(
        lambda x: np.zeros(x.shape, x.dtype),
        jax.eval_shape(from_linen(module).init, KEY, np.zeros(LATENT, "f4")),
    )
    with pytest.raises(WeightsError, match=message):
        weights.to_torch(*learned, "dcgan_generator")


# ---- with PyTorch


def torch_module(name):
    """The counterpart of a network of `NETWORKS` in PyTorch."""
    torch = pytest.importorskip("torch", reason="the comparison needs PyTorch")
    nn = torch.nn
    instance = "instance" in name

    def norm(n):
        return nn.InstanceNorm2d(n) if instance else nn.BatchNorm2d(n)

    class Holder(nn.Module):
        """A module whose layers are under another name, as in the published state dicts."""

        def __init__(self, **parts):
            super().__init__()
            for part, module in parts.items():
                setattr(self, part, module)

        def forward(self, x):
            (module,) = self.children()
            return module(x)

    class Residual(Holder):
        def forward(self, x):
            return x + super().forward(x)

    class Skip(Holder):
        def forward(self, x):
            return torch.cat([x, super().forward(x)], 1)

    def resnet(n=4, blocks=2):
        inner = lambda: [
            nn.ReflectionPad2d(1),
            nn.Conv2d(4 * n, 4 * n, 3),
            nn.InstanceNorm2d(4 * n),
        ]
        block = lambda: nn.Sequential(*inner(), nn.ReLU(), *inner())
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, n, 7), nn.InstanceNorm2d(n), nn.ReLU()]
        for i in (1, 2):
            down = nn.Conv2d(i * n, 2 * i * n, 3, stride=2, padding=1)
            layers += [down, nn.InstanceNorm2d(2 * i * n), nn.ReLU()]
        layers += [Residual(conv_block=block()) for _ in range(blocks)]
        for i in (4, 2):
            up = nn.ConvTranspose2d(i * n, i * n // 2, 3, 2, padding=1, output_padding=1)
            layers += [up, nn.InstanceNorm2d(i * n // 2), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(n, 2, 7), nn.Tanh()]
        return Holder(model=nn.Sequential(*layers))

    def unet(n=2, levels=6):
        width = lambda level: n * min(2**level, 8)
        submodule = None
        for level in reversed(range(1, levels)):
            outer, inner = width(level - 1), width(level)
            down = nn.Conv2d(outer, inner, 4, 2, 1, bias=instance)
            layers, joined = [nn.LeakyReLU(0.2, inplace=True), down], inner
            if submodule is not None:
                layers, joined = [*layers, norm(inner), submodule], 2 * inner
            up = nn.ConvTranspose2d(joined, outer, 4, 2, 1, bias=instance)
            submodule = Skip(model=nn.Sequential(*layers, nn.ReLU(), up, norm(outer)))
        down = nn.Conv2d(3, n, 4, 2, 1, bias=instance)
        up = nn.ConvTranspose2d(2 * n, 2, 4, 2, 1)
        return Holder(model=Holder(model=nn.Sequential(down, submodule, nn.ReLU(), up, nn.Tanh())))

    def patch(n=4, num_layers=3):
        layers = [nn.Conv2d(3, n, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(1, num_layers + 1):
            stride = 2 if i < num_layers else 1
            conv = nn.Conv2d(n * 2 ** (i - 1), n * 2**i, 4, stride, 1, bias=instance)
            layers += [conv, norm(n * 2**i), nn.LeakyReLU(0.2)]
        return Holder(model=nn.Sequential(*layers, nn.Conv2d(n * 2**num_layers, 1, 4, 1, 1)))

    def pixels(n=4):
        first, hidden = nn.Conv2d(3, n, 1), nn.Conv2d(n, 2 * n, 1, bias=False)
        last = nn.Conv2d(2 * n, 1, 1)
        return Holder(
            net=nn.Sequential(
                first, nn.LeakyReLU(0.2), hidden, norm(2 * n), nn.LeakyReLU(0.2), last
            )
        )

    def dcgan_generator(n=4):
        layers, widths = [], (LATENT[1], 8 * n, 4 * n, 2 * n, n)
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            stride, padding = (2, 1) if i else (1, 0)
            up = nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False)
            layers += [up, norm(after), nn.ReLU()]
        last = nn.ConvTranspose2d(n, 3, 4, 2, 1, bias=False)
        return Holder(main=nn.Sequential(*layers, last, nn.Tanh()))

    def dcgan_discriminator(n=4):
        layers = [nn.Conv2d(3, n, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for i in (1, 2, 4):
            conv = nn.Conv2d(i * n, 2 * i * n, 4, 2, 1, bias=False)
            layers += [conv, norm(2 * i * n), nn.LeakyReLU(0.2)]
        return Holder(main=nn.Sequential(*layers, nn.Conv2d(8 * n, 1, 4, 1, 0, bias=False)))

    if name == "patch_discriminator instance":
        return patch(num_layers=2)
    if name == "patch_discriminator pixels":
        return pixels()
    makers = {
        "resnet_generator": resnet,
        "unet_generator": unet,
        "patch_discriminator": patch,
        "dcgan_generator": dcgan_generator,
        "dcgan_discriminator": dcgan_discriminator,
    }
    return makers[kind_of(name)]()


def test_outputs_are_those_of_pytorch(name):
    """Its weights here, on the same input; and the weights of here in it, strictly loaded."""
    torch = pytest.importorskip("torch", reason="the comparison needs PyTorch")
    network, x, learned = random_network(name)
    theirs = torch_module(name).eval()
    exported = weights.to_torch(*learned, kind_of(name))
    theirs.load_state_dict({key: torch.from_numpy(value) for key, value in exported.items()})

    channels_first = x.reshape(*x.shape, 1, 1) if x.ndim == 2 else x.transpose(0, 3, 1, 2)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(np.ascontiguousarray(channels_first))).numpy()
    ours = output(network, learned, x)
    if ours.ndim == 4:
        expected = expected.transpose(0, 2, 3, 1)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours, expected.reshape(ours.shape), rtol=0, atol=1e-5 * scale)

    torch.manual_seed(0)
    state_dict = {key: value.numpy() for key, value in torch_module(name).state_dict().items()}
    imported = weights.from_torch(state_dict, kind_of(name), like=learned)
    back = weights.to_torch(*imported, kind_of(name))
    assert back.keys() == state_dict.keys()
    for key, value in state_dict.items():
        np.testing.assert_array_equal(back[key], value)


def test_files_written_by_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="the comparison needs PyTorch")
    _, _, learned = random_network("unet_generator")
    exported = weights.to_torch(*learned, "unet_generator")
    tensors = {key: torch.from_numpy(value) for key, value in exported.items()}
    torch.save(tensors, tmp_path / "latest_net_G.pth")
    read = weights.load_state_dict(tmp_path / "latest_net_G.pth")
    chex.assert_trees_all_equal(weights.from_torch(read, "unet_generator", like=learned), learned)
