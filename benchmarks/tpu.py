"""What the TPU compiler says of a training step: memory, collectives, estimated cycles.

    pip install 'jaxgan[tpu]'
    python -m benchmarks.tpu                        # the programs without a record
    python -m benchmarks.tpu --only 'dcgan*pmap'    # these, again
    python -m benchmarks.tpu --list                 # names and records

The compiler compiles for TPU slices that are not here, on any Linux machine, in one to three
minutes of a core each, and CycleGANs in up to half an hour. Nothing is executed: cycles are the
compiler's estimates, which add up to a yardstick without noise, not to a measured time. A record is
written to docs/results.json as soon as its program is compiled, and the tables of docs/scaling.md
are rendered from all records, so that an interrupted run goes on where it was.
"""

import dataclasses
import fnmatch
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import tyro

from benchmarks import hlo
from benchmarks.tpu_programs import PROGRAMS, Program, lower
from benchmarks.tpu_tables import rendered

ROOT = Path(__file__).parent.parent


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


if __name__ == "__main__":
    main(tyro.cli(Config))
