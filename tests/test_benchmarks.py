"""What is timed side by side is the same game."""

import jax
import numpy as np
import pytest

import jaxgan
from benchmarks.step import Config, interleaved
from benchmarks.workloads import (
    LATENT,
    OURS,
    PLAIN,
    WORKLOADS,
    Workload,
    make_networks,
    make_step,
)

SMALL = Workload(
    image=(8, 8, 3),
    batch=4,
    base=(2, 2, 8),
    generator=((8, 5, 1), (4, 5, 2), (3, 4, 2)),
    discriminator=((4, 5, 2), (8, 4, 2)),
    batch_norm=True,
)


@pytest.mark.parametrize("penalty", [None, "r1", "gp"])
def test_our_layers_and_flaxs_own_play_the_same_game(penalty):
    workload = SMALL._replace(penalty=penalty, batch_norm=penalty is None)
    (ours, flops), (plain, _) = make_step(workload, OURS), make_step(workload, PLAIN)
    assert flops > 0
    for _ in range(3):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), ours(), plain()
        )


def test_pytorchs_networks_have_as_many_parameters():
    pytest.importorskip("torch", reason="the comparison wants PyTorch")
    from benchmarks import torch_workloads

    count = lambda module, x: sum(
        leaf.size
        for leaf in jax.tree.leaves(
            jax.eval_shape(jaxgan.from_linen(module).init, jax.random.key(0), x)[0]
        )
    )
    for workload in WORKLOADS.values():
        theirs = [
            sum(p.numel() for p in module.parameters())
            for module in torch_workloads._networks(workload)
        ]
        generator, discriminator = make_networks(workload, OURS)
        image = np.zeros((2, *workload.image), np.float32)
        z = np.zeros((2, LATENT), np.float32)
        assert theirs == [count(generator, z), count(discriminator, image)]


def test_forms_take_turns():
    order = []
    steps = {name: lambda name=name: order.append(name) for name in ("a", "b")}
    times = interleaved(steps, Config(repeats=3, seconds=0.0))
    assert order == ["a", "a", "b", "b", *3 * ["a", "b"]]
    assert [len(values) for values in times.values()] == [3, 3]
