"""Unrolled games: players that differentiate through another player's next steps."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax

from jaxgan.game import Game, LossFn, own_gradient, own_gradients
from jaxgan.training.state import TrainingAlgorithm, TrainState
from jaxgan.training.turns import algorithm_of_one_turn, check_arguments, commit, optimizer_step
from jaxgan.types import Batch, ByPlayer, Metrics, Params, PRNGKey, Schedule


def unrolled(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    num_steps: int = 5,
    follower: str | None = None,
    ema: Mapping[str, float | Schedule] | None = None,
) -> TrainingAlgorithm:
    """Unrolled game: all others play against the follower as it will be after its next k steps.

    With the follower's parameters phi, and phi_k after k of its own optimizer steps against theta,
    the others descend the total derivative `d loss(theta, phi_k(theta, phi)) / d theta`, and the
    follower descends `d loss(theta, phi) / d phi` as usual, simultaneously. All steps of the
    unrolling are on the training step's minibatch.

    Args:
      game, optimizers, ema: as in `alternating`. The derivative goes through the follower's
        optimizer, and must be finite where a gradient is 0 (of a unit that is never active, for
        example): set a small `eps_root` of Adam, and `eps_in_sqrt` of RMSProp.
      num_steps: k, at least 0, with which this is simultaneous descent.
      follower: the player whose steps are unrolled; the game's first player, which is the
        discriminator of a GAN, by default.

    Returns:
      The algorithm. A step takes the time of about 1 + k simultaneous steps. On a CPU, XLA compiles
      the gradients of other libraries' convolutions to slow code in its loop.

    Raises:
      ValueError: `num_steps` is negative or not whole, or there is no such player.

    Reference:
      Metz, Poole, Pfau and Sohl-Dickstein, *Unrolled Generative Adversarial Networks*, 2017,
      https://arxiv.org/abs/1611.02163, section 2.2.

    Example:
      >>> adam = optax.adam(1e-4, b1=0.5, eps_root=1e-16)
      >>> unrolled(
      ...     game, {"discriminator": adam, "generator": adam}, num_steps=5
      ... )  # doctest: +SKIP
    """
    check_arguments(game, optimizers, ema)
    name = next(iter(game.losses)) if follower is None else follower
    if name not in game.losses:
        raise ValueError(f"follower is {name}; the players are {', '.join(game.losses)}")
    if not isinstance(num_steps, int | np.integer) or num_steps < 0:
        raise ValueError(f"num_steps is {num_steps!r}, expected a whole number of at least 0")

    def turn(state: TrainState, batch: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        given = (state.model_state, batch, key, state.step)

        def follow(params: ByPlayer) -> Params:
            """The follower's parameters after its next steps against these parameters."""

            def step(own_and_state: Any, _: Any) -> tuple[Any, None]:
                own, opt_state = own_and_state
                everyone = {**params, name: own}
                _, gradient = own_gradient(game.losses[name], name, everyone, *given)
                return optimizer_step(optimizers[name], gradient, opt_state, own), None

            start = (params[name], state.opt_state[name])
            return jax.lax.scan(step, start, None, length=num_steps)[0][0]

        def against_what_follows(loss: LossFn) -> LossFn:
            return lambda params, *rest: loss({**params, name: follow(params)}, *rest)

        losses = {
            player: of_player if player == name else against_what_follows(of_player)
            for player, of_player in game.losses.items()
        }
        results = own_gradients(game._replace(losses=losses), state.params, *given)
        return commit(optimizers, state, results)

    return algorithm_of_one_turn(game, optimizers, ema, turn)
