"""Mode coverage: modes of a known distribution that a generator covers, and reverse KL."""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammainc, gammaincc, rel_entr, xlogy

from jaxgan.errors import MetricError
from jaxgan.metrics.metric import (
    RAW,
    Features,
    Metric,
    MetricRecord,
    Records,
    check_enough,
    checked,
    described,
)


class Counts(NamedTuple):
    """Samples per mode: all samples, and those of high quality."""

    all: np.ndarray
    good: np.ndarray


def mode_coverage(centers: np.ndarray, std: float, *, within: float = 3.0) -> Metric:
    """Covered modes, share of high-quality samples and reverse KL for a mixture of equal Gaussians.

    A sample is assigned to the nearest centre, and is of high quality if it lies within 3 standard
    deviations of it (98.9 % of a perfect generator's samples in two dimensions). A mode is covered
    if a high-quality sample is assigned to it. The reverse KL is `sum p log(K p)` of the shares p
    of the K modes, in nats: `reverse_kl` of the high-quality samples, as in the code of PacGAN
    (log K, its largest value, if there are none), and `reverse_kl_all` of all samples. Neither
    changes if a generator is sharp in all modes alike or blurred in all alike. `partition_kl` does:
    it is `sum p log(p / q)` over K + 1 cells, the high-quality samples of each mode and all other
    samples, with the shares q of a perfect generator. Floors, of all but `modes`, are the means of
    the scores of an equal number of samples of a perfect generator.

    Args:
      centers: `[K, d]`.
      std: standard deviation of every Gaussian along every axis; positive.
      within: largest distance of a high-quality sample from its centre, in standard deviations.

    Returns:
      A metric with the records `modes`, `high_quality` (a share), `reverse_kl`, `reverse_kl_all`
      and `partition_kl`, of generated samples `[n, d]` alone.

    Raises:
      MetricError: samples are not finite or have another dimension, or there are none.
      ValueError: `std` or `within` is not positive.

    Reference:
      Srivastava et al., *VEEGAN*, 2017, https://arxiv.org/abs/1705.07761; Lin et al., *PacGAN*,
      2018, https://arxiv.org/abs/1712.04086, section 4.1 (which uses 2500 samples).

    Example:
      >>> metric = mode_coverage(np.array([[-1.0], [1.0]]), std=0.1)
      >>> acc = metric.update(metric.init(), generated=np.array([[-1.0], [-0.9], [5.0], [-1.1]]))
      >>> records = metric.compute(acc)
      >>> records["modes"].value, records["high_quality"].value
      (1.0, 0.75)
    """
    if std <= 0.0 or within <= 0.0:
        raise ValueError(f"std is {std} and within {within}, expected positive numbers")
    centers = np.asarray(centers, np.float64)
    num_modes, width = centers.shape
    of_chi = width / 2, within**2 / 2  # the share within a distance, and the rest
    perfect = float(gammainc(*of_chi)), float(gammaincc(*of_chi))

    def init() -> Counts:
        return Counts(np.zeros(num_modes, np.int64), np.zeros(num_modes, np.int64))

    def update(acc: Counts, *, real: Any = None, generated: Any = None) -> Counts:
        if generated is None:
            return acc
        rows = checked(generated, "generated").astype(np.float64)
        if rows.shape[1:] != (width,):
            raise MetricError(f"samples have shape {rows.shape[1:]}, expected ({width},)")
        distances = np.linalg.norm(rows[:, None] - centers, axis=2)
        mode, good = distances.argmin(axis=1), distances.min(axis=1) <= within * std
        return Counts(acc.all + _count(mode, num_modes), acc.good + _count(mode[good], num_modes))

    def compute(acc: Counts) -> Records:
        return _records(acc, RAW, "", perfect)

    return Metric(init, update, _merged, compute, RAW, takes_real=False)


def class_coverage(features: Features, *, digits: int = 1) -> Metric:
    """Covered classes and reverse KL of the samples' predicted labels, under a classifier.

    With `digits=3` it is the Stacked-MNIST protocol: the channels of an image are three digits,
    classified separately, and the modes are the 1000 three-digit numbers. The classifier then
    returns logits `[n, digits, classes]`.

    Args:
      features: a classifier, whose outputs include `logits`, `[n, classes]` or
        `[n, digits, classes]`.
      digits: number of labels per mode.

    Returns:
      A metric with the records `modes_<features>` and `reverse_kl_<features>`; the latter is
      relative to the uniform distribution, with the floor at this sample size.

    Raises:
      MetricError: logits are not finite, of another shape or number of classes, or there are none.

    Reference:
      Metz et al., *Unrolled Generative Adversarial Networks*, 2017,
      https://arxiv.org/abs/1611.02163; Lin et al., *PacGAN*, 2018,
      https://arxiv.org/abs/1712.04086, section 4.2 (26 000 samples).

    Example:
      >>> from jaxgan import features
      >>> metric, logits = class_coverage(features.mnist_classifier()), np.eye(10)[[0, 0, 7]]
      >>> acc = metric.update(metric.init(), generated=logits)
      >>> metric.compute(acc)["modes_mnist_classifier"].value
      2.0
    """

    def update(acc: Counts | None, *, real: Any = None, generated: Any = None) -> Counts | None:
        if generated is None:
            return acc
        rows = checked(generated, "generated")
        if rows.shape[1:-1] != ((digits,) if digits > 1 else ()):
            raise MetricError(
                f"logits have shape {rows.shape}, expected [n, classes] with digits=1, and else "
                f"[n, digits, classes]; digits is {digits}"
            )
        classes = rows.shape[-1]
        rows = rows.reshape(-1, digits, classes)
        mode = np.ravel_multi_index(tuple(rows.argmax(axis=2).T), digits * (classes,))
        counts = _count(mode, classes**digits)
        if acc is not None and acc.all.shape != counts.shape:
            raise MetricError(
                f"logits are of {len(counts)} modes ({classes} classes), expected {len(acc.all)} "
                "as in earlier updates; use one classifier for all samples"
            )
        return _merged(acc, Counts(counts, counts))

    def compute(acc: Counts | None) -> Records:
        check_enough(0 if acc is None else int(acc.all.sum()), "generated", 1)
        assert acc is not None
        return _records(acc, features, features.score_name(""))

    return Metric(lambda: None, update, _merged, compute, features, "logits", takes_real=False)


def reverse_kl_floor(num_modes: int, n: int) -> float:
    """Mean reverse KL of n samples of a uniform distribution over K modes, in nats.

    `sum_k E[(c_k / n) log(K c_k / n)]` with binomial counts c_k; about `(K - 1) / 2n`.

    Args:
      num_modes: number of modes K.
      n: number of samples.

    Returns:
      The mean, a float.

    Example:
      >>> round(reverse_kl_floor(1000, 26_000), 4)
      0.0193
    """
    return _expected_kl(np.full(num_modes, 1 / num_modes), n)


def _records(
    acc: Counts, features: Features, suffix: str, perfect: tuple[float, float] | None = None
) -> Records:
    """Scores of counts; with a perfect generator's shares of good and other samples, of quality."""
    n, num_modes = int(acc.all.sum()), len(acc.all)
    check_enough(n, "generated", 1)
    good = n if perfect is None else round(n * perfect[0])
    scores: dict[str, tuple[float, float | None, float | None]] = {
        "modes": (float(np.sum(acc.good > 0)), None, None),
        "reverse_kl": (_reverse_kl(acc.good), None, reverse_kl_floor(num_modes, max(good, 1))),
    }
    if perfect is not None:
        share = float(acc.good.sum() / n)
        error = float(np.sqrt(share * (1.0 - share) / n))
        scores["reverse_kl_all"] = _reverse_kl(acc.all), None, reverse_kl_floor(num_modes, n)
        scores["high_quality"] = share, error, perfect[0]
        expected = np.append(np.full(num_modes, perfect[0] / num_modes), perfect[1])
        bins = np.append(acc.good, n - acc.good.sum()) / n
        partition_kl = float(np.sum(rel_entr(bins, expected)))
        scores["partition_kl"] = partition_kl, None, _expected_kl(expected, n)
    return {
        name + suffix: MetricRecord(
            name + suffix,
            value,
            error,
            num_generated=n,
            floor=floor,
            details={"num_modes": num_modes},
            **described(features),
        )
        for name, (value, error, floor) in scores.items()
    }


def _reverse_kl(counts: np.ndarray) -> float:
    """`sum p log(K p)` of the shares p of K modes; log K without any count."""
    if not counts.any():
        return float(np.log(len(counts)))
    shares = counts / counts.sum()
    return float(np.sum(xlogy(shares, len(counts) * shares)))


def _expected_kl(expected: np.ndarray, n: int) -> float:
    """Mean of `sum_k (c_k / n) log(c_k / (n q_k))` over n samples with the shares q."""
    from scipy.stats import binom  # here, since its import takes a third of a second

    counts = np.arange(n + 1)
    shares = counts / n
    values, repeats = np.unique(expected[expected > 0], return_counts=True)
    means = [np.sum(binom.pmf(counts, n, q) * rel_entr(shares, q)) for q in values]
    return float(np.dot(means, repeats))


def _count(mode: np.ndarray, num_modes: int) -> np.ndarray:
    return np.bincount(mode, minlength=num_modes)


def _merged(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return a if b is None else b
    return Counts(a.all + b.all, a.good + b.good)
