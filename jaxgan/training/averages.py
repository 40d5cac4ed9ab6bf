"""Exponential moving averages of parameters and model states."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp

from jaxgan.schedules import scheduled
from jaxgan.training.state import TrainState
from jaxgan.types import Array, ByPlayer, PyTree, Schedule


def update_averages(state: TrainState, decays: Mapping[str, float | Schedule]) -> TrainState:
    """The state with moving averages updated; `state.step` is not yet incremented."""
    weights = {player: scheduled(decay, state.step) for player, decay in decays.items()}

    def average(player: str, old: Array, new: Array) -> Array:
        if not jnp.issubdtype(old.dtype, jnp.inexact):
            return new  # counters are not averaged
        weight = weights[player]
        return (weight * old + (1.0 - weight) * new).astype(old.dtype)

    def updated(averages: ByPlayer, values: ByPlayer) -> dict[str, PyTree]:
        return {p: jax.tree.map(partial(average, p), averages[p], values[p]) for p in decays}

    return state._replace(
        ema_params=updated(state.ema_params, state.params),
        ema_model_state=updated(state.ema_model_state, state.model_state),
    )
