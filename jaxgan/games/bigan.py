"""BiGAN: a GAN over pairs of image and code, with an encoder (Donahue et al., 2017)."""

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


def bigan(
    encoder: Network,
    generator: Network,
    discriminator: Network,
    *,
    latent: Latent,
    loss: losses.AdversarialLoss | Callable[[Array], losses.AdversarialLoss] | None = None,
) -> Game:
    """BiGAN or ALI: generator and encoder against a discriminator of pairs.

    With the discriminator's logits r on `(x, E(x))` and f on `(G(z), z)`,

    discriminator: `mean loss.discriminator(r, f)`;
    generator: `mean loss.generator(r, f)`, which is low if its pairs are classified as real;
    encoder: `mean loss.generator(-f, -r)`, which is low if its pairs are classified as generated.

    At the optimum, both kinds of pairs have the same distribution, and E inverts G.

    Args:
      encoder: `images -> codes [batch, dim]`.
      generator: `codes -> images`.
      discriminator: `(images, codes) -> logits [batch]`, such as `networks.JointMLP((512,))`.
      latent: the prior, `(key, n) -> [n, dim]`.
      loss: from `jaxgan.losses`, or a function of the training step that returns one;
        `non_saturating()` by default. It must be symmetric: unchanged when real and generated are
        exchanged together with the sign of the logits.

    Returns:
      A game with the players `discriminator`, `generator` and `encoder`; in the paper the last two
      move simultaneously, `turns=["discriminator", ("generator", "encoder")]`. Images are the
      batch's `image`; `sample` applies G to latents from the prior; `encode` is E, `decode` is G.

    Raises:
      ValueError: a network is not a `Network`, `latent` is not a prior, or the loss is not
        symmetric, such as `least_squares()`, or was not called; in a loss, generated images have
        another shape than real ones, codes another than the prior's, or logits are neither
        `[batch]` nor `[batch, height, width]`.
      KeyError: the batch has no `image`.

    Reference:
      Donahue, Krähenbühl and Darrell, *Adversarial Feature Learning*, 2017,
      https://arxiv.org/abs/1605.09782; Dumoulin et al., *Adversarially Learned Inference*, 2017,
      https://arxiv.org/abs/1606.00704.

    Example:
      >>> from jaxgan import latents, networks
      >>> game = bigan(
      ...     networks.from_linen(networks.MLP((512,), output_shape=(8,))),
      ...     networks.from_linen(networks.MLP((512,), (28, 28, 1), output_activation=jnp.tanh)),
      ...     networks.from_linen(networks.JointMLP((512,))),
      ...     latent=latents.normal(8),
      ... )
      >>> list(game.losses)
      ['discriminator', 'generator', 'encoder']
    """
    adversarial = scheduled_loss(loss)
    _check_symmetric(adversarial)
    check_networks(encoder=encoder, generator=generator, discriminator=discriminator)
    game = _BiGAN(encoder, generator, discriminator, checked_latent(latent), adversarial)
    prior = lambda *_: latent
    return Game(
        init=game.init,
        losses={
            "discriminator": game.discriminator_loss,
            "generator": game.generator_loss,
            "encoder": game.encoder_loss,
        },
        sample=sample_prior(game.decode, prior),
        encode=of_floats(game.encode),
        decode=game.decode,
        prior=prior,
    )


class _Keys(NamedTuple):
    """Keys of a turn; players that share a minibatch have the same keys."""

    latent: PRNGKey
    generator: PRNGKey
    encoder: PRNGKey
    real: PRNGKey
    fake: PRNGKey


class _ForwardPass(NamedTuple):
    """Logits of `(x, E(x))` and of `(G(z), z)`, and the new model states of all players."""

    real: Array
    fake: Array
    model_state: dict[str, ModelState]


@dataclasses.dataclass(frozen=True)
class _BiGAN:
    """The pure functions of the game, over the arguments of `bigan`."""

    encoder: Network
    generator: Network
    discriminator: Network
    latent: Latent
    adversarial: Callable[[Array], losses.AdversarialLoss]

    def init(self, key: PRNGKey, batch: Batch) -> tuple[dict[str, Params], dict[str, ModelState]]:
        check_batch(batch, "image")
        keys, x = jax.random.split(key, 4), batch["image"]
        z = self.latent(keys[0], x.shape[0])
        params, state = {}, {}
        params["discriminator"], state["discriminator"] = self.discriminator.init(keys[1], x, z)
        params["generator"], state["generator"] = self.generator.init(keys[2], z)
        params["encoder"], state["encoder"] = self.encoder.init(keys[3], x)
        return params, state

    def discriminator_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        r, f, state = self.forward(params, model_state, batch, key)
        adversarial = self.adversarial(step)
        metrics = mean_outputs(adversarial, r, f)
        value = jnp.mean(adversarial.discriminator(r, f))
        return value, LossAux(state["discriminator"], metrics)

    def generator_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        r, f, state = self.forward(params, model_state, batch, key)
        return jnp.mean(self.adversarial(step).generator(r, f)), LossAux(state["generator"], {})

    def encoder_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        r, f, state = self.forward(params, model_state, batch, key)
        return jnp.mean(self.adversarial(step).generator(-f, -r)), LossAux(state["encoder"], {})

    def encode(self, params: ByPlayer, model_state: ByPlayer, images: Array) -> Array:
        own, state = params["encoder"], model_state["encoder"]
        return self.encoder.apply(own, state, images, train=False)[0]

    def decode(self, params: ByPlayer, model_state: ByPlayer, codes: Array) -> Array:
        own, state = params["generator"], model_state["generator"]
        return self.generator.apply(own, state, codes, train=False)[0]

    def forward(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey
    ) -> _ForwardPass:
        """Forward pass of all networks; XLA computes it once for players that move together."""
        keys, x, state = split_key(key, _Keys), batch["image"], dict(model_state)

        def apply(network: Network, player: str, *inputs: Array, key: PRNGKey) -> Array:
            output, state[player] = network.apply(
                params[player], state[player], *inputs, key=key, train=True
            )
            return output

        z = self.latent(keys.latent, x.shape[0])
        code = apply(self.encoder, "encoder", x, key=keys.encoder)
        fake = apply(self.generator, "generator", z, key=keys.generator)
        check_like(fake, x, network="generator")
        check_like(code, z, network="encoder", of="prior")
        r = apply(self.discriminator, "discriminator", x, code, key=keys.real)
        f = apply(self.discriminator, "discriminator", fake, z, key=keys.fake)
        (r, _), (f, _) = map(logits_and_features, (r, f))
        check_logits(r, len(x))
        return _ForwardPass(r, f, state)


def _check_symmetric(adversarial: Callable[[Array], losses.AdversarialLoss]) -> None:
    """Raises a `ValueError` unless `loss.discriminator(r, f) = loss.discriminator(-f, -r)`."""
    with jax.ensure_compile_time_eval():  # also where the game is made in a traced function
        loss = adversarial(jnp.zeros((), jnp.int32))
        r, f = jnp.array([0.3, -1.7, 2.0]), jnp.array([-0.4, 0.9, 1.1])
        symmetric = jnp.allclose(loss.discriminator(r, f), loss.discriminator(-f, -r))
    if not symmetric:
        raise ValueError(
            "this loss changes when real and generated are exchanged with the sign of the logits; "
            "use a logistic loss without label smoothing, hinge or wasserstein"
        )
