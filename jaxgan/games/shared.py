"""Shared by several games: outputs and metrics of a discriminator, sampling from a prior."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgan import latents, losses
from jaxgan.latents import Latent
from jaxgan.ops import at_least_float32
from jaxgan.penalties import Critic, ForwardPass
from jaxgan.types import Array, Batch, ByPlayer, Params, PRNGKey, PyTree

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


def translation_pass(
    discriminator: Critic,
    of_real: tuple[Array, Array, PyTree],
    of_fake: tuple[Array, Array, PyTree],
    *,
    params: Params,
) -> ForwardPass:
    """Forward pass for penalties of a game without latents: one that translates images.

    Args:
      discriminator: `images -> logits`.
      of_real, of_fake: images, with their logits and features.
      params: the discriminator's.
    """
    return ForwardPass(
        discriminator=discriminator,
        generator=None,  # type: ignore[arg-type]  # as `check_latents` says in one line
        latents=None,  # type: ignore[arg-type]
        real=of_real[0],
        fake=of_fake[0],
        real_logits=of_real[1],
        fake_logits=of_fake[1],
        real_features=of_real[2],
        fake_features=of_fake[2],
        params=params,
        discriminator_of_fake=discriminator,
    )


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
