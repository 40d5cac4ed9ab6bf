"""Augmentation: a transformation of all images that a discriminator receives.

Real and generated images are transformed alike, inside the differentiation, so that the generator
learns through the transformation and not from it. A plain function `(key, images) -> images` is
enough; an `Augmentation` also has state, which belongs to the discriminator and is checkpointed.
"""

from collections.abc import Callable
from typing import NamedTuple

from jaxgan.types import Array, PRNGKey, PyTree

Augment = Callable[[PRNGKey, Array], Array]  # differentiable in the images


class Augmentation(NamedTuple):
    """An augmentation with state, such as a strength that adapts to the discriminator.

    Attributes:
      init: `() -> state`, a pytree of arrays.
      apply: `(state, key, images) -> images`, differentiable in the images.
      update: `(state, real_logits) -> state`, once in every turn of the discriminator; statistics
        are those of the batch of all devices (`parallel.axis.mean`).
    """

    init: Callable[[], PyTree]
    apply: Callable[[PyTree, PRNGKey, Array], Array]
    update: Callable[[PyTree, Array], PyTree]


def as_augmentation(augment: Augment | Augmentation | None) -> Augmentation:
    """A function as an augmentation without state, `None` as the identity.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> as_augmentation(None).apply((), jax.random.key(0), jnp.ones(2)).tolist()
      [1.0, 1.0]
    """
    if isinstance(augment, Augmentation):
        return augment
    function: Augment = (lambda key, images: images) if augment is None else augment
    return Augmentation(
        tuple, lambda state, key, images: function(key, images), lambda state, real_logits: state
    )
