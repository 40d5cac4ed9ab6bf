"""Checks of what a game is given: networks, priors, losses, batches, and the shapes of outputs."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxgan import latents, losses
from jaxgan.corruptions import Corruption
from jaxgan.game import Network
from jaxgan.latents import Latent
from jaxgan.parallel import axis
from jaxgan.penalties.penalty import takes
from jaxgan.types import Array, Batch, ByPlayer, PRNGKey

Encode = Callable[[ByPlayer, ByPlayer, Array], Array]


def check_batch(batch: Batch, *names: str) -> None:
    """Raises a `KeyError` if the batch lacks one of these entries; see `check_entries`.

    And a `ValueError` if images are integers.
    """
    check_entries(batch, *names)
    for name in names:
        _check_floats(name, batch[name])


def of_floats(encode: Encode) -> Encode:
    """The encoder of a game, which raises a `ValueError` if images are integers."""

    def checked(params: ByPlayer, model_state: ByPlayer, images: Array) -> Array:
        _check_floats("images", images)
        return encode(params, model_state, images)

    return checked


def _check_floats(name: str, images: Array) -> None:
    if images.ndim == 4 and not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            f"{name} has the dtype {images.dtype}, expected floats in [-1, 1]: "
            "jaxgan.data.as_float(images), or with_float_images(batch)"
        )


def check_entries(batch: Batch, *names: str) -> None:
    """Raises a `KeyError` that says what the batch has, if it lacks one of these entries."""
    for name in names:
        if name not in batch:
            raise KeyError(f"the batch has no {name}; its entries are {', '.join(batch) or 'none'}")


def check_like(output: Array, like: Array, *, network: str, of: str = "images") -> None:
    """Raises a `ValueError` if a network's output has another shape than the images."""
    if output.shape != like.shape:
        raise ValueError(
            f"the {network}'s output has the shape {output.shape}, expected that of the {of}, "
            f"{like.shape}"
        )


def check_networks(**networks: Any) -> None:
    """Raises a `ValueError` if any is not a `Network`, such as a module that was not wrapped."""
    for name, network in networks.items():
        if not isinstance(network, Network):
            raise ValueError(
                f"{name} is a {type(network).__name__}, expected a jaxgan.Network: "
                "jaxgan.from_linen(module), or jaxgan.from_nnx"
            )


def checked_conditions(conditions: tuple[str, ...]) -> tuple[str, ...]:
    """The names of conditions; raises a `ValueError` if they are one string."""
    if isinstance(conditions, str):
        raise ValueError(f'conditions is "{conditions}", expected a tuple: ("{conditions}",)')
    return tuple(conditions)


def checked_latent(latent: Any) -> Latent:
    """The prior, with different samples on every device (`axis.sampled`).

    Raises:
      ValueError: it is not one, such as a function that was not called.
    """
    not_called = getattr(latents, getattr(latent, "__name__", ""), None) is latent
    if not_called or not takes(latent, 2):
        raise ValueError(
            f"latent is {named(latent)}, expected a prior (key, n) -> [n, dim], such as "
            "latents.normal(64)"
        )
    return lambda key, n: axis.sampled(lambda own_key: latent(own_key, n), key)


def checked_corruption(name: str, corruption: Corruption | None) -> Corruption:
    """The corruption, with different randomness on every device; the identity by default.

    Raises:
      ValueError: it is not one, such as a function that was not called.
    """
    if corruption is None:
        return lambda key, images: images
    if not takes(corruption, 2):
        raise ValueError(
            f"{name} is {named(corruption)}, expected a function (key, images) -> images, such as "
            "corruptions.gaussian_noise(0.5)"
        )

    def checked(key: PRNGKey, images: Array) -> Array:
        output = axis.sampled(lambda own_key: corruption(own_key, images), key)
        if len(output) != len(images):
            raise ValueError(
                f"{name} returned {len(output)} images of {len(images)}, expected as many"
            )
        return output

    return checked


def named(value: Any) -> str:
    """A function's name, and any other value as Python writes it."""
    return getattr(value, "__name__", repr(value))


def check_logits(logits: Array, num_examples: int) -> None:
    """Raises a `ValueError` unless logits are `[batch]` or `[batch, height, width]`.

    Penalties and `one_stage` expect one logit per example, or per patch; a packed discriminator has
    one per pack.
    """
    if logits.ndim not in (1, 3):
        raise ValueError(
            f"the discriminator's logits have the shape {logits.shape}, expected [batch] or "
            "[batch, height, width]" + ("; return logits[:, 0]" if logits.shape[1:] == (1,) else "")
        )
    if not len(logits) or num_examples % len(logits):
        raise ValueError(
            f"the discriminator has logits of {len(logits)} examples, expected those of the "
            f"{num_examples} that it was given"
        )


def checked_loss(loss: Any) -> losses.AdversarialLoss:
    """The loss, `non_saturating()` by default, with the shapes of its values checked.

    Raises:
      ValueError: it is not one, or a function that was not called; in a call, values are not those
        of the logits, such as `[batch, batch]` of logits that were broadcast.
    """
    if loss is None:
        return losses.non_saturating()
    if not isinstance(loss, losses.AdversarialLoss) and not callable(loss):
        raise ValueError(f"loss is {loss!r}, expected one of jaxgan.losses, such as losses.hinge()")
    if not isinstance(loss, losses.AdversarialLoss):
        name = getattr(loss, "__name__", type(loss).__name__)
        raise ValueError(f"loss is the function {name}; call it: {name}()")
    return loss._replace(
        generator=_per_logit("generator", loss.generator),
        discriminator=_per_logit("discriminator", loss.discriminator),
    )


def _per_logit(
    player: str, values_of: Callable[[Array, Array], Array]
) -> Callable[[Array, Array], Array]:
    def checked(real_logits: Array, fake_logits: Array) -> Array:
        values = values_of(real_logits, fake_logits)
        if jnp.shape(values) not in ((), real_logits.shape, real_logits.shape[:1]):
            raise ValueError(
                f"the {player}'s loss has the shape {values.shape}, expected that of the logits, "
                f"{real_logits.shape}"
            )
        return values

    return checked


def scheduled_loss(
    loss: losses.AdversarialLoss | Callable[[Array], losses.AdversarialLoss] | None,
) -> Callable[[Array], losses.AdversarialLoss]:
    """The loss as a function of the training step."""
    # A function of `jaxgan.losses` itself would be called with the training step.
    of_losses = getattr(loss, "__module__", None) == losses.AdversarialLoss.__module__
    if callable(loss) and not of_losses:
        return lambda step: checked_loss(loss(step))
    constant = checked_loss(loss)
    return lambda step: constant
