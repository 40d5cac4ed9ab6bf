"""Inception v3 of 2015-12-05 in plain NumPy, images `[n, channels, height, width]`.

Written from the published graph, without the library under test: names, shapes and paddings are
those of the weight files for PyTorch.
"""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Arrays = dict[str, np.ndarray]


class Weights:
    """Random weights, drawn when a layer is first met; `arrays` is then a state dict."""

    def __init__(self, seed: int = 0) -> None:
        self.rng, self.arrays = np.random.default_rng(seed), dict[str, np.ndarray]()

    def get(self, name: str, draw: Callable[[], np.ndarray]) -> np.ndarray:
        if name not in self.arrays:
            self.arrays[name] = draw().astype(np.float32)
        return self.arrays[name].astype(np.float64)


def windows(x: np.ndarray, size: tuple[int, int], stride: int) -> np.ndarray:
    return sliding_window_view(x, size, axis=(2, 3))[:, :, ::stride, ::stride]


def padded(x: np.ndarray, height: int, width: int, value: float = 0.0) -> np.ndarray:
    around = ((0, 0), (0, 0), (height, height), (width, width))
    return np.pad(x, around, constant_values=value)


def conv(w: Weights, name: str, x, out: int, size=(1, 1), stride=1, padding=(0, 0)) -> np.ndarray:
    rng, fan_in = w.rng, x.shape[1] * size[0] * size[1]
    kernel = w.get(
        f"{name}.conv.weight",
        lambda: rng.normal(size=(out, x.shape[1], *size)) * np.sqrt(2 / fan_in),
    )
    scale = w.get(f"{name}.bn.weight", lambda: rng.uniform(0.8, 1.2, out))
    bias = w.get(f"{name}.bn.bias", lambda: 0.1 * rng.normal(size=out))
    mean = w.get(f"{name}.bn.running_mean", lambda: 0.1 * rng.normal(size=out))
    var = w.get(f"{name}.bn.running_var", lambda: rng.uniform(0.5, 1.5, out))
    patches = windows(padded(x, *padding), size, stride)
    y = np.einsum("nchwij,ocij->nohw", patches, kernel, optimize=True)
    column = lambda v: v[None, :, None, None]
    y = (y - column(mean)) / np.sqrt(column(var) + 1e-3) * column(scale) + column(bias)
    return np.maximum(y, 0.0)


def max_pool(x: np.ndarray, stride: int = 2, padding: int = 0) -> np.ndarray:
    return windows(padded(x, padding, padding, -np.inf), (3, 3), stride).max(axis=(4, 5))


def mean_pool(x: np.ndarray) -> np.ndarray:
    """Means of what lies inside the image."""
    total = windows(padded(x, 1, 1), (3, 3), 1).sum(axis=(4, 5))
    count = windows(padded(np.ones_like(x[:1, :1]), 1, 1), (3, 3), 1).sum(axis=(4, 5))
    return total / count


def block_a(w, name, x, pool):
    c = lambda branch, x, *args: conv(w, f"{name}.{branch}", x, *args)
    five = c("branch5x5_2", c("branch5x5_1", x, 48), 64, (5, 5), 1, (2, 2))
    three = c("branch3x3dbl_2", c("branch3x3dbl_1", x, 64), 96, (3, 3), 1, (1, 1))
    three = c("branch3x3dbl_3", three, 96, (3, 3), 1, (1, 1))
    pooled = c("branch_pool", mean_pool(x), pool)
    return np.concatenate([c("branch1x1", x, 64), five, three, pooled], axis=1)


def block_b(w, name, x):
    c = lambda branch, x, *args: conv(w, f"{name}.{branch}", x, *args)
    three = c("branch3x3dbl_2", c("branch3x3dbl_1", x, 64), 96, (3, 3), 1, (1, 1))
    three = c("branch3x3dbl_3", three, 96, (3, 3), 2)
    return np.concatenate([c("branch3x3", x, 384, (3, 3), 2), three, max_pool(x)], axis=1)


def block_c(w, name, x, k):
    c = lambda branch, x, *args: conv(w, f"{name}.{branch}", x, *args)
    row, column = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
    seven = c("branch7x7_3", c("branch7x7_2", c("branch7x7_1", x, k), k, *row), 192, *column)
    double = c("branch7x7dbl_2", c("branch7x7dbl_1", x, k), k, *column)
    double = c("branch7x7dbl_4", c("branch7x7dbl_3", double, k, *row), k, *column)
    double = c("branch7x7dbl_5", double, 192, *row)
    pooled = c("branch_pool", mean_pool(x), 192)
    return np.concatenate([c("branch1x1", x, 192), seven, double, pooled], axis=1)


def block_d(w, name, x):
    c = lambda branch, x, *args: conv(w, f"{name}.{branch}", x, *args)
    three = c("branch3x3_2", c("branch3x3_1", x, 192), 320, (3, 3), 2)
    seven = c("branch7x7x3_2", c("branch7x7x3_1", x, 192), 192, (1, 7), 1, (0, 3))
    seven = c("branch7x7x3_3", seven, 192, (7, 1), 1, (3, 0))
    seven = c("branch7x7x3_4", seven, 192, (3, 3), 2)
    return np.concatenate([three, seven, max_pool(x)], axis=1)


def block_e(w, name, x, pool):
    c = lambda branch, x, *args: conv(w, f"{name}.{branch}", x, *args)
    row, column = ((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0))
    three = c("branch3x3_1", x, 384)
    double = c("branch3x3dbl_2", c("branch3x3dbl_1", x, 448), 384, (3, 3), 1, (1, 1))
    parts = [
        c("branch1x1", x, 320),
        c("branch3x3_2a", three, 384, *row),
        c("branch3x3_2b", three, 384, *column),
        c("branch3x3dbl_3a", double, 384, *row),
        c("branch3x3dbl_3b", double, 384, *column),
        c("branch_pool", pool(x), 192),
    ]
    return np.concatenate(parts, axis=1)


def inception(w: Weights, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Outputs of stem and blocks, features and logits."""
    x = conv(w, "Conv2d_1a_3x3", x, 32, (3, 3), 2)
    x = conv(w, "Conv2d_2a_3x3", x, 32, (3, 3))
    x = max_pool(conv(w, "Conv2d_2b_3x3", x, 64, (3, 3), 1, (1, 1)))
    maps = [x]
    x = max_pool(conv(w, "Conv2d_4a_3x3", conv(w, "Conv2d_3b_1x1", x, 80), 192, (3, 3)))
    maps.append(x)
    for name, pool in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        maps.append(block_a(w, name, maps[-1], pool))
    maps.append(block_b(w, "Mixed_6a", maps[-1]))
    for name, k in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        maps.append(block_c(w, name, maps[-1], k))
    maps.append(block_d(w, "Mixed_7a", maps[-1]))
    maps.append(block_e(w, "Mixed_7b", maps[-1], mean_pool))
    maps.append(block_e(w, "Mixed_7c", maps[-1], lambda x: max_pool(x, 1, 1)))
    features = maps[-1].mean(axis=(2, 3))
    kernel = w.get("fc.weight", lambda: w.rng.normal(size=(1008, 2048)) / 45)
    bias = w.get("fc.bias", lambda: w.rng.normal(size=1008))
    return maps, features, features @ kernel.T + bias
