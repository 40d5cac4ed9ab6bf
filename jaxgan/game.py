"""A game: players, each with parameters and a loss that may depend on everybody's parameters.

Player *i* descends its own loss in its own parameters, the others held constant:

    xi_i(theta) = d loss_i / d theta_i

One player is ordinary learning, two are a GAN, three a VAE-GAN. `own_gradient` is the equation.
Because each loss is differentiated only with respect to its owner's parameters, no gradient leaks
from one player to another, and nothing has to be detached.

**The owner rule.** A player owns its parameters, its optimizer state, its model state (batch
statistics, ...) and its metrics. A turn changes only what belongs to those who move.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax

from jaxgan.types import Array, Batch, ByPlayer, Metrics, ModelState, Params, PRNGKey


class Network(NamedTuple):
    """A pure pair of functions; `networks.from_linen` and `networks.from_nnx` make one.

    Attributes:
      init: `(key, *inputs) -> (params, model_state)`.
      apply: `(params, model_state, *inputs, key=None, train) -> (output, model_state)`. `key`
        serves whatever the network draws (dropout); `None` is allowed where it draws nothing. The
        model state comes back unchanged when `train` is false.
    """

    init: Callable[..., tuple[Params, ModelState]]
    apply: Callable[..., tuple[Any, ModelState]]


class LossAux(NamedTuple):
    """What a loss returns beside its value.

    Attributes:
      model_state: the player's *own* new model state.
      metrics: `{name: scalar}`, for people.
    """

    model_state: ModelState
    metrics: Metrics


LossFn = Callable[[ByPlayer, ByPlayer, Batch, PRNGKey, Array], tuple[Array, LossAux]]
"""`(params, model_state, batch, key, step) -> (loss, LossAux)`, with all players' parameters and
model states, and the player's own model state in the `LossAux`."""


LossAndGradient = tuple[tuple[Array, LossAux], Params]
"""`((loss, aux), gradient)`, as `own_gradient` returns it."""


class Game(NamedTuple):
    """Who plays, and for what.

    Attributes:
      init: `(key, batch) -> (params, model_state)`, two dicts by player. Only the batch's shapes
        matter.
      losses: `{player: LossFn}`; its order is the default order of turns.
      sample: `(params, model_state, batch, key) -> [batch, ...]`, what the game is played for; the
        batch says how many and brings the conditions. `None` for a game played for its end alone.
      joint_gradients: `None`, or `(params, model_state, batch, key, step) -> {player: ...}`, what
        `own_gradient` gives for every player, in fewer passes through the networks.
      encode: `None`, or `(params, model_state, images) -> codes` `[batch, ...]`, without chance, of
        a game that learns codes.
      decode: `None`, or `(params, model_state, codes) -> images`. Of a GAN the codes are latents.
    """

    init: Callable[[PRNGKey, Batch], tuple[dict[str, Params], dict[str, ModelState]]]
    losses: Mapping[str, LossFn]
    sample: Callable[[ByPlayer, ByPlayer, Batch, PRNGKey], Array] | None
    joint_gradients: (
        Callable[[ByPlayer, ByPlayer, Batch, PRNGKey, Array], dict[str, LossAndGradient]] | None
    ) = None
    encode: Callable[[ByPlayer, ByPlayer, Array], Array] | None = None
    decode: Callable[[ByPlayer, ByPlayer, Array], Array] | None = None


Keys = TypeVar("Keys", bound=tuple)


def split_key(key: PRNGKey, names: type[Keys]) -> Keys:
    """One key for each field of a NamedTuple.

    A field that is added at the end leaves the other keys as they are. All keys of a turn come from
    one split: `fold_in(key, i)` would be key i of it again.

    Example:
      >>> import jax
      >>> Keys = NamedTuple("Keys", [("latent", jax.Array), ("dropout", jax.Array)])
      >>> split_key(jax.random.key(0), Keys).dropout.shape
      ()
    """
    return names(*jax.random.split(key, len(names._fields)))  # type: ignore[attr-defined]


def own_gradient(
    loss_fn: LossFn,
    player: str,
    params: ByPlayer,
    model_state: ByPlayer,
    batch: Batch,
    key: PRNGKey,
    step: Array,
) -> LossAndGradient:
    """The player's loss and its gradient in the player's own parameters, `d loss_i / d theta_i`.

    Args:
      loss_fn: the player's loss.
      player: the player's name, a key of `params`.
      params, model_state: everybody's.
      batch, key, step: passed on to the loss.

    Returns:
      `((loss, aux), gradient)`, the gradient shaped like `params[player]`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> loss = lambda params, *_: (params["x"] * params["y"], LossAux({}, {}))
      >>> params = {"x": jnp.array(2.0), "y": jnp.array(3.0)}
      >>> (_, _), gradient = own_gradient(loss, "x", params, {}, {}, jax.random.key(0), 0)
      >>> float(gradient)
      3.0
    """

    def loss_of_own(own: Params) -> tuple[Array, LossAux]:
        return loss_fn({**params, player: own}, model_state, batch, key, step)

    return jax.value_and_grad(loss_of_own, has_aux=True)(params[player])
