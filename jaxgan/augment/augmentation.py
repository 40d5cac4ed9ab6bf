"""Augmentation: a differentiable transformation of all images that a discriminator receives.

Real and generated images are both transformed, and gradients propagate through the transformation
to the generator, so that augmentations do not leak into generated images. An `Augment` is a
function `(key, images) -> images`; an `Augmentation` also has state, which is part of the
discriminator's model state and its checkpoints.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxgan.parallel import axis
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

    Example, noise that grows by a hundredth in every turn of the discriminator:
      >>> import jax.numpy as jnp
      >>> growing = Augmentation(
      ...     init=lambda: jnp.zeros(()),
      ...     apply=lambda std, key, images, step: images + std * axis.normal(key, images.shape),
      ...     update=lambda std, real_logits, batch_size: std + 0.01,
      ... )
      >>> std = growing.update(growing.init(), jnp.zeros(8), 8)
      >>> round(float(std), 2)
      0.01
    """

    init: Callable[[], PyTree]
    apply: Callable[[PyTree, PRNGKey, Array, Array], Array]
    update: Callable[[PyTree, Array, int], PyTree]


def stateless(apply: Callable[[PRNGKey, Array, Array], Array]) -> Augmentation:
    """Augmentation without state, from a function `(key, images, step) -> images`.

    Args:
      apply: `(key, images, step) -> images`, differentiable in the images `[n, ...]`.

    Returns:
      An augmentation whose state is `()`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> darker = stateless(lambda key, images, step: images - 0.001 * step)
      >>> darker.apply(darker.init(), jax.random.key(0), jnp.ones(2), 500).tolist()
      [0.5, 0.5]
    """
    return Augmentation(
        tuple,
        lambda state, key, images, step: apply(key, images, step),
        lambda state, real_logits, batch_size: state,
    )


def as_augmentation(augment: Augment | Augmentation | None) -> Augmentation:
    """Converts a function to a stateless augmentation, and `None` to the identity.

    Args:
      augment: a function `(key, images) -> images`, an augmentation, which is returned unchanged,
        or `None`.

    Returns:
      An augmentation.

    Raises:
      ValueError: it is none of these.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> darker = as_augmentation(lambda key, images: images - 0.5)
      >>> darker.apply(darker.init(), jax.random.key(0), jnp.ones(2), 0).tolist()
      [0.5, 0.5]
      >>> as_augmentation(None).apply((), jax.random.key(0), jnp.ones(2), 0).tolist()
      [1.0, 1.0]
    """
    if isinstance(augment, Augmentation):
        return augment
    if augment is None:
        return stateless(lambda key, images, step: images)
    if not callable(augment):
        raise ValueError(
            f"augment is {augment!r}, expected (key, images) -> images, such as "
            "augment.diff_augment()"
        )
    return stateless(
        lambda key, images, step: axis.sampled(lambda own_key: augment(own_key, images), key)
    )


def chain(*augmentations: Augment | Augmentation) -> Augmentation:
    """Several augmentations as one, which applies them in their order.

    Each has its own key and state: augmentation `i` receives `fold_in(key, i)`, and the
    state is the tuple of all states.

    Args:
      *augmentations: functions `(key, images) -> images`, or augmentations; at least one.

    Returns:
      An augmentation.

    Raises:
      ValueError: there is no augmentation.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> both = chain(lambda key, images: images + 1.0, lambda key, images: 2.0 * images)
      >>> both.apply(both.init(), jax.random.key(0), jnp.zeros(2), 0).tolist()
      [2.0, 2.0]
    """
    if not augmentations:
        raise ValueError("there is no augmentation to chain; expected at least one")
    parts = tuple(as_augmentation(augment) for augment in augmentations)

    def apply(state: PyTree, key: PRNGKey, images: Array, step: Array) -> Array:
        for i, (part, own) in enumerate(zip(parts, state, strict=True)):
            images = part.apply(own, jax.random.fold_in(key, i), images, step)
        return images

    def update(state: PyTree, real_logits: Array, batch_size: int) -> PyTree:
        pairs = zip(parts, state, strict=True)
        return tuple(part.update(own, real_logits, batch_size) for part, own in pairs)

    return Augmentation(lambda: tuple(part.init() for part in parts), apply, update)
