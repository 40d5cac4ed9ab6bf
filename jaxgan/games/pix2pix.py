"""pix2pix: paired image-to-image translation with a conditional GAN (Isola et al., 2017)."""

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
    scheduled_loss,
)
from jaxgan.games.player_state import PlayerState, apply_penalty, pack, unpack
from jaxgan.games.shared import logits_and_features, mean_outputs, translation_pass
from jaxgan.parallel import axis
from jaxgan.penalties import Penalty, Regularizer, as_regularizer
from jaxgan.types import Array, Batch, ByPlayer, ModelState, Params, PRNGKey, PyTree


def pix2pix(
    generator: Network,
    discriminator: Network,
    *,
    loss: losses.AdversarialLoss | Callable[[Array], losses.AdversarialLoss] | None = None,
    penalty: Penalty | Regularizer | None = None,
    l1_weight: float = 100.0,
    conditional: bool = True,
    noise_channels: int = 0,
    stochastic: bool = False,
) -> Game:
    """pix2pix: a conditional GAN over pairs of images x (`source`) and y (`target`).

    Discriminator: `mean loss.discriminator(D(y, x), D(G(x), x)) / 2 + mean penalty`; as in the
    paper, the factor slows it down relative to the generator.
    Generator: `mean loss.generator(D(y, x), D(G(x), x)) + l1_weight * mean |G(x) - y|`.

    Args:
      generator: `source -> target`, such as `networks.UNetGenerator`; its dropout acts as noise.
      discriminator: `(target, source) -> logits`, `[batch]` or `[batch, rows, columns]`, or
        `-> (logits, features)`; without the source if it is unconditional.
      loss: from `jaxgan.losses`, or a function of the training step that returns one;
        `non_saturating()` by default.
      penalty: penalty on the discriminator as a function of the target, from `jaxgan.penalties`,
        such as `penalties.weighted((1.0, penalties.r1))` or `penalties.lecam()`; the source is held
        fixed. The paper has none.
      l1_weight: weight of the L1 distance between output and target, lambda in the paper.
      conditional: whether the discriminator receives the source too.
      noise_channels: number of channels of standard normal noise, independent for each pixel, that
        are concatenated to the source; the paper uses none, having found that the generator learns
        to ignore them.
      stochastic: whether `sample` applies the generator in training mode, with dropout and batch
        statistics, as the paper does (with batches of one). Otherwise an output is a deterministic
        function of its source, and of its noise channels.

    Returns:
      A game with the players `discriminator` and `generator`. `sample` translates the batch's
      `source`. The discriminator's model state is that of its network; if the penalty has state,
      `{"network": ..., "penalty": ..., "augment": ()}`.

    Raises:
      KeyError: the batch has no `source` or no `target`.
      ValueError: a network is not a `Network`, `noise_channels` is negative, `loss` is a function
        of `jaxgan.losses` that was not called, or `penalty` is not a penalty; in a loss, the output
        has another shape than the target, logits are neither `[batch]` nor `[batch, height,
        width]`, or the penalty needs latents.

    Reference:
      Isola, Zhu, Zhou and Efros, *Image-to-Image Translation with Conditional Adversarial
      Networks*, 2017, https://arxiv.org/abs/1611.07004.

    Example:
      >>> from jaxgan import networks
      >>> game = pix2pix(
      ...     networks.from_linen(networks.UNetGenerator()),
      ...     networks.from_linen(networks.PatchDiscriminator()),
      ... )
      >>> sorted(game.losses)
      ['discriminator', 'generator']
    """
    check_networks(generator=generator, discriminator=discriminator)
    if noise_channels < 0:
        raise ValueError(f"noise_channels is {noise_channels}, expected at least 0")
    game = _Pix2Pix(
        generator=generator,
        discriminator=discriminator,
        adversarial=scheduled_loss(loss),
        penalty=None if penalty is None else as_regularizer(penalty),
        l1_weight=l1_weight,
        conditional=conditional,
        noise_channels=noise_channels,
        stochastic=stochastic,
    )
    return Game(
        init=game.init,
        losses={"discriminator": game.discriminator_loss, "generator": game.generator_loss},
        sample=game.sample,
    )


class _Keys(NamedTuple):
    """Keys of a turn; players that share a minibatch have the same keys."""

    noise: PRNGKey
    generator: PRNGKey
    real: PRNGKey
    fake: PRNGKey
    critic: PRNGKey
    penalty: PRNGKey


@dataclasses.dataclass(frozen=True)
class _Pix2Pix:
    """The pure functions of the game, over the arguments of `pix2pix`."""

    generator: Network
    discriminator: Network
    adversarial: Callable[[Array], losses.AdversarialLoss]
    penalty: Regularizer | None
    l1_weight: float
    conditional: bool
    noise_channels: int
    stochastic: bool

    def init(self, key: PRNGKey, batch: Batch) -> tuple[dict[str, Params], dict[str, ModelState]]:
        check_batch(batch, "source", "target")
        key_noise, key_generator, key_discriminator = jax.random.split(key, 3)
        source, target = batch["source"], batch["target"]
        g_params, g_state = self.generator.init(key_generator, self.with_noise(source, key_noise))
        inputs = (target, source) if self.conditional else (target,)
        d_params, d_state = self.discriminator.init(key_discriminator, *inputs)
        d_state = pack(self.initial_state()._replace(network=d_state))
        return (
            {"discriminator": d_params, "generator": g_params},
            {"discriminator": d_state, "generator": g_state},
        )

    def discriminator_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        fake, _ = self.translate(params["generator"], model_state["generator"], batch, keys)
        own, state = params["discriminator"], self.state(model_state)
        (r, real_features), (f, fake_features), network = self.discriminate(
            own, state.network, batch, fake, keys
        )
        adversarial = self.adversarial(step)
        value = 0.5 * jnp.mean(adversarial.discriminator(r, f))
        metrics = mean_outputs(adversarial, r, f)
        if self.penalty is not None:
            forward = translation_pass(
                lambda y: self.logits(own, state.network, batch, y, keys.critic)[0][0],
                (batch["target"], r, real_features),
                (fake, f, fake_features),
                params=own,
            )
            metrics["penalty"], state = apply_penalty(
                self.penalty, state, forward, keys.penalty, step, player="discriminator"
            )
            value += metrics["penalty"]
        return value, LossAux(pack(state._replace(network=network)), metrics)

    def generator_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        fake, state = self.translate(params["generator"], model_state["generator"], batch, keys)
        network = self.state(model_state).network
        (r, _), (f, _), _ = self.discriminate(params["discriminator"], network, batch, fake, keys)
        adversarial = jnp.mean(self.adversarial(step).generator(r, f))
        l1 = jnp.mean(jnp.abs(fake - batch["target"]))
        metrics = {"adversarial": adversarial, "l1": l1}
        return adversarial + self.l1_weight * l1, LossAux(state, metrics)

    def sample(self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey) -> Array:
        check_batch(batch, "source")
        key_noise, key_dropout = jax.random.split(key)
        own, state = params["generator"], model_state["generator"]
        source = self.with_noise(batch["source"], key_noise)
        apply, train = self.generator.apply, self.stochastic
        return apply(own, state, source, key=key_dropout if train else None, train=train)[0]

    # ---- helpers of the above

    def with_noise(self, source: Array, key: PRNGKey) -> Array:
        """The source, with the noise channels concatenated."""
        if not self.noise_channels:
            return source
        noise = axis.normal(key, (*source.shape[:3], self.noise_channels))
        return jnp.concatenate([source, noise], axis=-1)

    def translate(
        self, params: Params, state: ModelState, batch: Batch, keys: _Keys
    ) -> tuple[Array, ModelState]:
        """Outputs of the generator, and its new state."""
        source = self.with_noise(batch["source"], keys.noise)
        fake, state = self.generator.apply(params, state, source, key=keys.generator, train=True)
        check_like(fake, batch["target"], network="generator")
        return fake, state

    def initial_state(self) -> PlayerState:
        """Initial state of the discriminator's penalty, without its network's."""
        return PlayerState({}, () if self.penalty is None else self.penalty.init())

    def state(self, model_state: ByPlayer) -> PlayerState:
        """State of the discriminator and of its penalty."""
        return unpack(model_state["discriminator"], self.initial_state())

    def discriminate(
        self, own: Params, state: ModelState, batch: Batch, fake: Array, keys: _Keys
    ) -> tuple[tuple[Array, PyTree], tuple[Array, PyTree], ModelState]:
        """Logits and features of targets and of outputs, and the network's new state."""
        real, state = self.logits(own, state, batch, batch["target"], keys.real)
        generated, state = self.logits(own, state, batch, fake, keys.fake)
        return real, generated, state

    def logits(
        self, own: Params, state: ModelState, batch: Batch, target: Array, key: PRNGKey
    ) -> tuple[tuple[Array, PyTree], ModelState]:
        """Logits and features of images with the batch's sources, and the network's new state."""
        inputs = (target, batch["source"]) if self.conditional else (target,)
        output, state = self.discriminator.apply(own, state, *inputs, key=key, train=True)
        logits, features = logits_and_features(output)
        check_logits(logits, len(target))
        return (logits, features), state
