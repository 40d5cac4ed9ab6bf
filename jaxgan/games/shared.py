"""Shared by several games: outputs and metrics of a discriminator, sampling from a prior."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgan import latents, losses
from jaxgan.latents import Latent
from jaxgan.ops import at_least_float32
from jaxgan.types import Array, Batch, ByPlayer, PRNGKey, PyTree

Sample = Callable[[ByPlayer, ByPlayer, Batch, PRNGKey], Array]
Decode = Callable[[ByPlayer, ByPlayer, Array], Array]
Prior = Callable[[ByPlayer, ByPlayer, Batch], Latent]


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
