"""VAE, VAE-GAN and their relatives against closed forms and hand-written gradients."""

import itertools
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import integrate, stats

import jaxgan
from jaxgan import Network, corruptions, latents, losses, networks
from jaxgan.parallel import axis
from tests import games
from tests.support import normal

KEY = jax.random.key(3)
D, DIM = 6, 2  # of the data, of the codes


# ---- terms


@pytest.mark.parametrize(("mean", "log_var"), [(0.0, 0.0), (1.5, -2.0), (-0.3, 0.7), (0.0, -9.0)])
def test_kl_is_the_integral(mean, log_var):
    q, p = stats.norm(mean, np.exp(log_var / 2)), stats.norm()
    integrand = lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z))
    width = 12 * np.exp(log_var / 2)
    expected, _ = integrate.quad(integrand, mean - width, mean + width)
    found = losses.gaussian_kl(jnp.array([mean]), jnp.array([log_var]))
    np.testing.assert_allclose(found, [expected], rtol=1e-5, atol=1e-7)


def test_densities_are_scipys():
    rng = np.random.default_rng(0)
    x, mean, log_var = (rng.normal(size=(5, 3)).astype("f4") for _ in range(3))
    expected = stats.norm(mean, np.exp(log_var / 2)).logpdf(x).sum(axis=1)
    np.testing.assert_allclose(losses.gaussian_log_prob(x, mean, log_var), expected, rtol=1e-5)
    expected = stats.norm(mean, 0.3).logpdf(x).sum(axis=1)
    np.testing.assert_allclose(losses.gaussian(0.3).log_prob({}, mean, x), expected, rtol=1e-5)
    learned = losses.gaussian()
    assert learned.init() == {"log_std": 0.0}
    found = learned.log_prob({"log_std": jnp.log(0.3)}, mean, x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    on = rng.integers(0, 2, (5, 3))
    expected = stats.bernoulli(1 / (1 + np.exp(-mean))).logpmf(on).sum(axis=1)
    found = losses.bernoulli().log_prob({}, mean, 2.0 * on - 1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_likelihood_has_one_value_per_image():
    """Values of pixels would be averaged where the likelihood is their sum."""
    of_pixels = losses.Likelihood(
        lambda: {}, lambda params, outputs, x: -((x - outputs) ** 2), lambda outputs: outputs
    )
    game = jaxgan.vae(linear_encoder(), linear_decoder(), likelihood=of_pixels)
    batch, key = {"image": jnp.ones((3, D))}, jax.random.key(0)
    params, state = game.init(key, batch)
    (loss,) = game.losses.values()
    with pytest.raises(ValueError, match=r"the shape \(3, \d+\), expected one value per image"):
        loss(params, state, batch, key, 0)


def test_the_mean_of_a_likelihood_is_its_mean():
    np.testing.assert_allclose(losses.bernoulli().mean(jnp.array([0.0, 3.0, -50.0])),
                               2 / (1 + np.exp([0.0, -3.0, 50.0])) - 1, rtol=1e-6)  # fmt: skip
    with pytest.raises(ValueError, match="std is 0"):
        losses.gaussian(0.0)


# ---- a VAE whose likelihood is known: probabilistic PCA


def linear_encoder() -> Network:
    def init(key, x):
        weight = 0.1 * jax.random.normal(key, (D, DIM))
        return {"weight": weight, "bias": jnp.zeros(DIM), "log_var": jnp.zeros(DIM)}, {}

    def apply(params, state, x, *, key=None, train):
        mean = x @ params["weight"] + params["bias"][None]
        log_var = jnp.broadcast_to(params["log_var"][None], mean.shape)
        return jnp.stack([mean, log_var], axis=1), state

    return Network(init, apply)


def linear_decoder() -> Network:
    def init(key, z):
        return {"weight": 0.1 * jax.random.normal(key, (DIM, D)), "mean": jnp.zeros(D)}, {}

    def apply(params, state, z, *, key=None, train):
        return z @ params["weight"] + params["mean"][None], state

    return Network(init, apply)


class PPCA:
    """Data, and what probabilistic PCA makes of it (Tipping and Bishop, 1999)."""

    def __init__(self, n: int = 400) -> None:
        rng = np.random.default_rng(1)
        mixing = rng.normal(size=(DIM, D)) * np.array([[2.0], [1.0]])
        self.x = (rng.normal(size=(n, DIM)) @ mixing + 0.5 * rng.normal(size=(n, D)) + 1.0).astype(
            "f4"
        )
        self.mean = self.x.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(self.x.T, bias=True))
        self.noise = values[:-DIM].mean()  # variance
        self.values, self.axes = values[-DIM:], vectors[:, -DIM:]
        self.weight = self.axes * np.sqrt(self.values - self.noise)  # [D, DIM]
        covariance = self.weight @ self.weight.T + self.noise * np.eye(D)
        self.log_p = stats.multivariate_normal(self.mean, covariance).logpdf(self.x)

    def params(self, *, worse: float = 0.0):
        """Those of a VAE with the exact posterior, or with a mean that is off by `worse`."""
        back = self.weight / self.values  # [D, DIM]: W M^-1
        return {
            "autoencoder": {
                "encoder": {
                    "weight": jnp.asarray(back),
                    "bias": jnp.asarray(-self.mean @ back + worse),
                    "log_var": jnp.asarray(np.log(self.noise / self.values)),
                },
                "decoder": {
                    "weight": jnp.asarray(self.weight.T),
                    "mean": jnp.asarray(self.mean),
                },
                "likelihood": {"log_std": jnp.asarray(0.5 * np.log(self.noise))},
            }
        }


STATE = {"autoencoder": {"encoder": {}, "decoder": {}}}


@pytest.fixture(scope="module")
def ppca() -> PPCA:
    return PPCA()


def linear_vae(**kwargs) -> jaxgan.Game:
    return jaxgan.vae(linear_encoder(), linear_decoder(), likelihood=losses.gaussian(), **kwargs)


def linear_bounds(num_samples: int):
    return jax.jit(
        jaxgan.vae_bounds(
            linear_encoder(),
            linear_decoder(),
            likelihood=losses.gaussian(),
            num_samples=num_samples,
        )
    )


@pytest.mark.parametrize("k", [1, 7])
def test_with_the_exact_posterior_every_weight_is_the_likelihood(ppca, k):
    """p(x, z) / q(z|x) = p(x) for every z: no variance is left."""
    bounds = linear_bounds(k)(ppca.params(), STATE, {"image": ppca.x}, KEY)
    np.testing.assert_allclose(bounds.importance_weighted, ppca.log_p, rtol=2e-5)
    game = linear_vae(bound="importance_weighted", num_samples=k)
    loss, _ = jax.jit(game.losses["autoencoder"])(ppca.params(), STATE, {"image": ppca.x}, KEY, 0)
    np.testing.assert_allclose(loss, -ppca.log_p.mean(), rtol=1e-5)


def test_with_the_exact_posterior_the_elbo_is_the_likelihood_in_the_mean(ppca):
    bounds = linear_bounds(2000)(ppca.params(), STATE, {"image": ppca.x}, KEY)
    np.testing.assert_allclose(bounds.elbo.mean(), ppca.log_p.mean(), rtol=1e-3)
    game = linear_vae(num_samples=500)
    loss, _ = jax.jit(game.losses["autoencoder"])(ppca.params(), STATE, {"image": ppca.x}, KEY, 0)
    np.testing.assert_allclose(loss, -ppca.log_p.mean(), rtol=2e-3)


def test_the_importance_weighted_loss_lies_between_elbo_and_likelihood(ppca):
    """Where q is off: not the mean of the weights' logarithms, which is the ELBO."""
    params, batch = ppca.params(worse=2.0), {"image": ppca.x}
    loss = lambda **options: jax.jit(linear_vae(num_samples=64, **options).losses["autoencoder"])
    of = lambda **options: -float(loss(**options)(params, STATE, batch, KEY, 0)[0])
    gap = 0.5 * np.sum(2.0**2 / (ppca.noise / ppca.values))  # KL of Gaussians off by 2
    elbo, importance_weighted = of(), of(bound="importance_weighted")
    assert elbo == pytest.approx(ppca.log_p.mean() - gap, rel=0.02)
    assert elbo + 0.2 * gap < importance_weighted < ppca.log_p.mean()


@pytest.mark.slow
def test_the_importance_weighted_bound_grows_with_k(ppca):
    """ELBO = E L_1 <= E L_k <= E L_k' <= log p(x) for k < k'; strictly, where q is off."""
    params, means = ppca.params(worse=0.5), {}
    for k in (1, 8, 64):
        keys = jax.random.split(jax.random.fold_in(KEY, k), 2048 // k)
        bounds = jax.lax.map(
            lambda key, k=k: linear_bounds(k)(params, STATE, {"image": ppca.x}, key), keys
        )
        assert (bounds.importance_weighted.mean() >= bounds.elbo.mean()) or k == 1
        means[k] = float(bounds.importance_weighted.mean())
        elbo = float(bounds.elbo.mean())
        # In the mean the ELBO is known: log p(x) - KL(q || posterior), Gaussians off by 0.5.
        gap = 0.5 * np.sum(0.5**2 / (ppca.noise / ppca.values))
        assert elbo == pytest.approx(ppca.log_p.mean() - gap, rel=5e-3)
    assert means[1] == pytest.approx(ppca.log_p.mean() - gap, rel=5e-3)
    for fewer, more in itertools.pairwise(means):
        assert means[fewer] + 0.1 < means[more]
    assert means[64] < ppca.log_p.mean()


@pytest.mark.slow
def test_a_linear_vae_recovers_probabilistic_pca(ppca):
    """The maximum of the ELBO is that of the likelihood: no bad local optimum (Lucas et al., 2019,
    https://arxiv.org/abs/1911.02469), the subspace and the noise of the discarded directions."""
    game = linear_vae(num_samples=8)
    num_steps = 4000
    schedule = optax.cosine_decay_schedule(0.02, num_steps)
    algorithm = jaxgan.alternating(game, {"autoencoder": optax.adam(schedule)})
    batches = lambda start, count: {"image": np.broadcast_to(ppca.x, (count, *ppca.x.shape))}
    state = jaxgan.fit(
        jaxgan.jit(jaxgan.scan_steps(algorithm, 500)), batches, key=KEY, num_steps=num_steps
    )
    own = state.params["autoencoder"]
    axes = np.linalg.qr(np.asarray(own["decoder"]["weight"]).T)[0]
    cosines = np.linalg.svd(axes.T @ ppca.axes)[1]
    assert np.arccos(np.clip(cosines, -1, 1)).max() < 0.03  # radians
    noise = np.exp(2 * float(own["likelihood"]["log_std"]))
    assert noise == pytest.approx(ppca.noise, rel=0.02)
    np.testing.assert_allclose(own["decoder"]["mean"], ppca.mean, atol=0.05)
    bounds = linear_bounds(500)(state.params, state.model_state, {"image": ppca.x}, KEY)
    assert float(bounds.elbo.mean()) == pytest.approx(ppca.log_p.mean(), abs=0.02)


# ---- options of the loss


def test_beta_and_free_bits(ppca):
    params, batch = ppca.params(), {"image": ppca.x}
    loss = lambda **kwargs: jax.jit(linear_vae(**kwargs).losses["autoencoder"])(
        params, STATE, batch, KEY, 3
    )
    value, aux = loss()
    encoder = params["autoencoder"]["encoder"]
    mean = ppca.x @ encoder["weight"] + encoder["bias"][None]
    kl = losses.gaussian_kl(mean, jnp.broadcast_to(encoder["log_var"][None], mean.shape))
    assert float(aux.metrics["kl"]) == pytest.approx(float(kl.sum(axis=1).mean()), rel=1e-5)
    assert float(aux.metrics["elbo"]) == pytest.approx(-float(value), rel=1e-5)
    warm, _ = loss(beta=lambda step: 0.5 * step)
    assert float(warm - value) == pytest.approx(0.5 * float(kl.sum(axis=1).mean()), rel=1e-4)
    bits = float(kl.mean(axis=0).max()) - 0.1
    paid, _ = loss(free_bits=bits)
    expected = np.maximum(bits - kl.mean(axis=0), 0).sum()
    assert float(paid - value) == pytest.approx(float(expected), rel=1e-3)


def test_free_bits_are_of_the_batch_of_all_devices(ppca):
    """Of halves whose divergences lie on both sides of them, mapped as devices are."""
    x = np.concatenate([ppca.x[:100], 4.0 * ppca.x[:100]])
    encoder = ppca.params()["autoencoder"]["encoder"]
    mean = x @ encoder["weight"] + encoder["bias"][None]
    kl = losses.gaussian_kl(mean, jnp.broadcast_to(encoder["log_var"][None], mean.shape))
    low, high = kl[:100].mean(axis=0), kl[100:].mean(axis=0)
    bits = float(max(low.max(), kl.mean(axis=0).min())) + 0.1
    assert low.max() < bits < high.min()
    assert kl.mean(axis=0).max() > bits
    of = linear_vae(free_bits=bits).losses["autoencoder"]
    loss = lambda x: of(ppca.params(), STATE, {"image": x}, KEY, 0)[0]
    mapped = jax.jit(jax.vmap(loss, axis_name=axis.DATA_AXIS))(x.reshape(2, 100, D))
    np.testing.assert_allclose(mapped.mean(), jax.jit(loss)(x), rtol=1e-5)


def test_the_likelihood_is_that_of_what_is_observed(ppca):
    """As of binarised images: what the encoder sees and the decoder is to say."""
    black, params = np.zeros_like(ppca.x), ppca.params()
    loss = lambda game, x: jax.jit(game.losses["autoencoder"])(params, STATE, {"image": x}, KEY, 0)
    observed, _ = loss(linear_vae(observe=lambda key, x: jnp.zeros_like(x)), ppca.x)
    plain, _ = loss(linear_vae(), black)
    np.testing.assert_allclose(observed, plain, rtol=1e-6)


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="num_samples is 0"):
        linear_vae(num_samples=0)
    with pytest.raises(ValueError, match=r"beta is -1.0, expected at least 0"):
        linear_vae(beta=-1.0)
    with pytest.raises(ValueError, match="no beta and no free_bits"):
        linear_vae(bound="importance_weighted", beta=0.5)
    with pytest.raises(ValueError, match="num_samples is 0"):
        linear_bounds(0)
    coder = jaxgan.from_linen(networks.MLP((4,), output_shape=(3,)))
    with pytest.raises(ValueError, match=r"the encoder returns \(4, 3\), expected \[batch"):
        jaxgan.vae(coder, coder).init(KEY, {"image": jnp.zeros((4, 5))})


# ---- VAE-GAN


def vae_gan_networks() -> tuple[Network, Network, Network]:
    return (
        games.normalized(2, 3),
        games.normalized_generator(),
        games.normalized(with_features=True),
    )


def algorithm_1(networks, params, state, x, key):
    """The three terms of Larsen et al. (2016), eq. 3 to 8, as they stand there."""
    encoder, decoder, discriminator = networks
    keys = jax.random.split(key, 8)
    run = lambda network, name, x: network.apply(params[name], state[name], x, train=True)[0]
    q = run(encoder, "encoder", x)
    mean, log_var = q[:, 0], q[:, 1]
    x_tilde = run(decoder, "decoder", latents.gaussian(keys[1], mean, log_var))
    zeros = jnp.zeros_like(mean)
    x_p = run(decoder, "decoder", latents.gaussian(keys[2], zeros, zeros))
    dis = lambda x: jax.nn.sigmoid(run(discriminator, "discriminator", x)[0])
    dis_l = lambda x: run(discriminator, "discriminator", x)[1]
    l_prior = jnp.mean(0.5 * jnp.sum(mean**2 + jnp.exp(log_var) - log_var - 1.0, axis=1))
    log_n = -0.5 * jnp.sum((dis_l(x) - dis_l(x_tilde)) ** 2, axis=1)
    l_llike = -jnp.mean(log_n)
    l_gan = jnp.mean(jnp.log(dis(x)) + jnp.log(1 - dis(x_tilde)) + jnp.log(1 - dis(x_p)))
    return l_prior, l_llike, l_gan


@pytest.mark.slow
def test_own_gradients_are_algorithm_1():
    """Encoder: prior + llike. Decoder: gamma llike + gan. Discriminator: -gan."""
    nets, gamma = vae_gan_networks(), 0.3
    game = jaxgan.vae_gan(*nets, gamma=gamma, saturating=True)
    batch = {"image": jax.random.uniform(KEY, (8, 8, 8, 1), minval=-1.0)}
    params, state = jax.jit(game.init)(KEY, batch)
    terms = lambda own, player: algorithm_1(
        nets, {**params, player: own}, state, batch["image"], KEY
    )
    paid = {
        "encoder": lambda prior, llike, gan: prior + llike,
        "decoder": lambda prior, llike, gan: gamma * llike + gan,
        "discriminator": lambda prior, llike, gan: -gan,
    }
    for player, loss in game.losses.items():

        @jax.jit
        def gradients(own, player=player, loss=loss):
            everyone = {**params, player: own}
            _, gradient = jaxgan.own_gradient(loss, player, everyone, state, batch, KEY, 0)
            return gradient, jax.grad(lambda own: paid[player](*terms(own, player)))(own)

        gradient, expected = gradients(params[player])
        chex.assert_trees_all_close(gradient, expected, rtol=1e-4, atol=1e-6)
        assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected)) > 1e-3


@pytest.mark.slow
def test_the_papers_update_is_a_simultaneous_step():
    """Algorithm 1 moves all three by gradients at the same parameters."""
    game, rate = games.CASES["normalized_vae_gan"]().game, 0.1
    algorithm = jaxgan.simultaneous(game, dict.fromkeys(game.losses, optax.sgd(rate)))
    batches = {"image": jax.random.uniform(KEY, (1, 8, 8, 8, 1), minval=-1.0)}
    batch = jax.tree.map(lambda x: x[0], batches)
    state = jax.jit(algorithm.init)(KEY, batch)
    after, _ = jax.jit(algorithm.update)(state, batches, KEY)
    (key,) = jax.random.split(jax.random.fold_in(KEY, 0), 1)

    @jax.jit
    def gradients(params, model_state):
        arguments = (params, model_state, batch, key, 0)
        pairs = game.losses.items()
        return {name: jaxgan.own_gradient(loss, name, *arguments)[1] for name, loss in pairs}

    for player, gradient in gradients(state.params, state.model_state).items():
        expected = jax.tree.map(lambda p, g: p - rate * g, state.params[player], gradient)
        chex.assert_trees_all_close(after.params[player], expected, rtol=1e-5, atol=1e-6)


# ---- relatives: their losses by hand

X, Z = normal(7, D, seed=5), normal(7, DIM, seed=6)
PRIOR = lambda key, n: Z[:n]  # the same samples always
softplus = partial(np.logaddexp, 0.0)


def linear(*output: int, scale: float = 0.5) -> Network:
    """`x -> x A`, without a bias; one logit without an output shape. Inputs are joined."""

    def init(key, *inputs):
        return scale * jax.random.normal(key, (sum(x.shape[1] for x in inputs), *output)), {}

    def apply(params, state, *inputs, key=None, train):
        return jnp.concatenate(inputs, axis=1) @ params, state

    return Network(init, apply)


def test_losses_of_the_adversarial_autoencoder():
    game = jaxgan.adversarial_autoencoder(
        linear(DIM), linear(D), linear(), latent=PRIOR, adversarial_weight=3.0
    )
    params, state = jax.jit(game.init)(KEY, {"image": X})
    encoder, decoder = (np.asarray(params["autoencoder"][n]) for n in ("encoder", "decoder"))
    judge, code = np.asarray(params["discriminator"]), X @ encoder
    of_prior, of_code = Z @ judge, code @ judge
    error = np.mean((code @ decoder - X) ** 2)
    expected = {
        "discriminator": np.mean(softplus(-of_prior) + softplus(of_code)),
        "autoencoder": error + 3.0 * np.mean(softplus(-of_code)),
    }
    for player, loss in game.losses.items():
        value, _ = jax.jit(loss)(params, state, {"image": X}, KEY, 0)
        assert float(value) == pytest.approx(float(expected[player]), rel=1e-5)


def test_losses_of_bigan():
    """D judges pairs of image and code; the encoder's loss is the generator's, roles exchanged."""
    game = jaxgan.bigan(linear(DIM), linear(D), linear(), latent=PRIOR)
    params, state = jax.jit(game.init)(KEY, {"image": X})
    by_name = jax.tree.map(np.asarray, params)
    judge = lambda x, z: np.concatenate([x, z], axis=1) @ by_name["discriminator"]
    r, f = judge(X, X @ by_name["encoder"]), judge(Z @ by_name["generator"], Z)
    expected = {
        "discriminator": np.mean(softplus(-r) + softplus(f)),
        "generator": np.mean(softplus(-f)),
        "encoder": np.mean(softplus(r)),
    }
    for player, loss in game.losses.items():
        value, _ = jax.jit(loss)(params, state, {"image": X}, KEY, 0)
        assert float(value) == pytest.approx(float(expected[player]), rel=1e-5)


def test_losses_of_bigan_with_a_relativistic_loss():
    """Real pairs of image and code against generated ones; the encoder moves the real ones."""
    loss = losses.relativistic_paired()
    game = jaxgan.bigan(linear(DIM), linear(D), linear(), latent=PRIOR, loss=loss)
    params, state = jax.jit(game.init)(KEY, {"image": X})
    by_name = jax.tree.map(np.asarray, params)
    judge = lambda x, z: np.concatenate([x, z], axis=1) @ by_name["discriminator"]
    r, f = judge(X, X @ by_name["encoder"]), judge(Z @ by_name["generator"], Z)
    expected = {
        "discriminator": np.mean(softplus(f - r)),
        "generator": np.mean(softplus(r - f)),
        "encoder": np.mean(softplus(r - f)),
    }
    for player, of_player in game.losses.items():
        value, _ = jax.jit(of_player)(params, state, {"image": X}, KEY, 0)
        assert float(value) == pytest.approx(float(expected[player]), rel=1e-5)


def with_features() -> Network:
    """`x -> (h_0, h)`, the features `h = x A`, the first of which is the logit."""
    init = lambda key, x: (jax.random.normal(key, (D, 4)), {})

    def apply(params, state, x, *, key=None, train):
        h = x @ params
        return (h[:, 0], h), state

    return Network(init, apply)


@pytest.mark.parametrize("saturating", [False, True])
def test_losses_of_vae_gan(saturating):
    """Larsen et al. (2016), algorithm 1, over linear networks and a posterior of variance 1."""
    game = jaxgan.vae_gan(
        linear_encoder(), linear_decoder(), with_features(),
        gamma=0.3, prior_weight=2.0, saturating=saturating,
    )  # fmt: skip
    params, state = jax.jit(game.init)(KEY, {"image": X})
    encoder, decoder = (np.asarray(params[name]["weight"]) for name in ("encoder", "decoder"))
    mean, judge = X @ encoder, np.asarray(params["discriminator"])
    keys, zeros = jax.random.split(KEY, 8), jnp.zeros((len(X), DIM))
    code = mean + latents.gaussian(keys[1], zeros, zeros)  # their keys are those of the game
    prior_code = latents.gaussian(keys[2], zeros, zeros)
    of_real, of_reconstructed = X @ judge, code @ decoder @ judge
    real, reconstructed, sampled = (
        h[:, 0] for h in (of_real, of_reconstructed, prior_code @ decoder @ judge)
    )
    prior = np.mean(0.5 * np.sum(mean**2, axis=1))
    error = np.mean(0.5 * np.sum((of_real - of_reconstructed) ** 2, axis=1))
    fooled = np.mean(softplus(-reconstructed) + softplus(-sampled))
    if saturating:
        fooled = -np.mean(softplus(reconstructed) + softplus(sampled))
    expected = {
        "encoder": 2.0 * prior + error,
        "decoder": 0.3 * error + fooled,
        "discriminator": np.mean(softplus(-real) + softplus(reconstructed) + softplus(sampled)),
    }
    for player, loss in game.losses.items():
        value, _ = jax.jit(loss)(params, state, {"image": X}, KEY, 0)
        assert float(value) == pytest.approx(float(expected[player]), rel=1e-4)


def test_a_denoising_autoencoder_is_compared_with_the_clean_image():
    game = jaxgan.autoencoder(linear(D), linear(D), corruption=lambda key, x: jnp.ones_like(x))
    params, state = jax.jit(game.init)(KEY, {"image": X})
    own = jax.tree.map(np.asarray, params["autoencoder"])
    output = np.ones_like(X) @ own["encoder"] @ own["decoder"]
    value, _ = jax.jit(game.losses["autoencoder"])(params, state, {"image": X}, KEY, 0)
    assert float(value) == pytest.approx(np.mean((output - X) ** 2), rel=1e-5)


# ---- relatives: what they learn


def trained(game, sample, *, batch_size, rate, turns=None, num_steps=6000):
    """With settings by which other keys, and other orders of sums, come to the same end."""
    schedule = optax.cosine_decay_schedule(rate, num_steps)
    algorithm = jaxgan.alternating(
        game,
        dict.fromkeys(game.losses, optax.adam(schedule, b1=0.0, b2=0.99)),
        turns=turns,
        ema={name: 0.99 for name in game.losses if name != "discriminator"},
    )
    draw = jaxgan.data.sampled_minibatches(sample, batch_size=batch_size)
    state = jaxgan.fit(
        jaxgan.jit(jaxgan.scan_steps(algorithm, 100)), draw, key=KEY, num_steps=num_steps
    )
    return jaxgan.with_ema(state)


def coder(*shape: int) -> Network:
    return jaxgan.from_linen(networks.MLP((64, 64), output_shape=shape))


@pytest.mark.slow
def test_adversarial_autoencoder_shapes_its_codes():
    """Data on a curved grid in three dimensions; codes come to be normal, and still say it all."""

    def grid(key, n):
        a, b = jax.random.uniform(key, (2, n), minval=-1.0)
        return jnp.stack([a, b, a * b], axis=1)

    game = jaxgan.adversarial_autoencoder(
        coder(2),
        coder(3),
        coder(),
        latent=latents.normal(2),
        adversarial_weight=1.0,
    )
    params, state = trained(game, grid, batch_size=512, rate=5e-4)
    x = grid(jax.random.key(9), 4000)
    codes = np.asarray(game.encode(params, state, x))
    assert np.abs(codes.mean(axis=0)).max() < 0.15
    np.testing.assert_allclose(np.cov(codes.T), np.eye(2), atol=0.2)
    assert all(stats.kstest(column, "norm").statistic < 0.08 for column in codes.T)
    again = game.decode(params, state, jnp.asarray(codes))
    assert float(jnp.mean((again - x) ** 2)) < 0.05 * float(jnp.var(x, axis=0).mean())


@pytest.mark.slow
def test_bigan_learns_an_inverse():
    """G maps the prior to N(3, 2); E, which never receives a latent with its image, inverts G."""
    game = jaxgan.bigan(
        coder(1),
        coder(1),
        jaxgan.from_linen(networks.JointMLP((64, 64))),
        latent=latents.normal(1),
    )
    turns = ["discriminator", ("generator", "encoder")]
    data = lambda key, n: 3.0 + 2.0 * jax.random.normal(key, (n, 1))
    params, state = trained(game, data, batch_size=256, rate=1e-3, turns=turns)
    z = jnp.linspace(-1.5, 1.5, 31)[:, None]
    x = game.decode(params, state, z)
    assert float(jnp.abs(game.encode(params, state, x) - z).max()) < 0.3
    samples = game.decode(params, state, jax.random.normal(KEY, (4000, 1)))
    assert float(samples.mean()) == pytest.approx(3.0, abs=0.3)
    assert float(samples.std()) == pytest.approx(2.0, abs=0.3)


def test_bigan_refuses_a_loss_that_is_not_symmetric():
    nets = coder(1), coder(1), jaxgan.from_linen(networks.JointMLP((4,)))
    for loss in (losses.minimax(), losses.hinge(), losses.wasserstein()):
        jaxgan.bigan(*nets, latent=latents.normal(1), loss=loss)
    with pytest.raises(ValueError, match="this loss changes when real and generated are exchanged"):
        jaxgan.bigan(*nets, latent=latents.normal(1), loss=losses.least_squares())


def test_losses_of_half_precision_are_computed_in_float32():
    """The spacing of bfloat16 at an ELBO of 700 nats is 4 nats."""
    images = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], (4, 32, 32, 1)), "bfloat16")

    def networks_of(dtype):
        dense = lambda *shape: networks.from_linen(
            networks.MLP((8,), output_shape=shape, dtype=dtype)
        )
        return dense(2, 3), dense(32, 32, 1)

    game = jaxgan.vae(*networks_of(jnp.bfloat16))
    params, state = game.init(KEY, {"image": images})
    loss, aux = game.losses["autoencoder"](params, state, {"image": images}, KEY, 0)
    assert loss.dtype == aux.metrics["kl"].dtype == jnp.float32
    assert float(loss) == pytest.approx(-float(aux.metrics["elbo"]), rel=1e-6)
    fine = jaxgan.vae(*networks_of(jnp.float32))
    batch = {"image": images.astype("f4")}
    expected, _ = fine.losses["autoencoder"](params, state, batch, KEY, 0)
    assert float(loss) == pytest.approx(float(expected), abs=2.0)


def test_the_encoder_is_made_for_what_is_observed():
    dense = lambda *shape: networks.from_linen(networks.MLP((8,), output_shape=shape))
    game = jaxgan.vae(dense(2, 3), dense(8, 8, 1), observe=corruptions.grayscale())
    batch = {"image": jnp.zeros((4, 8, 8, 3))}
    params, state = game.init(KEY, batch)
    loss, _ = game.losses["autoencoder"](params, state, batch, KEY, 0)
    assert np.isfinite(loss)


@pytest.mark.parametrize("log_var", [-100.0, -178.0, -1e4])
def test_densities_of_vanishing_variance_at_their_mean(log_var):
    value, gradient = jax.value_and_grad(
        lambda v: losses.gaussian_log_prob(jnp.zeros(1), jnp.zeros(1), v[None])
    )(jnp.float32(log_var))
    assert float(value) == pytest.approx(-0.5 * (log_var + np.log(2 * np.pi)), rel=1e-6)
    assert float(gradient) == pytest.approx(-0.5)
    x, likelihood = jnp.ones((1, 4)), losses.gaussian()
    log_prob = lambda log_std: likelihood.log_prob({"log_std": log_std}, x, x)[0]
    value, gradient = jax.value_and_grad(log_prob)(jnp.float32(log_var / 2))
    assert float(value) == pytest.approx(-2.0 * (log_var + np.log(2 * np.pi)), rel=1e-6)
    assert float(gradient) == pytest.approx(-4.0)


@pytest.mark.parametrize(
    "corrupt", [corruptions.gaussian_noise(0.5), corruptions.masking(0.5), corruptions.binarized()]
)
def test_corruptions_of_two_images_are_independent(corrupt):
    equal = jnp.zeros((2, 16, 16, 1))
    first, second = corrupt(KEY, equal)
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(first, corrupt(KEY, equal[:1])[0], rtol=1e-6)
