"""Path length regularisation of the generator (Karras et al., 2020)."""

import math

import jax
import jax.numpy as jnp
import optax

from jaxgan.parallel import axis
from jaxgan.penalties.penalty import ForwardPass, Regularizer, check_latents
from jaxgan.types import Array, PRNGKey, PyTree


def path_length(decay: float = 0.99) -> Regularizer:
    """Path length: squared deviation of `|J^T y|` from its moving average, `[batch]`.

    `(|J^T y| - a)^2` with the Jacobian J of G at the latents, `y ~ N(0, I) / sqrt(height width)`
    per example, and the exponential moving average a of the lengths, including this batch.
    StyleGAN2 has the weight 2, and lazy regularisation every 4 steps.

    The authors' J is that in the styles w of all layers. That in the latents z, as here, includes
    the mapping network, which normalises z, so that J has no part along it; and with style mixing,
    layers whose style is that of the second latent have no part in J: use `style_mixing=0` in
    `networks.StyleGAN2Generator`.

    Args:
      decay: decay of the average, in [0, 1).

    Returns:
      A regulariser, whose state is the average.

    Raises:
      ValueError: `decay` is outside [0, 1).

    Reference:
      Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, 2020,
      https://arxiv.org/abs/1912.04958, section 3.2, eq. 4.

    Example:
      >>> from jaxgan.penalties import lazily, weighted
      >>> generator_penalty = weighted((2.0, lazily(path_length(), every=4)))
    """
    if isinstance(decay, float | int) and not 0.0 <= decay < 1.0:
        raise ValueError(f"the decay of the path length is {decay}, expected one in [0, 1)")

    def apply(
        state: PyTree, forward: ForwardPass, key: PRNGKey, step: Array
    ) -> tuple[Array, PyTree]:
        check_latents(forward, "path_length")
        pixels = math.prod(forward.fake.shape[1:3])  # of points, coordinates
        y = axis.normal(key, forward.fake.shape) / pixels**0.5
        projection = lambda z: jnp.sum(forward.generator(z) * y)
        lengths = optax.safe_norm(jax.grad(projection)(forward.latents), 1e-12, axis=-1)
        mean = decay * state["mean"] + (1.0 - decay) * axis.mean(jnp.mean(lengths))
        return (lengths - mean) ** 2, {"mean": mean}

    return Regularizer(lambda: {"mean": jnp.zeros(())}, apply)
