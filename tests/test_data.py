"""Data: the idx format, `load`, the TFDS builder, and minibatches by their number."""

import collections
import gzip
import hashlib
import sys
import urllib.request
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from jaxgan import data
from jaxgan.data import mnist
from jaxgan.data.idx import read_idx, write_idx
from jaxgan.data.shuffle import shuffled
from jaxgan.errors import DataError

# ---- idx


@pytest.mark.parametrize("name", ["plain-idx3-ubyte", "zipped-idx3-ubyte.gz"])
def test_idx_round_trip(tmp_path, name):
    array = np.random.default_rng(0).integers(0, 256, (3, 4, 5), np.uint8)
    write_idx(tmp_path / name, array)
    np.testing.assert_array_equal(read_idx(tmp_path / name), array)
    np.testing.assert_array_equal(read_idx(tmp_path / name, shape=(None, 4, 5)), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"starts with the bytes \(none\), expected 00 00 08"),
        (b"\x89PNG....", "starts with the bytes 89 50 4e 47"),
        (b"\0\0\x0d\x01\0\0\0\x01....", "expected 00 00 08"),  # floats
        (b"\0\0\x08\x02\0\0\0\x01", "expected a header of 12 bytes"),
        (b"\0\0\x08\x01\0\0\0\x05abc", r"holds 3 values, expected 5 for the shape \(5,\)"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "holds 3 values, expected 2"),
        (b"\0\0\x08\x01\0\0\0\x03abc", r"holds an array of shape \(3,\), expected \(4, any\)"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x03abc", mtime=0)[:-9], "gzip that do not decompress"),
        (b"\x1f\x8bnot really", "gzip that do not decompress"),
    ],
)
def test_idx_files_that_are_not_right(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_idx(path, shape=(4, None))
    assert str(path) in str(error.value)


# ---- load


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No prepared sets, and no connection; how often one was tried is counted."""
    tried = []

    def refuse(request, timeout):
        tried.append(request.full_url)
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return tried


def fake_originals(folder: Path, *, name: str = "") -> dict[str, np.ndarray]:
    """Files with the names and shapes of the originals, and other contents."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for prefix, n in (("train", 60_000), ("t10k", 10_000)):
        images = np.zeros((n, 28, 28), np.uint8)
        images[:, 10:12] = rng.integers(0, 256, (n, 2, 28), np.uint8)
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", rng.integers(0, 10, n, np.uint8))


def test_real_mnist(mnist_folder):
    dataset = data.load("mnist", data_dir=mnist_folder.parent)
    assert dataset.name == "mnist"
    assert str(mnist_folder) in dataset.source
    assert dataset.image_shape == (28, 28, 1)
    assert dataset.num_classes == 10
    # Facts about MNIST: its first labels, its class counts and its mean grey level.
    assert dataset.train["label"][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(dataset.train["label"]).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert dataset.train["image"].mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert data.load("auto", data_dir=mnist_folder).fingerprint == dataset.fingerprint


def test_fingerprints_are_those_of_the_contents():
    """One of each split: a pixel of a test image changes the second alone."""
    digits = data.load("digits")
    before = digits.record
    assert before["fingerprint"] != before["test_fingerprint"]
    changed = {name: array.copy() for name, array in digits.test.items()}
    changed["image"][0, 14, 14] ^= 1
    after = digits._replace(test=changed).record
    assert after["fingerprint"] == before["fingerprint"]
    assert after["test_fingerprint"] != before["test_fingerprint"]


def test_stacked_digits_are_of_their_split():
    digits = data.load("digits")
    numbers = data.stacked(digits, num_train=50, num_test=50)
    for stacked, split in ((numbers.train, digits.train), (numbers.test, digits.test)):
        known = {image.tobytes() for image in split["image"]}
        channels = [image[..., i].tobytes() for image in stacked["image"] for i in range(3)]
        assert set(channels) <= known
    held_out = {image.tobytes() for image in digits.test["image"]}
    assert not held_out & {image[..., 0].tobytes() for image in numbers.train["image"]}


def test_bytes_that_are_no_images_stay():
    """Labels, and vectors of attributes as CelebA has; images are converted whatever their rank."""
    batch = {
        "image": np.full((2, 6), 255, np.uint8),
        "mask": np.full((2, 4, 4), 255, np.uint8),
        "label": np.array([3, 7], np.uint8),
        "attributes": np.array([[0, 1], [1, 0]], np.uint8),
    }
    found = data.with_float_images(batch)
    assert (found["image"] == 1.0).all()
    assert (found["mask"] == 1.0).all()
    for name in ("label", "attributes"):
        np.testing.assert_array_equal(found[name], batch[name])


def test_environment_variable(mnist_folder, monkeypatch):
    monkeypatch.setenv("JAXGAN_DATA_DIR", str(mnist_folder.parent))
    assert data.load().name == "mnist"


def test_other_sets_in_the_format(tmp_path, no_network):
    fake_originals(tmp_path / "fashion_mnist")
    dataset = data.load("fashion_mnist", data_dir=tmp_path)
    assert dataset.train["image"].shape == (60_000, 28, 28, 1)
    assert not no_network


def test_files_with_another_number_of_images_are_refused(tmp_path, no_network):
    fake_originals(tmp_path)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", np.zeros((9, 28, 28), np.uint8))
    with pytest.raises(DataError, match=r"t10k-images.* \(9, 28, 28\), expected \(10000, 28, 28\)"):
        data.load("kmnist", data_dir=tmp_path)


def test_mnist_is_not_taken_for_another_set(tmp_path, no_network, monkeypatch):
    fake_originals(tmp_path)
    images = read_idx(tmp_path / "t10k-images-idx3-ubyte")
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    monkeypatch.setitem(mnist.SHA256, "t10k-images", digest)
    with pytest.raises(DataError, match=r"these are MNIST's t10k-images and not those of fashion"):
        data.load("fashion_mnist", data_dir=tmp_path)


def test_the_real_mnist_is_not_taken_for_another_set(mnist_folder):
    with pytest.raises(DataError, match=r"these are MNIST's train-images and not those of kmnist"):
        data.load("kmnist", data_dir=mnist_folder)


def test_files_that_are_not_mnist_are_an_error_even_for_auto(tmp_path, no_network):
    fake_originals(tmp_path / "mnist")
    for name in ("auto", "mnist"):
        with pytest.raises(DataError, match=r"train-images.*SHA-256 .* expected 741c988805d008ac"):
            data.load(name, data_dir=tmp_path)
    (tmp_path / "mnist" / "train-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match="has neither train-images-idx3-ubyte nor"):
        data.load("auto", data_dir=tmp_path)


def test_auto_falls_back_to_bundled_digits_and_says_so(no_network):
    dataset = data.load("auto")
    assert dataset.name == "digits"
    assert dataset.stands_in
    assert dataset.record["stands_in"]
    assert "in place of MNIST" in dataset.source
    assert "no network in this test" in dataset.source
    assert no_network == ["https://storage.googleapis.com"]


def test_mnist_asked_for_and_not_to_be_had(no_network, tmp_path):
    with pytest.raises(DataError, match=r"mnist was not found: .* --data-dir DIR"):
        data.load("mnist", data_dir=tmp_path)


def test_unknown_names_and_folders(no_network, tmp_path):
    with pytest.raises(DataError, match="there is no data set named 'nonsense'"):
        data.load("nonsense")
    with pytest.raises(DataError, match="nowhere does not exist"):
        data.load("mnist", data_dir=tmp_path / "nowhere")
    assert not no_network


def test_sets_that_need_tensorflow_once(no_network, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"cifar10 is not prepared .* pip install 'jaxgan\[tfds\]'"):
        data.load("cifar10")


def test_digits_look_like_mnist():
    """Drawn in the middle 20 x 20 pixels, bright on black, of all classes."""
    digits = data.load("digits")
    assert not digits.stands_in
    images = digits.train["image"]
    assert images.shape == (1500, 28, 28, 1)
    assert digits.test["image"].shape == (297, 28, 28, 1)
    border = np.ones((28, 28), bool)
    border[4:24, 4:24] = False
    assert images[:, border].max() == 0
    assert images.max() == 255
    assert set(digits.train["label"]) == set(range(10))


@pytest.mark.slow
def test_tfds_set_from_original_files(mnist_folder, tmp_path, no_network):
    """Prepared and read back without network and TensorFlow, and equal to the idx reader's."""
    import tensorflow_datasets as tfds

    from jaxgan.data.tfds import builder, prepare

    tfds.disable_progress_bar()
    original = builder("mnist", tmp_path / "tfds")
    config = tfds.download.DownloadConfig(manual_dir=mnist_folder)
    before = "tensorflow" in sys.modules
    prepare(original, config)
    assert not no_network

    dataset = data.load("mnist")  # finds the prepared set in $TFDS_DATA_DIR
    assert dataset.source.startswith("TFDS idx_mnist/1.0.0 in")
    for split in ("train", "test"):
        expected = mnist.read_original(mnist_folder, split)
        found = getattr(dataset, split)
        assert set(found) == {"image", "label"}
        for name in found:
            assert found[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(found[name], expected[name])
    assert ("tensorflow" in sys.modules) == before


@pytest.mark.parametrize(
    ("sizes", "classes"), [((6, 6), ()), ((6, 6), ("cat", "dog", "owl")), ((6, 7), ())]
)
def test_any_prepared_image_set_loads(tmp_path, no_network, sizes, classes):
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (size, 6, 3), np.uint8) for size in sizes]

    class TinyImages(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = tmp_path

        def _info(self):
            features = {"image": tfds.features.Tensor(shape=(None, 6, 3), dtype=np.uint8)}
            if classes:
                features["label"] = tfds.features.ClassLabel(names=classes)
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features), disable_shuffling=True
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples() for split in ("train", "test")}

        def _generate_examples(self):
            label = {"label": classes[1]} if classes else {}
            yield from enumerate({"image": image, **label} for image in images)

    TinyImages(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    if len(set(sizes)) > 1:
        with pytest.raises(DataError, match=r"images of 2 sizes, from \(6, 6, 3\) to \(7, 6, 3\)"):
            data.load("tiny_images", data_dir=tmp_path)
        return
    dataset = data.load("tiny_images", data_dir=tmp_path)
    assert dataset.source.startswith("TFDS tiny_images/1.0.0 in")
    np.testing.assert_array_equal(dataset.train["image"], np.stack(images))
    assert dataset.classes == classes
    assert dataset.num_classes == (len(classes) or None)
    assert dataset.record.get("classes", []) == list(classes)
    if classes:
        np.testing.assert_array_equal(dataset.train["label"], [1] * len(images))
    assert not no_network


# ---- order and minibatches


@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 1000, 60_000])
def test_shuffled_is_a_permutation(n):
    order = shuffled(np.arange(n), n=n, seed=3, epoch=5)
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    one_by_one = [int(shuffled(i, n=n, seed=3, epoch=5)) for i in (0, n // 2, n - 1)]
    assert one_by_one == [order[0], order[n // 2], order[n - 1]]


def test_shuffled_orders_are_uniform():
    """Chi-squared over all 24 orders of four examples, over seeds and over epochs."""
    for seeds, epochs in ((np.arange(4800), 0), (0, np.arange(4800))):
        keys = np.broadcast_arrays(seeds, epochs)
        orders = shuffled(np.arange(4)[None], n=4, seed=keys[0][:, None], epoch=keys[1][:, None])
        counts = np.array(list(collections.Counter(map(tuple, orders.tolist())).values()))
        assert len(counts) == 24
        assert ((counts - 200) ** 2 / 200).sum() < 60  # 23 degrees of freedom: p = 4e-5


def test_seeds_of_64_bits_have_orders_of_their_own():
    """All 64 bits of a seed count, and the largest that the command line takes has a next one."""
    labels = {"label": np.arange(50), "image": np.arange(150, dtype=np.uint8).reshape(50, 1, 3, 1)}
    make = lambda seed: data.minibatches(labels, batch_size=50, seed=seed, x_flips=True)(0, 1)
    batches = [make(seed) for seed in (0, 7, 2**32 - 1, 2**32, 2**32 + 7, 2**40 + 7, 2**64 - 1)]
    assert len({tuple(batch["label"][0].tolist()) for batch in batches}) == len(batches)
    mirrored = [np.diff(batch["image"][0, :, 0, :, 0])[:, 0] < 0 for batch in batches]
    assert len({tuple(flips.tolist()) for flips in mirrored}) == len(batches)


def test_neighbours_are_torn_apart():
    order = shuffled(np.arange(10_000), n=10_000, seed=0, epoch=0).astype(np.int64)
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05


@pytest.mark.parametrize("on_device", [False, True])
def test_an_epoch_has_every_example_once(on_device):
    examples = {"image": np.arange(22, dtype=np.float32), "label": np.arange(22, dtype=np.int32)}
    batches = data.minibatches(examples, batch_size=4, seed=1, on_device=on_device)
    first, second = batches(0, 5), batches(5, 5)
    for epoch in (first, second):
        assert epoch["label"].shape == (5, 4)
        assert len(set(np.ravel(epoch["label"]).tolist())) == 20  # two wait for another epoch
        np.testing.assert_array_equal(epoch["image"], epoch["label"])
    assert np.ravel(first["label"]).tolist() != np.ravel(second["label"]).tolist()


def test_minibatches_are_a_pure_function_of_their_number(digits):
    host = data.minibatches(digits, batch_size=6, seed=2)
    device = data.minibatches(digits, batch_size=6, seed=2, on_device=True)
    across_epochs = host(3, 4)
    for i in range(4):
        alone = host(3 + i, 1)
        for name in ("image", "label"):
            np.testing.assert_array_equal(across_epochs[name][i], alone[name][0])
    jax.tree.map(np.testing.assert_array_equal, host(3, 4), device(3, 4))
    other = data.minibatches(digits, batch_size=6, seed=3)(3, 4)
    assert not np.array_equal(other["label"], across_epochs["label"])


@pytest.mark.parametrize("shape", [(2, 3, 1), (2, 3)])
def test_a_list_of_images_is_an_array_of_images(shape):
    """On the host and on the device; mirrored, also where images have no axis of channels."""
    images = np.random.default_rng(0).uniform(-1, 1, (12, *shape)).astype(np.float32)
    labels = np.arange(12)
    options = {"batch_size": 3, "seed": 3, "x_flips": True}
    expected = data.minibatches({"image": images, "label": labels}, **options)(0, 3)
    assert expected["image"].shape == (3, 3, *shape)
    for on_device in (False, True):
        examples = {"image": images if on_device else list(images), "label": labels.tolist()}
        found = data.minibatches(examples, **options, on_device=on_device)(0, 3)
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_bytes_become_floats_between_minus_one_and_one(digits):
    batch = data.minibatches(digits, batch_size=32)(0, 1)
    assert batch["image"].dtype == np.float32
    assert batch["label"].dtype == np.int32
    assert (batch["image"].min(), batch["image"].max()) == (-1.0, 1.0)
    bytes_ = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(np.round((data.as_float(bytes_) + 1) * 127.5), bytes_)
    np.testing.assert_array_equal(jax.jit(data.as_float)(bytes_), data.as_float(bytes_))


@pytest.mark.parametrize("on_device", [False, True])
def test_a_set_smaller_than_a_minibatch_is_repeated(on_device):
    """Epoch after epoch, whatever minibatches they are in."""
    labels = {"label": np.arange(3, dtype=np.int32)}
    batches = data.minibatches(labels, batch_size=8, seed=1, on_device=on_device)
    epochs = np.ravel(batches(0, 6)["label"]).reshape(16, 3)
    assert np.sort(epochs).tolist() == [[0, 1, 2]] * 16
    assert len(np.unique(epochs, axis=0)) > 3
    part = lambda i: data.minibatches(labels, batch_size=8, seed=1, process=(i, 2))
    halves = [part(i)(2, 1)["label"] for i in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(halves, axis=1), batches(2, 1)["label"])


def test_sampler_errors(digits):
    with pytest.raises(ValueError, match="batch size is 0"):
        data.minibatches(digits, batch_size=0)
    with pytest.raises(ValueError, match=r"the seed is -1, expected 0 to"):
        data.minibatches(digits, batch_size=1, seed=-1)
    with pytest.raises(ValueError, match=r"x_flips mirrors the image, and the examples have x$"):
        data.minibatches({"x": np.zeros((4, 2))}, batch_size=1, x_flips=True)
    with pytest.raises(DataError, match="lengths"):
        data.minibatches({"image": np.zeros(3), "label": np.zeros(4)}, batch_size=1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((4, 8, 8, 1), 255.0, "f4"), "image has values from 255 to 255, expected floats"),
        (np.zeros((4, 8, 8, 1), np.uint16), "image has the dtype uint16, expected uint8"),
        (np.full((4, 8, 8, 1), np.nan, "f4"), "image has values from nan to nan"),
    ],
)
def test_images_of_other_ranges_are_refused(images, message):
    with pytest.raises(DataError, match=message):
        data.minibatches({"image": images}, batch_size=2)


def test_images_in_the_unit_interval_are_doubted():
    images = np.linspace(0, 1, 64, dtype="f4").reshape(1, 8, 8, 1)
    with pytest.warns(UserWarning, match="scale images in .0, 1. by 2 x - 1"):
        data.minibatches({"image": images}, batch_size=1)


def test_streamed_batches_are_those_of_the_epochs(digits):
    """Whatever yields them; in order, and again from any number."""
    epochs = lambda n: ({"image": digits["image"][[i, n]]} for i in range(3))
    batches = data.streamed(epochs)
    number = lambda i: data.as_float(digits["image"][[i % 3, i // 3]])
    for start, count in ((0, 2), (2, 3), (5, 1), (1, 4), (4, 1)):
        expected = np.stack([number(i) for i in range(start, start + count)])
        np.testing.assert_array_equal(batches(start, count)["image"], expected)


def test_streamed_batches_read_in_order_are_read_once():
    read = []

    def epoch(n):
        for i in range(3):
            read.append((n, i))
            yield {"x": np.zeros((1, 2), np.float32)}

    batches = data.streamed(epoch)
    for start in range(4):
        batches(start, 1)
    assert read == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_streams_that_are_refused():
    with pytest.raises(DataError, match="epoch 0 has no batches"):
        data.streamed(lambda n: [])(0, 1)
    uneven = [{"x": np.zeros((2, 1))}, {"x": np.zeros((1, 1))}]
    with pytest.raises(DataError, match="drop the last batch of an epoch"):
        data.streamed(lambda n: uneven)(0, 2)
    one_by_one = data.streamed(lambda n: uneven)
    one_by_one(0, 1)
    with pytest.raises(DataError, match="drop the last batch of an epoch"):
        one_by_one(1, 1)
    with pytest.raises(DataError, match="expected floats in"):
        data.streamed(lambda n: [{"image": np.full((1, 8, 8, 1), 200.0)}])(0, 1)


@pytest.mark.parametrize("on_device", [False, True])
def test_labels_in_bytes_stay_labels(on_device):
    """As the files of MNIST have them; only images become floats in [-1, 1]."""
    rows = {"image": np.full((6, 4, 4, 1), 255, np.uint8), "label": np.arange(6, dtype=np.uint8)}
    batch = data.minibatches(rows, batch_size=6, on_device=on_device)(0, 1)
    assert batch["label"].dtype == np.uint8
    assert sorted(batch["label"][0].tolist()) == list(range(6))
    np.testing.assert_array_equal(batch["image"], np.ones((1, 6, 4, 4, 1), np.float32))
    streamed = data.streamed(lambda n: [rows])(0, 1)
    np.testing.assert_array_equal(streamed["label"][0], rows["label"])
    assert streamed["image"].max() == 1.0
    flat = {"image": np.full((6, 16), 255, np.uint8)}  # images, too
    assert data.minibatches(flat, batch_size=6, on_device=on_device)(0, 1)["image"].max() == 1.0


def test_pictures_in_a_folder_are_a_set(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 6, 4, 3), np.uint8)
    for i, image in enumerate(images):
        folder = tmp_path / ("train" if i < 3 else "test")
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    found = data.load("folder", data_dir=tmp_path)
    assert (found.name, found.num_classes) == (f"folder {tmp_path.name}", None)
    np.testing.assert_array_equal(found.train["image"], images[:3])
    np.testing.assert_array_equal(found.test["image"], images[3:])
    with pytest.raises(DataError, match="give --data-dir, a folder of images"):
        data.load("folder")


def test_a_stream_is_read_again_after_an_error():
    """The same call finds the same batches, and not those that the failed one left."""
    rows = lambda i: {"image": np.full((2, 4, 4, 1), i, np.uint8)}
    broken = [True]

    def epoch(n):
        yield rows(0)
        yield rows(1)
        if broken.pop() if broken else False:
            raise OSError("the disk is away")
        yield rows(2)

    batches = data.streamed(epoch)
    with pytest.raises(OSError, match="the disk is away"):
        batches(0, 3)
    np.testing.assert_array_equal(
        batches(0, 3)["image"][:, 0, 0, 0, 0], data.as_float(np.uint8([0, 1, 2]))
    )


def test_every_streamed_batch_is_checked():
    good = {"image": np.zeros((2, 4, 4, 1), np.float32)}
    for bad in (good["image"] + 200, good["image"] + np.nan, good["image"].astype("i4")):
        batches = data.streamed(lambda n, bad=bad: [good, {"image": bad}])
        batches(0, 1)
        with pytest.raises(DataError, match=r"expected (uint8|floats)"):
            batches(1, 1)
