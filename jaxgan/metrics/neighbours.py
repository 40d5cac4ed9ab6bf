"""Exact nearest neighbours in feature space, in chunks of rows."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.types import Array

CHUNK = 1024  # rows whose distances to all others are in memory at once
BLOCK = 128  # columns per block of the two-stage top-k


def nearest(
    queries: np.ndarray, candidates: np.ndarray, k: int = 1, *, same: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest candidates of every query, by Euclidean distance.

    The search is in float32, with `|x|^2 + |y|^2 - 2 x . y`; the distances of the neighbours are
    recomputed from differences in float64. Memory beyond the rows is `CHUNK * m` floats.

    Args:
      queries: `[n, d]`.
      candidates: `[m, d]`, m at least k, or at least k + 1 with `same`.
      k: number of neighbours.
      same: whether queries and candidates are the same rows; a row is then not its own neighbour.

    Returns:
      Distances `float64[n, k]`, ascending, and row indices of the candidates `int[n, k]`.

    Example:
      >>> distances, rows = nearest(np.zeros((1, 1)), np.array([[3.0], [-1.0], [2.0]]), k=2)
      >>> distances.tolist(), rows.tolist()
      ([[1.0, 2.0]], [[1, 2]])
    """
    centre = candidates.mean(axis=0)  # centring keeps distances and reduces rounding errors
    resident = jnp.asarray(candidates - centre, jnp.float32)
    n = len(queries)
    indices, distances = np.empty((n, k), np.int64), np.empty((n, k))
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        chunk = np.asarray(queries[rows] - centre, np.float32)
        indices[rows] = _nearest_rows(chunk, resident, start if same else -n, k=k)
        differences = candidates[indices[rows]].astype(np.float64) - queries[rows, None]
        distances[rows] = np.sqrt(np.sum(differences**2, axis=2))
    return distances, indices


def squared_distances(x: Array, y: Array) -> Array:
    """Squared Euclidean distances `|x_i - y_j|^2`, `[n, d], [m, d] -> [n, m]`, not negative."""
    norms = jnp.sum(x * x, axis=1)[:, None] + jnp.sum(y * y, axis=1)[None, :]
    return jnp.maximum(norms - 2.0 * jnp.dot(x, y.T, precision=jax.lax.Precision.HIGHEST), 0.0)


@partial(jax.jit, static_argnames="k")
def _nearest_rows(queries: Array, candidates: Array, first: int, *, k: int) -> Array:
    """Row indices of the k nearest candidates, `int[n, k]`.

    Query i is itself candidate `first + i`, which is excluded; a negative index excludes none.
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
    _, nearest = jax.lax.top_k(-kept, k)
    return jnp.take_along_axis(columns, nearest, axis=1)
