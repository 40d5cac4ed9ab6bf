"""MNIST classifier bundled with jaxgan, trained by `python -m experiments.classifier`."""

import hashlib
from pathlib import Path

import jax

from jaxgan import weights
from jaxgan.errors import MetricError
from jaxgan.metrics import Features
from jaxgan.networks import ConvClassifier, from_linen
from jaxgan.types import Array

WEIGHTS = Path(__file__).parent / "mnist_classifier.safetensors"


def mnist_classifier() -> Features:
    """Feature extractor of MNIST digits: features and logits of a small classifier.

    Its 128 features are spatial means of rectified feature maps. Scores over them are named
    `fid_mnist_classifier` and so on: they compare generators of digits with each other, and are not
    comparable to scores over another network. The metadata of the weight file records training,
    data and accuracy.

    Returns:
      Features of images `[n, 28, 28, 1]` in [-1, 1]: `features` `[n, 128]`, `logits` `[n, 10]`.

    Raises:
      MetricError: in `apply`, images have another shape.

    Example:
      >>> import jax.numpy as jnp
      >>> mnist_classifier().apply(jnp.zeros((2, 28, 28, 1)))["logits"].shape
      (2, 10)
    """
    params, model_state = weights.load(WEIGHTS)
    network = from_linen(ConvClassifier())

    @jax.jit
    def apply(images: Array) -> dict[str, Array]:
        if images.shape[1:] != (28, 28, 1):
            raise MetricError(
                f"images have shape {images.shape[1:]}, the MNIST classifier expects (28, 28, 1); "
                "choose other features"
            )
        return network.apply(params, model_state, images, train=False)[0]

    return Features(
        "mnist_classifier",
        apply,
        sha256=hashlib.sha256(WEIGHTS.read_bytes()).hexdigest(),
        preprocessing="values in [-1, 1] as they are",
    )
