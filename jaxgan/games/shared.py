"""Shared by several games: checks of batches and outputs, metrics of a discriminator, sampling."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgan import latents, losses
from jaxgan.latents import Latent
from jaxgan.types import Array, Batch, ByPlayer, PRNGKey

Sample = Callable[[ByPlayer, ByPlayer, Batch, PRNGKey], Array]
Decode = Callable[[ByPlayer, ByPlayer, Array], Array]
Prior = Callable[[ByPlayer, ByPlayer, Batch], Latent]


def check_batch(batch: Batch, *names: str) -> None:
    """Raises a `KeyError` that says what the batch has, if it lacks one of these entries."""
    for name in names:
        if name not in batch:
            raise KeyError(f"the batch has no {name}; its entries are {', '.join(batch) or 'none'}")


def check_like(output: Array, images: Array, *, network: str) -> None:
    """Raises a `ValueError` if a network's output has another shape than the images."""
    if output.shape != images.shape:
        raise ValueError(
            f"the {network}'s output has the shape {output.shape}, expected that of the images, "
            f"{images.shape}"
        )


def check_logits(logits: Array) -> None:
    """Raises a `ValueError` unless logits are `[batch]` or `[batch, height, width]`.

    Penalties and `one_stage` expect one logit per example, or per patch.
    """
    if logits.ndim not in (1, 3):
        raise ValueError(
            f"the discriminator's logits have the shape {logits.shape}, expected [batch] or "
            "[batch, height, width]" + ("; return logits[:, 0]" if logits.shape[1:] == (1,) else "")
        )


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
