"""DCGAN in plain PyTorch on MNIST, for comparison with `experiments.mnist`.

    python -m benchmarks.torch_dcgan --data-dir DIR --output samples.npy

The networks and settings of PyTorch's DCGAN tutorial (Radford, Metz and Chintala, 2016,
https://arxiv.org/abs/1511.06434) at 28 x 28 pixels: 100 latents, widths of 64, weights from
N(0, 0.02), batches of 128, Adam with 2e-4 and beta1 = 0.5, logistic losses. A kernel of 7 x 7 takes
the place of the tutorial's first two levels. The networks are channels last, which is the faster
layout on a CPU. It trains until SIGTERM, and then writes samples in [-1, 1].
"""

import dataclasses
import signal
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the conventional name
import tyro
from torch import nn

from jaxgan import data

LATENT = 100
LEAK = 0.2


@dataclasses.dataclass(frozen=True)
class Config:
    """Train DCGAN in PyTorch until SIGTERM, and write samples."""

    output: Path
    """File of the samples, `.npy`, `float32[num, 28, 28, 1]`."""
    data_dir: str | None = None
    """Folder with the folder `mnist` of the original files."""
    num_samples: int = 10_000
    """Number of samples."""
    batch_size: int = 128
    """Images per minibatch."""
    features: int = 64
    """Channels of the finest level of both networks."""
    learning_rate: float = 2e-4
    """Learning rate of Adam."""
    seed: int = 0
    """Seed of weights, latents and data order."""


def main(config: Config) -> None:
    """Trains, and writes the samples and the number of steps."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    torch.manual_seed(config.seed)
    dataset = data.load("mnist", data_dir=config.data_dir)
    minibatches = data.minibatches(dataset.train, batch_size=config.batch_size, seed=config.seed)
    generator, step = make_step(config)
    num_steps = 0
    while not stopped:
        images = torch.from_numpy(np.array(minibatches(num_steps, 1)["image"][0]))
        step(images.permute(0, 3, 1, 2))
        num_steps += 1
    generator.eval()
    with torch.no_grad():
        z = torch.randn(config.num_samples, LATENT, 1, 1)
        samples = torch.cat([generator(part) for part in z.split(500)])
    np.save(config.output, samples.permute(0, 2, 3, 1).contiguous().numpy())
    print(f"{num_steps} steps", flush=True)


def make_step(config: Config):
    """Generator, and a training step of both networks, `images [batch, 1, 28, 28] -> None`."""
    n = config.features
    up = lambda a, b: [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    generator = nn.Sequential(
        *(nn.ConvTranspose2d(LATENT, 4 * n, 7, bias=False), nn.BatchNorm2d(4 * n), nn.ReLU()),
        *up(4 * n, 2 * n),
        *(nn.ConvTranspose2d(2 * n, 1, 4, 2, 1, bias=False), nn.Tanh()),
    )
    discriminator = nn.Sequential(
        *(nn.Conv2d(1, n, 4, 2, 1, bias=False), nn.LeakyReLU(LEAK)),
        *(nn.Conv2d(n, 2 * n, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * n), nn.LeakyReLU(LEAK)),
        *(nn.Conv2d(2 * n, 1, 7, bias=False), nn.Flatten(0)),
    )
    optimizers = []
    for network in (generator, discriminator):
        network.apply(initialize).to(memory_format=torch.channels_last)
        optimizers.append(
            torch.optim.Adam(network.parameters(), config.learning_rate, (0.5, 0.999))
        )
    g_optimizer, d_optimizer = optimizers

    def step(real) -> None:
        fake = generator(torch.randn(len(real), LATENT, 1, 1))
        discriminator.requires_grad_(True)
        loss = F.softplus(-discriminator(real)).mean()
        loss = loss + F.softplus(discriminator(fake.detach())).mean()
        d_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        d_optimizer.step()

        discriminator.requires_grad_(False)
        loss = F.softplus(-discriminator(fake)).mean()
        g_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        g_optimizer.step()

    return generator, step


def initialize(module: nn.Module) -> None:
    """Initial weights of the tutorial."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


if __name__ == "__main__":
    main(tyro.cli(Config))
