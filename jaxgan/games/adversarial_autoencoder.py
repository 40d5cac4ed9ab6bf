"""Adversarial autoencoder: codes are matched to the prior by a GAN (Makhzani et al., 2015)."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan import losses
from jaxgan.game import Game, LossAux, Network, split_key
from jaxgan.games.checks import (
    check_batch,
    check_like,
    check_logits,
    check_networks,
    checked_latent,
    of_floats,
    scheduled_loss,
)
from jaxgan.games.shared import logits_and_features, mean_outputs, sample_prior
from jaxgan.latents import Latent
from jaxgan.types import Array, Batch, ByPlayer, ModelState, Params, PRNGKey


def adversarial_autoencoder(
    encoder: Network,
    decoder: Network,
    discriminator: Network,
    *,
    latent: Latent,
    loss: losses.AdversarialLoss | Callable[[Array], losses.AdversarialLoss] | None = None,
    adversarial_weight: float = 0.01,
) -> Game:
    """Adversarial autoencoder: its encoder is also the generator of a GAN over codes.

    Autoencoder: `mean (decoder(e(x)) - x)^2 + w mean loss.generator(D(z), D(e(x)))`, with the
    encoder e and the weight w.
    Discriminator: `mean loss.discriminator(D(z), D(e(x)))`, with z from the prior.

    The paper updates the two terms of the autoencoder's loss in separate turns; here they are one
    loss.

    Args:
      encoder: `images -> codes [batch, dim]`.
      decoder: `codes -> images` in [-1, 1].
      discriminator: `codes -> logits [batch]`, such as `networks.MLP((256, 256))`.
      latent: the prior, `(key, n) -> [n, dim]`; only samples are needed, not a density.
      loss: from `jaxgan.losses`, or a function of the training step that returns one;
        `non_saturating()` by default.
      adversarial_weight: w; small, since the squared error is a mean over pixels.

    Returns:
      A game with the players `discriminator` and `autoencoder`. Images are the batch's `image`;
      `sample` decodes codes from the prior; `encode` and `decode` apply the two networks of the
      autoencoder.

    Raises:
      KeyError: the batch has no `image`.
      ValueError: a network is not a `Network`, `latent` is not a prior, or `loss` is a function of
        `jaxgan.losses` that was not called; in a loss, codes and prior have different dimensions,
        or logits are neither `[batch]` nor `[batch, height, width]`.

    Reference:
      Makhzani, Shlens, Jaitly, Goodfellow and Frey, *Adversarial Autoencoders*, 2015,
      https://arxiv.org/abs/1511.05644.

    Example:
      >>> from jaxgan import latents, networks
      >>> game = adversarial_autoencoder(
      ...     networks.from_linen(networks.MLP((512,), output_shape=(8,))),
      ...     networks.from_linen(networks.MLP((512,), (28, 28, 1), output_activation=jnp.tanh)),
      ...     networks.from_linen(networks.MLP((256,))),
      ...     latent=latents.normal(8),
      ... )
      >>> list(game.losses)
      ['discriminator', 'autoencoder']
    """
    check_networks(encoder=encoder, decoder=decoder, discriminator=discriminator)
    game = _AdversarialAutoencoder(
        encoder=encoder,
        decoder=decoder,
        discriminator=discriminator,
        latent=checked_latent(latent),
        adversarial=scheduled_loss(loss),
        adversarial_weight=adversarial_weight,
    )
    prior = lambda *_: latent
    return Game(
        init=game.init,
        losses={"discriminator": game.discriminator_loss, "autoencoder": game.autoencoder_loss},
        sample=sample_prior(game.decode, prior),
        encode=of_floats(game.encode),
        decode=game.decode,
        prior=prior,
    )


class _Keys(NamedTuple):
    """Keys of a turn; players that share a minibatch have the same keys."""

    encoder: PRNGKey
    decoder: PRNGKey
    latent: PRNGKey
    real: PRNGKey
    fake: PRNGKey


@dataclasses.dataclass(frozen=True)
class _AdversarialAutoencoder:
    """The pure functions of the game, over the arguments of `adversarial_autoencoder`."""

    encoder: Network
    decoder: Network
    discriminator: Network
    latent: Latent
    adversarial: Callable[[Array], losses.AdversarialLoss]
    adversarial_weight: float

    def init(self, key: PRNGKey, batch: Batch) -> tuple[dict[str, Params], dict[str, ModelState]]:
        check_batch(batch, "image")
        keys = jax.random.split(key, 3)
        params, state = {}, {}
        params["encoder"], state["encoder"] = self.encoder.init(keys[0], batch["image"])
        code, _ = self.encoder.apply(
            params["encoder"], state["encoder"], batch["image"], train=False
        )
        params["decoder"], state["decoder"] = self.decoder.init(keys[1], code)
        d_params, d_state = self.discriminator.init(keys[2], code)
        return (
            {"discriminator": d_params, "autoencoder": params},
            {"discriminator": d_state, "autoencoder": state},
        )

    def discriminator_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        code, _ = self.encode_train(params, model_state, batch, keys)
        r, f, state = self.discriminate(params, model_state, code, keys)
        loss = self.adversarial(step)
        metrics = mean_outputs(loss, r, f)
        return jnp.mean(loss.discriminator(r, f)), LossAux(state, metrics)

    def autoencoder_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        own, state = params["autoencoder"], dict(model_state["autoencoder"])
        code, state["encoder"] = self.encode_train(params, model_state, batch, keys)
        output, state["decoder"] = self.decoder.apply(
            own["decoder"], state["decoder"], code, key=keys.decoder, train=True
        )
        r, f, _ = self.discriminate(params, model_state, code, keys)
        error = jnp.mean(losses.squared_error(output, batch["image"]))
        adversarial = jnp.mean(self.adversarial(step).generator(r, f))
        metrics = {"squared_error": error, "adversarial": adversarial}
        return error + self.adversarial_weight * adversarial, LossAux(state, metrics)

    def encode(self, params: ByPlayer, model_state: ByPlayer, images: Array) -> Array:
        own, state = params["autoencoder"]["encoder"], model_state["autoencoder"]["encoder"]
        return self.encoder.apply(own, state, images, train=False)[0]

    def decode(self, params: ByPlayer, model_state: ByPlayer, codes: Array) -> Array:
        own, state = params["autoencoder"]["decoder"], model_state["autoencoder"]["decoder"]
        return self.decoder.apply(own, state, codes, train=False)[0]

    # ---- helpers of the above

    def encode_train(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, keys: _Keys
    ) -> tuple[Array, ModelState]:
        """Codes in training mode, and the encoder's new state."""
        own, state = params["autoencoder"]["encoder"], model_state["autoencoder"]["encoder"]
        return self.encoder.apply(own, state, batch["image"], key=keys.encoder, train=True)

    def discriminate(
        self, params: ByPlayer, model_state: ByPlayer, code: Array, keys: _Keys
    ) -> tuple[Array, Array, ModelState]:
        """Logits of samples from the prior and of codes, and the discriminator's new state."""
        z = self.latent(keys.latent, code.shape[0])
        check_like(code, z, network="encoder", of="prior")
        own, state = params["discriminator"], model_state["discriminator"]
        r, state = self.discriminator.apply(own, state, z, key=keys.real, train=True)
        f, state = self.discriminator.apply(own, state, code, key=keys.fake, train=True)
        (r, _), (f, _) = map(logits_and_features, (r, f))
        check_logits(r, len(z))
        return r, f, state
