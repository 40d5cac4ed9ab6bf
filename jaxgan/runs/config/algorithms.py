"""Flags of experiments that offer every training algorithm: `--algorithm` and its numbers.

A `Config` that is an `AlgorithmConfig` has the flags, and `make(config)` builds from them

    optimizers   optimizer(config, learning_rate, decay_steps=...)   --optimizer
    algorithm    play(config, game, optimizers, step_size=...)       --algorithm ...

Nothing here imports jax before one of these functions is called.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from jaxgan.errors import RunError
from jaxgan.runs.config.experiment import flag
from jaxgan.runs.config.training_config import TrainingConfig, adam, learning_rates

if TYPE_CHECKING:
    import optax

    from jaxgan.game import Game
    from jaxgan.training import TrainingAlgorithm
    from jaxgan.types import Schedule


@dataclasses.dataclass(frozen=True)
class AlgorithmConfig(TrainingConfig):
    """Flags of experiments that offer every training algorithm."""

    algorithm: Literal[
        "alternating",
        "simultaneous",
        "one_stage",
        "extragradient",
        "past_extragradient",
        "optimistic",
        "negative_momentum",
        "lookahead",
        "consensus",
        "symplectic",
        "competitive",
        "unrolled",
        "ode",
    ] = "alternating"
    """Training algorithm (docs/dynamics.md)."""
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    """Optimizer of both players; competitive and ode are those of their papers with sgd."""
    adjustment: float = flag(1.0, at_least=0.0)
    """Weight of the adjustment of the vector field, of consensus and symplectic."""
    unroll_steps: int = flag(5, at_least=0)
    """Unrolled steps of the discriminator, of unrolled."""
    momentum: float = -0.3
    """Momentum, of negative_momentum."""
    lookahead_every: int = flag(5, at_least=1)
    """Steps between synchronisations, of lookahead."""
    lookahead_weight: float = 0.5
    """Part of the way that is kept at a synchronisation, of lookahead."""


def updates_per_turn(config: AlgorithmConfig) -> int:
    """Number of updates of the optimizer in a player's turn, by which its schedules count."""
    return 2 if config.algorithm in ("extragradient", "past_extragradient") else 1


def eps_root(config: AlgorithmConfig) -> float:
    """Adam's `eps_root`: its derivative is not finite at a gradient of 0 without one."""
    return 1e-16 if config.algorithm == "unrolled" else 0.0


def optimizer(
    config: AlgorithmConfig, learning_rate: float, *, decay_steps: int, turns: int = 1
) -> "optax.GradientTransformation":
    """Optimizer of a player; arguments as in `training_config.adam`.

    Raises:
      RunError: `--weight-decay` is set with another optimizer than Adam.
      ValueError: as `training_config.adam`.
    """
    import optax

    turns *= updates_per_turn(config)
    rates: dict[str, Any] = {"decay_steps": decay_steps, "turns": turns}
    if config.optimizer == "adam":
        return adam(config, learning_rate, eps_root=eps_root(config), **rates)
    if config.weight_decay:
        raise RunError(
            f"--weight-decay is for --optimizer adam; leave it out with {config.optimizer}"
        )
    schedule = learning_rates(config, learning_rate, **rates)
    if config.optimizer == "rmsprop":  # with the constants of PyTorch, in which papers used it
        unrolled = config.algorithm == "unrolled"  # whose derivative of a root must be finite at 0
        eps = eps_root(config) if unrolled else 1e-8
        descent = optax.rmsprop(schedule, decay=0.99, eps=eps, eps_in_sqrt=unrolled)
    else:
        descent = optax.sgd(schedule)
    clip = optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity()
    return optax.chain(clip, descent)


def play(
    config: AlgorithmConfig,
    game: "Game",
    optimizers: "Mapping[str, optax.GradientTransformation]",
    *,
    step_size: "float | Schedule",
    turns: Sequence[str] | None = None,
    ema: "Mapping[str, float | Schedule] | None" = None,
) -> "TrainingAlgorithm":
    """The training algorithm of `--algorithm`.

    Args:
      config: the flags.
      game, optimizers, turns, ema: as in `jaxgan.alternating`.
      step_size: learning rate, where the algorithm has to know it (competitive, ode).

    Raises:
      RunError: turns or accumulated minibatches, of an algorithm without them.
      ValueError: an error of the algorithm, such as a game without joint gradients.
    """
    import jaxgan

    _check(config, more_turns=turns is not None and len(turns) > len(game.losses))
    both = (game, optimizers)
    averaged: dict[str, Any] = {"ema": ema}
    accumulated = {**averaged, "accumulate": config.accumulate}
    in_turns = {**accumulated, "turns": turns}
    slow: dict[str, Any] = {"every": config.lookahead_every, "weight": config.lookahead_weight}
    ways: dict[str, Callable[[], TrainingAlgorithm]] = {
        "alternating": lambda: jaxgan.alternating(*both, **in_turns),
        "simultaneous": lambda: jaxgan.simultaneous(*both, **accumulated),
        "one_stage": lambda: jaxgan.one_stage(*both, **accumulated),
        "extragradient": lambda: jaxgan.extragradient(*both, **averaged),
        "past_extragradient": lambda: jaxgan.extragradient(*both, past=True, **averaged),
        "optimistic": lambda: jaxgan.optimistic(*both, **accumulated),
        "negative_momentum": lambda: jaxgan.negative_momentum(
            *both, momentum=config.momentum, **in_turns
        ),
        "lookahead": lambda: jaxgan.lookahead(jaxgan.alternating(*both, **in_turns), **slow),
        "consensus": lambda: jaxgan.consensus(*both, strength=config.adjustment, **averaged),
        "symplectic": lambda: jaxgan.symplectic(*both, strength=config.adjustment, **averaged),
        "competitive": lambda: jaxgan.competitive(*both, step_size=step_size, **averaged),
        "unrolled": lambda: jaxgan.unrolled(*both, num_steps=config.unroll_steps, **averaged),
        "ode": lambda: jaxgan.ode(*both, step_size=step_size, **averaged),
    }
    return ways[config.algorithm]()


def _check(config: AlgorithmConfig, *, more_turns: bool) -> None:
    """Raises a `RunError` where the algorithm has not what the flags ask for."""
    name = config.algorithm
    if more_turns and name not in IN_TURNS:
        raise RunError(f"--algorithm {name} has one turn for all players; give one turn of each")
    if config.accumulate > 1 and name not in ACCUMULATING:
        raise RunError(f"--algorithm {name} does not accumulate; leave out --accumulate")


IN_TURNS = ("alternating", "negative_momentum", "lookahead")
ACCUMULATING = (*IN_TURNS, "simultaneous", "one_stage", "optimistic")
