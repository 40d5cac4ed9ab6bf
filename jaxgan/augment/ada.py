"""Adaptive discriminator augmentation, ADA (Karras et al., 2020)."""

from collections.abc import Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp

from jaxgan.augment.affine import inverse_affine, resampled
from jaxgan.augment.augmentation import Augmentation, stateless
from jaxgan.augment.color import color_map, recolored
from jaxgan.augment.corruption import cut, filtered, noisy
from jaxgan.augment.draws import BLIT, COLOR, GEOMETRY, NAMES, draw
from jaxgan.parallel import axis
from jaxgan.schedules import scheduled
from jaxgan.types import Array, PRNGKey, PyTree, Schedule


def ada(
    policy: Sequence[str] | Mapping[str, float] = (*BLIT, *GEOMETRY, *COLOR),
    *,
    p: float | Schedule = 0.0,
    target: float | None = 0.6,
    images: int = 500_000,
    interval: int = 4,
) -> Augmentation:
    """ADA: every transformation with a probability p that follows the discriminator's overfitting.

    The heuristic of overfitting is `r = E[sign(D(T(x)))]` at real images, 1 if D recognises all of
    them. After every `interval` minibatches, p grows by `interval * batch / images` if their mean r
    is above the target, and decreases by as much, to 0 at least, if it is below. At `p = 0` images
    are unchanged, bit for bit. Where logits have no zero of their own (relativistic and Wasserstein
    losses) there is no such heuristic: give p a schedule.

    The transformations are the paper's 18, composed to one affine map of the plane, one of colours,
    one filter, noise and cutout:

    | name | transformation |
    |---|---|
    | `xflip` | mirror image, half of the time |
    | `rotate90` | rotation by a multiple of 90 degrees |
    | `xint` | translation by whole pixels, up to 1/8 of the sides |
    | `scale` | scaling by `2^(0.2 N)`, N standard normal |
    | `rotate` | rotation by any angle, before `aniso`, after it, or both |
    | `aniso` | scaling of x by `2^(0.2 N)` and of y by its inverse |
    | `xfrac` | translation by `N / 8` of the sides |
    | `brightness` | addition of `0.2 N` |
    | `contrast` | multiplication by `2^(0.5 N)` |
    | `lumaflip` | inversion of luma, half of the time |
    | `hue` | rotation about the grey axis, by any angle; none for grey images |
    | `saturation` | scaling from the grey axis by `2^N`; none for grey images |
    | `filter` | amplification of four frequency bands by `2^N`, each with probability p |
    | `noise` | addition of `0.1 abs(N)` times normal noise |
    | `cutout` | zeros in a rectangle of half the sides |

    The authors resample by wavelet filters at twice the resolution; here it is one bilinear
    interpolation, which blurs a little at fractional positions, and aliases where images shrink.
    Beyond their border images are mirrored.

    Args:
      policy: names of the transformations, by default the authors' `bgc` (all but `filter`, `noise`
        and `cutout`); or a mapping of names to factors of p, as `augment.R3GAN_POLICY`.
      p: probability at the start; or a schedule of it, with `target=None`.
      target: the target of r, in (-1, 1); `None` for a p that does not adapt.
      images: real images that the discriminator sees while p goes from 0 to 1.
      interval: minibatches of the discriminator between adjustments.

    Returns:
      An augmentation of images `[batch, height, width, channels]`. Its state is `{"p", "signs",
      "minibatches"}`: p, the sum of the mean signs since the last adjustment, the number of
      minibatches; there is none with `target=None`.

    Raises:
      ValueError: a name is unknown, a number is out of its range, or p is a schedule and there is a
        target.
      SizeError: in a call, images of other than 1 or 3 channels are transformed in colour.

    Reference:
      Karras et al., *Training Generative Adversarial Networks with Limited Data*, 2020,
      https://arxiv.org/abs/2006.06676, section 3 and appendix B.

    Example:
      >>> from jaxgan import schedules
      >>> adaptive = ada()
      >>> burn_in = ada(R3GAN_POLICY, p=schedules.cosine(0.0, 0.3, 40_000), target=None)
    """
    if isinstance(policy, str):
        raise ValueError(f"policy is {policy!r}, expected names, such as ['{policy}']")
    factors = dict(policy) if isinstance(policy, Mapping) else dict.fromkeys(policy, 1.0)
    _check(factors, p, target, images, interval)
    transform = partial(_transformed, factors)
    if target is None:
        return stateless(lambda key, x, step: transform(scheduled(p, step), key, x))

    def init() -> PyTree:
        return {"p": jnp.float32(p), "signs": jnp.float32(0.0), "minibatches": jnp.int32(0)}

    def update(state: PyTree, real_logits: Array, batch_size: int) -> PyTree:
        before, minibatches = state["minibatches"], state["minibatches"] + 1
        sign = axis.mean(jnp.mean(jnp.sign(real_logits).astype(jnp.float32)))
        signs = jnp.where(before % interval == 0, 0.0, state["signs"]) + sign
        size = interval * axis.num_shards() * batch_size / images
        change = jnp.where(minibatches % interval == 0, size, 0.0)
        adjusted = state["p"] + jnp.sign(signs / interval - target) * change
        return {"p": jnp.maximum(adjusted, 0.0), "signs": signs, "minibatches": minibatches}

    return Augmentation(init, lambda state, key, x, step: transform(state["p"], key, x), update)


R3GAN_POLICY: Mapping[str, float] = {
    **dict.fromkeys((*BLIT, *GEOMETRY, "cutout"), 1.0),
    **dict.fromkeys(COLOR, 0.5),
}
"""Factors of `ada` in the code of Huang et al., 2024, https://arxiv.org/abs/2501.05441."""


def _transformed(factors: dict[str, float], p: Array | float, key: PRNGKey, x: Array) -> Array:
    probabilities = {name: factor * jnp.asarray(p) for name, factor in factors.items()}
    if "rotate" in factors:  # one of the two rotations, or both, happen with that probability
        once = 1.0 - jnp.sqrt(jnp.clip(1.0 - probabilities["rotate"], 0.0, 1.0))
        probabilities["rotate"] = once

    def transform(key: PRNGKey, image: Array) -> Array:
        key_draws, key_noise = jax.random.split(key)
        draws, (height, width, _) = draw(key_draws, probabilities), image.shape
        if factors.keys() & {*BLIT, *GEOMETRY}:
            image = resampled(image, inverse_affine(draws, height, width))
        if factors.keys() & {*COLOR}:
            image = recolored(image, *color_map(draws))
        if "filter" in factors:
            image = filtered(image, draws["filter"])
        if "noise" in factors:
            image = noisy(image, draws["noise"][0], key_noise)
        return cut(image, draws["cutout"][0]) if "cutout" in factors else image

    return jax.vmap(transform)(axis.example_keys(key, x.shape[0]), x)


def _check(
    factors: Mapping[str, float],
    p: float | Schedule,
    target: float | None,
    images: int,
    interval: int,
) -> None:
    if unknown := sorted(factors.keys() - set(NAMES)):
        raise ValueError(f"policy has {', '.join(unknown)}, expected some of {', '.join(NAMES)}")
    if callable(p) and target is not None:
        raise ValueError("p is a schedule and adapts to a target; pass target=None")
    if isinstance(p, float | int) and not 0.0 <= p <= 1.0:
        raise ValueError(f"p is {p}, expected a probability in [0, 1]")
    if target is not None and not -1.0 < target < 1.0:
        raise ValueError(f"target is {target}, expected a mean of signs in (-1, 1)")
    if images < 1 or interval < 1:
        raise ValueError(f"images={images} and interval={interval}, expected at least 1")
