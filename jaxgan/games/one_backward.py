"""Gradients of both players of a GAN by one backward pass through the discriminator."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.errors import GameError
from jaxgan.losses import AdversarialLoss
from jaxgan.parallel import axis
from jaxgan.types import Array, ModelState, Params


class AdversarialGradients(NamedTuple):
    """Values of both adversarial losses, their gradients, and results of the forward pass.

    Attributes:
      discriminator, generator: `(value, gradient)`.
      real_logits, fake_logits: `[batch]`.
      generator_state: new state of the generator's network.
    """

    discriminator: tuple[Array, Params]
    generator: tuple[Array, Params]
    real_logits: Array
    fake_logits: Array
    generator_state: ModelState


def adversarial_gradients(
    loss: AdversarialLoss,
    generate: Callable[[Params], tuple[Array, ModelState]],
    discriminate: Callable[[Params, Array], tuple[Array, Array]],
    *,
    generator_params: Params,
    discriminator_params: Params,
) -> AdversarialGradients:
    """Gradients of both adversarial losses.

    One backward pass propagates dL_D/df_i to the discriminator's parameters and to the generated
    pixels. The generator's gradient at the pixels differs by a scalar per example,
    (dL_G/df_i) / (dL_D/df_i).

    Args:
      loss: the adversarial loss.
      generate: `generator params -> (images, new state)`.
      discriminate: `(discriminator params, generated images) -> (real logits, fake logits)`.
      generator_params, discriminator_params: where the gradients are taken.

    Raises:
      GameError: the loss is not monotone in the fake logits, the discriminator does not treat
        examples independently, or its logits are not one per example.
    """
    if not loss.monotone:
        raise GameError(
            "this loss is not monotone in the fake logits, which one_stage needs; use simultaneous"
        )
    fake, generator_vjp, state = jax.vjp(generate, generator_params, has_aux=True)
    with axis.independent_examples("one_stage"):
        (r, f), discriminator_vjp = jax.vjp(discriminate, discriminator_params, fake)
    if f.shape != fake.shape[:1]:
        raise GameError(f"the logits have the shape {f.shape}; one_stage needs one per example")
    d_loss = lambda r, f: jnp.mean(loss.discriminator(r, f))
    g_loss = lambda f: jnp.mean(loss.generator(r, f))
    d_value, d_logits = jax.value_and_grad(d_loss, (0, 1))(r, f)
    g_value, g_logits = jax.value_and_grad(g_loss)(f)
    d_gradient, fake_gradient = discriminator_vjp(d_logits)
    ratio = jnp.where(d_logits[1] == 0.0, 0.0, g_logits / d_logits[1])  # 0 where D's underflows
    (g_gradient,) = generator_vjp(fake_gradient * ratio.reshape(-1, *[1] * (fake.ndim - 1)))
    return AdversarialGradients((d_value, d_gradient), (g_value, g_gradient), r, f, state)
