"""What the TPU compiler says of a training step: memory, collectives, estimated cycles.

    pip install 'jaxgan[tpu]'
    python -m benchmarks.tpu                        # the programs without a record
    python -m benchmarks.tpu --only 'dcgan*pmap'    # these, again
    python -m benchmarks.tpu --list                 # names and records

The compiler compiles for TPU slices that are not here, on any Linux machine, in one to three
minutes of a core each. Nothing is executed: cycles are the compiler's estimates, which add up to a
yardstick without noise, not to a measured time. A record is written to docs/results.json as soon as
its program is compiled, and the tables of docs/scaling.md are rendered from all records, so that an
interrupted run goes on where it was.

The time of a step on n chips is estimated as

    cycles / clock + sum over collectives of (share * bytes / link + hops * 1 us)

without overlap of communication and computation, and, for the least that it can be, with the bytes
over the whole outgoing bandwidth of a chip and without the hops. The clock follows from the
published peak; `share` is (n - 1) / n, twice that for an all-reduce, which is a reduce-scatter and
an all-gather around the ring; `link` is half of the published outgoing bandwidth of a chip, that of
one ring of the torus.
"""

import dataclasses
import fnmatch
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import tyro

from benchmarks import hlo

if TYPE_CHECKING:
    from jaxgan import TrainingAlgorithm

ROOT = Path(__file__).parent.parent
SECONDS_PER_HOP = 1e-6
LARGE = 1 << 18  # bytes of a collective from which on it is of gradients, not of statistics


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


@dataclasses.dataclass(frozen=True)
class Config:
    """Compile training steps for TPU slices, and record what the compiler says of them."""

    only: tuple[str, ...] = ()
    """Names, or patterns of names, of the programs to compile; default: those without a record."""
    list: bool = False
    """Print the names and the records, and compile nothing."""
    text: Path | None = None
    """Folder for the texts of the compiled programs."""
    json: Path = ROOT / "docs" / "results.json"
    """File of the results."""
    page: Path = ROOT / "docs" / "scaling.md"
    """Markdown page with the tables rendered from the results."""


def main(config: Config) -> None:
    """Compiles the programs one by one, and writes the results after each."""
    wanted = choose(config)
    if config.list:
        for name in wanted:
            print(name, json.dumps(records(config).get(name)))
        return
    set_environment()
    from jaxgan.errors import UserError

    try:
        for name in wanted:
            record = compiled(PROGRAMS[name], config.text)
            print(name, json.dumps(record), flush=True)
            write(config, name, record)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def choose(config: Config) -> list[str]:
    """Names of the programs of the command line."""
    if not config.only:
        done = {} if config.list else records(config)
        return [name for name in PROGRAMS if name not in done]
    chosen = [name for name in PROGRAMS if any(fnmatch.fnmatch(name, p) for p in config.only)]
    if not chosen:
        print(f"error: no program {', '.join(config.only)}; see --list", file=sys.stderr)
        sys.exit(2)
    return chosen


def set_environment() -> None:
    """Lets the TPU compiler start without a TPU, beside other processes that use it."""
    os.environ |= {
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_ACCELERATOR_TYPE": "v5litepod-8",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


# ---- records


def records(config: Config) -> dict[str, Any]:
    """Records by the names of programs."""
    return json.loads(config.json.read_text(encoding="utf-8")).get("tpu", {}).get("programs", {})


def write(config: Config, name: str, record: dict[str, Any]) -> None:
    """Writes a record, and renders the tables of the page from all."""
    results = json.loads(config.json.read_text(encoding="utf-8"))
    programs = records(config) | {name: record}
    ordered = {name: programs[name] for name in PROGRAMS if name in programs}
    results["tpu"] = {
        "about": "Estimates of the TPU compiler, of which docs/scaling.md has tables.",
        "programs": ordered,
    }
    config.json.write_text(json.dumps(results, indent=2) + "\n")
    config.page.write_text(rendered(config.page.read_text(encoding="utf-8"), ordered))


def compiled(program: Program, folder: Path | None = None) -> dict[str, Any]:
    """What the compiler says of a program."""
    import jax

    start = time.process_time()
    lowered = lower(program)
    try:
        executable = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        needed = re.search(r"Used ([\d.]+)G of ([\d.]+)G hbm", str(error))
        if needed is None:
            raise
        return {"fits": False, "memory": round(float(needed[1]) * 2**30)}
    text, memory = executable.as_text(), executable.memory_analysis()
    if folder is not None:
        (folder / f"{program.name}.txt").write_text(text)
    state = memory.argument_size_in_bytes
    account = hlo.account(text)
    costs = executable.cost_analysis()
    return {
        "fits": True,
        "memory": state
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes,
        "arguments": state,
        "donated": memory.alias_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
        "operations": round(costs["flops"]),
        "bytes": round(costs["bytes accessed"]),
        "cycles": account.cycles,
        "collectives": [collective._asdict() for collective in account.collectives],
        "cpu_seconds": round(time.process_time() - start),
        "versions": versions(),
    }


def versions() -> str:
    """Versions of jax and of the compiler."""
    import importlib.metadata

    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "libtpu"))


# ---- tables


class Estimate(NamedTuple):
    """Seconds of a step: of computation, of communication, and the least of communication."""

    computation: float
    communication: float
    transfer: float


def estimate(program: Program, record: dict[str, Any]) -> Estimate:
    """The model of the time of a step, from a record."""
    chip, n = CHIPS[program.chip], program.chips
    sides = chip.slices[n]
    hops = sum(side // 2 if side >= chip.wraps else side - 1 for side in sides) if n > 1 else 0
    steps = sent = 0.0
    for one in record["collectives"]:
        passes = one["count"] * (2 if one["kind"] == "all-reduce" else 1)
        steps += passes * hops
        sent += passes * (n - 1) / n * one["bytes"]
    return Estimate(
        sum(record["cycles"].values()) * chip.operations / chip.peak,
        sent / (chip.outgoing / 2) + steps * SECONDS_PER_HOP,
        sent / chip.outgoing,
    )


def efficiency(computation: float, communication: float) -> float:
    """Share of the time that is not communication, the efficiency of weak scaling."""
    return computation / (computation + communication)


def of_peak(program: Program, record: dict[str, Any]) -> float:
    """Share of the operations that the matrix units could do in the estimated cycles."""
    cycles = sum(record["cycles"].values())
    return record["operations"] / CHIPS[program.chip].operations / cycles


def rendered(page: str, programs: dict[str, Any]) -> str:
    """The page with its tables made from the records."""
    for name, (head, row) in TABLES.items():
        chosen = [(PROGRAMS[key], programs[key]) for key in GROUPS[name] if key in programs]
        lines = [head, [*["---"] * len(head)], *(row(*each) for each in chosen)]
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        table = table if chosen else ""
        start, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, rest = page.split(start)
        page = before + start + table + end + rest.split(end, 1)[1]
    return page


def scaling_row(program: Program, record: dict[str, Any]) -> list[str]:
    """Memory, collectives and time."""
    large = [one for one in record["collectives"] if one["bytes"] >= LARGE]
    small = [one for one in record["collectives"] if one["bytes"] < LARGE]
    times = estimate(program, record)
    return [
        *described(program),
        str(program.chips),
        program.mode,
        gigabytes(record),
        counted(large, 1e6, "MB"),
        counted(small, 1e3, "kB"),
        f"{1e3 * times.computation:.2f}",
        f"{1e3 * times.communication:.2f}",
        f"{efficiency(times.computation, times.communication):.0%}",
        f"{efficiency(times.computation, times.transfer):.0%}",
    ]


def cycles_row(program: Program, record: dict[str, Any]) -> list[str]:
    """Operations, and cycles by kind."""
    cycles = record["cycles"]
    return [
        *described(program),
        str(program.chips),
        program.mode,
        f"{record['operations'] / 1e9:.0f}",
        f"{record['bytes'] / 1e9:.1f}",
        f"{sum(cycles.values()) / 1e6:.2f}",
        *(f"{cycles.get(kind, 0) / sum(cycles.values()):.0%}" for kind in KINDS),
        f"{of_peak(program, record):.0%}",
    ]


def limits_row(program: Program, record: dict[str, Any]) -> list[str]:
    """What fits."""
    options = [f"--accumulate {program.accumulate}"] if program.accumulate > 1 else []
    options += ["--remat"] if program.remat else []
    fits = record["fits"]
    return [
        *described(program),
        " ".join(options) or "-",
        gigabytes(record),
        "yes" if fits else "no",
        f"{1e3 * estimate(program, record).computation:.0f}" if fits else "-",
    ]


def described(program: Program) -> list[str]:
    """Workload with its size, examples a chip, dtype and chip."""
    return [
        f"{program.workload}, {program.features}",
        str(program.batch),
        program.dtype,
        program.chip,
    ]


def gigabytes(record: dict[str, Any]) -> str:
    """Memory of a chip."""
    return f"{record['memory'] / 1e9:.2f}"


def counted(collectives: list[dict[str, Any]], unit: float, name: str) -> str:
    """Number of collectives by kind, their bytes, and how many are asynchronous."""
    if not collectives:
        return "-"
    kinds: dict[str, int] = {}
    for one in collectives:
        kinds[one["kind"]] = kinds.get(one["kind"], 0) + one["count"]
    size = sum(one["count"] * one["bytes"] for one in collectives) / unit
    overlapped = sum(one["count"] for one in collectives if one["asynchronous"])
    parts = [f"{count} {kind}" for kind, count in kinds.items()]
    return f"{', '.join(parts)}: {size:.1f} {name}" + (
        f", {overlapped} async" if overlapped else ""
    )


KINDS = ("matrix unit", "reduction", "elementwise", "copy")
WHAT = ["workload, features", "examples a chip", "dtype", "chip"]
TABLES = {
    "scaling": (
        [
            *WHAT,
            "chips",
            "mode",
            "GB a chip",
            "of gradients",
            "of statistics",
            "compute ms",
            "communication ms",
            "efficiency",
            "at most",
        ],
        scaling_row,
    ),
    "cycles": (
        [*WHAT, "chips", "mode", "GFLOP", "GB accessed", "Mcycles", *KINDS, "of peak"],
        cycles_row,
    ),
    "limits": ([*WHAT, "flags", "GB", "fits", "ms"], limits_row),
}
GROUPS = {
    "scaling": [p.name for p in [*SCALING, *OTHERS]],
    "cycles": [p.name for p in [*SCALING, *OTHERS]],
    "limits": [p.name for p in LIMITS],
}


# ---- programs


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


if __name__ == "__main__":
    main(tyro.cli(Config))
