"""Optimizers of published methods that optax lacks, as optax gradient transformations."""

import jax
import jax.numpy as jnp
import optax

from jaxgan.types import Params


def clip_weights(bound: float) -> optax.GradientTransformation:
    """Weight clipping: after the step every parameter lies in `[-bound, bound]`, up to rounding.

    The last part of a chain, after the learning rate. The bound is not kept by `optimistic` and
    `negative_momentum`, which add to the optimizer's step.

    Args:
      bound: largest absolute value of a parameter, positive; 0.01 in the paper.

    Returns:
      An optax transformation, whose updates need the parameters.

    Raises:
      ValueError: the bound is not positive; in an update, it is called without parameters.

    Reference:
      Arjovsky, Chintala and Bottou, *Wasserstein GAN*, 2017, https://arxiv.org/abs/1701.07875,
      algorithm 1.

    Example:
      >>> import optax
      >>> critic = optax.chain(optax.rmsprop(5e-5), clip_weights(0.01))
    """
    if isinstance(bound, float | int) and not bound > 0.0:  # an array may be traced
        raise ValueError(f"the bound of the weights is {bound}, expected a positive number")

    def update(updates: Params, params: Params | None) -> Params:
        if params is None:
            raise ValueError("clip_weights needs the parameters: update(updates, state, params)")
        clipped = lambda u, p: jnp.clip(p + u, -bound, bound) - p
        return jax.tree.map(clipped, updates, params)

    return optax.stateless(update)
