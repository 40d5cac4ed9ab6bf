"""Analytical weak scaling: communication and compute time of a training step on many devices.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --features 128 --devices 8 64 512 --tflops 50 --link-gbs 100

Compiles the sharded update of a DCGAN on 64 x 64 pixels ahead of time for n virtual devices, reads
the collectives and their bytes from the compiled program, and adds the time of ring collectives to
that of the computation:

    t = operations / speed + (n - 1) / n * bytes / bandwidth + collectives * latency

where the bytes of an all-reduce count twice, since it is a reduce-scatter and an all-gather around
the ring. Communication and computation do not overlap in this model, so it gives a lower bound on
the efficiency for the given speeds.
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
    """Predict the time of a training step on many devices."""

    devices: tuple[int, ...] = (8, 64, 512)
    """Numbers of devices."""
    batch: int = 64
    """Examples per device."""
    features: int = 64
    """Channels of the finest layer of the DCGAN."""
    fsdp: int = 1
    """Size of the mesh axis fsdp, along which the state is sharded."""
    tflops: float = 20.0
    """Sustained speed of a device, in 10^12 floating-point operations per second."""
    link_gbs: float = 50.0
    """Outgoing bandwidth of a device, in 10^9 bytes per second."""
    latency_us: float = 10.0
    """Latency of a collective, in microseconds."""


def main(config: Config) -> None:
    """Prints a table, one row per number of devices."""
    from benchmarks.step import print_row

    print_row(
        "devices",
        "collectives",
        "MB communicated",
        "compute ms",
        "communication ms",
        "efficiency",
    )
    print_row(*["---"] * 6)
    for n in config.devices:
        program = json.loads(run_compiled(n, config))
        compute = program["flops"] / config.tflops / 1e12
        transfer = (n - 1) / n * program["bytes"] / config.link_gbs / 1e9
        communication = transfer + program["collectives"] * config.latency_us / 1e6
        efficiency = compute / (compute + communication)
        print_row(
            str(n),
            str(program["collectives"]),
            f"{program['bytes'] / 1e6:.1f}",
            f"{1e3 * compute:.1f}",
            f"{1e3 * communication:.2f}",
            f"{efficiency:.1%}",
        )


def run_compiled(num_devices: int, config: Config) -> str:
    """Output of `compiled` in a process with that number of virtual devices."""
    flags = f"--xla_force_host_platform_device_count={num_devices}"
    code = f"from benchmarks import scaling; scaling.compiled({num_devices}, {config})"
    code = code.replace("Config(", "scaling.Config(")
    command = [sys.executable, "-c", code]
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def compiled(num_devices: int, config: Config) -> None:
    """Prints operations per device, number of collectives and their bytes, of one step."""
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
    with_sharding = lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
    state = jax.tree.map(with_sharding, state, parallel.state_shardings(mesh, state))
    rows = parallel.batch_sharding(mesh)
    batches = {"image": jax.ShapeDtypeStruct((1, *image), jnp.float32, sharding=rows)}
    program = parallel.sharded_update(algorithm, mesh).lower(state, batches, key).compile()
    kinds = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    collectives = re.findall(rf"= (.*?) ({kinds})(?:-start)?\(", program.as_text())
    sizes = [
        size * (2 if kind == "all-reduce" else 1)
        for result, kind in collectives
        for size in tensor_bytes(result)
    ]
    flops = program.cost_analysis()["flops"]
    print(json.dumps({"flops": flops, "collectives": len(collectives), "bytes": sum(sizes)}))


def tensor_bytes(result: str) -> list[int]:
    """Bytes of every tensor in the type of a result, such as `(f32[64]{0}, f32[3,2]{1,0})`."""
    return [
        BYTES[dtype] * math.prod(int(side) for side in sides.split(",") if side)
        for dtype, sides in re.findall(r"(\w+)\[([\d,]*)\]", result)
    ]


if __name__ == "__main__":
    main(tyro.cli(Config))
