"""Random numbers of the transformations of `ada`."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.types import Array, PRNGKey

BLIT = ("xflip", "rotate90", "xint")
GEOMETRY = ("scale", "rotate", "aniso", "xfrac")
COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")
CORRUPTION = ("filter", "noise", "cutout")
NAMES = (*BLIT, *GEOMETRY, *COLOR, *CORRUPTION)
TIMES = {"rotate": 2, "filter": 4}  # several of a kind; the paper counts rotation once, 18 in all


class Draw(NamedTuple):
    """Random numbers of a transformation of one image, all 0 if it does not happen.

    Attributes:
      happens: 1 if it does, `[]`.
      uniform: in [-1, 1), `[2]`.
      normal: standard normal, `[2]`.
    """

    happens: Array
    uniform: Array
    normal: Array


def draw(key: PRNGKey, probabilities: Mapping[str, Array]) -> dict[str, list[Draw]]:
    """The numbers of all transformations of one image, by name.

    They do not depend on which of the others there are; one without a probability never happens.
    """
    key_happens, key_uniform, key_normal = jax.random.split(key, 3)
    rows = [name for name in NAMES for _ in range(TIMES.get(name, 1))]
    chances = jnp.stack([jnp.asarray(probabilities.get(name, 0.0)) for name in rows])
    happens = (jax.random.uniform(key_happens, (len(rows),)) < chances).astype(jnp.float32)
    uniform = jax.random.uniform(key_uniform, (len(rows), 2), minval=-1.0)
    normal = jax.random.normal(key_normal, (len(rows), 2))
    draws: dict[str, list[Draw]] = {name: [] for name in NAMES}
    for i, name in enumerate(rows):
        draws[name].append(Draw(happens[i], happens[i] * uniform[i], happens[i] * normal[i]))
    return draws
