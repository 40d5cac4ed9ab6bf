"""What metrics need of images: the outputs of their feature extractors, by name."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jaxgan.metrics import Features, Metric
from jaxgan.types import Array

Outputs = dict[str, Any]  # {features/output: rows}


def outputs_of(metrics: Sequence[Metric], images: Array) -> Outputs:
    """Features that the metrics need of images; XLA computes a shared network only once.

    Raises:
      ValueError: two features have one name, by which they are shared, and are not the same, or
        features lack an output that a metric needs.
    """
    needed = {f"{m.features.name}/{m.output}": m for m in metrics}
    by_name: dict[str, Features] = {}
    for m in metrics:
        other = by_name.setdefault(m.features.name, m.features)
        same_weights = other.sha256 is not None and other.sha256 == m.features.sha256
        if other.apply is not m.features.apply and not same_weights:
            raise ValueError(
                f"two features have the name {other.name}; share one Features between the metrics, "
                "or give each its own name"
            )
    return {name: _output(m, images) for name, m in needed.items()}


def _output(metric: Metric, images: Array) -> Any:
    outputs = metric.features.apply(images)
    if not isinstance(outputs, Mapping) or metric.output not in outputs:
        found = ", ".join(outputs) if isinstance(outputs, Mapping) else type(outputs).__name__
        raise ValueError(
            f"the features {metric.features.name} return {found}, expected a dict with "
            f'"{metric.output}": array'
        )
    return outputs[metric.output]


def selected(metric: Metric, outputs: Outputs | None) -> Any:
    """The output that a metric's `update` takes."""
    return None if outputs is None else outputs[f"{metric.features.name}/{metric.output}"]


def first(count: int, outputs: Outputs) -> Outputs:
    """The first rows of all outputs."""
    return jax.tree.map(lambda rows: rows[:count], outputs)
