"""The same games in PyTorch, in the form that is fast there.

Eager, channels last, one batch of fakes for both turns, and the discriminator's gradients off in
the generator's turn.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812, the name that everybody gives it
from torch import nn

from benchmarks.workloads import LATENT, LEAK, MLP_DISCRIMINATOR, MLP_GENERATOR, Workload


def make_step(workload: Workload):
    """`step()`, which plays one round."""
    torch.manual_seed(0)
    generator, discriminator = _networks(workload)
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
