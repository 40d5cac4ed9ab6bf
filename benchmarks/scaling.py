"""Weak scaling on paper: what devices would tell each other in a round, and how long it would take.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --features 128 --devices 8 64 512 --tflops 50 --link-gbs 100

Compiles the sharded update of a DCGAN on 64 x 64 pixels ahead of time for so many (virtual)
devices, reads the collectives and their bytes from the compiled program, and adds the time of a
ring of links to that of the arithmetic:

    t = operations / speed + (n - 1) / n * bytes / bandwidth + collectives * latency

where the bytes of an all-reduce count twice: around a ring they go as sums and as results. Nothing
is hidden behind anything, so this is a lower bound on efficiency for the given speeds.
"""

import dataclasses
import json
import math
import os
import re
import subprocess
import sys

import tyro

BYTES = {"f32": 4, "bf16": 2, "s32": 4, "u32": 4, "pred": 1}


@dataclasses.dataclass(frozen=True)
class Config:
    """Predicts the time of a round on many devices."""

    devices: tuple[int, ...] = (8, 64, 512)
    """Numbers of devices."""
    batch: int = 64
    """Examples for each device."""
    features: int = 64
    """Channels of the DCGAN's widest images."""
    fsdp: int = 1
    """Length of the axis along which the state is divided."""
    tflops: float = 20.0
    """What a device does of this, in 10^12 operations a second."""
    link_gbs: float = 50.0
    """Bandwidth out of each device, in 10^9 bytes a second."""
    latency_us: float = 10.0
    """Of a collective."""


def main(config: Config) -> None:
    """Prints a table, a row per number of devices."""
    from benchmarks.step import print_row

    print_row(
        "devices",
        "collectives",
        "MB around the ring",
        "ms of arithmetic",
        "ms of links",
        "efficiency",
    )
    print_row(*["---"] * 6)
    for n in config.devices:
        found = json.loads(in_a_process_with(n, config))
        compute = found["flops"] / config.tflops / 1e12
        ring = (n - 1) / n * found["bytes"] / config.link_gbs / 1e9
        links = ring + found["collectives"] * config.latency_us / 1e6
        cells = [n, found["collectives"], f"{found['bytes'] / 1e6:.1f}", f"{1e3 * compute:.1f}"]
        share = compute / (compute + links)
        print_row(*map(str, cells), f"{1e3 * links:.2f}", f"{share:.1%}")


def in_a_process_with(num_devices: int, config: Config) -> str:
    """What `compiled` finds, in a process that has so many virtual devices."""
    flags = f"--xla_force_host_platform_device_count={num_devices}"
    code = f"from benchmarks import scaling; scaling.compiled({num_devices}, {config})"
    code = code.replace("Config(", "scaling.Config(")
    command = [sys.executable, "-c", code]
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def compiled(num_devices: int, config: Config) -> None:
    """Prints operations of a device, and collectives and their bytes, of one round."""
    import jax
    import jax.numpy as jnp
    import optax

    import jaxgan
    from jaxgan import latents, networks, parallel

    auto = 2 * (jax.sharding.AxisType.Auto,)
    shape = (num_devices // config.fsdp, config.fsdp)
    mesh = jax.make_mesh(shape, ("data", "fsdp"), axis_types=auto)
    game = jaxgan.gan(
        jaxgan.from_linen(networks.DCGANGenerator((64, 64, 3), config.features)),
        jaxgan.from_linen(networks.DCGANDiscriminator(config.features)),
        latent=latents.normal(100),
    )
    adam = optax.adam(2e-4, b1=0.5)
    algorithm = jaxgan.alternating(game, {"discriminator": adam, "generator": adam})
    key = jax.eval_shape(lambda: jax.random.key(0))
    image = (config.batch * num_devices, 64, 64, 3)
    state = jax.eval_shape(algorithm.init, key, {"image": jax.ShapeDtypeStruct(image, jnp.float32)})
    placed = lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place)
    state = jax.tree.map(placed, state, parallel.state_shardings(mesh, state))
    rows = parallel.batch_sharding(mesh)
    batches = {"image": jax.ShapeDtypeStruct((1, *image), jnp.float32, sharding=rows)}
    program = parallel.sharded_update(algorithm, mesh).lower(state, batches, key).compile()
    kinds = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    found = re.findall(rf"= (.*?) ({kinds})(?:-start)?\(", program.as_text())
    moved = [
        size * (2 if kind == "all-reduce" else 1)
        for result, kind in found
        for size in tensor_bytes(result)
    ]
    flops = program.cost_analysis()["flops"]
    print(json.dumps({"flops": flops, "collectives": len(found), "bytes": sum(moved)}))


def tensor_bytes(result: str) -> list[int]:
    """Bytes of every tensor in the type of a result, such as `(f32[64]{0}, f32[3,2]{1,0})`."""
    return [
        BYTES[dtype] * math.prod(int(side) for side in sides.split(",") if side)
        for dtype, sides in re.findall(r"(\w+)\[([\d,]*)\]", result)
    ]


if __name__ == "__main__":
    main(tyro.cli(Config))
