"""Fully connected networks, for generators, discriminators and encoders of arrays of any shape.

If `num_classes` is set, `MLP` and `MaxoutMLP` take class labels `int[batch]` as a second input and
append the label's one-hot encoding to their input (Mirza and Osindero, *Conditional Generative
Adversarial Nets*, 2014, https://arxiv.org/abs/1411.1784).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.networks.conditioning import one_hot
from jaxgan.networks.layers import Dropout, check_widths
from jaxgan.types import Array


def leaky_relu(x: Array) -> Array:
    """Leaky ReLU `max(x, 0.2 x)`, the discriminator's activation in Radford et al., 2016."""
    return jax.nn.leaky_relu(x, 0.2)


class MLP(nn.Module):
    """Multilayer perceptron from flattened inputs to an array of any shape.

    As a generator: `MLP((256, 512), output_shape=(28, 28, 1), output_activation=jnp.tanh)`. As a
    discriminator: `MLP((512, 256))`, which returns one logit per example.

    Attributes:
      features: widths of the hidden layers.
      output_shape: shape of one example's output; `()` for a logit.
      activation: activation of the hidden layers.
      output_activation: activation of the output; `None` for none.
      num_classes: number of classes, or `None` for an unconditional network.
      kernel_init: initialiser of the weights.
      dtype: dtype of the computation; parameters are float32, and the output has at least float32
        precision.

    Example:
      >>> generator = MLP((128, 128), output_shape=(28, 28, 1), activation=jax.nn.relu)
      >>> run = generator.init_with_output
      >>> images, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 64)))
      >>> images.shape
      (8, 28, 28, 1)
    """

    features: Sequence[int]
    output_shape: Sequence[int] = ()
    activation: Callable[[Array], Array] = leaky_relu
    output_activation: Callable[[Array], Array] | None = None
    num_classes: int | None = None
    kernel_init: Any = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None) -> Array:
        """`x [batch, ...]`, `label int[batch] -> [batch, *output_shape]`."""
        check_widths(features=self.features, output_shape=self.output_shape)
        x = _joined(x, label, self.num_classes)
        for width in self.features:
            x = nn.Dense(width, kernel_init=self.kernel_init, dtype=self.dtype)(x)
            x = self.activation(x)
        width = math.prod(self.output_shape)
        x = nn.Dense(width, kernel_init=self.kernel_init, dtype=self.dtype)(x)
        x = x.astype(jnp.promote_types(self.dtype, jnp.float32))
        x = x.reshape(x.shape[0], *self.output_shape)
        return x if self.output_activation is None else self.output_activation(x)


class MaxoutMLP(nn.Module):
    """Maxout discriminator of Goodfellow et al., 2014: maxout layers with dropout, then one logit.

    Each hidden unit is the maximum of `pieces` affine functions of its inputs.

    Attributes:
      features: widths of the hidden layers; 240 and 240 in the paper.
      pieces: number of affine functions per unit; 5 in the paper.
      input_dropout, dropout: dropout rates before the first layer, and before each later layer, in
        [0, 1).
      num_classes: number of classes, or `None` for an unconditional network.
      kernel_init: initialiser of the weights; uniform with small values in the paper.
      dtype: dtype of the computation; parameters and output are float32.

    Reference:
      Goodfellow et al., *Maxout Networks*, 2013, https://arxiv.org/abs/1302.4389; *Generative
      Adversarial Nets*, 2014, https://arxiv.org/abs/1406.2661.

    Example:
      >>> from functools import partial
      >>> run = partial(MaxoutMLP().init_with_output, train=False)
      >>> logits, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 28, 28, 1)))
      >>> logits.shape
      (8,)
    """

    features: Sequence[int] = (240, 240)
    pieces: int = 5
    input_dropout: float = 0.2
    dropout: float = 0.5
    num_classes: int | None = None
    kernel_init: Any = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None, *, train: bool) -> Array:
        """`x [batch, ...]`, `label int[batch] -> logits [batch]`."""
        check_widths(features=self.features, pieces=self.pieces)
        x = _joined(x, label, self.num_classes)
        x = Dropout(self.input_dropout)(x, train=train)
        for width in self.features:
            x = nn.Dense(width * self.pieces, kernel_init=self.kernel_init, dtype=self.dtype)(x)
            x = jnp.max(x.reshape(x.shape[0], width, self.pieces), axis=-1)
            x = Dropout(self.dropout)(x, train=train)
        return nn.Dense(1, kernel_init=self.kernel_init)(x.astype(jnp.float32))[:, 0]


class JointMLP(nn.Module):
    """Joint discriminator: an `MLP` over several concatenated inputs, such as image and code.

    Attributes:
      features: widths of the hidden layers.
      dtype: dtype of the computation; parameters and output are float32.

    Example:
      >>> image, code = jnp.zeros((8, 28, 28, 1)), jnp.zeros((8, 16))
      >>> run = JointMLP((32, 32)).init_with_output
      >>> logits, _ = jax.eval_shape(run, jax.random.key(0), image, code)
      >>> logits.shape
      (8,)
    """

    features: Sequence[int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, *inputs: Array) -> Array:
        """Inputs `[batch, ...]`, flattened and concatenated, `-> logits [batch]`."""
        flat = [x.reshape(x.shape[0], -1) for x in inputs]
        return MLP(self.features, dtype=self.dtype)(jnp.concatenate(flat, axis=-1))


def _joined(x: Array, label: Array | None, num_classes: int | None) -> Array:
    """Flattens `x` and appends the label's one-hot encoding, if there are classes."""
    x = x.reshape(x.shape[0], -1)
    encoded = one_hot(label, num_classes, dtype=x.dtype)
    return x if encoded is None else jnp.concatenate([x, encoded], axis=-1)
