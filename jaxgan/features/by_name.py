"""Feature extractors by the names that commands and experiments have for them."""

from pathlib import Path

from jaxgan.errors import MetricError
from jaxgan.features.classifier import mnist_classifier
from jaxgan.features.fid_inception import Resize, inception
from jaxgan.features.random_convolutions import random_convolutions
from jaxgan.metrics import PIXELS, Features

NAMES = {
    "digits": mnist_classifier,
    "random": random_convolutions,
    "pixels": lambda: PIXELS,
}
OF_DATA = {"mnist": "digits", "digits": "digits"}  # features that belong to a data set


def by_name(name: str, *, data: str = "", resize: Resize = "clean") -> Features:
    """Feature extractor by name.

    Args:
      name: `digits` (the MNIST classifier), `random` (random convolutions), `pixels`, or the path
        of Inception's weight file; `auto` for those of the data set: the classifier for MNIST and
        scikit-learn's digits, random convolutions for others.
      data: name of the data set, for `auto`.
      resize: how images are resized for Inception.

    Returns:
      The feature extractor.

    Raises:
      MetricError: the name is neither one of these nor a file.
      WeightsError: the file cannot be read, or its tensors are not those of Inception v3.

    Example:
      >>> by_name("auto", data="mnist").name, by_name("auto", data="fashion_mnist").name
      ('mnist_classifier', 'random_convolutions')
    """
    if name == "auto":
        name = OF_DATA.get(data, "random")
    if name in NAMES:
        return NAMES[name]()
    if not Path(name).expanduser().is_file():
        raise MetricError(
            f"there are no features named {name}; choose auto, {', '.join(NAMES)}, or the path of "
            "Inception's weight file"
        )
    return inception(Path(name).expanduser(), resize=resize)
