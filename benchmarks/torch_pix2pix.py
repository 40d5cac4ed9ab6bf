"""pix2pix in plain PyTorch, for comparison with `experiments.pix2pix` (Isola et al., 2017).

    python -m benchmarks.torch_pix2pix --data-dir facades --num-steps 5000 --output outputs
    python -m benchmarks.facades --data-dir facades --outputs outputs

The paper's setting at any crop size: U-Net down to one pixel, PatchGAN discriminator, batches of
one with batch normalisation, `l1_weight` 100, Adam with 2e-4 and beta1 = 0.5, a constant learning
rate and its linear decay to 0 over the second half. Data come from `jaxgan.data`. The outputs for
the test label maps are written as PNG files.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the conventional name
import tyro
from torch import nn

from jaxgan import data, images

LEAK = 0.2
WITH_DROPOUT = 4  # first level of full width
WIDEST = 8


@dataclasses.dataclass(frozen=True)
class Config:
    """Train pix2pix in PyTorch, and translate the test label maps."""

    data_dir: Path
    """Folder with train/ and test/, photograph and label map side by side."""
    output: Path
    """Folder of the translations."""
    num_steps: int = 5000
    """Number of training steps."""
    crop_size: int = 64
    """Side length of the square training crops, a power of two."""
    batch_size: int = 1
    """Images per minibatch."""
    features: int = 64
    """Channels of the first layer of both networks."""
    patch_layers: int = 3
    """Stride-2 layers of the discriminator."""
    l1_weight: float = 100.0
    """Weight of the L1 distance between output and target."""
    learning_rate: float = 2e-4
    """Initial learning rate of Adam."""
    stochastic: bool = False
    """Apply dropout and batch statistics in translation, as the paper does."""
    seed: int = 0
    """Seed of weights, data order and dropout."""


def main(config: Config) -> None:
    """Trains, and writes one PNG file per test pair."""
    torch.manual_seed(config.seed)
    load_size = math.ceil(config.crop_size * 286 / 256)
    photos, label_maps = data.load_pairs(config.data_dir, "train")
    minibatches = data.translation_minibatches(
        {"source": label_maps, "target": photos},
        paired=True,
        batch_size=config.batch_size,
        seed=config.seed,
        jitter=data.Jitter(load_size, config.crop_size),
    )
    generator, step = make_step(config)
    for i in range(config.num_steps):
        batch = {name: to_torch(x[0]) for name, x in minibatches(i, 1).items()}
        step(batch["source"], batch["target"])

    sources = data.load_pairs(config.data_dir, "test")[1]
    jitter = data.Jitter(crop_size=config.crop_size)
    examples = data.resized_examples({"source": sources}, jitter)["source"]
    config.output.mkdir(parents=True, exist_ok=True)
    generator.train(config.stochastic)
    with torch.no_grad():
        for name, example in zip(sources.names, data.as_float(examples), strict=True):
            output = generator(to_torch(example[None])).permute(0, 2, 3, 1).numpy()
            images.save_grid(config.output / f"{name}.png", output, margin=0)


def make_step(config: Config):
    """Generator, and a training step of both networks, `(source, target) -> None`."""
    generator = unet(config).apply(initialize)
    discriminator = patch_discriminator(config).apply(initialize)
    optimizers, schedules = [], []
    for network in (generator, discriminator):
        network.to(memory_format=torch.channels_last)
        optimizers.append(
            torch.optim.Adam(network.parameters(), config.learning_rate, (0.5, 0.999))
        )
        decay = lambda step: min(1.0, 2.0 * (1.0 - step / config.num_steps))
        schedules.append(torch.optim.lr_scheduler.LambdaLR(optimizers[-1], decay))
    g_optimizer, d_optimizer = optimizers
    entropy = F.binary_cross_entropy_with_logits

    def step(source, target) -> None:
        fake = generator(source)
        discriminator.requires_grad_(True)
        r = discriminator(torch.cat([source, target], 1))
        f = discriminator(torch.cat([source, fake.detach()], 1))
        loss = (entropy(r, torch.ones_like(r)) + entropy(f, torch.zeros_like(f))) / 2
        d_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        d_optimizer.step()

        discriminator.requires_grad_(False)
        f = discriminator(torch.cat([source, fake], 1))
        loss = entropy(f, torch.ones_like(f)) + config.l1_weight * F.l1_loss(fake, target)
        g_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        g_optimizer.step()
        for schedule in schedules:
            schedule.step()

    return generator, step


class Level(nn.Module):
    """A level of the U-Net: half the size, the levels within, twice the size; beside its input."""

    def __init__(self, outer: int, inner: int, within: nn.Module | None, *, dropout: bool) -> None:
        super().__init__()
        norm = [nn.BatchNorm2d(inner)] if within else []  # a single pixel has no statistics
        self.body = nn.Sequential(
            nn.LeakyReLU(LEAK),
            nn.Conv2d(outer, inner, 4, 2, 1, bias=False),
            *norm,
            *([within] if within else []),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * inner if within else inner, outer, 4, 2, 1, bias=False),
            nn.BatchNorm2d(outer),
            *([nn.Dropout(0.5)] if dropout else []),
        )

    def forward(self, x):
        return torch.cat([x, self.body(x)], 1)


def unet(config: Config) -> nn.Module:
    """U-Net generator of label maps to photographs, down to one pixel."""
    width = lambda level: config.features * min(1 << level, WIDEST)
    last = config.crop_size.bit_length() - 2
    within = None
    for level in reversed(range(1, last + 1)):
        dropout = WITH_DROPOUT <= level < last
        within = Level(width(level - 1), width(level), within, dropout=dropout)
    return nn.Sequential(
        nn.Conv2d(3, config.features, 4, 2, 1),
        within,
        nn.ReLU(),
        nn.ConvTranspose2d(2 * config.features, 3, 4, 2, 1),
        nn.Tanh(),
    )


def patch_discriminator(config: Config) -> nn.Module:
    """PatchGAN discriminator of pairs."""
    n = config.features
    layers = [nn.Conv2d(6, n, 4, 2, 1), nn.LeakyReLU(LEAK)]
    for level in range(1, config.patch_layers + 1):
        m, stride = (
            config.features * min(1 << level, WIDEST),
            2 if level < config.patch_layers else 1,
        )
        layers += [nn.Conv2d(n, m, 4, stride, 1, bias=False), nn.BatchNorm2d(m), nn.LeakyReLU(LEAK)]
        n = m
    return nn.Sequential(*layers, nn.Conv2d(n, 1, 4, 1, 1))


def initialize(layer: nn.Module) -> None:
    """Normal initial weights, as in the paper."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)


def to_torch(x: np.ndarray) -> torch.Tensor:
    """`[n, height, width, channels]` to PyTorch's order of axes."""
    return torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2)


if __name__ == "__main__":
    main(tyro.cli(Config))
