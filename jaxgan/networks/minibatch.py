"""Statistics of a minibatch as a feature of the discriminator."""

import jax.numpy as jnp

from jaxgan.ops import at_least_float32
from jaxgan.parallel import axis
from jaxgan.types import Array


def minibatch_stddev(x: Array, group_size: int = 4) -> Array:
    """The map with one more channel: the mean standard deviation over a group of examples.

    `s = mean_{h, w, c} sqrt(var_group(x_{h, w, c}) + 1e-8)`, the same number for all examples and
    pixels of a group. Groups are consecutive rows of the global batch, so the result does not
    depend on the number of devices; their size is the largest divisor of that batch's size up to
    `group_size`.

    Args:
      x: `[batch, height, width, channels]`.
      group_size: the largest number of examples in a group, at least 1; 4 in StyleGAN2.

    Returns:
      `[batch, height, width, channels + 1]`.

    Raises:
      ValueError: in a game with `one_pass`, or trained by `one_stage`.

    Reference:
      Karras, Aila, Laine and Lehtinen, *Progressive Growing of GANs for Improved Quality,
      Stability, and Variation*, 2018, https://arxiv.org/abs/1710.10196, section 3.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([1.0, 3.0, 5.0, 5.0]).reshape(4, 1, 1, 1)
      >>> minibatch_stddev(x, group_size=2)[:, 0, 0, 1].round(3).tolist()
      [1.0, 1.0, 0.0, 0.0]
    """
    axis.couple_examples("minibatch_stddev")
    rows = axis.all_gather(at_least_float32(x))
    n = rows.shape[0]
    size = max(d for d in range(1, min(group_size, n) + 1) if n % d == 0)
    groups = rows.reshape(n // size, size, -1)
    stddev = jnp.sqrt(jnp.var(groups, axis=1) + 1e-8)
    statistic = axis.local_rows(jnp.repeat(jnp.mean(stddev, axis=1), size), x.shape[0])
    channel = jnp.broadcast_to(statistic.reshape(-1, 1, 1, 1), (*x.shape[:3], 1))
    return jnp.concatenate([x, channel.astype(x.dtype)], axis=-1)
