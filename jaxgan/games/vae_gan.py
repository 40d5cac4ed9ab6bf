"""VAE-GAN: a VAE with reconstruction loss in a discriminator's features (Larsen et al., 2016)."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import softplus

from jaxgan import latents
from jaxgan.game import Game, LossAux, Network, split_key
from jaxgan.games.checks import (
    check_batch,
    check_like,
    check_networks,
    of_floats,
)
from jaxgan.games.shared import logits_and_features, normal_prior, sample_prior
from jaxgan.losses import gaussian_kl
from jaxgan.types import Array, Batch, ByPlayer, ModelState, Params, PRNGKey


def vae_gan(
    encoder: Network,
    decoder: Network,
    discriminator: Network,
    *,
    gamma: float = 1.0,
    prior_weight: float = 1.0,
    saturating: bool = False,
) -> Game:
    """VAE-GAN: three players; the decoder of a VAE is the generator of a GAN.

    With codes z from q(z|x), reconstructions x' = decoder(z), samples x_p decoded from the prior,
    the discriminator's features h and D = sigmoid(logits), and means over the batch of

        prior         = KL(q(z|x) || N(0, I))
        feature_error = |h(x) - h(x')|^2 / 2,   -log N(h(x); h(x'), I) up to a constant
        gan           = log D(x) + log(1 - D(x')) + log(1 - D(x_p)),

    the losses of the players are

        encoder        prior_weight * prior + feature_error
        decoder        gamma * feature_error - log D(x') - log D(x_p)
        discriminator  -gan.

    Each player descends its own loss only, as in the paper's algorithm 1: gradients of the
    feature error pass through the discriminator and do not update it. The defaults differ from that
    algorithm in two ways: the decoder's adversarial term is the non-saturating one, of the same
    equilibrium (`saturating=True` for the paper's `gan`), and the likelihood has unit variance: its
    error is summed over the features h, so that `gamma` depends on how many there are.

    Args:
      encoder: `images -> [batch, 2, dim]`, mean and log-variance of q(z|x).
      decoder: `codes [batch, dim] -> images` in [-1, 1].
      discriminator: `images -> (logits [batch], features [batch, ...])`, such as
        `networks.DCGANDiscriminator(with_features=True)`.
      gamma: weight of the reconstruction term against the adversarial term in the decoder's loss.
      prior_weight: weight of the KL divergence; 1 in the paper.
      saturating: use the decoder loss `gamma * feature_error + gan`, that of the paper's algorithm,
        instead of the non-saturating one.

    Returns:
      A game with the players `encoder`, `decoder` and `discriminator`, for `simultaneous`. Images
      are the batch's `image`; `sample` decodes codes from the prior; `encode` returns means of
      q(z|x).

    Raises:
      KeyError: the batch has no `image`.
      ValueError: a network is not a `Network`; in a loss, the encoder's output is not `[batch, 2,
        dim]`, the decoder's has another shape than the images, the discriminator returns no
        features, or its logits are not `[batch]`.

    Reference:
      Larsen, Sønderby, Larochelle and Winther, *Autoencoding beyond pixels using a learned
      similarity metric*, 2016, https://arxiv.org/abs/1512.09300.

    Example:
      >>> from jaxgan import networks
      >>> game = vae_gan(
      ...     networks.from_linen(networks.DCGANEncoder((2, 32))),
      ...     networks.from_linen(networks.DCGANGenerator((28, 28, 1))),
      ...     networks.from_linen(networks.DCGANDiscriminator(with_features=True)),
      ... )
      >>> list(game.losses)
      ['encoder', 'decoder', 'discriminator']
    """
    check_networks(encoder=encoder, decoder=decoder, discriminator=discriminator)
    game = _VAEGAN(
        encoder=encoder,
        decoder=decoder,
        discriminator=discriminator,
        gamma=gamma,
        prior_weight=prior_weight,
        saturating=saturating,
    )
    prior = normal_prior(game.encode)
    return Game(
        init=game.init,
        losses={
            "encoder": game.encoder_loss,
            "decoder": game.decoder_loss,
            "discriminator": game.discriminator_loss,
        },
        sample=sample_prior(game.decode, prior),
        encode=of_floats(game.encode),
        decode=game.decode,
        prior=prior,
    )


class _Keys(NamedTuple):
    """Keys of a turn; players that move together have the same keys, codes and samples."""

    encoder: PRNGKey
    posterior: PRNGKey
    prior: PRNGKey
    reconstruction: PRNGKey
    sample: PRNGKey
    real: PRNGKey
    reconstructed: PRNGKey
    sampled: PRNGKey


class _ForwardPass(NamedTuple):
    """Forward pass of all three networks.

    Attributes:
      prior, feature_error: terms of the losses.
      real, reconstructed, sampled: logits `[batch]` of images, reconstructions and samples.
      model_state: new model states of all players.
    """

    prior: Array
    feature_error: Array
    real: Array
    reconstructed: Array
    sampled: Array
    model_state: dict[str, ModelState]


@dataclasses.dataclass(frozen=True)
class _VAEGAN:
    """The pure functions of the game, over the arguments of `vae_gan`."""

    encoder: Network
    decoder: Network
    discriminator: Network
    gamma: float
    prior_weight: float
    saturating: bool

    def init(self, key: PRNGKey, batch: Batch) -> tuple[dict[str, Params], dict[str, ModelState]]:
        check_batch(batch, "image")
        keys, x = jax.random.split(key, 3), batch["image"]
        params, state = {}, {}
        params["encoder"], state["encoder"] = self.encoder.init(keys[0], x)
        q, _ = self.encoder.apply(params["encoder"], state["encoder"], x, train=False)
        mean, _ = latents.mean_and_log_var(q)
        params["decoder"], state["decoder"] = self.decoder.init(keys[1], mean)
        params["discriminator"], state["discriminator"] = self.discriminator.init(keys[2], x)
        return params, state

    def encoder_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        forward = self.forward(params, model_state, batch, key)
        metrics = {"kl": forward.prior, "feature_error": forward.feature_error}
        value = self.prior_weight * forward.prior + forward.feature_error
        return value, LossAux(forward.model_state["encoder"], metrics)

    def decoder_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        forward = self.forward(params, model_state, batch, key)
        if self.saturating:
            values = -softplus(forward.reconstructed) - softplus(forward.sampled)
        else:
            values = softplus(-forward.reconstructed) + softplus(-forward.sampled)
        adversarial = jnp.mean(values)
        value = self.gamma * forward.feature_error + adversarial
        return value, LossAux(forward.model_state["decoder"], {"adversarial": adversarial})

    def discriminator_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        forward = self.forward(params, model_state, batch, key)
        real, reconstructed, sampled = forward.real, forward.reconstructed, forward.sampled
        value = softplus(-real) + softplus(reconstructed) + softplus(sampled)
        logits = {"real": real, "reconstructed": reconstructed, "fake": sampled}
        metrics = {f"{name}_output": jnp.mean(jax.nn.sigmoid(x)) for name, x in logits.items()}
        return jnp.mean(value), LossAux(forward.model_state["discriminator"], metrics)

    def encode(self, params: ByPlayer, model_state: ByPlayer, images: Array) -> Array:
        own, state = params["encoder"], model_state["encoder"]
        q, _ = self.encoder.apply(own, state, images, train=False)
        return latents.mean_and_log_var(q)[0]

    def decode(self, params: ByPlayer, model_state: ByPlayer, codes: Array) -> Array:
        own, state = params["decoder"], model_state["decoder"]
        return self.decoder.apply(own, state, codes, train=False)[0]

    # ---- helpers of the above

    def forward(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey
    ) -> _ForwardPass:
        """Forward pass of all networks; XLA computes it once for players that move together."""
        keys, x, state = split_key(key, _Keys), batch["image"], dict(model_state)

        def apply(network: Network, player: str, inputs: Array, key: PRNGKey) -> Array:
            output, state[player] = network.apply(
                params[player], state[player], inputs, key=key, train=True
            )
            return output

        def discriminate(images: Array, key: PRNGKey) -> tuple[Array, Array]:
            logits, features = logits_and_features(
                apply(self.discriminator, "discriminator", images, key)
            )
            if features is None:
                raise ValueError(
                    "the discriminator returns logits alone, expected (logits, features): set "
                    "with_features=True"
                )
            if logits.ndim != 1:
                raise ValueError(
                    f"the discriminator's logits have the shape {logits.shape}, expected [batch]"
                )
            return logits, features

        q = apply(self.encoder, "encoder", x, keys.encoder)
        mean, log_var = latents.mean_and_log_var(q)
        z = latents.gaussian(keys.posterior, mean, log_var)
        z_p = latents.normal(mean.shape[1])(keys.prior, mean.shape[0])
        x_r = apply(self.decoder, "decoder", z, keys.reconstruction)
        x_p = apply(self.decoder, "decoder", z_p, keys.sample)
        check_like(x_r, x, network="decoder")
        real, h = discriminate(x, keys.real)
        reconstructed, h_r = discriminate(x_r, keys.reconstructed)
        sampled, _ = discriminate(x_p, keys.sampled)
        squares = jnp.sum((h - h_r) ** 2, axis=tuple(range(1, h_r.ndim)))
        return _ForwardPass(
            prior=jnp.mean(jnp.sum(gaussian_kl(mean, log_var), axis=-1)),
            feature_error=0.5 * jnp.mean(squares),
            real=real,
            reconstructed=reconstructed,
            sampled=sampled,
            model_state=state,
        )
