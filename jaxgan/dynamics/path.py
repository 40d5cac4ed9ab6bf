"""Path angle: the vector field along a line through two points of training."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan.dynamics.field import Field
from jaxgan.types import Array, ByPlayer


class Path(NamedTuple):
    """Vector field of a game along the line between two points.

    Attributes:
      positions: alpha of each point `start + alpha (end - start)`, `[k]`.
      cosines: cosine between `end - start` and the field, in [-1, 1], `[k]`.
      norms: norm of the field, `[k]`.

    Example, past the minimum the field points along the line:
      >>> start, end = {"x": jnp.array(2.0)}, {"x": jnp.array(0.0)}
      >>> path = path_angle(lambda p: {"x": 3.0 * p["x"]}, start, end, [0.0, 1.5])
      >>> path.positions.tolist(), path.cosines.tolist(), path.norms.tolist()
      ([0.0, 1.5], [-1.0, 1.0], [6.0, 3.0])
    """

    positions: np.ndarray
    cosines: np.ndarray
    norms: np.ndarray


def path_angle(
    field: Field, start: ByPlayer, end: ByPlayer, positions: np.ndarray | None = None
) -> Path:
    """Angle between the field and the line from one point to another.

    Around a minimum that attracts directly, the cosine changes its sign from -1 to 1 at the end
    point, where the norm is small. Rotation around the end point adds a bump there.

    Args:
      field: from `vector_field`.
      start, end: parameters of all players, such as those of an early and the last checkpoint.
      positions: values of alpha; by default 41 from 0 to 1.5.

    Returns:
      The cosines, and the norms of the field, at these positions.

    Raises:
      ValueError: the two points are the same, or one is not finite.

    Reference:
      Berard et al., *A Closer Look at the Optimization Landscapes of Generative Adversarial
      Networks*, 2020, https://arxiv.org/abs/1906.04848, section 4.

    Example:
      >>> path = path_angle(
      ...     lambda p: {"x": p["x"]}, {"x": jnp.array(1.0)}, {"x": jnp.array(0.0)}, [0.5, 1.5]
      ... )
      >>> path.cosines.tolist(), path.norms.tolist()
      ([-1.0, 1.0], [0.5, 0.5])
    """
    alphas = np.linspace(0.0, 1.5, 41) if positions is None else np.asarray(positions)
    line = optax.tree.sub(end, start)
    length = optax.tree.norm(line)
    if not jnp.isfinite(length):
        raise ValueError("a point of the path is not finite")
    if not length > 0:
        raise ValueError("the two points of the path are the same")

    @jax.jit
    def at(alpha: Array) -> tuple[Array, Array]:
        xi = field(optax.tree.add_scale(start, alpha, line))
        norm = optax.tree.norm(xi)
        cosine = optax.tree.vdot(line, xi) / (length * norm)
        return jnp.where(norm > 0, cosine, 0.0), norm

    dtype = jnp.result_type(float)
    cosines, norms = zip(*(at(jnp.asarray(alpha, dtype)) for alpha in alphas), strict=True)
    return Path(alphas, np.asarray(cosines), np.asarray(norms))
