"""Means of numbers that a game itself gives for every example, such as bounds of a likelihood."""

from typing import Any

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import RAW, Metric, MetricRecord, Records, Sums, check_enough, checked


def averages(*names: str) -> Metric:
    """Means over the examples, and their standard errors.

    Args:
      *names: what the columns of a row are.

    Returns:
      A metric with one number per name: `update(acc, generated=rows [n, len(names)])`. Evaluations
      take every example once at most.

    Raises:
      ValueError: no names.
      MetricError: rows that are not finite or of another width.

    Example:
      >>> import numpy as np
      >>> metric = averages("elbo")
      >>> acc = metric.update(metric.init(), generated=np.array([[-100.0], [-98.0]]))
      >>> print(metric.compute(acc)["elbo"])
      elbo -99 ± 1
    """
    if not names:
        raise ValueError("averages() was given no names")

    def update(acc: Sums, *, real: Any = None, generated: Any = None) -> Sums:
        if generated is None:
            return acc
        rows = checked(generated, "generated")
        if rows.ndim != 2 or rows.shape[1] != len(names):
            raise MetricError(
                f"rows have the shape {rows.shape[1:]}, expected a number for each of "
                f"{', '.join(names)}"
            )
        return acc.plus(rows.T)

    def compute(acc: Sums) -> Records:
        check_enough(acc.n, "generated", 1)
        numbers = zip(names, acc.mean, acc.standard_error, strict=True)
        return {
            name: MetricRecord(name, float(value), float(error), num_generated=acc.n)
            for name, value, error in numbers
        }

    # A number belongs to an example, and an example that is taken twice tells nothing new.
    return Metric(Sums, update, Sums.merge, compute, RAW, takes_real=False, paired=True)
