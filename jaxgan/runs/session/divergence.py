"""Divergence of a run: values that are not finite, found before they are saved."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import checkpoint
from jaxgan.errors import NonFiniteError
from jaxgan.parallel import multihost
from jaxgan.training import TrainState
from jaxgan.types import Array, Metrics, PyTree


class Divergence:
    """Callback for every update, and a check whether a metric was not finite in any of them.

    The first step in which a metric was not finite is computed on the device, so that no update
    waits for it.

    Example:
      >>> divergence = Divergence()
      >>> divergence(1, state, {"generator": {"loss": jnp.nan}})  # doctest: +SKIP
      >>> divergence.check()  # doctest: +SKIP
      NonFiniteError: generator/loss is not finite at step 1
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._first: Any = None

    def __call__(self, step: int, state: TrainState, metrics: Metrics) -> None:
        if self._first is None:
            self._names = list(checkpoint.by_path(metrics))
            self._first = np.zeros(len(self._names), np.int32)
        self._first = _first_steps(self._first, jax.tree.leaves(metrics), step)

    def check(self) -> None:
        """Raises a `NonFiniteError` that names the first metric, a loss if any, and the step."""
        if self._first is None:
            return
        first = multihost.to_host(self._first)
        if first.any():
            step = first[first > 0].min()
            names = [self._names[i] for i in np.flatnonzero(first == step)]
            name = min(names, key=lambda name: not name.endswith("/loss"))
            raise NonFiniteError(f"{name} is not finite at step {step}")


def check_state(state: TrainState) -> None:
    """Checks that a state can be trained on: a gradient may be NaN where the loss is finite.

    Statistics of an optimizer may be infinite, as the best loss so far is at first.

    Raises:
      NonFiniteError: a leaf is NaN, or infinite outside of the optimizer's state; it is named.
    """
    leaves = {
        name: leaf
        for name, leaf in checkpoint.by_path(state).items()
        if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.size
    }
    bad = multihost.to_host(_bad(leaves))
    if bad.any():
        names = [sorted(leaves)[i] for i in np.flatnonzero(bad)]
        name = min(names, key=lambda name: not name.startswith("params/"))
        raise NonFiniteError(f"{name} is not finite at step {int(state.step)}")


@jax.jit
def _first_steps(first: Array, leaves: list[Array], step: int) -> Array:
    finite = jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves])
    return jnp.where((first == 0) & ~finite, step, first)


@jax.jit
def _bad(leaves: dict[str, PyTree]) -> Array:
    """Whether the leaves, sorted by name, have values that are not allowed."""
    wrong = lambda name: jnp.isnan if name.startswith("opt_state/") else lambda x: ~jnp.isfinite(x)
    return jnp.stack([jnp.any(wrong(name)(leaves[name])) for name in sorted(leaves)])
