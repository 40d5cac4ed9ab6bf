"""Reconstruction of real images by the discriminator (Liu et al., 2021)."""

import jax.numpy as jnp

from jaxgan.penalties.penalty import ForwardPass, Regularizer, mean_per_example, stateless
from jaxgan.types import Array, PRNGKey


def reconstruction() -> Regularizer:
    """Mean absolute error of what the discriminator decodes of real images, `[batch]`.

    `sum_i mean |decoded_i - image_i|` over the pairs in the features that the discriminator returns
    with the logits of real images, `{"reconstructions": [(decoded, image), ...]}`, as
    `networks.FastGANDiscriminator` does. The paper's weight is 1. (Its authors' code measures the
    difference with LPIPS, whose weights are another network's.)

    Returns:
      A regulariser without state.

    Raises:
      ValueError: in a loss, the discriminator returns no reconstructions.

    Reference:
      Liu, Zhu, Song and Elgammal, *Towards Faster and Stabilized GAN Training for High-fidelity
      Few-shot Image Synthesis*, 2021, https://arxiv.org/abs/2101.04775, eq. 2.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> penalty = weighted((1.0, reconstruction()))  # with a `networks.FastGANDiscriminator`
    """

    def term(forward: ForwardPass, key: PRNGKey, step: Array) -> Array:
        features = forward.real_features
        if not isinstance(features, dict) or "reconstructions" not in features:
            raise ValueError(
                "the discriminator returns no reconstructions with its logits; "
                "use networks.FastGANDiscriminator, or leave out penalties.reconstruction"
            )
        pairs = features["reconstructions"]
        errors = [mean_per_example(jnp.abs(decoded - image)) for decoded, image in pairs]
        return jnp.sum(jnp.stack(errors), axis=0)

    return stateless(term)
