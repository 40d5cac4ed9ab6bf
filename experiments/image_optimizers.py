"""Optimizers of the image experiments, with the schedules of R3GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxgan.errors import DataError
from jaxgan.runs.config.algorithms import eps_root, optimizer, updates_per_turn
from jaxgan.runs.config.training_config import frozen

if TYPE_CHECKING:
    from jaxgan.experiments.images import Config

DCGANS = ("dcgan", "infogan")


def check(config: Config) -> None:
    """Raises a `DataError` if flags of optimizers do not go together, or with the algorithm."""
    if config.burn_in_steps and (config.optimizer, config.lr_decay) != ("adam", "none"):
        raise DataError("--burn-in-steps sets schedules of Adam; leave out --optimizer, --lr-decay")
    if config.burn_in_steps and (config.warmup_steps or config.weight_decay):
        raise DataError("--burn-in-steps excludes --warmup-steps and --weight-decay")
    if config.clip_weights and config.algorithm in ("optimistic", "negative_momentum"):
        raise DataError(
            f"--clip-weights bounds the optimizer's step, to which --algorithm {config.algorithm} "
            "adds; choose another algorithm, such as extragradient"
        )
    if config.algorithm in ("competitive", "ode") and config.burn_in_steps:
        raise DataError(f"--algorithm {config.algorithm} has no --burn-in-steps; set it to 0")
    rates = learning_rates_of(config)
    if config.algorithm in ("competitive", "ode") and len(set(rates.values())) > 1:
        raise DataError(
            f"--algorithm {config.algorithm} has one step size for both players; give one value "
            "to --discriminator-lr and --generator-lr"
        )


def learning_rates_of(config: Config) -> dict[str, float]:
    """Learning rates by player."""
    default = config.DCGAN_LEARNING_RATE if config.network in DCGANS else 2e-4
    rates = {"discriminator": config.discriminator_lr, "generator": config.generator_lr}
    return {player: default if rate is None else rate for player, rate in rates.items()}


def make_optimizers(config: Config, rates: dict[str, float]) -> dict[str, Any]:
    """Optimizers by player, of the given learning rates."""
    import optax

    from jaxgan import optimizers

    turns = {"discriminator": config.discriminator_turns, "generator": 1}
    by_player = {
        player: make_optimizer(config, rate, turns=turns[player]) for player, rate in rates.items()
    }
    if config.clip_weights:
        clip = optimizers.clip_weights(config.clip_weights)
        by_player["discriminator"] = optax.chain(by_player["discriminator"], clip)
    return frozen(config, by_player)


def make_optimizer(config: Config, rate: float, *, turns: int) -> Any:
    """The optimizer of the flags, or Adam with the schedules of R3GAN if there is a burn-in."""
    import optax

    from jaxgan import schedules

    if not config.burn_in_steps:
        return optimizer(config, rate, decay_steps=config.decay_steps, turns=turns)
    steps, rate = turns * updates_per_turn(config) * config.burn_in_steps, rate * config.lr_scale
    adam = optax.inject_hyperparams(optax.adam)(
        schedules.cosine(rate, rate / 4, steps),
        b1=config.b1,
        b2=schedules.cosine(config.b2, 0.99, steps),
        eps_root=eps_root(config),
    )
    if config.clip_norm:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), adam)
    return adam
