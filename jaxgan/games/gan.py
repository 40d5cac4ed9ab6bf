"""Generative adversarial network (Goodfellow et al., 2014)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxgan import losses
from jaxgan.augment import Augment, Augmentation, as_augmentation
from jaxgan.errors import GameError
from jaxgan.game import Game, LossAndGradient, LossAux, Network, split_key
from jaxgan.games.checks import (
    check_batch,
    check_entries,
    check_like,
    check_logits,
    check_networks,
    checked_conditions,
    checked_latent,
    named,
    scheduled_loss,
)
from jaxgan.games.one_backward import adversarial_gradients
from jaxgan.games.player_state import PlayerState, apply_penalty, pack, unpack
from jaxgan.games.shared import logits_and_features, mean_outputs
from jaxgan.latents import Latent
from jaxgan.parallel import axis
from jaxgan.penalties import ForwardPass, Penalty, Regularizer, as_regularizer
from jaxgan.types import Array, Batch, ByPlayer, ModelState, Params, PRNGKey, PyTree


def gan(
    generator: Network,
    discriminator: Network,
    *,
    latent: Latent,
    loss: losses.AdversarialLoss | Callable[[Array], losses.AdversarialLoss] | None = None,
    penalty: Penalty | Regularizer | None = None,
    generator_penalty: Regularizer | None = None,
    augment: Augment | Augmentation | None = None,
    conditions: tuple[str, ...] = (),
    one_pass: bool = False,
) -> Game:
    """Generative adversarial network: vanilla GAN, DCGAN, WGAN-GP, R3GAN, conditional GAN.

    Discriminator: `mean loss.discriminator(D(T(x)), D(T(G(z)))) + mean penalty`.
    Generator: `mean loss.generator(D(T(x)), D(T(G(z)))) + mean generator_penalty`.
    `z` is sampled from the prior, and T is the augmentation, the identity by default.

    Args:
      generator: `(z, *conditions) -> images`.
      discriminator: `(images, *conditions) -> logits`, `[batch]` or `[batch, height, width]`;
        or `-> (logits, features)`, with features for penalties.
      latent: the prior, `(key, n) -> [n, dim]`, such as `latents.normal(64)`. A custom
        prior has the same samples on any number of devices if it draws with `axis.example_keys`,
        and different ones on every device otherwise.
      loss: from `jaxgan.losses`, or a function of the training step that returns one;
        `non_saturating()` by default.
      penalty: penalty on the discriminator, from `jaxgan.penalties`.
      generator_penalty: regulariser of the generator, such as `penalties.path_length()`.
      augment: T, such as `augment.diff_augment()`, applied to all images that the discriminator
        receives, with independent randomness for real and generated images. The gradient of a
        penalty goes through it, with the random numbers of the real images.
      conditions: names of the batch's entries that both networks receive, such as `("label",)`.
      one_pass: whether the discriminator is applied to real and generated examples in one pass over
        twice the batch, instead of two passes. The results are the same for a discriminator that
        treats examples independently, without batch statistics, `minibatch_stddev` or randomness
        such as dropout. It is faster if a batch does not saturate the device, and slower on a CPU
        (docs/performance.md).

    Returns:
      A game with the players `discriminator` and `generator`. The batch's `image` `[batch, ...]` is
      the real data. `sample` applies the generator in evaluation mode, one sample for each row of
      the batch's `image`; `decode` applies it to given latents and conditions.
      `joint_gradients`, which `one_stage` trains with, requires a discriminator that treats
      examples independently, one logit per example, and a `monotone` loss.

      A player's model state is that of its network; if its penalty or the augmentation has state,
      `{"network": ..., "penalty": ..., "augment": ...}`.

    Raises:
      KeyError: the batch has no `image`, or lacks a condition.
      ValueError: a network is not a `Network`, `loss` is a function of `jaxgan.losses` that was not
        called, or `latent` is not a prior; in a loss, generated images have another shape than real
        ones, logits are neither `[batch]` nor `[batch, height, width]`, or `one_pass` is set and
        the discriminator has `minibatch_stddev` or model state, such as batch statistics; in
        `joint_gradients`, its requirements are not met.

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
    check_networks(generator=generator, discriminator=discriminator)
    if not isinstance(generator_penalty, Regularizer | None):
        raise ValueError(
            f"generator_penalty is {named(generator_penalty)}, expected a Regularizer, such as "
            "penalties.path_length(); a function of the critic is a penalty on the discriminator"
        )
    penalties = {"discriminator": penalty, "generator": generator_penalty}
    game = _GAN(
        generator=generator,
        discriminator=discriminator,
        latent=checked_latent(latent),
        adversarial=scheduled_loss(loss),
        penalties={name: as_regularizer(p) for name, p in penalties.items() if p is not None},
        augmentation=as_augmentation(augment),
        condition_names=checked_conditions(conditions),
        one_pass=one_pass,
    )
    return Game(
        init=game.init,
        losses={"discriminator": game.discriminator_loss, "generator": game.generator_loss},
        sample=game.sample,
        joint_gradients=game.joint_gradients,
        decode=game.decode,
        prior=lambda *_: latent,
        conditions=game.condition_names,
    )


PLAYERS = ("discriminator", "generator")


class _Keys(NamedTuple):
    """Keys of a turn, equal for players that share a minibatch: XLA merges equal forward passes."""

    latent: PRNGKey
    generator: PRNGKey
    real: PRNGKey
    fake: PRNGKey
    critic: PRNGKey
    penalty: PRNGKey
    generator_penalty: PRNGKey
    augment_real: PRNGKey
    augment_fake: PRNGKey


@dataclasses.dataclass(frozen=True)
class _GAN:
    """The pure functions of the game, over the arguments of `gan`."""

    generator: Network
    discriminator: Network
    latent: Latent
    adversarial: Callable[[Array], losses.AdversarialLoss]
    penalties: dict[str, Regularizer]
    augmentation: Augmentation
    condition_names: tuple[str, ...]
    one_pass: bool

    def init(self, key: PRNGKey, batch: Batch) -> tuple[dict[str, Params], dict[str, ModelState]]:
        check_batch(batch, "image", *self.condition_names)
        key_z, key_generator, key_discriminator = jax.random.split(key, 3)
        z = self.latent(key_z, batch["image"].shape[0])
        conditions = self.conditions(batch)
        d_params, d_state = self.discriminator.init(key_discriminator, batch["image"], *conditions)
        g_params, g_state = self.generator.init(key_generator, z, *conditions)
        networks = {"discriminator": d_state, "generator": g_state}
        model_state = {
            player: pack(self.initial_state(player)._replace(network=network))
            for player, network in networks.items()
        }
        return {"discriminator": d_params, "generator": g_params}, model_state

    def discriminator_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        adversarial = self.adversarial(step)
        forward, network, _ = self.forward(params, model_state, batch, keys, step)
        r, f = forward.real_logits, forward.fake_logits
        value, metrics = jnp.mean(adversarial.discriminator(r, f)), _metrics(adversarial, r, f)
        state = self.state(model_state, "discriminator")._replace(network=network)
        state = self.updated_augment(state, r, batch)
        if "discriminator" in self.penalties:
            penalty, state = self.penalty("discriminator", params, state, forward, keys, step)
            value, metrics = value + penalty, metrics | {"penalty": penalty}
        return value, LossAux(pack(state), metrics)

    def generator_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        forward, _, network = self.forward(params, model_state, batch, keys, step)
        r, f = forward.real_logits, forward.fake_logits
        value = jnp.mean(self.adversarial(step).generator(r, f))
        state, metrics = self.state(model_state, "generator")._replace(network=network), {}
        if "generator" in self.penalties:
            penalty, state = self.penalty("generator", params, state, forward, keys, step)
            value, metrics = value + penalty, {"penalty": penalty}
        return value, LossAux(pack(state), metrics)

    def joint_gradients(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> dict[str, LossAndGradient]:
        """Both players' losses and gradients with one backward pass through the discriminator."""
        keys = split_key(key, _Keys)
        states = {player: self.state(model_state, player) for player in PLAYERS}
        _check_no_state(states["discriminator"].network, "one_stage")
        joint = adversarial_gradients(
            self.adversarial(step),
            lambda own: self.generate(own, model_state, batch, keys),
            lambda own, fake: self.discriminate(own, model_state, batch, fake, keys, step)[0],
            generator_params=params["generator"],
            discriminator_params=params["discriminator"],
        )
        r, f = joint.real_logits, joint.fake_logits
        states["discriminator"] = self.updated_augment(states["discriminator"], r, batch)
        states["generator"] = states["generator"]._replace(network=joint.generator_state)
        metrics = {"discriminator": _metrics(self.adversarial(step), r, f), "generator": {}}
        results: dict[str, LossAndGradient] = {}
        for player in PLAYERS:
            value, gradient = getattr(joint, player)
            if player in self.penalties:
                penalty, states[player], of_penalty = self.penalty_gradient(
                    player, params, states[player], model_state, batch, keys, step
                )
                value, metrics[player]["penalty"] = value + penalty, penalty
                gradient = jax.tree.map(jnp.add, gradient, of_penalty)
            aux = LossAux(pack(states[player]), metrics[player])
            results[player] = ((value, aux), gradient)
        return results

    def penalty_gradient(
        self,
        player: str,
        params: ByPlayer,
        state: PlayerState,
        model_state: ByPlayer,
        batch: Batch,
        keys: _Keys,
        step: Array,
    ) -> tuple[Array, PlayerState, Params]:
        """Mean of a player's penalty, the player's new state, and the gradient of the mean."""

        def penalty_of(own: Params) -> tuple[Array, PlayerState]:
            everyone = {**params, player: own}
            forward, _, _ = self.forward(everyone, model_state, batch, keys, step)
            return self.penalty(player, everyone, state, forward, keys, step)

        (penalty, state), gradient = jax.value_and_grad(penalty_of, has_aux=True)(params[player])
        return penalty, state, gradient

    def sample(self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey) -> Array:
        z = self.latent(key, batch["image"].shape[0])
        return self.decode(params, model_state, z, *self.conditions(batch))

    def decode(
        self, params: ByPlayer, model_state: ByPlayer, codes: Array, *conditions: Array
    ) -> Array:
        own, state = params["generator"], self.state(model_state, "generator")
        return self.generator.apply(own, state.network, codes, *conditions, train=False)[0]

    # ---- helpers of the above

    def conditions(self, batch: Batch) -> tuple[Array, ...]:
        check_entries(batch, *self.condition_names)
        return tuple(batch[name] for name in self.condition_names)

    def initial_state(self, player: str) -> PlayerState:
        """Initial states of a player's penalty and augmentation, without its network's."""
        penalty = self.penalties[player].init() if player in self.penalties else ()
        augment = self.augmentation.init() if player == "discriminator" else ()
        return PlayerState({}, penalty, augment)

    def state(self, model_state: ByPlayer, player: str) -> PlayerState:
        return unpack(model_state[player], self.initial_state(player))

    def updated_augment(self, state: PlayerState, real_logits: Array, batch: Batch) -> PlayerState:
        """The discriminator's state with the augmentation's state updated."""
        augment = self.augmentation.update(state.augment, real_logits, len(batch["image"]))
        return state._replace(augment=augment)

    def generate(
        self, params: Params, model_state: ByPlayer, batch: Batch, keys: _Keys
    ) -> tuple[Array, ModelState]:
        """Generated images, and the generator network's new state."""
        z, conditions = self.latent(keys.latent, batch["image"].shape[0]), self.conditions(batch)
        state = self.state(model_state, "generator").network
        fake, state = self.generator.apply(
            params, state, z, *conditions, key=keys.generator, train=True
        )
        check_like(fake, batch["image"], network="generator")
        return fake, state

    def discriminate(
        self,
        params: Params,
        model_state: ByPlayer,
        batch: Batch,
        fake: Array,
        keys: _Keys,
        step: Array,
    ) -> tuple[tuple[Array, Array], tuple[PyTree, PyTree], ModelState]:
        """Logits and features of real and generated images, and the network's new state."""
        chex.assert_rank(batch["image"], {2, 3, 4, 5})
        conditions, apply = self.conditions(batch), self.discriminator.apply
        state, _, augment = self.state(model_state, "discriminator")
        real = self.augmented(augment, keys.augment_real, batch["image"], step)
        fake = self.augmented(augment, keys.augment_fake, fake, step)
        if self.one_pass:
            _check_no_state(state, "one_pass")
            both = (jnp.concatenate([real, fake]), *(jnp.concatenate([c, c]) for c in conditions))
            # No key: rows of the concatenated batch are not the rows that randomness belongs to.
            with axis.independent_examples("one_pass"):
                output, _ = apply(params, state, *both, key=None, train=True)
            real_output, fake_output = (
                jax.tree.map(lambda x, i=i: jnp.split(x, 2)[i], output) for i in (0, 1)
            )
        else:
            real_output, state = apply(params, state, real, *conditions, key=keys.real, train=True)
            fake_output, state = apply(params, state, fake, *conditions, key=keys.fake, train=True)
        (r, r_features), (f, f_features) = map(logits_and_features, (real_output, fake_output))
        check_logits(r, len(batch["image"]))
        check_like(f, r, network="discriminator", of="logits of real images")
        return (r, f), (r_features, f_features), state

    def augmented(self, state: PyTree, key: PRNGKey, images: Array, step: Array) -> Array:
        """T of images."""
        output = self.augmentation.apply(state, key, images, step)
        if len(output) != len(images):  # conditions and penalties are those of the images
            raise ValueError(
                f"the augmentation returned {len(output)} images of {len(images)}, expected as many"
            )
        return output

    def forward(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, keys: _Keys, step: Array
    ) -> tuple[ForwardPass, ModelState, ModelState]:
        """Forward pass of both networks, and new states of discriminator and generator networks."""
        fake, g_state = self.generate(params["generator"], model_state, batch, keys)
        (r, f), features, d_state = self.discriminate(
            params["discriminator"], model_state, batch, fake, keys, step
        )
        conditions = self.conditions(batch)

        def critic(x: Array, key_augment: PRNGKey) -> Array:
            state, _, augment = self.state(model_state, "discriminator")
            x = self.augmented(augment, key_augment, x, step)
            output, _ = self.discriminator.apply(
                params["discriminator"], state, x, *conditions, key=keys.critic, train=True
            )
            return logits_and_features(output)[0]

        def generate(z: Array) -> Array:
            state = self.state(model_state, "generator").network
            return self.generator.apply(
                params["generator"], state, z, *conditions, key=keys.generator, train=True
            )[0]

        z = self.latent(keys.latent, batch["image"].shape[0])
        forward = ForwardPass(
            discriminator=lambda x: critic(x, keys.augment_real),
            generator=generate,
            latents=z,
            real=batch["image"],
            fake=fake,
            real_logits=r,
            fake_logits=f,
            real_features=features[0],
            fake_features=features[1],
            conditions=conditions,
            prior=self.latent,
            discriminator_of_fake=lambda x: critic(x, keys.augment_fake),
        )
        return forward, d_state, g_state

    def penalty(
        self,
        player: str,
        params: ByPlayer,
        state: PlayerState,
        forward: ForwardPass,
        keys: _Keys,
        step: Array,
    ) -> tuple[Array, PlayerState]:
        """Mean of a player's penalty, and the player's state with the penalty's state updated."""
        key = keys.penalty if player == "discriminator" else keys.generator_penalty
        forward = forward._replace(params=params[player])
        return apply_penalty(self.penalties[player], state, forward, key, step, player=player)


def _metrics(adversarial: losses.AdversarialLoss, r: Array, f: Array) -> dict[str, Array]:
    logits = {"real_logits": jnp.mean(r), "fake_logits": jnp.mean(f)}
    return logits | mean_outputs(adversarial, r, f)


def _check_no_state(state: ModelState, what: str) -> None:
    if jax.tree.leaves(state):
        names = f" ({', '.join(state)})" if isinstance(state, Mapping) else ""
        raise GameError(
            f"{what} needs a discriminator without model state, and this one has some{names}"
        )
