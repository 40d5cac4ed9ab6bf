"""ODE-GAN: the Runge-Kutta method on the vector field."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from jaxgan.dynamics.field import Field, vjp
from jaxgan.game import Game
from jaxgan.schedules import scheduled
from jaxgan.training.adjusted import add_scaled, adjusted
from jaxgan.training.state import TrainingAlgorithm
from jaxgan.training.turns import check_arguments
from jaxgan.types import Array, ByPlayer, Schedule


def ode(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    step_size: float | Schedule,
    regularization: Mapping[str, float | Schedule] | None = None,
    ema: Mapping[str, float | Schedule] | None = None,
) -> TrainingAlgorithm:
    """Training as the solution of `d theta / dt = -xi(theta)`, by Runge-Kutta steps (RK4).

    The direction is `(k1 + 2 k2 + 2 k3 + k4) / 6` with `k1 = xi(theta)`, `k2 = xi(theta - h k1/2)`,
    `k3 = xi(theta - h k2/2)` and `k4 = xi(theta - h k3)`, plus the gradient of the regularisation
    at theta. With `optax.sgd(h)` it is the paper's algorithm.

    Args:
      game, optimizers, ema: as in `alternating`.
      step_size: h, a number or a schedule of the training step; the optimizers' learning rate.
      regularization: by player, the weight of the squared norms of the other players' gradients,
        `weight * sum_j |xi_j|^2`, which the player descends as well; a number or a schedule. The
        paper regularises the discriminator, with weights of 0.002 to 0.04.

    Returns:
      The algorithm: four evaluations of the field a step, all on one minibatch, and a
      vector-Jacobian product for each regularised player.

    Raises:
      ValueError: `regularization` is no dict, or names a player that the game does not have.

    Reference:
      Qin et al., *Training Generative Adversarial Networks by Solving Ordinary Differential
      Equations*, 2020, https://arxiv.org/abs/2010.15040, algorithm 1.

    Example:
      >>> sgd = optax.sgd(0.02)
      >>> ode(
      ...     game,
      ...     {"discriminator": sgd, "generator": sgd},
      ...     step_size=0.02,
      ...     regularization={"discriminator": 0.01},
      ... )  # doctest: +SKIP
    """
    check_arguments(game, optimizers, ema)
    if regularization is not None and not isinstance(regularization, Mapping):
        raise ValueError(
            f"regularization is {regularization!r}, expected a dict of weights by player"
        )
    weights = dict(regularization or {})
    if unknown := sorted(set(weights) - set(game.losses)):
        raise ValueError(
            f"regularization names {', '.join(unknown)}; the players are {', '.join(game.losses)}"
        )

    def direction(field: Field, params: ByPlayer, xi: ByPlayer, step: Array) -> ByPlayer:
        slope = dict(_runge_kutta(field, params, xi, scheduled(step_size, step)))
        for player, weight in weights.items():
            others = {**xi, player: jax.tree.map(jnp.zeros_like, xi[player])}
            gradient = vjp(field, params, others)[player]  # of half the squared norms
            slope[player] = add_scaled(slope[player], 2.0 * scheduled(weight, step), gradient)
        return slope

    return adjusted(game, optimizers, direction, ema)


def _runge_kutta(field: Field, params: ByPlayer, k1: ByPlayer, h: Array) -> ByPlayer:
    """The mean slope of a step of the classical fourth-order method."""
    k2 = field(add_scaled(params, -h / 2, k1))
    k3 = field(add_scaled(params, -h / 2, k2))
    k4 = field(add_scaled(params, -h, k3))
    return jax.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, k1, k2, k3, k4)
