"""What the flags of the image experiments add to a loss: penalties and augmentations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxgan.experiments.images import Config

    from jaxgan.augment import Augment, Augmentation
    from jaxgan.data import Dataset
    from jaxgan.latents import Latent
    from jaxgan.penalties import Regularizer

FEW = 20_000  # images; ADA's authors see overfitting with fewer
WITH_ZERO = ("minimax", "non_saturating", "hinge")  # losses by which D(x) > 0 means real


def make_terms(config: Config, prior: Latent) -> tuple[Regularizer | None, Regularizer | None]:
    """Weighted sums of the penalties on discriminator and generator; `None` if there are none."""
    from jaxgan import augment, penalties, schedules

    def gamma(weight: float) -> Any:
        steps = config.burn_in_steps
        return schedules.cosine(weight, weight / 10, steps) if steps and weight else weight

    gradient = _sum(
        (gamma(config.r1), penalties.r1),
        (gamma(config.r2), penalties.r2),
        (config.gradient_penalty, penalties.wgan_gp),
        (config.dragan, penalties.dragan),
    )
    shift = augment.diff_augment(("translation",))
    of_head = lambda *names: (
        (config.acgan, penalties.auxiliary_classifier(of=names)),
        *(((config.infogan, penalties.mutual_information(prior)),) if config.infogan else ()),
    )
    discriminator = _sum(
        (1.0, penalties.lazily(gradient, every=config.penalty_every)) if gradient else (0.0, None),
        (config.lecam, penalties.lecam()),
        (config.consistency, penalties.consistency(shift, of=("real", "fake"))),
        (config.latent_consistency, penalties.latent_consistency()),
        (1.0 if config.network == "fastgan" else 0.0, penalties.reconstruction()),
        *of_head("real", "fake"),
    )
    generator = _sum(
        (config.path_length, penalties.lazily(penalties.path_length(), every=4)),
        (config.mode_seeking, penalties.mode_seeking()),
        (config.orthogonal, penalties.orthogonal(exclude=("embedding",))),
        (config.latent_diversity, penalties.latent_diversity()),
        *of_head("fake"),
    )
    return discriminator, generator


def _sum(*terms: tuple[Any, Any]) -> Any:
    """The weighted sum of the terms whose weight is not 0; a single term of weight 1 is itself."""
    from jaxgan import penalties

    wanted = [(weight, term) for weight, term in terms if callable(weight) or weight]
    if not wanted:
        return None
    return wanted[0][1] if wanted[0][0] == 1.0 and len(wanted) == 1 else penalties.weighted(*wanted)


def chosen_augmentation(config: Config, dataset: Dataset) -> str:
    """The name of the augmentation, where the flag leaves it to the number of images."""
    if config.augment != "auto":
        return config.augment
    few = len(dataset.train["image"]) < FEW
    return "diff_augment" if few and not config.instance_noise else "none"


def make_augment(config: Config, name: str) -> Augment | Augmentation | None:
    """The augmentation of a name, and instance noise after it."""
    import optax

    from jaxgan import augment

    named = {"none": None, "diff_augment": augment.diff_augment(), "ada": make_ada(config)}[name]
    if not config.instance_noise:
        return named
    schedule = optax.linear_schedule(config.instance_noise, 0.0, config.decay_steps)
    noise = augment.instance_noise(schedule)
    return noise if named is None else augment.chain(named, noise)


def make_ada(config: Config) -> Augmentation:
    """ADA whose p follows the signs of D's logits, or R3GAN's schedule if they have no zero."""
    from jaxgan import augment, schedules

    if config.loss in WITH_ZERO:
        return augment.ada()
    rising = schedules.cosine(0.0, 0.3, config.burn_in_steps or config.decay_steps)
    return augment.ada(augment.R3GAN_POLICY, p=rising, target=None)
