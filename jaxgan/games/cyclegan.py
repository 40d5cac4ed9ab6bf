"""Translation between two sets of images without pairs: there and back again."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxgan import losses
from jaxgan.game import Game, LossAux, Network, split_key
from jaxgan.games import image_buffer
from jaxgan.games.shared import mean_outputs
from jaxgan.types import Array, Batch, ByPlayer, ModelState, Params, PRNGKey


def cyclegan(
    generators: Mapping[str, Network],
    discriminators: Mapping[str, Network],
    *,
    loss: losses.AdversarialLoss | None = None,
    cycle_weight: float = 10.0,
    identity_weight: float = 0.5,
    pool_size: int = 50,
) -> Game:
    """Two generators, x to y and y to x, against two discriminators, of y and of x.

    With F and G the generators `x2y` and `y2x`,

    generators: `mean loss.generator(D_y(F(x))) + mean loss.generator(D_x(G(y)))
    + c (mean |G(F(x)) - x| + mean |F(G(y)) - y|) + c i (mean |F(y) - y| + mean |G(x) - x|)`, with
    the weights c of the cycle and i of identity;
    discriminators: `mean loss.discriminator(D_y(y), D_y(F(x))) / 2` and the same of x, over
    generated images of which some are older, from a pool.

    Args:
      generators: `x2y` and `y2x`, such as `networks.ResNetGenerator`.
      discriminators: `x` and `y`, `image -> logits`, `[batch]` or `[batch, rows, columns]`.
      loss: from `jaxgan.losses`; `least_squares()` when left out. Not a relativistic one, for which
        images of both sets would have to be partners.
      cycle_weight: c.
      identity_weight: i, relative to c, for sets of equal channels; 0 for none. It keeps colours.
      pool_size: generated images that are kept of either set, for the discriminators; 0 for none.

    Returns:
      A game of the players `discriminators` and `generators`, two teams. Images are the batch's `x`
      and `y`; `sample` translates `x` to y, or `y` to x where the batch has no `x`.

    Raises:
      ValueError: the networks have other names.

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
    for found, expected in ((generators, {"x2y", "y2x"}), (discriminators, {"x", "y"})):
        if set(found) != expected:
            raise ValueError(f"networks are named {sorted(found)}, expected {sorted(expected)}")
    game = _CycleGAN(
        generators=generators,
        discriminators=discriminators,
        adversarial=losses.least_squares() if loss is None else loss,
        cycle_weight=cycle_weight,
        identity_weight=identity_weight,
        pool_size=pool_size,
    )
    return Game(
        init=game.init,
        losses={"discriminators": game.discriminators_loss, "generators": game.generators_loss},
        sample=game.sample,
    )


WAYS = {"x2y": ("x", "y"), "y2x": ("y", "x")}


class _Keys(NamedTuple):
    """The keys of a turn, each to be split or folded once; both players' are equal in a round."""

    there: PRNGKey
    back: PRNGKey
    identity: PRNGKey
    real: PRNGKey
    fake: PRNGKey
    pool: PRNGKey


@dataclasses.dataclass(frozen=True)
class _CycleGAN:
    """The pure functions of a game, over what `cyclegan` was given."""

    generators: Mapping[str, Network]
    discriminators: Mapping[str, Network]
    adversarial: losses.AdversarialLoss
    cycle_weight: float
    identity_weight: float
    pool_size: int

    def init(self, key: PRNGKey, batch: Batch) -> tuple[dict[str, Params], dict[str, ModelState]]:
        keys = iter(jax.random.split(key, 4))
        g_params, g_state, d_params, d_state, buffers = {}, {}, {}, {}, {}
        for way, (start, _) in WAYS.items():
            g_params[way], g_state[way] = self.generators[way].init(next(keys), batch[start])
        for name in ("x", "y"):
            d_params[name], d_state[name] = self.discriminators[name].init(next(keys), batch[name])
            buffers[name] = image_buffer.empty(self.pool_size, batch[name][0])
        return (
            {"discriminators": d_params, "generators": g_params},
            {"discriminators": {"networks": d_state, "buffers": buffers}, "generators": g_state},
        )

    def generators_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        own, state = params["generators"], dict(model_state["generators"])
        fakes, state = self.there(own, state, batch, keys)
        adversarial, cycle, identity = jnp.zeros(()), jnp.zeros(()), jnp.zeros(())
        for i, (way, (start, end)) in enumerate(WAYS.items()):
            back = "y2x" if way == "x2y" else "x2y"
            logits, _ = self.judge(params, model_state, end, fakes[end], keys.fake)
            adversarial += jnp.mean(self.adversarial.generator(logits, logits))
            again, state[back] = self.apply(own, state, back, fakes[end], keys.back, i)
            cycle += jnp.mean(jnp.abs(again - batch[start]))
            if self.identity_weight:
                same, state[way] = self.apply(own, state, way, batch[end], keys.identity, i)
                identity += jnp.mean(jnp.abs(same - batch[end]))
        value = adversarial + self.cycle_weight * (cycle + self.identity_weight * identity)
        metrics = {"adversarial": adversarial, "cycle": cycle, "identity": identity}
        return value, LossAux(state, metrics)

    def discriminators_loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        own = model_state["discriminators"]
        networks, buffers = dict(own["networks"]), dict(own["buffers"])
        fakes, _ = self.there(params["generators"], model_state["generators"], batch, keys)
        value, metrics = jnp.zeros(()), dict[str, Array]()
        for i, name in enumerate(("x", "y")):
            key_buffer = jax.random.fold_in(keys.pool, i)
            shown, buffers[name] = image_buffer.query(buffers[name], fakes[name], key_buffer)
            state = {"discriminators": {"networks": networks}}
            r, networks[name] = self.judge(params, state, name, batch[name], keys.real)
            f, networks[name] = self.judge(params, state, name, shown, keys.fake)
            value += 0.5 * jnp.mean(self.adversarial.discriminator(r, f))
            outputs = mean_outputs(self.adversarial, r, f)
            metrics |= {f"{output}_{name}": mean for output, mean in outputs.items()}
        return value, LossAux({"networks": networks, "buffers": buffers}, metrics)

    def sample(self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey) -> Array:
        way, start = ("x2y", "x") if "x" in batch else ("y2x", "y")
        own, state = params["generators"][way], model_state["generators"][way]
        return self.generators[way].apply(own, state, batch[start], key=None, train=False)[0]

    # ---- what the above are made of

    def there(
        self, own: Params, state: ModelState, batch: Batch, keys: _Keys
    ) -> tuple[dict[str, Array], ModelState]:
        """Translations of both sets by the set that they are meant for, and the new state."""
        fakes, state = {}, dict(state)
        for i, (way, (start, end)) in enumerate(WAYS.items()):
            fakes[end], state[way] = self.apply(own, state, way, batch[start], keys.there, i)
            chex.assert_equal_shape_prefix([batch[end], fakes[end]], 3)
        return fakes, state

    def apply(
        self, own: Params, state: ModelState, way: str, image: Array, key: PRNGKey, number: int
    ) -> tuple[Array, ModelState]:
        key = jax.random.fold_in(key, number)
        return self.generators[way].apply(own[way], state[way], image, key=key, train=True)

    def judge(
        self, params: ByPlayer, model_state: ByPlayer, name: str, image: Array, key: PRNGKey
    ) -> tuple[Array, ModelState]:
        """Logits, and the new state of this discriminator."""
        own = params["discriminators"][name]
        state = model_state["discriminators"]["networks"][name]
        key = jax.random.fold_in(key, "xy".index(name))
        return self.discriminators[name].apply(own, state, image, key=key, train=True)
