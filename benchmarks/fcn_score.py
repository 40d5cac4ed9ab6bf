"""FCN-score of photographs of facades (Isola et al., 2017): can their label maps be read back?"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxgan
from benchmarks import segmenter
from jaxgan import data, metrics
from jaxgan.data import ImageFiles
from jaxgan.data.image_files import resized
from jaxgan.errors import DataError, RunError
from jaxgan.types import Examples

# Colours of the label maps: every fifth entry of the colour map "jet" of 64 colours.
PALETTE = np.array(
    [
        *[(0, 0, 223), (0, 48, 255), (0, 128, 255), (0, 207, 255), (32, 255, 223), (112, 255, 143)],
        *[(191, 255, 64), (255, 239, 0), (255, 159, 0), (255, 80, 0), (255, 0, 0), (175, 0, 0)],
    ]
)


@dataclasses.dataclass(frozen=True)
class Score:
    """A score, and its standard error over the test images."""

    value: float
    standard_error: float


Scores = Mapping[str, Score]


@dataclasses.dataclass(frozen=True)
class Judge:
    """A trained segmentation network, and what it is asked about.

    Attributes:
      segment: `images [n, side, side, 3] in [-1, 1] -> classes [n, side, side]`.
      sources: the label maps of the test pairs.
      classes: their classes `[n, side, side]`.
      mean, real: scores of the mean training photograph and of the real test photographs.
    """

    segment: Callable[[np.ndarray], np.ndarray]
    sources: ImageFiles
    classes: np.ndarray
    mean: Scores
    real: Scores

    def scores(self, images: np.ndarray) -> Scores:
        """FCN-scores of images for the test label maps, `[n, side, side, 3]` in [-1, 1]."""
        return fcn_scores(self.segment, images, self.classes)

    def share(self, scores: Scores, name: str = "pixel_accuracy") -> float:
        """Share of the gap between the mean and the real photographs that a score closes."""
        low, high = self.mean[name].value, self.real[name].value
        return (scores[name].value - low) / (high - low)

    def outputs(self, path: Path) -> np.ndarray:
        """Outputs of a run for the test label maps, or the images of a folder, at the side."""
        side = self.classes.shape[1]
        if (path / "config.json").is_file():
            return resized_to(translated(path, self.sources), side)
        image_files = data.load_folder(path)
        if len(image_files) != len(self.sources):
            raise DataError(
                f"{path} has {len(image_files)} images, expected one for each of the "
                f"{len(self.sources)} test pairs"
            )
        return data.as_float(squares(image_files, side))


def make_judge(data_dir: Path, side: int, num_steps: int, cache: Path) -> Judge:
    """Trains the segmentation network on the real training pairs, and judges both ends."""
    photos, label_maps = data.load_pairs(data_dir, "train")
    train = examples(photos, label_maps, side)
    test_photos, sources = data.load_pairs(data_dir, "test")
    test = examples(test_photos, sources, side)
    segment = segmenter.trained(
        train,
        num_classes=len(PALETTE),
        num_steps=num_steps,
        cache=cache / f"{side}.safetensors",
        record={"side": side, "data": [photos.fingerprint, label_maps.fingerprint]},
    )
    real, classes = data.as_float(test["image"]), test["classes"]
    mean = np.broadcast_to(data.as_float(train["image"]).mean(axis=0), real.shape)
    ends = (fcn_scores(segment, images, classes) for images in (mean, real))
    return Judge(segment, sources, classes, *ends)


def examples(photos: ImageFiles, label_maps: ImageFiles, side: int) -> Examples:
    """Photographs `image` uint8 and `classes` int32 of all pairs, in memory."""
    classes = [classes_of(label_maps.read(i), side) for i in range(len(label_maps))]
    return {"image": squares(photos, side), "classes": np.stack(classes)}


def squares(image_files: ImageFiles, side: int) -> np.ndarray:
    """Images resized to `uint8[n, side, side, channels]`, whatever their aspect."""
    return data.resized_examples({"image": image_files}, data.Jitter(crop_size=side))["image"]


def fcn_scores(
    segment: Callable[[np.ndarray], np.ndarray], images: np.ndarray, classes: np.ndarray
) -> Scores:
    """Scores of the predicted classes of images, with jackknife standard errors."""
    pairs = zip(classes, segment(images), strict=True)
    each = np.stack([metrics.confusion_matrix(*pair, len(PALETTE)) for pair in pairs])
    total, n = each.sum(axis=0), len(each)
    scores = metrics.segmentation_scores(total)._asdict()
    without_one = metrics.segmentation_scores(total - each)._asdict()
    error = lambda values: float(np.sqrt((n - 1) * np.var(values)))
    return {name: Score(float(x), error(without_one[name])) for name, x in scores.items()}


def translated(directory: Path, label_maps: ImageFiles) -> np.ndarray:
    """Outputs of a run for label maps, at the size of its training crops."""
    run = jaxgan.load_run(directory)
    config: Any = run.config
    if getattr(config, "direction", None) != "b2a":
        raise RunError(
            f"{directory} does not translate label maps to photographs: use --direction b2a"
        )
    translation = next(iter(run.experiment.translations.values()))
    sources = squares(label_maps, config.crop_size)
    apply = jax.jit(translation.apply)
    batches = (data.as_float(sources[i : i + 1]) for i in range(len(sources)))
    return np.concatenate([apply(run.params, run.model_state, batch) for batch in batches])


def resized_to(images: np.ndarray, side: int) -> np.ndarray:
    """Images in [-1, 1], rounded to 8 bits and resized to squares."""
    bytes_ = np.round((np.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
    return data.as_float(np.stack([resized(image, (side, side)) for image in bytes_]))


def classes_of(label_map: np.ndarray, side: int) -> np.ndarray:
    """Classes of a label map: nearest colour of the palette, then the most frequent of each block.

    The vote removes the colours between two classes that JPEG makes along their border.

    Args:
      label_map: `uint8[height, width, 3]`, of which `side` divides height and width.
      side: side of the result.

    Returns:
      `int32[side, side]` in 0 ... 11.

    Raises:
      DataError: `side` does not divide the size of the label map.
    """
    height, width, _ = label_map.shape
    if height % side or width % side:
        raise DataError(
            f"a label map has {height} x {width} pixels, expected multiples of {side}; "
            "choose another --side"
        )
    distances = ((label_map[..., None, :].astype(np.int32) - PALETTE) ** 2).sum(axis=-1)
    nearest = distances.argmin(axis=-1)
    votes = np.eye(len(PALETTE), dtype=np.int32)[nearest]
    votes = votes.reshape(side, height // side, side, width // side, len(PALETTE))
    return votes.sum(axis=(1, 3)).argmax(axis=-1).astype(np.int32)
