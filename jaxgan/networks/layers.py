"""Layers whose results do not depend on how the batch is sharded over devices.

The layout of parameters and statistics is that of the layers of the same name in `flax.linen`.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import ops
from jaxgan.errors import GameError, SizeError
from jaxgan.parallel import axis
from jaxgan.types import Array

# Initialisers of weights and batch normalisation scales of Radford et al., 2016, section 4.
DCGAN_KERNEL_INIT = nn.initializers.normal(0.02)
DCGAN_SCALE_INIT = lambda *args: 1.0 + DCGAN_KERNEL_INIT(*args)


def check_widths(**widths: int | Sequence[int]) -> None:
    """Raises `SizeError` if any of the named widths, or a width in a named sequence, is below 1."""
    for name, width in widths.items():
        if np.min(width, initial=1) < 1:
            raise SizeError(f"{name} is {width}, expected at least 1")


def doubled_widths(features: int, levels: int, max_features: int) -> list[int]:
    """Channels at `levels + 1` resolutions, the finest first: doubled at each, up to a maximum.

    Raises:
      SizeError: the finest has more than the maximum.
    """
    if features > max_features:
        raise SizeError(
            f"features is {features}, expected at most max_features, which is {max_features}"
        )
    return [min(features << level, max_features) for level in range(levels + 1)]


def check_used(label: Array | None, num_classes: int | None) -> None:
    """Raises a `ValueError` if a network without classes is given labels, which it would ignore."""
    if label is not None and num_classes is None:
        raise ValueError("the network was called with labels and has no num_classes; set it")


def checked_label(label: Array | None, num_classes: int) -> Array:
    """Labels, after checking that there are some, and that they are integers in range.

    The range of traced labels is unknown; those beyond it have NaN embeddings (`one_hot`).

    Raises:
      ValueError: there are none, or they are not.
    """
    if label is None:
        raise ValueError(
            f"the network has num_classes={num_classes} and was called without labels; pass labels "
            "(with_head passes none: leave num_classes out)"
        )
    if not jnp.issubdtype(jnp.result_type(label), jnp.integer):
        raise ValueError(
            f"labels are {jnp.result_type(label)}, expected integers 0 to {num_classes - 1}"
        )
    is_traced = isinstance(label, jax.core.Tracer)
    if not is_traced and jnp.size(label) and getattr(label, "is_fully_addressable", True):
        values = np.asarray(label)  # on the host, also while other values are traced
        low, high = values.min(), values.max()
        if low < 0 or high >= num_classes:
            raise ValueError(f"labels are {low} to {high}, expected 0 to {num_classes - 1}")
    return label


def normalized(x: Array, norm: str, *, scale_init: Any, dtype: Any, train: bool) -> Array:
    """`x` normalised by `batch`, `instance` or `none`; called in a compact module.

    Raises:
      ValueError: the norm is none of these.
    """
    if norm not in ("batch", "instance", "none"):
        raise ValueError(f"norm is {norm!r}, expected batch, instance or none")
    if norm == "batch":
        return BatchNorm(scale_init=scale_init, dtype=dtype)(x, train=train)
    return InstanceNorm(dtype=dtype)(x) if norm == "instance" else x


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the last, with statistics of the global batch.

    `y = (x - m) / sqrt(v + epsilon) * scale + bias`, with the mean m and the (biased) variance v
    of the batch of all devices in training, and their running averages otherwise. The
    implementation lets XLA recognise equal forward passes within a training step and compute them
    once.

    Attributes:
      momentum: decay of the running averages, in [0, 1].
      epsilon: constant added to the variance.
      scale_init: initialiser of the scale, `[features]`.
      affine: whether there are a scale and a bias.
      dtype: dtype of the output; statistics are always float32.

    Reference:
      Ioffe and Szegedy, *Batch Normalization*, 2015, https://arxiv.org/abs/1502.03167.

    Example:
      >>> x = jnp.array([[1.0], [3.0]])
      >>> y, _ = BatchNorm(epsilon=0.0).init_with_output(jax.random.key(0), x, train=True)
      >>> y.tolist()
      [[-1.0], [1.0]]
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    scale_init: Any = nn.initializers.ones
    affine: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Normalises `x` `[..., features]`, and updates the running averages in training."""
        features = (x.shape[-1],)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        running_var = self.variable("batch_stats", "var", jnp.ones, features)
        x = ops.at_least_float32(x)
        per_feature = lambda v: v.reshape(*[1] * (x.ndim - 1), *features)
        if train:
            axes = tuple(range(x.ndim - 1))
            mean, var = (v.reshape(features) for v in ops.moments(x, axes))
            if self.is_mutable_collection("batch_stats"):
                running_mean.value += (1.0 - self.momentum) * (mean - running_mean.value)
                running_var.value += (1.0 - self.momentum) * (var - running_var.value)
        else:
            mean, var = running_mean.value, running_var.value
        gain = jax.lax.rsqrt(var + self.epsilon)
        if self.affine:
            gain *= self.param("scale", self.scale_init, features)
        y = (x - per_feature(mean)) * per_feature(gain)
        if self.affine:
            y += per_feature(self.param("bias", nn.initializers.zeros, features))
        return y.astype(self.dtype)


class InstanceNorm(nn.Module):
    """Instance normalisation, per example and channel, without learned parameters.

    `y = (x - m) / sqrt(v + epsilon)`, with the mean m and the (biased) variance v over height and
    width; the same in training and evaluation.

    Attributes:
      epsilon: constant added to the variance.
      dtype: dtype of the output; statistics are always float32.

    Reference:
      Ulyanov, Vedaldi and Lempitsky, *Instance Normalization*, 2016,
      https://arxiv.org/abs/1607.08022.

    Example:
      >>> x = jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1)
      >>> InstanceNorm(epsilon=0.0).apply({}, x).ravel().tolist()
      [-1.0, 1.0]
    """

    epsilon: float = 1e-5
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Normalises `x` `[batch, height, width, features]`."""
        x = ops.at_least_float32(x)
        mean, var = ops.moments(x, (1, 2))
        return ((x - mean) * jax.lax.rsqrt(var + self.epsilon)).astype(self.dtype)


class Dropout(nn.Module):
    """Dropout with a key per example, so that masks are the same on any number of devices.

    Attributes:
      rate: probability of setting a unit to 0, in [0, 1); the others are divided by `1 - rate`.

    Raises:
      SizeError: the rate is not in [0, 1).
      GameError: in training, there is no key, as with `one_pass` of `gan`.

    Reference:
      Srivastava et al., *Dropout*, 2014, https://jmlr.org/papers/v15/srivastava14a.html.

    Example:
      >>> x, keys = jnp.ones((4, 8)), {"dropout": jax.random.key(0)}
      >>> y = Dropout(0.5).apply({}, x, train=True, rngs=keys)
      >>> sorted(set(y.ravel().tolist()))
      [0.0, 2.0]
    """

    rate: float

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Drops units of `x` `[batch, ...]` in training; the identity otherwise."""
        if not 0.0 <= self.rate < 1.0:
            raise SizeError(f"dropout is {self.rate}, expected at least 0 and below 1")
        if not train or self.rate == 0.0:
            return x
        if not (self.has_rng("dropout") or self.has_rng("params")):
            raise GameError(
                "dropout was given no key in training; pass key=..., and no one_pass=True to gan"
            )
        keys = axis.example_keys(self.make_rng("dropout"), x.shape[0])
        keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1.0 - self.rate, x.shape[1:]))(keys)
        return jnp.where(keep, x / (1.0 - self.rate), 0.0)


class Conv(nn.Module):
    """Convolution layer, with the fast algorithm of the platform (`jaxgan.ops`).

    Attributes:
      features: number of output channels.
      kernel_size: kernel size along height and width.
      stride: stride along height and width.
      padding: `SAME`, `VALID`, or `((top, bottom), (left, right))`.
      use_bias: whether to add a bias.
      groups: number of groups of channels, each of which is convolved by itself.
      kernel_init: initialiser of the kernel, `[*kernel_size, in / groups, features]`.
      dtype: dtype of the computation; parameters are float32.

    Example:
      >>> layer = Conv(8, (3, 3), stride=2)
      >>> x = jnp.zeros((1, 28, 28, 3))
      >>> y, _ = jax.eval_shape(layer.init_with_output, jax.random.key(0), x)
      >>> y.shape
      (1, 14, 14, 8)
    """

    features: int
    kernel_size: tuple[int, int] = (4, 4)
    stride: int = 1
    padding: Any = "SAME"
    use_bias: bool = True
    groups: int = 1
    kernel_init: Any = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[batch, height, width, in] -> [batch, out_height, out_width, features]`.

        Raises:
          SizeError: a width is below 1, or `groups` does not divide the channels.
        """
        check_widths(features=self.features, groups=self.groups)
        if x.shape[-1] % self.groups or self.features % self.groups:
            raise SizeError(
                f"a convolution from {x.shape[-1]} to {self.features} channels has "
                f"{self.groups} groups, which do not divide them; choose other widths"
            )
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        at = {"stride": self.stride, "padding": self.padding, "groups": self.groups}
        y = ops.conv(x.astype(self.dtype), kernel, **at)
        return y + _bias(self) if self.use_bias else y


class ConvTranspose(nn.Module):
    """Transposed convolution layer, with the fast algorithm of the platform (`jaxgan.ops`).

    Attributes:
      features: number of output channels.
      kernel_size: kernel size along height and width.
      stride: stride along height and width, the factor of upsampling.
      padding: `SAME`, `VALID`, or `((top, bottom), (left, right))` of the dilated input, as in JAX.
      use_bias: whether to add a bias.
      kernel_init: initialiser of the kernel, `[*kernel_size, in, features]`.
      dtype: dtype of the computation; parameters are float32.

    Example:
      >>> layer = ConvTranspose(8)
      >>> x = jnp.zeros((1, 14, 14, 3))
      >>> y, _ = jax.eval_shape(layer.init_with_output, jax.random.key(0), x)
      >>> y.shape
      (1, 28, 28, 8)
    """

    features: int
    kernel_size: tuple[int, int] = (4, 4)
    stride: int = 2
    padding: Any = "SAME"
    use_bias: bool = True
    kernel_init: Any = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[batch, height, width, in] -> [batch, out_height, out_width, features]`."""
        check_widths(features=self.features)
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        x = x.astype(self.dtype)
        y = ops.conv_transpose(x, kernel, stride=self.stride, padding=self.padding)
        return y + _bias(self) if self.use_bias else y


def _bias(layer: Conv | ConvTranspose) -> Array:
    bias = layer.param("bias", nn.initializers.zeros, (layer.features,))
    return bias.astype(layer.dtype).reshape(1, 1, 1, -1)
