"""Metrics against the implementations that the literature uses, on the same arrays.

They are not among the requirements of the tests:

    pip install -e '.[test,references]'
    pytest -m slow tests/test_references.py

`docs/evaluation.md` has the largest differences. A comparison whose library is missing is skipped.
"""

import importlib
import importlib.util
import sys
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from jaxgan import data, metrics
from jaxgan.data.image_files import resized
from jaxgan.features import fid_inception

pytestmark = [
    pytest.mark.slow,
    # What other libraries warn of is not ours to mend.
    pytest.mark.filterwarnings("ignore"),
]
TORCHVISION = tuple(
    f"torchvision{part}"
    for part in ("", ".transforms", ".models", ".datasets", ".transforms.functional")
)


def reference(module: str):
    """A module of a reference implementation; the test is skipped where it is not installed.

    Some import torchvision, for features that are not compared here; a stand-in is enough.
    """
    absent = [name for name in TORCHVISION if name not in sys.modules]
    if importlib.util.find_spec("torchvision") is None:
        sys.modules.update({name: mock.MagicMock() for name in absent})
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        pytest.skip(f"{module} cannot be imported ({error}); pip install -e '.[references]'")
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def close(name: str, ours, theirs, tolerance: float) -> None:
    """Compares, and prints the largest difference for the table in docs/evaluation.md."""
    difference = float(np.max(np.abs(np.asarray(ours, np.float64) - np.asarray(theirs))))
    print(f"{name}: {difference:.2g}")
    assert difference <= tolerance


@pytest.fixture(scope="module", params=["photographs", "noise"])
def images(request) -> np.ndarray:
    """40 images of 32 x 32 bytes in colour; photographs where there are some."""
    if request.param == "photographs":
        return request.getfixturevalue("cifar10_images")[:40]
    return np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)


def values_of(metric, real, generated) -> dict[str, float]:
    acc = metric.update(metric.init(), real=real, generated=generated)
    return {name: record.value for name, record in metric.compute(acc).items()}


def test_ssim_of_scikit_image(images):
    ssim = reference("skimage.metrics").structural_similarity
    flags = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "data_range": 255}
    brighter = np.clip(images.astype(int) + 10, 0, 255).astype(np.uint8)
    for name, others in (("shuffled", images[::-1]), ("brighter", brighter)):
        theirs = [
            ssim(a, b, use_sample_covariance=False, **flags)
            for a, b in zip(images, others, strict=True)
        ]
        ours = metrics.ssim(data.as_float(images), data.as_float(others))
        close(f"ssim, {name}", ours, theirs, 1e-4)


def blended(images, side):
    """Pairs of images of that side, the second with a fifth of another image; and as tensors."""
    torch = reference("torch")
    x, other = (
        np.stack([resized(image, (side, side)) for image in part])
        for part in (images[:8], images[8:16])
    )
    y = (0.8 * x + 0.2 * other).astype(np.uint8)
    ours = metrics.ms_ssim(data.as_float(x), data.as_float(y))
    return ours, *(torch.tensor(v.transpose(0, 3, 1, 2).astype("f4")) for v in (x, y))


def test_ms_ssim_of_pytorch_msssim(images):
    ms_ssim = reference("pytorch_msssim").ms_ssim
    ours, x, y = blended(images, 192)
    close("ms_ssim, five scales", ours, ms_ssim(x, y, data_range=255, size_average=False), 1e-4)


def test_ms_ssim_of_two_scales_by_pytorch_msssim(images):
    """That library refuses images of 28 pixels; its own steps, at the two scales that fit."""
    torch, module = reference("torch"), reference("pytorch_msssim.ssim")
    ours, x, y = blended(images, 28)
    window = module._fspecial_gauss_1d(11, 1.5).repeat(3, 1, 1, 1)
    fine, coarse = metrics.similarity.scale_weights(28)
    _, structure = module._ssim(x, y, 255, window, False)
    halves = (torch.nn.functional.avg_pool2d(v, 2) for v in (x, y))
    whole, _ = module._ssim(*halves, 255, window, False)
    close("ms_ssim, two scales", ours, (structure**fine * whole**coarse).mean(1), 1e-4)


def test_prdc_of_its_package():
    compute = reference("prdc").compute_prdc
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(2, 800, 16)).astype("f4")
    samples = {
        "shifted": generated + 0.3,
        "copies": real[rng.permutation(800)],
    }
    for name, rows in samples.items():
        for k in (3, 5):
            metric = metrics.precision_recall_density_coverage(k_precision=k, k_density=k)
            ours = values_of(metric, real, rows)
            theirs = compute(real.astype("f8"), rows.astype("f8"), k)
            for quantity, value in theirs.items():
                close(f"{quantity}, {name}, k={k}", ours[f"{quantity}_pixels"], value, 1e-6)


def test_inception_score_of_torch_fidelity():
    torch, module = reference("torch"), reference("torch_fidelity.metric_isc")
    logits = np.random.default_rng(0).normal(size=(1037, 50)) * 3.0
    theirs = module.isc_features_to_metric(torch.tensor(logits), splits=10, shuffle=False)
    classifier = metrics.Features("classifier", lambda x: {"logits": x})
    metric = metrics.classifier_score(classifier)
    acc = metric.update(metric.init(), generated=logits)
    record = metric.compute(acc)["inception_score_classifier"]
    close("inception score", record.value, theirs["inception_score_mean"], 1e-9)
    close("its std", record.details["std"], theirs["inception_score_std"], 1e-9)


def test_fid_and_kid_of_torch_fidelity(monkeypatch):
    torch, fid = reference("torch"), reference("torch_fidelity.metric_fid")
    kid = reference("torch_fidelity.metric_kid")
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(2, 500, 64)) + np.array([0.0, 0.3])[:, None, None]
    both = real, generated
    statistics = [{"mu": x.mean(axis=0), "sigma": np.cov(x, rowvar=False)} for x in both]
    theirs = fid.fid_statistics_to_metric(*statistics, verbose=False)
    ours = values_of(metrics.frechet_distance(), real, generated)["fid_pixels"]
    close("fid, relative", ours / theirs["frechet_inception_distance"], 1.0, 1e-6)

    def kid_of(subsets, size):
        flags = {"kid_subsets": subsets, "kid_subset_size": size, "rng_seed": 5, "verbose": False}
        found = kid.kid_features_to_metric(*map(torch.tensor, both), **flags)
        return found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"]

    ours = values_of(metrics.kernel_distance(), real, generated)["kid_pixels"]
    close("kid, relative", ours / kid_of(1, 500)[0], 1.0, 1e-4)
    monkeypatch.setattr(metrics.kid, "SUBSET_SIZE", 100)
    metric = metrics.kernel_distance(subsets=20, seed=5)
    record = metric.compute(metric.update(metric.init(), real=real, generated=generated))
    record, (mean, std) = record["kid_pixels"], kid_of(20, 100)
    close("kid of subsets, relative", record.value / mean, 1.0, 1e-4)
    close("its std, relative", record.details["std"] / std, 1.0, 1e-4)


def prepared(images, resize):
    """Our preprocessing, scaled back to levels of grey."""
    rows = np.asarray(fid_inception.prepared(data.as_float(images), resize=resize), np.float64)
    return (rows + 1.0) * 127.5 if resize == "legacy_pytorch" else rows * 128.0 + 128.0


@pytest.mark.parametrize("mode", ["clean", "legacy_pytorch"])
def test_resizes_of_clean_fid(images, mode):
    resizer = reference("cleanfid.resize").build_resizer(mode)
    theirs = np.stack([resizer(image) for image in images[:8]])
    close(f"resize {mode}", prepared(images[:8], mode), theirs, 1e-3)


def test_the_resize_of_torch_fidelity(images):
    torch = reference("torch")
    module = reference("torch_fidelity.interpolate_compat_tensorflow")
    resize = module.interpolate_bilinear_2d_like_tensorflow1x
    pixels = torch.tensor(images[:8].transpose(0, 3, 1, 2).astype("f4"))
    theirs = resize(pixels, size=(299, 299), align_corners=False).numpy().transpose(0, 2, 3, 1)
    close("resize legacy_tensorflow", prepared(images[:8], "legacy_tensorflow"), theirs, 1e-3)


def test_the_clean_resize_of_large_images():
    """Down from 400 x 320 pixels, where antialiasing matters."""
    reference("torch")
    resizer = reference("cleanfid.resize").build_resizer("clean")
    noise = np.random.default_rng(0).integers(0, 256, (40, 32, 3), np.uint8)
    image = np.asarray(Image.fromarray(noise).resize((320, 400), Image.Resampling.NEAREST))
    close("resize clean, 400 x 320", prepared(image[None], "clean")[0], resizer(image), 1e-3)


def test_sliced_wasserstein_of_pot():
    """With the same projections."""
    ot = reference("ot")
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(400, 5)), rng.normal(size=(300, 5)) * 1.5 + 0.2
    metric = metrics.sliced_wasserstein(num_projections=2000)
    ours = values_of(metric, real.astype("f4"), generated.astype("f4"))["swd_pixels"]
    theirs = ot.sliced_wasserstein_distance(real, generated, n_projections=20_000, seed=1)
    close("sliced Wasserstein, relative", ours / theirs, 1.0, 0.02)
