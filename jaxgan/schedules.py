"""Schedules of learning rates, weights and moving-average decays, as optax schedules."""

from typing import Any

import jax.numpy as jnp
import optax

from jaxgan.types import Array, Schedule


def scheduled(value: float | Array | Schedule, step: Array) -> Any:
    """The value at a step of a constant or a schedule.

    Args:
      value: a number, an array, or a schedule, `step -> value`.
      step: training step.

    Returns:
      The value: a constant as it is.

    Example:
      >>> import optax
      >>> scheduled(0.5, 10), float(scheduled(optax.linear_schedule(0.0, 1.0, 20), 10))
      (0.5, 0.5)
    """
    return value(step) if callable(value) else value


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
    line = (
        optax.linear_schedule(learning_rate, 0.0, decay) if decay else optax.constant_schedule(0.0)
    )
    return optax.join_schedules([optax.constant_schedule(learning_rate), line], [constant])


def cosine(start: float, end: float, steps: int) -> Schedule:
    """Half a period of a cosine from `start` to `end`, and `end` afterwards.

    `end + (start - end) (1 + cos(pi t / steps)) / 2`. R3GAN has such schedules of learning rate,
    Adam's b2, the weight of R1 and R2, the half-life of the average and the probability of
    augmentation, its burn-in.

    Args:
      start: value at step 0.
      end: value from step `steps` on; larger or smaller than `start`.
      steps: number of steps, at least 1.

    Returns:
      A schedule, for optimizers, weights of penalties and decays of averages.

    Raises:
      ValueError: `steps` is below 1.

    Reference:
      Huang et al., *The GAN is dead; long live the GAN! A Modern GAN Baseline*, 2024,
      https://arxiv.org/abs/2501.05441, appendix.

    Example:
      >>> import optax
      >>> [round(float(cosine(2.0, 0.2, 100)(step)), 3) for step in (0, 50, 100, 200)]
      [2.0, 1.1, 0.2, 0.2]
      >>> adam = optax.inject_hyperparams(optax.adam)(
      ...     cosine(2e-4, 5e-5, 40_000), b1=0.0, b2=cosine(0.9, 0.99, 40_000)
      ... )
    """
    if steps < 1:
        raise ValueError(f"a cosine of {steps} steps, expected at least 1")

    def schedule(step: Array) -> Array:
        t = jnp.minimum(step / steps, 1.0)
        return end + (start - end) * 0.5 * (1.0 + jnp.cos(jnp.pi * t))

    return schedule


def ema_half_life(
    half_life: float | Schedule, *, batch_size: int, rampup: float | None = None
) -> Schedule:
    """Decay schedule of an average with a half-life in images: `(1/2)^(batch_size / half_life)`.

    With `rampup`, the half-life is at most `rampup` times the number of images so far. StyleGAN2
    has a half-life of 10 000 images (and a ramp-up of 0.05 in its automatic configuration), R3GAN
    `cosine(0, 500_000, ...)`.

    Args:
      half_life: images in which the weight of a step's parameters halves, at least 0; or a schedule
        of it.
      batch_size: images per training step, on all devices.
      rampup: largest half-life as a share of the images so far; `None` for no limit.

    Returns:
      A schedule, for the `ema` argument of any training algorithm.

    Raises:
      ValueError: `batch_size` is below 1, or `half_life` below 0.

    Reference:
      Karras et al., *Training Generative Adversarial Networks with Limited Data*, 2020,
      https://arxiv.org/abs/2006.06676, and its code.

    Example:
      >>> schedule = ema_half_life(10_000, batch_size=64, rampup=0.05)
      >>> [round(float(schedule(step)), 4) for step in (0, 1, 1000, 10_000)]
      [0.0, 0.0, 0.9862, 0.9956]
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected at least 1")
    if isinstance(half_life, float | int) and half_life < 0:
        raise ValueError(f"half_life is {half_life}, expected at least 0 images")

    def decay(step: Array) -> Array:
        images = 1.0 * scheduled(half_life, step)  # floats: there may be more than 2^31 images
        if rampup is not None:
            images = jnp.minimum(images, rampup * float(batch_size) * step)
        return 0.5 ** (batch_size / jnp.maximum(images, 1e-8))

    return decay


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
    if isinstance(decay, float | int) and not 0.0 <= decay <= 1.0:  # an array may be traced
        raise ValueError(f"the decay of an average is {decay}, expected a value in [0, 1]")
    return lambda step: jnp.minimum(decay, (1.0 + step) / (10.0 + step))
