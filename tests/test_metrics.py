"""Every metric against an independent truth: closed forms, invariances, other programs."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from scipy import ndimage
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.metrics import roc_auc_score

from jaxgan import metrics
from jaxgan.errors import MetricError
from jaxgan.metrics import Features, kid, neighbors
from jaxgan.metrics.metric import Means, checked

LOGITS = Features("classes", lambda x: {"logits": x})
MODES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
TWO_SIDED = {
    "frechet": metrics.frechet_distance(),
    "kid": metrics.kernel_distance(),
    "prdc": metrics.precision_recall_density_coverage(),
    "swd": metrics.sliced_wasserstein(num_projections=16),
    "parzen": metrics.parzen_log_likelihood(np.zeros((10, 4)), bandwidths=(0.3, 1.0)),
    "memorization": metrics.memorization(np.random.default_rng(9).normal(size=(50, 4))),
}
ONE_SIDED = {
    "score": metrics.classifier_score(LOGITS, splits=1),
    "modes": metrics.mode_coverage(np.eye(4), 0.5),
    "classes": metrics.class_coverage(LOGITS),
    "averages": metrics.averages("a", "b", "c", "d"),
}
PAIRED = {"reconstruction": metrics.reconstruction()}
ALL = TWO_SIDED | ONE_SIDED | PAIRED


def rows(seed: int, n: int = 200, width: int = 4, **kwargs) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width), **kwargs).astype("f4")


def values_of(metric, real, generated) -> dict[str, float]:
    acc = metric.update(metric.init(), real=real, generated=generated)
    return {name: record.value for name, record in metric.compute(acc).items()}


# ---- what holds for every metric


@pytest.mark.parametrize(
    "make",
    [
        metrics.frechet_distance,
        metrics.kernel_distance,
        metrics.sliced_wasserstein,
        metrics.precision_recall_density_coverage,
        metrics.class_coverage,
        lambda network: metrics.classifier_score(network, splits=1),
        lambda network: metrics.memorization(np.zeros((3, 4)), network),
    ],
)
def test_records_say_over_which_features(make):
    """By name and weights, without which values cannot be compared."""
    outputs = lambda x: {"features": x, "logits": x}
    network = Features("net", outputs, sha256="ab" * 32, preprocessing="resized")
    metric = make(network)
    acc = metric.update(metric.init(), real=rows(0), generated=rows(1))
    for name, record in metric.compute(acc).items():
        assert name.endswith("_net")
        identity = (record.features, record.features_sha256, record.preprocessing)
        assert identity == ("net", "ab" * 32, "resized")


@pytest.mark.parametrize("name", TWO_SIDED | ONE_SIDED)
def test_an_update_with_no_rows_changes_nothing(name):
    metric, none = ALL[name], np.zeros((0, 4), np.float32)
    expected = values_of(metric, rows(0), rows(1))
    acc = metric.update(metric.init(), real=rows(0), generated=rows(1))
    acc = metric.update(acc, real=none, generated=none)
    found = {name: record.value for name, record in metric.compute(acc).items()}
    assert found == expected


@pytest.mark.parametrize("name", TWO_SIDED)
def test_a_metric_declares_how_many_rows_it_needs(name):
    metric = ALL[name]
    enough = rows(0, metric.min_real), rows(1, metric.min_generated)
    assert np.isfinite(list(values_of(metric, *enough).values())).all()
    with pytest.raises(MetricError, match=f"expected at least {metric.min_real}"):
        values_of(metric, enough[0][1:], enough[1])
    with pytest.raises(MetricError, match=f"expected at least {metric.min_generated}"):
        values_of(metric, enough[0], enough[1][1:])


@pytest.mark.parametrize("name", TWO_SIDED)
def test_records_count_the_rows_of_each_side(name):
    metric = TWO_SIDED[name]
    acc = metric.update(metric.init(), real=rows(0, 130), generated=rows(1, 110))
    for record in metric.compute(acc).values():
        assert (record.num_real, record.num_generated) == (130, 110)


def test_half_precision_becomes_float32():
    for dtype in (np.float16, jnp.bfloat16):
        assert checked(np.ones((2, 3), dtype), "real").dtype == np.float32
    assert checked(np.ones((2, 3)), "real").dtype == np.float64


def test_rows_of_other_features_are_refused():
    frechet = metrics.frechet_distance()
    real = frechet.update(frechet.init(), real=rows(0))
    generated = frechet.update(frechet.init(), generated=rows(1, width=3))
    with pytest.raises(MetricError, match="widths 4 and 3"):
        frechet.merge(real, generated)
    with pytest.raises(MetricError, match=r"training rows have shape \(4,\) and samples \(1,\)"):
        values_of(TWO_SIDED["memorization"], rows(0, width=1), rows(1, width=1))
    with pytest.raises(MetricError, match="0 validation rows"):
        metrics.parzen_log_likelihood(np.zeros((0, 4)))


@pytest.mark.parametrize("name", ALL)
def test_a_metric_declares_which_side_it_uses(name):
    """Of a one-sided metric real rows change nothing; a paired one takes each example once."""
    metric = ALL[name]
    assert metric.takes_real == (name not in ONE_SIDED)
    assert metric.paired == (name in PAIRED or name == "averages")
    assert metrics.roc_auc().paired
    assert metrics.lpips(Features("toy", lambda x: {"maps": [x]}), [np.ones(3)]).paired
    if name in ONE_SIDED:
        with_real = values_of(metric, rows(0), rows(1))
        assert with_real == values_of(metric, rows(5) + 7.0, rows(1))


def test_a_record_counts_nothing_by_default():
    record = metrics.MetricRecord("x", 1.0)
    assert (record.num_real, record.num_generated, record.floor) == (0, 0, None)


@pytest.mark.parametrize("name", ALL)
def test_parts_merge(name):
    metric, real, generated = ALL[name], rows(0), rows(1) + 0.2
    at_once = values_of(metric, real, generated)
    parts = [
        metric.update(metric.init(), real=real[part], generated=generated[part])
        for part in (slice(0, 70), slice(70, 100), slice(100, 200))
    ]
    left = metric.merge(metric.merge(parts[0], parts[1]), parts[2])
    right = metric.merge(parts[0], metric.merge(parts[1], parts[2]))
    for acc in (left, right, metric.merge(metric.init(), left)):
        values = {name: record.value for name, record in metric.compute(acc).items()}
        assert values == pytest.approx(at_once, rel=1e-9)


@pytest.mark.parametrize("name", TWO_SIDED)
def test_sides_may_come_one_by_one(name):
    metric, real, generated = TWO_SIDED[name], rows(0), rows(1)
    acc = metric.merge(
        metric.update(metric.init(), generated=generated), metric.update(metric.init(), real=real)
    )
    values = {name: record.value for name, record in metric.compute(acc).items()}
    assert values == pytest.approx(values_of(metric, real, generated), rel=1e-12)


@pytest.mark.parametrize("name", TWO_SIDED | ONE_SIDED)
def test_order_does_not_matter(name):
    metric, real, generated = ALL[name], rows(0), rows(1)
    shuffle = np.random.default_rng(2).permutation
    turned = values_of(metric, shuffle(real), shuffle(generated))
    assert turned == pytest.approx(values_of(metric, real, generated), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_accumulators_are_values(name):
    metric = ALL[name]
    acc = metric.update(metric.init(), real=rows(0), generated=rows(1))
    before = {name: record.value for name, record in metric.compute(acc).items()}
    metric.update(acc, real=rows(2), generated=rows(3))
    metric.merge(acc, acc)
    assert {name: record.value for name, record in metric.compute(acc).items()} == before


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_counted(name, bad):
    generated = rows(1)
    generated[3:5, 1:3] = bad
    with pytest.raises(MetricError, match="2 of 200 generated rows are not finite"):
        values_of(ALL[name], rows(0), generated)


FEWEST = {"frechet": 2, "kid": 2, "prdc": 6, "swd": 2, "parzen": 1, "memorization": 1}


@pytest.mark.parametrize("name", TWO_SIDED)
def test_the_fewest_generated_rows(name):
    """So many give a finite value, one less is an error."""
    metric, fewest = TWO_SIDED[name], FEWEST[name]
    values = values_of(metric, rows(0), rows(1, n=fewest))
    assert all(np.isfinite(value) for value in values.values())
    message = f"there are {fewest - 1} generated rows, expected at least {fewest}"
    with pytest.raises(MetricError, match=message):
        values_of(metric, rows(0), rows(1, n=fewest)[1:])


def test_the_fewest_real_rows():
    metric = TWO_SIDED["prdc"]
    values_of(metric, rows(0, n=6), rows(1))
    with pytest.raises(MetricError, match="there are 5 real rows, expected at least 6"):
        values_of(metric, rows(0, n=5), rows(1))


@pytest.mark.parametrize("name", TWO_SIDED)
def test_widths_have_to_agree(name):
    with pytest.raises(MetricError, match=r"4\b.*\b5\b|5\b.*\b4\b"):
        values_of(TWO_SIDED[name], rows(0, width=4), rows(1, width=5))


@pytest.mark.parametrize("name", ALL)
def test_constant_samples_give_finite_records(name):
    metric = ALL[name]
    acc = metric.update(metric.init(), real=rows(0), generated=np.ones((200, 4), np.float32))
    for record in metric.compute(acc).values():
        assert np.isfinite(record.value)
        assert record.standard_error is None or np.isfinite(record.standard_error)
        assert record.num_generated == 200


@pytest.mark.parametrize("name", ALL)
def test_no_rows_are_an_error(name):
    with pytest.raises(MetricError, match="there are 0"):
        ALL[name].compute(ALL[name].init())


# ---- Fréchet distance


def sqrtm_distance(real: np.ndarray, generated: np.ndarray) -> float:
    real, generated = real.astype("f8"), generated.astype("f8")
    s1, s2 = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    root = scipy.linalg.sqrtm(s1 @ s2)
    shift = real.mean(0) - generated.mean(0)
    return float(shift @ shift + np.trace(s1 + s2 - 2 * root.real))


def test_frechet_equals_scipy():
    mix = rows(5, n=8, width=8)
    real, generated = rows(0, 300, 8) @ mix, rows(1, 400, 8) @ mix.T + 0.3
    value = values_of(metrics.frechet_distance(), real, generated)["fid_pixels"]
    assert value == pytest.approx(sqrtm_distance(real, generated), rel=1e-9)


def test_frechet_of_known_gaussians():
    """In a basis that diagonalises both: `|m|^2 + sum (sqrt a - sqrt b)^2`."""
    rotation, _ = np.linalg.qr(rows(0, 5, 5).astype("f8"))
    a, b = np.array([4.0, 1.0, 0.25, 9.0, 0.0]), np.array([1.0, 1.0, 4.0, 0.0, 0.0])
    turned = [rotation @ np.diag(values) @ rotation.T for values in (a, b)]
    distance = metrics.gaussian_frechet_distance(np.zeros(5), turned[0], np.ones(5), turned[1])
    assert distance == pytest.approx(5.0 + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2), rel=1e-12)


def test_frechet_of_a_gaussian_with_itself_is_zero_where_covariances_are_singular():
    factors = rows(0, 10, 300).astype("f8")
    covariance = factors.T @ factors
    same = metrics.gaussian_frechet_distance(np.zeros(300), covariance, np.zeros(300), covariance)
    assert same < 1e-10 * np.trace(covariance)


def test_frechet_of_fewer_samples_than_features():
    """Against the trace norm of the product of the samples themselves, which needs no roots."""
    real, generated = rows(0, 30, 100).astype("f8"), rows(1, 20, 100).astype("f8") + 0.1
    x = (real - real.mean(0)) / np.sqrt(29)
    y = (generated - generated.mean(0)) / np.sqrt(19)
    overlap = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    shift = real.mean(0) - generated.mean(0)
    expected = shift @ shift + np.sum(x**2) + np.sum(y**2) - 2 * overlap
    metric = metrics.frechet_distance()
    record = metric.compute(metric.update(metric.init(), real=real, generated=generated))
    assert record["fid_pixels"].value == pytest.approx(expected, rel=1e-10)
    assert record["fid_pixels"].details["singular"]


@pytest.mark.parametrize(("n", "singular"), [(4, True), (5, False)])
def test_a_covariance_of_as_many_rows_as_features_is_singular(n, singular):
    """Its rank is at most n - 1; one of either side is enough."""
    assert (np.linalg.matrix_rank(np.cov(rows(0, n), rowvar=False)) < 4) == singular
    metric = metrics.frechet_distance()
    for real, generated in ((rows(0, n), rows(1, 9)), (rows(1, 9), rows(0, n))):
        record = metric.compute(metric.update(metric.init(), real=real, generated=generated))
        assert record["fid_pixels"].details["singular"] == singular


def test_narrow_axes_of_gaussians_count():
    """Eigenvalues of 1e-8 of the largest are no rounding errors: `(1e-4 - 2e-4)^2`."""
    narrow, wider = np.diag([1.0, 1e-8]), np.diag([1.0, 4e-8])
    distance = metrics.gaussian_frechet_distance(np.zeros(2), narrow, np.zeros(2), wider)
    assert distance == pytest.approx(1e-8, rel=1e-5)


@pytest.mark.parametrize("n", [500, 2000])
def test_frechet_bias_of_equal_distributions(n):
    """For unit covariance, to first order `(1/n + 1/m) (d + d (d + 1) / 4)`."""
    d, m = 10, 1000
    values = [
        values_of(metrics.frechet_distance(), rows(2 * i, n, d), rows(2 * i + 1, m, d))[
            "fid_pixels"
        ]
        for i in range(30)
    ]
    expected = (1 / n + 1 / m) * (d + d * (d + 1) / 4)
    assert np.mean(values) == pytest.approx(expected, rel=0.1)


# ---- kernel distance


def plain_kid(real, generated) -> float:
    k = lambda x, y: (x.astype("f8") @ y.T.astype("f8") / x.shape[1] + 1) ** 3
    off = lambda gram: (gram.sum() - np.trace(gram)) / (len(gram) * (len(gram) - 1))
    return off(k(real, real)) + off(k(generated, generated)) - 2 * k(real, generated).mean()


def test_kernel_distance_equals_the_plain_sums():
    real, generated = rows(0, 37, 6), rows(1, 53, 6) + 0.4
    expected = plain_kid(real, generated)
    value = values_of(metrics.kernel_distance(), real, generated)["kid_pixels"]
    assert value == pytest.approx(expected, rel=1e-5)


def test_kernel_distance_is_unbiased_and_its_error_is_right():
    """Zero on average for equal distributions, where a jackknife's variance is twice as large as
    that of the degenerate statistic; elsewhere its error is that of the values."""
    metric = metrics.kernel_distance()
    for shift, factor in ((0.0, np.sqrt(2)), (1.0, 1.0)):
        records = []
        for i in range(100):
            real, generated = rows(2 * i, 100), rows(2 * i + 1, 60) + shift
            acc = metric.update(metric.init(), real=real, generated=generated)
            records.append(metric.compute(acc)["kid_pixels"])
        values = np.array([record.value for record in records])
        errors = np.array([record.standard_error for record in records])
        assert np.sqrt(np.mean(errors**2)) == pytest.approx(factor * values.std(), rel=0.2)
        if shift == 0.0:
            assert abs(values.mean()) < 3 * values.std() / 10


def test_the_error_of_the_kernel_distance_is_a_jackknife():
    """Over ten blocks of as many rows: each value without a block, by the plain sums."""
    real, generated = rows(0, 40), rows(1, 30) + 0.5
    metric = metrics.kernel_distance()
    record = metric.compute(metric.update(metric.init(), real=real, generated=generated))
    without = [
        plain_kid(np.delete(real, np.s_[4 * i : 4 * i + 4], 0),
                  np.delete(generated, np.s_[3 * i : 3 * i + 3], 0))
        for i in range(10)
    ]  # fmt: skip
    error = np.sqrt(9 / 10 * np.sum((np.array(without) - np.mean(without)) ** 2))
    assert record["kid_pixels"].standard_error == pytest.approx(error, rel=1e-3)


def test_kernel_distance_of_subsets(monkeypatch):
    """Unbiased as that of all pairs, which it is the mean of; by default where there are many."""
    monkeypatch.setattr(kid, "SUBSET_SIZE", 50)
    real, generated = rows(0, 400), rows(1, 300) + 0.5

    def record(**kwargs):
        metric = metrics.kernel_distance(**kwargs)
        acc = metric.update(metric.init(), real=real, generated=generated)
        return metric.compute(acc)["kid_pixels"]

    exact, of_subsets = record(subsets=0), record(subsets=400)
    assert record().value == exact.value
    assert exact.value == pytest.approx(plain_kid(real, generated), rel=1e-4)
    assert abs(of_subsets.value - exact.value) < 4 * of_subsets.details["std"] / 20
    assert of_subsets.standard_error is None  # the subsets are of the same rows
    first = np.random.RandomState(3)
    parts = [x[first.choice(len(x), 50, replace=False)] for x in (real, generated)]
    assert record(subsets=1, seed=3).value == pytest.approx(plain_kid(*parts), rel=1e-4)
    monkeypatch.setattr(kid, "MOST_PAIRS", 400**2 - 1)
    assert record().details["subsets"] == 100
    with pytest.raises(ValueError, match="subsets is -1, expected at least 0"):
        metrics.kernel_distance(subsets=-1)


def test_subsets_are_as_large_as_the_smaller_side(monkeypatch):
    """Of either side; `std` is the deviation over subsets, with their number as the divisor."""
    monkeypatch.setattr(kid, "SUBSET_SIZE", 50)
    metric = metrics.kernel_distance(subsets=2, seed=3)
    for n, m in ((60, 40), (40, 60)):
        real, generated = rows(0, n), rows(1, m) + 0.5
        acc = metric.update(metric.init(), real=real, generated=generated)
        record, rng = metric.compute(acc)["kid_pixels"], np.random.RandomState(3)
        values = [
            plain_kid(*(x[rng.choice(len(x), 40, replace=False)] for x in (real, generated)))
            for _ in range(2)
        ]
        assert record.details["subset_size"] == 40
        assert record.value == pytest.approx(np.mean(values), rel=1e-4)
        assert record.details["std"] == pytest.approx(np.std(values), rel=1e-3)


def test_blocks_of_the_kernel_distance_fit_in_memory(monkeypatch):
    monkeypatch.setattr(kid, "MOST_ROWS", 7)
    blocks = kid._in_blocks(rows(0, 99), rows(1, 80))
    assert max(map(len, blocks)) <= 7
    assert len(blocks) == len(kid._in_blocks(rows(1, 80), rows(0, 99)))


def test_kernel_distance_needs_no_more_than_two_rows():
    metric = metrics.kernel_distance()
    acc = metric.update(metric.init(), real=rows(0, 2), generated=rows(1, 2))
    record = metric.compute(acc)["kid_pixels"]
    assert np.isfinite(record.value)
    assert record.standard_error is None


# ---- precision, recall, density, coverage


def plain_prdc(real, generated, k_precision=3, k_density=5) -> dict[str, float]:
    radius = lambda x, k: np.sort(cdist(x, x), axis=1)[:, k]
    between = cdist(real, generated)
    inside = between < radius(real, k_density)[:, None]
    return {
        "precision_pixels": np.mean((between <= radius(real, k_precision)[:, None]).any(0)),
        "recall_pixels": np.mean((between <= radius(generated, k_precision)[None]).any(1)),
        "density_pixels": inside.sum(0).mean() / k_density,
        "coverage_pixels": np.mean(inside.any(1)),
    }


def test_prdc_equals_the_definition(monkeypatch):
    monkeypatch.setattr(neighbors, "CHUNK", 64)  # several chunks, the last one not full
    real, generated = rows(0, 150), rows(1, 170) * 0.8 + 0.3
    found = values_of(metrics.precision_recall_density_coverage(), real, generated)
    assert found == pytest.approx(plain_prdc(real, generated), abs=1e-9)


def test_the_error_of_a_share_is_that_of_a_binomial():
    metric = metrics.precision_recall_density_coverage()
    real, generated = rows(0, 100), rows(1, 80) + 1.0
    records = metric.compute(metric.update(metric.init(), real=real, generated=generated))
    for name, n in (("precision", 80), ("recall", 100), ("coverage", 100)):
        p = records[f"{name}_pixels"].value
        assert 0.0 < p < 1.0
        error = np.sqrt(p * (1.0 - p) / n)
        assert records[f"{name}_pixels"].standard_error == pytest.approx(error, rel=1e-6)


def test_prdc_where_distances_are_small_beside_norms(monkeypatch):
    """Narrow clusters far apart, which float32 takes for points; integers have exact ties."""
    monkeypatch.setattr(neighbors, "CHUNK", 64)  # several chunks, the last one not full
    rng = np.random.default_rng(0)
    clusters = 800.0 * rng.integers(0, 2, (2, 200, 1)) + 0.1 * rng.normal(size=(2, 200, 2))
    lattice = rng.integers(-3, 4, (2, 200, 2)) + 4096.0
    for real, generated in (clusters.astype("f4"), lattice.astype("f4")):
        found = values_of(metrics.precision_recall_density_coverage(), real, generated)
        exact = plain_prdc(real.astype("f8"), generated.astype("f8"))
        assert found == pytest.approx(exact, abs=1e-9)


def test_records_say_the_k_of_each_of_the_four():
    metric = metrics.precision_recall_density_coverage(k_precision=2, k_density=4)
    records = metric.compute(metric.update(metric.init(), real=rows(0), generated=rows(1)))
    assert [record.details["k"] for record in records.values()] == [2, 2, 4, 4]


def test_density_and_coverage_of_copies():
    """The k-th neighbour of a row lies on the sphere of its ball, and the ball is open."""
    real = rows(0, 200, 16)
    found = values_of(metrics.precision_recall_density_coverage(), real, real)
    assert found["density_pixels"] == pytest.approx(1.0)  # itself and four neighbours, over 5
    assert found["coverage_pixels"] == 1.0


def test_prdc_of_equal_distributions_and_of_a_mode_removed():
    """Coverage is about `1 - 2^-k`; without half of the modes recall and coverage halve."""
    centers = 20.0 * np.eye(4)
    sample = lambda seed, modes, n: rows(seed, n) + centers[np.arange(n) % modes]
    metric = metrics.precision_recall_density_coverage()
    same = values_of(metric, sample(0, 4, 800), sample(1, 4, 800))
    assert same["density_pixels"] == pytest.approx(1.0, abs=0.1)
    assert same["coverage_pixels"] == pytest.approx(1 - 2**-5, abs=0.03)
    half = values_of(metric, sample(0, 4, 800), sample(1, 2, 800))
    assert half["precision_pixels"] > 0.9
    assert half["recall_pixels"] == pytest.approx(same["recall_pixels"] / 2, abs=0.05)
    assert half["coverage_pixels"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_nearest_where_distances_are_small_beside_norms(scale, monkeypatch):
    monkeypatch.setattr(neighbors, "CHUNK", 30)  # several chunks, of candidates and of float64
    monkeypatch.setattr(neighbors, "FLOATS", 700)
    rng = np.random.default_rng(0)
    x = 1000.0 * rng.integers(0, 3, (100, 1)) + 0.01 * rng.normal(size=(100, 3))
    x = (scale * x).astype("f4")
    distances, found = metrics.nearest(x, x, 2, same=True)
    every = cdist(x.astype("f8"), x.astype("f8"))
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, 1:3], rtol=1e-12)
    np.testing.assert_array_equal(np.take_along_axis(every, found, axis=1), distances)


def test_a_row_is_not_its_own_neighbour():
    x = rows(0, 5)
    assert metrics.nearest(x, x, 4, same=True)[0].min() > 0.0
    with pytest.raises(MetricError, match="there are 4 candidates, expected at least 5 neighbours"):
        metrics.nearest(x, x, 5, same=True)


def test_nearest_equals_brute_force(monkeypatch):
    monkeypatch.setattr(neighbors, "CHUNK", 50)
    x, y = rows(0, 120) + 100.0, rows(1, 90) + 100.0  # far from the origin
    distances, found = metrics.nearest(x, y, 4)
    every = cdist(x.astype("f8"), y.astype("f8"))
    np.testing.assert_array_equal(found, np.argsort(every, axis=1)[:, :4])
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :4], rtol=1e-12)
    assert metrics.nearest(x, y)[0].shape == (120, 1)
    own, _ = metrics.nearest(x, x, 2, same=True)
    np.testing.assert_allclose(own, np.sort(cdist(x, x), axis=1)[:, 1:3], rtol=1e-9)


# ---- classifier score, modes


def test_classifier_score_closed_forms():
    whole = metrics.classifier_score(LOGITS, splits=1)
    score = lambda logits: values_of(whole, None, logits)["inception_score_classes"]
    assert score(np.zeros((50, 7))) == pytest.approx(1.0)  # sees nothing
    assert score(100.0 * np.eye(5)[np.arange(100) % 5]) == pytest.approx(5.0)  # certain, all equal
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.1, 0.8])
    m = (p + q) / 2
    expected = np.exp((np.sum(p * np.log(p / m)) + np.sum(q * np.log(q / m))) / 2)
    logits = np.log(np.stack([p, q] * 20)) + 3.0  # a shift of logits changes nothing
    assert score(logits) == pytest.approx(expected, rel=1e-6)


def test_classifier_score_is_a_mean_over_splits():
    """Salimans et al.: consecutive splits, each with its own marginal distribution."""
    logits = np.random.default_rng(0).normal(size=(47, 4)) * 2.0
    scores = []
    for i in range(10):
        part = logits[i * 47 // 10 : (i + 1) * 47 // 10]
        p = np.exp(part) / np.exp(part).sum(axis=1, keepdims=True)
        scores.append(np.exp(np.mean(np.sum(p * (np.log(p) - np.log(p.mean(axis=0))), axis=1))))
    metric = metrics.classifier_score(LOGITS)
    record = metric.compute(metric.update(metric.init(), generated=logits))[
        "inception_score_classes"
    ]
    assert record.value == pytest.approx(np.mean(scores), rel=1e-12)
    assert record.details["classes"] == 4
    assert record.details["std"] == pytest.approx(np.std(scores), rel=1e-9)
    assert record.standard_error == pytest.approx(np.std(scores) / 3, rel=1e-9)
    with pytest.raises(ValueError, match="splits is 0, expected at least 1"):
        metrics.classifier_score(LOGITS, splits=0)
    named = Features("classes", lambda x: {"unbiased": x}, score_logits="unbiased")
    assert metrics.classifier_score(named).output == "unbiased"


def test_mode_coverage_counts():
    points = np.array([[0.0, 0.0], [0.29, 0.0], [0.31, 0.0], [1.0, 0.05], [0.9, 0.0], [0.3, 0.9]])
    metric = metrics.mode_coverage(MODES, std=0.1)
    found = values_of(metric, None, points)
    good, shares = np.array([2, 2]) / 4, np.array([3, 2, 1]) / 6  # the last is too far off
    assert found["modes"] == 2
    assert found["high_quality"] == pytest.approx(4 / 6)
    record = metric.compute(metric.update(metric.init(), generated=points))["high_quality"]
    assert record.standard_error == pytest.approx(np.sqrt(4 / 6 * 2 / 6 / 6))
    assert found["reverse_kl"] == pytest.approx(np.sum(good * np.log(3 * good)))
    assert found["reverse_kl_all"] == pytest.approx(np.sum(shares * np.log(3 * shares)))
    q = 1.0 - np.exp(-4.5)  # the mass within 3 standard deviations, in two dimensions
    p = np.array([2, 2, 2]) / 6  # of two modes, and of the rest
    expected = np.sum(p * np.log(p / np.array([q / 3, q / 3, 1 - q])))
    assert found["partition_kl"] == pytest.approx(expected)
    nowhere = values_of(metric, None, np.full((4, 2), 9.0))
    assert nowhere["reverse_kl"] == pytest.approx(np.log(3))
    assert nowhere["partition_kl"] == pytest.approx(4.5)
    # Within 9 deviations are all but exp(-40.5) of the samples; within 50, all in float64.
    for within in (9.0, 50.0):
        wide = metrics.mode_coverage(MODES, std=0.1, within=within)
        record = wide.compute(wide.update(wide.init(), generated=MODES))["partition_kl"]
        assert record.value == pytest.approx(0.0, abs=1e-12)
        assert record.floor == pytest.approx(metrics.reverse_kl_floor(3, 3))


def test_a_sample_three_deviations_away_is_of_high_quality():
    """In one dimension 99.73 % of a perfect generator's."""
    metric = metrics.mode_coverage(np.zeros((1, 1)), std=0.5)
    record = metric(generated=np.array([[1.5], [1.5001]]))["high_quality"]
    assert record.value == 0.5
    assert record.floor == pytest.approx(norm.cdf(3) - norm.cdf(-3), rel=1e-12)


def test_a_perfect_generator_scores_the_floors():
    rng = np.random.default_rng(0)
    metric, n, values = metrics.mode_coverage(MODES, std=0.1), 300, []
    names = ("high_quality", "reverse_kl", "reverse_kl_all", "partition_kl")
    for _ in range(200):
        points = MODES[rng.integers(0, 3, n)] + 0.1 * rng.normal(size=(n, 2))
        records = metric.compute(metric.update(metric.init(), generated=points))
        values.append([records[name].value for name in names])
    floors = [records[name].floor for name in names]
    assert floors[0] == pytest.approx(0.98889, abs=1e-5)
    errors = np.std(values, axis=0) / np.sqrt(200)
    assert (np.abs(np.mean(values, axis=0) - floors) < 4 * errors).all()


def test_the_floor_of_the_reverse_kl_is_that_of_the_samples_it_counts():
    """Within a standard deviation lie `1 - exp(-1/2)`, 39 of 100 samples of a perfect generator."""
    metric = metrics.mode_coverage(MODES, std=0.1, within=1.0)
    acc = metric.update(metric.init(), generated=np.repeat(MODES, 100, axis=0)[:100])
    records = metric.compute(acc)
    assert records["high_quality"].floor == pytest.approx(1.0 - np.exp(-0.5), rel=1e-6)
    assert records["reverse_kl"].floor == metrics.reverse_kl_floor(3, 39)
    assert records["reverse_kl_all"].floor == metrics.reverse_kl_floor(3, 100)


def test_reverse_kl_floor_by_enumeration():
    outcomes = itertools.product(range(3), repeat=4)  # four samples of three modes, equally likely
    divergences = []
    for outcome in outcomes:
        shares = np.bincount(outcome, minlength=3) / 4
        divergences.append(np.sum(shares[shares > 0] * np.log(3 * shares[shares > 0])))
    assert metrics.reverse_kl_floor(3, 4) == pytest.approx(np.mean(divergences), rel=1e-12)


def test_stacked_classes():
    logits = 10.0 * np.eye(10)[[[1, 2, 3], [1, 2, 3], [8, 9, 9], [0, 0, 0]]]
    found = values_of(metrics.class_coverage(LOGITS, digits=3), None, logits)
    assert found["modes_classes"] == 3
    shares = np.array([0.5, 0.25, 0.25])
    assert found["reverse_kl_classes"] == pytest.approx(np.sum(shares * np.log(1000 * shares)))
    for digits, shape in ((1, (4, 3, 10)), (3, (4, 30)), (3, (4, 2, 15))):
        metric = metrics.class_coverage(LOGITS, digits=digits)
        with pytest.raises(MetricError, match=f"digits is {digits}"):
            metric.update(metric.init(), generated=np.zeros(shape))


# ---- sliced Wasserstein, Parzen windows, memorization


def test_sliced_wasserstein_of_a_shift():
    """`W_2^2` along v is `(v . shift)^2`; its mean over directions is `|shift|^2 / d`."""
    real = rows(0, 500, 3)
    metric = metrics.sliced_wasserstein(num_projections=4000)
    value = values_of(metric, real, real + np.float32([3.0, 0.0, 4.0]))["swd_pixels"]
    assert value == pytest.approx(5.0 / np.sqrt(3), rel=0.02)
    assert values_of(metric, real, real)["swd_pixels"] == 0.0


def test_psnr_of_unequal_shapes():
    with pytest.raises(AssertionError, match="shape"):
        metrics.psnr(jnp.zeros((2, 8, 8, 1)), jnp.zeros((2, 8, 8, 3)))


def test_directions_are_those_of_the_seed():
    metric = lambda seed: metrics.sliced_wasserstein(num_projections=2, seed=seed)
    of = lambda seed: values_of(metric(seed), rows(0), rows(1) + 1.0)["swd_pixels"]
    assert of(0) == of(0) != of(1)


def test_sliced_wasserstein_of_unequal_numbers():
    """Every point twice is the same distribution; otherwise the optimal assignment by hand."""
    metric = metrics.sliced_wasserstein(num_projections=1)
    x = rows(0, 40, 1)
    assert values_of(metric, x, np.repeat(x, 3, axis=0))["swd_pixels"] == pytest.approx(0, abs=1e-7)
    found = values_of(metric, np.array([[0.0], [3.0]]), np.array([[-1.0], [1.0], [2.0]]))
    squared = 1 / 3 * 1 + 1 / 6 * 1 + 1 / 6 * 4 + 1 / 3 * 1
    assert found["swd_pixels"] == pytest.approx(np.sqrt(squared), rel=1e-6)


def test_parzen_equals_a_mixture_of_gaussians():
    samples, x = rows(0, 200, 5), rows(1, 50, 5)
    for bandwidth in (0.2, 1.0):
        windows = [multivariate_normal(s, bandwidth**2).logpdf(x) for s in samples.astype("f8")]
        expected = logsumexp(windows, axis=0) - np.log(200)
        ours = metrics.log_likelihoods(x, samples, bandwidth)
        np.testing.assert_allclose(ours, expected, rtol=2e-5)


def test_parzen_wants_validation_images_of_the_samples_shape():
    metric = metrics.parzen_log_likelihood(np.zeros((10, 3)))
    with pytest.raises(MetricError, match="have width 3 and samples 2; pass images of one shape"):
        values_of(metric, rows(0, width=2), rows(1, width=2))


def test_parzen_chooses_the_bandwidth_on_validation_alone():
    scale = lambda x: 2.0 * x - 1.0  # from [0, 1]
    rng = np.random.default_rng(0)
    samples, test = rng.uniform(size=(2, 300, 2)).astype("f4")
    metric = metrics.parzen_log_likelihood(scale(samples[:50]))  # validation: samples themselves
    acc = metric.update(metric.init(), real=scale(test), generated=scale(samples))
    record = metric.compute(acc)["parzen_log_likelihood"]
    assert record.details["bandwidth"] == 0.1  # the narrowest window likes them best
    expected = metrics.log_likelihoods(test, samples, 0.1)
    assert record.value == pytest.approx(expected.mean(), rel=1e-5)
    assert record.standard_error == pytest.approx(expected.std(ddof=1) / np.sqrt(300), rel=1e-4)
    far = metric.update(metric.init(), real=scale(test + 3.0), generated=scale(samples))
    record = metric.compute(far)["parzen_log_likelihood"]
    assert record.details["bandwidth"] == 0.1  # test images would have a wide one


def test_the_error_of_the_parzen_likelihood_of_few_examples():
    """Unbiased, with n - 1; of a single example there is none. Here of more rows than a chunk."""
    samples, x = np.zeros((1, 1), np.float32), np.linspace(-1, 1, 1003, dtype=np.float32)[:, None]
    metric = metrics.parzen_log_likelihood(x, bandwidths=(0.5,))
    of = lambda real: metric.compute(
        metric.update(metric.init(), real=real, generated=samples)
    )["parzen_log_likelihood"]  # fmt: skip
    expected = norm(0.0, 0.5).logpdf(x[:, 0] / 2)  # distances to 0, on the scale of [0, 1]
    for n in (2, 1003):
        record, exact = of(x[:n]), expected[:n]
        assert record.num_real == n
        assert record.value == pytest.approx(exact.mean(), rel=1e-4)
        assert record.standard_error == pytest.approx(np.std(exact, ddof=1) / n**0.5, rel=1e-3)
    assert of(x[:1]).standard_error is None


def test_memorization_tells_copies_from_samples():
    training, held_out, drawn = np.random.default_rng(0).normal(size=(3, 2000, 8))
    metric = metrics.memorization(training)
    of = lambda generated: metric.compute(
        metric.update(metric.init(), real=held_out, generated=generated)
    )["memorization_pixels"]
    assert of(drawn).value == pytest.approx(0.01, abs=0.008)
    copied = of(np.concatenate([training[:500], drawn[:1500]]))
    assert copied.value == pytest.approx(0.25, abs=0.02)
    error = np.sqrt(copied.value * (1.0 - copied.value) / 2000)
    assert copied.standard_error == pytest.approx(error, rel=1e-9)
    assert copied.details["exact_copies"] == 500


def test_the_threshold_of_memorization_is_the_quantile_of_held_out_distances():
    """Of the distances 1 to 100 the Weibull quantile at 1 % is at `0.01 (n + 1)`, 1.01."""
    metric, held_out = metrics.memorization(np.zeros((1, 1))), np.arange(1.0, 101.0)[:, None]
    generated = np.array([[1.0], [1.005], [1.5], [1.98], [9.0]])
    acc = metric.update(metric.init(), real=held_out, generated=generated)
    record = metric.compute(acc)["memorization_pixels"]
    assert record.value == pytest.approx(2 / 5)
    assert record.details["median_distance"] == 1.5
    assert record.details["median_distance_held_out"] == 50.5


def test_memorization_counts_copies_where_held_out_examples_are_copies():
    """The threshold is 0 then. Of 50 samples 20 are copies; the error is that of 50 rows."""
    training = rows(0, 120)
    metric = metrics.memorization(training)
    generated = np.concatenate([training[:20], rows(1, 30) + 9.0])
    record = metric.compute(metric.update(metric.init(), real=training, generated=generated))
    record = record["memorization_pixels"]
    assert record.value == pytest.approx(0.4)
    assert record.standard_error == pytest.approx(np.sqrt(0.4 * 0.6 / 50))
    assert record.floor == 0.01


# ---- images


def plain_ssim(x, y, c1=(0.01 * 255) ** 2, c2=(0.03 * 255) ** 2) -> tuple[np.ndarray, np.ndarray]:
    """SSIM and its contrast-structure term, `[channels]`, of images of intensities in [0, 255]."""
    blur = lambda v: ndimage.gaussian_filter(v, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]
    values = []
    for a, b in zip(np.moveaxis(x, -1, 0), np.moveaxis(y, -1, 0), strict=True):
        m_a, m_b = blur(a), blur(b)
        aa, bb, ab = blur(a * a) - m_a**2, blur(b * b) - m_b**2, blur(a * b) - m_a * m_b
        structure = (2 * ab + c2) / (aa + bb + c2)
        luminance = (2 * m_a * m_b + c1) / (m_a**2 + m_b**2 + c1)
        values.append((np.mean(luminance * structure), np.mean(structure)))
    ssim, structure = np.array(values).T
    return ssim, structure


def intensities(images: np.ndarray) -> np.ndarray:
    return (images.astype("f8") + 1.0) * 127.5


def pictures(seed: int, n: int = 4, side: int = 24, channels: int = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n, side, side, channels))
    return np.tanh(3 * ndimage.gaussian_filter(noise, (0, 2, 2, 0))).astype("f4")


def test_ssim_is_that_of_intensities():
    x, y = pictures(0), 0.7 * pictures(0) + 0.3 * pictures(1)
    pairs = zip(intensities(x), intensities(y), strict=True)
    expected = [plain_ssim(a, b)[0].mean() for a, b in pairs]
    np.testing.assert_allclose(metrics.ssim(x, y), expected, rtol=2e-4)


def test_ssim_of_flat_greys():
    """Only the luminance term is left, `(2 a b + C1) / (a^2 + b^2 + C1)` of grey levels a and b."""
    gray = lambda level: np.full((1, 16, 16, 1), level / 127.5 - 1.0, np.float32)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 120 * 135 + c1) / (120**2 + 135**2 + c1)
    assert expected == pytest.approx(0.9931, abs=1e-4)
    assert float(metrics.ssim(gray(120), gray(135))[0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("side", [28, 27])
def test_ms_ssim_of_two_scales(side):
    """28 and 27 pixels have two: contrast and structure of the first, all of the second."""
    x, y = pictures(0, side=side), 0.7 * pictures(0, side=side) + 0.3 * pictures(1, side=side)
    kernel = np.full((2, 2, 1), 0.25)  # at (0, 0) the mean of pixels 0 and 1, as in Wang's code
    halve = lambda v: ndimage.correlate(v, kernel, mode="reflect", origin=(-1, -1, 0))[::2, ::2]
    weights = np.array([0.0448, 0.2856]) / (0.0448 + 0.2856)
    expected = []
    for a, b in zip(intensities(x), intensities(y), strict=True):
        fine, coarse = plain_ssim(a, b)[1], plain_ssim(halve(a), halve(b))[0]
        expected.append(np.mean(fine ** weights[0] * coarse ** weights[1]))  # over channels
    np.testing.assert_allclose(metrics.ms_ssim(x, y), expected, rtol=2e-5)


def test_ms_ssim_of_five_scales():
    """All weights of Wang, Simoncelli and Bovik, 2003, section 3.2; the last sides are 11."""
    x, y = pictures(0, 1, 176), 0.7 * pictures(0, 1, 176) + 0.3 * pictures(1, 1, 176)
    halve = lambda v: v.reshape(len(v) // 2, 2, len(v) // 2, 2, 3).mean(axis=(1, 3))
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
    (a,), (b,), expected = intensities(x), intensities(y), 1.0
    for i, weight in enumerate(weights / weights.sum()):
        whole, structure = plain_ssim(a, b)
        expected = expected * (whole if i == 4 else structure) ** weight
        if i < 4:
            a, b = halve(a), halve(b)
    np.testing.assert_allclose(metrics.ms_ssim(x, y), [np.mean(expected)], rtol=1e-3)
    np.testing.assert_allclose(metrics.similarity.scale_weights(161), weights / weights.sum())


def test_the_scales_of_ms_ssim_are_those_of_the_shorter_side():
    """Of 28 x 20 pixels the window fits into one scale, and images may lie on their side."""
    x, y = pictures(0, side=28)[:, :, :20], pictures(1, side=28)[:, :, :20]
    lying = lambda v: v.transpose(0, 2, 1, 3)
    upright = metrics.ms_ssim(x, 0.5 * x + 0.5 * y)
    np.testing.assert_allclose(metrics.ms_ssim(lying(x), lying(0.5 * x + 0.5 * y)), upright, 1e-5)
    np.testing.assert_allclose(upright, metrics.ssim(x, 0.5 * x + 0.5 * y), atol=0.02)


def test_ms_ssim_of_negatives_is_zero():
    """Contrast and structure of an image and its negative are negative, and have no powers."""
    x = pictures(0)
    np.testing.assert_array_equal(metrics.ms_ssim(x, -x), np.zeros(4))


def test_similarity_in_half_precision_is_that_of_the_values():
    """E x^2 - m^2 cancels in bfloat16; the values themselves are what is compared."""
    x = jnp.asarray(pictures(0, side=32), jnp.bfloat16)
    y = jnp.asarray(0.9 * pictures(0, side=32) + 0.1 * pictures(1, side=32), jnp.bfloat16)
    for similarity in (metrics.ssim, metrics.ms_ssim, metrics.psnr):
        expected = similarity(x.astype(jnp.float32), y.astype(jnp.float32))
        np.testing.assert_array_equal(similarity(x, y), expected)
    metric = metrics.reconstruction()
    found = values_of(metric, np.asarray(x), np.asarray(y))
    assert found == values_of(metric, np.float32(x), np.float32(y))


def test_similarity_of_bytes_is_refused():
    x = np.zeros((2, 16, 16, 1), np.uint8)
    for function in (metrics.ssim, metrics.ms_ssim, metrics.psnr):
        with pytest.raises(ValueError, match=r"dtype uint8, expected floats in \[-1, 1\]"):
            function(x, x)


def test_images_below_the_window_have_no_similarity():
    x = jnp.ones((2, 10, 28, 1))
    for similarity in (metrics.ssim, metrics.ms_ssim):
        with pytest.raises(ValueError, match="at least 11 x 11 pixels"):
            similarity(x, -x)


def test_ms_ssim_diversity_detects_a_collapse():
    metric = metrics.ms_ssim_diversity()
    value = lambda images: values_of(metric, None, images)["ms_ssim"]
    assert value(np.repeat(pictures(0, n=1), 10, axis=0)) == pytest.approx(1.0, abs=1e-5)
    assert value(pictures(0, n=40)) < 0.3
    pairs = np.repeat(pictures(0, n=3), 2, axis=0)  # 0 0 1 1 2 2: neighbours are compared
    assert value(pairs) == pytest.approx(1.0, abs=1e-5)
    odd = np.concatenate([pairs, pictures(9, n=1)])  # the last is left out
    record = metric(generated=odd)["ms_ssim"]
    assert record.value == pytest.approx(1.0, abs=1e-5)
    assert record.num_generated == 6
    with pytest.raises(MetricError, match="11 x 11"):
        value(np.zeros((4, 8, 8, 1)))


def test_reconstruction_closed_forms():
    target = pictures(0)
    records = lambda output: values_of(metrics.reconstruction(), target, output)
    off = records(target + 0.1)
    assert off["l1"] == pytest.approx(0.1, rel=1e-5)
    assert off["mse"] == pytest.approx(0.01, rel=1e-4)
    assert off["psnr"] == pytest.approx(10 * np.log10(4 / 0.01), rel=1e-5)
    same = records(target)
    assert same["psnr"] == 100.0
    assert same["ssim"] == pytest.approx(1.0)
    with pytest.raises(MetricError, match="one output for each target"):
        values_of(metrics.reconstruction(), target, target[:2])
    with pytest.raises(MetricError, match="in pairs"):
        values_of(metrics.reconstruction(), target, None)


def test_lpips_over_a_backbone():
    rng = np.random.default_rng(0)
    kernel = jnp.asarray(rng.normal(size=(3, 5)), jnp.float32)
    backbone = Features("toy", lambda x: {"maps": [x, jax.nn.relu(x @ kernel)]})
    heads = [rng.uniform(size=3), rng.uniform(size=5)]
    x, y = pictures(0), pictures(1)
    expected = np.zeros(4)
    for a, b, head in zip(backbone.apply(x)["maps"], backbone.apply(y)["maps"], heads, strict=True):
        unit = lambda v: np.asarray(v) / np.linalg.norm(np.asarray(v), axis=-1, keepdims=True)
        with np.errstate(invalid="ignore"):
            difference = np.nan_to_num(unit(a)) - np.nan_to_num(unit(b))
        expected += np.einsum("nhwc,c->n", difference**2, head) / (24 * 24)
    metric = metrics.lpips(backbone, heads)
    acc = metric.update(
        metric.init(), real=backbone.apply(x)["maps"], generated=backbone.apply(y)["maps"]
    )
    assert metric.compute(acc)["lpips_toy"].value == pytest.approx(expected.mean(), rel=1e-4)
    with pytest.raises(MetricError, match="negative"):
        metrics.lpips(backbone, [-np.ones(3), np.ones(5)])


# ---- averages, the area under the curve, sharpness


def test_averages_are_means_with_their_errors():
    metric, x = metrics.averages("a", "b", "c", "d"), rows(0)
    found = metric.compute(metric.update(metric.init(), generated=x))
    for i, name in enumerate("abcd"):
        assert found[name].value == pytest.approx(x[:, i].mean(), rel=1e-6)
        error = x[:, i].std(ddof=1) / np.sqrt(len(x))
        assert found[name].standard_error == pytest.approx(error, rel=1e-6)
    with pytest.raises(MetricError, match=r"shape \(3,\), expected one value for each of a, b"):
        metric.update(metric.init(), generated=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="no names"):
        metrics.averages()
    one = metric.compute(metric.update(metric.init(), generated=x[:1, :4]))
    assert all(record.standard_error is None for record in one.values())
    two = metric.compute(metric.update(metric.init(), generated=np.float32([[1.0] * 4, [3.0] * 4])))
    assert two["a"].standard_error == pytest.approx(1.0)  # std sqrt(2), over sqrt(2)


def scored(labels, scores):
    metric = metrics.roc_auc()
    half = len(labels) // 2
    parts = [
        metric.update(metric.init(), real=labels[part], generated=scores[part])
        for part in (slice(0, half), slice(half, None))
    ]
    return metric.compute(metric.merge(*parts))["roc_auc"]


def test_roc_auc_is_sklearns_with_ties():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    scores = np.round(rng.normal(size=300) + 0.8 * labels, 1)
    assert scored(labels, scores).value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert scored(labels, labels.astype(float)).value == 1.0
    assert scored(labels, np.zeros(300)).value == 0.5
    both = metrics.roc_auc("a", "b")
    acc = both.update(both.init(), real=labels, generated=np.stack([scores, -scores], axis=1))
    assert both.compute(acc)["roc_auc_a"].value == scored(labels, scores).value
    assert both.compute(acc)["roc_auc_b"].value == scored(labels, -scores).value
    turned = scored(labels, -scores).value
    assert turned == pytest.approx(1.0 - scored(labels, scores).value, abs=1e-12)


def test_the_error_of_roc_auc_is_that_of_new_samples():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [150, 60])
    records = [scored(labels, rng.normal(size=210) + labels) for _ in range(400)]
    spread = np.std([record.value for record in records])
    assert np.mean([record.standard_error for record in records]) == pytest.approx(spread, rel=0.1)
    assert np.mean([record.value for record in records]) == pytest.approx(
        norm.cdf(1 / np.sqrt(2)), abs=0.005
    )


def test_labels_and_scores_that_do_not_fit():
    metric = metrics.roc_auc()
    update = lambda labels, scores: metric.update(metric.init(), real=labels, generated=scores)
    with pytest.raises(MetricError, match="a label is 2, expected 0 or 1"):
        update(np.array([0, 2]), np.zeros(2))
    with pytest.raises(MetricError, match="expected"):
        update(np.array([0, 1]), np.zeros((2, 1)))
    with pytest.raises(MetricError, match="1 positive and 1 negative"):
        metric.compute(update(np.array([0, 1]), np.zeros(2)))
    with pytest.raises(MetricError, match="1 of 2 generated rows are not finite"):
        update(np.array([0, 1]), np.array([0.0, np.nan]))


def test_the_laplacian_is_scipys():
    x = np.random.default_rng(0).normal(size=(3, 9, 7, 2))
    expected = [
        np.mean([ndimage.laplace(image[..., c])[1:-1, 1:-1].var() for c in range(2)]) for image in x
    ]
    np.testing.assert_allclose(metrics.laplacian_variance(jnp.asarray(x)), expected, rtol=1e-4)


def test_sharpness_falls_with_blur_and_goes_with_the_square_of_contrast():
    metric, x = metrics.sharpness(), np.random.default_rng(0).uniform(-1, 1, (60, 12, 12, 1))
    blurred = ndimage.gaussian_filter(x, (0, 1, 1, 0))
    found = lambda y: values_of(metric, x, y)["sharpness"]
    assert found(x) == pytest.approx(1.0, rel=1e-6)
    assert found(0.3 * x + 0.2) == pytest.approx(0.09, rel=1e-3)
    assert found(blurred) < 0.1
    with pytest.raises(MetricError, match="flat"):
        values_of(metric, np.zeros_like(x), x)
    with pytest.raises(MetricError, match=r"shape \(2, 12, 1\), sharpness .* 3 x 3"):
        values_of(metric, x[:, :2], x[:, :2])


def test_the_error_of_sharpness_is_that_of_new_samples():
    """Generated images of half the contrast: the error of the ratio counts real ones by it."""
    rng, metric, found = np.random.default_rng(0), metrics.sharpness(), []
    for _ in range(200):
        contrast = rng.uniform(0.5, 1.5, (2, 40, 1, 1, 1))
        x, y = contrast * rng.normal(size=(2, 40, 8, 8, 1))
        y *= 0.5
        found.append(metric.compute(metric.update(metric.init(), real=x, generated=y))["sharpness"])
    spread = np.std([record.value for record in found])
    assert np.mean([record.standard_error for record in found]) == pytest.approx(spread, rel=0.15)


def test_the_error_of_sliced_wasserstein_of_a_shift_in_the_plane():
    """Over directions, `cos^2` has mean 1/2 and variance 1/8: an error of `1/4 / sqrt(P)`."""
    real = rows(0, 50, 2)
    metric = metrics.sliced_wasserstein(num_projections=4000)
    acc = metric.update(metric.init(), real=real, generated=real + np.float32([1.0, 0.0]))
    record = metric.compute(acc)["swd_pixels"]
    assert record.value == pytest.approx(np.sqrt(0.5), rel=0.02)
    error = record.details["projection_error"]
    assert error == pytest.approx(0.25 / np.sqrt(4000), rel=0.05)
    assert record.standard_error is None  # which would be over samples


# ---- smallest samples


def test_ms_ssim_diversity_of_two_images_and_of_one():
    images = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 1)).astype("f4")
    pair = float(metrics.ms_ssim(images[:1], images[1:])[0])
    metric = metrics.ms_ssim_diversity()
    assert values_of(metric, None, images)["ms_ssim"] == pytest.approx(pair, rel=1e-5)
    with pytest.raises(MetricError, match="0 generated rows"):
        values_of(metric, None, images[:1])
    with pytest.raises(MetricError, match=r"shape \(8, 16, 1\)"):
        values_of(metric, None, images[:, :8])


def test_lpips_wants_a_pair_and_the_channels_of_its_heads():
    backbone = Features("toy", lambda x: {"maps": [x]})
    metric = metrics.lpips(backbone, [np.ones(3)])
    maps = [np.ones((2, 4, 4, 3), np.float32)]
    with pytest.raises(MetricError, match="0 paired rows"):
        metric.compute(metric.init())
    for channels in (2, 4):
        wrong = [np.ones((2, 4, 4, channels), np.float32)]
        message = rf"shapes \[\(2, 4, 4, {channels}\)\] and .* heads \[3\] channels"
        with pytest.raises(MetricError, match=message):
            metric.update(metric.init(), real=wrong, generated=wrong)
    other = [np.ones((2, 4, 5, 3), np.float32)]
    with pytest.raises(MetricError, match=r"shapes \[\(2, 4, 4, 3\)\] and \[\(2, 4, 5, 3\)\]"):
        metric.update(metric.init(), real=maps, generated=other)
    not_finite = [np.where(np.arange(2)[:, None, None, None] == 1, np.nan, maps[0])]
    with pytest.raises(MetricError, match="1 of 2 generated rows are not finite"):
        metric.update(metric.init(), real=maps, generated=not_finite)
    with pytest.raises(ValueError, match="zip"):
        metrics.lpips_distance(maps, maps, [np.ones(3), np.ones(3)])
    assert metric.compute(metric.update(metric.init(), real=maps, generated=maps))


def test_lpips_is_a_mean_over_pixels():
    """Of two pairs of 3 x 2 pixels: two of six pixels differ in the first, none in the second."""
    x = np.zeros((2, 3, 2, 2), np.float32)
    x[..., 0] = 1.0
    y = x.copy()
    y[0, :2, 0] = [0.0, 3.0]  # at a right angle: (1, -1)^2
    heads = [jnp.array([0.5, 0.25])]
    distances = metrics.lpips_distance([jnp.asarray(x)], [jnp.asarray(y)], heads)
    np.testing.assert_allclose(distances, [0.75 * 2 / 6, 0.0], rtol=1e-6)


def test_the_error_of_roc_auc_by_delong():
    """Of two positives and two negatives, by hand: DeLong's variance with n - 1."""
    labels, scores = np.array([1, 1, 0, 0]), np.array([3.0, 1.0, 2.0, 0.0])[:, None]
    metric = metrics.roc_auc("s")
    acc = metric.update(metric.init(), real=labels, generated=scores)
    record = metric.compute(acc)["roc_auc_s"]
    assert record.value == 0.75
    # Placements of positives (1, 1/2) and of negatives (1/2, 1), each with variance 1/8.
    assert record.standard_error == pytest.approx(np.sqrt(0.125 / 2 + 0.125 / 2), rel=1e-12)
    acc = metric.update(acc, real=np.array([1, 1]), generated=np.array([[4.0], [5.0]]))
    # Of four positives (1, 1/2, 1, 1) and of negatives (3/4, 1): variances 1/16 and 1/32.
    error = metric.compute(acc)["roc_auc_s"].standard_error
    assert error == pytest.approx(np.sqrt(1 / 16 / 4 + 1 / 32 / 2), rel=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        metrics.frechet_distance,
        metrics.kernel_distance,
        metrics.precision_recall_density_coverage,
        metrics.sliced_wasserstein,
        lambda: metrics.memorization(np.zeros((100, 2), np.float32)),
    ],
)
def test_features_have_one_row_each(make):
    """Others would be contracted along one axis, or broadcast."""
    metric, maps = make(), np.zeros((20, 8, 8, 8), np.float32)
    with pytest.raises(MetricError, match=r"real features have the shape \(20, 8, 8, 8\)"):
        metric.update(metric.init(), real=maps)


def test_bare_names_of_scores_are_left_to_inception():
    rows = np.random.default_rng(0).normal(size=(40, 2))
    for name, make in {"fid": metrics.frechet_distance, "kid": metrics.kernel_distance}.items():
        assert set(make(metrics.RAW)(real=rows, generated=rows)) == {f"{name}_raw"}


def test_logits_have_one_row_each():
    metric = metrics.classifier_score(metrics.RAW)
    with pytest.raises(MetricError, match=r"shape \(20, 3, 10\), expected \[n, width\]"):
        metric.update(metric.init(), generated=np.zeros((20, 3, 10), np.float32))


def test_standard_errors_do_not_cancel():
    values = 1e8 + np.random.default_rng(0).normal(size=1000)
    acc = Means()
    for part in np.array_split(values, 7):
        acc = acc.merge(Means().plus(part[None]))
    assert acc.mean[0] == pytest.approx(values.mean(), rel=1e-15)
    assert acc.standard_error[0] == pytest.approx(np.std(values, ddof=1) / 1000**0.5, rel=1e-6)
    assert Means().merge(acc) is acc
    assert acc.plus(np.zeros((1, 0))) is acc


def test_labels_are_classes():
    metric, logits = metrics.accuracy(), np.eye(3, dtype=np.float32)
    for labels in ([0, 1, 7], [0, -1, 1], [0.0, 1.5, 1.0]):
        with pytest.raises(MetricError, match="expected integers from 0 to 2"):
            metric.update(metric.init(), real=np.array(labels), generated=logits)
    with pytest.raises(MetricError, match="a label has the dtype float64, expected integers"):
        metrics.confusion_matrix(np.array([0.0, np.nan]), np.array([0, 1]), 2)
    parzen = metrics.parzen_log_likelihood(np.zeros((3, 4), np.float32))
    with pytest.raises(MetricError, match="the dtype uint8, expected floats"):
        parzen.update(parzen.init(), real=np.zeros((3, 4), np.uint8))
