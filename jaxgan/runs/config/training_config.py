"""Flags of experiments that train networks: optimizers, precision and memory.

A `Config` that is a `TrainingConfig` has the flags, and `make(config)` builds from them

    networks     network(config, module)                                   --dtype, --remat
    optimizers   adam(config, learning_rate, decay_steps=...)              --b1 ... --clip-norm
    by player    frozen(config, optimizers)                                --freeze
    algorithms   alternating(..., accumulate=config.accumulate)            --accumulate

Nothing here imports jax before one of these functions is called.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from jaxgan.errors import RunError
from jaxgan.runs.config.experiment import Config, flag

if TYPE_CHECKING:
    import flax.linen as nn
    import optax

    from jaxgan.game import Network
    from jaxgan.types import Schedule


@dataclasses.dataclass(frozen=True)
class TrainingConfig(Config):
    """Flags of experiments that train networks."""

    lr_scale: float = flag(1.0, at_least=0.0)
    """Factor of all learning rates; every rollback after divergence halves it."""
    b1: float = flag(0.9, at_least=0.0, below=1.0)
    """Decay rate b1 of Adam, of the moving average of the gradients."""
    b2: float = flag(0.999, at_least=0.0, below=1.0)
    """Decay rate b2 of Adam, of the moving average of their squares."""
    warmup_steps: int = flag(0, at_least=0)
    """Steps in which learning rates rise linearly from 0, at most half of the steps of a decay."""
    lr_decay: Literal["none", "linear", "cosine"] = "none"
    """Decay of learning rates to 0."""
    clip_norm: float = flag(0.0, at_least=0.0)
    """Maximum norm of a player's gradient, which is scaled down to it; 0 for none."""
    weight_decay: float = flag(0.0, at_least=0.0)
    """Decoupled weight decay (AdamW), relative to the learning rate."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Dtype in which the networks compute. Parameters, optimizers, statistics of normalisations,
    outputs and losses are float32."""
    freeze: str | None = None
    """Regular expression of the layers whose parameters do not change, PLAYER/LAYER, such as
    discriminator/Conv_[01]/ (FreezeD)."""
    accumulate: int = flag(1, at_least=1)
    """Minibatches of --batch-size whose gradients are averaged for one step of a player, with the
    memory of one: --batch-size 16 --accumulate 4 is --batch-size 64 for networks without batch
    statistics."""
    remat: bool = flag(False, resumable=True)
    """Compute activations again in the backward pass, to save memory."""


def network(config: TrainingConfig, module: "nn.Module") -> "Network":
    """A linen module as a network of the config's `dtype`, rematerialised if `remat` is set.

    Raises:
      ValueError: the module has no field `dtype`, and the config's is not float32.
    """
    from jaxgan import networks

    dtype = None if config.dtype == "float32" else config.dtype
    made = networks.from_linen(module, dtype=dtype)
    return networks.remat(made) if config.remat else made


def adam(
    config: TrainingConfig,
    learning_rate: float,
    *,
    decay_steps: int,
    constant_steps: int = 0,
    turns: int = 1,
    eps_root: float = 0.0,
) -> "optax.GradientTransformation":
    """Adam with the flags of the config: gradients are clipped, moments averaged, weights decayed.

    Args:
      config: the flags.
      learning_rate: learning rate, after the warm-up and before the decay.
      decay_steps, constant_steps: as in `learning_rates`.
      turns: turns of the player in a training step, each of which is an optimizer step.
      eps_root: added below Adam's square root, for derivatives through it.

    Raises:
      ValueError: the learning rate or a number of steps is negative.
    """
    import optax

    schedule = learning_rates(
        config, learning_rate, decay_steps=decay_steps, constant_steps=constant_steps, turns=turns
    )
    moments = {"b1": config.b1, "b2": config.b2, "eps_root": eps_root}
    if config.weight_decay:
        optimizer = optax.adamw(schedule, weight_decay=config.weight_decay, **moments)
    else:
        optimizer = optax.adam(schedule, **moments)
    if config.clip_norm:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)
    return optimizer


def frozen(
    config: TrainingConfig, optimizers: "Mapping[str, optax.GradientTransformation]"
) -> "dict[str, optax.GradientTransformation]":
    """Optimizers by player, which do not change the layers that `config.freeze` names.

    Raises:
      RunError: `config.freeze` is not a regular expression.

    Reference:
      Mo, Cho and Shin, *Freeze the Discriminator: a Simple Baseline for Fine-Tuning GANs*, 2020,
      https://arxiv.org/abs/2002.10964.
    """
    if config.freeze is None:
        return dict(optimizers)
    import optax

    try:
        pattern = re.compile(config.freeze)
    except re.error as error:
        raise RunError(
            f"--freeze is {config.freeze}, expected a regular expression ({error})"
        ) from None
    return {
        player: optax.chain(optimizer, _without(pattern, player))
        for player, optimizer in optimizers.items()
    }


def check_frozen(config: Config, params: Callable[[], Mapping[str, Any]]) -> None:
    """A `RunError` if the flag `--freeze` matches no layer of any player's `params()`."""
    if not isinstance(config, TrainingConfig) or config.freeze is None:
        return
    from jaxgan.tree import by_path

    names = list(by_path(params()))
    if not any(re.search(config.freeze, name) for name in names):
        raise RunError(
            f"--freeze is {config.freeze}, which matches no layer; expected a regular expression "
            f"that is found in a name such as {names[0]}"
        )


def _without(pattern: re.Pattern[str], player: str) -> "optax.GradientTransformation":
    """Sets the updates of a player's layers to 0 whose path matches."""
    import jax
    import jax.numpy as jnp
    import optax

    from jaxgan.tree import path_name

    def zero(path: Any, update: jax.Array) -> jax.Array:
        name = f"{player}/{path_name(path)}"
        return jnp.zeros_like(update) if pattern.search(name) else update

    return optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(zero, updates))


def learning_rates(
    config: TrainingConfig,
    learning_rate: float,
    *,
    decay_steps: int,
    constant_steps: int = 0,
    turns: int = 1,
) -> "float | Schedule":
    """Learning rate, constant, or a schedule: warm-up from 0, constant rate, decay to 0.

    Args:
      config: the flags `lr_scale`, `warmup_steps` and `lr_decay`.
      learning_rate: the largest rate, before it is multiplied by `lr_scale`.
      decay_steps: training steps of the decay, and of the warm-up before it.
      constant_steps: training steps at the constant rate, before the decay and after the warm-up.
      turns: turns in a training step, in which the schedule counts.

    Raises:
      ValueError: the learning rate or a number of steps is negative.
    """
    import optax

    from jaxgan import schedules

    if learning_rate < 0:
        raise ValueError(f"the learning rate is {learning_rate}, expected at least 0")
    if decay_steps < 0 or constant_steps < 0:
        raise ValueError(
            f"the learning rate decays in {decay_steps} steps after {constant_steps}, expected at "
            "least 0"
        )
    learning_rate = learning_rate * config.lr_scale
    constant, decay = turns * constant_steps, turns * decay_steps
    warmup = turns * config.warmup_steps
    if config.lr_decay != "none":
        warmup = min(warmup, decay // 2)
        decay -= warmup
    if config.lr_decay == "none":
        after = optax.constant_schedule(learning_rate) if warmup else learning_rate
    elif config.lr_decay == "linear":
        after = schedules.constant_then_linear(learning_rate, constant=constant, decay=decay)
    else:
        after = optax.cosine_decay_schedule(learning_rate, max(decay, 1))
        if constant:
            flat = optax.constant_schedule(learning_rate)
            after = optax.join_schedules([flat, after], [constant])
    if not warmup:
        return after
    rise = optax.linear_schedule(0.0, learning_rate, warmup)
    return optax.join_schedules([rise, after], [warmup])
