"""Lookahead: slow parameters that move part of the way to the fast ones."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.training.state import OTHER_ALGORITHM, TrainingAlgorithm, TrainState, check_pure
from jaxgan.types import Array, Batch, Metrics, Params, PRNGKey, PyTree


class WithSlow(NamedTuple):
    """Optimizer state of a player with its slow parameters, those at the last synchronisation."""

    optimizer: PyTree
    slow: Params


def lookahead(
    algorithm: TrainingAlgorithm, *, every: int = 5, weight: float = 0.5
) -> TrainingAlgorithm:
    """Lookahead-minmax over any algorithm: `theta <- slow + a (theta - slow)` at every k-th step.

    The players synchronise at once. Slow parameters are those after the last synchronisation; they
    are part of the optimizer state.

    Args:
      algorithm: any training algorithm, not compiled.
      every: k, the number of training steps between synchronisations, at least 1.
      weight: a, in (0, 1].

    Returns:
      The algorithm, with the minibatches and metrics of the given one. Its moving averages are
      those of the fast parameters, before a synchronisation.

    Raises:
      ValueError: the algorithm is compiled, `weight` is out of range, or `every` is not a multiple
        of the algorithm's `steps_per_update`; in an update, the state is of another algorithm.

    Reference:
      Chavdarova, Pagliardini, Stich, Fleuret and Jaggi, *Taming GANs with Lookahead-Minmax*, 2021,
      https://arxiv.org/abs/2006.14567, algorithm 1.

    Example:
      >>> lookahead(simultaneous(game, optimizers), every=5)  # doctest: +SKIP
    """
    check_pure(algorithm)
    if isinstance(weight, float | int) and not 0.0 < weight <= 1.0:
        raise ValueError(f"weight is {weight}, expected a number in (0, 1]")
    if every < 1 or every % algorithm.steps_per_update:
        raise ValueError(
            f"every is {every}, expected a multiple of the algorithm's steps_per_update, "
            f"{algorithm.steps_per_update}"
        )

    def init(key: PRNGKey, batch: Batch) -> TrainState:
        state = algorithm.init(key, batch)
        return _with_slow(state, state.params)

    def update(state: TrainState, batches: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        if not all(isinstance(own, WithSlow) for own in state.opt_state.values()):
            raise ValueError(OTHER_ALGORITHM)
        # From a step that is no multiple of an update's, updates step over the multiples of k.
        is_first = lambda step: step % every < algorithm.steps_per_update
        # Set at the start of a period, so that parameters that were replaced after `init` are used.
        kept = {player: own.slow for player, own in state.opt_state.items()}
        slow = _where(is_first(state.step), state.params, kept)
        fast = {player: own.optimizer for player, own in state.opt_state.items()}
        state, metrics = algorithm.update(state._replace(opt_state=fast), batches, key)
        part = lambda s, f: (s + weight * (f - s)).astype(f.dtype)
        pulled = jax.tree.map(part, slow, state.params)
        params = _where(is_first(state.step), pulled, state.params)
        return _with_slow(state._replace(params=params), slow), metrics

    return algorithm._replace(init=init, update=update)


def _with_slow(state: TrainState, slow: dict[str, Params]) -> TrainState:
    own = {player: WithSlow(opt, slow[player]) for player, opt in state.opt_state.items()}
    return state._replace(opt_state=own)


def _where(condition: Array, a: dict[str, Params], b: dict[str, Params]) -> dict[str, Params]:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)
