"""Turns: one optimizer step of one or several players, and sequences of them."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan.game import Game, LossAndGradient, own_gradient
from jaxgan.ops import target
from jaxgan.parallel import axis
from jaxgan.training.accumulate import Gradients, mean_gradients
from jaxgan.training.averages import update_averages
from jaxgan.training.state import (
    OTHER_ALGORITHM,
    TrainingAlgorithm,
    TrainState,
    init_state,
    strongly_typed,
)
from jaxgan.types import Batch, ByPlayer, Metrics, Params, PRNGKey, PyTree, Schedule

Turn = tuple[str, ...]  # the players that move simultaneously


def play_turn(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    movers: Turn,
    state: TrainState,
    batch: Batch,
    key: PRNGKey,
    *,
    accumulate: int = 1,
) -> tuple[TrainState, Metrics]:
    """One turn: gradients at the parameters before it, then one update of all moving players.

    Args:
      game, optimizers: as in `alternating`.
      movers: names of the moving players.
      state: the state before the turn.
      batch: minibatch, leaves `[batch, ...]`; under a mapped data axis, this device's shard. With
        `accumulate`, that many minibatches, leaves `[accumulate, batch, ...]`.
      key: the key of the turn.
      accumulate: as in `alternating`.

    Returns:
      The state after the turn, which differs only in what the moving players own, and the moving
      players' metrics.

    Example:
      >>> play_turn(game, optimizers, ("generator",), state, batch, key)  # doctest: +SKIP
    """

    def gradients(model_state: ByPlayer, batch: Batch, key: PRNGKey) -> dict[str, LossAndGradient]:
        return {
            player: own_gradient(
                game.losses[player], player, state.params, model_state, batch, key, state.step
            )
            for player in movers
        }

    return apply_gradients(optimizers, state, gradients, batch, key, accumulate)


def apply_gradients(
    optimizers: Mapping[str, optax.GradientTransformation],
    state: TrainState,
    gradients: Gradients,
    batch: Batch,
    key: PRNGKey,
    accumulate: int,
) -> tuple[TrainState, Metrics]:
    """One optimizer step of every player in `gradients(model_state, minibatch, key)`."""
    if accumulate == 1:
        results = gradients(state.model_state, batch, key)
    else:
        results = mean_gradients(gradients, state, batch, key, accumulate)
    return commit(optimizers, state, results)


def commit(
    optimizers: Mapping[str, optax.GradientTransformation],
    state: TrainState,
    results: Mapping[str, LossAndGradient],
) -> tuple[TrainState, Metrics]:
    """The state after one optimizer step of every player in the results, and their metrics."""
    params, model_state, opt_state, metrics = {}, {}, {}, {}
    for player, ((loss, aux), gradient) in results.items():
        params[player], opt_state[player] = optimizer_step(
            optimizers[player], gradient, state.opt_state[player], state.params[player]
        )
        model_state[player] = aux.model_state
        metrics[player] = axis.mean({"loss": loss, **aux.metrics})
    new_state = state._replace(
        params=state.params | params,
        model_state=state.model_state | model_state,
        opt_state=state.opt_state | opt_state,
    )
    return new_state, metrics


def optimizer_step(
    optimizer: optax.GradientTransformation, gradient: Params, opt_state: PyTree, params: Params
) -> tuple[Params, PyTree]:
    """A player's parameters and optimizer state after a step by the mean of the gradient.

    Raises:
      ValueError: the state is not one of this optimizer, such as that of another algorithm, whose
        parts optax would take for those of its own.
    """
    found, own = map(jax.tree.structure, (opt_state, jax.eval_shape(optimizer.init, params)))
    if found != own:  # type: ignore[operator]  # jax has no types for it
        raise ValueError(OTHER_ALGORITHM)
    updates, opt_state = optimizer.update(axis.mean(gradient), opt_state, params)
    return axis.replicated(optax.apply_updates(params, updates)), opt_state


def algorithm_of_turns(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    groups: list[tuple[Turn, slice]],
    decays: dict[str, float | Schedule],
    turn: Callable[[Turn, TrainState, Batch, PRNGKey], tuple[TrainState, Metrics]],
    accumulate: int,
) -> TrainingAlgorithm:
    """The algorithm whose update does the turns of all groups, then updates the averages."""
    if not isinstance(accumulate, int | np.integer) or accumulate < 1:
        raise ValueError(f"accumulate is {accumulate!r}, expected a whole number of at least 1")
    num_keys = groups[-1][1].stop

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        chex.assert_tree_shape_prefix(batches, (num_keys * accumulate,))
        if accumulate > 1:
            stack = lambda x: x.reshape(num_keys, accumulate, *x.shape[1:])
            batches = jax.tree.map(stack, dict(batches))
        keys = jax.random.split(jax.random.fold_in(key, state.step), num_keys)
        turn_metrics: dict[str, list[Metrics]] = {player: [] for player in game.losses}
        for movers, indices in groups:
            inputs = jax.tree.map(itemgetter(indices), (dict(batches), keys))
            body = lambda state, batch_and_key, movers=movers: turn(movers, state, *batch_and_key)
            state, metrics = _scan_or_unroll(
                body, state, inputs, length=indices.stop - indices.start
            )
            for player in movers:
                turn_metrics[player].append(metrics[player])
        state = strongly_typed(update_averages(state, decays)._replace(step=state.step + 1))
        return state, {player: _mean_over_turns(stacks) for player, stacks in turn_metrics.items()}

    init = partial(init_state, game, optimizers, tuple(decays))
    return TrainingAlgorithm(init, update, num_minibatches=num_keys * accumulate)


def algorithm_of_one_turn(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    ema: Mapping[str, float | Schedule] | None,
    turn: Callable[[TrainState, Batch, PRNGKey], tuple[TrainState, Metrics]],
    accumulate: int = 1,
) -> TrainingAlgorithm:
    """The algorithm whose step is a single turn of all players, `turn(state, batch, key)`."""
    check_arguments(game, optimizers, ema)
    players, decays = tuple(game.losses), dict(ema or {})
    check_players(game, optimizers, (players,), decays)
    of_all = lambda movers, *args: turn(*args)
    groups = [(players, slice(0, 1))]
    return algorithm_of_turns(game, optimizers, groups, decays, of_all, accumulate)


def as_tuples(turns: Sequence[str | Sequence[str]]) -> tuple[Turn, ...]:
    """Turns as tuples of the players that move in them."""
    if isinstance(turns, str):
        raise ValueError(f'turns is "{turns}", expected a list of turns: ["{turns}"]')
    return tuple((turn,) if isinstance(turn, str) else tuple(turn) for turn in turns)


def group_turns(turns: tuple[Turn, ...], share_minibatches: bool) -> list[tuple[Turn, slice]]:
    """Groups of consecutive equal turns: moving players, and minibatch indices, one per turn."""
    groups: list[tuple[Turn, slice]] = []
    stop, moved = 0, set[str]()  # minibatches so far, and the players that moved on the last one
    for movers, equal_turns in itertools.groupby(turns):
        shares = share_minibatches and stop > 0 and moved.isdisjoint(movers)
        start = stop - 1 if shares else stop
        stop = start + len(list(equal_turns))
        moved = moved.union(movers) if shares and stop - start == 1 else set(movers)
        groups.append((movers, slice(start, stop)))
    return groups


def _scan_or_unroll(
    body: Callable[[TrainState, Any], tuple[TrainState, Metrics]],
    state: TrainState,
    xs: PyTree,
    *,
    length: int,
) -> tuple[TrainState, Metrics]:
    """`jax.lax.scan` on accelerators, an unrolled loop on CPUs.

    XLA's CPU backend converts convolutions to their fast form only outside loops. Those of
    `jaxgan.ops` have it from the start; the gradient of another library's convolution takes 15 to
    250 times as long in a loop body, even with a single iteration.
    """
    if length > 1 and target.platform() != "cpu":
        return jax.lax.scan(body, state, xs)
    stack = []
    for i in range(length):
        state, metrics = body(state, jax.tree.map(itemgetter(i), xs))
        stack.append(metrics)
    return state, jax.tree.map(lambda *leaves: jnp.stack(leaves), *stack)


def _mean_over_turns(stacks: list[Metrics]) -> Metrics:
    """Mean over all turns of a player, of metrics stacked as `[turns]` for each group."""
    return jax.tree.map(lambda *groups: jnp.mean(jnp.concatenate(groups)), *stacks)


def check_arguments(game: Any, optimizers: Any, ema: Any) -> None:
    """Raises a `ValueError` if an argument of an algorithm is of another kind than expected."""
    if not isinstance(game, Game):
        raise ValueError(f"game is a {type(game).__name__}, expected a Game: (game, optimizers)")
    players = ", ".join(game.losses)
    if not isinstance(optimizers, Mapping):
        raise ValueError(
            f"optimizers is a {type(optimizers).__name__}, expected a dict with one for each "
            f"player: {players}"
        )
    for player, optimizer in optimizers.items():
        if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
            raise ValueError(
                f"the optimizer of {player} is {getattr(optimizer, '__name__', optimizer)!r}, "
                "expected one of optax, such as optax.adam(2e-4, b1=0.5)"
            )
    if ema is not None and not isinstance(ema, Mapping):
        raise ValueError(f"ema is {ema!r}, expected a dict of decays by player")


def check_players(
    game: Game,
    optimizers: Mapping[str, Any],
    turns: tuple[Turn, ...],
    decays: dict[str, float | Schedule],
) -> None:
    """Raises a `ValueError` unless turns, optimizers and averages are those of the game's players.

    And if a decay is out of its range.
    """
    players = ", ".join(game.losses)
    named = {"turns": {name for turn in turns for name in turn}, "optimizers": set(optimizers)}
    for where, names in {**named, "ema": set(decays)}.items():
        if unknown := sorted(names - set(game.losses)):
            raise ValueError(f"{where} names {', '.join(unknown)}; the players are {players}")
    for where, names in named.items():
        if missing := sorted(set(game.losses) - names):
            raise ValueError(f"{where} lacks {', '.join(missing)}; the players are {players}")
    for movers in turns:
        if len(set(movers)) != len(movers):
            raise ValueError(f"the turn {movers} names a player twice")
    for player, decay in decays.items():
        if isinstance(decay, float | int):
            good = 0.0 <= decay <= 1.0
        else:
            good = callable(decay) or hasattr(decay, "dtype")  # an array may be traced
        if not good:
            raise ValueError(f"ema of {player} is {decay!r}, expected a decay in [0, 1]")
