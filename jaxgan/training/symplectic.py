"""Symplectic gradient adjustment."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from jaxgan.dynamics.field import Field, jvp, vjp
from jaxgan.game import Game
from jaxgan.schedules import scheduled
from jaxgan.training.adjusted import add_scaled, adjusted
from jaxgan.training.state import TrainingAlgorithm
from jaxgan.types import Array, ByPlayer, Schedule

EPSILON = 0.1  # of the paper: the sign leans towards adjustment


def symplectic(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    strength: float | Schedule = 1.0,
    align: bool = True,
    ema: Mapping[str, float | Schedule] | None = None,
) -> TrainingAlgorithm:
    """Symplectic gradient adjustment: descent along `xi + lambda A^T xi`.

    A is the antisymmetric part of the Jacobian of the vector field xi, by which the field rotates.
    In a potential game, A is 0 and this is simultaneous descent; in a Hamiltonian game `A^T xi` is
    the gradient of `|xi|^2 / 2`.

    Args:
      game, optimizers, ema: as in `alternating`.
      strength: `|lambda|`, a number or a schedule of the training step.
      align: whether lambda has the sign of `<xi, h> <A^T xi, h> / n + 0.1`, with `h = J^T xi` and n
        parameters, by which stable fixed points attract and unstable ones repel. If not, lambda is
        positive.

    Returns:
      The algorithm. A step takes one minibatch, and the time of about five simultaneous steps.

    Reference:
      Balduzzi et al., *The Mechanics of n-Player Differentiable Games*, 2018,
      https://arxiv.org/abs/1802.05642, algorithm 1.

    Example:
      >>> sgd = optax.sgd(1e-2)
      >>> symplectic(game, {"discriminator": sgd, "generator": sgd})  # doctest: +SKIP
    """

    def direction(field: Field, params: ByPlayer, xi: ByPlayer, step: Array) -> ByPlayer:
        transposed, forward = vjp(field, params, xi), jvp(field, params, xi)
        adjustment = jax.tree.map(lambda a, b: 0.5 * (a - b), transposed, forward)
        weight = scheduled(strength, step)
        if align:
            n = sum(leaf.size for leaf in jax.tree.leaves(xi))
            aligned = optax.tree.vdot(xi, transposed) * optax.tree.vdot(adjustment, transposed)
            weight *= jnp.where(aligned / n + EPSILON < 0.0, -1.0, 1.0)
        return add_scaled(xi, weight, adjustment)

    return adjusted(game, optimizers, direction, ema)
