"""Autoencoder and denoising autoencoder, as a game with one player."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxgan import losses
from jaxgan.corruptions import Corruption
from jaxgan.game import Game, LossAux, Network, split_key
from jaxgan.games.checks import (
    check_batch,
    check_like,
    check_networks,
    checked_corruption,
    named,
    of_floats,
)
from jaxgan.penalties.penalty import takes
from jaxgan.types import Array, Batch, ByPlayer, ModelState, Params, PRNGKey

PLAYER = "autoencoder"


def autoencoder(
    encoder: Network,
    decoder: Network | None = None,
    *,
    error: Callable[[Array, Array], Array] = losses.squared_error,
    corruption: Corruption | None = None,
) -> Game:
    """Autoencoder, a game with one player; with a corruption c, a denoising autoencoder.

    The loss is `mean error(decoder(encoder(c(x))), x)`. Without a corruption the player learns
    codes. With one it learns to undo it, such as denoising (`corruptions.gaussian_noise`) or
    colourisation (`corruptions.grayscale`).

    Args:
      encoder: `images -> codes`, arrays of any shape.
      decoder: `codes -> images` in [-1, 1]; `None` if `encoder` is an image-to-image network
        without codes, such as `networks.UNetGenerator`.
      error: reconstruction loss, `(outputs, targets) -> [batch]`, such as `losses.absolute_error`.
      corruption: c, from `jaxgan.corruptions`; the identity by default.

    Returns:
      A game with the player `autoencoder`. Images are the batch's `image`; `sample` corrupts and
      reconstructs them; `encode` and `decode` apply the two networks, without corruption.

    Raises:
      KeyError: the batch has no `image`.
      ValueError: a network is not a `Network`, or `error` or `corruption` is not such a function,
        such as one that was not called.

    Reference:
      Rumelhart, Hinton and Williams, *Learning Internal Representations by Error Propagation*,
      1986, https://doi.org/10.21236/ada164453; with a corruption: Vincent, Larochelle, Bengio and
      Manzagol, *Extracting and Composing Robust Features with Denoising Autoencoders*, 2008,
      https://doi.org/10.1145/1390156.1390294.

    Example:
      >>> from jaxgan import corruptions, networks
      >>> game = autoencoder(
      ...     networks.from_linen(networks.MLP((128,), output_shape=(32,))),
      ...     networks.from_linen(networks.MLP((128,), output_shape=(28, 28, 1))),
      ...     corruption=corruptions.gaussian_noise(0.5),
      ... )
      >>> list(game.losses)
      ['autoencoder']
    """
    check_networks(encoder=encoder, decoder=encoder if decoder is None else decoder)
    if not takes(error, 2):
        raise ValueError(
            f"error is {named(error)}, expected a function (outputs, targets) -> [batch], such as "
            "losses.absolute_error"
        )
    game = _Autoencoder(
        encoder=encoder,
        decoder=decoder,
        error=error,
        corrupted=checked_corruption("corruption", corruption),
    )
    return Game(
        init=game.init,
        losses={PLAYER: game.loss},
        sample=game.sample,
        encode=None if decoder is None else of_floats(game.encode),
        decode=None if decoder is None else game.decode,
    )


class _Keys(NamedTuple):
    """Keys of a turn."""

    corruption: PRNGKey
    encoder: PRNGKey
    decoder: PRNGKey


@dataclasses.dataclass(frozen=True)
class _Autoencoder:
    """The pure functions of the game, over the arguments of `autoencoder`."""

    encoder: Network
    decoder: Network | None
    error: Callable[[Array, Array], Array]
    corrupted: Corruption

    def init(self, key: PRNGKey, batch: Batch) -> tuple[dict[str, Params], dict[str, ModelState]]:
        check_batch(batch, "image")
        keys = split_key(key, _Keys)
        images = self.corrupted(keys.corruption, batch["image"])
        params, state = {}, {}
        params["encoder"], state["encoder"] = self.encoder.init(keys.encoder, images)
        if self.decoder is not None:
            code, _ = self.encoder.apply(params["encoder"], state["encoder"], images, train=False)
            params["decoder"], state["decoder"] = self.decoder.init(keys.decoder, code)
        return {PLAYER: params}, {PLAYER: state}

    def loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        own, state = params[PLAYER], dict(model_state[PLAYER])
        output, state["encoder"] = self.encoder.apply(
            own["encoder"],
            state["encoder"],
            self.corrupted(keys.corruption, batch["image"]),
            key=keys.encoder,
            train=True,
        )
        if self.decoder is not None:
            output, state["decoder"] = self.decoder.apply(
                own["decoder"], state["decoder"], output, key=keys.decoder, train=True
            )
        check_like(output, batch["image"], network="autoencoder")
        errors = self.error(output, batch["image"])
        if errors.shape not in ((), output.shape[:1]):
            raise ValueError(
                f"error has the shape {errors.shape}, expected one per image, {output.shape[:1]}"
            )
        return jnp.mean(errors), LossAux(state, {})

    def sample(self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey) -> Array:
        check_batch(batch, "image")
        code = self.encode(params, model_state, self.corrupted(key, batch["image"]))
        return code if self.decoder is None else self.decode(params, model_state, code)

    def encode(self, params: ByPlayer, model_state: ByPlayer, images: Array) -> Array:
        own, state = params[PLAYER]["encoder"], model_state[PLAYER]["encoder"]
        return self.encoder.apply(own, state, images, train=False)[0]

    def decode(self, params: ByPlayer, model_state: ByPlayer, codes: Array) -> Array:
        assert self.decoder is not None
        own, state = params[PLAYER]["decoder"], model_state[PLAYER]["decoder"]
        return self.decoder.apply(own, state, codes, train=False)[0]
