"""CycleGAN: unpaired image-to-image translation with cycle consistency (Zhu et al., 2017)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan import losses
from jaxgan.game import Game, LossAux, Network, split_key
from jaxgan.games import image_buffer
from jaxgan.games.checks import (
    check_batch,
    check_like,
    check_logits,
    check_networks,
    scheduled_loss,
)
from jaxgan.games.player_state import PlayerState, apply_penalty
from jaxgan.games.shared import logits_and_features, mean_outputs, translation_pass
from jaxgan.penalties import Penalty, Regularizer, as_regularizer
from jaxgan.types import Array, Batch, ByPlayer, ModelState, Params, PRNGKey, PyTree


def cyclegan(
    generators: Mapping[str, Network],
    discriminators: Mapping[str, Network],
    *,
    loss: losses.AdversarialLoss | Callable[[Array], losses.AdversarialLoss] | None = None,
    penalty: Penalty | Regularizer | None = None,
    cycle_weight: float = 10.0,
    identity_weight: float = 0.5,
    pool_size: int = 50,
) -> Game:
    """CycleGAN: generators x to y and y to x against discriminators of the domains y and x.

    With G and F the generators `x2y` and `y2x`,

    generators: `mean loss.generator(D_y(G(x))) + mean loss.generator(D_x(F(y)))
    + c (mean |F(G(x)) - x| + mean |G(F(y)) - y|) + c i (mean |G(y) - y| + mean |F(x) - x|)`, with
    the weights c of the cycle loss and i of the identity loss;
    discriminators: `mean loss.discriminator(D_y(y), D_y(G(x))) / 2 + mean penalty` plus the same of
    x, where the generated images go through an image buffer (Shrivastava et al., 2017).

    Args:
      generators: `x2y` and `y2x`, such as `networks.ResNetGenerator`.
      discriminators: `x` and `y`, `image -> logits`, `[batch]` or `[batch, rows, columns]`.
      loss: from `jaxgan.losses`. By default the squared error, `(D(fake) - 1)^2` of the generators
        and `(D(real) - 1)^2 + D(fake)^2` of the discriminators, which is *twice*
        `least_squares()`; the paper's weights are relative to it. Or a function of the training
        step that returns a loss. Relativistic losses are refused: the generators' loss has no
        logits of real images.
      penalty: penalty on each discriminator, from `jaxgan.penalties`, such as
        `penalties.weighted((1.0, penalties.r1))` or `penalties.lecam()`; generated images are those
        of the buffer. The paper has none.
      cycle_weight: c.
      identity_weight: i, relative to c; 0 for no identity loss. It preserves colours, and requires
        domains with the same number of channels.
      pool_size: size of the image buffer of each domain; 0 for no buffer.

    Returns:
      A game with the players `discriminators` and `generators`, of two networks each. Images are
      the batch's `x` and `y`; `sample` translates `x` to y, or `y` to x if the batch has no `x`.
      The authors' code updates the generators first, and the discriminators on the images of the
      generators *before* that update: a simultaneous turn, `turns=[("discriminators",
      "generators")]`, which also translates once for both.

    Raises:
      ValueError: the networks have other names or are not `Network`s, the loss is relativistic or
        was not called, or `penalty` is not a penalty; in a loss, translations have another shape
        than the images of their domain, logits are neither `[batch]` nor `[batch, height, width]`,
        or the penalty needs latents.
      KeyError: the batch has no `x` or no `y`.

    Reference:
      Zhu, Park, Isola and Efros, *Unpaired Image-to-Image Translation using Cycle-Consistent
      Adversarial Networks*, 2017, https://arxiv.org/abs/1703.10593.

    Example:
      >>> from jaxgan import networks
      >>> G = networks.from_linen(networks.ResNetGenerator())
      >>> D = networks.from_linen(networks.PatchDiscriminator(norm="instance"))
      >>> sorted(cyclegan({"x2y": G, "y2x": G}, {"x": D, "y": D}).losses)
      ['discriminators', 'generators']
    """
    for networks, expected in ((generators, {"x2y", "y2x"}), (discriminators, {"x", "y"})):
        if set(networks) != expected:
            raise ValueError(f"networks are named {sorted(networks)}, expected {sorted(expected)}")
    check_networks(**generators, **discriminators)
    adversarial = scheduled_loss(_squared_error() if loss is None else loss)
    _check_without_real(adversarial(jnp.int32(0)))
    game = _CycleGAN(
        generators=generators,
        discriminators=discriminators,
        adversarial=adversarial,
        penalty=None if penalty is None else as_regularizer(penalty),
        cycle_weight=cycle_weight,
        identity_weight=identity_weight,
        pool_size=pool_size,
    )
    return Game(
        init=game.init,
        losses={"discriminators": game.discriminators_loss, "generators": game.generators_loss},
        sample=game.sample,
    )


def _squared_error() -> losses.AdversarialLoss:
    """Squared error of the authors' code, without the 1/2 that `least_squares` has."""
    half = losses.least_squares()
    return half._replace(
        generator=lambda r, f: 2.0 * half.generator(r, f),
        discriminator=lambda r, f: 2.0 * half.discriminator(r, f),
    )


def _check_without_real(loss: losses.AdversarialLoss) -> None:
    """Raises a `ValueError` if the generator's loss depends on the logits of real images."""
    with jax.ensure_compile_time_eval():
        f = jnp.array([0.3, -1.7])
        without = jnp.allclose(loss.generator(f, f), loss.generator(f + 1.0, f))
    if not without:
        raise ValueError(
            "this loss of the generators depends on the logits of real images, which CycleGAN's do "
            "not see; use least_squares, non_saturating, hinge or wasserstein"
        )


DIRECTIONS = {"x2y": ("x", "y"), "y2x": ("y", "x")}  # source and target domains by generator


class _Keys(NamedTuple):
    """Keys of a turn; the direction or domain is folded into each. Both players have the same."""

    translation: PRNGKey
    cycle: PRNGKey
    identity: PRNGKey
    real: PRNGKey
    fake: PRNGKey
    buffer: PRNGKey
    critic: PRNGKey
    penalty: PRNGKey


@dataclasses.dataclass(frozen=True)
class _CycleGAN:
    """The pure functions of the game, over the arguments of `cyclegan`."""

    generators: Mapping[str, Network]
    discriminators: Mapping[str, Network]
    adversarial: Callable[[Array], losses.AdversarialLoss]
    penalty: Regularizer | None
    cycle_weight: float
    identity_weight: float
    pool_size: int

    def init(self, key: PRNGKey, batch: Batch) -> tuple[dict[str, Params], dict[str, ModelState]]:
        check_batch(batch, "x", "y")
        channels = [batch[name].shape[-1] for name in ("x", "y")]
        if self.identity_weight and channels[0] != channels[1]:
            raise ValueError(
                f"x and y have {channels[0]} and {channels[1]} channels, and the identity loss "
                "compares them; set identity_weight=0"
            )
        keys = iter(jax.random.split(key, 4))
        g_params, g_state, d_params, d_state, buffers = {}, {}, {}, {}, {}
        for name, (source, _) in DIRECTIONS.items():
            g_params[name], g_state[name] = self.generators[name].init(next(keys), batch[source])
        for name in ("x", "y"):
            d_params[name], d_state[name] = self.discriminators[name].init(next(keys), batch[name])
            buffers[name] = image_buffer.empty(self.pool_size, batch[name][0])
        discriminators = self.pack(d_state, buffers, self.initial_penalties())
        return (
            {"discriminators": d_params, "generators": g_params},
            {"discriminators": discriminators, "generators": g_state},
        )

    def generators_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        own, state = params["generators"], dict(model_state["generators"])
        fakes, state = self.translate(own, state, batch, keys)
        adversarial, cycle, identity = jnp.zeros(()), jnp.zeros(()), jnp.zeros(())
        for i, (name, (source, target)) in enumerate(DIRECTIONS.items()):
            inverse = "y2x" if name == "x2y" else "x2y"
            (logits, _), _ = self.discriminate(
                params, model_state, target, fakes[target], keys.fake
            )
            adversarial += jnp.mean(self.adversarial(step).generator(logits, logits))
            output, state[inverse] = self.apply(own, state, inverse, fakes[target], keys.cycle, i)
            cycle += jnp.mean(jnp.abs(output - batch[source]))
            if self.identity_weight:
                output, state[name] = self.apply(own, state, name, batch[target], keys.identity, i)
                identity += jnp.mean(jnp.abs(output - batch[target]))
        value = adversarial + self.cycle_weight * (cycle + self.identity_weight * identity)
        metrics = {"adversarial": adversarial, "cycle": cycle, "identity": identity}
        return value, LossAux(state, metrics)

    def discriminators_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        own = model_state["discriminators"]
        networks, buffers = dict(own["networks"]), dict(own["buffers"])
        penalties = dict(own.get("penalties", self.initial_penalties()))
        fakes, _ = self.translate(params["generators"], model_state["generators"], batch, keys)
        adversarial, value, metrics = self.adversarial(step), jnp.zeros(()), dict[str, Array]()
        for i, name in enumerate(("x", "y")):
            key_buffer = jax.random.fold_in(keys.buffer, i)
            fake, buffers[name] = image_buffer.query(buffers[name], fakes[name], key_buffer)
            state = {"discriminators": {"networks": networks}}
            real_output, networks[name] = self.discriminate(
                params, state, name, batch[name], keys.real
            )
            fake_output, networks[name] = self.discriminate(params, state, name, fake, keys.fake)
            r, f = real_output[0], fake_output[0]
            value += 0.5 * jnp.mean(adversarial.discriminator(r, f))
            outputs = mean_outputs(adversarial, r, f)
            if self.penalty is not None:
                outputs["penalty"], penalties[name] = self.mean_penalty(
                    params,
                    model_state,
                    penalties[name],
                    name,
                    (batch[name], *real_output),
                    (fake, *fake_output),
                    keys,
                    step,
                )
                value += outputs["penalty"]
            metrics |= {f"{output}_{name}": mean for output, mean in outputs.items()}
        return value, LossAux(self.pack(networks, buffers, penalties), metrics)

    def sample(self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey) -> Array:
        name, source = ("x2y", "x") if "x" in batch else ("y2x", "y")
        check_batch(batch, source)
        own, state = params["generators"][name], model_state["generators"][name]
        return self.generators[name].apply(own, state, batch[source], key=None, train=False)[0]

    # ---- helpers of the above

    def translate(
        self, own: Params, state: ModelState, batch: Batch, keys: _Keys
    ) -> tuple[dict[str, Array], ModelState]:
        """Translations of both domains, by target domain, and the generators' new state."""
        fakes, state = {}, dict(state)
        for i, (name, (source, target)) in enumerate(DIRECTIONS.items()):
            fakes[target], state[name] = self.apply(
                own, state, name, batch[source], keys.translation, i
            )
            check_like(fakes[target], batch[target], network=f"generator {name}")
        return fakes, state

    def apply(
        self, own: Params, state: ModelState, name: str, image: Array, key: PRNGKey, index: int
    ) -> tuple[Array, ModelState]:
        """Outputs of a generator, and its new state; `index` of the direction goes into the key."""
        key = jax.random.fold_in(key, index)
        return self.generators[name].apply(own[name], state[name], image, key=key, train=True)

    def initial_penalties(self) -> dict[str, PyTree]:
        """Initial states of the penalties on the discriminators."""
        return {name: () if self.penalty is None else self.penalty.init() for name in ("x", "y")}

    def pack(
        self, networks: ModelState, buffers: ModelState, penalties: dict[str, PyTree]
    ) -> ModelState:
        """Model state of the discriminators, with those of their penalties if they have any."""
        state = {"networks": networks, "buffers": buffers}
        return state | ({"penalties": penalties} if jax.tree.leaves(penalties) else {})

    def mean_penalty(
        self,
        params: ByPlayer,
        model_state: ByPlayer,
        state: PyTree,
        name: str,
        of_real: tuple[Array, Array, PyTree],
        of_fake: tuple[Array, Array, PyTree],
        keys: _Keys,
        step: Array,
    ) -> tuple[Array, PyTree]:
        """Mean of the penalty on the discriminator of a domain, and the penalty's new state.

        Images come with their logits and features.
        """
        assert self.penalty is not None
        critic = lambda x: self.discriminate(params, model_state, name, x, keys.critic)[0][0]
        own = params["discriminators"][name]
        forward = translation_pass(critic, of_real, of_fake, params=own)
        key = jax.random.fold_in(keys.penalty, "xy".index(name))
        value, packed = apply_penalty(
            self.penalty, PlayerState({}, state), forward, key, step, player=f"discriminator {name}"
        )
        return value, packed.penalty

    def discriminate(
        self, params: ByPlayer, model_state: ByPlayer, name: str, image: Array, key: PRNGKey
    ) -> tuple[tuple[Array, PyTree], ModelState]:
        """Logits and features of the discriminator of a domain, and its network's new state."""
        own = params["discriminators"][name]
        state = model_state["discriminators"]["networks"][name]
        key = jax.random.fold_in(key, "xy".index(name))
        output, state = self.discriminators[name].apply(own, state, image, key=key, train=True)
        logits, features = logits_and_features(output)
        check_logits(logits, len(image))
        return (logits, features), state
