"""Spectral normalisation of layers (Miyato et al., 2018)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.ops import at_least_float32
from jaxgan.types import Array

EPSILON = 1e-12


class SpectralNorm(nn.Module):
    """Layer whose kernel is divided by its largest singular value, as power iteration estimates it.

    The kernel `[..., in, out]` is a matrix W `[out, rest]`. With the stored vector u, a training
    pass computes

        v = W^T u / |W^T u|,  u <- W v / |W v|,  sigma = u^T W v

    `iterations` times, and applies the layer with `W / sigma`; in evaluation u stays. The gradient
    of sigma in W holds u and v constant. u is part of the model state, and normally distributed at
    first. It is normalised where it is used, so that averages of it over steps are fine. A kernel
    of zeros has no singular vectors: it is applied as it is, and u stays.

    Attributes:
      layer: a layer with a parameter `kernel` or `embedding`, such as `Conv`, `flax.linen.Dense` or
        `flax.linen.Embed`. Its bias is not changed.
      iterations: power iterations per training pass, at least 1.

    Raises:
      ValueError: in a call, the layer has neither of the two, such as a network of several layers.

    Reference:
      Miyato, Kataoka, Koyama and Yoshida, *Spectral Normalization for Generative Adversarial
      Networks*, 2018, https://arxiv.org/abs/1802.05957, algorithm 1.

    Example:
      >>> import flax.linen as nn, jax, jax.numpy as jnp
      >>> layer = SpectralNorm(nn.Dense(3))
      >>> variables = layer.init(jax.random.key(0), jnp.ones((1, 5)), train=False)
      >>> jax.tree.map(jnp.shape, variables["spectral"])
      {'u': (3,)}
    """

    layer: nn.Module
    iterations: int = 1

    @nn.compact
    def __call__(self, *inputs: Any, train: bool) -> Array:
        """Applies the layer with the normalised kernel, and updates u in training."""

        def normalized(variables: Any) -> Any:
            params = dict(variables["params"])
            if not (names := params.keys() & {"kernel", "embedding"}):
                raise ValueError(
                    f"SpectralNorm was given a {type(self.layer).__name__} with the parameters "
                    f"{', '.join(params) or 'none'}, expected a layer with a kernel or an "
                    "embedding: wrap each layer of a network"
                )
            return {
                "params": params | {name: self._normalized(params[name], train) for name in names}
            }

        if self.is_initializing():
            self.layer(*inputs)  # makes the parameters, which are stored as they are
        return nn.map_variables(lambda layer: layer(*inputs), trans_in_fn=normalized)(self.layer)

    def _normalized(self, kernel: Array, train: bool) -> Array:
        w = at_least_float32(kernel).reshape(-1, kernel.shape[-1]).T
        normal = lambda: jax.random.normal(self.make_rng("params"), w.shape[:1])
        stored = self.variable("spectral", "u", normal)
        u = _unit(stored.value)
        v = _unit(u @ w)
        if train:
            u = _unit(w @ v, otherwise=u)
            for _ in range(self.iterations - 1):
                v = _unit(u @ w)
                u = _unit(w @ v, otherwise=u)
            if self.is_mutable_collection("spectral"):
                stored.value = jax.lax.stop_gradient(u)
        sigma = jax.lax.stop_gradient(u) @ w @ jax.lax.stop_gradient(v)
        return kernel / jnp.where(sigma > EPSILON, sigma, 1.0).astype(kernel.dtype)


def applied(layer: nn.Module, *inputs: Any, spectral_norm: bool, train: bool) -> Array:
    """The layer's output, with spectral normalisation or without; called in a compact module."""
    return SpectralNorm(layer)(*inputs, train=train) if spectral_norm else layer(*inputs)


def _unit(x: Array, *, otherwise: Array | float = 0.0) -> Array:
    """`x / |x|`, or another vector where x is 0."""
    norm = jnp.linalg.norm(x)
    return jnp.where(norm > EPSILON, x / jnp.maximum(norm, EPSILON), otherwise)
