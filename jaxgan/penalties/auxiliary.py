"""Terms of an auxiliary head of the discriminator: AC-GAN's classes and InfoGAN's codes.

The head's outputs are the features that the discriminator returns with its logits; see
`networks.with_head`.
"""

from collections.abc import Sequence

import chex
import jax.numpy as jnp
import optax

from jaxgan.latents import Codes
from jaxgan.penalties.penalty import (
    ForwardPass,
    Regularizer,
    Side,
    check_features,
    check_latents,
    checked_sides,
    stateless,
)
from jaxgan.types import Array, PRNGKey


def auxiliary_classifier(*, of: Side | Sequence[Side] = ("real", "fake")) -> Regularizer:
    """AC-GAN: cross-entropy of the discriminator's class logits, `-log P(label | x)`, `[batch]`.

    Summed over the real and the generated examples, whose labels are those of the real ones. A
    term of both players, weighted by 1 in the paper; the generator's needs `of=("fake",)` only.
    Variants train the classifier on real examples alone, `of=("real",)` for the discriminator.
    A discriminator with batch normalisation, whose statistics tell real from generated batches,
    can classify generated images by other signs than real ones.

    Args:
      of: the examples x: `real`, `fake` or both.

    Returns:
      A regulariser without state.

    Raises:
      ValueError: `of` names something else; in a loss, the discriminator returns no features, or
        the game has no condition.

    Reference:
      Odena, Olah and Shlens, *Conditional Image Synthesis with Auxiliary Classifier GANs*, 2017,
      https://arxiv.org/abs/1610.09585, section 3.

    Example:
      >>> from jaxgan import latents, networks
      >>> from jaxgan.games import gan
      >>> linen = networks.from_linen
      >>> game = gan(
      ...     linen(networks.DCGANGenerator((28, 28, 1), num_classes=10)),
      ...     networks.with_head(
      ...         linen(networks.DCGANDiscriminator(batch_norm=False, with_features=True)),
      ...         linen(networks.MLP((), output_shape=(10,))),
      ...     ),
      ...     latent=latents.normal(64),
      ...     conditions=("label",),
      ...     penalty=auxiliary_classifier(),
      ...     generator_penalty=auxiliary_classifier(of=("fake",)),
      ... )
    """
    sides = checked_sides(of)

    def term(forward: ForwardPass, key: PRNGKey, step: Array) -> Array:
        check_features(forward, "auxiliary_classifier")
        if not forward.conditions:
            raise ValueError('auxiliary_classifier needs labels; pass conditions=("label",)')
        logits = {"real": forward.real_features, "fake": forward.fake_features}
        return sum(
            optax.softmax_cross_entropy_with_integer_labels(logits[side], forward.conditions[0])
            for side in sides
        )

    return stateless(term)


def mutual_information(codes: Codes, *, continuous_weight: float = 1.0) -> Regularizer:
    """InfoGAN: `-log Q(c | G(z))` of the codes c in the latents z, `[batch]`.

    Up to the constant entropy of the codes, minus a lower bound of their mutual information with
    the image. Q is the auxiliary head of the discriminator, with `codes.num_outputs` outputs: the
    logits of each categorical code, whose term is the cross-entropy, and then the means of the
    continuous ones, Gaussian with variance 1 as in the authors' MNIST code, whose term is
    `|c - mean|^2 / 2`, without constants. A term of both players, weighted by 1 in the paper.

    Args:
      codes: the game's prior.
      continuous_weight: weight of the continuous codes beside the categorical ones; 1 in the
        authors' code, smaller in the paper's text.

    Returns:
      A regulariser without state.

    Raises:
      ValueError: in a loss, the discriminator returns no features.
      AssertionError: in a loss, Q has another number of outputs.

    Reference:
      Chen et al., *InfoGAN: Interpretable Representation Learning by Information Maximizing
      Generative Adversarial Nets*, 2016, https://arxiv.org/abs/1606.03657, eq. 5 and 6.

    Example:
      >>> from jaxgan import latents, networks
      >>> from jaxgan.games import gan
      >>> linen = networks.from_linen
      >>> codes = latents.Codes(62, categorical=(10,), continuous=2)
      >>> game = gan(
      ...     linen(networks.DCGANGenerator((28, 28, 1))),
      ...     networks.with_head(
      ...         linen(networks.DCGANDiscriminator(with_features=True)),
      ...         linen(networks.DCGANHead(codes.num_outputs)),
      ...     ),
      ...     latent=codes,
      ...     penalty=mutual_information(codes),
      ...     generator_penalty=mutual_information(codes),
      ... )
    """

    def term(forward: ForwardPass, key: PRNGKey, step: Array) -> Array:
        check_features(forward, "mutual_information")
        check_latents(forward, "mutual_information")
        outputs, truth = forward.fake_features, codes.split(forward.latents)
        chex.assert_shape(outputs, (None, codes.num_outputs))
        value, start = jnp.zeros(outputs.shape[0]), 0
        for category in truth.categories:
            logits = outputs[:, start : start + category.shape[1]]
            value += optax.softmax_cross_entropy(logits, category)
            start += category.shape[1]
        squares = (truth.continuous - outputs[:, start:]) ** 2
        return value + continuous_weight * 0.5 * jnp.sum(squares, axis=1)

    return stateless(term)
