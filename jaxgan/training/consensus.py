"""Consensus optimisation."""

from collections.abc import Mapping

import optax

from jaxgan.dynamics.field import Field, vjp
from jaxgan.game import Game
from jaxgan.schedules import scheduled
from jaxgan.training.adjusted import add_scaled, adjusted
from jaxgan.training.state import TrainingAlgorithm
from jaxgan.types import Array, ByPlayer, Schedule


def consensus(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    strength: float | Schedule,
    ema: Mapping[str, float | Schedule] | None = None,
) -> TrainingAlgorithm:
    """Consensus optimisation: all players also descend `|xi|^2 / 2`, the norm of the field.

    The direction of descent is `xi + gamma J^T xi`, with the Jacobian J of the vector field xi.
    Where the field rotates, `J^T J` adds what pulls to the fixed point; if gamma is large, it also
    makes other zeros of the field attractive, maxima among them.

    Args:
      game, optimizers, ema: as in `alternating`.
      strength: gamma, a number or a schedule of the training step; 10 in the paper's experiments
        with RMSProp.

    Returns:
      The algorithm. A step takes one minibatch, and the time of about three simultaneous steps.

    Reference:
      Mescheder, Nowozin and Geiger, *The Numerics of GANs*, 2017, https://arxiv.org/abs/1705.10461,
      algorithm 2.

    Example:
      >>> sgd = optax.sgd(1e-2)
      >>> consensus(
      ...     game, {"discriminator": sgd, "generator": sgd}, strength=0.1
      ... )  # doctest: +SKIP
    """

    def direction(field: Field, params: ByPlayer, xi: ByPlayer, step: Array) -> ByPlayer:
        return add_scaled(xi, scheduled(strength, step), vjp(field, params, xi))

    return adjusted(game, optimizers, direction, ema)
