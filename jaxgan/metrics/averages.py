"""Means of per-example values that a game computes itself, such as likelihood bounds."""

from typing import Any

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import RAW, Means, Metric, MetricRecord, Records, check_enough, checked


def averages(*names: str) -> Metric:
    """Means of per-example values over the examples, with standard errors.

    Args:
      *names: names of the columns.

    Returns:
      A metric with one record per name: `update(acc, generated=rows [n, len(names)])`. Evaluations
      use each example at most once.

    Raises:
      ValueError: no names are given.
      MetricError: rows are not finite or have another width.

    Example:
      >>> import numpy as np
      >>> metric = averages("elbo")
      >>> acc = metric.update(metric.init(), generated=np.array([[-100.0], [-98.0]]))
      >>> print(metric.compute(acc)["elbo"])
      elbo -99 ± 1
    """
    if not names:
        raise ValueError("averages() got no names, expected at least one")

    def update(acc: Means, *, real: Any = None, generated: Any = None) -> Means:
        if generated is None:
            return acc
        rows = checked(generated, "generated")
        if rows.ndim != 2 or rows.shape[1] != len(names):
            raise MetricError(
                f"rows have shape {rows.shape[1:]}, expected one value for each of "
                f"{', '.join(names)}"
            )
        return acc.plus(rows.T)

    def compute(acc: Means) -> Records:
        check_enough(acc.n, "generated", 1)
        per_name = zip(names, acc.mean, acc.standard_error, strict=True)
        return {
            name: MetricRecord(name, float(value), error, num_generated=acc.n)
            for name, value, error in per_name
        }

    # A value belongs to an example, so repeating an example adds no information: `paired` keeps
    # evaluations from repeating one.
    return Metric(Means, update, Means.merge, compute, RAW, takes_real=False, paired=True)
