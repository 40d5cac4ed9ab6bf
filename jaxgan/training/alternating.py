"""Alternating and simultaneous gradient descent."""

from collections.abc import Mapping, Sequence
from functools import partial

import optax

from jaxgan.game import Game
from jaxgan.training.state import TrainingAlgorithm
from jaxgan.training.turns import (
    algorithm_of_turns,
    as_tuples,
    check_arguments,
    check_players,
    group_turns,
    play_turn,
)
from jaxgan.types import Schedule


def alternating(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    turns: Sequence[str | Sequence[str]] | None = None,
    ema: Mapping[str, float | Schedule] | None = None,
    share_minibatches: bool = True,
    accumulate: int = 1,
) -> TrainingAlgorithm:
    """Alternating gradient descent: players move in turn, each on its own loss and parameters.

    In a turn, each moving player takes the gradient of its loss at the parameters *before* the
    turn; then the parameters, optimizer states and model states of all moving players are updated
    together. A training step is a sequence of turns, then the update of the moving averages, and
    `step + 1`.

    Args:
      game: players and losses.
      optimizers: one optax optimizer for each player.
      turns: the turns of a training step: each a player's name, or several names for a simultaneous
        turn. By default every player once, in the order of `game.losses`. Five critic turns are
        `5 * ["discriminator"] + ["generator"]`, and compile once (on a CPU, five times).
      ema: for each player with moving averages of parameters and model state, their decay per
        training step: `ema <- decay * ema + (1 - decay) * params`. A constant, or a schedule called
        with the number of steps before this one, such as `schedules.ema_warmup(0.999)`.
      share_minibatches: whether consecutive turns of different players use the same minibatch and
        key, and so the same examples, latents and fakes; XLA computes what the turns have in common
        (the generator's forward pass) once. A player that moves again gets a new minibatch and key.
        If false, every turn has its own minibatch and key.
      accumulate: number of minibatches whose gradients a turn averages before its optimizer step,
        computed one after the other in the memory of one; a turn then takes that many minibatches.
        Each row has the random numbers that it would have in one large batch, so the step equals
        that of the large batch, up to the order of sums, if the loss is a mean over examples. It
        differs with batch statistics, relativistic averages, top-k, free bits, DRAGAN, feature
        matching, and penalties and augmentations with state. A moving player's model state passes
        from minibatch to minibatch.

    Returns:
      The algorithm. Its metrics are `{player: {"loss": ..., ...}}`, means over the player's turns
      (and their minibatches) in the training step.

    Raises:
      ValueError: `turns`, `optimizers` or `ema` do not match the game's players, a decay is
        outside [0, 1], or `accumulate` is below 1 or not whole.

    Reference:
      Goodfellow et al., *Generative Adversarial Nets*, 2014, https://arxiv.org/abs/1406.2661,
      algorithm 1 (k discriminator turns, then one generator turn).

    Example:
      >>> import optax
      >>> adam = optax.adam(2e-4, b1=0.5)
      >>> algorithm = alternating(
      ...     game,
      ...     {"discriminator": adam, "generator": adam},
      ...     turns=["discriminator", "discriminator", "generator"],
      ...     ema={"generator": 0.999},
      ... )  # doctest: +SKIP
    """
    check_arguments(game, optimizers, ema)
    all_turns = as_tuples(tuple(game.losses) if turns is None else turns)
    decays = dict(ema or {})
    check_players(game, optimizers, all_turns, decays)
    groups = group_turns(all_turns, share_minibatches)
    turn = partial(play_turn, game, optimizers, accumulate=accumulate)
    return algorithm_of_turns(game, optimizers, groups, decays, turn, accumulate)


def simultaneous(
    game: Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    ema: Mapping[str, float | Schedule] | None = None,
    accumulate: int = 1,
) -> TrainingAlgorithm:
    """Simultaneous gradient descent: all players move in a single turn, on one minibatch.

    Args:
      game, optimizers, ema, accumulate: as in `alternating`.

    Returns:
      The algorithm.

    Example:
      >>> sgd = optax.sgd(1e-2)
      >>> simultaneous(game, {"discriminator": sgd, "generator": sgd})  # doctest: +SKIP
    """
    check_arguments(game, optimizers, ema)
    turns = [tuple(game.losses)]
    return alternating(game, optimizers, turns=turns, ema=ema, accumulate=accumulate)
