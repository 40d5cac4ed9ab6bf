"""Terms of the generator's loss: mode seeking, feature matching, and transport."""

import chex
import jax
import jax.numpy as jnp

from jaxgan.parallel import axis
from jaxgan.penalties.penalty import (
    ForwardPass,
    Regularizer,
    check_features,
    check_latents,
    mean_per_example,
    stateless,
)
from jaxgan.types import Array, PRNGKey


def mode_seeking(epsilon: float = 1e-5) -> Regularizer:
    """Mode seeking: distance of two latents over that of their images, `[batch]`.

    `d(z, z') / (d(G(z), G(z')) + epsilon)` with a second latent z' from the prior, the same
    conditions, and the mean absolute difference d. The generator minimises it by making images
    differ where their latents do. The paper's weight is 1; its authors' code takes the means over
    the batch before the quotient.

    Args:
      epsilon: bound of the denominator from below, positive.

    Returns:
      A regulariser without state.

    Raises:
      ValueError: epsilon is not positive.

    Reference:
      Mao, Lee, Tseng, Ma and Yang, *Mode Seeking Generative Adversarial Networks for Diverse Image
      Synthesis*, 2019, https://arxiv.org/abs/1903.05628.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> generator_penalty = weighted((1.0, mode_seeking()))
    """

    if isinstance(epsilon, float | int) and epsilon <= 0.0:
        raise ValueError(f"epsilon is {epsilon}, expected a positive number")

    def term(forward: ForwardPass, key: PRNGKey, step: Array) -> Array:
        check_latents(forward, "mode_seeking")
        assert forward.prior is not None
        z, other = forward.latents, forward.prior(key, forward.latents.shape[0])
        of_images = mean_per_example(jnp.abs(forward.fake - forward.generator(other)))
        return mean_per_example(jnp.abs(z - other)) / (of_images + epsilon)

    return stateless(term)


def feature_matching() -> Regularizer:
    """Feature matching: `|mean h(x) - mean h(G(z))|^2`, the same value for every example.

    h are the features that the discriminator returns with its logits (a network built
    `with_features`), summed over all arrays if there are several; means are over the batch of all
    devices. In the paper the term takes the place of the generator's adversarial loss; here it is
    added to it.

    Returns:
      A regulariser without state.

    Raises:
      ValueError: in a loss, the discriminator returns no features, or reconstructions.

    Reference:
      Salimans et al., *Improved Techniques for Training GANs*, 2016,
      https://arxiv.org/abs/1606.03498, section 3.1.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> generator_penalty = weighted((1.0, feature_matching()))
    """

    def term(forward: ForwardPass, key: PRNGKey, step: Array) -> Array:
        check_features(forward, "feature_matching")
        if isinstance(forward.fake_features, dict) and "reconstructions" in forward.fake_features:
            raise ValueError(
                "feature_matching was given the reconstructions of a FastGANDiscriminator, "
                "expected features; use another discriminator"
            )
        mean = lambda features: axis.mean(jax.tree.map(lambda h: jnp.mean(h, axis=0), features))
        real, fake = mean(forward.real_features), mean(forward.fake_features)
        squares = jax.tree.map(lambda r, f: jnp.sum((r - f) ** 2), real, fake)
        return jnp.full(forward.fake.shape[:1], sum(jax.tree.leaves(squares)))

    return stateless(term)


def transport() -> Regularizer:
    """Transport cost of an adversarial flow: `mean (G(z) - z)^2`, mean over pixels, `[batch]`.

    Latents have as many coordinates as an image, `latents.normal(height * width * channels)`.
    Many maps push the prior forward to the data, and an adversarial loss does not tell them apart;
    the one with the least cost is the optimal transport. The weight decreases during training (from
    0.2 to 0.005 along a cosine, in the authors' code), since at a constant weight the generator
    shrinks towards its latents.

    Returns:
      A regulariser without state.

    Raises:
      AssertionError: in a loss, latents and images differ in size.

    Reference:
      Lin, Yang, Lin, Chen and Fan, *Adversarial Flow Models*, 2025,
      https://arxiv.org/abs/2511.22475.

    Example:
      >>> from jaxgan import schedules
      >>> from jaxgan.penalties import weighted
      >>> generator_penalty = weighted((schedules.cosine(0.2, 0.005, 100_000), transport()))
    """

    def term(forward: ForwardPass, key: PRNGKey, step: Array) -> Array:
        check_latents(forward, "transport")
        images = forward.fake.reshape(forward.fake.shape[0], -1)
        chex.assert_equal_shape([images, forward.latents])
        return mean_per_example((images - forward.latents) ** 2)

    return stateless(term)
