"""Metrics of generated image files against real ones."""

from collections.abc import Iterator, Sequence
from functools import partial

import jax
import numpy as np

from jaxgan.data import ImageFiles, as_float, shuffled
from jaxgan.errors import SizeError
from jaxgan.evaluation.outputs import first, outputs_of, selected
from jaxgan.metrics import Metric, Records

BATCH = 50  # image files


def of_image_files(
    measures: Sequence[Metric],
    *,
    real: ImageFiles,
    generated: ImageFiles,
    limit: int | None = None,
) -> Records:
    """Records of generated image files against real ones.

    Images of a folder may have several sizes, if the features are those of images of any size.

    Args:
      measures: metrics, not paired, over one or several feature extractors.
      real, generated: image files, from `data.load_folder`.
      limit: maximum number of files of each side, in a fixed random order; all by default.

    Returns:
      `{name: MetricRecord}`.

    Raises:
      MetricError: there are too few images for a metric, or the features are not those of images of
        these sizes.
      SizeError: an image is too small for the features.

    Example:
      >>> of_image_files(
      ...     [frechet_distance(inception(path))], real=load_folder("a"), generated=load_folder("b")
      ... )  # doctest: +SKIP
    """
    outputs = jax.jit(partial(outputs_of, measures))
    accs = [metric.init() for metric in measures]
    for side, image_files in (("real", real), ("generated", generated)):
        for images, names in _batches_by_shape(image_files, limit):
            try:
                rows = first(len(names), outputs(images))
            except SizeError as error:
                raise SizeError(f"{names[0]} of the {side} images: {error}") from None
            accs = [
                metric.update(acc, **{side: selected(metric, rows)})
                for metric, acc in zip(measures, accs, strict=True)
            ]
    computed = [metric.compute(acc) for metric, acc in zip(measures, accs, strict=True)]
    return {name: record for records in computed for name, record in records.items()}


def _batches_by_shape(
    image_files: ImageFiles, limit: int | None
) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Yields images of equal shapes in batches of one size, and the names of those to keep."""
    waiting: dict[tuple[int, ...], tuple[list[np.ndarray], list[str]]] = {}
    full = lambda images: np.stack(images + [images[0]] * (BATCH - len(images)))
    # Metrics of pairs and splits of rows need a random order: names often begin with a class.
    order = shuffled(np.arange(len(image_files)), n=len(image_files), seed=0, epoch=0)
    for i in order[:limit].tolist():
        image = as_float(image_files.read(i))
        images, names = waiting.setdefault(image.shape, ([], []))
        images.append(image)
        names.append(image_files.names[i])
        if len(images) == BATCH:
            yield full(images), names
            del waiting[image.shape]
    for images, names in waiting.values():
        yield full(images), names
