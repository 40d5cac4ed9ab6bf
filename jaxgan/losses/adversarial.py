"""Adversarial losses: one line of a paper each, on logits, unreduced.

Throughout, `r` are the discriminator's logits on real examples and `f` on generated ones, float of
one shape: `[batch]`, or `[batch, height, width]` for a patch discriminator. Every loss returns
that shape. D(x) = sigmoid(logit) where the paper has a probability; logits are never squashed
first, so losses and gradients stay finite at any logit.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxgan.parallel import axis
from jaxgan.types import Array


class AdversarialLoss(NamedTuple):
    """What generator and discriminator pay, given the discriminator's logits.

    Attributes:
      generator: `(real_logits, fake_logits) -> loss`, shapes as the logits.
      discriminator: `(real_logits, fake_logits) -> loss`, shapes as the logits.
      output: `logits -> D(x)`, the discriminator's output as the paper means it: a probability for
        the logistic losses, the logit itself for critics. It is reported, never trained on.
      monotone: the discriminator's loss strictly grows with every fake logit. Then its gradient
        tells the generator everything, as `one_stage` makes use of.
    """

    generator: Callable[[Array, Array], Array]
    discriminator: Callable[[Array, Array], Array]
    output: Callable[[Array], Array] = lambda logits: logits
    monotone: bool = False


def minimax(real_label: float = 1.0) -> AdversarialLoss:
    """The original game: D maximises, and G minimises, `log D(x) + log(1 - D(G(z)))`.

    Discriminator: `softplus(-r) + softplus(f)`. Generator: `-softplus(f)`, whose gradient vanishes
    where the discriminator is sure (`f << 0`); see `non_saturating`.

    Args:
      real_label: target of D on real examples, in (0, 1]; below 1 it is one-sided label smoothing
        (Salimans et al., *Improved Techniques for Training GANs*, 2016,
        https://arxiv.org/abs/1606.03498).

    Returns:
      An `AdversarialLoss`. At equilibrium every logit is 0, D = 1/2, and the discriminator pays
      log 4.

    Reference:
      Goodfellow et al., *Generative Adversarial Nets*, 2014, https://arxiv.org/abs/1406.2661,
      eq. 1.

    Example:
      >>> import jax.numpy as jnp
      >>> minimax().discriminator(jnp.zeros(2), jnp.zeros(2))  # log 4 each
      Array([1.3862944, 1.3862944], dtype=float32)
    """
    return AdversarialLoss(
        generator=_checked(lambda r, f: -jax.nn.softplus(f)),
        discriminator=_logistic(real_label),
        output=jax.nn.sigmoid,
        monotone=True,
    )


def non_saturating(real_label: float = 1.0) -> AdversarialLoss:
    """The original game, its generator's loss replaced by one that does not saturate.

    Discriminator as in `minimax`. Generator: `softplus(-f)`, it maximises `log D(G(z))`.

    Args:
      real_label: as in `minimax`.

    Returns:
      An `AdversarialLoss`.

    Reference:
      Goodfellow et al., *Generative Adversarial Nets*, 2014, https://arxiv.org/abs/1406.2661,
      section 3.
    """
    return AdversarialLoss(
        generator=_checked(lambda r, f: jax.nn.softplus(-f)),
        discriminator=_logistic(real_label),
        output=jax.nn.sigmoid,
        monotone=True,
    )


def wasserstein() -> AdversarialLoss:
    """The critic estimates the Wasserstein-1 distance; it must be kept Lipschitz by other means.

    Critic: `f - r`. Generator: `-f`.

    Returns:
      An `AdversarialLoss`; minus the critic's mean loss is the estimate of the distance.

    Reference:
      Arjovsky, Chintala and Bottou, *Wasserstein GAN*, 2017, https://arxiv.org/abs/1701.07875;
      with `penalties.wgan_gp`: Gulrajani et al., *Improved Training of Wasserstein GANs*, 2017,
      https://arxiv.org/abs/1704.00028.
    """
    return AdversarialLoss(
        generator=_checked(lambda r, f: -f),
        discriminator=_checked(lambda r, f: f - r),
        monotone=True,
    )


def hinge() -> AdversarialLoss:
    """The margin form: the critic gains nothing from logits beyond ±1 on the right side.

    Critic: `max(0, 1 - r) + max(0, 1 + f)`. Generator: `-f`.

    Returns:
      An `AdversarialLoss`.

    Reference:
      Lim and Ye, *Geometric GAN*, 2017, https://arxiv.org/abs/1705.02894.
    """
    return AdversarialLoss(
        generator=_checked(lambda r, f: -f),
        discriminator=_checked(lambda r, f: jax.nn.relu(1.0 - r) + jax.nn.relu(1.0 + f)),
    )


def least_squares(real: float = 1.0, fake: float = 0.0, target: float = 1.0) -> AdversarialLoss:
    """Regression of the discriminator's output to codes for real and generated.

    Discriminator: `((r - real)^2 + (f - fake)^2) / 2`. Generator: `(f - target)^2 / 2`.

    Args:
      real: code of real examples (the paper's b).
      fake: code of generated examples (a).
      target: what the generator wants its examples to be taken for (c). The generator minimises a
        Pearson chi-squared divergence for `real - target = 1` and `real - fake = 2`.

    Returns:
      An `AdversarialLoss`.

    Reference:
      Mao et al., *Least Squares Generative Adversarial Networks*, 2017,
      https://arxiv.org/abs/1611.04076, eq. 2 and 9.
    """
    return AdversarialLoss(
        generator=_checked(lambda r, f: 0.5 * (f - target) ** 2),
        discriminator=_checked(lambda r, f: 0.5 * ((r - real) ** 2 + (f - fake) ** 2)),
    )


def relativistic_paired() -> AdversarialLoss:
    """The critic says which of a real and a generated example is the real one.

    Critic: `softplus(f - r)`. Generator: `softplus(r - f)`. Rows of `r` and `f` are pairs.

    Returns:
      An `AdversarialLoss`. At equilibrium each player pays log 2.

    Reference:
      Jolicoeur-Martineau, *The relativistic discriminator: a key element missing from standard
      GAN*, 2018, https://arxiv.org/abs/1807.00734; with R1 and R2: Huang et al., *The GAN is dead;
      long live the GAN! A Modern GAN Baseline*, 2024, https://arxiv.org/abs/2501.05441.
    """
    return AdversarialLoss(
        generator=_checked(lambda r, f: jax.nn.softplus(r - f)),
        discriminator=_checked(lambda r, f: jax.nn.softplus(f - r)),
        monotone=True,
    )


def relativistic_average() -> AdversarialLoss:
    """The critic says whether an example is more real than the average one of the other kind.

    With `r' = r - mean f` and `f' = f - mean r`, means over the batch of all devices:
    critic `softplus(-r') + softplus(f')`, generator `softplus(r') + softplus(-f')`.

    Returns:
      An `AdversarialLoss`.

    Reference:
      Jolicoeur-Martineau, *The relativistic discriminator: a key element missing from standard
      GAN*, 2018, https://arxiv.org/abs/1807.00734, section 4.2.
    """

    def relative(r: Array, f: Array) -> tuple[Array, Array]:
        return r - axis.mean(jnp.mean(f)), f - axis.mean(jnp.mean(r))

    def generator(r: Array, f: Array) -> Array:
        r, f = relative(r, f)
        return jax.nn.softplus(r) + jax.nn.softplus(-f)

    def discriminator(r: Array, f: Array) -> Array:
        r, f = relative(r, f)
        return jax.nn.softplus(-r) + jax.nn.softplus(f)

    return AdversarialLoss(_checked(generator), _checked(discriminator), monotone=True)


def _logistic(real_label: float) -> Callable[[Array, Array], Array]:
    """Cross entropy of sigmoid(r) with `real_label`, and of sigmoid(f) with 0."""
    if not 0.0 < real_label <= 1.0:
        raise ValueError(f"real_label is {real_label}, expected a probability in (0, 1]")
    return _checked(lambda r, f: jax.nn.softplus(-r) + (1.0 - real_label) * r + jax.nn.softplus(f))


def _checked(loss: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    def checked(real_logits: Array, fake_logits: Array) -> Array:
        chex.assert_equal_shape([real_logits, fake_logits])
        return loss(real_logits, fake_logits)

    return checked
