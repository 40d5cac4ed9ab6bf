"""Optimistic and negative-momentum descent: descent whose steps depend on the previous step."""

from collections.abc import Mapping, Sequence

import optax

from jaxgan.game import Game
from jaxgan.training.alternating import alternating, simultaneous
from jaxgan.training.state import TrainingAlgorithm
from jaxgan.training.turns import check_arguments
from jaxgan.types import Schedule


def optimistic(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    ema: Mapping[str, float | Schedule] | None = None,
    accumulate: int = 1,
) -> TrainingAlgorithm:
    """Optimistic descent: simultaneous steps of `2 u_t - u_(t-1)`, with the optimizer's steps u.

    With `optax.sgd` it is optimistic mirror descent, `-h (2 xi_t - xi_(t-1))`, equal to
    extragradient from the past but for its first step; with `optax.adam`, optimistic Adam.

    Args:
      game, optimizers, ema, accumulate: as in `alternating`. `clip_weights` in an optimizer bounds
        u, and not the parameters after `2 u_t - u_(t-1)`.

    Returns:
      The algorithm.

    Reference:
      Daskalakis, Ilyas, Syrgkanis and Zeng, *Training GANs with Optimism*, 2018,
      https://arxiv.org/abs/1711.00141, algorithm 1.

    Example:
      >>> adam = optax.adam(2e-4, b1=0.5)
      >>> optimistic(game, {"discriminator": adam, "generator": adam})  # doctest: +SKIP
    """
    check_arguments(game, optimizers, ema)
    ahead = optax.scale_by_optimistic_gradient()
    chained = {player: optax.chain(own, ahead) for player, own in optimizers.items()}
    return simultaneous(game, chained, ema=ema, accumulate=accumulate)


def negative_momentum(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    momentum: float = -0.3,
    turns: Sequence[str | Sequence[str]] | None = None,
    ema: Mapping[str, float | Schedule] | None = None,
    accumulate: int = 1,
) -> TrainingAlgorithm:
    """Alternating descent with negative momentum: steps of `u_t + beta (theta_t - theta_(t-1))`.

    u is the optimizer's step. In a bilinear game, alternating descent converges with negative
    momentum, and does not without it.

    Args:
      game, optimizers, turns, ema, accumulate: as in `alternating`; with Adam, set `b1=0`.
        `clip_weights` in an optimizer bounds u, and not the parameters after the step.
      momentum: beta, in (-1, 1).

    Returns:
      The algorithm.

    Raises:
      ValueError: `momentum` is not in (-1, 1).

    Reference:
      Gidel et al., *Negative Momentum for Improved Game Dynamics*, 2019,
      https://arxiv.org/abs/1807.04740, section 5.

    Example:
      >>> sgd = optax.sgd(1e-2)
      >>> negative_momentum(game, {"discriminator": sgd, "generator": sgd})  # doctest: +SKIP
    """
    if isinstance(momentum, float | int) and not -1.0 < momentum < 1.0:
        raise ValueError(f"momentum is {momentum}, expected a number in (-1, 1)")
    check_arguments(game, optimizers, ema)
    ball = optax.trace(momentum)
    chained = {player: optax.chain(own, ball) for player, own in optimizers.items()}
    return alternating(game, chained, turns=turns, ema=ema, accumulate=accumulate)
