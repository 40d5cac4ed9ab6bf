"""Self-attention over the positions of an image (Zhang et al., 2019)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.networks.layers import Conv
from jaxgan.networks.spectral import applied
from jaxgan.ops import at_least_float32
from jaxgan.types import Array


class SelfAttention(nn.Module):
    """Self-attention of SAGAN: a residual that every position takes from all positions.

    `y_i = x_i + gamma W_o sum_j a_ij h_j` with `a_i = softmax_j(f_i . g_j)`, 1 x 1 convolutions f
    and g to an eighth of the channels and h to a half, and a learned gamma that starts at 0. As in
    the authors' code, g and h are max-pooled over 2 x 2 positions, where both sides are even.

    Attributes:
      spectral_norm: whether the convolutions are spectrally normalised.
      kernel_init: initialiser of the convolutions.
      dtype: dtype of the convolutions; the attention is computed in float32.

    Reference:
      Zhang, Goodfellow, Metaxas and Odena, *Self-Attention Generative Adversarial Networks*, 2019,
      https://arxiv.org/abs/1805.08318, section 3.

    Example:
      >>> from functools import partial
      >>> run = partial(SelfAttention().init_with_output, train=False)
      >>> y, _ = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 16, 16, 64)))
      >>> y.shape
      (8, 16, 16, 64)
    """

    spectral_norm: bool = True
    kernel_init: Any = nn.initializers.xavier_uniform()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """`[batch, height, width, features] -> ` the same shape."""

        def projected(y: Array, width: int) -> Array:
            layer = Conv(
                max(width, 1),
                (1, 1),
                use_bias=False,
                kernel_init=self.kernel_init,
                dtype=self.dtype,
            )
            return applied(layer, y, spectral_norm=self.spectral_norm, train=train)

        batch, height, width, features = x.shape
        f = projected(x, features // 8)
        g, h = (_pooled(projected(x, features // share)) for share in (8, 2))
        f, g, h = (at_least_float32(y).reshape(batch, -1, y.shape[-1]) for y in (f, g, h))
        attention = jax.nn.softmax(jnp.einsum("bic,bjc->bij", f, g), axis=-1)
        y = jnp.einsum("bij,bjc->bic", attention, h).reshape(batch, height, width, -1)
        gamma = self.param("gamma", nn.initializers.zeros, ())
        return x + gamma.astype(x.dtype) * projected(y, features).astype(x.dtype)


def _pooled(x: Array) -> Array:
    """Maxima over 2 x 2 positions; the map itself if a side is odd."""
    batch, height, width, features = x.shape
    if height % 2 or width % 2:
        return x
    return jnp.max(x.reshape(batch, height // 2, 2, width // 2, 2, features), axis=(2, 4))
