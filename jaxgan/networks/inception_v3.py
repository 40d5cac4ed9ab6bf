"""Inception v3, the variant of the Fréchet Inception distance (FID).

The TensorFlow graph of 2015-12-05 differs from the paper's network and from the one of current
libraries: average pooling excludes padding, the last block uses max pooling, and there are 1008
classes. Modules are named as in the weight file that PyTorch's FID packages share.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.networks.layers import BatchNorm, Conv
from jaxgan.types import Array

Size = tuple[int, int]


class BasicConv(nn.Module):
    """Convolution without a bias, batch normalisation, ReLU.

    Attributes:
      features: number of output channels.
      size: kernel size along height and width.
      stride: stride along height and width.
      same: whether to pad with zeros so that stride 1 keeps the size; no padding otherwise.
    """

    features: int
    size: Size = (1, 1)
    stride: int = 1
    same: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[batch, height, width, in] -> [batch, out_height, out_width, features]`."""
        padding = tuple((side // 2, side // 2) if self.same else (0, 0) for side in self.size)
        x = Conv(
            self.features, self.size, self.stride, padding=padding, use_bias=False, name="conv"
        )(x)
        return jax.nn.relu(BatchNorm(epsilon=1e-3, name="bn")(x, train=False))


class InceptionV3(nn.Module):
    """Inception v3 of 2015-12-05, for inference only.

    With 1008 classes it has 23 850 960 parameters, 2 065 392 of them in the last layer.

    Attributes:
      num_classes: number of classes of the last layer.

    Reference:
      Szegedy et al., *Rethinking the Inception Architecture for Computer Vision*, 2016,
      https://arxiv.org/abs/1512.00567; Heusel et al., 2017, https://arxiv.org/abs/1706.08500, whose
      weights and graph these are.

    Example:
      >>> image = jax.ShapeDtypeStruct((1, 75, 75, 3), jnp.float32)  # the smallest
      >>> variables = jax.eval_shape(InceptionV3().init, jax.random.key(0), image)
      >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
      23850960
    """

    num_classes: int = 1008

    @nn.compact
    def __call__(self, x: Array) -> dict[str, Any]:
        """Computes features, logits and feature maps of images.

        Args:
          x: `[batch, height, width, 3]`, bytes scaled as `(x - 128) / 128`; 299 x 299 for FID.

        Returns:
          `features` `[batch, 2048]` (the last block's global average), `logits`
          `[batch, num_classes]`, `logits_unbiased` (the same without the last layer's bias, as the
          Inception score takes them), and `maps`, the outputs of the stem's two stages and the
          blocks.
        """
        maps = []
        x = BasicConv(32, (3, 3), 2, same=False, name="Conv2d_1a_3x3")(x)
        x = BasicConv(32, (3, 3), same=False, name="Conv2d_2a_3x3")(x)
        x = _max_pool(BasicConv(64, (3, 3), name="Conv2d_2b_3x3")(x))
        maps.append(x)
        x = BasicConv(80, same=False, name="Conv2d_3b_1x1")(x)
        x = _max_pool(BasicConv(192, (3, 3), same=False, name="Conv2d_4a_3x3")(x))
        maps.append(x)
        blocks = (
            BlockA(32, name="Mixed_5b"),
            BlockA(64, name="Mixed_5c"),
            BlockA(64, name="Mixed_5d"),
            BlockB(name="Mixed_6a"),
            BlockC(128, name="Mixed_6b"),
            BlockC(160, name="Mixed_6c"),
            BlockC(160, name="Mixed_6d"),
            BlockC(192, name="Mixed_6e"),
            BlockD(name="Mixed_7a"),
            BlockE(name="Mixed_7b"),
            BlockE(pool_by_maximum=True, name="Mixed_7c"),
        )
        for block in blocks:
            x = block(x)
            maps.append(x)
        features = jnp.mean(x, axis=(1, 2))
        last = nn.Dense(self.num_classes, name="fc")
        logits = last(features)
        return {
            "features": features,
            "logits": logits,
            "logits_unbiased": logits - last.variables["params"]["bias"][None],
            "maps": maps,
        }


class BlockA(nn.Module):
    """Inception block of branches 1 x 1, 5 x 5, double 3 x 3 and average pooling."""

    pool_features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        five = BasicConv(48, name="branch5x5_1")(x)
        three = BasicConv(64, name="branch3x3dbl_1")(x)
        three = BasicConv(96, (3, 3), name="branch3x3dbl_2")(three)
        return _joined(
            BasicConv(64, name="branch1x1")(x),
            BasicConv(64, (5, 5), name="branch5x5_2")(five),
            BasicConv(96, (3, 3), name="branch3x3dbl_3")(three),
            BasicConv(self.pool_features, name="branch_pool")(_average_pool(x)),
        )


class BlockB(nn.Module):
    """Reduction block: halves the size by strided convolutions and max pooling."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        three = BasicConv(64, name="branch3x3dbl_1")(x)
        three = BasicConv(96, (3, 3), name="branch3x3dbl_2")(three)
        return _joined(
            BasicConv(384, (3, 3), 2, same=False, name="branch3x3")(x),
            BasicConv(96, (3, 3), 2, same=False, name="branch3x3dbl_3")(three),
            _max_pool(x),
        )


class BlockC(nn.Module):
    """Inception block of 7 x 7 branches, factorised into 1 x 7 and 7 x 1 convolutions."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        seven = BasicConv(self.features, name="branch7x7_1")(x)
        seven = BasicConv(self.features, (1, 7), name="branch7x7_2")(seven)
        double = BasicConv(self.features, name="branch7x7dbl_1")(x)
        double = BasicConv(self.features, (7, 1), name="branch7x7dbl_2")(double)
        double = BasicConv(self.features, (1, 7), name="branch7x7dbl_3")(double)
        double = BasicConv(self.features, (7, 1), name="branch7x7dbl_4")(double)
        return _joined(
            BasicConv(192, name="branch1x1")(x),
            BasicConv(192, (7, 1), name="branch7x7_3")(seven),
            BasicConv(192, (1, 7), name="branch7x7dbl_5")(double),
            BasicConv(192, name="branch_pool")(_average_pool(x)),
        )


class BlockD(nn.Module):
    """Reduction block: halves the size by strided 3 x 3 and 7 x 7 branches and max pooling."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        three = BasicConv(192, name="branch3x3_1")(x)
        seven = BasicConv(192, name="branch7x7x3_1")(x)
        seven = BasicConv(192, (1, 7), name="branch7x7x3_2")(seven)
        seven = BasicConv(192, (7, 1), name="branch7x7x3_3")(seven)
        return _joined(
            BasicConv(320, (3, 3), 2, same=False, name="branch3x3_2")(three),
            BasicConv(192, (3, 3), 2, same=False, name="branch7x7x3_4")(seven),
            _max_pool(x),
        )


class BlockE(nn.Module):
    """Inception block of 3 x 3 branches that end in parallel 1 x 3 and 3 x 1 convolutions."""

    pool_by_maximum: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        three = BasicConv(384, name="branch3x3_1")(x)
        double = BasicConv(448, name="branch3x3dbl_1")(x)
        double = BasicConv(384, (3, 3), name="branch3x3dbl_2")(double)
        pooled = _max_pool(x, stride=1) if self.pool_by_maximum else _average_pool(x)
        return _joined(
            BasicConv(320, name="branch1x1")(x),
            BasicConv(384, (1, 3), name="branch3x3_2a")(three),
            BasicConv(384, (3, 1), name="branch3x3_2b")(three),
            BasicConv(384, (1, 3), name="branch3x3dbl_3a")(double),
            BasicConv(384, (3, 1), name="branch3x3dbl_3b")(double),
            BasicConv(192, name="branch_pool")(pooled),
        )


def _joined(*branches: Array) -> Array:
    return jnp.concatenate(branches, axis=-1)


def _max_pool(x: Array, *, stride: int = 2) -> Array:
    """Maxima over 3 x 3 pixels: within the image, or with stride 1 around every pixel."""
    if stride == 1:
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-jnp.inf)
    return _over_windows(jnp.maximum, x, stride=stride)


def _average_pool(x: Array) -> Array:
    """Averages over 3 x 3 pixels, excluding the padding."""
    sums = _over_windows(jnp.add, jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))
    rows, columns = (
        np.minimum(np.arange(side) + 2, side) - np.maximum(np.arange(side) - 1, 0)
        for side in x.shape[1:3]
    )
    return sums / np.outer(rows, columns)[None, :, :, None].astype(x.dtype)


def _over_windows(
    operation: Callable[[Array, Array], Array], x: Array, *, stride: int = 1
) -> Array:
    """Reduces windows of 3 x 3 pixels, by columns and then by rows.

    Shifted slices are fused into loops over channels; XLA's CPU backend takes several times as long
    for `reduce_window`.
    """
    for axis in (2, 1):
        last = x.shape[axis] - 2
        shifted = [jax.lax.slice_in_dim(x, i, last + i, stride, axis) for i in range(3)]
        x = operation(operation(shifted[0], shifted[1]), shifted[2])
    return x
