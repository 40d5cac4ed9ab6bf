"""Judges of generated digits: two classifiers, and what codes do to the shape of digits.

The classifiers are the one in the package, and the LeNet-5 that `benchmarks/digits.py` trains and
that is used for nothing else.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from benchmarks import digits
from jaxgan import data, features, latents
from jaxgan.metrics import Features

Judges = Mapping[str, Features]


@functools.cache
def judges() -> Judges:
    """Classifiers of digits."""
    return {
        "LeNet-5": digits.lenet(data.load("mnist")),
        "mnist_classifier": features.mnist_classifier(),
    }


def read(judge: Features, rows: np.ndarray) -> np.ndarray:
    """The digit of each image, as a classifier reads it."""
    parts = [judge.apply(rows[i : i + 500])["logits"] for i in range(0, len(rows), 500)]
    return np.argmax(np.concatenate(parts), axis=1)


def purity(codes: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose label is the one that their code is matched with, for the best matching.

    Args:
      codes: integers in [0, 10), `[n]`.
      labels: integers in [0, 10), `[n]`.
    """
    table = np.zeros((10, 10))
    np.add.at(table, (codes, labels), 1)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(codes))


def monotonicity(decode: Callable[..., jax.Array], prior: latents.Codes) -> dict[str, float]:
    """Largest absolute rank correlation of a continuous code with slant and with width."""
    values, parts = np.linspace(-1, 1, 21), prior.split(prior(jax.random.key(2), 500))
    best = {"slant": 0.0, "width": 0.0}
    for code in range(prior.continuous):
        shapes = []
        for value in values:
            z = prior.join(parts._replace(continuous=parts.continuous.at[:, code].set(value)))
            shapes.append(slant_and_width(in_parts(decode, z)))
        for name, means in zip(best, np.transpose(shapes), strict=True):
            best[name] = max(best[name], abs(float(spearmanr(values, means).statistic)))
    return best


def slant_and_width(samples: np.ndarray) -> tuple[float, float]:
    """Means over images `[n, h, w, 1]` in [-1, 1] of two ratios of second moments of their ink."""
    ink = np.clip((samples[..., 0] + 1) / 2, 0, 1) + 1e-6
    ink /= ink.sum(axis=(1, 2), keepdims=True)
    rows, columns = np.mgrid[: ink.shape[1], : ink.shape[2]]
    mean = lambda values: (ink * values).sum(axis=(1, 2), keepdims=True)
    y, x = rows - mean(rows), columns - mean(columns)
    slant, width = mean(x * y) / mean(y * y), np.sqrt(mean(x * x))
    return float(slant.mean()), float(width.mean())


def in_parts(decode: Callable[..., jax.Array], *rows: Any) -> np.ndarray:
    """Outputs of a function of rows, 500 at a time."""
    count = len(rows[0])
    parts = [decode(*(x[i : i + 500] for x in rows)) for i in range(0, count, 500)]
    return np.concatenate([np.asarray(part) for part in parts])
