"""Layers that depend on a class or on another vector: batch normalisation and the projection head.

Class labels become one-hot vectors, of which a dense layer without a bias is an embedding.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.networks.layers import BatchNorm, check_used, checked_label
from jaxgan.networks.spectral import applied
from jaxgan.ops import at_least_float32
from jaxgan.types import Array


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and bias are linear functions of a vector.

    `y = (1 + A c) (x - m) / sqrt(v + epsilon) + B c`, with mean m and variance v of the global
    batch as in `BatchNorm`, and a vector c per example: a one-hot label (a scale and a bias per
    class), or an embedding and a part of the latent, as in BigGAN.

    Attributes:
      kernel_init: initialiser of A and B, `[len(c), features]`.
      spectral_norm: whether A and B are spectrally normalised, as in BigGAN.
      dtype: dtype of the output; statistics are always float32.

    Reference:
      Dumoulin, Shlens and Kudlur, *A Learned Representation For Artistic Style*, 2017,
      https://arxiv.org/abs/1610.07629; Brock, Donahue and Simonyan, *Large Scale GAN Training for
      High Fidelity Natural Image Synthesis*, 2019, https://arxiv.org/abs/1809.11096, appendix B.

    Example:
      >>> x, condition = jnp.zeros((8, 4, 4, 16)), jnp.zeros((8, 32))
      >>> run = partial(ConditionalBatchNorm().init_with_output, train=True)
      >>> jax.eval_shape(run, jax.random.key(0), x, condition)[0].shape
      (8, 4, 4, 16)
    """

    kernel_init: Any = nn.initializers.zeros
    spectral_norm: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, condition: Array, *, train: bool) -> Array:
        """`x [batch, height, width, features]`, `condition [batch, dim] -> ` as `x`."""

        def affine(name: str) -> Array:
            layer = nn.Dense(x.shape[-1], use_bias=False, kernel_init=self.kernel_init, name=name)
            y = applied(layer, condition, spectral_norm=self.spectral_norm, train=train)
            return y[:, None, None]

        y = BatchNorm(affine=False, dtype=jnp.promote_types(self.dtype, jnp.float32))(
            x, train=train
        )
        return ((1.0 + affine("scale")) * y + affine("bias")).astype(self.dtype)


class ProjectionHead(nn.Module):
    """Logits of features: a dense layer, and the inner product with the label's embedding.

    `logit = psi . h + b + <e_label, h>`; without classes, `psi . h + b`.

    Attributes:
      num_classes: number of classes, or `None` for an unconditional network.
      spectral_norm: whether both layers are spectrally normalised.
      kernel_init: initialiser of both layers.

    Reference:
      Miyato and Koyama, *cGANs with Projection Discriminator*, 2018,
      https://arxiv.org/abs/1802.05637, eq. 4.

    Example:
      >>> head, features, labels = ProjectionHead(num_classes=10), jnp.ones((8, 64)), jnp.arange(8)
      >>> run = partial(head.init_with_output, train=False)
      >>> logits, _ = jax.eval_shape(run, jax.random.key(0), features, labels)
      >>> logits.shape
      (8,)
    """

    num_classes: int | None = None
    spectral_norm: bool = False
    kernel_init: Any = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, h: Array, label: Array | None = None, *, train: bool) -> Array:
        """`h [batch, width]`, `label int[batch] -> logits [batch]`, in float32.

        Raises:
          ValueError: there are classes but no labels.
        """
        h = at_least_float32(h)
        apply = partial(applied, spectral_norm=self.spectral_norm, train=train)
        logits = apply(nn.Dense(1, kernel_init=self.kernel_init), h)[:, 0]
        check_used(label, self.num_classes)
        if self.num_classes is None:
            return logits
        embed = nn.Embed(self.num_classes, h.shape[-1], embedding_init=self.kernel_init)
        return logits + jnp.sum(apply(embed, checked_label(label, self.num_classes)) * h, axis=-1)


def one_hot(label: Array | None, num_classes: int | None, dtype: Any = jnp.float32) -> Array | None:
    """One-hot labels `[batch, num_classes]`, or `None` for an unconditional network.

    NaN for labels out of range, as in `nn.Embed`: zeros would train without a condition.

    Raises:
      ValueError: there are classes but no labels, or labels that are not integers in range; or
        there are labels but no classes.
    """
    check_used(label, num_classes)
    if num_classes is None:
        return None
    label = checked_label(label, num_classes)
    in_range = (label >= 0) & (label < num_classes)
    return jnp.where(in_range[:, None], jax.nn.one_hot(label, num_classes, dtype=dtype), jnp.nan)
