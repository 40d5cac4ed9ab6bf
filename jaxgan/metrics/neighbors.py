"""Exact distances and nearest neighbours in feature space, in chunks of rows.

Most distances are computed in float32 as `|x|^2 + |y|^2 - 2 x . y`, whose error is relative to the
norms. Where that error could change a result, distances are computed again, from differences in
float64.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import MetricError
from jaxgan.types import Array

CHUNK = 1024  # rows whose distances to all others are in memory at once
BLOCK = 128  # columns per block of the two-stage top-k
SPARE = 3  # candidates beyond the k-th, which show whether float32 has found the k nearest
FLOATS = 2**24  # numbers in memory at once where distances are computed in float64


def nearest(
    queries: np.ndarray, candidates: np.ndarray, k: int = 1, *, same: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest candidates of every query, by Euclidean distance.

    Exact in float64, whatever the norms of the rows are. Memory beyond the rows is `CHUNK * m`
    floats.

    Args:
      queries: `[n, d]`.
      candidates: `[m, d]`, m at least k, or at least k + 1 with `same`.
      k: number of neighbours.
      same: whether queries and candidates are the same rows; a row is then not its own neighbour.

    Returns:
      Distances `float64[n, k]`, ascending, and row indices of the candidates `int[n, k]`.

    Raises:
      MetricError: there are fewer than k candidates.
      ValueError: k is below 1.

    Example:
      >>> distances, rows = nearest(np.zeros((1, 1)), np.array([[3.0], [-1.0], [2.0]]), k=2)
      >>> distances.tolist(), rows.tolist()
      ([[1.0, 2.0]], [[1, 2]])
    """
    if k < 1:
        raise ValueError(f"k is {k}, expected at least 1")
    center = candidates.mean(axis=0)  # centring keeps distances and reduces rounding errors
    resident = jnp.asarray(candidates - center, jnp.float32)
    n, others = len(queries), len(candidates) - same
    if others < k:
        raise MetricError(f"there are {others} candidates, expected at least {k} neighbours")
    seen = min(k + SPARE, others)
    indices, distances = np.empty((n, seen), np.int64), np.empty((n, seen))
    unsure = []
    for start in range(0, n, CHUNK):
        rows = np.arange(start, min(start + CHUNK, n))
        chunk = np.asarray(queries[rows] - center, np.float32)
        found, least_unseen = _nearest_rows(chunk, resident, start if same else -n, k=seen)
        indices[rows] = found
        pairs = np.repeat(rows, seen), indices[rows].ravel()
        distances[rows] = distances_of_pairs(queries, candidates, *pairs).reshape(-1, seen)
        if seen < others:
            exact = np.sort(distances[rows], axis=1)[:, k - 1]
            unsure.extend(rows[exact**2 > least_unseen])
    if unsure:
        indices[unsure] = _nearest_in_float64(queries, candidates, unsure, seen, same=same)
        pairs = np.repeat(unsure, seen), indices[unsure].ravel()
        distances[unsure] = distances_of_pairs(queries, candidates, *pairs).reshape(-1, seen)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(indices, order, axis=1)


def distances_of_pairs(x: np.ndarray, y: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Distances `|x_i - y_j|` of pairs of rows, from differences in float64; `float64[num_pairs]`.

    Example:
      >>> distances_of_pairs(np.zeros((1, 2)), np.array([[3.0, 4.0]]), [0], [0]).tolist()
      [5.0]
    """
    step = max(FLOATS // x.shape[1], 1)
    parts = [
        _distances(x[i[start : start + step]], y[j[start : start + step]])
        for start in range(0, len(i), step)
    ]
    return np.concatenate([np.empty(0), *parts])


def squared_distances(x: Array, y: Array) -> Array:
    """Squared Euclidean distances `|x_i - y_j|^2` in float32, not negative.

    `[n, d], [m, d] -> [n, m]`.
    """
    products = jnp.dot(x, y.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.maximum(_sums_of_norms(x, y) - 2.0 * products, 0.0)


def error_bounds(x: Array, y: Array) -> Array:
    """Bounds of the rounding errors of `squared_distances`, `[n, m]`.

    The errors of the products are taken as random, of which six standard deviations are allowed.
    """
    allowed = (16.0 + 2.0 * x.shape[1] ** 0.5) * jnp.finfo(jnp.float32).eps / 2
    return allowed * _sums_of_norms(x, y)


def _sums_of_norms(x: Array, y: Array) -> Array:
    """`|x_i|^2 + |y_j|^2`, `[n, m]`."""
    return jnp.sum(x * x, axis=1)[:, None] + jnp.sum(y * y, axis=1)[None, :]


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum((x.astype(np.float64) - y) ** 2, axis=-1))


@partial(jax.jit, static_argnames="k")
def _nearest_rows(queries: Array, candidates: Array, first: int, *, k: int) -> tuple[Array, Array]:
    """Row indices of the k nearest candidates in float32, `int[n, k]`.

    Query i is itself candidate `first + i`, which is excluded; a negative index excludes none.
    Also returns a lower bound of the squared distances to all other candidates, `[n]`.
    """
    distances = squared_distances(queries, candidates)
    itself = first + jnp.arange(len(queries))[:, None] == jnp.arange(len(candidates))[None, :]
    distances = jnp.where(itself, jnp.inf, distances)
    # The k nearest candidates lie in the k blocks of columns with the smallest minima. Minima are
    # cheap to compute, and only k blocks remain to be sorted.
    blocks = -(-len(candidates) // BLOCK)
    padding = ((0, 0), (0, blocks * BLOCK - len(candidates)))
    in_blocks = jnp.pad(distances, padding, constant_values=jnp.inf).reshape(-1, blocks, BLOCK)
    _, chosen = jax.lax.top_k(-jnp.min(in_blocks, axis=2), min(k, blocks))
    columns = (chosen[:, :, None] * BLOCK + jnp.arange(BLOCK)[None, None]).reshape(len(queries), -1)
    kept = jnp.take_along_axis(in_blocks, chosen[:, :, None], axis=1).reshape(len(queries), -1)
    negated, nearest = jax.lax.top_k(-kept, k)
    bound = -negated[:, -1] - jnp.max(error_bounds(queries, candidates), axis=1)
    return jnp.take_along_axis(columns, nearest, axis=1), bound


def _nearest_in_float64(
    queries: np.ndarray, candidates: np.ndarray, rows: list[int], k: int, *, same: bool
) -> np.ndarray:
    """Row indices of the k nearest candidates of some queries, not sorted, `int[len(rows), k]`."""
    indices = np.empty((len(rows), k), np.int64)
    step = max(FLOATS // len(candidates), 1)
    center = candidates.mean(axis=0, dtype=np.float64)
    resident = candidates - center
    norms = np.sum(resident**2, axis=1)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        distances = norms - 2.0 * (queries[part] - center) @ resident.T  # without the query's norm
        if same:
            distances[np.arange(len(part)), part] = np.inf
        indices[start : start + step] = np.argpartition(distances, k - 1, axis=1)[:, :k]
    return indices
