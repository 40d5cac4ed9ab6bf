"""How a game is played: turns, optimizers, and what is carried from one round to the next."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from jaxgan.game import Game, LossAndGradient, own_gradient
from jaxgan.parallel import axis
from jaxgan.types import (
    Array,
    Batch,
    ByPlayer,
    Metrics,
    ModelState,
    Params,
    PRNGKey,
    PyTree,
    Schedule,
)

Turn = tuple[str, ...]  # the players that move together


class TrainState(NamedTuple):
    """Everything that the next round needs, and nothing else: no key, no metrics, no data position.

    Attributes:
      step: rounds played, `int32[]`.
      params: learned leaves, by player.
      model_state: mutable leaves (batch statistics, ...), by player.
      opt_state: optax states, by player.
      ema_params, ema_model_state: exponential moving averages of `params` and `model_state`, of the
        players that have one. Batch statistics are averaged too, since the last ones are of the
        last parameters. Of leaves that are not floating-point numbers the last value is kept.
    """

    step: Array
    params: dict[str, Params]
    model_state: dict[str, ModelState]
    opt_state: dict[str, PyTree]
    ema_params: dict[str, Params]
    ema_model_state: dict[str, ModelState]


class TrainingAlgorithm(NamedTuple):
    """A way of playing a game.

    Attributes:
      init: `(key, batch) -> TrainState`; of the batch only the shapes matter.
      update: `(state, batches, key) -> (TrainState, metrics)`, one call. `batches` has leaves
        `[num_minibatches, batch, ...]`. `key` is the key of the *run*, the same in every call: the
        update folds `state.step` into it, so a resumed run draws what it would have drawn.
      num_minibatches: fresh minibatches that one call takes.
      steps_per_update: rounds that one call plays, by which `state.step` grows.
    """

    init: Callable[[PRNGKey, Batch], TrainState]
    update: Callable[[TrainState, Batch, PRNGKey], tuple[TrainState, Metrics]]
    num_minibatches: int
    steps_per_update: int = 1


def alternating(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    turns: Sequence[str | Sequence[str]] | None = None,
    ema: Mapping[str, float | Schedule] | None = None,
    share_minibatches: bool = True,
) -> TrainingAlgorithm:
    """Players move in turn, each descending its own loss in its own parameters.

    In every turn, each player that moves takes the gradient of its loss at the parameters *before*
    the turn; then all movers commit parameters, optimizer state and model state together. After the
    last turn come the moving averages, and `step + 1`.

    Args:
      game: who plays, and for what.
      optimizers: one for each player.
      turns: the order within a round: a player's name, or several for a turn in which they move
        together. By default every player once, in the order of `game.losses`. Five critic turns
        are `5 * ["discriminator"] + ["generator"]`, and compile once (on a CPU, five times).
      ema: decay per round of the moving average of a player's parameters and model state, for those
        to have one: `ema <- decay * ema + (1 - decay) * params`. A number, or a function of the
        rounds played before this one, such as `schedules.ema_warmup(0.999)`.
      share_minibatches: consecutive turns of different players use one minibatch and one key, so that
        they meet over the same examples, latents and fakes, and what is equal in both turns (the
        generator's forward pass) is computed once. A player that moves again draws afresh. If
        false, every turn has a minibatch and a key of its own.

    Returns:
      The algorithm. Its metrics are `{player: {"loss": ..., ...}}`, each the mean over the player's
      turns of the round.

    Raises:
      ValueError: turns, optimizers or ema do not agree with the game's players, or a decay is
        outside [0, 1].

    Reference:
      Goodfellow et al., *Generative Adversarial Nets*, 2014, https://arxiv.org/abs/1406.2661,
      algorithm 1 (k discriminator turns, then one of the generator).

    Example:
      >>> import optax
      >>> adam = optax.adam(2e-4, b1=0.5)
      >>> algorithm = alternating(
      ...     game,
      ...     {"discriminator": adam, "generator": adam},
      ...     turns=["discriminator", "discriminator", "generator"],
      ...     ema={"generator": 0.999},
      ... )  # doctest: +SKIP
    """
    schedule = _schedule(tuple(game.losses) if turns is None else turns)
    decays = dict(ema or {})
    _check_players(game, optimizers, schedule, decays)
    runs = _runs(schedule, share_minibatches)
    return _algorithm(game, optimizers, runs, decays, partial(play_turn, game, optimizers))


def play_turn(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    movers: Turn,
    state: TrainState,
    batch: Batch,
    key: PRNGKey,
) -> tuple[TrainState, Metrics]:
    """One turn: the movers' gradients at the parameters before it, then all their moves together.

    Args:
      game, optimizers: as in `alternating`.
      movers: the players that move.
      state: before the turn.
      batch: a minibatch, leaves `[batch, ...]`; under a mapped data axis, this device's share.
      key: the turn's.

    Returns:
      The state after the turn, in which nothing has changed that is not the movers', and the
      movers' metrics.

    Example:
      >>> play_turn(game, optimizers, ("generator",), state, batch, key)  # doctest: +SKIP
    """
    gradients = {
        player: own_gradient(
            game.losses[player], player, state.params, state.model_state, batch, key, state.step
        )
        for player in movers
    }
    return _move(optimizers, state, gradients)


def _move(
    optimizers: Mapping[str, optax.GradientTransformation],
    state: TrainState,
    gradients: dict[str, LossAndGradient],
) -> tuple[TrainState, Metrics]:
    """Everybody who has a gradient takes a step."""
    params, model_state, opt_state, metrics = {}, {}, {}, {}
    for player, ((loss, aux), gradient) in gradients.items():
        updates, opt_state[player] = optimizers[player].update(
            axis.mean(gradient), state.opt_state[player], state.params[player]
        )
        params[player] = axis.replicated(optax.apply_updates(state.params[player], updates))
        model_state[player] = aux.model_state
        metrics[player] = axis.mean({"loss": loss, **aux.metrics})
    moved = state._replace(
        params=state.params | params,
        model_state=state.model_state | model_state,
        opt_state=state.opt_state | opt_state,
    )
    return moved, metrics


def simultaneous(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    ema: Mapping[str, float | Schedule] | None = None,
) -> TrainingAlgorithm:
    """All players move at once, on one minibatch: `alternating` with a single turn for everybody.

    Args:
      game, optimizers, ema: as in `alternating`.

    Returns:
      The algorithm.

    Example:
      >>> sgd = optax.sgd(1e-2)
      >>> simultaneous(game, {"discriminator": sgd, "generator": sgd})  # doctest: +SKIP
    """
    return alternating(game, optimizers, turns=[tuple(game.losses)], ema=ema)


def one_stage(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    ema: Mapping[str, float | Schedule] | None = None,
) -> TrainingAlgorithm:
    """All players move at once, as in `simultaneous`, by gradients that share their passes.

    For a GAN, one backward pass of the discriminator serves both players: at a generated example
    their gradients differ by a number only. `simultaneous` takes two. The gradients are the same.

    Args:
      game: one that has `joint_gradients`; what they ask of networks and losses is said there.
      optimizers, ema: as in `alternating`.

    Returns:
      The algorithm.

    Raises:
      ValueError: the game has no `joint_gradients`, or as in `alternating`.

    Reference:
      Shen et al., *Training Generative Adversarial Networks in One Stage*, 2021,
      https://arxiv.org/abs/2103.00430.

    Example:
      >>> sgd = optax.sgd(1e-2)
      >>> one_stage(game, {"discriminator": sgd, "generator": sgd})  # doctest: +SKIP
    """
    gradients, players = game.joint_gradients, tuple(game.losses)
    if gradients is None:
        raise ValueError("this game has no joint_gradients; use simultaneous")
    decays = dict(ema or {})
    _check_players(game, optimizers, (players,), decays)

    def turn(
        movers: Turn, state: TrainState, batch: Batch, key: PRNGKey
    ) -> tuple[TrainState, Metrics]:
        found = gradients(state.params, state.model_state, batch, key, state.step)
        return _move(optimizers, state, found)

    return _algorithm(game, optimizers, [(players, slice(0, 1))], decays, turn)


def scan_steps(algorithm: TrainingAlgorithm, steps_per_update: int) -> TrainingAlgorithm:
    """Several rounds in one call: the same numbers, fewer dispatches.

    It helps where a round is shorter than its dispatch. On a CPU leave it to networks without
    convolutions, whose gradients XLA compiles badly inside loops.

    Args:
      algorithm: any.
      steps_per_update: calls of the algorithm's update to make into one, at least 1.

    Returns:
      An algorithm that takes `steps_per_update` times the minibatches; its metrics are means over the
      rounds.

    Raises:
      ValueError: `steps_per_update` is below 1.

    Example:
      >>> faster = scan_steps(algorithm, 10)  # doctest: +SKIP
    """
    if steps_per_update < 1:
        raise ValueError(f"steps_per_update is {steps_per_update}, expected at least 1")

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        state, metrics = jax.lax.scan(
            lambda state, round_batches: algorithm.update(state, round_batches, key),
            state,
            jax.tree.map(lambda x: x.reshape(steps_per_update, -1, *x.shape[1:]), batches),
        )
        return state, jax.tree.map(lambda x: jnp.mean(x, axis=0), metrics)

    return algorithm._replace(
        update=update,
        num_minibatches=steps_per_update * algorithm.num_minibatches,
        steps_per_update=steps_per_update * algorithm.steps_per_update,
    )


def with_ema(state: TrainState) -> tuple[dict[str, Params], dict[str, ModelState]]:
    """Parameters and model state of all players, their averages in place of last values.

    Example:
      >>> images = game.sample(*with_ema(state), batch, key)  # doctest: +SKIP
    """
    return state.params | state.ema_params, state.model_state | state.ema_model_state


def _algorithm(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    runs: list[tuple[Turn, slice]],
    decays: dict[str, float | Schedule],
    turn: Callable[[Turn, TrainState, Batch, PRNGKey], tuple[TrainState, Metrics]],
) -> TrainingAlgorithm:
    """Plays runs of turns, then takes the moving averages."""
    num_draws = runs[-1][1].stop

    def init(key: PRNGKey, batch: Batch) -> TrainState:
        params, model_state = game.init(key, batch)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            model_state=model_state,
            opt_state={player: optimizers[player].init(params[player]) for player in game.losses},
            ema_params={player: params[player] for player in decays},
            ema_model_state={player: model_state[player] for player in decays},
        )

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        chex.assert_tree_shape_prefix(batches, (num_draws,))
        keys = jax.random.split(jax.random.fold_in(key, state.step), num_draws)
        played: dict[str, list[Metrics]] = {player: [] for player in game.losses}
        for movers, run in runs:
            mine = jax.tree.map(itemgetter(run), (dict(batches), keys))
            step = lambda state, of_turn, movers=movers: turn(movers, state, *of_turn)
            state, metrics = _scan(step, state, mine, length=run.stop - run.start)
            for player in movers:
                played[player].append(metrics[player])
        state = _averaged(state, decays)._replace(step=state.step + 1)
        return state, {player: _mean_over_turns(metrics) for player, metrics in played.items()}

    return TrainingAlgorithm(init, update, num_minibatches=num_draws)


def _averaged(state: TrainState, decays: Mapping[str, float | Schedule]) -> TrainState:
    """The state after a round's last turn, its averages one round further."""
    weights = {
        player: decay(state.step) if callable(decay) else decay for player, decay in decays.items()
    }

    def mean(player: str, old: Array, new: Array) -> Array:
        if not jnp.issubdtype(old.dtype, jnp.inexact):
            return new  # a count has no average
        weight = weights[player]
        return (weight * old + (1.0 - weight) * new).astype(old.dtype)

    def further(averages: ByPlayer, last: ByPlayer) -> dict[str, PyTree]:
        return {p: jax.tree.map(partial(mean, p), averages[p], last[p]) for p in decays}

    return state._replace(
        ema_params=further(state.ema_params, state.params),
        ema_model_state=further(state.ema_model_state, state.model_state),
    )


def _schedule(turns: Sequence[str | Sequence[str]]) -> tuple[Turn, ...]:
    return tuple((turn,) if isinstance(turn, str) else tuple(turn) for turn in turns)


def _runs(schedule: tuple[Turn, ...], share_minibatches: bool) -> list[tuple[Turn, slice]]:
    """Runs of equal turns: who moves, and on which of the round's draws, one per turn."""
    runs: list[tuple[Turn, slice]] = []
    stop, met = 0, set[str]()  # how many draws so far, and who has moved on the last of them
    for movers, group in itertools.groupby(schedule):
        shares = share_minibatches and stop > 0 and met.isdisjoint(movers)
        start = stop - 1 if shares else stop
        stop = start + len(list(group))
        met = met.union(movers) if shares and stop - start == 1 else set(movers)
        runs.append((movers, slice(start, stop)))
    return runs


def _scan(
    step: Callable[[TrainState, Any], tuple[TrainState, Metrics]],
    state: TrainState,
    xs: PyTree,
    *,
    length: int,
) -> tuple[TrainState, Metrics]:
    """`jax.lax.scan`, written out where a loop would be slow.

    XLA's CPU backend takes convolutions to their fast form outside loops only: the gradient of a
    convolution in the body of a loop, even of one trip, takes about fifteen times as long.
    """
    if length > 1 and jax.default_backend() != "cpu":
        return jax.lax.scan(step, state, xs)
    metrics = []
    for i in range(length):
        state, of_turn = step(state, jax.tree.map(itemgetter(i), xs))
        metrics.append(of_turn)
    return state, jax.tree.map(lambda *leaves: jnp.stack(leaves), *metrics)


def _mean_over_turns(metrics: list[Metrics]) -> Metrics:
    """From one stack `[turns]` of metrics per run to means over all turns."""
    return jax.tree.map(lambda *runs: jnp.mean(jnp.concatenate(runs)), *metrics)


def _check_players(
    game: Game,
    optimizers: Mapping[str, Any],
    schedule: tuple[Turn, ...],
    decays: dict[str, float | Schedule],
) -> None:
    players = ", ".join(game.losses)
    named = {"turns": {name for turn in schedule for name in turn}, "optimizers": set(optimizers)}
    for where, names in {**named, "ema": set(decays)}.items():
        if unknown := sorted(names - set(game.losses)):
            raise ValueError(f"{where} names {', '.join(unknown)}; the players are {players}")
    for where, names in named.items():
        if missing := sorted(set(game.losses) - names):
            raise ValueError(f"{where} lacks {', '.join(missing)}; the players are {players}")
    for movers in schedule:
        if len(set(movers)) != len(movers):
            raise ValueError(f"the turn {movers} names a player twice")
    for player, decay in decays.items():
        if not callable(decay) and not 0.0 <= decay <= 1.0:
            raise ValueError(f"ema of {player} is {decay}, expected a decay in [0, 1]")
