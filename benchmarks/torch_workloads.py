"""The workloads in PyTorch, written to be fast there.

Networks run eagerly or under `torch.compile`, channels last. Both turns use the same batch of
fakes, and the generator's turn computes no gradients of the discriminator's parameters.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812, the conventional name
from torch import nn

from benchmarks.workloads import (
    CYCLE,
    IDENTITY,
    LATENT,
    LEAK,
    MLP_DISCRIMINATOR,
    MLP_GENERATOR,
    Translation,
    Workload,
)


def make_step(workload: Workload | Translation, *, compiled: bool = False):
    """`step()`, which runs one training step; with `compiled`, the networks are compiled."""
    torch.manual_seed(0)
    if isinstance(workload, Translation):
        return _make_translation_step(workload, compiled)
    generator, discriminator = (_compiled(net, compiled) for net in _networks(workload))
    adam = lambda module: torch.optim.Adam(module.parameters(), 2e-4, (0.5, 0.999))
    g_optimizer, d_optimizer = adam(generator), adam(discriminator)
    real = torch.rand(workload.batch, workload.image[2], *workload.image[:2]) * 2 - 1
    real = real.contiguous(memory_format=torch.channels_last)
    wasserstein = workload.penalty == "gp"

    def step():
        fake = generator(torch.randn(workload.batch, LATENT))
        discriminator.requires_grad_(True)
        r, f = discriminator(real), discriminator(fake.detach())
        loss = (f - r).mean() if wasserstein else (F.softplus(-r) + F.softplus(f)).mean()
        if workload.penalty is not None:
            loss = loss + 10.0 * _penalty(workload.penalty, discriminator, real, fake.detach())
        d_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        d_optimizer.step()

        discriminator.requires_grad_(False)
        f = discriminator(fake)
        loss = -f.mean() if wasserstein else F.softplus(-f).mean()
        g_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        g_optimizer.step()

    return step


def _penalty(name: str, discriminator: nn.Module, real, fake):
    t = torch.rand(len(real), 1, 1, 1) if name == "gp" else 1.0
    x = (t * real + (1.0 - t) * fake).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    square = gradient.flatten(1).pow(2).sum(1)
    return (square.sqrt() - 1.0).pow(2).mean() if name == "gp" else 0.5 * square.mean()


def _networks(workload: Workload) -> tuple[nn.Module, nn.Module]:
    height, width, channels = workload.image
    if workload.base is None:
        pixels = height * width * channels
        generator = _mlp((LATENT, *MLP_GENERATOR, pixels))
        generator += [nn.Tanh(), nn.Unflatten(1, (channels, height, width))]
        discriminator = [nn.Flatten(), *_mlp((pixels, *MLP_DISCRIMINATOR, 1)), nn.Flatten(0)]
        return nn.Sequential(*generator), nn.Sequential(*discriminator)

    base_height, base_width, n = workload.base
    generator = [nn.Linear(LATENT, base_height * base_width * n)]
    generator += [nn.Unflatten(1, (n, base_height, base_width)), nn.BatchNorm2d(n), nn.ReLU()]
    for i, (features, taps, stride) in enumerate(workload.generator):
        padding = (taps - stride + 1) // 2
        extra = stride - taps + 2 * padding  # so that the output is `stride` times the input
        generator += [nn.ConvTranspose2d(n, features, taps, stride, padding, extra)]
        last = i == len(workload.generator) - 1
        generator += [nn.Tanh()] if last else [nn.BatchNorm2d(features), nn.ReLU()]
        n = features

    discriminator, n, size = [], channels, height
    for level, (features, taps, stride) in enumerate(workload.discriminator):
        discriminator += [nn.Conv2d(n, features, taps, stride, (taps - 1) // 2)]
        if workload.batch_norm and level:
            discriminator += [nn.BatchNorm2d(features)]
        discriminator += [nn.LeakyReLU(LEAK)]
        n, size = features, -(size // -stride)
    discriminator += [nn.Flatten(), nn.Linear(n * size * size, 1), nn.Flatten(0)]
    return tuple(
        nn.Sequential(*layers).to(memory_format=torch.channels_last)
        for layers in (generator, discriminator)
    )


def _mlp(widths: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n, m in pairwise(widths):
        layers += [nn.Linear(n, m), nn.LeakyReLU(LEAK)]
    return layers[:-1]


def _compiled(module: nn.Module, compiled: bool) -> nn.Module:
    return torch.compile(module) if compiled else module


def _make_translation_step(workload: Translation, compiled: bool):
    side, features = workload.side, workload.features
    to_b, to_a = (_compiled(_resnet(features, workload.num_blocks), compiled) for _ in range(2))
    d_a, d_b = (_patch_discriminator(features).requires_grad_(False) for _ in range(2))
    optimizer = torch.optim.Adam([*to_b.parameters(), *to_a.parameters()], 2e-4, (0.5, 0.999))
    real = (torch.rand(workload.batch, 3, side, side) * 2 - 1 for _ in range(2))
    a, b = (x.contiguous(memory_format=torch.channels_last) for x in real)

    def step():
        fake_b, fake_a = to_b(a), to_a(b)
        loss = (d_b(fake_b) - 1).pow(2).mean() + (d_a(fake_a) - 1).pow(2).mean()
        loss = loss + CYCLE * (F.l1_loss(to_a(fake_b), a) + F.l1_loss(to_b(fake_a), b))
        loss = loss + IDENTITY * (F.l1_loss(to_a(a), a) + F.l1_loss(to_b(b), b))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        part = lambda: [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        self.body = nn.Sequential(*part(), nn.ReLU(), *part())

    def forward(self, x):
        return x + self.body(x)


def _resnet(n: int, num_blocks: int) -> nn.Module:
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, n, 7), nn.InstanceNorm2d(n), nn.ReLU()]
    for m in (2 * n, 4 * n):
        layers += [nn.Conv2d(m // 2, m, 3, 2, 1), nn.InstanceNorm2d(m), nn.ReLU()]
    layers += [_Residual(4 * n) for _ in range(num_blocks)]
    for m in (2 * n, n):
        layers += [nn.ConvTranspose2d(2 * m, m, 3, 2, 1, 1), nn.InstanceNorm2d(m), nn.ReLU()]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(n, 3, 7), nn.Tanh()]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def _patch_discriminator(n: int) -> nn.Module:
    layers = [nn.Conv2d(3, n, 4, 2, 1), nn.LeakyReLU(LEAK)]
    for m, stride in ((2 * n, 2), (4 * n, 2), (8 * n, 1)):
        layers += [nn.Conv2d(m // 2, m, 4, stride, 1), nn.InstanceNorm2d(m), nn.LeakyReLU(LEAK)]
    layers += [nn.Conv2d(8 * n, 1, 4, 1, 1)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)
