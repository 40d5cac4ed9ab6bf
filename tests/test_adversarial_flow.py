"""Adversarial flow: with a transport cost, a GAN finds the optimal transport of its prior."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from jaxgan import latents, losses, networks, penalties, schedules

STEPS, BATCH, SEEDS = 1500, 256, 8


def flow(dim: int, weight: float) -> jaxgan.Game:
    """`G(z) = z A + b`; on a line A is negative at the start."""

    def init(key, z):
        a = jax.random.normal(key, (dim, dim))
        return {"a": -jnp.abs(a) if dim == 1 else a, "b": jnp.zeros((1, dim))}, {}

    both = ((0.1, penalties.approximate_r1), (0.1, penalties.approximate_r2))
    cost = (schedules.cosine(weight, 0.0, 2 * STEPS // 3), penalties.transport())
    return jaxgan.gan(
        jaxgan.Network(init, lambda p, state, z, **_: (z @ p["a"] + p["b"], state)),
        jaxgan.from_linen(networks.MLP((32, 32))),
        latent=latents.normal(dim),
        loss=losses.relativistic_paired(),
        penalty=penalties.weighted(*both),
        generator_penalty=penalties.weighted(cost),
    )


def learned(dim: int, weight: float) -> dict[str, np.ndarray]:
    """The generators of all seeds, after training on N(2, 1/4)."""
    game = flow(dim, weight)
    adam = optax.adam(0.005, b1=0.0, b2=0.9)
    algorithm = jaxgan.alternating(game, dict.fromkeys(game.losses, adam))

    def train(key):
        def step(state, number):
            of_step = jax.random.fold_in(key, number)
            batch = {"image": 2.0 + 0.5 * jax.random.normal(of_step, (1, BATCH, dim))}
            return algorithm.update(state, batch, key)[0], None

        first = algorithm.init(key, {"image": jnp.zeros((BATCH, dim))})
        return jax.lax.scan(step, first, jnp.arange(STEPS))[0].params["generator"]

    return jax.device_get(jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), SEEDS)))


@pytest.mark.slow
@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize(("weight", "found"), [(0.0, 0), (1.0, SEEDS)])
def test_the_transport_cost_selects_the_optimal_map(dim, weight, found):
    """Of all maps of N(0, I) to N(2, I / 4): any A with `A^T A = I / 4` generates the data.

    With the cost it is `I / 2` in all runs, without it in none.
    """
    generators = learned(dim, weight)
    squares = np.swapaxes(generators["a"], 1, 2) @ generators["a"]
    np.testing.assert_allclose(generators["b"], np.full((SEEDS, 1, dim), 2.0), atol=0.15)
    np.testing.assert_allclose(squares, np.tile(np.eye(dim) / 4, (SEEDS, 1, 1)), atol=0.12)
    distances = np.linalg.norm(generators["a"] - np.eye(dim) / 2, axis=(1, 2))
    assert np.sum(distances < 0.25) == found, distances
