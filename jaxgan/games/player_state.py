"""Model state of a player whose penalty or augmentation has state beside that of its network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.errors import GameError
from jaxgan.penalties import ForwardPass, Regularizer
from jaxgan.types import Array, ModelState, PRNGKey, PyTree


class PlayerState(NamedTuple):
    """Parts of a player's model state."""

    network: ModelState
    penalty: PyTree = ()
    augment: PyTree = ()


def pack(state: PlayerState) -> ModelState:
    """A player's model state: its network's alone, unless penalty or augmentation has state."""
    return state._asdict() if _has_others(state) else state.network


def unpack(model_state: ModelState, initial: PlayerState) -> PlayerState:
    """The parts of a player's model state, given the initial ones of its penalty and augmentation.

    The inverse of `pack`.
    """
    if _has_others(initial):
        return PlayerState(**model_state)
    return initial._replace(network=model_state)


def apply_penalty(
    penalty: Regularizer,
    state: PlayerState,
    forward: ForwardPass,
    key: PRNGKey,
    step: Array,
    *,
    player: str,
) -> tuple[Array, PlayerState]:
    """Mean of a player's penalty, and the player's state with the penalty's state updated.

    Raises:
      GameError: the penalty's values have more than one axis, or it returned a state of other
        shapes than those of its `init`.
    """
    values, new_state = penalty.apply(state.penalty, forward, key, step)
    if jnp.ndim(values) > 1:
        raise GameError(
            f"the penalty of the {player} has the shape {jnp.shape(values)}, expected one value "
            "per example, [batch]; take the sum over the axes of an example"
        )
    before, after = (jax.tree.map(jnp.shape, s) for s in (state.penalty, new_state))
    if before != after:
        raise GameError(
            f"the penalty of the {player} returned a state of the shapes {after}, expected "
            f"those of its init, {before}; apply returns (values, state)"
        )
    return jnp.mean(values), state._replace(penalty=new_state)


def _has_others(state: PlayerState) -> bool:
    return bool(jax.tree.leaves((state.penalty, state.augment)))
