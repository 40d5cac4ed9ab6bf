"""Classification accuracy."""

from typing import Any

import numpy as np

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import RAW, Means, Metric, MetricRecord, Records, check_enough, checked


def accuracy() -> Metric:
    """Classification accuracy: share of rows whose largest logit is that of their label.

    Returns:
      A paired metric with one record, `accuracy`: `update(acc, real=labels int[n],
      generated=logits [n, classes])`.

    Raises:
      MetricError: the logits are not finite, or there is not one row of logits per label.

    Example:
      >>> import numpy as np
      >>> metric, logits = accuracy(), np.array([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]])
      >>> acc = metric.update(metric.init(), real=np.array([0, 1, 1]), generated=logits)
      >>> round(metric.compute(acc)["accuracy"].value, 3)
      0.667
    """

    def update(acc: Means, *, real: Any = None, generated: Any = None) -> Means:
        if real is None or generated is None:
            raise MetricError("labels and logits are compared in pairs; pass both")
        labels, logits = checked(real, "real"), checked(generated, "generated")
        if labels.ndim != 1 or logits.ndim != 2 or len(labels) != len(logits):
            raise MetricError(
                f"labels have shape {labels.shape} and logits {logits.shape}; "
                "expected [n] and [n, classes]"
            )
        labels = labels.astype(int) if labels.dtype == bool else labels
        classes = logits.shape[1]
        if not np.issubdtype(labels.dtype, np.integer) or not np.isin(labels, range(classes)).all():
            raise MetricError(
                f"labels are {labels.dtype} from {labels.min()} to {labels.max()}, expected "
                f"integers from 0 to {classes - 1}"
            )
        return acc.plus((logits.argmax(axis=1) == labels)[None])

    def compute(acc: Means) -> Records:
        check_enough(acc.n, "paired", 1)
        value, error = float(acc.mean[0]), acc.standard_error[0]
        return {"accuracy": MetricRecord("accuracy", value, error, acc.n, acc.n)}

    return Metric(Means, update, Means.merge, compute, RAW, paired=True)
