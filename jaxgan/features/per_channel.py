"""A classifier of grey images, applied to each channel of images with several."""

from jaxgan.metrics import Features
from jaxgan.types import Array


def per_channel(features: Features) -> Features:
    """Features of each channel, as for Stacked MNIST, whose channels are digits.

    Args:
      features: features of images of one channel, such as `mnist_classifier()`.

    Returns:
      Features of images `[n, height, width, c]`: `features` `[n, c * d]`, and `logits`
      `[n, c, classes]` if there are any, as `metrics.class_coverage(..., digits=c)` takes them.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxgan.features.classifier import mnist_classifier
      >>> outputs = per_channel(mnist_classifier()).apply(jnp.zeros((2, 28, 28, 3)))
      >>> outputs["features"].shape, outputs["logits"].shape
      ((2, 384), (2, 3, 10))
    """

    def apply(images: Array) -> dict[str, Array]:
        n, height, width, channels = images.shape
        gray = images.transpose(0, 3, 1, 2).reshape(n * channels, height, width, 1)
        outputs = features.apply(gray)
        both = {"features": outputs["features"].reshape(n, -1)}
        if "logits" in outputs:
            both["logits"] = outputs["logits"].reshape(n, channels, -1)
        return both

    return features._replace(
        name=f"{features.name}_per_channel",
        apply=apply,
        preprocessing=f"each channel: {features.preprocessing}",
        score_logits="",
        suffix=None,
    )
