"""Consistency regularisation: CR, balanced (bCR) and in the latents (zCR)."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from jaxgan.augment import Augment, Augmentation, as_augmentation
from jaxgan.parallel import axis
from jaxgan.penalties.penalty import (
    Critic,
    ForwardPass,
    Regularizer,
    Side,
    check_latents,
    checked_sides,
    mean_per_example,
    stateless,
)
from jaxgan.types import Array, PRNGKey


def consistency(
    augment: Augment | Augmentation, *, of: Side | Sequence[Side] = ("real",)
) -> Regularizer:
    """CR: squared change of the logits under an augmentation, `(D(x) - D(T(x)))^2`, `[batch]`.

    A term of the discriminator. On real examples alone it is CR, weighted by 10 in the paper. bCR
    is the sum over real and generated examples; on real ones alone the generator learns to draw
    what the augmentation does. Both weights are 10 in the paper. Unlike `gan(augment=)`, the
    adversarial loss sees the images without T.

    Args:
      augment: T, from `jaxgan.augment` or a function `(key, images) -> images`, without state; the
        papers shift by a few pixels and flip.
      of: the examples x: `real`, `fake` or both, of which the sum is taken.

    Returns:
      A regulariser without state.

    Raises:
      ValueError: `of` names something else, or the augmentation has state, as an adaptive one.

    Reference:
      Zhang, Zhang, Odena and Lee, *Consistency Regularization for Generative Adversarial Networks*,
      2020, https://arxiv.org/abs/1910.12027; bCR: Zhao et al., *Improved Consistency
      Regularization for GANs*, 2021, https://arxiv.org/abs/2002.04724, algorithm 1.

    Example:
      >>> from jaxgan.augment import diff_augment
      >>> from jaxgan.penalties import weighted
      >>> shift = diff_augment(("translation",))
      >>> bcr = weighted((10.0, consistency(shift, of=("real", "fake"))))
    """
    sides, augmentation = checked_sides(of), as_augmentation(augment)
    if jax.tree.leaves(augmentation.init()):
        raise ValueError(
            "the augmentation has state, which this penalty does not keep; give one without, such "
            "as diff_augment() or ada(p=0.2, target=None)"
        )

    def term(forward: ForwardPass, key: PRNGKey, step: Array) -> Array:
        transform = partial(augmentation.apply, augmentation.init())
        examples = {
            "real": (forward.real, forward.real_logits, forward.discriminator),
            "fake": (forward.fake, forward.fake_logits, _of_fake(forward)),
        }
        value = jnp.zeros(())
        for side, key_side in zip(sides, jax.random.split(key, len(sides)), strict=True):
            x, logits, discriminator = examples[side]
            value += mean_per_example((logits - discriminator(transform(key_side, x, step))) ** 2)
        return value

    return stateless(term)


def latent_consistency(sigma: float = 0.03) -> Regularizer:
    """zCR of the discriminator: `(D(G(z)) - D(G(z + sigma e)))^2`, `e ~ N(0, I)`, `[batch]`.

    The paper's weight is 5, together with `latent_diversity` of the generator.

    Args:
      sigma: standard deviation of the perturbation of the latents.

    Returns:
      A regulariser without state.

    Reference:
      Zhao et al., *Improved Consistency Regularization for GANs*, 2021,
      https://arxiv.org/abs/2002.04724, algorithm 2.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> penalty, generator_penalty = weighted((5.0, latent_consistency())), latent_diversity()
    """

    def term(forward: ForwardPass, key: PRNGKey, step: Array) -> Array:
        check_latents(forward, "latent_consistency")
        z = _perturbed(forward.latents, key, sigma)
        moved = _of_fake(forward)(forward.generator(z))
        return mean_per_example((forward.fake_logits - moved) ** 2)

    return stateless(term)


def latent_diversity(sigma: float = 0.03) -> Regularizer:
    """zCR of the generator: `-mean (G(z) - G(z + sigma e))^2`, mean over pixels, `[batch]`.

    It makes images change with their latents, to whose changes `latent_consistency` makes the
    discriminator insensitive. The paper's weight is 0.5.

    Args:
      sigma: standard deviation of the perturbation of the latents.

    Returns:
      A regulariser without state.

    Reference:
      Zhao et al., *Improved Consistency Regularization for GANs*, 2021,
      https://arxiv.org/abs/2002.04724, algorithm 2.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> generator_penalty = weighted((0.5, latent_diversity()))
    """

    def term(forward: ForwardPass, key: PRNGKey, step: Array) -> Array:
        check_latents(forward, "latent_diversity")
        moved = forward.generator(_perturbed(forward.latents, key, sigma))
        return -mean_per_example((forward.fake - moved) ** 2)

    return stateless(term)


def _of_fake(forward: ForwardPass) -> Critic:
    """The discriminator with the augmentation that `fake_logits` are of."""
    return forward.discriminator_of_fake or forward.discriminator


def _perturbed(z: Array, key: PRNGKey, sigma: float) -> Array:
    return z + sigma * axis.normal(key, z.shape, z.dtype)
