"""Shared by several games: checks of batches and outputs, metrics of a discriminator, sampling."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxgan import latents, losses
from jaxgan.game import Network
from jaxgan.latents import Latent
from jaxgan.ops import at_least_float32
from jaxgan.parallel import axis
from jaxgan.penalties import Penalty, Regularizer
from jaxgan.penalties.penalty import check_penalty, takes
from jaxgan.types import Array, Batch, ByPlayer, PRNGKey, PyTree

Sample = Callable[[ByPlayer, ByPlayer, Batch, PRNGKey], Array]
Decode = Callable[[ByPlayer, ByPlayer, Array], Array]
Prior = Callable[[ByPlayer, ByPlayer, Batch], Latent]


def check_batch(batch: Batch, *names: str) -> None:
    """Raises a `KeyError` that says what the batch has, if it lacks one of these entries.

    And a `ValueError` if images are integers.
    """
    for name in names:
        if name not in batch:
            raise KeyError(f"the batch has no {name}; its entries are {', '.join(batch) or 'none'}")
        if batch[name].ndim == 4 and not jnp.issubdtype(batch[name].dtype, jnp.floating):
            raise ValueError(
                f"{name} has the dtype {batch[name].dtype}, expected floats in [-1, 1]; convert "
                "images by jaxgan.data.with_float_images(batch)"
            )


def check_like(output: Array, like: Array, *, network: str, of: str = "images") -> None:
    """Raises a `ValueError` if a network's output has another shape than the images."""
    if output.shape != like.shape:
        raise ValueError(
            f"the {network}'s output has the shape {output.shape}, expected that of the {of}, "
            f"{like.shape}"
        )


def check_networks(**networks: Any) -> None:
    """Raises a `ValueError` if any is no `Network`, such as a module that was not wrapped."""
    for name, network in networks.items():
        if not isinstance(network, Network):
            raise ValueError(
                f"{name} is a {type(network).__name__}, expected a jaxgan.Network: "
                "jaxgan.from_linen(module), or jaxgan.from_nnx"
            )


def checked_condition(condition: tuple[str, ...]) -> tuple[str, ...]:
    """The names of conditions; raises a `ValueError` if they are one string."""
    if isinstance(condition, str):
        raise ValueError(f'condition is "{condition}", expected a tuple: ("{condition}",)')
    return tuple(condition)


def checked_latent(latent: Any) -> Latent:
    """The prior, with samples of their own on every device (`axis.sampled`).

    Raises:
      ValueError: it is none, such as a function that was not called.
    """
    not_called = getattr(latents, getattr(latent, "__name__", ""), None) is latent
    if not_called or not takes(latent, 2):
        name = getattr(latent, "__name__", repr(latent))
        raise ValueError(
            f"latent is {name}, expected a prior (key, n) -> [n, dim], such as latents.normal(64)"
        )
    return lambda key, n: axis.sampled(lambda own_key: latent(own_key, n), key)


def check_logits(logits: Array) -> None:
    """Raises a `ValueError` unless logits are `[batch]` or `[batch, height, width]`.

    Penalties and `one_stage` expect one logit per example, or per patch.
    """
    if logits.ndim not in (1, 3):
        raise ValueError(
            f"the discriminator's logits have the shape {logits.shape}, expected [batch] or "
            "[batch, height, width]" + ("; return logits[:, 0]" if logits.shape[1:] == (1,) else "")
        )


def checked_loss(loss: Any) -> losses.AdversarialLoss:
    """The loss, `non_saturating()` by default; raises a `ValueError` if it was not called."""
    if loss is None:
        return losses.non_saturating()
    if not isinstance(loss, losses.AdversarialLoss) and not callable(loss):
        raise ValueError(f"loss is {loss!r}, expected one of jaxgan.losses, such as losses.hinge()")
    if not isinstance(loss, losses.AdversarialLoss):
        name = getattr(loss, "__name__", type(loss).__name__)
        raise ValueError(f"loss is the function {name}; call it: {name}()")
    return loss


def checked_penalty(penalty: Penalty | None) -> Penalty | None:
    """The penalty; raises a `ValueError` if it is a `Regularizer`, which may have state."""
    if isinstance(penalty, Regularizer):
        raise ValueError(
            "penalty is a Regularizer, which gan takes; expected a function (critic, real, fake, "
            "key, step), such as penalties.r1 or penalties.weighted((1.0, penalties.r1))"
        )
    if penalty is not None:
        check_penalty(penalty)
    return penalty


def scheduled_loss(
    loss: losses.AdversarialLoss | Callable[[Array], losses.AdversarialLoss] | None,
) -> Callable[[Array], losses.AdversarialLoss]:
    """The loss as a function of the training step."""
    # A function of `jaxgan.losses` itself would be called with the training step.
    of_losses = getattr(loss, "__module__", None) == losses.AdversarialLoss.__module__
    if callable(loss) and not of_losses:
        return loss
    constant = checked_loss(loss)
    return lambda step: constant


def logits_and_features(output: Array | tuple[Array, PyTree]) -> tuple[Array, PyTree]:
    """Logits, at least float32, and features of a discriminator's output.

    Features are `None` if it returns logits alone.
    """
    logits, features = output if isinstance(output, tuple) else (output, None)
    return at_least_float32(logits), features


def mean_outputs(
    loss: losses.AdversarialLoss, real_logits: Array, fake_logits: Array
) -> dict[str, Array]:
    """Metrics of a discriminator: means of D on real and on generated examples."""
    return {
        "real_output": jnp.mean(loss.output(real_logits)),
        "fake_output": jnp.mean(loss.output(fake_logits)),
    }


def sample_prior(decode: Decode, prior: Prior) -> Sample:
    """`sample` of a game: decodes codes from the prior, one per row of the batch's `image`."""

    def sample(params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey) -> Array:
        codes = prior(params, model_state, batch)(key, batch["image"].shape[0])
        return decode(params, model_state, codes)

    return sample


def normal_prior(encode: Decode) -> Prior:
    """Standard normal prior over the encoder's codes."""

    def prior(params: ByPlayer, model_state: ByPlayer, batch: Batch) -> Latent:
        codes = jax.eval_shape(encode, params, model_state, batch["image"])
        return latents.normal(codes.shape[1])

    return prior
