"""Small convolutional classifier, a feature extractor for the metrics of small images."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.networks.layers import BatchNorm, Conv, Dropout
from jaxgan.types import Array


class ConvClassifier(nn.Module):
    """Convolutional classifier: four convolutions (two of stride 2), global average pooling, dense.

    With 10 classes and one channel it has 203 146 parameters.

    Attributes:
      num_classes: number of classes.
      features: channels of the first layer; the last has four times as many.
      dropout: dropout rate before the dense layer, in [0, 1).
      dtype: dtype of the computation; parameters, features and logits are float32.

    Example:
      >>> from functools import partial
      >>> run = partial(ConvClassifier(num_classes=10).init_with_output, train=False)
      >>> outputs, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 28, 28, 1)))
      >>> outputs["logits"].shape
      (8, 10)
    """

    num_classes: int = 10
    features: int = 32
    dropout: float = 0.3
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: Array, *, train: bool) -> dict[str, Array]:
        """Computes features and logits of `image` `[batch, height, width, channels]` in [-1, 1].

        Returns:
          `features` `[batch, 4 features]`, not negative, and `logits` `[batch, num_classes]`.
        """
        x = image
        for factor, size, stride in ((1, 3, 1), (2, 4, 2), (2, 3, 1), (4, 4, 2)):
            width = factor * self.features
            x = Conv(width, (size, size), stride, use_bias=False, dtype=self.dtype)(x)
            x = jax.nn.relu(BatchNorm(dtype=self.dtype)(x, train=train))
        features = jnp.mean(x.astype(jnp.float32), axis=(1, 2))
        logits = nn.Dense(self.num_classes)(Dropout(self.dropout)(features, train=train))
        return {"features": features, "logits": logits}
