"""Descent along an adjusted vector field, shared by consensus, symplectic, competitive and ode."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from jaxgan.dynamics.field import Field, vector_field
from jaxgan.game import Game, LossAndGradient, own_gradients
from jaxgan.parallel import axis
from jaxgan.training.state import TrainingAlgorithm, TrainState
from jaxgan.training.turns import algorithm_of_one_turn, commit
from jaxgan.types import Array, Batch, ByPlayer, Metrics, PRNGKey, Schedule

Direction = Callable[[Field, ByPlayer, ByPlayer, Array], ByPlayer]


def adjusted(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    direction: Direction,
    ema: Mapping[str, float | Schedule] | None,
) -> TrainingAlgorithm:
    """Simultaneous descent in which optimizers receive a direction in place of the gradients.

    Args:
      game, optimizers, ema: as in `alternating`.
      direction: `(field, params, xi, step) -> {player: direction}`, of the field of the step's
        minibatch, the parameters, and the field's value there. All are those of the global batch.

    Returns:
      The algorithm; losses, metrics and model states are those at the parameters before the step.
    """

    def turn(state: TrainState, batch: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        given = (state.model_state, batch, key, state.step)
        results = own_gradients(game, state.params, *given)
        xi = axis.mean({player: gradient for player, (_, gradient) in results.items()})
        field = vector_field(game, *given)
        directions = direction(field, state.params, xi, state.step)
        return commit(optimizers, state, _with_gradients(results, directions))

    return algorithm_of_one_turn(game, optimizers, ema, turn)


def add_scaled(tree: Any, scale: Any, other: Any) -> Any:
    """`tree + scale * other`, in the dtypes of `tree`."""
    return jax.tree.map(lambda a, b: (a + scale * b).astype(a.dtype), tree, other)


def _with_gradients(
    results: Mapping[str, LossAndGradient], gradients: ByPlayer
) -> dict[str, LossAndGradient]:
    return {player: (value, gradients[player]) for player, (value, _) in results.items()}
