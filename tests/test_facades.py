"""Segmentation scores, and the judge of translated facades."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    jaccard_score,
)

from benchmarks import fcn_score, segmenter
from experiments import pix2pix
from jaxgan import data, metrics
from jaxgan.errors import DataError, MetricError, RunError
from tests.support import command, train

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 12, (6, 8, 8))


# ---- the metric


def test_segmentation_scores_by_hand():
    """Three pixels of class 0, of which one is predicted as 1; one of class 1; none of class 2."""
    confusion = metrics.confusion_matrix(np.array([[0, 0], [0, 1]]), np.array([[0, 0], [1, 1]]), 3)
    assert confusion.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    scores = metrics.segmentation_scores(confusion)
    assert scores.pixel_accuracy == 3 / 4
    assert scores.class_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert scores.mean_iou == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_segmentation_scores_are_sklearns():
    """Of classes that all occur but the last, which is predicted."""
    labels, predicted = RNG.integers(0, 4, (3, 10, 10)), RNG.integers(0, 5, (3, 10, 10))
    confusion = metrics.confusion_matrix(labels, predicted, 5)
    flat = labels.ravel(), predicted.ravel()
    np.testing.assert_array_equal(confusion, confusion_matrix(*flat))
    scores = metrics.segmentation_scores(confusion)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        balanced = balanced_accuracy_score(*flat)
    iou = jaccard_score(*flat, average="macro")  # of all five
    assert scores == pytest.approx((accuracy_score(*flat), balanced, iou), abs=1e-12)


def test_segmentation_scores_of_several_matrices():
    labels, predicted = RNG.integers(0, 3, (2, 4, 50))
    each = np.stack(
        [metrics.confusion_matrix(*pair, 3) for pair in zip(labels, predicted, strict=True)]
    )
    together = np.stack(metrics.segmentation_scores(each), axis=1)
    apart = [metrics.segmentation_scores(matrix) for matrix in each]
    np.testing.assert_array_equal(together, apart)
    np.testing.assert_array_equal(
        each.sum(axis=0), metrics.confusion_matrix(labels, predicted, num_classes=3)
    )


def test_segmentations_that_cannot_be_scored():
    with pytest.raises(MetricError, match=r"shape \(2,\) and predicted classes \(3,\)"):
        metrics.confusion_matrix(np.zeros(2, int), np.zeros(3, int), 2)
    for wrong in (-1, 2):
        with pytest.raises(MetricError, match=f"a label is {wrong}, expected 0 to 1"):
            metrics.confusion_matrix(np.array([0, wrong]), np.zeros(2, int), 2)
        with pytest.raises(MetricError, match=f"a predicted class is {wrong}, expected 0 to 1"):
            metrics.confusion_matrix(np.zeros(2, int), np.array([0, wrong]), 2)
    with pytest.raises(MetricError, match="the confusion matrix is zero"):
        metrics.segmentation_scores(np.stack([np.eye(2), np.zeros((2, 2))]))


# ---- label maps


def label_map(classes: np.ndarray, block: int) -> np.ndarray:
    return fcn_score.PALETTE[classes.repeat(block, 0).repeat(block, 1)].astype(np.uint8)


def test_classes_are_read_from_a_jpeg():
    """JPEG mixes the colours of neighbours, which the vote of each block removes."""
    file = io.BytesIO()
    Image.fromarray(label_map(CLASSES[0], 8)).save(file, "JPEG", quality=90)
    decoded = np.asarray(Image.open(file))
    assert (decoded != label_map(CLASSES[0], 8)).any()
    np.testing.assert_array_equal(fcn_score.classes_of(decoded, 8), CLASSES[0])


def test_the_most_frequent_class_of_a_block():
    fine = np.array([[3, 3, 5, 5], [3, 7, 5, 9], [0, 0, 1, 1], [0, 4, 2, 1]])
    assert fcn_score.classes_of(label_map(fine, 1), 2).tolist() == [[3, 5], [0, 1]]
    with pytest.raises(DataError, match="4 x 4 pixels, expected multiples of 3"):
        fcn_score.classes_of(label_map(fine, 1), 3)


# ---- the judge


def read_color(images: np.ndarray) -> np.ndarray:
    """Segmentation of images that are label maps."""
    bytes_ = np.round((images + 1.0) * 127.5).astype(np.uint8)
    return np.stack([fcn_score.classes_of(image, images.shape[1]) for image in bytes_])


def test_a_judge_between_its_ends():
    """A label map is its own photograph; one colour is right where its class is."""
    real = np.stack([label_map(classes, 1) for classes in CLASSES]) / 127.5 - 1.0
    mean = np.broadcast_to(fcn_score.PALETTE[4] / 127.5 - 1.0, real.shape)
    ends = (fcn_score.fcn_scores(read_color, images, CLASSES) for images in (mean, real))
    judge = fcn_score.Judge(read_color, None, CLASSES, *ends)
    assert [score.value for score in judge.real.values()] == [1.0, 1.0, 1.0]
    assert [score.standard_error for score in judge.real.values()] == [0.0, 0.0, 0.0]
    low = (CLASSES == 4).mean()
    assert judge.mean["pixel_accuracy"].value == pytest.approx(low)
    assert judge.mean["class_accuracy"].value == pytest.approx(1 / 12)

    half = np.where(np.arange(8)[:, None, None] < 4, real, mean)
    scores = judge.scores(half)
    right = (CLASSES == 4) | (np.arange(8)[:, None] < 4)
    assert scores["pixel_accuracy"].value == pytest.approx(right.mean())
    assert judge.share(scores) == pytest.approx((right.mean() - low) / (1.0 - low))
    # For a mean over images the jackknife is the standard error of the mean.
    error = right.mean(axis=(1, 2)).std(ddof=1) / np.sqrt(len(CLASSES))
    assert scores["pixel_accuracy"].standard_error == pytest.approx(error, rel=1e-9)


def test_pairs_are_read_at_the_side_of_the_judge(tmp_path):
    """Photographs of one colour each beside label maps, and a folder of outputs of another size."""
    for name in ("train", "test", "outputs"):
        (tmp_path / name).mkdir()
    colors = RNG.integers(0, 256, (6, 1, 1, 3), np.uint8)
    for i, (color, classes) in enumerate(zip(colors, CLASSES, strict=True)):
        photo = np.broadcast_to(color, (32, 32, 3))
        pair = np.concatenate([photo, label_map(classes, 4)], axis=1)
        for split in ("train", "test"):
            Image.fromarray(pair.astype(np.uint8)).save(tmp_path / split / f"{i}.png")
        Image.fromarray(photo[:20, :12]).save(tmp_path / "outputs" / f"{i}.png")
    photos, label_maps = data.load_pairs(tmp_path, "train")
    read = fcn_score.examples(photos, label_maps, 8)
    np.testing.assert_array_equal(read["image"], np.broadcast_to(colors, (6, 8, 8, 3)))
    np.testing.assert_array_equal(read["classes"], CLASSES)
    judge = fcn_score.Judge(read_color, label_maps, CLASSES, {}, {})
    outputs = judge.outputs(tmp_path / "outputs")
    np.testing.assert_array_equal(outputs, data.as_float(read["image"]))


@pytest.mark.slow
def test_outputs_of_a_run_are_those_of_its_translate_command(tmp_path):
    folder, run = tmp_path / "facades", tmp_path / "run"
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        for i, classes in enumerate(CLASSES[:3]):
            pair = np.concatenate([RNG.integers(0, 256, (16, 16, 3)), label_map(classes, 2)], 1)
            Image.fromarray(pair.astype(np.uint8)).save(folder / split / f"{i}.png")
    small = {"features": 2, "levels": 2, "patch_layers": 1, "crop_size": 16, "num_steps": 2}
    train(pix2pix, run, data_dir=str(folder), direction="b2a", evaluate_every=0, **small)
    _, label_maps = data.load_pairs(folder, "test")
    outputs = fcn_score.Judge(read_color, label_maps, CLASSES, {}, {}).outputs(run)
    command("translate", run, input=folder / "test", out=tmp_path / "out", side="right")
    written = data.load_folder(tmp_path / "out")
    expected = [fcn_score.resized(written.read(i), (8, 8)) for i in range(3)]
    np.testing.assert_array_equal(outputs, data.as_float(np.stack(expected)))
    train(pix2pix, tmp_path / "other", data_dir=str(folder), evaluate_every=0, **small)
    with pytest.raises(RunError, match="does not translate label maps to photographs: use --dir"):
        fcn_score.translated(tmp_path / "other", label_maps)


def test_classes_move_with_their_image():
    """A channel that has the classes as its values has them afterwards."""
    classes = jnp.asarray(RNG.integers(0, 12, (8, 32, 32)))
    image = jnp.stack([classes, -classes], axis=-1).astype(jnp.float32)
    moved, moved_classes = segmenter.moved(image, classes, jax.random.key(0))
    np.testing.assert_array_equal(moved[..., 0], moved_classes)
    np.testing.assert_array_equal(moved[..., 1], -moved_classes)
    inside = np.asarray(moved_classes)[:, 8:16, 8:16]
    shifts = {
        (flip, top, left)
        for i in range(8)
        for flip in (1, -1)
        for top in range(6, 11)
        for left in range(6, 11)
        if (np.asarray(classes)[i, :, ::flip][top : top + 8, left : left + 8] == inside[i]).all()
    }
    assert len(shifts) > 4
    assert {flip for flip, _, _ in shifts} == {1, -1}
