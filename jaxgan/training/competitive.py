"""Competitive gradient descent."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from jax.scipy.sparse.linalg import cg

from jaxgan.dynamics.field import Field, jvp, vjp
from jaxgan.game import Game
from jaxgan.schedules import scheduled
from jaxgan.training.adjusted import add_scaled, adjusted
from jaxgan.training.state import TrainingAlgorithm
from jaxgan.types import Array, ByPlayer, Schedule


def competitive(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    step_size: float | Schedule,
    iterations: int = 20,
    tolerance: float = 1e-6,
    ema: Mapping[str, float | Schedule] | None = None,
) -> TrainingAlgorithm:
    """Competitive gradient descent: each step is the equilibrium of a local bilinear game.

    The direction d solves `(I + h O) d = xi`, where O is the Jacobian of the field without its
    diagonal blocks: each player anticipates the others' step, `d_i = xi_i - h sum_j O_ij d_j`. With
    `optax.sgd(h)` it is the paper's algorithm (for two players `d_x = (I - h^2 D_xy D_yx)^-1 (xi_x
    - h D_xy xi_y)`); other optimizers take d as their gradient. It is solved by conjugate gradients
    on the normal equations, which converge in games that are not zero-sum as well.

    Args:
      game, optimizers, ema: as in `alternating`.
      step_size: h, a number or a schedule of the training step; the optimizers' learning rate.
      iterations: largest number of iterations, each with two Jacobian products per player.
      tolerance: relative residual of the normal equations at which the iteration ends.

    Returns:
      The algorithm, with one minibatch a step. On a CPU, XLA compiles the gradients of other
      libraries' convolutions to slow code in its loop.

    Raises:
      ValueError: `iterations` is below 1.

    Reference:
      Schäfer and Anandkumar, *Competitive Gradient Descent*, 2019,
      https://arxiv.org/abs/1905.12103, algorithm 1; several players: Ma, Letcher, Schäfer, Shi and
      Anandkumar, *Polymatrix Competitive Gradient Descent*, 2021, https://arxiv.org/abs/2111.08565.

    Example:
      >>> sgd = optax.sgd(0.1)
      >>> competitive(
      ...     game, {"discriminator": sgd, "generator": sgd}, step_size=0.1
      ... )  # doctest: +SKIP
    """
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}, expected at least 1")

    def direction(field: Field, params: ByPlayer, xi: ByPlayer, step: Array) -> ByPlayer:
        h = scheduled(step_size, step)
        forward = lambda v: add_scaled(v, h, _interaction(jvp, field, params, v))
        transposed = lambda v: add_scaled(v, h, _interaction(vjp, field, params, v))
        normal = lambda v: transposed(forward(v))
        return cg(normal, transposed(xi), x0=xi, tol=tolerance, maxiter=iterations)[0]

    return adjusted(game, optimizers, direction, ema)


def _interaction(
    product: Callable[[Field, ByPlayer, ByPlayer], ByPlayer],
    field: Field,
    params: ByPlayer,
    vector: ByPlayer,
) -> ByPlayer:
    """`O v`, or `O^T v`: of each player, the product with the others' parts of the vector."""
    zeros = jax.tree.map(jnp.zeros_like, dict(vector))
    return {
        player: product(field, params, {**vector, player: zeros[player]})[player]
        for player in vector
    }
