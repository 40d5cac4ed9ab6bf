"""Adversarial losses on logits, unreduced; each is one line of a paper.

Throughout, `r` are the discriminator's logits on real examples and `f` on generated ones, floats of
one shape: `[batch]`, or `[batch, height, width]` for a patch discriminator. Every loss returns
that shape. D(x) = sigmoid(logit) where the paper has a probability; losses are computed from the
logits directly, so losses and gradients are finite at any logit.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxgan.parallel import axis
from jaxgan.types import Array


class AdversarialLoss(NamedTuple):
    """Pair of generator and discriminator losses, as functions of the discriminator's logits.

    Attributes:
      generator: `(real_logits, fake_logits) -> loss`, of the shape of the logits.
      discriminator: `(real_logits, fake_logits) -> loss`, of the shape of the logits.
      output: `logits -> D(x)`, the discriminator's output as defined in the paper: a probability
        for the logistic losses, the logit itself for critics. It is for reporting only.
      monotone: whether the discriminator's loss strictly increases in every fake logit. Then the
        generator's gradient can be computed from the discriminator's, as `one_stage` does.

    Example, the exponential loss, for `gan(..., loss=exponential)`:
      >>> exponential = AdversarialLoss(
      ...     generator=lambda real, fake: jnp.exp(-fake),
      ...     discriminator=lambda real, fake: jnp.exp(-real) + jnp.exp(fake),
      ...     monotone=True,
      ... )
      >>> exponential.discriminator(jnp.zeros(2), jnp.zeros(2)).tolist()
      [2.0, 2.0]
    """

    generator: Callable[[Array, Array], Array]
    discriminator: Callable[[Array, Array], Array]
    output: Callable[[Array], Array] = lambda logits: logits
    monotone: bool = False


def minimax(real_label: float = 1.0) -> AdversarialLoss:
    """Minimax (saturating) GAN loss: D maximises, G minimises `log D(x) + log(1 - D(G(z)))`.

    Discriminator: `softplus(-r) + softplus(f)`. Generator: `-softplus(f)`, whose gradient vanishes
    where the discriminator is confident (`f << 0`); see `non_saturating`.

    Args:
      real_label: target of D on real examples, in (0, 1]; below 1 it is one-sided label smoothing
        (Salimans et al., *Improved Techniques for Training GANs*, 2016,
        https://arxiv.org/abs/1606.03498).

    Returns:
      An `AdversarialLoss`. At equilibrium, with `real_label=1`, every logit is 0, D = 1/2, and the
      discriminator's loss is log 4.

    Raises:
      ValueError: `real_label` is not in (0, 1].

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
    """Non-saturating GAN loss: the generator maximises `log D(G(z))`.

    Discriminator as in `minimax`. Generator: `softplus(-f)`.

    Args:
      real_label: as in `minimax`.

    Returns:
      An `AdversarialLoss`.

    Raises:
      ValueError: `real_label` is not in (0, 1].

    Reference:
      Goodfellow et al., *Generative Adversarial Nets*, 2014, https://arxiv.org/abs/1406.2661,
      section 3.

    Example:
      >>> import jax.numpy as jnp
      >>> non_saturating().generator(jnp.zeros(1), jnp.array([-100.0]))  # minimax: 0
      Array([100.], dtype=float32)
    """
    return AdversarialLoss(
        generator=_checked(lambda r, f: jax.nn.softplus(-f)),
        discriminator=_logistic(real_label),
        output=jax.nn.sigmoid,
        monotone=True,
    )


def wasserstein() -> AdversarialLoss:
    """Wasserstein loss: the critic estimates the Wasserstein-1 distance.

    Critic: `f - r`. Generator: `-f`. The critic must be kept Lipschitz by other means, such as
    `penalties.wgan_gp`.

    Returns:
      An `AdversarialLoss`; the negative mean loss of the critic estimates the distance.

    Reference:
      Arjovsky, Chintala and Bottou, *Wasserstein GAN*, 2017, https://arxiv.org/abs/1701.07875;
      with `penalties.wgan_gp`: Gulrajani et al., *Improved Training of Wasserstein GANs*, 2017,
      https://arxiv.org/abs/1704.00028.

    Example:
      >>> import jax.numpy as jnp
      >>> wasserstein().discriminator(jnp.array([2.0]), jnp.array([0.5]))
      Array([-1.5], dtype=float32)
    """
    return AdversarialLoss(
        generator=_checked(lambda r, f: -f),
        discriminator=_checked(lambda r, f: f - r),
        monotone=True,
    )


def hinge() -> AdversarialLoss:
    """Hinge loss: the critic's loss is zero for logits beyond ±1 on the correct side.

    Critic: `max(0, 1 - r) + max(0, 1 + f)`. Generator: `-f`.

    Returns:
      An `AdversarialLoss`.

    Reference:
      Lim and Ye, *Geometric GAN*, 2017, https://arxiv.org/abs/1705.02894.

    Example:
      >>> import jax.numpy as jnp
      >>> hinge().discriminator(jnp.array([3.0, 0.5]), jnp.array([-3.0, 0.0]))
      Array([0. , 1.5], dtype=float32)
    """
    return AdversarialLoss(
        generator=_checked(lambda r, f: -f),
        discriminator=_checked(lambda r, f: jax.nn.relu(1.0 - r) + jax.nn.relu(1.0 + f)),
    )


def least_squares(real: float = 1.0, fake: float = 0.0, target: float = 1.0) -> AdversarialLoss:
    """Least-squares loss: regression of the discriminator's output on labels for real and fake.

    Discriminator: `((r - real)^2 + (f - fake)^2) / 2`. Generator: `(f - target)^2 / 2`.

    Args:
      real: label of real examples (the paper's b).
      fake: label of generated examples (the paper's a).
      target: the generator's target for generated examples (the paper's c). The generator minimises
        a Pearson chi-squared divergence for `real - target = 1` and `real - fake = 2`.

    Returns:
      An `AdversarialLoss`.

    Reference:
      Mao et al., *Least Squares Generative Adversarial Networks*, 2017,
      https://arxiv.org/abs/1611.04076, eq. 2 and 9.

    Example:
      >>> import jax.numpy as jnp
      >>> least_squares().discriminator(jnp.array([0.0]), jnp.array([1.0]))
      Array([1.], dtype=float32)
    """
    return AdversarialLoss(
        generator=_checked(lambda r, f: 0.5 * (f - target) ** 2),
        discriminator=_checked(lambda r, f: 0.5 * ((r - real) ** 2 + (f - fake) ** 2)),
    )


def relativistic_paired() -> AdversarialLoss:
    """Relativistic pairing loss: the critic classifies which example of a pair is the real one.

    Critic: `softplus(f - r)`. Generator: `softplus(r - f)`. Rows of `r` and `f` are pairs.

    Returns:
      An `AdversarialLoss`. At equilibrium each player's loss is log 2.

    Reference:
      Jolicoeur-Martineau, *The relativistic discriminator: a key element missing from standard
      GAN*, 2018, https://arxiv.org/abs/1807.00734; with R1 and R2: Huang et al., *The GAN is dead;
      long live the GAN! A Modern GAN Baseline*, 2024, https://arxiv.org/abs/2501.05441.

    Example:
      >>> import jax.numpy as jnp
      >>> relativistic_paired().discriminator(jnp.array([7.0]), jnp.array([7.0]))  # log 2
      Array([0.6931472], dtype=float32)
    """
    return AdversarialLoss(
        generator=_checked(lambda r, f: jax.nn.softplus(r - f)),
        discriminator=_checked(lambda r, f: jax.nn.softplus(f - r)),
        monotone=True,
    )


def relativistic_average() -> AdversarialLoss:
    """Relativistic average loss: the critic compares each example to the other class on average.

    With `r' = r - mean f` and `f' = f - mean r`, means over the global batch of all devices:
    critic `softplus(-r') + softplus(f')`, generator `softplus(r') + softplus(-f')`.

    Returns:
      An `AdversarialLoss`.

    Reference:
      Jolicoeur-Martineau, *The relativistic discriminator: a key element missing from standard
      GAN*, 2018, https://arxiv.org/abs/1807.00734, section 4.2.

    Example:
      >>> import jax.numpy as jnp
      >>> relativistic_average().discriminator(jnp.zeros(2), jnp.zeros(2))  # log 4 each
      Array([1.3862944, 1.3862944], dtype=float32)
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


def top_k(loss: AdversarialLoss, fraction: float | Array) -> AdversarialLoss:
    """Top-k training: the generator's mean loss is that of the examples with the highest logits.

    The discriminator's loss is unchanged. The generator's is `n / k` times the loss of the `k`
    generated examples, of the `n` on all devices, with the highest logits, and 0 for the others. Of
    equal logits either all or none count.

    Args:
      loss: the loss, whose discriminator considers high logits real.
      fraction: k / n, in (0, 1]; at least one example is kept. The paper decreases it from 1 to 1/2
        or 3/4 during training: let the loss be a function of the step.

    Returns:
      An `AdversarialLoss`.

    Raises:
      ValueError: `fraction` is a number outside of (0, 1].

    Reference:
      Sinha, Zhao, Goyal, Raffel and Odena, *Top-k Training of GANs: Improving GAN Performance by
      Throwing Away Bad Samples*, 2020, https://arxiv.org/abs/2002.06224.

    Example:
      >>> import jax.numpy as jnp
      >>> top_k(wasserstein(), 0.5).generator(jnp.zeros(4), jnp.array([3.0, 1.0, 2.0, 0.0]))
      Array([-6., -0., -4., -0.], dtype=float32)
      >>> from jaxgan import schedules
      >>> fraction = schedules.cosine(1.0, 0.5, 10_000)
      >>> loss = lambda step: top_k(wasserstein(), fraction(step))  # of gan(loss=loss)
    """

    if isinstance(fraction, float | int) and not 0.0 < fraction <= 1.0:
        raise ValueError(f"fraction is {fraction}, expected k / n in (0, 1]")

    def generator(r: Array, f: Array) -> Array:
        ranked = jnp.sort(axis.all_gather(jax.lax.stop_gradient(f)).ravel(), descending=True)
        k = jnp.clip(jnp.round(fraction * ranked.size).astype(int), 1, ranked.size)
        kept = (f >= ranked[k - 1]).astype(f.dtype)
        return loss.generator(r, f) * kept / axis.mean(jnp.mean(kept))

    return loss._replace(generator=_checked(generator))


def _logistic(real_label: float) -> Callable[[Array, Array], Array]:
    """Sum of the cross entropies of sigmoid(r) with `real_label` and of sigmoid(f) with 0."""
    if isinstance(real_label, float | int) and not 0.0 < real_label <= 1.0:
        raise ValueError(f"real_label is {real_label}, expected a probability in (0, 1]")
    return _checked(lambda r, f: jax.nn.softplus(-r) + (1.0 - real_label) * r + jax.nn.softplus(f))


def _checked(loss: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    def checked(real_logits: Array, fake_logits: Array) -> Array:
        chex.assert_equal_shape([real_logits, fake_logits])
        return loss(real_logits, fake_logits)

    return checked
