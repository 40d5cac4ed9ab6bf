"""Variational autoencoder (Kingma and Welling, 2014), beta-VAE, free bits and IWAE."""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxgan import latents, losses
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
from jaxgan.games.shared import normal_prior, sample_prior
from jaxgan.losses import Likelihood, gaussian_kl, gaussian_log_prob
from jaxgan.ops import at_least_float32
from jaxgan.parallel import axis
from jaxgan.schedules import scheduled
from jaxgan.types import Array, Batch, ByPlayer, ModelState, Params, PRNGKey, PyTree, Schedule

PLAYER = "autoencoder"


def vae(
    encoder: Network,
    decoder: Network,
    *,
    likelihood: Likelihood | None = None,
    bound: Literal["elbo", "importance_weighted"] = "elbo",
    num_samples: int = 1,
    beta: float | Schedule = 1.0,
    free_bits: float = 0.0,
    observe: Corruption | None = None,
) -> Game:
    """Variational autoencoder: one player, with minus a lower bound of `log p(x)` in nats as loss.

    `elbo`: `E_q log p(x|z) - beta sum_j max(free_bits, KL_j)`, with `KL_j` the KL divergence of
    dimension j of q(z|x) from N(0, 1), averaged over the batch of all devices; the expectation is
    estimated with `num_samples` codes.

    `importance_weighted`: `E log 1/k sum_i p(x, z_i) / q(z_i|x)` over k = `num_samples` codes,
    which is never below the ELBO and grows towards `log p(x)` with k.

    Args:
      encoder: `images -> [batch, 2, dim]`, mean and log-variance of q(z|x), such as
        `networks.MLP((500,), output_shape=(2, 20))`.
      decoder: `codes [batch, dim] -> ` parameters of the likelihood, such as logits, of the images'
        shape.
      likelihood: `losses.bernoulli()` by default, or `losses.gaussian(std)`.
      bound: the lower bound to maximise.
      num_samples: number of codes sampled per image, at least 1.
      beta: weight of the KL divergence, a constant or a schedule called with the training step;
        values above 1 encourage independent codes (beta-VAE), and a schedule that increases from 0
        (KL annealing) counters posterior collapse.
      free_bits: minimum KL divergence per dimension that the loss counts, in nats, at least 0;
        there is no gradient below it.
      observe: random transformation of the batch's images, such as `corruptions.binarized()`; its
        sample is both the encoder's input and the x of the likelihood.

    Returns:
      A game with the player `autoencoder`. Images are the batch's `image`; `sample` returns means
      of p(x|z) for z from the prior; `encode` returns means of q(z|x), `decode` means of p(x|z).

    Raises:
      ValueError: a network is not a `Network`, `likelihood` is not a `Likelihood` or `observe` is
        not a function, such as one that was not called; `bound` is another name, `num_samples`
        is below 1, `beta` or `free_bits` is below 0, or one of the two is used with the
        importance-weighted bound, which has neither; in a loss, the decoder's output has another
        shape than the images.
      KeyError: the batch has no `image`.

    Reference:
      Kingma and Welling, *Auto-Encoding Variational Bayes*, 2014, https://arxiv.org/abs/1312.6114;
      importance weights: Burda, Grosse and Salakhutdinov, *Importance Weighted Autoencoders*, 2016,
      https://arxiv.org/abs/1509.00519; beta: Higgins et al., *beta-VAE*, 2017,
      https://openreview.net/forum?id=Sy2fzU9gl; free bits: Kingma et al., *Improving Variational
      Inference with Inverse Autoregressive Flow*, 2016, https://arxiv.org/abs/1606.04934.

    Example:
      >>> from jaxgan import networks
      >>> game = vae(
      ...     networks.from_linen(networks.MLP((500,), output_shape=(2, 20))),
      ...     networks.from_linen(networks.MLP((500,), output_shape=(28, 28, 1))),
      ... )
      >>> list(game.losses)
      ['autoencoder']
    """
    check_networks(encoder=encoder, decoder=decoder)
    if bound not in ("elbo", "importance_weighted"):
        raise ValueError(f"bound is {bound!r}, expected elbo or importance_weighted")
    if num_samples < 1 or (isinstance(free_bits, float | int) and free_bits < 0.0):
        raise ValueError(
            f"num_samples is {num_samples} and free_bits {free_bits}, expected at least 1 and 0"
        )
    if isinstance(beta, float | int) and beta < 0.0:
        raise ValueError(f"beta is {beta}, expected at least 0")
    if bound == "importance_weighted" and (beta != 1.0 or free_bits):
        raise ValueError("the importance-weighted bound has no beta and no free_bits; omit them")
    game = _VAE(
        encoder=encoder,
        decoder=decoder,
        likelihood=_checked_likelihood(likelihood),
        bound=bound,
        num_samples=num_samples,
        beta=beta,
        free_bits=free_bits,
        observe=checked_corruption("observe", observe),
    )
    prior = normal_prior(game.encode)
    return Game(
        init=game.init,
        losses={PLAYER: game.loss},
        sample=sample_prior(game.decode, prior),
        encode=of_floats(game.encode),
        decode=game.decode,
        prior=prior,
    )


def _checked_likelihood(likelihood: Likelihood | None) -> Likelihood:
    if likelihood is None:
        return losses.bernoulli()
    if not isinstance(likelihood, Likelihood):
        raise ValueError(
            f"likelihood is {named(likelihood)}, expected a Likelihood, such as losses.gaussian()"
        )
    return likelihood


def _log_prob(likelihood: Likelihood, params: PyTree, outputs: Array, x: Array) -> Array:
    """`log p(x|z)` of every image, `[batch]`."""
    log_p = likelihood.log_prob(params, outputs, x)
    if log_p.shape != x.shape[:1]:
        raise ValueError(
            f"log_prob of the likelihood has the shape {log_p.shape}, expected one value per "
            f"image, {x.shape[:1]}; take the sum over the axes of an image"
        )
    return log_p


class Bounds(NamedTuple):
    """Lower bounds of `log p(x)` in nats, `[batch]` each.

    Attributes:
      elbo: mean over codes of `log p(x|z)`, minus the KL divergence in closed form.
      importance_weighted: importance-weighted bound, estimated with the same codes.

    Example, of networks that ignore their inputs, so that both bounds are the log-likelihood:
      >>> encoder = Network(None, lambda *_, **__: (jnp.zeros((3, 2, 5)), {}))  # mean, log variance
      >>> decoder = Network(None, lambda *_, **__: (jnp.zeros((3, 4)), {}))
      >>> nothing = {PLAYER: {"encoder": {}, "decoder": {}, "likelihood": {}}}
      >>> bounds = vae_bounds(encoder, decoder, num_samples=2)
      >>> found = bounds(nothing, nothing, {"image": jnp.ones((3, 4))}, jax.random.key(0))
      >>> (found.elbo / jnp.log(2)).round(3).tolist()  # four bits
      [-4.0, -4.0, -4.0]
    """

    elbo: Array
    importance_weighted: Array


def vae_bounds(
    encoder: Network,
    decoder: Network,
    *,
    likelihood: Likelihood | None = None,
    num_samples: int = 500,
) -> Callable[[ByPlayer, ByPlayer, Batch, PRNGKey], Bounds]:
    """ELBO and importance-weighted bound of the log-likelihood, for the evaluation of a VAE.

    Args:
      encoder, decoder, likelihood: as in `vae`, applied in evaluation mode.
      num_samples: k, number of codes per image, computed sequentially.

    Returns:
      `(params, model_state, batch, key) -> Bounds` of the batch's `image`, without `observe`.

    Raises:
      ValueError: `num_samples` is below 1.

    Reference:
      Burda, Grosse and Salakhutdinov, *Importance Weighted Autoencoders*, 2016,
      https://arxiv.org/abs/1509.00519, eq. 8.

    Example:
      >>> bounds = vae_bounds(encoder, decoder, num_samples=500)  # doctest: +SKIP
      >>> bounds(state.params, state.model_state, batch, key).elbo.mean()  # doctest: +SKIP
    """
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}, expected at least 1")
    likelihood = _checked_likelihood(likelihood)

    def bounds(params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey) -> Bounds:
        own, state = params[PLAYER], model_state[PLAYER]
        x = at_least_float32(batch["image"])
        q, _ = encoder.apply(own["encoder"], state["encoder"], x, train=False)
        mean, log_var = latents.mean_and_log_var(q)

        def add_sample(total: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], None]:
            z = latents.gaussian(jax.random.fold_in(key, i), mean, log_var)
            outputs, _ = decoder.apply(own["decoder"], state["decoder"], z, train=False)
            log_p = _log_prob(likelihood, own["likelihood"], at_least_float32(outputs), x)
            log_w = log_p + gaussian_log_prob(z) - gaussian_log_prob(z, mean, log_var)
            return (total[0] + log_p, jnp.logaddexp(total[1], log_w)), None

        initial = jnp.zeros(x.shape[0]), jnp.full(x.shape[0], -jnp.inf)
        (log_p, log_w), _ = jax.lax.scan(add_sample, initial, jnp.arange(num_samples))
        divergence = jnp.sum(gaussian_kl(mean, log_var), axis=-1)
        return Bounds(log_p / num_samples - divergence, log_w - jnp.log(num_samples))

    return bounds


class _Keys(NamedTuple):
    """Keys of a turn."""

    observe: PRNGKey
    encoder: PRNGKey
    noise: PRNGKey
    decoder: PRNGKey


@dataclasses.dataclass(frozen=True)
class _VAE:
    """The pure functions of the game, over the arguments of `vae`."""

    encoder: Network
    decoder: Network
    likelihood: Likelihood
    bound: str
    num_samples: int
    beta: float | Schedule
    free_bits: float
    observe: Corruption

    def init(self, key: PRNGKey, batch: Batch) -> tuple[dict[str, Params], dict[str, ModelState]]:
        check_batch(batch, "image")
        key_encoder, key_decoder = jax.random.split(key)
        x = self.observe(jax.random.fold_in(key, 2), batch["image"])
        e_params, e_state = self.encoder.init(key_encoder, x)
        q, _ = self.encoder.apply(e_params, e_state, x, train=False)
        d_params, d_state = self.decoder.init(key_decoder, latents.mean_and_log_var(q)[0])
        params = {"encoder": e_params, "decoder": d_params, "likelihood": self.likelihood.init()}
        return {PLAYER: params}, {PLAYER: {"encoder": e_state, "decoder": d_state}}

    def loss(
        self, params: ByPlayer, model_state: ByPlayer, batch: Batch, key: PRNGKey, step: Array
    ) -> tuple[Array, LossAux]:
        keys = split_key(key, _Keys)
        own, state = params[PLAYER], dict(model_state[PLAYER])
        x = at_least_float32(self.observe(keys.observe, batch["image"]))
        q, state["encoder"] = self.encoder.apply(
            own["encoder"], state["encoder"], x, key=keys.encoder, train=True
        )
        posterior = latents.mean_and_log_var(q)
        # The codes of an example are consecutive rows, in the order of the batch, so that their
        # global row indices do not depend on the number of devices.
        mean, log_var, x = (jnp.repeat(rows, self.num_samples, axis=0) for rows in (*posterior, x))
        z = latents.gaussian(keys.noise, mean, log_var)
        outputs, state["decoder"] = self.decoder.apply(
            own["decoder"], state["decoder"], z, key=keys.decoder, train=True
        )
        check_like(outputs, x, network="decoder")
        outputs = at_least_float32(outputs)
        log_p = _log_prob(self.likelihood, own["likelihood"], outputs, x)
        divergence = gaussian_kl(*posterior)
        log_likelihood, kl = jnp.mean(log_p), jnp.mean(jnp.sum(divergence, axis=-1))
        metrics = {"elbo": log_likelihood - kl, "log_likelihood": log_likelihood, "kl": kl}
        if self.bound == "importance_weighted":
            log_w = log_p + gaussian_log_prob(z) - gaussian_log_prob(z, mean, log_var)
            log_w = log_w.reshape(-1, self.num_samples)
            bounds = jax.nn.logsumexp(log_w, axis=1) - jnp.log(self.num_samples)
            return -jnp.mean(bounds), LossAux(state, metrics)
        penalized = jnp.maximum(axis.mean(jnp.mean(divergence, axis=0)), self.free_bits)
        loss = scheduled(self.beta, step) * jnp.sum(penalized) - log_likelihood
        return loss, LossAux(state, metrics)

    def encode(self, params: ByPlayer, model_state: ByPlayer, images: Array) -> Array:
        own, state = params[PLAYER]["encoder"], model_state[PLAYER]["encoder"]
        q, _ = self.encoder.apply(own, state, images, train=False)
        return latents.mean_and_log_var(q)[0]

    def decode(self, params: ByPlayer, model_state: ByPlayer, codes: Array) -> Array:
        own, state = params[PLAYER]["decoder"], model_state[PLAYER]["decoder"]
        return self.likelihood.mean(self.decoder.apply(own, state, codes, train=False)[0])
