"""The two-player game: generator against discriminator (Goodfellow et al., 2014)."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxgan import losses
from jaxgan.game import Game, LossAux, Network
from jaxgan.latents import Latent
from jaxgan.penalties import Penalty
from jaxgan.types import Array, Batch, ByPlayer, ModelState, Params, PRNGKey


class _Forward(NamedTuple):
    """One pass through both networks; model states are those after the pass."""

    real_logits: Array
    fake_logits: Array
    fake: Array
    generator_state: ModelState
    discriminator_state: ModelState


def gan(
    generator: Network,
    discriminator: Network,
    *,
    latent: Latent,
    loss: losses.AdversarialLoss | None = None,
    penalty: Penalty | None = None,
    condition: tuple[str, ...] = (),
) -> Game:
    """Generator against discriminator: vanilla GAN, DCGAN, WGAN-GP, R3GAN, conditional GAN.

    Discriminator: `mean loss.discriminator(D(x), D(G(z))) + mean penalty`.
    Generator: `mean loss.generator(D(x), D(G(z)))`, with `z` from the prior.

    Args:
      generator: `(z, *conditions) -> images`.
      discriminator: `(images, *conditions) -> logits`, `[batch]` or `[batch, height, width]`.
      latent: the prior, `(key, n) -> [n, dim]`.
      loss: from `jaxgan.losses`; `non_saturating()` when left out.
      penalty: from `jaxgan.penalties`, on the discriminator; its critic has the conditions bound.
      condition: names of the batch's entries that both networks receive, such as `("label",)`.

    Returns:
      A game of the players `discriminator` and `generator`. The batch's `image` `[batch, ...]` is
      what is real. `sample` runs the generator in evaluation mode, a sample for each row of the
      batch's `image`.

    Raises:
      KeyError: the batch has no `image`, or none of the conditions' names.

    Reference:
      Goodfellow et al., *Generative Adversarial Nets*, 2014, https://arxiv.org/abs/1406.2661;
      conditions: Mirza and Osindero, *Conditional Generative Adversarial Nets*, 2014,
      https://arxiv.org/abs/1411.1784.

    Example:
      >>> from jaxgan import latents, networks
      >>> game = gan(
      ...     networks.from_linen(networks.MLP((128,), output_shape=(2,))),
      ...     networks.from_linen(networks.MLP((128,))),
      ...     latent=latents.normal(8),
      ... )
      >>> sorted(game.losses)
      ['discriminator', 'generator']
    """
    adversarial = losses.non_saturating() if loss is None else loss

    def conditions(batch: Batch) -> tuple[Array, ...]:
        return tuple(batch[name] for name in condition)

    def init(key: PRNGKey, batch: Batch) -> tuple[dict[str, Params], dict[str, ModelState]]:
        key_z, key_generator, key_discriminator = jax.random.split(key, 3)
        z = latent(key_z, batch["image"].shape[0])
        given = conditions(batch)
        d_params, d_state = discriminator.init(key_discriminator, batch["image"], *given)
        g_params, g_state = generator.init(key_generator, z, *given)
        return (
            {"discriminator": d_params, "generator": g_params},
            {"discriminator": d_state, "generator": g_state},
        )

    def forward(params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey) -> _Forward:
        chex.assert_rank(batch["image"], {2, 3, 4, 5})
        key_z, key_generator, key_real, key_fake, _, _ = jax.random.split(key, 6)
        real, given = batch["image"], conditions(batch)
        fake, g_state = generator.apply(
            params["generator"],
            model_state["generator"],
            latent(key_z, real.shape[0]),
            *given,
            key=key_generator,
            train=True,
        )
        chex.assert_equal_shape([real, fake])
        d_params, d_state = params["discriminator"], model_state["discriminator"]
        r, d_state = discriminator.apply(d_params, d_state, real, *given, key=key_real, train=True)
        f, d_state = discriminator.apply(d_params, d_state, fake, *given, key=key_fake, train=True)
        return _Forward(r, f, fake, g_state, d_state)

    def discriminator_loss(
        params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        # Players that share a draw have one key, and meet in one forward pass. The penalty's keys
        # come from the same split: fold_in(key, i) would be key i of it again.
        r, f, fake, _, d_state = forward(params, model_state, batch, key)
        key_critic, key_penalty = jax.random.split(key, 6)[4:]
        value = jnp.mean(adversarial.discriminator(r, f))
        metrics = {
            "real_logits": jnp.mean(r),
            "fake_logits": jnp.mean(f),
            "real_output": jnp.mean(adversarial.output(r)),
            "fake_output": jnp.mean(adversarial.output(f)),
        }
        if penalty is not None:

            def critic(x: Array) -> Array:
                return discriminator.apply(
                    params["discriminator"],
                    model_state["discriminator"],
                    x,
                    *conditions(batch),
                    key=key_critic,
                    train=True,
                )[0]

            metrics["penalty"] = jnp.mean(penalty(critic, batch["image"], fake, key_penalty, step))
            value += metrics["penalty"]
        return value, LossAux(d_state, metrics)

    def generator_loss(
        params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        r, f, _, g_state, _ = forward(params, model_state, batch, key)
        return jnp.mean(adversarial.generator(r, f)), LossAux(g_state, {})

    def sample(params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey) -> Array:
        z = latent(key, batch["image"].shape[0])
        return generator.apply(
            params["generator"], model_state["generator"], z, *conditions(batch), train=False
        )[0]

    return Game(init, {"discriminator": discriminator_loss, "generator": generator_loss}, sample)
