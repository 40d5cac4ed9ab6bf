"""Networks of the image experiments, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxgan.runs.config.training_config import network

if TYPE_CHECKING:
    import flax.linen as nn

    from jaxgan import Network
    from jaxgan.data import Dataset
    from jaxgan.experiments import images


def make_networks(config: images.Config, dataset: Dataset) -> tuple[Network, Network]:
    """Generator and discriminator; the latter with a head for AC-GAN and InfoGAN."""
    from jaxgan import networks

    modules = MODULES[config.network](config, dataset)
    generator, discriminator = (network(config, module) for module in modules)
    if config.acgan or config.infogan:
        outputs = dataset.num_classes if config.acgan else config.categorical + config.continuous
        discriminator = networks.with_head(discriminator, network(config, _head(config, outputs)))
    if config.pack > 1:
        discriminator = networks.packed(discriminator, config.pack)
    return generator, discriminator


def _dcgan(config: images.Config, dataset: Dataset) -> tuple[nn.Module, nn.Module]:
    from jaxgan import networks

    dense = {"dense_features": 16 * config.features if config.network == "infogan" else 0}
    return (
        networks.DCGANGenerator(
            dataset.image_shape,
            config.features,
            num_classes=_classes(config, dataset),
            **dense,
        ),
        networks.DCGANDiscriminator(
            config.features,
            batch_norm=config.discriminator_norm == "batch",
            **dense,
            **_of_discriminator(config, dataset),
        ),
    )


def _of_discriminator(config: images.Config, dataset: Dataset) -> dict[str, Any]:
    """With a head the features, and no projection of the labels, which the head classifies."""
    if config.acgan or config.infogan:
        return {"num_classes": None, "with_features": True}
    return {"num_classes": _classes(config, dataset)}


def _head(config: images.Config, outputs: int) -> nn.Module:
    """Normalised if the discriminator is."""
    from jaxgan import networks

    if config.discriminator_norm == "batch" and config.network in ("dcgan", "infogan"):
        return networks.DCGANHead(outputs)
    return networks.MLP((128,), output_shape=(outputs,))


def _mlp(config: images.Config, dataset: Dataset) -> tuple[nn.Module, nn.Module]:
    import jax
    import jax.numpy as jnp

    from jaxgan import networks

    classes = _classes(config, dataset)
    generator = networks.MLP(
        (1200, 1200),
        output_shape=dataset.image_shape,
        activation=jax.nn.relu,
        output_activation=jnp.tanh,
        num_classes=classes,
    )
    if config.network == "maxout":
        return generator, networks.MaxoutMLP(num_classes=classes)
    return generator, networks.MLP((512, 256), num_classes=classes)


def _sngan(config: images.Config, dataset: Dataset) -> tuple[nn.Module, nn.Module]:
    from jaxgan import networks

    sagan = config.network == "sagan"
    attention = _attention(dataset) if sagan else None
    return (
        networks.SNGANGenerator(
            dataset.image_shape,
            config.features,
            attention=attention,
            spectral_norm=sagan,
            num_classes=_classes(config, dataset),
        ),
        networks.SNGANDiscriminator(
            config.features, attention=attention, **_of_discriminator(config, dataset)
        ),
    )


def _biggan(config: images.Config, dataset: Dataset) -> tuple[nn.Module, nn.Module]:
    from jaxgan import networks

    deep = config.network == "biggan_deep"
    generator = networks.BigGANDeepGenerator if deep else networks.BigGANGenerator
    discriminator = networks.BigGANDeepDiscriminator if deep else networks.BigGANDiscriminator
    attention, classes = _attention(dataset), _classes(config, dataset)
    return (
        generator(dataset.image_shape, config.features, attention=attention, num_classes=classes),
        discriminator(config.features, attention=attention, **_of_discriminator(config, dataset)),
    )


def _stylegan2(config: images.Config, dataset: Dataset) -> tuple[nn.Module, nn.Module]:
    """With a mapping network of two layers, as in ADA's code for small images.

    The path length is that in the latents, of which mixed styles have no part.
    """
    from jaxgan import networks

    return (
        networks.StyleGAN2Generator(
            dataset.image_shape,
            config.features,
            style=config.latent,
            mapping_layers=2,
            style_mixing=0.0 if config.path_length else 0.9,
            num_classes=_classes(config, dataset),
        ),
        networks.StyleGAN2Discriminator(
            config.features, mapping_layers=2, **_of_discriminator(config, dataset)
        ),
    )


def _r3gan(config: images.Config, dataset: Dataset) -> tuple[nn.Module, nn.Module]:
    """With one residual block a stage in place of two, for small images."""
    from jaxgan import networks

    blocks = {"blocks": 1, "group_size": min(16, config.features)}
    classes = _classes(config, dataset)
    return (
        networks.R3GANGenerator(
            dataset.image_shape, config.features, num_classes=classes, **blocks
        ),
        networks.R3GANDiscriminator(
            config.features, **blocks, **_of_discriminator(config, dataset)
        ),
    )


def _fastgan(config: images.Config, dataset: Dataset) -> tuple[nn.Module, nn.Module]:
    from jaxgan import networks

    options = {"num_classes": _classes(config, dataset)}
    return (
        networks.FastGANGenerator(dataset.image_shape, config.features, **options),
        networks.FastGANDiscriminator(config.features, **options),
    )


def _attention(dataset: Dataset) -> int | None:
    """Height of the map with self-attention: a quarter of the image's, or half of a small one's.

    Below 16 pixels the generator has no map but the image.
    """
    height = dataset.image_shape[0]
    if height < 16:
        return None
    return height // 4 if height >= 64 else height // 2


def _classes(config: images.Config, dataset: Dataset) -> int | None:
    return dataset.num_classes if config.conditional else None


MODULES = {
    "dcgan": _dcgan,
    "infogan": _dcgan,
    "mlp": _mlp,
    "maxout": _mlp,
    "sngan": _sngan,
    "sagan": _sngan,
    "biggan": _biggan,
    "biggan_deep": _biggan,
    "stylegan2": _stylegan2,
    "r3gan": _r3gan,
    "fastgan": _fastgan,
}
