"""Inception v3 in PyTorch, a yardstick for the speed of its features.

The graph of Szegedy et al., *Rethinking the Inception Architecture for Computer Vision*, 2016,
https://arxiv.org/abs/1512.00567, with random weights and batch statistics in evaluation mode. (The
pools of FID's network take other elements, in the same time.)
"""

import torch
from torch import nn


class Parallel(nn.Module):
    """Branches of one input, concatenated."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def conv(
    channels: int,
    features: int,
    size: tuple[int, int] = (1, 1),
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, features, size, stride, padding, bias=False),
        nn.BatchNorm2d(features, eps=1e-3),
        nn.ReLU(inplace=True),
    )


THREE, FIVE = ((3, 3), 1, (1, 1)), ((5, 5), 1, (2, 2))
ROW, COLUMN = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))


def pooled(channels: int, features: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), conv(channels, features))


def block_a(channels: int, pool: int) -> nn.Module:
    return Parallel(
        conv(channels, 64),
        nn.Sequential(conv(channels, 48), conv(48, 64, *FIVE)),
        nn.Sequential(conv(channels, 64), conv(64, 96, *THREE), conv(96, 96, *THREE)),
        pooled(channels, pool),
    )


def block_b(channels: int) -> nn.Module:
    return Parallel(
        conv(channels, 384, (3, 3), 2),
        nn.Sequential(conv(channels, 64), conv(64, 96, *THREE), conv(96, 96, (3, 3), 2)),
        nn.MaxPool2d(3, 2),
    )


def block_c(k: int) -> nn.Module:
    double = (conv(k, k, *COLUMN), conv(k, k, *ROW), conv(k, k, *COLUMN), conv(k, 192, *ROW))
    return Parallel(
        conv(768, 192),
        nn.Sequential(conv(768, k), conv(k, k, *ROW), conv(k, 192, *COLUMN)),
        nn.Sequential(conv(768, k), *double),
        pooled(768, 192),
    )


def block_d() -> nn.Module:
    seven = (conv(768, 192), conv(192, 192, *ROW), conv(192, 192, *COLUMN))
    return Parallel(
        nn.Sequential(conv(768, 192), conv(192, 320, (3, 3), 2)),
        nn.Sequential(*seven, conv(192, 192, (3, 3), 2)),
        nn.MaxPool2d(3, 2),
    )


def block_e(channels: int) -> nn.Module:
    split = lambda: Parallel(conv(384, 384, (1, 3), 1, (0, 1)), conv(384, 384, (3, 1), 1, (1, 0)))
    return Parallel(
        conv(channels, 320),
        nn.Sequential(conv(channels, 384), split()),
        nn.Sequential(conv(channels, 448), conv(448, 384, *THREE), split()),
        pooled(channels, 192),
    )


def inception() -> nn.Module:
    """Images `[n, 3, 299, 299]` to features `[n, 2048]`."""
    return nn.Sequential(
        conv(3, 32, (3, 3), 2),
        conv(32, 32, (3, 3)),
        conv(32, 64, *THREE),
        nn.MaxPool2d(3, 2),
        conv(64, 80),
        conv(80, 192, (3, 3)),
        nn.MaxPool2d(3, 2),
        *(block_a(192, 32), block_a(256, 64), block_a(288, 64), block_b(288)),
        *(block_c(128), block_c(160), block_c(160), block_c(192), block_d()),
        *(block_e(1280), block_e(2048)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).eval()
