"""The loop: data, update, callbacks, again. It knows nothing of GANs, files or devices."""

from collections.abc import Callable, Sequence

import jax

from jaxgan.training import TrainingAlgorithm, TrainState
from jaxgan.types import Batch, Metrics, PRNGKey

Minibatches = Callable[[int, int], Batch]  # (start, count) -> leaves [count, batch, ...]
Callback = Callable[[int, TrainState, Metrics], None]  # (step, state, metrics)


class StopTraining(Exception):  # noqa: N818, as StopIteration: not an error
    """Raised by a callback to end `fit` after the current step, without an error."""


def fit(
    algorithm: TrainingAlgorithm,
    minibatches: Minibatches,
    *,
    key: PRNGKey,
    num_steps: int,
    state: TrainState | None = None,
    callbacks: Sequence[Callback] = (),
) -> TrainState:
    """Plays rounds until `state.step` is `num_steps`.

    The numbers depend on the key, the data and the number of rounds alone: stopping anywhere and
    going on from the saved state, with the same key, gives the same bits.

    Args:
      algorithm: how to play; `parallel.jit(...)` or `parallel.pmap(...)` of one, to be fast.
      minibatches: `(start, count) -> batches`, minibatches number `start` to `start + count - 1`
        with leaves `[count, batch, ...]`: a pure function, such as `data.minibatches(...)` makes.
      key: the key of the run.
      num_steps: rounds in all, counting those that `state` has behind it.
      state: where to go on; a fresh one when left out.
      callbacks: called in order after every update as `callback(step, state, metrics)`, with the
        rounds played so far, the new state and the update's metrics. Arrays arrive before they are
        computed: a callback that reads none does not wait. It must not keep the state, whose memory
        the next update reuses.

    Returns:
      The last state.

    Raises:
      ValueError: the rounds that remain are no multiple of the algorithm's `steps_per_update`.

    Example:
      >>> state = fit(
      ...     jit(algorithm), batches, key=jax.random.key(0), num_steps=1000
      ... )  # doctest: +SKIP
    """
    if state is None:
        state = first_state(algorithm, minibatches, key=key)
    key_run = jax.random.fold_in(key, 1)
    first = int(state.step)
    if (num_steps - first) % algorithm.steps_per_update:
        raise ValueError(
            f"{num_steps - first} rounds remain, expected a multiple of the "
            f"{algorithm.steps_per_update} rounds that the algorithm plays at once"
        )
    for step in range(first, num_steps, algorithm.steps_per_update):
        start = step * algorithm.num_minibatches // algorithm.steps_per_update
        batches = minibatches(start, algorithm.num_minibatches)
        state, metrics = algorithm.update(state, batches, key_run)
        try:
            for callback in callbacks:
                callback(step + algorithm.steps_per_update, state, metrics)
        except StopTraining:
            break
    return state


def first_state(
    algorithm: TrainingAlgorithm, minibatches: Minibatches, *, key: PRNGKey
) -> TrainState:
    """The state that `fit` starts from with this key.

    Example:
      >>> state = first_state(algorithm, minibatches, key=jax.random.key(0))  # doctest: +SKIP
    """
    batch = jax.tree.map(lambda x: x[0], minibatches(0, 1))
    return algorithm.init(jax.random.fold_in(key, 0), batch)
