"""What is done with codes, on games whose codes are known."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist
from scipy.stats import norm
from sklearn.decomposition import PCA

import jaxgan
from jaxgan import Game, corruptions, latent_space, latents
from jaxgan.parallel import axis
from jaxgan.runs.command_line import arguments
from jaxgan.runs.commands import generator
from tests.support import write_images

KEY = jax.random.key(0)


@pytest.mark.parametrize("num", [2, 4, 9])
def test_pairs_of_a_folder_are_of_its_halves(tmp_path, num):
    """The first half of nine images has 0 to 3, the second 4 to 8, however many are asked for."""
    levels = np.arange(9, dtype=np.uint8)
    write_images(tmp_path, np.broadcast_to(levels[:, None, None, None], (9, 4, 4, 1)))
    blank = {"image": np.zeros((1, 4, 4, 1), np.float32)}
    run = SimpleNamespace(
        experiment=SimpleNamespace(sample_batch=lambda n: blank), record={"data": {}}
    )
    args = arguments.Interpolate(run=tmp_path, input=tmp_path, num=num)
    found = [np.round((x[:, 0, 0, 0] + 1) * 127.5) for x in generator._pairs_of_images(args, run)]
    n = min(num, 4)
    assert [x.tolist() for x in found] == [[*range(n)], [*range(4, 4 + n)]]


def halves() -> Game:
    """Codes are half of the first two pixels; the other pixels are forgotten, and come out as 0."""

    def encode(params, state, x):
        return 0.5 * x.reshape(x.shape[0], -1)[:, :2]

    def decode(params, state, z):
        rest = jnp.zeros((z.shape[0], 2))
        return jnp.concatenate([2.0 * z, rest], axis=1).reshape(-1, 2, 2, 1)

    return Game(lambda key, batch: ({}, {}), {}, None, encode=encode, decode=decode)


def pictures(n: int) -> np.ndarray:
    return np.random.default_rng(n).uniform(-1, 1, (n, 2, 2, 1)).astype("f4")


def test_reconstruct_forgets_what_codes_forget():
    x = pictures(5)
    expected = x.copy()
    expected[:, 1] = 0.0
    np.testing.assert_allclose(latent_space.reconstruct(halves(), {}, {}, x), expected, rtol=1e-6)


@pytest.mark.parametrize("path", [latents.lerp, latents.slerp])
def test_ways_begin_and_end_at_reconstructions(path):
    start, end = pictures(3), pictures(3)
    ways = latent_space.interpolate(halves(), {}, {}, start, end, num=5, path=path)
    again = lambda x: latent_space.reconstruct(halves(), {}, {}, x)
    np.testing.assert_allclose(ways[:, 0], again(start), atol=1e-6)
    np.testing.assert_allclose(ways[:, -1], again(end), atol=1e-6)
    if path is latents.lerp:
        np.testing.assert_allclose(ways[:, 2], again((start + end) / 2), atol=1e-6)
    with pytest.raises(ValueError, match="num is 1"):
        latent_space.interpolate(halves(), {}, {}, start, end, num=1)


def test_the_map_is_of_quantiles():
    """Every cell of the grid holds one part of the prior's mass."""
    drawn = latent_space.latent_map(halves(), {}, {}, side=4)
    z = np.asarray(drawn).reshape(4, 4, 4)[:, :, :2] / 2
    quantiles = norm.ppf([0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(z[:, :, 0], np.broadcast_to(quantiles, (4, 4)), atol=1e-6)
    np.testing.assert_allclose(z[:, :, 1], np.broadcast_to(quantiles[:, None], (4, 4)), atol=1e-6)


def test_analogies_add_the_difference():
    x, without = pictures(3), pictures(4)
    shift = np.zeros((1, 2, 2, 1), np.float32)
    shift[0, 0, 0] = 0.25
    args = {"plus": without + shift, "minus": without}
    found = latent_space.analogy(halves(), {}, {}, x, **args)
    again = latent_space.reconstruct(halves(), {}, {}, x)
    np.testing.assert_allclose(found, again + shift, atol=1e-6)
    strengths = jnp.array([0.0, 1.0, 2.0])
    found = latent_space.analogy(halves(), {}, {}, x, **args, strength=strengths)
    np.testing.assert_allclose(found, again + shift * np.arange(3).reshape(3, 1, 1, 1), atol=1e-6)


def test_code_distances_are_those_of_the_nearest():
    rng = np.random.default_rng(0)
    x, normal = rng.normal(size=(20, 3)), rng.normal(size=(50, 3)) + 100.0
    expected = np.sort(cdist(x, normal), axis=1)[:, :4].mean(axis=1)
    found = latent_space.code_distance(jnp.asarray(x, "f4"), jnp.asarray(normal, "f4"), k=4)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="k is 51 and there are 50"):
        latent_space.code_distance(x, normal, k=51)


def test_anomalies_are_what_cannot_be_drawn_or_coded():
    usual = pictures(40)
    usual[:, 1] = 0.0
    strange, far = usual[:1].copy(), usual[:1].copy()
    strange[:, 1] = 1.0
    far[:, 0] = 5.0
    normal = halves().encode({}, {}, usual)
    x = jnp.concatenate([usual, strange, far])
    scores = latent_space.anomaly_scores(halves(), {}, {}, x, normal)
    assert set(scores) == set(latent_space.ANOMALY_SCORES)
    assert int(scores["reconstruction"].argmax()) == 40
    assert float(scores["reconstruction"][40]) == pytest.approx(0.5)
    assert int(scores["latent"].argmax()) == 41


def test_games_without_codes_say_so():
    game = halves()._replace(encode=None)
    with pytest.raises(ValueError, match="the game has no encode"):
        latent_space.reconstruct(game, {}, {}, pictures(1))
    with pytest.raises(ValueError, match="does not decode"):
        latent_space.latent_map(game._replace(decode=None), {}, {})


def test_a_gan_decodes_its_latents():
    prior = latents.normal(2)
    network = jaxgan.Network(lambda key, *x: ({}, {}), lambda p, s, z, **_: (2.0 * z, s))
    game = jaxgan.gan(network, network, latent=prior)
    empty = {"generator": {}, "discriminator": {}}
    drawn = game.sample(empty, empty, {"image": jnp.zeros((5, 2))}, KEY)
    np.testing.assert_array_equal(drawn, game.decode(empty, empty, prior(KEY, 5)))
    scaled = jaxgan.Network(lambda key, *x: ({}, {}), lambda p, s, z, c, **_: (c[:, None] * z, s))
    conditional = jaxgan.gan(scaled, scaled, latent=prior, conditions=("label",))
    batch = {"image": jnp.zeros((3, 2)), "label": jnp.arange(3.0)}
    drawn = conditional.sample(empty, empty, batch, KEY)
    decoded = conditional.decode(empty, empty, prior(KEY, 3), batch["label"])
    np.testing.assert_array_equal(drawn, decoded)
    np.testing.assert_array_equal(drawn, batch["label"][:, None] * prior(KEY, 3))


# ---- corruptions

ALL = {
    "noise": corruptions.gaussian_noise(0.5),
    "masking": corruptions.masking(0.3),
    "binarized": corruptions.binarized(),
    "grey": corruptions.grayscale(),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_corruptions_belong_to_examples(name):
    """The first rows do not depend on how many there are, nor on the devices."""
    x = np.random.default_rng(0).uniform(-1, 1, (8, 4, 4, 3)).astype("f4")
    whole = ALL[name](KEY, x)
    np.testing.assert_array_equal(whole[:3], ALL[name](KEY, x[:3]))
    mapped = jax.vmap(lambda x: ALL[name](KEY, x), axis_name=axis.DATA_AXIS)(
        x.reshape(2, 4, 4, 4, 3)
    )
    np.testing.assert_array_equal(whole, mapped.reshape(whole.shape))


def test_corruptions_have_their_moments():
    x = jnp.full((100, 20, 20, 1), 0.5)
    noisy = np.asarray(corruptions.gaussian_noise(0.3)(KEY, x))
    assert noisy.mean() == pytest.approx(0.5, abs=0.01)
    assert noisy.std() == pytest.approx(0.3, abs=0.01)
    masked = np.asarray(corruptions.masking(0.2)(KEY, x))
    assert np.mean(masked == -1.0) == pytest.approx(0.2, abs=0.01)
    assert np.mean(masked == 0.5) == pytest.approx(0.8, abs=0.01)
    on = np.asarray(corruptions.binarized()(KEY, x))
    assert set(np.unique(on)) == {-1.0, 1.0}
    assert np.mean(on == 1.0) == pytest.approx(0.75, abs=0.01)


def test_grey_is_pillows():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 6, 6, 3), np.uint8)
    found = corruptions.grayscale()(KEY, jaxgan.data.as_float(pixels))
    expected = np.asarray(Image.fromarray(pixels[0]).convert("L"))
    np.testing.assert_allclose((np.asarray(found)[0, :, :, 0] + 1) * 127.5, expected, atol=1.01)
    one = jnp.zeros((1, 2, 2, 1))
    assert corruptions.grayscale()(KEY, one) is one


def test_wrong_corruptions_are_refused():
    with pytest.raises(ValueError, match="std is -1"):
        corruptions.gaussian_noise(-1.0)
    with pytest.raises(ValueError, match="rate is 2"):
        corruptions.masking(2.0)


# ---- inversion and directions


def test_projection_onto_a_linear_generator_is_ridge_regression():
    """z = (A^T A / m + w / d)^-1 A^T x / m for G(z) = A z, m pixels, d latents, weight w."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(12, 3)).astype("f4")
    x = rng.uniform(-1, 1, (5, 12)).astype("f4")
    weight = 0.3
    starts = jax.random.normal(KEY, (2, 5, 3))
    found = latent_space.project(
        lambda z: z @ a.T, jnp.asarray(x), starts, num_steps=2000, prior_weight=weight
    )
    expected = np.linalg.solve(a.T @ a / 12 + weight / 3 * np.eye(3), a.T @ x.T / 12).T
    np.testing.assert_allclose(found.codes, expected, atol=1e-3)
    np.testing.assert_allclose(found.error, ((expected @ a.T - x) ** 2).mean(axis=1), rtol=1e-3)
    np.testing.assert_allclose(found.images, found.codes @ a.T, rtol=1e-5, atol=1e-6)


def test_projection_keeps_the_best_restart_of_each_image():
    """With no steps to speak of, the best start: G(z) = z, starts at and away from the image."""
    x = jnp.array([[0.0, 0.0], [1.0, 1.0]])
    starts = jnp.stack([x + jnp.array([[0.0], [9.0]]), x + jnp.array([[9.0], [0.0]])])
    found = latent_space.project(lambda z: z, x, starts, num_steps=1, learning_rate=1e-6)
    np.testing.assert_allclose(found.codes, x, atol=1e-5)


def test_a_restart_that_diverges_is_not_kept():
    decode = lambda z: jnp.where(z > 100.0, jnp.nan, z)
    starts = jnp.array([[[1e3, 1e3]], [[0.1, 0.2]]])
    found = latent_space.project(decode, starts[1], starts, num_steps=2)
    assert np.isfinite(found.error).all()


def test_the_learning_rate_of_projections_decays_to_zero():
    """Adam's steps far from the image are as long as the rate: 0.1, then half of it (a cosine)."""
    far, start = jnp.array([[1e6]]), jnp.zeros((1, 1, 1))
    project = partial(latent_space.project, lambda z: z, far, start, learning_rate=0.1)
    np.testing.assert_allclose(project(num_steps=2, prior_weight=0.0).codes, [[0.15]], rtol=1e-3)


def test_psnr_of_a_known_error():
    """Of half the range, 20 log10 2."""
    found = latent_space.Projection(jnp.zeros((1, 2)), jnp.zeros((1, 2)), jnp.array([1.0]))
    np.testing.assert_allclose(found.psnr, [20 * np.log10(2)], rtol=1e-6)
    assert found._replace(error=jnp.zeros(1)).psnr.tolist() == [100.0]  # as `metrics.psnr`


def test_projection_of_images_of_other_channels_is_refused():
    decode = lambda z: jnp.ones((len(z), 4, 4, 3)) * z[:, :1, None, None]
    with pytest.raises(AssertionError, match="shape"):
        latent_space.project(decode, jnp.zeros((2, 4, 4, 1)), jnp.zeros((1, 2, 2)))


def test_sefa_finds_the_eigenvectors_of_the_first_layer():
    kernel = np.random.default_rng(0).normal(size=(6, 20))  # A^T
    values, vectors = np.linalg.eigh(kernel @ kernel.T)
    found = latent_space.sefa(jnp.asarray(kernel, jnp.float32), 3)
    np.testing.assert_allclose(found.strengths, values[::-1][:3], rtol=1e-5)
    cosines = np.abs(np.sum(np.asarray(found.vectors) * vectors.T[::-1][:3], axis=1))
    np.testing.assert_allclose(cosines, 1.0, atol=1e-6)


def test_principal_components_are_those_of_ganspace():
    """PCA by scikit-learn, then least squares from coordinates to latents, on unequal features."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 4))
    features = np.tanh(z @ rng.normal(size=(4, 7))) * np.arange(1, 8)
    pca = PCA(3).fit(features)
    coordinates = pca.transform(features)
    expected = np.linalg.lstsq(coordinates, z - z.mean(axis=0), rcond=None)[0]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = latent_space.principal_components(
        jnp.asarray(z, jnp.float32), jnp.asarray(features, jnp.float32), 3
    )
    cosines = np.abs(np.sum(np.asarray(found.vectors) * expected, axis=1))
    np.testing.assert_allclose(cosines, 1.0, atol=1e-5)
    np.testing.assert_allclose(found.strengths, pca.explained_variance_, rtol=1e-4)
    flat = jnp.asarray(features * (np.arange(7) == 6), jnp.float32)  # of rank 1
    degenerate = latent_space.principal_components(jnp.asarray(z, jnp.float32), flat, 3)
    assert np.isfinite(degenerate.vectors).all()
    np.testing.assert_allclose(degenerate.strengths[1:], 0.0, atol=1e-6)


def test_the_first_layer_takes_the_latent():
    kernel = jnp.arange(12.0).reshape(4, 3)
    params = {"Dense_0": {"kernel": kernel, "bias": jnp.ones(3)}, "Dense_1": {"kernel": kernel.T}}
    np.testing.assert_array_equal(latent_space.first_layer(params, 4), kernel)
    np.testing.assert_array_equal(latent_space.first_layer(params, 2, "Dense_0/kernel"), kernel[:2])
    joined = {"Dense_0": {"kernel": jnp.ones((8, 5))}, "Embed_0": {"embedding": jnp.ones((10, 4))}}
    assert latent_space.first_layer(joined, 4).shape == (4, 5)  # latent, then embedding
    with pytest.raises(ValueError, match="not unique; choose one of Dense_0"):
        latent_space.first_layer(params, 2)
    with pytest.raises(ValueError, match="choose one of none"):
        latent_space.first_layer(params, 100)


def test_code_distances_between_distant_clusters():
    """Where sums of squares would cancel: they are taken of differences."""
    rng = np.random.default_rng(0)
    spread = lambda n: (0.01 * rng.normal(size=(n, 8))).astype("f4")
    normal = np.concatenate([1000 + spread(20), -1000 + spread(20)])
    x = np.concatenate([1000 + spread(3), -1000 + spread(3)])
    expected = np.sort(cdist(x, normal), axis=1)[:, :3].mean(axis=1)
    found = latent_space.code_distance(jnp.asarray(x), jnp.asarray(normal), k=3)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    with pytest.raises(ValueError, match=r"expected codes of normal images: game\.enc"):
        latent_space.code_distance(jnp.ones((6, 4)), jnp.ones((6, 8, 8, 1)), k=3)
