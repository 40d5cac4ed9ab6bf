"""Vector field of a game, `xi_i = d loss_i / d theta_i`, and products with its Jacobian.

A field is a pure function of all players' parameters, `{player: params} -> {player: gradient}`; its
Jacobian J is that of the flattened gradients in the flattened parameters. In descent convention a
fixed point attracts gradient flow if all eigenvalues of J have positive real parts.

The symmetric part of J is what a potential game has (ordinary minimisation: J is the Hessian); the
antisymmetric part is what a Hamiltonian game has (`min max x y`: J only rotates).

Reference: Balduzzi et al., *The Mechanics of n-Player Differentiable Games*, 2018,
https://arxiv.org/abs/1802.05642.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxgan.game import Game, own_gradients
from jaxgan.parallel import axis
from jaxgan.types import Array, Batch, ByPlayer, Params, PRNGKey, PyTree

Field = Callable[[ByPlayer], dict[str, Params]]


def vector_field(
    game: Game, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array | int = 0
) -> Field:
    """Vector field of a game on one minibatch, `xi(params)_i = d loss_i / d theta_i`.

    Args:
      game: players and losses.
      model_state: of all players; it does not change along the field.
      batch: minibatch, leaves `[batch, ...]`.
      key: key of the losses' randomness, the same everywhere in the field.
      step: training step, for losses with schedules.

    Returns:
      The field, a function of all players' parameters: their own gradients, means over the devices
      of the data axis where there is one.

    Example:
      >>> from jaxgan import Game, LossAux
      >>> losses = {
      ...     "x": lambda params, *_: (params["x"] * params["y"], LossAux({}, {})),
      ...     "y": lambda params, *_: (-params["x"] * params["y"], LossAux({}, {})),
      ... }
      >>> xi = vector_field(Game(None, losses), {}, {}, jax.random.key(0))
      >>> jax.tree.map(float, xi({"x": jnp.array(2.0), "y": jnp.array(3.0)}))
      {'x': 3.0, 'y': -2.0}
    """

    def field(params: ByPlayer) -> dict[str, Params]:
        results = own_gradients(game, params, model_state, batch, key, step)
        return axis.mean({player: gradient for player, (_, gradient) in results.items()})

    return field


def jvp(field: Field, params: ByPlayer, vector: ByPlayer) -> dict[str, Params]:
    """`J v`, in the time of about two evaluations of the field, without J.

    Args:
      field: the field.
      params: where J is taken.
      vector: v, of the structure of `params`.

    Returns:
      `J v`, of the structure of `params`.

    Example:
      >>> along = jvp(lambda p: {"x": p["x"] ** 2}, {"x": 3.0}, {"x": 1.0})
      >>> float(along["x"])
      6.0
    """
    return axis.mean(jax.jvp(field, (params,), (vector,))[1])


def vjp(field: Field, params: ByPlayer, covector: ByPlayer) -> dict[str, Params]:
    """`J^T v`, in the time of a few evaluations of the field, without J.

    Args:
      field: the field.
      params: where J is taken.
      covector: v, of the structure of `params`.

    Returns:
      `J^T v`, of the structure of `params`.

    Example:
      >>> field = lambda p: {"x": p["x"] * p["y"], "y": p["y"]}
      >>> product = vjp(field, {"x": 2.0, "y": 3.0}, {"x": 1.0, "y": 0.0})
      >>> {name: float(value) for name, value in product.items()}
      {'x': 3.0, 'y': 2.0}
    """
    # Over devices: J^T v is linear in J, and so the mean of the devices' products.
    return axis.mean(jax.vjp(field, params)[1](covector)[0])


def jacobian(field: Field, params: ByPlayer) -> Array:
    """The dense Jacobian J `[n, n]` of n parameters, for small games.

    Rows are components of the field, columns are parameters, both in the order of
    `jax.flatten_util.ravel_pytree(params)`, in which players are sorted by name.

    Args:
      field: the field.
      params: where J is taken, n numbers in all.

    Returns:
      `[n, n]`.

    Example:
      >>> field = lambda p: {"x": 2.0 * p["x"] + p["y"], "y": 3.0 * p["y"] - p["x"]}
      >>> jacobian(field, {"x": 1.0, "y": 1.0}).tolist()
      [[2.0, 1.0], [-1.0, 3.0]]
    """
    flat, product = flattened(field, params)
    return jax.vmap(product, out_axes=1)(jnp.eye(flat.size, dtype=flat.dtype))


def flattened(field: Field, params: ByPlayer) -> tuple[Array, Callable[[Array], Array]]:
    """Flattened parameters `[n]`, and the product `v -> J v` of flattened vectors."""
    flat, unflatten = ravel_pytree(params)
    return flat, lambda v: ravel_pytree(jvp(field, params, unflatten(v)))[0]


def symmetric_part(field: Field, params: ByPlayer, vector: ByPlayer) -> PyTree:
    """`S v` with `S = (J + J^T) / 2`, without J.

    Args:
      field: the field.
      params: where J is taken.
      vector: v, of the structure of `params`.

    Returns:
      `S v`, of the structure of `params`.

    Example:
      >>> ones = {"x": 1.0, "y": 1.0}
      >>> S = symmetric_part(lambda p: {"x": 3.0 * p["x"], "y": -p["x"]}, ones, ones)
      >>> jax.tree.map(float, S)
      {'x': 2.5, 'y': -0.5}
    """
    return _combined(field, params, vector, 1.0)


def antisymmetric_part(field: Field, params: ByPlayer, vector: ByPlayer) -> PyTree:
    """`A v` with `A = (J - J^T) / 2`, without J.

    Args:
      field: the field.
      params: where J is taken.
      vector: v, of the structure of `params`.

    Returns:
      `A v`, of the structure of `params`.

    Example, the bilinear game, which is nothing but rotation:
      >>> field = lambda p: {"x": p["y"], "y": -p["x"]}
      >>> rotation = antisymmetric_part(field, {"x": 2.0, "y": 3.0}, {"x": 1.0, "y": 0.0})
      >>> {name: float(value) for name, value in rotation.items()}
      {'x': 0.0, 'y': -1.0}
    """
    return _combined(field, params, vector, -1.0)


def _combined(field: Field, params: ByPlayer, vector: ByPlayer, sign: float) -> PyTree:
    products = jvp(field, params, vector), vjp(field, params, vector)
    return jax.tree.map(lambda a, b: 0.5 * (a + sign * b), *products)
