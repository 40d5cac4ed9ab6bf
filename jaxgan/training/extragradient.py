"""Extragradient: the step is taken by the gradient at an extrapolated point."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxgan.dynamics.field import vector_field
from jaxgan.game import Game, own_gradients
from jaxgan.parallel import axis
from jaxgan.training.state import TrainingAlgorithm, TrainState
from jaxgan.training.turns import algorithm_of_one_turn, commit, optimizer_step
from jaxgan.types import Batch, ByPlayer, Metrics, Params, PRNGKey, PyTree, Schedule


class WithGradient(NamedTuple):
    """Optimizer state of a player with the gradient of the previous step."""

    optimizer: PyTree
    gradient: Params


def extragradient(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    past: bool = False,
    ema: Mapping[str, float | Schedule] | None = None,
) -> TrainingAlgorithm:
    """Extragradient: `theta <- theta - h xi(theta - h xi(theta))`, for all players at once.

    An optimizer makes both the extrapolation and the step; its moments see both gradients, as in
    the paper's ExtraAdam, so that a schedule in it counts two steps per training step.

    Args:
      game, optimizers, ema: as in `alternating`.
      past: whether to extrapolate by the previous step's gradient (extrapolation from the past),
        which saves one of two evaluations. The gradient is part of the optimizer state.

    Returns:
      The algorithm. Both gradients are those of one minibatch; losses, metrics and model states are
      those at the extrapolated point.

    Reference:
      Korpelevich, *The extragradient method for finding saddle points and other problems*, 1976;
      Gidel et al., *A Variational Inequality Perspective on Generative Adversarial Networks*, 2019,
      https://arxiv.org/abs/1802.10551, algorithms 2 to 4; one minibatch for both: Mishchenko et
      al., *Revisiting Stochastic Extragradient*, 2020, https://arxiv.org/abs/1905.11373.

    Example:
      >>> adam = optax.adam(2e-4, b1=0.5)
      >>> extragradient(game, {"discriminator": adam, "generator": adam})  # doctest: +SKIP
    """

    def extrapolated(state: TrainState, gradients: ByPlayer) -> tuple[ByPlayer, TrainState]:
        """The point ahead of the parameters, and the state with the optimizers' new states."""
        moved = {
            player: optimizer_step(
                optimizers[player], gradients[player], opt_state, state.params[player]
            )
            for player, opt_state in state.opt_state.items()
        }
        ahead = {player: params for player, (params, _) in moved.items()}
        opt_state = {player: opt_state for player, (_, opt_state) in moved.items()}
        return ahead, state._replace(opt_state=opt_state)

    def turn(state: TrainState, batch: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        given = (state.model_state, batch, key, state.step)
        here = vector_field(game, *given)(state.params)
        ahead, state = extrapolated(state, here)
        return commit(optimizers, state, own_gradients(game, ahead, *given))

    def turn_from_the_past(
        state: TrainState, batch: Batch, key: PRNGKey
    ) -> tuple[TrainState, Metrics]:
        before = {player: own.gradient for player, own in state.opt_state.items()}
        optimizer_states = {player: own.optimizer for player, own in state.opt_state.items()}
        ahead, state = extrapolated(state._replace(opt_state=optimizer_states), before)
        results = own_gradients(game, ahead, state.model_state, batch, key, state.step)
        state, metrics = commit(optimizers, state, results)
        kept = {
            player: WithGradient(state.opt_state[player], axis.mean(gradient))
            for player, (_, gradient) in results.items()
        }
        return state._replace(opt_state=kept), metrics

    if not past:
        return algorithm_of_one_turn(game, optimizers, ema, turn)
    algorithm = algorithm_of_one_turn(game, optimizers, ema, turn_from_the_past)

    def init(key: PRNGKey, batch: Batch) -> TrainState:
        state = algorithm.init(key, batch)
        zeros = jax.tree.map(jnp.zeros_like, state.params)
        own = {p: WithGradient(opt, zeros[p]) for p, opt in state.opt_state.items()}
        return state._replace(opt_state=own)

    return algorithm._replace(init=init)
