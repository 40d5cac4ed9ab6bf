"""Differentiable augmentation, DiffAugment (Zhao et al., 2020)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxgan.augment.augmentation import Augment
from jaxgan.parallel import axis
from jaxgan.types import Array, PRNGKey


def diff_augment(policy: Sequence[str] = ("color", "translation", "cutout")) -> Augment:
    """DiffAugment: random colour, translation and cutout per example, for limited data.

    `color`: brightness `x + b`, saturation `(x - gray) s + gray` and contrast `(x - mean) c + mean`
    with b in [-1/2, 1/2), s in [0, 2) and c in [1/2, 3/2). `translation`: by up to 1/8 of height
    and width, with zero padding. `cutout`: zeros in a rectangle of half the height and width, at a
    random position.

    Args:
      policy: names of the transformations, applied in this order.

    Returns:
      `(key, images) -> images`, of shape `[batch, height, width, channels]`.

    Raises:
      ValueError: `policy` has an unknown name; in a call, the images have not four axes.

    Reference:
      Zhao, Liu, Lin, Zhu and Han, *Differentiable Augmentation for Data-Efficient GAN Training*,
      2020, https://arxiv.org/abs/2006.10738.

    Example:
      >>> moved = diff_augment(("translation",))(jax.random.key(0), jnp.ones((4, 8, 8, 1)))
      >>> moved.shape, float(moved.max())
      ((4, 8, 8, 1), 1.0)
    """
    if isinstance(policy, str):
        raise ValueError(f"policy is {policy!r}, expected names, such as ['{policy}']")
    if unknown := sorted(set(policy) - set(TRANSFORMATIONS)):
        raise ValueError(
            f"policy has {', '.join(unknown)}, expected some of {', '.join(TRANSFORMATIONS)}"
        )

    def transform(key: PRNGKey, x: Array) -> Array:
        for key_i, name in zip(jax.random.split(key, len(policy)), policy, strict=True):
            x = TRANSFORMATIONS[name](key_i, x)
        return x

    def apply(key: PRNGKey, images: Array) -> Array:
        if images.ndim != 4:
            raise ValueError(
                f"diff_augment was given the shape {images.shape}, expected images, "
                "[batch, height, width, channels]"
            )
        return jax.vmap(transform)(axis.example_keys(key, images.shape[0]), images)

    return apply


def _color(key: PRNGKey, x: Array) -> Array:
    brightness, saturation, contrast = jax.random.uniform(key, (3,)) - 0.5
    x = x + brightness
    gray = jnp.mean(x, axis=-1, keepdims=True)
    x = (x - gray) * (2.0 * saturation + 1.0) + gray
    return (x - jnp.mean(x)) * (contrast + 1.0) + jnp.mean(x)


def _translation(key: PRNGKey, x: Array) -> Array:
    height, width, channels = x.shape
    max_shift = (height + 4) // 8, (width + 4) // 8
    top, left = jax.random.randint(key, (2,), 0, 2 * jnp.array(max_shift) + 1)
    padded = jnp.pad(x, [2 * (max_shift[0],), 2 * (max_shift[1],), (0, 0)])
    return jax.lax.dynamic_slice(padded, (top, left, 0), (height, width, channels))


def _cutout(key: PRNGKey, x: Array) -> Array:
    height, width, _ = x.shape
    sides = jnp.array([(height + 1) // 2, (width + 1) // 2])
    center = jax.random.randint(key, (2,), 0, jnp.array([height, width]) + 1 - sides % 2)
    row, column = jnp.arange(height)[:, None, None], jnp.arange(width)[None, :, None]
    top, left = center - sides // 2
    in_rows = (row >= top) & (row < top + sides[0])
    in_columns = (column >= left) & (column < left + sides[1])
    return jnp.where(in_rows & in_columns, 0.0, x)


TRANSFORMATIONS = {"color": _color, "translation": _translation, "cutout": _cutout}
