"""Feature networks: the digit classifier that is shipped, Inception, and the files of either."""

import hashlib
import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from jaxgan import data, features, metrics, networks, weights
from jaxgan.errors import MetricError, WeightsError
from jaxgan.features import classifier, fid_inception
from jaxgan.weights import load_torch, torch_file
from tests import inception_reference

# ---- the digit classifier


@pytest.mark.slow
def test_the_digit_classifier_is_as_accurate_as_its_record_says(mnist_folder):
    test = data.load("mnist", data_dir=mnist_folder.parent).test
    apply = features.mnist_classifier().apply
    logits = [
        apply(data.as_float(test["image"][i : i + 1000]))["logits"] for i in range(0, 10000, 1000)
    ]
    accuracy = np.mean(np.concatenate(logits).argmax(axis=1) == test["label"])
    (record,) = weights.record(classifier.WEIGHTS)["evaluation"]
    assert record["name"] == "accuracy"
    assert record["num_real"] == 10_000
    assert accuracy == pytest.approx(record["value"], abs=2e-4)
    assert accuracy >= 0.992


def test_the_digit_classifier_says_what_it_is():
    found = features.mnist_classifier()
    assert found.sha256 == hashlib.sha256(classifier.WEIGHTS.read_bytes()).hexdigest()
    assert classifier.WEIGHTS.stat().st_size < 1_000_000
    record = weights.record(classifier.WEIGHTS)
    assert record["experiment"] == "experiments.classifier"
    assert record["data"]["name"] == "mnist"
    assert list(metrics.frechet_distance(found).features) == list(found)
    with pytest.raises(MetricError, match="have shape \\(32, 32, 3\\)"):
        found.apply(jnp.zeros((1, 32, 32, 3)))


# ---- random convolutions


def test_random_convolutions_see_edges_and_no_brightness():
    apply = features.random_convolutions().apply
    images = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 16, 12, 3)).astype("f4")
    rows = apply(images)["features"]
    assert rows.shape == (3, 448)
    np.testing.assert_allclose(apply(images + 0.25)["features"], rows, atol=1e-5)
    np.testing.assert_allclose(apply(2.0 * images)["features"], 2.0 * rows, rtol=1e-4, atol=1e-5)
    # The first filter by SciPy.
    filters = np.random.RandomState(0).standard_normal((5, 5, 3, 32))
    filters = filters - filters.mean(axis=(0, 1, 2))
    first = filters[..., 0] / np.linalg.norm(filters[..., 0])
    response = sum(
        ndimage.correlate(images[0, ..., c].astype("f8"), first[..., c], mode="nearest")
        for c in range(3)
    )
    response = np.maximum(response, 0.0)
    np.testing.assert_allclose(rows[0, 0], response.mean(), rtol=1e-4)
    np.testing.assert_allclose(rows[0, 32], response.std(), rtol=1e-4)


# ---- Inception


@pytest.fixture(scope="module")
def reference():
    """Random weights, an image, and what the reference makes of both."""
    w = inception_reference.Weights()
    image = np.random.default_rng(1).uniform(-1, 1, (1, 3, 91, 107))
    return w.arrays, image, inception_reference.inception(w, image)


@pytest.mark.slow
def test_inception_equals_an_independent_reference_layer_by_layer(reference):
    arrays, image, (maps, means, logits) = reference
    params, model_state = fid_inception.from_torch(arrays)
    network = networks.from_linen(networks.InceptionV3())
    x = jnp.asarray(image.transpose(0, 2, 3, 1), jnp.float32)
    found, _ = jax.jit(lambda x: network.apply(params, model_state, x, train=False))(x)
    assert len(found["maps"]) == len(maps) == 13
    for ours, theirs in zip(found["maps"], maps, strict=True):
        theirs = theirs.transpose(0, 2, 3, 1)
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    np.testing.assert_allclose(found["features"], means, atol=1e-5 * np.abs(means).max())
    largest = np.abs(logits).max()
    np.testing.assert_allclose(found["logits"], logits, atol=1e-5 * largest)
    unbiased = logits - arrays["fc.bias"]
    np.testing.assert_allclose(found["logits_unbiased"], unbiased, atol=1e-5 * largest)


def test_weights_of_another_network_are_refused(reference):
    arrays = dict(reference[0])
    arrays["Mixed_6b.branch7x7_1.conv.weight"] = np.zeros((64, 768, 1, 1), np.float32)
    with pytest.raises(WeightsError, match=r"Mixed_6b\.branch7x7_1\.conv\.weight has the shape"):
        fid_inception.from_torch(arrays)
    arrays = {name: array for name, array in reference[0].items() if name != "fc.bias"}
    with pytest.raises(WeightsError, match=r"no fc\.bias"):
        fid_inception.from_torch(arrays)


@pytest.mark.parametrize("side", [28, 500])
def test_the_resize_is_pillows(side):
    pixels = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    expected = Image.fromarray(pixels.astype("f4"), "F").resize(
        (299, 299), Image.Resampling.BICUBIC
    )
    if side == 28:
        assert np.max(expected) > 260  # the cubic filter overshoots at edges
    image = data.as_float(pixels)[None, :, :, None]
    resized = np.asarray(fid_inception.prepared(image)) * 128 + 128
    np.testing.assert_allclose(resized[0, ..., 0], np.clip(expected, 0, 255), atol=1e-3)
    np.testing.assert_array_equal(resized[..., 0], resized[..., 2])


@pytest.mark.parametrize("shape", [(28, 28), (40, 350)])
@pytest.mark.parametrize("resize", ["legacy_pytorch", "legacy_tensorflow"])
def test_legacy_resizes_interpolate_between_pixels(resize, shape):
    """Linear interpolation by SciPy at the positions that the libraries' sources define."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    outputs, positions = np.arange(299), []
    for side in shape:
        centered = (outputs + 0.5) * (side / 299) - 0.5  # PyTorch, align_corners=False
        positions.append(centered if resize == "legacy_pytorch" else outputs * (side / 299))
    grid = np.meshgrid(*positions, indexing="ij")
    expected = ndimage.map_coordinates(pixels.astype("f8"), grid, order=1, mode="nearest")
    prepared = fid_inception.prepared(data.as_float(pixels)[None, :, :, None], resize=resize)
    scaled = expected / 127.5 - 1 if resize == "legacy_pytorch" else (expected - 128) / 128
    np.testing.assert_allclose(prepared[0, ..., 1], scaled, atol=1e-5)


def test_features_of_a_legacy_resize_have_its_name(reference, tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(as_zip(reference[0]))
    legacy = features.inception(path, resize="legacy_tensorflow")
    assert legacy.score_name("fid").endswith("_legacy_tensorflow")
    assert "legacy_tensorflow to 299 x 299: bilinear" in legacy.preprocessing
    with pytest.raises(ValueError, match="resize is 'bicubic', expected one of clean, legacy_p"):
        features.inception(path, resize="bicubic")


def test_scores_over_other_weights_are_not_called_fid(reference, tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(as_zip(reference[0]))
    found = features.inception(path)
    assert found.name == f"inception_{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    assert "clean to 299 x 299: bicubic, antialiased" in found.preprocessing
    assert found.score_logits == "logits_unbiased"
    images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 1)).astype("f4")
    assert jax.eval_shape(found.apply, images)["features"].shape == (2, 2048)
    real = metrics.Features("inception", found.apply, suffix="")  # as with FID's own weights
    for name, metric in (
        ("fid", metrics.frechet_distance(real)),
        ("kid", metrics.kernel_distance(real)),
        ("inception_score", metrics.classifier_score(real)),
    ):
        rows = np.random.default_rng(0).normal(size=(20, 5))
        acc = metric.update(metric.init(), real=rows, generated=rows)
        assert list(metric.compute(acc)) == [name]


# ---- files of PyTorch, made here byte by byte, and by PyTorch where it is installed


class FloatStorage:
    """Stands for `torch.FloatStorage`."""


class LongStorage:
    """Stands for `torch.LongStorage`."""


class Rebuild:
    """Stands for `torch._utils._rebuild_tensor_v2`."""


NAMES = {
    FloatStorage: b"torch\nFloatStorage\n",
    LongStorage: b"torch\nLongStorage\n",
    Rebuild: b"torch._utils\n_rebuild_tensor_v2\n",
}


class Tensor:
    """Pickles as PyTorch's tensors do: a call of a function over a storage that is kept apart."""

    def __init__(self, key: str, array: np.ndarray, strides=None) -> None:
        self.key, self.array = key, array
        self.strides = strides or tuple(step // array.itemsize for step in array.strides)


class Pickler(pickle._Pickler):
    """Writes the names that it is told, without looking for what they name."""

    def save_global(self, found, name=None):
        if found in NAMES:
            self.write(pickle.GLOBAL + NAMES[found])
        else:
            super().save_global(found, name)

    def reducer_override(self, found):
        if not isinstance(found, Tensor):
            return NotImplemented
        kind = LongStorage if found.array.dtype == np.int64 else FloatStorage
        storage = StorageRef(found.key, kind, found.array.size)
        shape = found.array.shape
        return Rebuild, (storage, 0, shape, found.strides, False, OrderedDict())

    def persistent_id(self, found):
        if isinstance(found, StorageRef):
            return "storage", found.kind, found.key, "cpu", found.size
        return None


class StorageRef:
    def __init__(self, key: str, kind: type, size: int) -> None:
        self.key, self.kind, self.size = key, kind, size


def pickled(arrays) -> bytes:
    stream = io.BytesIO()
    tensors = OrderedDict((name, Tensor(str(i), a)) for i, (name, a) in enumerate(arrays.items()))
    Pickler(stream, protocol=2).dump(tensors)
    return stream.getvalue()


def as_zip(arrays) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(arrays))
        archive.writestr("archive/byteorder", "little")
        for i, array in enumerate(arrays.values()):
            archive.writestr(f"archive/data/{i}", np.ascontiguousarray(array).tobytes())
    return stream.getvalue()


def as_legacy(arrays) -> bytes:
    header = [pickle.dumps(part, 2) for part in (torch_file.MAGIC, 1001, {"little_endian": True})]
    keys = pickle.dumps([str(i) for i in range(len(arrays))], 2)
    storages = [struct.pack("<q", a.size) + a.tobytes() for a in arrays.values()]
    return b"".join([*header, pickled(arrays), keys, *storages])


ARRAYS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "n": np.array(7),
    "b": np.linspace(0, 1, 5, dtype=np.float32),
}


@pytest.mark.parametrize("write", [as_zip, as_legacy])
def test_torch_files(write, tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(write(ARRAYS))
    found = load_torch(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_files_that_torch_wrote(legacy, tmp_path):
    torch = pytest.importorskip("torch")
    matrix = torch.arange(12.0).reshape(3, 4)
    tensors = {"t": matrix.T, "view": matrix[1:], "half": matrix.half(), "n": torch.tensor(3)}
    path = tmp_path / "w.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=not legacy)
    for name, array in load_torch(path).items():
        np.testing.assert_array_equal(array, tensors[name].numpy())


class Evil:
    def __reduce__(self):
        return print, ("this ran",)


@pytest.mark.parametrize("write", [as_zip, as_legacy])
def test_torch_files_that_would_run_something_are_refused(write, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules[__name__], "pickled", lambda arrays: pickle.dumps(Evil(), 2))
    path = tmp_path / "w.pth"
    path.write_bytes(write(ARRAYS))
    with pytest.raises(WeightsError, match=r"print, which is not allowed"):
        load_torch(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"no pickle", as_legacy({})[:30]])
def test_torch_files_that_are_none(content, tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"is not a readable PyTorch file of tensors"):
        load_torch(path)
    with pytest.raises(WeightsError, match="No such file"):
        load_torch(tmp_path / "none.pth")


def test_torch_files_cut_short(tmp_path):
    path = tmp_path / "w.pth"
    for write in (as_zip, as_legacy):
        path.write_bytes(write(ARRAYS)[:-12])
        with pytest.raises(WeightsError, match=r"w\.pth"):
            load_torch(path)


def test_a_tensor_beyond_its_data_is_refused(tmp_path):
    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump({"x": Tensor("0", np.zeros(3, np.float32), strides=(1000,))})
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/data/0", np.zeros(3, np.float32).tobytes())
    with pytest.raises(WeightsError, match="beyond its data"):
        load_torch(tmp_path / "w.pth")


# ---- safetensors


def test_weights_come_back_bit_for_bit(tmp_path):
    params = {"Dense_0": {"kernel": np.arange(6.0).reshape(2, 3).T}}  # not contiguous
    weights.save(tmp_path / "w.safetensors", params, {"bn": {"mean": np.ones(2)}}, record={"a": 1})
    found, model_state = weights.load(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(found["Dense_0"]["kernel"], params["Dense_0"]["kernel"])
    assert model_state["bn"]["mean"].tolist() == [1.0, 1.0]
    assert weights.record(tmp_path / "w.safetensors") == {"a": 1}
    (tmp_path / "bad").write_bytes(b"not safetensors")
    for name in ("bad", "missing"):
        with pytest.raises(WeightsError, match="cannot be read as safetensors"):
            weights.load(tmp_path / name)
