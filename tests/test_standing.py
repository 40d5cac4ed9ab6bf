"""Standing statistics of batch normalisation."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import networks

KEY = jax.random.key(0)


class Normalized(nn.Module):
    """A scaled input, normalised by one of two implementations."""

    norm: str

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Dense(3, use_bias=False)(x)
        if self.norm == "jaxgan":
            return networks.BatchNorm(momentum=0.7)(x, train=train)
        return nn.BatchNorm(use_running_average=not train, momentum=0.99)(x)


@pytest.mark.parametrize("norm", ["jaxgan", "flax"])
def test_they_are_means_over_batches(norm):
    """Of the batches' means and variances, wherever the running averages are, and however large."""
    network = networks.from_linen(Normalized(norm))
    x = jnp.asarray(np.random.default_rng(0).normal(50.0, 3.0, (4, 6, 5)), jnp.float32)
    params, state = network.init(KEY, x[0])
    state = jax.tree.map(lambda leaf: leaf + 17.0, state)
    (found,) = networks.standing_statistics(network, params, state, x, key=KEY)[
        "batch_stats"
    ].values()
    outputs = np.asarray(x @ params["Dense_0"]["kernel"], np.float64)
    np.testing.assert_allclose(found["mean"], outputs.mean(axis=1).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found["var"], outputs.var(axis=1).mean(axis=0), rtol=1e-3)


def test_with_one_batch_evaluation_is_training():
    """Whose statistics in one layer depend on those of the layer before."""
    network = networks.from_linen(networks.DCGANGenerator((16, 16, 1), 2, num_classes=3))
    z, labels = jax.random.normal(KEY, (1, 4, 5)), jnp.array([[0, 2, 1, 1]])
    params, state = jax.jit(network.init)(KEY, z[0], labels[0])
    standing = jax.jit(lambda *args: networks.standing_statistics(network, *args, key=KEY))
    found = standing(params, state, z, labels)
    apply = jax.jit(network.apply, static_argnames="train")
    trained, _ = apply(params, state, z[0], labels[0], train=True)
    evaluated, _ = apply(params, found, z[0], labels[0], train=False)
    np.testing.assert_allclose(evaluated, trained, atol=1e-5)


def test_other_model_state_stays():
    network = networks.from_linen(networks.SNGANGenerator((8, 8, 1), 2, spectral_norm=True))
    z = jax.random.normal(KEY, (2, 4, 5))
    params, state = jax.jit(network.init)(KEY, z[0])
    standing = jax.jit(lambda *args: networks.standing_statistics(network, *args, key=KEY))
    found = standing(params, state, z)
    jax.tree.map(np.testing.assert_array_equal, found["spectral"], state["spectral"])
    assert not np.array_equal(*(jax.tree.leaves(x["batch_stats"])[0] for x in (found, state)))


def test_networks_without_batch_statistics_are_refused():
    network = networks.from_linen(networks.MLP((2,)))
    params, state = network.init(KEY, jnp.zeros((1, 3)))
    with pytest.raises(ValueError, match="state has nothing, expected batch_stats"):
        networks.standing_statistics(network, params, state, jnp.zeros((1, 1, 3)), key=KEY)
