"""The two-player game: generator against discriminator (Goodfellow et al., 2014)."""

import dataclasses
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxgan import losses
from jaxgan.game import Game, LossAndGradient, LossAux, Network
from jaxgan.latents import Latent
from jaxgan.penalties import Penalty
from jaxgan.types import Array, Batch, ByPlayer, ModelState, Params, PRNGKey


def gan(
    generator: Network,
    discriminator: Network,
    *,
    latent: Latent,
    loss: losses.AdversarialLoss | None = None,
    penalty: Penalty | None = None,
    condition: tuple[str, ...] = (),
    one_pass: bool = False,
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
      one_pass: the discriminator sees real and generated examples in one pass over twice the batch,
        instead of in two passes. The same numbers, for a discriminator that treats examples one by
        one: without batch statistics and draws of its own. It pays where a device is not filled by
        one batch; on a CPU it costs time (docs/performance.md).

    Returns:
      A game of the players `discriminator` and `generator`. The batch's `image` `[batch, ...]` is
      what is real. `sample` runs the generator in evaluation mode, a sample for each row of the
      batch's `image`, and `decode`, without conditions, runs it on latents of yours.
      `joint_gradients`, for `one_stage`, wants a discriminator as `one_pass` does, one logit for an
      example, and a loss that is `monotone`.

    Raises:
      KeyError: the batch has no `image`, or none of the conditions' names.
      ValueError: `one_pass` or `one_stage`, and the discriminator has batch statistics.

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
    game = _GAN(
        generator=generator,
        discriminator=discriminator,
        latent=latent,
        adversarial=losses.non_saturating() if loss is None else loss,
        penalty=penalty,
        condition=condition,
        one_pass=one_pass,
    )
    return Game(
        init=game.init,
        losses={"discriminator": game.discriminator_loss, "generator": game.generator_loss},
        sample=game.sample,
        joint_gradients=game.joint_gradients,
        decode=None if condition else game.decode,
    )


class _Keys(NamedTuple):
    """The keys of a turn. Players that share a draw have one key, and meet in one forward pass.

    All come from one split: `fold_in(key, i)` would be key i of it again.
    """

    latent: PRNGKey
    generator: PRNGKey
    real: PRNGKey
    fake: PRNGKey
    critic: PRNGKey
    penalty: PRNGKey


@dataclasses.dataclass(frozen=True)
class _GAN:
    """The pure functions of a game, over what `gan` was given."""

    generator: Network
    discriminator: Network
    latent: Latent
    adversarial: losses.AdversarialLoss
    penalty: Penalty | None
    condition: tuple[str, ...]
    one_pass: bool

    def init(self, key: PRNGKey, batch: Batch) -> tuple[dict[str, Params], dict[str, ModelState]]:
        key_z, key_generator, key_discriminator = jax.random.split(key, 3)
        z = self.latent(key_z, batch["image"].shape[0])
        given = self.given(batch)
        d_params, d_state = self.discriminator.init(key_discriminator, batch["image"], *given)
        g_params, g_state = self.generator.init(key_generator, z, *given)
        return (
            {"discriminator": d_params, "generator": g_params},
            {"discriminator": d_state, "generator": g_state},
        )

    def discriminator_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = _Keys(*jax.random.split(key, 6))
        own, state = params["discriminator"], model_state["discriminator"]
        fake, _ = self.generate(params["generator"], model_state["generator"], batch, keys)
        r, f, new_state = self.discriminate(own, state, batch, fake, keys)
        value, metrics = jnp.mean(self.adversarial.discriminator(r, f)), self.metrics(r, f)
        if self.penalty is not None:
            metrics["penalty"] = self.mean_penalty(own, state, batch, fake, keys, step)
            value += metrics["penalty"]
        return value, LossAux(new_state, metrics)

    def generator_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = _Keys(*jax.random.split(key, 6))
        fake, state = self.generate(params["generator"], model_state["generator"], batch, keys)
        r, f, _ = self.discriminate(
            params["discriminator"], model_state["discriminator"], batch, fake, keys
        )
        return jnp.mean(self.adversarial.generator(r, f)), LossAux(state, {})

    def joint_gradients(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> dict[str, LossAndGradient]:
        """Both players' losses and gradients with one backward pass of the discriminator.

        It carries dL_D/df_i to the discriminator's parameters and to the generated pixels. What the
        generator wants there differs by a number per example only, (dL_G/df_i) / (dL_D/df_i).
        """
        if not self.adversarial.monotone:
            raise ValueError("this loss is not monotone in the fake logits, as one_stage needs it")
        keys = _Keys(*jax.random.split(key, 6))
        own, state = params["discriminator"], model_state["discriminator"]
        _check_no_state(state, "one_stage")
        fake, pull_generator, g_state = jax.vjp(
            lambda own: self.generate(own, model_state["generator"], batch, keys),
            params["generator"],
            has_aux=True,
        )
        (r, f), pull = jax.vjp(
            lambda own, fake: self.discriminate(own, state, batch, fake, keys)[:2], own, fake
        )
        if f.ndim != 1:
            raise ValueError(
                f"the logits have the shape {f.shape}; one_stage needs one per example"
            )
        d_loss = lambda r, f: jnp.mean(self.adversarial.discriminator(r, f))
        g_loss = lambda f: jnp.mean(self.adversarial.generator(r, f))
        d_value, d_logits = jax.value_and_grad(d_loss, (0, 1))(r, f)
        g_value, wanted = jax.value_and_grad(g_loss)(f)
        d_gradient, pixels = pull(d_logits)
        ratio = jnp.where(d_logits[1] == 0.0, 0.0, wanted / d_logits[1])  # 0 where both underflow
        (g_gradient,) = pull_generator(pixels * ratio.reshape(-1, *[1] * (fake.ndim - 1)))

        metrics = self.metrics(r, f)
        if self.penalty is not None:
            metrics["penalty"], more = jax.value_and_grad(self.mean_penalty)(
                own, state, batch, fake, keys, step
            )
            d_value += metrics["penalty"]
            d_gradient = jax.tree.map(jnp.add, d_gradient, more)
        return {
            "discriminator": ((d_value, LossAux(state, metrics)), d_gradient),
            "generator": ((g_value, LossAux(g_state, {})), g_gradient),
        }

    def sample(self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey) -> Array:
        z = self.latent(key, batch["image"].shape[0])
        return self.decode(params, model_state, z, *self.given(batch))

    def decode(self, params: ByPlayer, model_state: ByPlayer, codes: Array, *given: Array) -> Array:
        own, state = params["generator"], model_state["generator"]
        return self.generator.apply(own, state, codes, *given, train=False)[0]

    # ---- what the above are made of

    def given(self, batch: Batch) -> tuple[Array, ...]:
        return tuple(batch[name] for name in self.condition)

    def generate(
        self, params: Params, state: ModelState, batch: Batch, keys: _Keys
    ) -> tuple[Array, ModelState]:
        """Fakes, and the generator's new state."""
        z, given = self.latent(keys.latent, batch["image"].shape[0]), self.given(batch)
        fake, state = self.generator.apply(params, state, z, *given, key=keys.generator, train=True)
        chex.assert_equal_shape([batch["image"], fake])
        return fake, state

    def discriminate(
        self, params: Params, state: ModelState, batch: Batch, fake: Array, keys: _Keys
    ) -> tuple[Array, Array, ModelState]:
        """Logits of real and of generated examples, and the discriminator's new state."""
        real, given = batch["image"], self.given(batch)
        chex.assert_rank(real, {2, 3, 4, 5})
        apply = self.discriminator.apply
        if self.one_pass:
            _check_no_state(state, "one_pass")
            both = (jnp.concatenate([real, fake]), *(jnp.concatenate([c, c]) for c in given))
            # Rows of the joined batch are not rows of the data: nothing may be drawn for them.
            logits, _ = apply(params, state, *both, key=None, train=True)
            return *jnp.split(logits, 2), state
        r, state = apply(params, state, real, *given, key=keys.real, train=True)
        f, state = apply(params, state, fake, *given, key=keys.fake, train=True)
        return r, f, state

    def mean_penalty(
        self,
        params: Params,
        state: ModelState,
        batch: Batch,
        fake: Array,
        keys: _Keys,
        step: Array,
    ) -> Array:
        assert self.penalty is not None

        def critic(x: Array) -> Array:
            given, key = self.given(batch), keys.critic
            return self.discriminator.apply(params, state, x, *given, key=key, train=True)[0]

        return jnp.mean(self.penalty(critic, batch["image"], fake, keys.penalty, step))

    def metrics(self, r: Array, f: Array) -> dict[str, Array]:
        return {
            "real_logits": jnp.mean(r),
            "fake_logits": jnp.mean(f),
            "real_output": jnp.mean(self.adversarial.output(r)),
            "fake_output": jnp.mean(self.adversarial.output(f)),
        }


def _check_no_state(state: ModelState, what: str) -> None:
    if jax.tree.leaves(state):
        raise ValueError(
            f"{what} needs a discriminator without batch statistics, this one has some"
        )
