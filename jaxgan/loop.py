"""Training loop of any algorithm: minibatches, update, callbacks."""

import contextlib
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import parallel
from jaxgan.data import check_images, streamed
from jaxgan.errors import DataError
from jaxgan.live import display, in_notebook, in_terminal, terminal_display
from jaxgan.training import TrainingAlgorithm, TrainState
from jaxgan.tree import by_path
from jaxgan.types import Batch, Metrics, PRNGKey

Minibatches = Callable[[int, int], Batch]  # (start, count) -> leaves [count, batch, ...]
Callback = Callable[[int, TrainState, Metrics], None]  # (step, state, metrics)


class StopTraining(Exception):  # noqa: N818, as StopIteration: not an error
    """Raised by a callback to end `fit` after the current update, without an error.

    Example:
      >>> def enough(step, state, metrics):
      ...     if step >= 100:
      ...         raise StopTraining
    """


def fit(
    algorithm: TrainingAlgorithm,
    minibatches: Minibatches | Iterable[Batch],
    *,
    key: PRNGKey,
    num_steps: int,
    state: TrainState | None = None,
    callbacks: Sequence[Callback] = (),
    live: bool = True,
) -> TrainState:
    """Training loop: trains until `state.step` is `num_steps`.

    The result depends only on the key, the data and the number of steps: training that is
    interrupted and resumed from the saved state, with the same key, is bit-identical.

    Ctrl-C ends it after the current update, with a warning, and the state is returned; a second
    one ends it at once, by `KeyboardInterrupt`. A handler of the caller's takes precedence. Warns
    if images lie outside [-1, 1], or if the metrics of the last update are not finite.

    Args:
      algorithm: training algorithm, compiled with `parallel.jit`, `pmap` or `sharded`, or not;
        `fit` applies `jit` to one that is not. `compiled=True` is for an update that must not be
        traced.
      minibatches: `(start, count) -> batches`, minibatches `start` to `start + count - 1` with
        leaves `[count, batch, ...]`; a pure function, such as one from `data.minibatches`. Or the
        batches of an epoch, such as a list or a PyTorch `DataLoader`, for `data.streamed`.
      key: the key of the run; of a population, the keys of its members, `[P]`.
      num_steps: total number of training steps, including the `state.step` steps already done.
      state: state to continue from; if `None`, `first_state`. Its buffers are donated: use the
        state that is returned, or pass a copy, `jax.tree.map(jnp.copy, state)`.
      callbacks: called in order after every update as `callback(step, state, metrics)`, with the
        number of steps done, the new state and the update's metrics. Arrays are dispatched
        asynchronously: a callback that does not read them does not block. It must not keep a
        reference to the state, whose buffers are donated to the next update.
      live: whether to display a bar, with curves in a notebook, where the program runs in a
        notebook or in a terminal.

    Returns:
      The final state.

    Raises:
      ValueError: the key is a raw one (`jax.random.PRNGKey`), another argument is not of the kind
        above, minibatches lack the axis `count`, the state is of a later step or its buffers were
        donated, or the number of remaining steps is not a multiple of the algorithm's
        `steps_per_update`.

    Example:
      >>> state = fit(
      ...     jit(algorithm), batches, key=jax.random.key(0), num_steps=1000
      ... )  # doctest: +SKIP
    """
    _check_arguments(algorithm, key, num_steps, callbacks)
    minibatches = _sampler(minibatches)
    if not algorithm.compiled:
        algorithm = parallel.jit(algorithm)
    if state is None:
        state = first_state(algorithm, minibatches, key=key)
    key_run = _folded(key, 1)
    first = _first_step(state, num_steps, algorithm.steps_per_update)
    with contextlib.ExitStack() as stack:
        interrupted = stack.enter_context(_interruptible())
        if live and in_notebook():
            callbacks = [stack.enter_context(display(first, num_steps)), *callbacks]
        elif live and in_terminal():
            callbacks = [stack.enter_context(terminal_display(first, num_steps)), *callbacks]
        for step in range(first, num_steps, algorithm.steps_per_update):
            start = step * algorithm.num_minibatches // algorithm.steps_per_update
            batches = minibatches(start, algorithm.num_minibatches)
            state, metrics = algorithm.update(state, batches, key_run)
            try:
                for callback in callbacks:
                    callback(step + algorithm.steps_per_update, state, metrics)
            except StopTraining:
                break
            if interrupted():
                warnings.warn(
                    f"interrupted at step {int(state.step)} of {num_steps}; the state is returned",
                    stacklevel=2,
                )
                break
        else:
            if first < num_steps and not key.ndim:
                _warn_of_divergence(metrics, num_steps)
    return state


def _first_step(state: TrainState, num_steps: int, steps_per_update: int) -> int:
    """The step of a state; a `ValueError` if training cannot continue from it to `num_steps`."""
    if any(getattr(leaf, "is_deleted", bool)() for leaf in jax.tree.leaves(state)):
        raise ValueError(
            "the state was given to an earlier update, which reused its buffers; continue from the "
            "state that it returned, or give it a copy: jax.tree.map(jnp.copy, state)"
        )
    first = int(state.step)
    if num_steps < first:
        raise ValueError(
            f"num_steps is {num_steps}, and the state is of step {first}; num_steps counts the "
            "steps already done"
        )
    if (num_steps - first) % steps_per_update:
        raise ValueError(
            f"{num_steps - first} steps remain, expected a multiple of the algorithm's "
            f"steps_per_update, {steps_per_update}"
        )
    return first


def _sampler(minibatches: Any) -> Minibatches:
    """Minibatches as a function of their number; a `ValueError` if they cannot be."""
    if callable(minibatches):
        return minibatches
    again = isinstance(minibatches, Iterable) and not isinstance(minibatches, Mapping | Iterator)
    if not again:
        raise ValueError(
            f"minibatches is a {type(minibatches).__name__}, expected (start, count) -> batches: "
            "jaxgan.data.minibatches(examples, batch_size=...), or "
            "jaxgan.data.streamed(lambda epoch: batches)"
        )
    return streamed(lambda epoch: minibatches)


def _check_arguments(algorithm: Any, key: Any, num_steps: Any, callbacks: Any) -> None:
    """Raises a `ValueError` that names what `fit` was given in place of what it expects."""
    if not hasattr(key, "dtype"):
        raise ValueError(f"key is {key!r}, expected a key: jax.random.key(seed)")
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise ValueError(
            f"key is {key.dtype}{list(key.shape)}, a raw key, expected a typed one: "
            "jax.random.key(seed), or jax.random.wrap_key_data(key)"
        )
    if not hasattr(num_steps, "__index__"):
        raise ValueError(f"num_steps is {num_steps!r}, expected a whole number")
    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        raise ValueError(
            f"callbacks is {callbacks!r}, expected a list of functions (step, state, metrics)"
        )
    if not isinstance(algorithm, TrainingAlgorithm):
        raise ValueError(
            f"algorithm is a {type(algorithm).__name__}, expected a training algorithm, such as "
            "jaxgan.jit(jaxgan.alternating(game, optimizers))"
        )


def _warn_of_divergence(metrics: Metrics, step: int) -> None:
    for name, value in by_path(metrics).items():
        if not np.isfinite(value).all():
            warnings.warn(f"training diverged: {name} is {value} at step {step}", stacklevel=3)
            return


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether Ctrl-C was pressed, without a `KeyboardInterrupt`.

    An exception in the middle of an update would leave a state whose buffers are donated.
    """
    default, received = signal.default_int_handler, list[int]()
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not default:
        yield lambda: False
        return

    def handle(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, default)

    signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGINT, default)


def first_state(
    algorithm: TrainingAlgorithm, minibatches: Minibatches, *, key: PRNGKey
) -> TrainState:
    """Initial training state of `fit` for this key.

    Args:
      algorithm: training algorithm.
      minibatches: `(start, count) -> batches`, as in `fit`; only the shapes of the first are used.
      key: the key that `fit` gets.

    Returns:
      The state, at step 0.

    Raises:
      ValueError: minibatches lack the axis `count`.

    Example:
      >>> state = first_state(algorithm, minibatches, key=jax.random.key(0))  # doctest: +SKIP
    """
    batches = minibatches(0, 1)
    for name, rows in by_path(batches).items():
        if rows.shape[:1] != (1,):
            raise ValueError(
                f"{name} of minibatches(0, 1) has the shape {rows.shape}, expected [1, batch, ...]"
            )
    batch = jax.tree.map(lambda x: x[0], batches)
    if not any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(batch)):
        try:
            check_images(by_path(batch))
        except DataError as error:  # a warning, since a game may be played with anything
            warnings.warn(str(error), stacklevel=3)
    return algorithm.init(_folded(key, 0), batch)


def _folded(key: PRNGKey, number: int) -> PRNGKey:
    fold = jax.random.fold_in
    return jax.vmap(fold, (0, None))(key, number) if key.ndim else fold(key, number)
