"""Differentiable games: players, each with parameters and a loss of all players' parameters.

Player *i* descends the gradient of its own loss in its own parameters, with the other players'
parameters held constant:

    xi_i(theta) = d loss_i / d theta_i

One player is ordinary minimisation, two are a GAN, three a VAE-GAN. `own_gradient` computes the
gradient. Each loss is differentiated with respect to its own player's parameters only, so no
gradient flows into another player, and no game needs `stop_gradient` to keep them apart.

**Ownership.** A player owns its parameters, its optimizer state, its model state (batch
statistics, ...) and its metrics. A turn changes only what the moving players own.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax

from jaxgan.types import Array, Batch, ByPlayer, Metrics, ModelState, Params, PRNGKey


class Network(NamedTuple):
    """Neural network as a pair of pure functions; see `networks.from_linen`, `networks.from_nnx`.

    Attributes:
      init: `(key, *inputs) -> (params, model_state)`.
      apply: `(params, model_state, *inputs, key=None, train) -> (output, model_state)`. `key` is
        for the network's randomness, such as dropout; it may be `None` if there is none. The model
        state is returned unchanged if `train` is false.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> def init(key, x):
      ...     return {"slope": jax.random.normal(key, x.shape[1:])}, {}
      >>> def apply(params, model_state, x, *, key=None, train):
      ...     return x @ params["slope"], model_state
      >>> linear = Network(init, apply)
      >>> output, _ = linear.apply({"slope": jnp.ones(3)}, {}, jnp.ones((2, 3)), train=True)
      >>> output.tolist()
      [3.0, 3.0]
    """

    init: Callable[..., tuple[Params, ModelState]]
    apply: Callable[..., tuple[Any, ModelState]]


class LossAux(NamedTuple):
    """Auxiliary output of a loss.

    Attributes:
      model_state: the player's *own* updated model state.
      metrics: `{name: scalar}`, for logging.

    Example, a loss of a player whose model state counts its turns:
      >>> def loss(params, model_state, batch, key, step):
      ...     value = params["x"] ** 2
      ...     return value, LossAux(model_state["x"] + 1, {"loss": value})
      >>> (_, aux), _ = own_gradient(loss, "x", {"x": 3.0}, {"x": 7}, {}, None, 0)
      >>> aux.model_state, float(aux.metrics["loss"])
      (8, 9.0)
    """

    model_state: ModelState
    metrics: Metrics


LossFn = Callable[[ByPlayer, ByPlayer, Batch, PRNGKey, Any], tuple[Array, LossAux]]
"""`(params, model_state, batch, key, step) -> (loss, LossAux)`. `params` and `model_state` hold all
players; the `LossAux` holds the player's own model state."""


LossAndGradient = tuple[tuple[Array, LossAux], Params]
"""`((loss, aux), gradient)`, as `own_gradient` returns it."""


class Game(NamedTuple):
    """Players, their losses, and the functions that they learn.

    Attributes:
      init: `(key, batch) -> (params, model_state)`, two dicts by player. Only the shapes of the
        batch are used.
      losses: `{player: LossFn}`; its order is the default order of turns.
      sample: `(params, model_state, batch, key) -> [batch, ...]`, generates samples (or translates,
        or restores images) for an evaluation; the batch gives their number and their conditions.
        `None` for a game without samples.
      joint_gradients: `None`, or `(params, model_state, batch, key, step) -> {player: ...}`, the
        result of `own_gradient` for every player, with fewer passes through the networks.
      encode: `None`, or `(params, model_state, images) -> codes` `[batch, ...]`, deterministic, in
        a game that learns codes.
      decode: `None`, or `(params, model_state, codes, *conditions) -> images`. The codes of a GAN
        are its latents.
      prior: `None`, or `(params, model_state, batch) -> Latent`, the distribution of the codes that
        `sample` decodes, `(key, n) -> codes`; only shapes of its arguments are used.
      conditions: names of the entries of a batch that `decode` takes, such as `("label",)`.

    Example, the bilinear game `min_x max_y x y`, played with gradient descent in turn:
      >>> import jax, jax.numpy as jnp, optax
      >>> import jaxgan
      >>> product = lambda params: params["x"] * params["y"]
      >>> game = Game(
      ...     init=lambda *_: ({"x": jnp.array(1.0), "y": jnp.array(1.0)}, {"x": {}, "y": {}}),
      ...     losses={
      ...         "x": lambda params, *_: (product(params), LossAux({}, {})),
      ...         "y": lambda params, *_: (-product(params), LossAux({}, {})),
      ...     },
      ... )
      >>> algorithm = jaxgan.alternating(game, {"x": optax.sgd(0.5), "y": optax.sgd(0.5)})
      >>> state = algorithm.init(jax.random.key(0), {})
      >>> batches = {"image": jnp.zeros((algorithm.num_minibatches, 2, 1))}  # not used here
      >>> state, _ = algorithm.update(state, batches, jax.random.key(1))
      >>> {name: float(x) for name, x in state.params.items()}  # y moves when x has moved
      {'x': 0.5, 'y': 1.25}
    """

    init: Callable[[PRNGKey, Batch], tuple[dict[str, Params], dict[str, ModelState]]]
    losses: Mapping[str, LossFn]
    sample: Callable[[ByPlayer, ByPlayer, Batch, PRNGKey], Array] | None = None
    joint_gradients: (
        Callable[[ByPlayer, ByPlayer, Batch, PRNGKey, Array], dict[str, LossAndGradient]] | None
    ) = None
    encode: Callable[[ByPlayer, ByPlayer, Array], Array] | None = None
    decode: Callable[..., Array] | None = None
    prior: Callable[[ByPlayer, ByPlayer, Batch], Callable[[PRNGKey, int], Array]] | None = None
    conditions: tuple[str, ...] = ()


Keys = TypeVar("Keys", bound=tuple)


def split_key(key: PRNGKey, names: type[Keys]) -> Keys:
    """Splits a key into one key for each field of a NamedTuple.

    Adding a field at the end does not change the other keys. Take all keys of a turn from one
    split: `fold_in(key, i)` would repeat key i of the split.

    Args:
      key: a scalar typed key.
      names: the NamedTuple, with a field for each key.

    Returns:
      An instance of it, of scalar typed keys.

    Example:
      >>> Keys = NamedTuple("Keys", [("latent", jax.Array), ("dropout", jax.Array)])
      >>> keys = split_key(jax.random.key(0), Keys)
      >>> keys.dropout.shape, bool(keys.latent == keys.dropout)
      ((), False)
    """
    return names(*jax.random.split(key, len(names._fields)))  # type: ignore[attr-defined]


def own_gradient(
    loss_fn: LossFn,
    player: str,
    params: ByPlayer,
    model_state: ByPlayer,
    batch: Batch,
    key: PRNGKey,
    step: Array | int,
) -> LossAndGradient:
    """A player's loss and its gradient in the player's own parameters, `d loss_i / d theta_i`.

    Args:
      loss_fn: the player's loss.
      player: the player's name, a key of `params`.
      params, model_state: of all players.
      batch, key, step: arguments of the loss.

    Returns:
      `((loss, aux), gradient)`, the gradient with the structure of `params[player]`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> loss = lambda params, *_: (params["x"] * params["y"], LossAux({}, {}))
      >>> params = {"x": jnp.array(2.0), "y": jnp.array(3.0)}
      >>> (_, _), gradient = own_gradient(loss, "x", params, {}, {}, jax.random.key(0), 0)
      >>> float(gradient)
      3.0
    """

    def loss(own: Params) -> tuple[Array, LossAux]:
        return loss_fn({**params, player: own}, model_state, batch, key, step)

    return jax.value_and_grad(loss, has_aux=True)(params[player])


def own_gradients(
    game: Game,
    params: ByPlayer,
    model_state: ByPlayer,
    batch: Batch,
    key: PRNGKey,
    step: Array | int,
) -> dict[str, LossAndGradient]:
    """`own_gradient` of every player of a game, at the same parameters and on one minibatch.

    Args:
      game: players and losses.
      params, model_state: of all players.
      batch, key, step: arguments of the losses.

    Returns:
      `{player: ((loss, aux), gradient)}`.

    Example:
      >>> losses = {
      ...     "x": lambda params, *_: (params["x"] * params["y"], LossAux({}, {})),
      ...     "y": lambda params, *_: (-params["x"] * params["y"], LossAux({}, {})),
      ... }
      >>> params = {"x": 2.0, "y": 3.0}
      >>> results = own_gradients(Game(None, losses), params, {}, {}, jax.random.key(0), 0)
      >>> {player: float(gradient) for player, (_, gradient) in results.items()}
      {'x': 3.0, 'y': -2.0}
    """
    return {
        player: own_gradient(loss, player, params, model_state, batch, key, step)
        for player, loss in game.losses.items()
    }
