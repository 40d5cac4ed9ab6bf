"""Published numbers, and what jaxgan gets under the same protocol.

    python -m benchmarks.published
    python -m benchmarks.published --only ring grid

Every protocol is one function of `benchmarks/protocols.py` or `benchmarks/code_protocols.py`. Its
rows go to a JSON file, from which the table in docs/results.md is written: with `--only`, those of
the other protocols stay as they are. MNIST's are skipped, with a word, where MNIST is not.
"""

import dataclasses
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import tyro

from jaxgan.runs import xla_flags

ROOT = Path(__file__).parent.parent
HEAD = """# Results

Written by `python -m benchmarks.published` from `docs/results.json`, which also has every seed's
numbers; `--only NAME` measures one protocol again. Numbers of papers are quoted with the protocol
that they were measured under, and are to be compared under it only.

What a GPU or TPU makes of the GAN step (steps and images a second, share of its peak, memory, in
float32 and bfloat16) is measured by `python -m benchmarks.device`. None has been at hand so far, so
there are no such numbers here; the time on CPUs is in [performance.md](performance.md).
"""


@dataclasses.dataclass(frozen=True)
class Config:
    """Measures under the protocols of papers, and writes docs/results.md."""

    only: tuple[str, ...] = ()
    """Names of protocols; all of them when left out."""
    json: Path = ROOT / "docs" / "results.json"
    """Where the rows are kept."""
    page: Path = ROOT / "docs" / "results.md"
    """Where the table is written."""


def main(config: Config) -> None:
    """Plays the protocols one by one; what is done is written at once."""
    xla_flags.set_flags()
    from benchmarks import code_protocols, protocols
    from jaxgan.errors import DataError

    known = protocols.PROTOCOLS | code_protocols.PROTOCOLS
    if unknown := sorted(set(config.only) - set(known)):
        print(
            f"error: no protocol {', '.join(unknown)}; there are {', '.join(known)}",
            file=sys.stderr,
        )
        sys.exit(2)
    results = json.loads(config.json.read_text()) if config.json.exists() else {}
    for name in config.only or known:
        start = time.perf_counter()
        try:
            rows = known[name]()
        except DataError as error:
            print(f"{name} is skipped: {error}")
            continue
        minutes = (time.perf_counter() - start) / 60
        results[name] = {
            "about": about(known[name]),
            "machine": machine(),
            "minutes": round(minutes, 1),
            "rows": [dataclasses.asdict(row) for row in rows],
        }
        print(section(name, results[name]))
        ordered = {name: results[name] for name in known if name in results}
        config.json.write_text(json.dumps(ordered, indent=2) + "\n")
        config.page.write_text(page(ordered))


def about(protocol: Any) -> str:
    """A protocol's docstring, its indentation taken off."""
    return "\n".join(line.strip() for line in protocol.__doc__.strip().splitlines())


def page(results: dict[str, Any]) -> str:
    """docs/results.md."""
    return HEAD + "".join(f"\n{section(name, result)}" for name, result in results.items())


def section(name: str, result: dict[str, Any]) -> str:
    """Heading, protocol, table, and where and how long it ran."""
    lines = ["| | published | jaxgan | seeds |", "|---|---|---|---|"]
    lines += [
        f"| {row['what']} | {row['published']} | {row['value']} | {row['seeds']} |"
        for row in result["rows"]
    ]
    ran = f"{result['machine']}; {result['minutes']} minutes."
    return f"## {name}\n\n{result['about']}\n\n" + "\n".join(lines) + f"\n\n{ran}\n"


def machine() -> str:
    """What it ran on."""
    import jax

    devices = f"{jax.device_count()} {jax.devices()[0].device_kind}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {devices}, jax {jax.__version__}"


if __name__ == "__main__":
    main(tyro.cli(Config))
