"""Training steps that `benchmarks/tpu.py` compiles, and the chips that it compiles them for."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from jaxgan import TrainingAlgorithm


class Chip(NamedTuple):
    """Published figures of a chip, and slices by their number of chips.

    Attributes:
      hbm: bytes of memory.
      peak: operations per second in bfloat16.
      operations: operations per cycle: 2 for each cell of the 128 x 128 matrix units.
      outgoing: bytes per second to all neighbours together.
      slices: topologies; one chip is the first of the smallest slice.
      wraps: side from which on an axis of a slice is a ring.
    """

    hbm: float
    peak: float
    operations: int
    outgoing: float
    slices: dict[int, tuple[int, ...]]
    wraps: int


# https://cloud.google.com/tpu/docs/v5e and /v5p: one and two cores of four matrix units each;
# bandwidth is given for both directions together.
CHIPS = {
    "v5e": Chip(
        16e9, 197e12, 4 * 2 * 128**2, 200e9, {1: (2, 2), 8: (2, 4), 64: (8, 8), 256: (16, 16)}, 16
    ),
    "v5p": Chip(
        95e9,
        459e12,
        8 * 2 * 128**2,
        600e9,
        {1: (2, 2, 1), 8: (2, 2, 2), 64: (4, 4, 4), 256: (4, 8, 8)},
        4,
    ),
}


class Program(NamedTuple):
    """A training step to compile.

    Attributes:
      workload: dcgan, r3gan (both 64 x 64), cyclegan (256 x 256) or vae (28 x 28).
      features: channels of the finest layer, or hidden units.
      batch: examples a chip.
      chips: number of chips.
      mode: parallel mode; fsdp is sharded with a state divided over eight chips.
      dtype: dtype in which the networks compute.
      accumulate: minibatches into which the examples are divided.
      remat: whether activations are computed again in the backward pass.
      chip: generation of the chip.
    """

    workload: Literal["dcgan", "r3gan", "cyclegan", "vae"]
    features: int
    batch: int
    chips: int = 8
    mode: Literal["pmap", "sharded", "fsdp"] = "sharded"
    dtype: str = "bfloat16"
    accumulate: int = 1
    remat: bool = False
    chip: str = "v5e"

    @property
    def name(self) -> str:
        """Name in the records."""
        parts = [f"{self.workload}-{self.features}", f"batch-{self.batch}"]
        parts += [self.dtype] if self.dtype != "bfloat16" else []
        parts += [f"accumulate-{self.accumulate}"] if self.accumulate > 1 else []
        parts += ["remat"] if self.remat else []
        return "-".join([*parts, self.chip, str(self.chips), self.mode])


SCALING = [
    Program("dcgan", 128, 128, 1),
    Program("dcgan", 128, 128, 8, "pmap"),
    Program("dcgan", 128, 128, 8),
    Program("dcgan", 128, 128, 8, "fsdp"),
    Program("dcgan", 128, 128, 64),
    Program("dcgan", 128, 128, 256, "pmap"),
    Program("dcgan", 128, 128, 256),
    Program("dcgan", 128, 128, 256, "fsdp"),
    Program("vae", 500, 128, 1),
    Program("vae", 500, 128),
    Program("vae", 500, 128, 64),
    Program("vae", 500, 128, 256, "pmap"),
    Program("vae", 500, 128, 256),
    Program("r3gan", 384, 32, 8),
    Program("r3gan", 384, 32, 256, "pmap"),
    Program("cyclegan", 64, 1, 8),
    Program("cyclegan", 64, 1, 256, "pmap"),
]
OTHERS = [
    Program("dcgan", 64, 64),
    Program("dcgan", 128, 128, dtype="float32"),
    Program("dcgan", 128, 128, chip="v5p"),
]
LIMITS = [  # that fit into one chip, or just do not
    Program("dcgan", 768, 16, 1),
    Program("dcgan", 896, 16, 1),
    Program("cyclegan", 64, 4, 1),
    Program("cyclegan", 64, 8, 1),
    Program("cyclegan", 64, 8, 1, accumulate=8),
    Program("cyclegan", 64, 8, 1, remat=True),
]
PROGRAMS = {program.name: program for program in [*SCALING, *OTHERS, *LIMITS]}


def lower(program: Program) -> Any:
    """The update, lowered for the slice."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from jaxgan import parallel

    fsdp = 8 if program.mode == "fsdp" else 1
    devices = np.array(devices_of(program)).reshape(-1, fsdp)
    mesh = Mesh(devices, ("data", "fsdp")) if fsdp > 1 else Mesh(devices[:, 0], ("data",))
    algorithm, shapes = make(program)
    count = algorithm.num_minibatches
    rows = program.batch * program.chips // program.accumulate
    batch = {name: jax.ShapeDtypeStruct((rows, *s), jnp.float32) for name, s in shapes.items()}
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(algorithm.init, key, batch)

    def placed(x: Any, sharding: Any) -> Any:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    stacked = {name: jax.ShapeDtypeStruct((count, *x.shape), x.dtype) for name, x in batch.items()}
    batches = {name: placed(x, parallel.batch_sharding(mesh)) for name, x in stacked.items()}
    state = jax.tree.map(placed, state, parallel.state_shardings(mesh, state))
    key = placed(key, NamedSharding(mesh, PartitionSpec()))
    make_update = parallel.mapped_update if program.mode == "pmap" else parallel.sharded_update
    return make_update(algorithm, mesh).lower(state, batches, key)


def devices_of(program: Program) -> list[Any]:
    """The chips of the slice."""
    from jax.experimental import topologies

    from jaxgan.errors import UserError

    sides = CHIPS[program.chip].slices[program.chips]
    name = f"{program.chip}:{'x'.join(map(str, sides))}"
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name=name).devices
    except (RuntimeError, ImportError) as error:
        raise UserError(f"no TPU compiler ({error}); pip install 'jaxgan[tpu]'") from error
    return devices[: program.chips]


def make(program: Program) -> "tuple[TrainingAlgorithm, dict[str, tuple[int, ...]]]":
    """The training algorithm, and the shapes of an example."""
    import optax

    import jaxgan
    from jaxgan import latents, losses, networks, penalties

    def network(module: Any) -> jaxgan.Network:
        made = networks.from_linen(module, dtype=program.dtype)
        return networks.remat(made) if program.remat else made

    features, adam, ema = program.features, optax.adam(2e-4, b1=0.5), {}
    shapes: dict[str, tuple[int, ...]] = {"image": (64, 64, 3)}
    turns = None
    if program.workload == "dcgan":
        game = jaxgan.gan(
            network(networks.DCGANGenerator((64, 64, 3), features)),
            network(networks.DCGANDiscriminator(features)),
            latent=latents.normal(100),
        )
    elif program.workload == "r3gan":
        game = jaxgan.gan(
            network(networks.R3GANGenerator((64, 64, 3), features)),
            network(networks.R3GANDiscriminator(features)),
            latent=latents.normal(64),
            loss=losses.relativistic_paired(),
            penalty=penalties.weighted((1.0, penalties.r1), (1.0, penalties.r2)),
        )
        ema = {"generator": 0.999}
    elif program.workload == "cyclegan":
        shapes = {"x": (256, 256, 3), "y": (256, 256, 3)}
        generator = network(networks.ResNetGenerator(3, features, 9))
        discriminator = network(networks.PatchDiscriminator(features, norm="instance"))
        game = jaxgan.cyclegan(
            {"x2y": generator, "y2x": generator}, {"x": discriminator, "y": discriminator}
        )
        turns = [("discriminators", "generators")]
    else:
        shapes = {"image": (28, 28, 1)}
        game = jaxgan.vae(
            network(networks.MLP((features,), output_shape=(2, 20))),
            network(networks.MLP((features,), output_shape=(28, 28, 1))),
        )
    algorithm = jaxgan.alternating(
        game,
        dict.fromkeys(game.losses, adam),
        ema=ema,
        accumulate=program.accumulate,
        **({} if turns is None else {"turns": turns}),
    )
    return algorithm, shapes
