"""Standing statistics: batch normalisation by means over many batches of latents."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxgan.game import Network
from jaxgan.types import Array, ModelState, Params, PRNGKey


def standing_statistics(
    network: Network, params: Params, state: ModelState, *inputs: Array, key: PRNGKey
) -> ModelState:
    """Model state whose batch statistics are those of many batches, for evaluation.

    `m = mean_i m_i` and `v = mean_i v_i`, with mean and variance of batch i in a training pass.
    Running averages are those of the parameters of many steps; these are of the parameters that are
    given, such as moving averages, and of latents as they will be sampled (truncated ones, one
    class). Other model state, such as power iterations, stays.

    Args:
      network: of `from_linen`, with batch normalisation of jaxgan or flax.
      params: its parameters.
      state: its model state, with the collection `batch_stats`.
      inputs: latents and conditions, each `[batches, batch, ...]`; 100 batches are usual.
      key: key of what is random in a training pass.

    Returns:
      `state`, with other `batch_stats`.

    Raises:
      ValueError: the network has no batch statistics.

    Reference:
      Brock, Donahue and Simonyan, *Large Scale GAN Training for High Fidelity Natural Image
      Synthesis*, 2019, https://arxiv.org/abs/1809.11096.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxgan import from_linen, latents, networks
      >>> generator = from_linen(networks.DCGANGenerator((8, 8, 1), 2))
      >>> key_z, key_init, key = jax.random.split(jax.random.key(0), 3)
      >>> z = latents.normal(4)(key_z, 3 * 16).reshape(3, 16, 4)
      >>> params, state = generator.init(key_init, z[0])
      >>> state = networks.standing_statistics(generator, params, state, z, key=key)
      >>> images, _ = generator.apply(params, state, z[0], train=False)
    """
    if "batch_stats" not in state:
        raise ValueError(
            f"the network's state has {', '.join(state) or 'nothing'}, expected batch_stats, those "
            "of batch normalisation"
        )
    zeros, ones = (
        jax.tree.map(lambda x, value=value: jnp.full_like(x, value), state["batch_stats"])
        for value in (0.0, 1.0)
    )

    def add(total: Any, batch: tuple[Array, tuple[Array, ...]]) -> tuple[Any, None]:
        number, own = batch

        def averaged(before: Any) -> Any:
            own_key = jax.random.fold_in(key, number)
            _, after = network.apply(
                params, state | {"batch_stats": before}, *own, key=own_key, train=True
            )
            return after["batch_stats"]

        # A running average becomes (1 - a) x + a * before: at 0, with the derivative a.
        value, decay = jax.jvp(averaged, (zeros,), (ones,))
        statistics = jax.tree.map(lambda value, decay: value / (1.0 - decay), value, decay)
        return jax.tree.map(jnp.add, total, statistics), None

    count = len(inputs[0])
    total, _ = jax.lax.scan(add, zeros, (jnp.arange(count), inputs))
    return state | {"batch_stats": jax.tree.map(lambda x: x / count, total)}
