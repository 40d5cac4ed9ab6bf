"""Instance noise (Sønderby et al., 2017; Arjovsky and Bottou, 2017)."""

from jaxgan.augment.augmentation import Augmentation, stateless
from jaxgan.parallel import axis
from jaxgan.schedules import scheduled
from jaxgan.types import Array, PRNGKey, Schedule


def instance_noise(sigma: float | Schedule) -> Augmentation:
    """Normal noise on real and generated images, `x + sigma e` with `e ~ N(0, I)`.

    With noise the two distributions overlap, so that the discriminator has a gradient everywhere.

    Args:
      sigma: standard deviation in the units of the images; or a schedule, which usually decreases
        to 0.

    Returns:
      An augmentation.

    Reference:
      Sønderby, Caballero, Theis, Shi and Huszár, *Amortised MAP Inference for Image
      Super-resolution*, 2017, https://arxiv.org/abs/1610.04490.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import optax
      >>> noise = instance_noise(optax.linear_schedule(1.0, 0.0, 10_000))
      >>> images, key = jnp.zeros((2, 8, 8, 1)), jax.random.key(0)
      >>> [bool(noise.apply((), key, images, step).any()) for step in (0, 10_000)]
      [True, False]
    """

    def apply(key: PRNGKey, images: Array, step: Array) -> Array:
        noise = axis.normal(key, images.shape, images.dtype)
        return images + scheduled(sigma, step) * noise

    return stateless(apply)
