"""pix2pix and CycleGAN: losses, buffer, networks, images in folders, and the commands."""

import dataclasses
import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
from PIL import Image

import jaxgan
from experiments import cyclegan, pix2pix, translation
from jaxgan import data, images, losses, networks, penalties
from jaxgan.data import Jitter, load_pairs, load_sets, translation_minibatches
from jaxgan.data.image_files import resized
from jaxgan.errors import DataError
from jaxgan.games import image_buffer
from tests import games
from tests.support import command, pixels, refused, size_of, train

BATCH = games.minibatch()
KEY = jax.random.key(2)


# ---- games: their losses as the papers write them, by hand


def compiled(network):
    """Output of a network in training, `(params, *images) -> float[...]`."""
    return jax.jit(lambda params, *images: network.apply(params, {}, *images, train=True)[0])


def mean_r1(D, params, x, *others):
    """Half the squared norm of the gradient at each example."""
    gradient = jax.grad(lambda x: jnp.sum(D(params, x, *others)))(x)
    return 0.5 * np.sum(np.square(gradient)) / len(x)


def l1(a, b):
    return np.mean(np.abs(a - b))


def test_losses_of_pix2pix():
    generator = jaxgan.from_linen(networks.UNetGenerator(1, features=2, dropout=0.0, norm="none"))
    discriminator = jaxgan.from_linen(networks.PatchDiscriminator(2, 1, norm="none"))
    penalty = penalties.weighted((3.0, penalties.r1), (2.0, penalties.r2))
    game = jaxgan.pix2pix(generator, discriminator, penalty=penalty, l1_weight=7.0)
    params, state = jax.jit(game.init)(KEY, BATCH)
    params = jax.tree.map(lambda leaf: 10.0 * leaf, params)  # outputs and gradients far from 0
    x, y, of_d = BATCH["source"], BATCH["target"], params["discriminator"]
    fake, D = compiled(generator)(params["generator"], x), compiled(discriminator)
    of_real, of_fake = (scipy.special.expit(D(of_d, image, x)) for image in (y, fake))
    expected = {
        "discriminator": -0.5 * np.mean(np.log(of_real) + np.log(1 - of_fake))
        + 3.0 * mean_r1(D, of_d, y, x)
        + 2.0 * mean_r1(D, of_d, fake, x),
        "generator": -np.mean(np.log(of_fake)) + 7.0 * l1(fake, y),
    }
    for player, value in expected.items():
        loss, _ = jax.jit(game.losses[player])(params, state, BATCH, KEY, 0)
        np.testing.assert_allclose(loss, value, rtol=1e-5)
    np.testing.assert_array_equal(jax.jit(game.sample)(params, state, BATCH, KEY), fake)


def test_an_unconditional_discriminator_receives_no_source():
    generator = jaxgan.from_linen(networks.UNetGenerator(1, features=2, norm="none"))
    discriminator = jaxgan.from_linen(networks.PatchDiscriminator(2, 1, norm="none"))
    for conditional, channels in ((True, 2), (False, 1)):
        game = jaxgan.pix2pix(generator, discriminator, conditional=conditional)
        params, _ = jax.eval_shape(game.init, KEY, BATCH)
        assert params["discriminator"]["Conv_0"]["kernel"].shape[2] == channels


def test_discriminators_may_return_features():
    """Which the translation games leave out."""
    network = jaxgan.from_linen(networks.PatchDiscriminator(2, 1))

    def apply(*args, **kwargs):
        logits, state = network.apply(*args, **kwargs)
        return (logits, logits + 1.0), state

    with_features = jaxgan.Network(network.init, apply)
    unet = jaxgan.from_linen(networks.UNetGenerator(1, 2, num_levels=2))
    batch = {"source": jnp.ones((2, 16, 16, 1)), "target": -jnp.ones((2, 16, 16, 1))}
    values = []
    for discriminator in (network, with_features):
        game = jaxgan.games.pix2pix(unet, discriminator)
        params, state = jax.jit(game.init)(KEY, batch)
        values.append(jax.jit(game.losses["generator"])(params, state, batch, KEY, 0)[0])
    assert values[0] == values[1]


def test_losses_of_cyclegan():
    penalty = penalties.weighted((0.1, penalties.r1))
    game = games.cyclegan(penalty=penalty, cycle_weight=3.0, identity_weight=0.25, pool_size=0)
    large = lambda params: jax.tree.map(lambda leaf: 10.0 * leaf, params)  # outputs far from 0
    generator = jaxgan.from_linen(networks.UNetGenerator(1, 2, dropout=0.0, norm="none"))
    discriminator = jaxgan.from_linen(networks.PatchDiscriminator(2, 1, norm="none"))
    params, state = jax.jit(game.init)(KEY, BATCH)
    params = large(params)
    x, y, of_d = BATCH["x"], BATCH["y"], params["discriminators"]
    forward = compiled(generator)
    F, G = (partial(forward, params["generators"][way]) for way in ("x2y", "y2x"))
    D = compiled(discriminator)
    D_x, D_y = (lambda image, n=n: np.asarray(D(of_d[n], image)) for n in "xy")
    adversarial = np.mean((D_y(F(x)) - 1) ** 2) + np.mean((D_x(G(y)) - 1) ** 2)
    cycle, identity = l1(G(F(x)), x) + l1(F(G(y)), y), l1(F(y), y) + l1(G(x), x)
    of = lambda D, real, fake: 0.5 * (np.mean((D(real) - 1) ** 2) + np.mean(D(fake) ** 2))
    expected = {
        "generators": adversarial + 3.0 * (cycle + 0.25 * identity),
        "discriminators": of(D_x, x, G(y))
        + of(D_y, y, F(x))
        + 0.1 * (mean_r1(D, of_d["x"], x) + mean_r1(D, of_d["y"], y)),
    }
    for player, value in expected.items():
        loss, _ = jax.jit(game.losses[player])(params, state, BATCH, KEY, 0)
        np.testing.assert_allclose(loss, value, rtol=1e-5)
    for batch, fake in ((BATCH, F(x)), ({"y": y}, G(y))):
        samples = jax.jit(game.sample)(params, state, batch, KEY)
        np.testing.assert_allclose(samples, fake, atol=1e-6)


def test_discriminators_receive_what_the_buffers_return(monkeypatch):
    """Of each domain by random numbers of its own; here grey images, whatever is generated."""
    keys = []

    def query(buffer, images, key):
        keys.append(tuple(jax.random.key_data(key).tolist()))
        return jnp.full_like(images, 0.5), buffer

    monkeypatch.setattr(image_buffer, "query", query)
    game = games.cyclegan(pool_size=4)
    params, state = jax.jit(game.init)(KEY, BATCH)
    params = jax.tree.map(lambda leaf: 10.0 * leaf, params)  # outputs far from 0
    loss, _ = game.losses["discriminators"](params, state, BATCH, KEY, 0)
    D = compiled(jaxgan.from_linen(networks.PatchDiscriminator(2, 1, norm="none")))
    expected, of_d = 0.0, params["discriminators"]
    for name in ("x", "y"):
        of = lambda image, name=name: np.asarray(D(of_d[name], image))
        real, fake = of(BATCH[name]), of(np.full_like(BATCH[name], 0.5))
        expected += 0.5 * (np.mean((real - 1) ** 2) + np.mean(fake**2))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert len(set(keys)) == 2


def test_losses_may_follow_the_step():
    """A loss that grows as 1 + step, without the terms that do not."""
    half = losses.least_squares()
    scheduled = lambda step: half._replace(
        discriminator=lambda r, f: (1.0 + step) * half.discriminator(r, f),
        generator=lambda r, f: (1.0 + step) * half.generator(r, f),
    )
    generator = jaxgan.from_linen(networks.UNetGenerator(1, features=2, norm="none"))
    discriminator = jaxgan.from_linen(networks.PatchDiscriminator(2, 1, norm="none"))
    for game in (
        jaxgan.pix2pix(generator, discriminator, loss=scheduled, l1_weight=0.0),
        games.cyclegan(loss=scheduled, cycle_weight=0.0, pool_size=0),
    ):
        params, state = jax.jit(game.init)(KEY, BATCH)
        for loss in map(jax.jit, game.losses.values()):
            first, third = (loss(params, state, BATCH, KEY, step)[0] for step in (0, 2))
            np.testing.assert_allclose(third, 3.0 * first, rtol=1e-5)


def test_networks_of_cyclegan_have_names():
    network = jaxgan.from_linen(networks.ResNetGenerator(1))
    with pytest.raises(ValueError, match=r"named \['a'\], expected \['x2y', 'y2x'\]"):
        jaxgan.cyclegan({"a": network}, {"x": network, "y": network})


# ---- the image buffer


def query_one_by_one(stored, size, images, key):
    """The buffer of Shrivastava et al. as a list that is changed, with the same random numbers."""
    shown = []
    for image, key_row in zip(images, jax.random.split(key, len(images)), strict=True):
        coin, place = jax.random.split(key_row)
        if len(stored) < size:
            stored.append(image)
            shown.append(image)
        elif jax.random.bernoulli(coin):
            i = int(jax.random.randint(place, (), 0, size))
            shown.append(stored[i])
            stored[i] = image
        else:
            shown.append(image)
    return np.stack(shown)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_buffer_equals_a_list_that_is_changed(n):
    """Batches of one, of some, and larger than the buffer."""
    size, stored = 5, []
    state = image_buffer.empty(size, jnp.zeros((2,)))
    for number in range(9):
        images = np.arange(number * n, (number + 1) * n, dtype=np.float32)[:, None] * np.ones(2)
        key = jax.random.fold_in(KEY, number)
        expected = query_one_by_one(stored, size, images.astype("f4"), key)
        shown, state = jax.jit(image_buffer.query)(state, jnp.asarray(images, jnp.float32), key)
        np.testing.assert_array_equal(shown, expected)
        np.testing.assert_array_equal(state.images[: len(stored)], np.stack(stored))
        assert int(state.filled) == len(stored)


def test_half_of_the_images_of_a_full_buffer_are_older():
    state, older = image_buffer.empty(50, jnp.zeros(())), 0
    for number in range(300):
        fresh = jnp.full((4,), float(number + 1))
        shown, state = jax.jit(image_buffer.query)(state, fresh, jax.random.fold_in(KEY, number))
        older += int(jnp.sum(shown < number + 1)) if number >= 100 else 0
    assert older / 800 == pytest.approx(0.5, abs=0.06)


# ---- the U-Net


def count(network, *inputs):
    shapes = jax.eval_shape(network.init, KEY, *inputs)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes[0]))


def test_number_of_parameters_is_that_of_the_papers():
    image = jnp.zeros((1, 256, 256, 3))
    assert count(jaxgan.from_linen(networks.UNetGenerator()), image) == 54_413_955
    assert count(jaxgan.from_linen(networks.ResNetGenerator()), image) == 11_378_179
    assert count(jaxgan.from_linen(networks.PatchDiscriminator()), image, image) == 2_768_705


@pytest.mark.parametrize("side", [64, 128, 512])
def test_unet_goes_down_to_one_pixel(side):
    network = jaxgan.from_linen(networks.UNetGenerator(1, features=2))
    x = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    params, state = jax.eval_shape(network.init, KEY, x)
    assert sum(name.startswith("Conv_") for name in params) == side.bit_length() - 1
    y, _ = jax.eval_shape(lambda *a: network.apply(*a, train=False), params, state, x)
    assert y.shape == (1, side, side, 1)


def test_unet_equals_pytorchs(tmp_path):
    """The same weights in PyTorch's functions: four levels, batch normalisation, no dropout."""
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    network = jaxgan.from_linen(networks.UNetGenerator(2, features=3, num_levels=4, dropout=0.0))
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 16, 3)).astype("f4")
    params, state = network.init(KEY, jnp.asarray(x))
    y, _ = network.apply(params, state, jnp.asarray(x), key=KEY, train=True)
    tensor = lambda array, *order: torch.from_numpy(np.array(array).transpose(order).copy())

    def norm(h, i):
        p = params[f"BatchNorm_{i}"]
        return F.batch_norm(h, None, None, tensor(p["scale"], 0), tensor(p["bias"], 0), True)

    def down(h, i):
        return F.conv2d(h, tensor(params[f"Conv_{i}"]["kernel"], 3, 2, 0, 1), stride=2, padding=1)

    def up(h, i, bias=None):
        # jax's transposed convolution correlates; PyTorch's is the gradient, with flipped taps.
        kernel = tensor(np.array(params[f"ConvTranspose_{i}"]["kernel"])[::-1, ::-1], 2, 3, 0, 1)
        return F.conv_transpose2d(h, kernel, bias, stride=2, padding=1)

    leaky = lambda h: F.leaky_relu(h, 0.2)
    h0 = down(tensor(x, 0, 3, 1, 2), 0)
    h1 = norm(down(leaky(h0), 1), 0)
    h2 = norm(down(leaky(h1), 2), 1)
    h = norm(up(F.relu(down(leaky(h2), 3)), 0), 2)
    h = norm(up(F.relu(torch.cat([h, h2], 1)), 1), 3)
    h = norm(up(F.relu(torch.cat([h, h1], 1)), 2), 4)
    bias = tensor(params["ConvTranspose_3"]["bias"], 0)
    expected = torch.tanh(up(F.relu(torch.cat([h, h0], 1)), 3, bias)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(y, expected.numpy(), atol=1e-5)


@pytest.mark.slow
def test_dropout_of_the_unet_is_noise_in_training_only():
    network = jaxgan.from_linen(networks.UNetGenerator(1, features=1, num_levels=6, norm="none"))
    x = jnp.ones((1, 64, 64, 1))
    params, _ = jax.jit(network.init)(KEY, x)
    keys = (jax.random.key(0), jax.random.key(1))
    for training in (True, False):
        apply = jax.jit(partial(network.apply, params, {}, x, train=training))
        one, other = (apply(key=key)[0] for key in keys)
        assert np.array_equal(one, other) != training


def test_sizes_that_the_unet_cannot_halve():
    network = jaxgan.from_linen(networks.UNetGenerator(num_levels=6))
    with pytest.raises(ValueError, match=r"images of 100 x 128; expected sides that 64 divides"):
        network.init(KEY, jnp.zeros((1, 100, 128, 3)))


# ---- images in folders


def write(path, pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def noise(seed, height=20, width=24, channels=3) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape)


def write_side_by_side(folder):
    for split, n in (("train", 5), ("test", 2)):
        for i in range(n):
            pair = np.concatenate([noise(i), noise(100 + i)], axis=1)
            write(folder / split / f"{i:03}.png", pair)


@pytest.fixture
def side_by_side(tmp_path):
    write_side_by_side(tmp_path)
    return tmp_path


def test_pairs_side_by_side(side_by_side):
    a, b = load_pairs(side_by_side, "train")
    assert len(a) == len(b) == 5
    assert (a.channels, a.names[2]) == (3, "002")
    np.testing.assert_array_equal(a.read(2), noise(2))
    np.testing.assert_array_equal(b.read(2), noise(102))
    swapped, _ = load_pairs(side_by_side, "train", swap=True)
    np.testing.assert_array_equal(swapped.read(2), noise(102))
    halves = load_sets(side_by_side, "test")  # without pairs, their halves are two sets
    np.testing.assert_array_equal(halves[1].read(1), noise(101))


def test_pairs_by_equal_names(tmp_path):
    for i, name in enumerate(("cat", "dog")):
        write(tmp_path / "trainA" / f"{name}.png", noise(i, channels=1))
        write(tmp_path / "trainB" / f"{name}.png", noise(10 + i))
    a, b = load_pairs(tmp_path, "train")
    assert (a.channels, b.channels) == (1, 3)
    assert a.read(1).shape == (20, 24, 1)
    np.testing.assert_array_equal(b.read(1), noise(11))


def test_folders_that_are_wrong(tmp_path, side_by_side):
    case = lambda name: tmp_path / name
    case("empty").mkdir()
    with pytest.raises(DataError, match=r"has neither train/ with pairs side by side"):
        load_pairs(case("empty"), "train")
    with pytest.raises(DataError, match=r"has neither trainA/ and trainB/, nor train/ with pairs"):
        load_sets(case("empty"), "train")
    case("none/trainA").mkdir(parents=True)
    with pytest.raises(DataError, match=r"trainA holds no image files"):
        load_sets(case("none"), "train")
    write(case("odd/train/a.png"), noise(0, width=25))
    with pytest.raises(DataError, match=r"a\.png is 25 pixels wide; .* even width"):
        load_pairs(case("odd"), "train")
    for name in ("a", "b"):
        write(case("unequal/trainA") / f"{name}.png", noise(0))
    write(case("unequal/trainB/a.png"), noise(0))
    with pytest.raises(DataError, match=r"2 images in trainA and 1 in trainB; .* b has no partner"):
        load_pairs(case("unequal"), "train")
    write(case("names/trainA/a.png"), noise(0))
    write(case("names/trainB/z.png"), noise(0))
    with pytest.raises(DataError, match=r"trainA has a where trainB has z"):
        load_pairs(case("names"), "train")
    case("damaged").mkdir()
    case("damaged/a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png cannot be read: it is none of PNG"):
        data.load_folder(case("damaged"))


def test_pairs_are_cut_and_mirrored_alike(tmp_path):
    """Both images of a pair are equal here, and so are what comes of them."""
    for i in range(3):
        for letter in "AB":
            write(tmp_path / f"train{letter}" / f"{i}.png", noise(i))
    a, b = load_pairs(tmp_path, "train")
    jitter = Jitter(crop_size=16, preprocess="crop")
    draw = translation_minibatches(
        {"source": a, "target": b}, paired=True, batch_size=2, jitter=jitter
    )
    batch = draw(0, 8)
    assert batch["source"].shape == (8, 2, 16, 16, 3)
    np.testing.assert_array_equal(batch["source"], batch["target"])
    # Every example is a piece of an image, as it is or mirrored; and there are both kinds.
    found = set()
    for example in batch["source"].reshape(-1, 16, 16, 3):
        pixels = np.round((example + 1) * 127.5).astype(int)
        for i in range(3):
            windows = np.lib.stride_tricks.sliding_window_view(noise(i), (16, 16, 3))[:, :, 0]
            for mirrored in (False, True):
                if (windows == (pixels[:, ::-1] if mirrored else pixels)).all((2, 3, 4)).any():
                    found.add((i, mirrored))
    assert {i for i, _ in found} == {0, 1, 2}
    assert {mirrored for _, mirrored in found} == {False, True}


def test_minibatches_are_a_pure_function_of_their_number(side_by_side):
    a, b = load_pairs(side_by_side, "train")
    make = lambda **more: translation_minibatches(
        {"x": a, "y": b},
        **{"paired": False, "batch_size": 2, "jitter": Jitter(18, 16), **more},
    )
    draw = make()
    in_order = [draw(i, 1) for i in range(4)]
    together = make()(1, 3)
    again = draw(2, 1)  # back, as after a restart
    for name in ("x", "y"):
        np.testing.assert_array_equal(again[name], in_order[2][name])
        np.testing.assert_array_equal(together[name][1], in_order[2][name][0])
    assert not np.array_equal(make(seed=1)(0, 1)["x"], in_order[0]["x"])


def test_sets_without_pairs_have_orders_of_their_own(side_by_side):
    """In every epoch each image comes once; the shorter set begins anew earlier."""
    a, b = load_pairs(side_by_side, "train")
    short = data.ImageFiles(b.names[:2], 3, b.read, b.fingerprint)
    draw = translation_minibatches(
        {"x": a, "y": short}, paired=False, batch_size=1, jitter=Jitter(20, 20, x_flips=False)
    )
    batch, orders = draw(0, 10), {}
    for name, pictures in (("x", a), ("y", short)):
        small = [data.as_float(resized(pictures.read(i), (20, 20))) for i in range(len(pictures))]
        orders[name] = [
            next(i for i, picture in enumerate(small) if np.array_equal(picture, image))
            for image in batch[name][:, 0]
        ]
    assert sorted(orders["x"][:5]) == sorted(orders["x"][5:]) == list(range(5))
    assert orders["x"][:5] != orders["x"][5:]
    assert all(set(orders["y"][i : i + 2]) == {0, 1} for i in range(0, 10, 2))


def crops(folder, *, seed=0, jitter=None, n=8):
    """`{"x", "y"}`, some crops of the folder's images, in sets that are equal and unpaired."""
    pictures = data.load_folder(folder)
    sets = {"x": pictures, "y": pictures}
    jitter = jitter or Jitter(30, 16)
    draw = translation_minibatches(sets, paired=False, batch_size=1, seed=seed, jitter=jitter)
    return {name: batch[:, 0] for name, batch in draw(0, n).items()}


def different(images) -> int:
    return len({image.tobytes() for image in images})


def test_crops_and_flips_are_those_of_the_seed_the_step_and_the_set(tmp_path):
    """Of a single image, whose order has no randomness."""
    write(tmp_path / "0.png", noise(0))
    first, again, other = (crops(tmp_path, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first["x"], again["x"])
    assert different(first["x"]) > 4  # from epoch to epoch
    assert not np.array_equal(first["x"], other["x"])
    assert not np.array_equal(first["x"], first["y"])


def test_crops_reach_all_positions(tmp_path):
    """Of 18 x 18 pixels at 16 x 16, nine."""
    write(tmp_path / "0.png", noise(0, 18, 18))
    jitter = Jitter(crop_size=16, preprocess="crop", x_flips=False)
    assert different(crops(tmp_path, jitter=jitter, n=200)["x"]) == 9


def test_equal_sets_without_pairs_have_orders_of_their_own(tmp_path):
    for i in range(5):
        write(tmp_path / f"{i}.png", noise(i, 16, 16))
    found = crops(tmp_path, jitter=Jitter(16, 16, x_flips=False), n=20)
    same = (found["x"] == found["y"]).all(axis=(1, 2, 3)).mean()
    assert same < 0.6  # 1 / 5 in the mean


@pytest.mark.parametrize("process", [0, 1])
def test_each_process_reads_its_rows_of_a_minibatch(side_by_side, monkeypatch, process):
    a, b = load_pairs(side_by_side, "train")
    make = lambda: translation_minibatches(
        {"x": a, "y": b}, paired=False, batch_size=4, jitter=Jitter(20, 16)
    )
    everything = make()(0, 3)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: process)
    own = make()(0, 3)
    for name in ("x", "y"):
        rows = everything[name][:, 2 * process : 2 * process + 2]
        np.testing.assert_array_equal(own[name], rows)


def test_crops_that_are_too_large(side_by_side):
    a, b = load_pairs(side_by_side, "train")
    with pytest.raises(DataError, match=r"00\d has 20 x 24 pixels, expected at least 21 x 21"):
        translation_minibatches(
            {"x": a, "y": b},
            paired=False,
            batch_size=1,
            jitter=Jitter(crop_size=21, preprocess="crop"),
        )(0, 1)
    with pytest.raises(DataError, match="load size is 18 and the crop size 20"):
        translation_minibatches({"x": a}, paired=False, batch_size=1, jitter=Jitter(18, 20))


def test_recoloured_digits_have_a_truth():
    """An affine map of every pixel takes x to y, and back."""
    digits = data.load("digits").test["image"]
    x, y = (v / 255.0 for v in data.recolored(digits).values())
    design = np.concatenate([x.reshape(-1, 3), np.ones((x.size // 3, 1))], axis=1)
    for ours, theirs in ((design, y), (np.concatenate([y.reshape(-1, 3), design[:, 3:]], 1), x)):
        solution, *_ = np.linalg.lstsq(ours, theirs.reshape(-1, 3), rcond=None)
        assert np.abs(ours @ solution - theirs.reshape(-1, 3)).max() < 0.01
    apart = data.recolored(digits, paired=False)
    assert len(apart["x"]) == len(digits) // 2
    np.testing.assert_array_equal(apart["x"][1], data.recolored(digits)["x"][2])
    np.testing.assert_array_equal(apart["y"][1], data.recolored(digits)["y"][3])


# ---- runs


SMALL = {"crop_size": 16, "batch_size": 2, "patch_layers": 1, "log_every": 1}


def run(module, directory, **fields):
    """Trains a small run of an experiment; the values of its last evaluation."""
    return train(module, directory, **({"features": 2} | SMALL | fields))


TWO_EPOCHS = {"epochs": 2, "decay_epochs": 1, "checkpoint_every": 1}  # of 5 pairs in batches of 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of images, a finished run of pix2pix on it, and its evaluation."""
    folder = tmp_path_factory.mktemp("images")
    write_side_by_side(folder)
    directory = tmp_path_factory.mktemp("pix2pix") / "run"
    return folder, directory, run(pix2pix, directory, data_dir=str(folder), **TWO_EPOCHS)


@pytest.mark.slow
def test_pix2pix_is_evaluated_beside_the_mean_target(trained):
    """The score of the mean of the training targets, by hand."""
    folder, directory, values = trained
    assert {"l1", "psnr", "ssim", "mean_target/l1"} <= set(values)
    train, test = (
        data.resized_examples({"y": load_pairs(folder, split)[1]}, Jitter(crop_size=16))["y"]
        for split in ("train", "test")
    )
    scaled = lambda images: images.astype(np.float64) / 127.5 - 1
    expected = np.abs(scaled(train).mean(axis=0) - scaled(test)).mean()
    assert values["mean_target/l1"] == pytest.approx(expected, rel=1e-4)
    # Source, output and target of two pairs; three epochs of two steps.
    assert size_of(directory / "samples" / "step_0000006.png") == (3 * 18 + 2, 2 * 18 + 2)


@pytest.mark.slow
def test_pix2pix_resumes(trained, tmp_path, capsys):
    folder, directory, _ = trained
    fields = {"data_dir": str(folder), **TWO_EPOCHS}
    run(pix2pix, tmp_path / "stopped", **fields, num_steps=4)
    run(pix2pix, tmp_path / "stopped", **fields)
    capsys.readouterr()
    digests = []
    for path in (directory, tmp_path / "stopped"):
        command("digest", path)
        digests.append(capsys.readouterr().out)
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_pictures_of_any_size_are_translated(trained, tmp_path):
    directory = trained[1]
    write(tmp_path / "in" / "a.png", noise(7, height=21, width=50))
    write(tmp_path / "in" / "b.png", noise(8, height=16, width=16))
    command("translate", directory, input=tmp_path / "in", out=tmp_path / "out")
    live = jaxgan.load_run(directory)
    padding = [(0, -side % 16) for side in (21, 50)]
    padded = np.pad(data.as_float(np.uint8(noise(7, 21, 50))), [*padding, (0, 0)], mode="reflect")
    translate = live.experiment.translations["source2target"].apply
    expected = jax.jit(translate)(live.params, live.model_state, padded[None])[:, :21, :50]
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "a.png"), images.grid(expected, margin=0)
    )
    assert size_of(tmp_path / "out" / "b.png") == (16, 16)
    for folder, flags, message in (
        ("in", {"direction": "y2x"}, "--direction is y2x, expected one of source2target"),
        ("nowhere", {}, "nowhere does not exist"),
    ):
        flags |= {"input": tmp_path / folder, "out": tmp_path / "out"}
        assert message in refused(command, "translate", directory, **flags)


@pytest.mark.slow
def test_translations_are_exported_for_any_number_and_size(trained, tmp_path):
    """The program in the file has the bits of the live translation."""
    command("export", trained[1], out=tmp_path / "model.stablehlo")
    model = jax.export.deserialize(bytearray((tmp_path / "model.stablehlo").read_bytes()))
    live = jaxgan.load_run(trained[1])
    translation = live.experiment.translations["source2target"]
    for n, height, width in ((1, 16, 32), (3, 32, 16)):
        size = (n, height * translation.multiple // 16, width * translation.multiple // 16, 3)
        pictures = np.random.default_rng(n).uniform(-1, 1, size).astype(np.float32)
        expected = jax.jit(translation.apply)(live.params, live.model_state, pictures)
        np.testing.assert_array_equal(model.call(pictures), expected)


@pytest.mark.slow
def test_what_is_translated_is_converted_and_said(trained, tmp_path, capsys):
    """Grey, turned and transparent images are translated as the RGB images that they show."""
    directory = trained[1]
    whole = noise(7, height=16, width=32)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, image, flags in (
        ("turned.png", np.rot90(whole), {"exif": exif}),
        ("grey.png", noise(8, 16, 16, channels=1), {}),
        ("plain.png", whole, {}),
        ("left.png", whole[:, :16], {}),
    ):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "in" / name, **flags)
    command("translate", directory, input=tmp_path / "in", out=tmp_path / "out")
    said = capsys.readouterr().out
    assert "4 images" in said
    assert "converted: 1 grey made RGB, 1 rotated by EXIF" in said
    assert "--side" not in said
    out = {path.stem: pixels(path) for path in (tmp_path / "out").glob("*.png")}
    assert out["turned"].shape == (16, 32, 3)
    np.testing.assert_array_equal(out["turned"], out["plain"])
    # A single file, of which a half.
    file = tmp_path / "in" / "plain.png"
    command("translate", directory, input=file, out=tmp_path / "half", side="left")
    assert [path.name for path in (tmp_path / "half").glob("*.png")] == ["plain.png"]
    np.testing.assert_array_equal(pixels(tmp_path / "half" / "plain.png"), out["left"])
    command("translate", directory, input=file, out=tmp_path / "whole")
    assert "give --side left or --side right" in capsys.readouterr().out
    text = refused(command, "translate", directory, input=file, out=tmp_path / "half", side="right")
    assert "half has translations of" in text
    write(tmp_path / "in" / "odd.png", noise(9, height=16, width=17))
    text = refused(
        command, "translate", directory, input=tmp_path / "in", out=tmp_path / "odd", side="left"
    )
    assert "odd.png is 17 pixels wide, and pairs side by side have an even width" in text
    assert not (tmp_path / "odd").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [("encode", "does not encode images"), ("project", "translates images: it has no samples")],
)
def test_translations_have_no_codes(trained, tmp_path, name, message):
    """They have images of two names, and of any size."""
    write(tmp_path / "in" / "a.png", noise(7))
    assert message in refused(command, name, trained[1], input=tmp_path / "in")


@pytest.mark.slow
def test_translations_overwrite_nothing(trained, tmp_path):
    directory = trained[1]
    write(tmp_path / "in" / "a.png", noise(7))
    translate = lambda **flags: refused(command, "translate", directory, **flags)
    text = translate(input=tmp_path / "in", out=tmp_path / "in" / ".." / "in")
    assert "--out is the folder of --input" in text
    assert "is the folder" in translate(input=tmp_path / "in" / "a.png", out=tmp_path / "in")
    write(tmp_path / "in" / "b" / "a.png", noise(7))
    assert "is an input" in translate(input=tmp_path / "in", out=tmp_path / "in" / "b")
    Image.fromarray(noise(7).astype(np.uint8)).save(tmp_path / "in" / "a.jpg")
    text = translate(input=tmp_path / "in", out=tmp_path / "out")
    assert "a.jpg and" in text
    assert "rename one of them" in text
    (tmp_path / "in" / "a.jpg").write_bytes(b"hello")
    assert "give --skip-bad" in translate(input=tmp_path / "in", out=tmp_path / "out")


@pytest.mark.slow
def test_cyclegan_without_pairs(tmp_path, monkeypatch, capsys):
    for letter, n in (("A", 3), ("B", 4)):
        for split in ("train", "test"):
            for i in range(n):
                write(tmp_path / f"{split}{letter}" / f"{letter}{i}.png", noise(i))
    fields = {"data_dir": str(tmp_path), "num_blocks": 1, "num_steps": 3, "pool_size": 2}
    values = run(cyclegan, tmp_path / "run", **fields)
    assert {"x2y2x/l1", "y2x2y/ssim", "x2y/swd_pixels", "y2x/kid_pixels"} <= set(values)
    with Image.open(tmp_path / "run" / "samples" / "step_0000003.png") as grid:
        assert grid.size == (6 * 18 + 2, 3 * 18 + 2)
    command(
        "translate",
        tmp_path / "run",
        input=tmp_path / "testB",
        out=tmp_path / "out",
        direction="y2x",
    )
    assert len(list((tmp_path / "out").glob("*.png"))) == 4
    write(tmp_path / "tiny.png", noise(0, 3, 5))
    command("translate", tmp_path / "run", input=tmp_path / "tiny.png", out=tmp_path / "tiny")
    with Image.open(tmp_path / "tiny" / "tiny.png") as tiny:
        assert tiny.size == (5, 3)
    command("export", tmp_path / "run", out=tmp_path / "model", direction="y2x")
    assert {"model.stablehlo", "generators.safetensors"} <= set(os.listdir(tmp_path / "model"))
    model = jax.export.deserialize(bytearray((tmp_path / "model/model.stablehlo").read_bytes()))
    live = jaxgan.load_run(tmp_path / "run")
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 8, 12, 3)).astype(np.float32)
    apply = jax.jit(live.experiment.translations["y2x"].apply)
    np.testing.assert_array_equal(
        model.call(pictures), apply(live.params, live.model_state, pictures)
    )
    assert "--direction is up, expected one of x2y, y2x" in refused(
        command, "export", tmp_path / "run", out=tmp_path / "none", direction="up"
    )
    assert not (tmp_path / "none").exists()


def test_experiments_report_missing_data(tmp_path):
    for module, fields, message in (
        (pix2pix, {}, "there are no images; give --data-dir"),
        (pix2pix, {"data": "cycle_gan/horse2zebra"}, "cycle_gan/horse2zebra has no pairs"),
    ):
        config = dataclasses.replace(module.Config(), run_dir=str(tmp_path / "run"), **fields)
        with pytest.raises(DataError, match=message):
            module.make(config, config.load_data())


@pytest.mark.slow
def test_pix2pix_learns_the_recoloured_digits(tmp_path):
    """The exact-truth task with pairs: far closer than leaving the image alone."""
    values = run(
        pix2pix, tmp_path / "run", data="recolored", crop_size=32, features=8, batch_size=4,
        num_steps=120, epochs=1, decay_epochs=0, learning_rate=2e-3, ema=0.9, log_every=40,
    )  # fmt: skip
    digits = data.recolored(data.load("digits").test["image"])
    identity = np.abs(digits["x"].astype(float) - digits["y"]).mean() / 127.5
    assert values["l1"] < 0.25 * identity


def test_levels_of_pix2pix():
    config = pix2pix.Config()
    assert pix2pix.num_levels(config) == config.levels == 4
    to_one_pixel = dataclasses.replace(config, levels=None, crop_size=256)
    assert pix2pix.num_levels(to_one_pixel) == 8


def test_optimizers_fall_to_zero():
    config = dataclasses.replace(pix2pix.Config(), epochs=2, decay_epochs=3, batch_size=4)
    adam = translation.adam(config, num_train=9)  # two steps an epoch
    assert translation.num_steps(config, 9) == 10
    params = jnp.ones(())
    state = adam.init(params)
    sizes = []
    for _ in range(12):
        updates, state = adam.update(jnp.ones(()), state, params)
        sizes.append(float(optax.tree.norm(updates)))
    np.testing.assert_allclose(sizes[:5], 2e-4, rtol=1e-3)
    assert sizes[7] == pytest.approx(1e-4, rel=1e-2)
    assert sizes[10] == sizes[11] == 0.0


@pytest.mark.slow
def test_cyclegan_learns_the_truth_without_pairs(tmp_path):
    """Recoloured digits, no digit in both sets: far below a quarter of the identity map's error."""
    values = run(
        cyclegan, tmp_path / "run", data="recolored", crop_size=32, features=8, num_blocks=2,
        patch_layers=2, batch_size=8, num_steps=80, epochs=1, decay_epochs=0, log_every=80,
        evaluate_samples=200, sample_every=80,
    )  # fmt: skip
    for way in ("x2y", "y2x"):
        assert values[f"truth_{way}/l1"] < 0.25 * values[f"identity_{way}/l1"]


def test_sets_of_tfds(tmp_path):
    """Two sets of images of several sizes, read as a prepared TFDS set is."""
    import tensorflow_datasets as tfds

    sizes = {"trainA": (6, 7, 9), "trainB": (8, 8), "testA": (6,), "testB": (7,)}

    class TinyHorses(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = tmp_path

        def _info(self):
            features = {"image": tfds.features.Tensor(shape=(None, 6, 3), dtype=np.uint8)}
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features), disable_shuffling=True
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in sizes}

        def _generate_examples(self, split):
            for i, height in enumerate(sizes[split]):
                yield i, {"image": noise(i, height=height, width=6).astype(np.uint8)}

    TinyHorses(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    x, y = data.load_tfds_sets("tiny_horses", "train", data_dir=tmp_path)
    assert (len(x), len(y), x.channels) == (3, 2, 3)
    np.testing.assert_array_equal(x.read(2), noise(2, height=9, width=6))
    draw = translation_minibatches(
        {"x": x, "y": y}, paired=False, batch_size=1, jitter=Jitter(crop_size=5, preprocess="crop")
    )
    assert draw(0, 4)["y"].shape == (4, 1, 5, 5, 3)
    with pytest.raises(DataError, match=r"has the splits .*, expected validA and image"):
        data.load_tfds_sets("tiny_horses", "valid", data_dir=tmp_path)
