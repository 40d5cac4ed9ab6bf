"""LPIPS: learned perceptual image patch similarity, over a network that the user provides."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import (
    Features,
    Means,
    Metric,
    MetricRecord,
    Records,
    check_enough,
    checked,
    described,
)
from jaxgan.types import Array


def lpips_distance(x: Sequence[Array], y: Sequence[Array], heads: Sequence[Array]) -> Array:
    """LPIPS distance between the feature maps of pairs of images.

    `sum over layers l of mean over pixels of w_l . (x_l / |x_l| - y_l / |y_l|)^2`.

    Args:
      x, y: a network's feature maps of two batches of images, one array `[n, height, width,
        channels]` per layer.
      heads: the learned weights of every layer, `[channels]`, not negative.

    Returns:
      `[n]`.

    Reference:
      Zhang, Isola, Efros, Shechtman and Wang, *The Unreasonable Effectiveness of Deep Features as a
      Perceptual Metric*, 2018, https://arxiv.org/abs/1801.03924.

    Example:
      >>> x, y = jnp.array([1.0, 0.0]), jnp.array([0.0, 3.0])  # at a right angle: (1, -1)^2
      >>> maps = [x.reshape(1, 1, 1, 2)], [y.reshape(1, 1, 1, 2)]
      >>> lpips_distance(*maps, [jnp.array([0.5, 0.25])]).tolist()
      [0.75]
    """
    unit = lambda v: v / (jnp.linalg.norm(v, axis=-1, keepdims=True) + 1e-10)
    layers = zip(x, y, heads, strict=True)
    return sum(
        (jnp.mean((unit(a) - unit(b)) ** 2 @ head, axis=(1, 2)) for a, b, head in layers),
        start=jnp.zeros(()),
    )


def lpips(backbone: Features, heads: Sequence[Any]) -> Metric:
    """Mean LPIPS distance between outputs and their targets, pair by pair; lower is more similar.

    Args:
      backbone: a network whose outputs include `maps`, a list of `[n, height, width, channels]`,
        and which rescales images in [-1, 1] itself.
      heads: the weights learned for the backbone, one array `[channels]` per map.

    Returns:
      A paired metric with one record, `lpips_<backbone>`: `update(acc, real=maps of targets,
      generated=maps of outputs)`.

    Raises:
      MetricError: maps are not finite, do not match the heads, or are passed without their pair; a
        head has a negative weight.

    Reference:
      Zhang, Isola, Efros, Shechtman and Wang, *The Unreasonable Effectiveness of Deep Features as a
      Perceptual Metric*, 2018, https://arxiv.org/abs/1801.03924.

    Example:
      >>> metric = lpips(alexnet, heads)  # doctest: +SKIP
      >>> acc = metric.update(metric.init(), real=maps_of_targets, generated=maps_of_outputs)
      ... # doctest: +SKIP
    """
    weights = [jnp.asarray(head, jnp.float32).reshape(-1) for head in heads]
    if any(float(head.min()) < 0.0 for head in weights):
        raise MetricError("a head of lpips has a negative weight; expected weights of at least 0")
    name = backbone.score_name("lpips")

    def update(acc: Means, *, real: Any = None, generated: Any = None) -> Means:
        if real is None or generated is None:
            raise MetricError("targets and outputs are compared in pairs; pass both")
        shapes = [[m.shape for m in maps] for maps in (real, generated)]
        if shapes[0] != shapes[1] or [s[-1] for s in shapes[0]] != [len(w) for w in weights]:
            raise MetricError(
                f"maps have shapes {shapes[0]} and {shapes[1]}, and the heads "
                f"{[len(w) for w in weights]} channels; expected equal shapes and channels"
            )
        maps = [
            [checked(m, side) for m in side_maps]
            for side, side_maps in (("real", real), ("generated", generated))
        ]
        return acc.plus(np.asarray(_distance(*maps, weights))[None])

    def compute(acc: Means) -> Records:
        check_enough(acc.n, "paired", 1)
        value, error = float(acc.mean[0]), acc.standard_error[0]
        record = MetricRecord(name, value, error, acc.n, acc.n, **described(backbone))
        return {name: record}

    return Metric(Means, update, Means.merge, compute, backbone, "maps", paired=True)


_distance = jax.jit(lpips_distance)
