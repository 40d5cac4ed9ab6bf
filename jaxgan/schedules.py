"""Schedules of learning rates and moving-average decays, as optax schedules."""

import jax.numpy as jnp
import optax

from jaxgan.types import Schedule


def constant_then_linear(learning_rate: float, *, constant: int, decay: int) -> Schedule:
    """Constant learning rate followed by linear decay to 0.

    Args:
      learning_rate: initial learning rate.
      constant: number of steps at the initial rate, at least 0.
      decay: number of steps of linear decay to 0, at least 0; the rate stays 0 afterwards.

    Returns:
      A schedule, for any optax optimizer.

    Raises:
      ValueError: a number of steps is negative.

    Reference:
      Zhu et al., *Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks*,
      2017, https://arxiv.org/abs/1703.10593 (100 epochs each, as in pix2pix's published models).

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
    """Decay schedule of an exponential moving average with warm-up, `min(decay, (1 + t)/(10 + t))`.

    With a constant decay the average is dominated by the initial parameters for the first
    `1 / (1 - decay)` steps. With this schedule it covers about the last tenth of the steps so far,
    until that is the `1 / (1 - decay)` steps of the final decay.

    Args:
      decay: final decay, in [0, 1].

    Returns:
      A schedule, for the `ema` argument of any training algorithm.

    Raises:
      ValueError: the decay is not in [0, 1].

    Reference:
      Abadi et al., *TensorFlow*, 2015, https://www.tensorflow.org (`ExponentialMovingAverage` with
      `num_updates`).

    Example:
      >>> schedule = ema_warmup(0.999)
      >>> [round(float(schedule(step)), 3) for step in (0, 90, 890, 10_000)]
      [0.1, 0.91, 0.99, 0.999]
    """
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"the decay of an average is {decay}, expected a value in [0, 1]")
    return lambda step: jnp.minimum(decay, (1.0 + step) / (10.0 + step))
