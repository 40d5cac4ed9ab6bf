"""Augmentation: a differentiable transformation of all images that a discriminator receives.

Real and generated images are both transformed, and gradients propagate through the transformation
to the generator, so that augmentations do not leak into generated images. An `Augment` is a
function `(key, images) -> images`; an `Augmentation` also has state, which is part of the
discriminator's model state and its checkpoints.
"""

from collections.abc import Callable
from typing import NamedTuple

from jaxgan.types import Array, PRNGKey, PyTree

Augment = Callable[[PRNGKey, Array], Array]  # differentiable in the images


class Augmentation(NamedTuple):
    """An augmentation with state, such as a strength that adapts to the discriminator.

    Attributes:
      init: `() -> state`, a pytree of arrays.
      apply: `(state, key, images, step) -> images`, differentiable in the images; `step` is the
        training step, for schedules.
      update: `(state, real_logits, batch_size) -> state`, called once in every turn of the
        discriminator; statistics of the batch in the state must be those of all devices
        (`parallel.axis.mean`). `batch_size` is the number of real images on this device, of which a
        packed discriminator has fewer logits.
    """

    init: Callable[[], PyTree]
    apply: Callable[[PyTree, PRNGKey, Array, Array], Array]
    update: Callable[[PyTree, Array, int], PyTree]


def stateless(apply: Callable[[PRNGKey, Array, Array], Array]) -> Augmentation:
    """Augmentation without state, from a function `(key, images, step) -> images`.

    Example:
      >>> darker = stateless(lambda key, images, step: images - 0.001 * step)
      >>> darker.init()
      ()
    """
    return Augmentation(
        tuple,
        lambda state, key, images, step: apply(key, images, step),
        lambda state, real_logits, batch_size: state,
    )


def as_augmentation(augment: Augment | Augmentation | None) -> Augmentation:
    """Converts a function to a stateless augmentation, and `None` to the identity.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> as_augmentation(None).apply((), jax.random.key(0), jnp.ones(2), 0).tolist()
      [1.0, 1.0]
    """
    if isinstance(augment, Augmentation):
        return augment
    function: Augment = (lambda key, images: images) if augment is None else augment
    return stateless(lambda key, images, step: function(key, images))
