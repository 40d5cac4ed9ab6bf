"""Training algorithms: turns of the players, their optimizers, and the training state."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from jaxgan import ops
from jaxgan.game import Game, LossAndGradient, LossAux, own_gradient
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

Turn = tuple[str, ...]  # the players that move simultaneously
Gradients = Callable[[ByPlayer, Batch, PRNGKey], dict[str, LossAndGradient]]


class TrainState(NamedTuple):
    """Training state: what the next step depends on, without key, metrics or data position.

    Attributes:
      step: number of training steps done, `int32[]`.
      params: trainable parameters, by player.
      model_state: non-trainable variables (batch statistics, ...), by player.
      opt_state: optax states, by player.
      ema_params, ema_model_state: exponential moving averages of `params` and `model_state`, of the
        players that have them. Batch statistics are averaged as well, because the last statistics
        belong to the last parameters. Leaves that are not floating-point keep their last value.
    """

    step: Array
    params: dict[str, Params]
    model_state: dict[str, ModelState]
    opt_state: dict[str, PyTree]
    ema_params: dict[str, Params]
    ema_model_state: dict[str, ModelState]


class TrainingAlgorithm(NamedTuple):
    """Training algorithm of a game, as a pair of pure functions.

    Attributes:
      init: `(key, batch) -> TrainState`; only the shapes of the batch are used.
      update: `(state, batches, key) -> (TrainState, metrics)`. `batches` has leaves
        `[num_minibatches, batch, ...]`. `key` is the key of the *run*, the same in every call: the
        update folds `state.step` into it, so a resumed run uses the same random numbers.
      num_minibatches: number of minibatches that one update takes.
      steps_per_update: number of training steps in one update, by which it increases `state.step`.
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
    accumulate: int = 1,
) -> TrainingAlgorithm:
    """Alternating gradient descent: players move in turn, each on its own loss and parameters.

    In a turn, each moving player takes the gradient of its loss at the parameters *before* the
    turn; then the parameters, optimizer states and model states of all moving players are updated
    together. A training step is a sequence of turns, then the update of the moving averages, and
    `step + 1`.

    Args:
      game: players and losses.
      optimizers: one optax optimizer for each player.
      turns: the turns of a training step: each a player's name, or several names for a simultaneous
        turn. By default every player once, in the order of `game.losses`. Five critic turns are
        `5 * ["discriminator"] + ["generator"]`, and compile once (on a CPU, five times).
      ema: for each player with moving averages of parameters and model state, their decay per
        training step: `ema <- decay * ema + (1 - decay) * params`. A constant, or a schedule called
        with the number of steps before this one, such as `schedules.ema_warmup(0.999)`.
      share_minibatches: whether consecutive turns of different players use the same minibatch and
        key, and so the same examples, latents and fakes; XLA computes what the turns have in common
        (the generator's forward pass) once. A player that moves again gets a new minibatch and key.
        If false, every turn has its own minibatch and key.
      accumulate: number of minibatches over which a turn averages the gradients before its
        optimizer step, one after the other, with the memory of one. "A minibatch" above is then
        that many. Rows have the random numbers that they have in the large batch of all, so the
        step is that of the large batch, up to the order of sums, wherever a loss is a mean over
        examples: not with batch statistics, relativistic averages or free bits, which depend on the
        minibatch as a whole. A moving player's model state goes from minibatch to minibatch.

    Returns:
      The algorithm. Its metrics are `{player: {"loss": ..., ...}}`, means over the player's turns
      (and their minibatches) in the training step.

    Raises:
      ValueError: `turns`, `optimizers` or `ema` do not match the game's players, a decay is
        outside [0, 1], or `accumulate` is below 1.

    Reference:
      Goodfellow et al., *Generative Adversarial Nets*, 2014, https://arxiv.org/abs/1406.2661,
      algorithm 1 (k discriminator turns, then one generator turn).

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
    all_turns = _as_tuples(tuple(game.losses) if turns is None else turns)
    decays = dict(ema or {})
    _check_players(game, optimizers, all_turns, decays)
    groups = _group_turns(all_turns, share_minibatches)
    turn = partial(play_turn, game, optimizers, accumulate=accumulate)
    return _algorithm(game, optimizers, groups, decays, turn, accumulate)


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

    return _apply_gradients(optimizers, state, gradients, batch, key, accumulate)


def _apply_gradients(
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
        results = _mean_gradients(gradients, state, batch, key, accumulate)
    params, model_state, opt_state, metrics = {}, {}, {}, {}
    for player, ((loss, aux), gradient) in results.items():
        updates, opt_state[player] = optimizers[player].update(
            axis.mean(gradient), state.opt_state[player], state.params[player]
        )
        params[player] = axis.replicated(optax.apply_updates(state.params[player], updates))
        model_state[player] = aux.model_state
        metrics[player] = axis.mean({"loss": loss, **aux.metrics})
    new_state = state._replace(
        params=state.params | params,
        model_state=state.model_state | model_state,
        opt_state=state.opt_state | opt_state,
    )
    return new_state, metrics


def _mean_gradients(
    gradients: Gradients, state: TrainState, batches: Batch, key: PRNGKey, num_minibatches: int
) -> dict[str, LossAndGradient]:
    """Means of losses, metrics and gradients over minibatches, and the last model states.

    A scan on accelerators. On CPUs, where convolutions in loops are slow, it is unrolled, and each
    minibatch waits for the one before: XLA would otherwise compute them in an order, and merge
    forward passes with those of other turns, so that the activations of all are kept.
    """
    batches, unrolled = dict(batches), jax.default_backend() == "cpu"

    def body(carry: PyTree, minibatch: tuple[Any, Batch]) -> tuple[PyTree, None]:
        model_state, sums = carry
        number, batch = minibatch
        inputs = (batch, key)
        if unrolled:
            inputs = ops.after((state.params, sums), inputs)
        with axis.minibatch(number):
            results = gradients(model_state, *inputs)
        own = {player: aux.model_state for player, ((_, aux), _) in results.items()}
        return (model_state | own, jax.tree.map(jnp.add, sums, _averaged(results))), None

    first = jax.tree.map(itemgetter(0), batches)
    shapes = jax.eval_shape(
        lambda *args: _averaged(gradients(*args)), state.model_state, first, key
    )
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    carry = (state.model_state, zeros)
    if unrolled:
        for i in range(num_minibatches):
            carry, _ = body(carry, (i, jax.tree.map(itemgetter(i), batches)))
    else:
        carry, _ = jax.lax.scan(body, carry, (jnp.arange(num_minibatches), batches))
    model_state, sums = carry
    means = jax.tree.map(lambda x: x / num_minibatches, sums)
    return {
        player: ((loss, LossAux(model_state[player], metrics)), gradient)
        for player, (loss, metrics, gradient) in means.items()
    }


def _averaged(results: dict[str, LossAndGradient]) -> dict[str, tuple[Array, Metrics, Params]]:
    """What is averaged over minibatches: loss, metrics and gradient of each player."""
    return {player: (loss, aux.metrics, grad) for player, ((loss, aux), grad) in results.items()}


def simultaneous(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    ema: Mapping[str, float | Schedule] | None = None,
    accumulate: int = 1,
) -> TrainingAlgorithm:
    """Simultaneous gradient descent: all players move in a single turn, on one minibatch.

    Args:
      game, optimizers, ema, accumulate: as in `alternating`.

    Returns:
      The algorithm.

    Example:
      >>> sgd = optax.sgd(1e-2)
      >>> simultaneous(game, {"discriminator": sgd, "generator": sgd})  # doctest: +SKIP
    """
    turns = [tuple(game.losses)]
    return alternating(game, optimizers, turns=turns, ema=ema, accumulate=accumulate)


def one_stage(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    ema: Mapping[str, float | Schedule] | None = None,
    accumulate: int = 1,
) -> TrainingAlgorithm:
    """One-stage training: simultaneous descent by `game.joint_gradients`.

    In a GAN, one backward pass through the discriminator serves both players, whose gradients at a
    generated example differ only by a scalar. `simultaneous` takes two passes for the same
    gradients.

    Args:
      game: a game with `joint_gradients`, whose requirements on networks and loss its constructor
        documents (`gan`).
      optimizers, ema, accumulate: as in `alternating`.

    Returns:
      The algorithm.

    Raises:
      ValueError: the game has no `joint_gradients`, or an error of `alternating`.

    Reference:
      Shen et al., *Training Generative Adversarial Networks in One Stage*, 2021,
      https://arxiv.org/abs/2103.00430.

    Example:
      >>> sgd = optax.sgd(1e-2)
      >>> one_stage(game, {"discriminator": sgd, "generator": sgd})  # doctest: +SKIP
    """
    joint_gradients, players = game.joint_gradients, tuple(game.losses)
    if joint_gradients is None:
        raise ValueError("this game has no joint_gradients; use simultaneous")
    decays = dict(ema or {})
    _check_players(game, optimizers, (players,), decays)

    def turn(
        movers: Turn, state: TrainState, batch: Batch, key: PRNGKey
    ) -> tuple[TrainState, Metrics]:
        def gradients(
            model_state: ByPlayer, batch: Batch, key: PRNGKey
        ) -> dict[str, LossAndGradient]:
            return joint_gradients(state.params, model_state, batch, key, state.step)

        return _apply_gradients(optimizers, state, gradients, batch, key, accumulate)

    return _algorithm(game, optimizers, [(players, slice(0, 1))], decays, turn, accumulate)


def scan_steps(algorithm: TrainingAlgorithm, steps_per_update: int) -> TrainingAlgorithm:
    """Several updates in one compiled `jax.lax.scan`: the same results with fewer dispatches.

    Useful if an update takes less time than its dispatch. On a CPU, use it only for networks
    without convolutions, whose gradients XLA compiles to slow code inside loops.

    Args:
      algorithm: any training algorithm.
      steps_per_update: number of the algorithm's updates to combine into one, at least 1.

    Returns:
      An algorithm whose update takes `steps_per_update` times the minibatches; its metrics are
      means over the combined updates.

    Raises:
      ValueError: `steps_per_update` is below 1.

    Example:
      >>> faster = scan_steps(algorithm, 10)  # doctest: +SKIP
    """
    if steps_per_update < 1:
        raise ValueError(f"steps_per_update is {steps_per_update}, expected at least 1")

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        state, metrics = jax.lax.scan(
            lambda state, step_batches: algorithm.update(state, step_batches, key),
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
    """Parameters and model states of all players, with moving averages where there are any.

    Example:
      >>> images = game.sample(*with_ema(state), batch, key)  # doctest: +SKIP
    """
    return state.params | state.ema_params, state.model_state | state.ema_model_state


def _algorithm(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    groups: list[tuple[Turn, slice]],
    decays: dict[str, float | Schedule],
    turn: Callable[[Turn, TrainState, Batch, PRNGKey], tuple[TrainState, Metrics]],
    accumulate: int,
) -> TrainingAlgorithm:
    """The algorithm whose update does the turns of all groups, then updates the averages."""
    if accumulate < 1:
        raise ValueError(f"accumulate is {accumulate}, expected at least 1")
    num_keys = groups[-1][1].stop

    def init(key: PRNGKey, batch: Batch) -> TrainState:
        params, model_state = _strong(game.init(key, batch))
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            model_state=model_state,
            opt_state={player: optimizers[player].init(params[player]) for player in game.losses},
            ema_params={player: params[player] for player in decays},
            ema_model_state={player: model_state[player] for player in decays},
        )

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
        state = _strong(_update_averages(state, decays)._replace(step=state.step + 1))
        return state, {player: _mean_over_turns(stacks) for player, stacks in turn_metrics.items()}

    return TrainingAlgorithm(init, update, num_minibatches=num_keys * accumulate)


def _strong(tree: PyTree) -> PyTree:
    """The tree with weakly typed arrays, such as `jnp.array(1.0)`, as any others of their dtype.

    Otherwise a state may differ from the one before it in this alone, and be compiled for again.
    """
    weak = lambda x: getattr(x, "weak_type", isinstance(x, (int, float)))
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)) if weak(x) else x, tree)


def _update_averages(state: TrainState, decays: Mapping[str, float | Schedule]) -> TrainState:
    """The state with moving averages updated; `state.step` is not yet incremented."""
    weights = {
        player: decay(state.step) if callable(decay) else decay for player, decay in decays.items()
    }

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


def _as_tuples(turns: Sequence[str | Sequence[str]]) -> tuple[Turn, ...]:
    return tuple((turn,) if isinstance(turn, str) else tuple(turn) for turn in turns)


def _group_turns(turns: tuple[Turn, ...], share_minibatches: bool) -> list[tuple[Turn, slice]]:
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

    XLA's CPU backend converts convolutions to their fast form only outside loops: the gradient of a
    convolution in a loop body, even with a single iteration, takes about fifteen times as long.
    """
    if length > 1 and jax.default_backend() != "cpu":
        return jax.lax.scan(body, state, xs)
    stack = []
    for i in range(length):
        state, metrics = body(state, jax.tree.map(itemgetter(i), xs))
        stack.append(metrics)
    return state, jax.tree.map(lambda *leaves: jnp.stack(leaves), *stack)


def _mean_over_turns(stacks: list[Metrics]) -> Metrics:
    """Mean over all turns of a player, of metrics stacked as `[turns]` for each group."""
    return jax.tree.map(lambda *groups: jnp.mean(jnp.concatenate(groups)), *stacks)


def _check_players(
    game: Game,
    optimizers: Mapping[str, Any],
    turns: tuple[Turn, ...],
    decays: dict[str, float | Schedule],
) -> None:
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
        if not callable(decay) and not 0.0 <= decay <= 1.0:
            raise ValueError(f"ema of {player} is {decay}, expected a decay in [0, 1]")
