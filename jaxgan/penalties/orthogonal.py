"""Orthogonal regularisation of a player's parameters (Brock et al., 2019)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxgan.penalties.penalty import ForwardPass, Regularizer, stateless
from jaxgan.types import Array, PRNGKey


def orthogonal(exclude: str | Sequence[str] = ()) -> Regularizer:
    """Orthogonal regularisation: `sum_W |W^T W * (1 - I)|^2`, the same value for every example.

    The sum is over the player's parameters of two or more axes, whose last axis counts the columns
    of W: filters are pushed apart, and their norms are free. The paper's weight is 1e-4 (half of it
    in the authors' code, whose gradient is that of half this sum), for the generator.

    Args:
      exclude: name or names of parameters without the term, such as `"embedding"`; a parameter is
        left out if a key on its path is among them.

    Returns:
      A regulariser without state.

    Reference:
      Brock, Donahue and Simonyan, *Large Scale GAN Training for High Fidelity Natural Image
      Synthesis*, 2019, https://arxiv.org/abs/1809.11096, eq. 3.

    Example:
      >>> from jaxgan.penalties import weighted
      >>> generator_penalty = weighted((1e-4, orthogonal(exclude="embedding")))
    """
    excluded = {exclude} if isinstance(exclude, str) else set(exclude)

    def term(forward: ForwardPass, key: PRNGKey, step: Array) -> Array:
        total = jnp.zeros(())
        for path, w in jax.tree.leaves_with_path(forward.params):
            names = {jax.tree_util.keystr((entry,), simple=True) for entry in path}
            if w.ndim >= 2 and names.isdisjoint(excluded):
                columns = w.reshape(-1, w.shape[-1])
                products = columns.T @ columns
                total += jnp.sum((products - jnp.diag(jnp.diag(products))) ** 2)
        return jnp.full(forward.real.shape[:1], total)

    return stateless(term)
