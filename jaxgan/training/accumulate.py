"""Gradients accumulated over minibatches, one after the other, with the memory of one."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp

from jaxgan import ops
from jaxgan.game import LossAndGradient, LossAux
from jaxgan.ops import target
from jaxgan.parallel import axis
from jaxgan.training.state import TrainState
from jaxgan.types import Array, Batch, ByPlayer, Metrics, Params, PRNGKey, PyTree

Gradients = Callable[[ByPlayer, Batch, PRNGKey], dict[str, LossAndGradient]]


def mean_gradients(
    gradients: Gradients, state: TrainState, batches: Batch, key: PRNGKey, num_minibatches: int
) -> dict[str, LossAndGradient]:
    """Means of losses, metrics and gradients over minibatches, and the last model states.

    A scan on accelerators. On CPUs, where other libraries' convolutions in loops are slow, it is
    unrolled, and each minibatch waits for the one before: XLA would otherwise compute them in an
    order, and merge forward passes with those of other turns, so that the activations of all are
    kept.
    """
    batches, unrolled = dict(batches), target.platform() == "cpu"

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
