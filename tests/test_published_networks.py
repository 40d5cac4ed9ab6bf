"""Outputs of R3GAN's and StyleGAN2's networks, against the code that their authors published.

It is not among the requirements of the tests:

    pip install -e '.[test,references]'
    git -C DIR clone https://github.com/brownvc/R3GAN
    git -C DIR clone https://github.com/NVlabs/stylegan2-ada-pytorch
    JAXGAN_REFERENCES_DIR=DIR pytest -m slow tests/test_published_networks.py

A comparison whose code is missing is skipped. The networks are small, and all parameters random.
"""

import importlib.util
import os
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import networks

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
DIR = Path(os.environ.get("JAXGAN_REFERENCES_DIR", ""))
PACKAGES = ("R3GAN", "training", "torch_utils", "dnnlib")  # both publish some of the same name
CLASSES = 3
LABELS = np.array([2, 0, 1])


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="pip install -e '.[references]'")


@pytest.fixture
def published(torch, monkeypatch):
    """A function that imports a module of a clone."""

    def load(clone, module):
        if not (DIR / clone / "torch_utils").is_dir():
            pytest.skip(f"there is no clone of {clone} in JAXGAN_REFERENCES_DIR")
        monkeypatch.syspath_prepend(str(DIR / clone))
        if importlib.util.find_spec("pkg_resources") is None:  # gone from setuptools
            stand_in = types.ModuleType("pkg_resources")
            stand_in.parse_version = lambda version: [
                int(n) for n in version.split("+")[0].split(".")
            ]
            monkeypatch.setitem(sys.modules, "pkg_resources", stand_in)
        return importlib.import_module(module)

    yield load
    for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
        del sys.modules[name]


def randomized(torch, module):
    """All parameters of a module, normally distributed, and scaled to outputs of the order of 1."""
    generator = torch.Generator().manual_seed(0)
    for name, p in module.named_parameters():
        scale = 0.0 if "noise_strength" in name else 0.5
        p.data = scale * torch.randn(p.shape, generator=generator)
        if ".fc" in f".{name}" and "b4." not in name:  # the mapping network, whose rate is 0.01
            p.data *= 200.0 if "weight" in name else 10.0
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def run(network, inputs, values, *, state=None, train):
    """Output of a network with the published one's values, `{path: array}`."""
    network = networks.from_linen(network)
    given = [jnp.asarray(x) for x in inputs]
    params, initial = jax.eval_shape(network.init, jax.random.key(0), *given)

    def value(path, leaf):
        path = jax.tree_util.keystr(path, simple=True, separator="/")
        found = values.pop(path, np.zeros(()) if path.endswith("noise_strength") else None)
        assert found is not None, path
        assert found.shape == leaf.shape, path
        return jnp.asarray(found)

    params = jax.tree_util.tree_map_with_path(value, params)
    assert not values
    return network.apply(params, initial if state is None else state, *given, train=train)[0]


def kernel(weight):
    return weight.transpose(2, 3, 1, 0)


def nhwc(tensor):
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


# ---- R3GAN


def block(values, name, own):
    for i in range(3):
        values[f"{name}/Conv_{i}/kernel"] = kernel(own[f"LinearLayer{i + 1}.Layer.weight"])
    for i in range(2):
        values[f"{name}/Conv_{i}/bias"] = own[f"NonLinearity{i + 1}.Bias"]


def r3gan_values(own, *, generator):
    """The parameters of R3GAN under our names: blocks and 1 x 1 convolutions in their order."""
    values, blocks, convs = {}, 0, 0 if generator else 1
    for name, p in own.items():
        prefix = name.rsplit(".", 3)[0]
        if name.endswith("LinearLayer1.Layer.weight"):
            of_block = {k[len(prefix) + 1 :]: v for k, v in own.items() if k.startswith(prefix)}
            block(values, f"R3GANBlock_{blocks}", of_block)
            blocks += 1
        elif name.endswith("Basis"):
            values["basis"] = p.transpose(1, 2, 0)
        elif name.endswith("Basis.weight"):
            values["basis"] = p[:, 0].transpose(1, 2, 0)
        elif name == "EmbeddingLayer.weight":
            values["embedding/kernel"] = p.T
        elif name == "ExtractionLayer.Layer.weight":
            values["Conv_0/kernel"] = kernel(p)
        elif name.endswith("LinearLayer.weight"):
            values["scale/kernel" if generator else "logit/kernel"] = p.T
        elif name.endswith(("LinearLayer.Layer.weight", "AggregationLayer.Layer.weight")):
            values[f"Conv_{convs}/kernel"] = kernel(p)
            convs += 1
    return values


@pytest.mark.parametrize("classes", [None, CLASSES])
def test_r3gan(published, torch, classes):
    code = published("R3GAN", "R3GAN.Networks")
    widths, cardinality, blocks = [32, 32, 16], [8, 8, 4], [2, 2, 2]
    options = lambda width: (
        {"ConditionDimension": classes, "ConditionEmbeddingDimension": width} if classes else {}
    )
    generator = code.Generator(10, widths, cardinality, blocks, 2, **options(10))
    discriminator = code.Discriminator(
        widths[::-1], cardinality[::-1], blocks, 2, **options(widths[0])
    )
    of_generator, of_discriminator = (randomized(torch, m) for m in (generator, discriminator))
    z = torch.randn(3, 10)
    conditions = [torch.eye(CLASSES)[LABELS]] if classes else []
    images = generator(z, *conditions)
    logits = discriminator(images, *conditions).detach().numpy()

    sizes = {"features": 16, "max_features": 32, "group_size": 8, "num_classes": classes}
    labels = [LABELS] if classes else []
    ours = networks.R3GANGenerator((16, 16, 3), **sizes)
    values = r3gan_values(of_generator, generator=True)
    found = run(ours, [z.numpy(), *labels], values, train=True)
    np.testing.assert_allclose(found, nhwc(images), atol=1e-5 * float(images.abs().max()))
    values = r3gan_values(of_discriminator, generator=False)
    found = run(networks.R3GANDiscriminator(**sizes), [nhwc(images), *labels], values, train=True)
    np.testing.assert_allclose(found, logits, atol=1e-5 * np.abs(logits).max())


# ---- StyleGAN2


def dense(values, name, own, theirs):
    values[f"{name}/kernel"] = own[f"{theirs}.weight"].T
    values[f"{name}/bias"] = own[f"{theirs}.bias"]


def mapping(values, own):
    names = [n for n in ("mapping.embed", "mapping.fc0", "mapping.fc1") if f"{n}.weight" in own]
    for i, name in enumerate(names):
        dense(values, f"MappingNetwork_0/EqualDense_{i}", own, name)


def stylegan2_generator_values(own):
    values = {"constant": own["synthesis.b4.const"].transpose(1, 2, 0)}
    mapping(values, own)
    layers = [f"synthesis.b{n}" for n in ("4.conv1", "8.conv0", "8.conv1", "16.conv0", "16.conv1")]
    for i, name in enumerate(layers):
        weight = kernel(own[f"{name}.weight"])
        # Where they upsample they convolve; we correlate everywhere.
        values[f"StyleLayer_{i}/kernel"] = weight[::-1, ::-1] if "conv0" in name else weight
        values[f"StyleLayer_{i}/bias"] = own[f"{name}.bias"]
        dense(values, f"StyleLayer_{i}/EqualDense_0", own, f"{name}.affine")
    for i, name in enumerate(f"synthesis.b{n}.torgb" for n in (4, 8, 16)):
        values[f"ToImage_{i}/kernel"] = kernel(own[f"{name}.weight"])
        values[f"ToImage_{i}/bias"] = own[f"{name}.bias"]
        dense(values, f"ToImage_{i}/EqualDense_0", own, f"{name}.affine")
    return values


def stylegan2_discriminator_values(own):
    values = {}
    mapping(values, own)
    levels = [f"b{side}.{part}" for side in (16, 8) for part in ("conv0", "conv1", "skip")]
    for i, name in enumerate(["b16.fromrgb", *levels, "b4.conv"]):
        values[f"EqualConv_{i}/kernel"] = kernel(own[f"{name}.weight"])
        if f"{name}.bias" in own:
            values[f"EqualConv_{i}/bias"] = own[f"{name}.bias"]
    dense(values, "EqualDense_0", own, "b4.fc")
    flat = own["b4.fc.weight"].reshape(16, 16, 4, 4).transpose(2, 3, 1, 0)
    values["EqualDense_0/kernel"] = flat.reshape(-1, 16)
    dense(values, "EqualDense_1", own, "b4.out")
    return values


@pytest.mark.parametrize("classes", [None, CLASSES])
def test_stylegan2(published, torch, classes):
    code = published("stylegan2-ada-pytorch", "training.networks")
    sizes = {"channel_base": 16 * 8, "channel_max": 16}
    layers = {"mapping_kwargs": {"num_layers": 2}}
    generator = code.Generator(10, classes or 0, 24, 16, 3, synthesis_kwargs=sizes, **layers)
    epilogue = {"epilogue_kwargs": {"mbstd_group_size": 3}}
    discriminator = code.Discriminator(classes or 0, 16, 3, **sizes, **epilogue, **layers)
    of_generator, of_discriminator = (randomized(torch, m) for m in (generator, discriminator))
    mean, z = torch.randn(24), torch.randn(3, 10)
    generator.mapping.w_avg.copy_(mean)
    condition = torch.eye(CLASSES)[LABELS] if classes else None
    images = generator.eval()(z, condition, truncation_psi=0.7, noise_mode="none")
    logits = discriminator(images, condition).detach().numpy()[:, 0]

    sizes = {"features": 8, "max_features": 16, "mapping_layers": 2, "num_classes": classes}
    labels = [LABELS] if classes else []
    ours = networks.StyleGAN2Generator((16, 16, 3), style=24, truncation=0.7, **sizes)
    state = {"averages": {"w": jnp.asarray(mean.numpy())}}
    values = stylegan2_generator_values(of_generator)
    found = run(ours, [z.numpy(), *labels], values, state=state, train=False)
    np.testing.assert_allclose(found, np.clip(nhwc(images), -1.0, 1.0), atol=1e-4)
    assert np.mean(np.abs(found) < 1.0) > 0.2
    ours = networks.StyleGAN2Discriminator(group_size=3, **sizes)
    values = stylegan2_discriminator_values(of_discriminator)
    found = run(ours, [nhwc(images), *labels], values, train=True)
    np.testing.assert_allclose(found, logits, atol=1e-5 * np.abs(logits).max())
