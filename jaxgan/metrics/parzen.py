"""Parzen-window log-likelihood, the evaluation protocol of Goodfellow et al. (2014)."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import (
    PIXELS,
    Means,
    Metric,
    MetricRecord,
    Records,
    check_enough,
    checked,
    collecting,
)
from jaxgan.metrics.neighbors import squared_distances
from jaxgan.types import Array

BANDWIDTHS = tuple(np.logspace(-1.0, 0.0, 10).tolist())
CHUNK = 500  # examples whose distances to all samples are in memory at once


def parzen_log_likelihood(
    validation: np.ndarray, *, bandwidths: tuple[float, ...] = BANDWIDTHS
) -> Metric:
    """Parzen-window estimate of the mean log-likelihood of real examples, in nats.

    `log p(x) = logsumexp_j(-|x - s_j|^2 / 2 sigma^2) - log n - d/2 log(2 pi sigma^2)`, with
    Gaussian windows at the n generated samples s_j. Images x and s in [-1, 1] are rescaled to
    [0, 1]. Of `bandwidths`, sigma is the one that maximises the likelihood of the validation
    examples. The paper's protocol: 10 000 samples, sigma chosen on the first 1000 of MNIST's
    training images 50 000 to 59 999 (none of which is used for training), and the mean over the
    10 000 test images with its standard error.

    **Caveat**: Theis, van den Oord and Bethge (*A Note on the Evaluation of Generative Models*,
    2016, https://arxiv.org/abs/1511.01844) show that this estimate ranks models neither by
    likelihood nor by visual quality: k-means centroids of the training set score above the true
    distribution. Use it only to compare with papers that report it, under their protocol.

    Args:
      validation: real examples for choosing sigma, `[n, ...]` in [-1, 1], disjoint from those
        passed to `update`.
      bandwidths: candidate values of sigma, on the scale of [0, 1]; by default 10 values from 0.1
        to 1, evenly spaced in log scale.

    Returns:
      A metric with one record, `parzen_log_likelihood`; `update` takes flat rows in [-1, 1].

    Raises:
      MetricError: rows are not finite or have another width, or there are none.

    Reference:
      Goodfellow et al., *Generative Adversarial Nets*, 2014, https://arxiv.org/abs/1406.2661,
      table 1; Breuleux, Bengio and Vincent, *Quickly Generating Representative Samples from an
      RBM-Derived Process*, 2011.

    Example:
      >>> metric = parzen_log_likelihood(np.zeros((10, 2)), bandwidths=(0.1, 0.2))
      >>> acc = metric.update(metric.init(), real=np.zeros((5, 2)), generated=np.zeros((5, 2)))
      >>> metric.compute(acc)["parzen_log_likelihood"].details["bandwidth"]
      0.1
    """
    check_enough(len(validation), "validation", 1)
    held_out = _scaled(checked(validation, "validation")).reshape(len(validation), -1)

    def compute(real: np.ndarray, generated: np.ndarray) -> Records:
        if held_out.shape[1] != generated.shape[1]:
            raise MetricError(
                f"validation rows have width {held_out.shape[1]} and samples "
                f"{generated.shape[1]}; pass images of one shape"
            )
        likelihoods = [log_likelihoods(held_out, generated, sigma).mean() for sigma in bandwidths]
        sigma = bandwidths[int(np.argmax(likelihoods))]
        values = Means().plus(log_likelihoods(real, generated, sigma)[None])
        record = MetricRecord(
            "parzen_log_likelihood",
            float(values.mean[0]),
            values.standard_error[0],
            num_real=len(real),
            num_generated=len(generated),
            preprocessing="scaled to [0, 1], flattened",
            details={"bandwidth": sigma, "num_validation": len(held_out), "unit": "nats"},
        )
        return {record.name: record}

    return collecting(
        compute, features=PIXELS, prepare=_scaled, min_real=1, min_generated=1, rank=2
    )


def log_likelihoods(x: np.ndarray, samples: np.ndarray, bandwidth: float) -> np.ndarray:
    """Parzen-window log-likelihood of each row of `x`, in nats.

    Args:
      x: `[n, d]`.
      samples: centres of the Gaussian windows, `[m, d]`.
      bandwidth: standard deviation of the windows, positive.

    Returns:
      `float64[n]`.

    Example:
      >>> log_likelihoods(np.zeros((1, 1)), np.zeros((3, 1)), 1.0).round(4)  # -log(2 pi) / 2
      array([-0.9189])
    """
    center = samples.mean(axis=0)
    resident = jnp.asarray(samples - center, jnp.float32)
    windows = [
        _log_mean_window(np.asarray(x[i : i + CHUNK] - center, np.float32), resident, bandwidth)
        for i in range(0, len(x), CHUNK)
    ]
    normaliser = 0.5 * samples.shape[1] * np.log(2.0 * np.pi * bandwidth**2)
    return np.concatenate([np.asarray(w, np.float64) for w in windows]) - normaliser


@jax.jit
def _log_mean_window(x: Array, samples: Array, bandwidth: float) -> Array:
    exponents = -squared_distances(x, samples) / (2.0 * bandwidth**2)
    return jax.nn.logsumexp(exponents, axis=1) - jnp.log(len(samples))


def _scaled(images: np.ndarray) -> np.ndarray:
    if not np.issubdtype(images.dtype, np.floating):
        raise MetricError(
            f"images have the dtype {images.dtype}, expected floats in [-1, 1]: "
            "jaxgan.data.as_float(images)"
        )
    return (np.asarray(images, np.float32) + 1.0) / 2.0
