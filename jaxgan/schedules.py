"""Learning rates and decays over time, as optax schedules."""

import jax.numpy as jnp
import optax

from jaxgan.types import Schedule


def constant_then_linear(learning_rate: float, *, constant: int, decay: int) -> Schedule:
    """A learning rate that stays, and then falls to 0 along a line.

    Args:
      learning_rate: at first.
      constant: steps for which it stays.
      decay: steps in which it falls to 0, where it remains.

    Returns:
      A schedule, for any optax optimizer.

    Raises:
      ValueError: a number of steps is negative.

    Reference:
      Zhu et al., *Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks*,
      2017, https://arxiv.org/abs/1703.10593 (100 epochs of either; pix2pix's published models too).

    Example:
      >>> schedule = constant_then_linear(2e-4, constant=100, decay=100)
      >>> [round(float(schedule(step)) * 1e4, 3) for step in (0, 100, 150, 200, 300)]
      [2.0, 2.0, 1.0, 0.0, 0.0]
    """
    if constant < 0 or decay < 0:
        raise ValueError(f"constant={constant} and decay={decay} steps, expected at least 0")
    line = optax.linear_schedule(learning_rate, 0.0, max(decay, 1))
    return optax.join_schedules([optax.constant_schedule(learning_rate), line], [constant])


def ema_warmup(decay: float) -> Schedule:
    """The decay of a moving average that forgets quickly at first: `min(decay, (1 + t)/(10 + t))`.

    A plain average is for the first `1 / (1 - decay)` rounds mostly what the networks were before
    they had learned anything. This one is over about the last tenth of the rounds played until it
    is over as many as `decay` says.

    Args:
      decay: in the end, in [0, 1].

    Returns:
      A schedule, for `ema` of any way of playing.

    Raises:
      ValueError: the decay is outside [0, 1].

    Reference:
      Abadi et al., *TensorFlow*, 2015, https://www.tensorflow.org (`ExponentialMovingAverage` with
      `num_updates`).

    Example:
      >>> schedule = ema_warmup(0.999)
      >>> [round(float(schedule(step)), 3) for step in (0, 90, 890, 10_000)]
      [0.1, 0.91, 0.99, 0.999]
    """
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"the decay of an average is {decay}, expected one in [0, 1]")
    return lambda step: jnp.minimum(decay, (1.0 + step) / (10.0 + step))
