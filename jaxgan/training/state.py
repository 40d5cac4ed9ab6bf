"""Training state and training algorithm: what all training algorithms share."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxgan.game import Game
from jaxgan.ops import at_least_float32
from jaxgan.types import Array, Batch, ByPlayer, Metrics, ModelState, Params, PRNGKey, PyTree


class TrainState(NamedTuple):
    """Training state: what the next step depends on, without key, metrics or data position.

    Attributes:
      step: number of training steps done, `int32[]`.
      params: trainable parameters, by player.
      model_state: non-trainable variables (batch statistics, ...), by player.
      opt_state: optax states, by player.
      ema_params, ema_model_state: exponential moving averages of `params` and `model_state`, of the
        players that have them. Batch statistics are averaged as well, because the last statistics
        belong to the last parameters. Averages of 16-bit leaves are float32; leaves that are not
        floating-point keep their last value.

    Example:
      >>> ones = {"generator": jnp.ones(2)}
      >>> state = TrainState(jnp.array(7), ones, {}, {}, ema_params={}, ema_model_state={})
      >>> int(state.step), state.params["generator"].tolist()
      (7, [1.0, 1.0])
    """

    step: Array
    params: dict[str, Params]
    model_state: dict[str, ModelState]
    opt_state: dict[str, PyTree]
    ema_params: dict[str, Params]
    ema_model_state: dict[str, ModelState]


OTHER_ALGORITHM = (
    "the state of an optimizer is that of another optimizer or training algorithm, expected one "
    "from this algorithm's init or update"
)


class TrainingAlgorithm(NamedTuple):
    """Training algorithm of a game, as a pair of pure functions.

    Attributes:
      init: `(key, batch) -> TrainState`; only the shapes of the batch are used.
      update: `(state, batches, key) -> (TrainState, metrics)`. `batches` has leaves
        `[num_minibatches, batch, ...]`. `key` is the key of the *run*, the same in every call: the
        update folds `state.step` into it, so a resumed run uses the same random numbers.
      num_minibatches: number of minibatches that one update takes.
      steps_per_update: number of training steps in one update, by which it increases `state.step`.
      compiled: whether `jit`, `pmap` or `sharded` has compiled it. Only `fit` takes a
        compiled algorithm; apply `scan_steps`, `lookahead` and the like first.

    Example, an algorithm that counts steps:
      >>> empty = TrainState(jnp.array(0), {}, {}, {}, {}, {})
      >>> counting = TrainingAlgorithm(
      ...     init=lambda key, batch: empty,
      ...     update=lambda state, batches, key: (state._replace(step=state.step + 1), {}),
      ...     num_minibatches=1,
      ... )
      >>> state, metrics = counting.update(counting.init(jax.random.key(0), {}), {}, None)
      >>> int(state.step)
      1
    """

    init: Callable[[PRNGKey, Batch], TrainState]
    update: Callable[[TrainState, Batch, PRNGKey], tuple[TrainState, Metrics]]
    num_minibatches: int
    steps_per_update: int = 1
    compiled: bool = False


def check_pure(algorithm: Any) -> None:
    """Raises a `ValueError` if it is not a training algorithm, or a compiled one."""
    if not isinstance(algorithm, TrainingAlgorithm):
        raise ValueError(
            f"algorithm is a {type(algorithm).__name__}, expected a training algorithm, such as "
            "jaxgan.alternating(game, optimizers)"
        )
    if algorithm.compiled:
        raise ValueError(
            "the algorithm is compiled already, expected a pure one: jit, pmap or sharded come last"
        )


def with_ema(state: TrainState) -> tuple[dict[str, Params], dict[str, ModelState]]:
    """Parameters and model states of all players, with moving averages where there are any.

    Args:
      state: training state.

    Returns:
      `(params, model_state)`, dicts by player, of the dtypes of the parameters.

    Example:
      >>> ones, averages = {"generator": jnp.ones(2)}, {"generator": jnp.zeros(2)}
      >>> params, _ = with_ema(TrainState(jnp.array(7), ones, {}, {}, averages, {}))
      >>> params["generator"].tolist()
      [0.0, 0.0]
    """

    def with_averages(values: ByPlayer, averages: ByPlayer) -> dict[str, PyTree]:
        cast = lambda average, x: average if average.dtype == x.dtype else average.astype(x.dtype)
        return {
            player: jax.tree.map(cast, averages[player], value) if player in averages else value
            for player, value in values.items()
        }

    return (
        with_averages(state.params, state.ema_params),
        with_averages(state.model_state, state.ema_model_state),
    )


def init_state(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    averaged: Collection[str],
    key: PRNGKey,
    batch: Batch,
) -> TrainState:
    """Initial state of a game, with moving averages for the players in `averaged`."""
    params, model_state = strongly_typed(game.init(key, batch))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=model_state,
        opt_state={player: optimizers[player].init(params[player]) for player in game.losses},
        ema_params={player: _average_of(params[player]) for player in averaged},
        ema_model_state={player: _average_of(model_state[player]) for player in averaged},
    )


def _average_of(tree: PyTree) -> PyTree:
    """Initial moving average: in 16 bits a step of it would be rounded to nothing."""
    inexact = lambda x: jnp.issubdtype(x.dtype, jnp.inexact)
    return jax.tree.map(lambda x: at_least_float32(x) if inexact(x) else x, tree)


def strongly_typed(tree: PyTree) -> PyTree:
    """The tree with weakly typed arrays, such as `jnp.array(1.0)`, as any others of their dtype.

    Otherwise a state may differ from the one before it in this alone, and be compiled for again.
    """
    weak = lambda x: getattr(x, "weak_type", isinstance(x, (int, float)))
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)) if weak(x) else x, tree)
