"""Learning rates over time, as optax schedules."""

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
