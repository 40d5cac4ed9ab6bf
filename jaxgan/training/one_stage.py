"""One-stage training: simultaneous descent by the joint gradients of a game."""

from collections.abc import Mapping

import optax

from jaxgan.game import Game, LossAndGradient
from jaxgan.training.state import TrainingAlgorithm, TrainState
from jaxgan.training.turns import algorithm_of_one_turn, apply_gradients
from jaxgan.types import Batch, ByPlayer, Metrics, PRNGKey, Schedule


def one_stage(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    ema: Mapping[str, float | Schedule] | None = None,
    accumulate: int = 1,
) -> TrainingAlgorithm:
    """One-stage training: simultaneous descent by `game.joint_gradients`.

    In a GAN, one backward pass through the discriminator serves both players, whose gradients at a
    generated example differ only by a scalar. `simultaneous` takes two passes for the same
    gradients. Where the discriminator is so certain of a generated example that its own gradient
    underflows (logits below -80 with the logistic losses, in float32), the scalar is lost, and the
    generator gets no gradient from that example; with `simultaneous` it does.

    Args:
      game: a game with `joint_gradients`, whose requirements on networks and loss its constructor
        documents (`gan`).
      optimizers, ema, accumulate: as in `alternating`.

    Returns:
      The algorithm.

    Raises:
      ValueError: the game has no `joint_gradients`, or an error of `alternating`.

    Reference:
      Shen et al., *Training Generative Adversarial Networks in One Stage*, 2021,
      https://arxiv.org/abs/2103.00430.

    Example:
      >>> sgd = optax.sgd(1e-2)
      >>> one_stage(game, {"discriminator": sgd, "generator": sgd})  # doctest: +SKIP
    """
    joint_gradients = game.joint_gradients
    if joint_gradients is None:
        raise ValueError("this game has no joint_gradients; use simultaneous")

    def turn(state: TrainState, batch: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        def gradients(
            model_state: ByPlayer, batch: Batch, key: PRNGKey
        ) -> dict[str, LossAndGradient]:
            return joint_gradients(state.params, model_state, batch, key, state.step)

        return apply_gradients(optimizers, state, gradients, batch, key, accumulate)

    return algorithm_of_one_turn(game, optimizers, ema, turn, accumulate)
