"""Published results, and jaxgan's results under the same protocols.

    python -m benchmarks.published
    python -m benchmarks.published --only ring grid

Each protocol is a function of `benchmarks/protocols.py`, `benchmarks/digits.py` or
`benchmarks/latent_protocols.py`. Its rows are written to docs/results.json, from which
docs/results.md is rendered; with `--only`, the results of the other protocols are kept. Protocols
on MNIST are skipped, with a message, where MNIST is not available.
"""

import dataclasses
import json
import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import Any

import tyro

from jaxgan.runs.command_line import xla_flags

ROOT = Path(__file__).parent.parent
TITLES = {
    "dirac": "Dirac-GAN: convergence rates",
    "gaussian": "A Gaussian on a line: D settles at 1/2",
    "ring": "Eight Gaussians on a ring",
    "grid": "25 Gaussians on a grid",
    "parzen": "Parzen-window log-likelihood of MNIST",
    "mnist_presets": "Losses and penalties on MNIST",
    "digits": "Digits of MNIST, beside PyTorch",
    "conditional": "Digits of the asked-for class",
    "infogan": "InfoGAN: digits without labels",
    "stacked_mnist": "Stacked MNIST: 1000 modes",
    "few_digits": "1000 training digits",
    "spectral_normalization": "Spectral normalisation at a high learning rate",
    "likelihood": "Log-likelihood bounds of VAEs",
    "denoising": "Denoising",
    "anomalies": "Anomaly detection",
    "sharper": "Sharpness of a VAE-GAN and a VAE",
    "presets": "Presets of papers, after equal steps and equal time",
}
HEAD = """# Results

`python -m benchmarks.published` renders this page from `docs/results.json`, which also has the
results of every seed; `--only NAME` runs one protocol again. Published results are quoted with
their protocol, and are comparable only under that protocol.

`python -m benchmarks.device` measures the GAN training step on a GPU or TPU (steps and images per
second, share of the peak FLOP/s, memory, in float32 and bfloat16). No such results are available
yet; what the TPU compiler estimates is in [scaling.md](scaling.md), times on CPUs are in
[performance.md](performance.md).
"""


@dataclasses.dataclass(frozen=True)
class Config:
    """Evaluate jaxgan under published protocols, and write docs/results.md."""

    only: tuple[str, ...] = ()
    """Names of the protocols to run; default: all."""
    json: Path = ROOT / "docs" / "results.json"
    """File of the results."""
    page: Path = ROOT / "docs" / "results.md"
    """Markdown page rendered from the results."""


def main(config: Config) -> None:
    """Runs the protocols one by one, and writes the results after each."""
    xla_flags.set_flags()
    from benchmarks import digits, latent_protocols, method_protocols, protocols
    from jaxgan.errors import DataError

    known = {
        **protocols.PROTOCOLS,
        **digits.PROTOCOLS,
        **method_protocols.PROTOCOLS,
        **latent_protocols.PROTOCOLS,
    }
    if unknown := sorted(set(config.only) - set(known)):
        print(
            f"error: no protocol {', '.join(unknown)}; there are {', '.join(known)}",
            file=sys.stderr,
        )
        sys.exit(2)
    results = json.loads(config.json.read_text(encoding="utf-8")) if config.json.exists() else {}
    for name in config.only or known:
        start = time.perf_counter()
        try:
            rows = known[name]()
        except DataError as error:
            print(f"skipped {name}: {error}")
            continue
        minutes = (time.perf_counter() - start) / 60
        results[name] = {
            "about": about(known[name]),
            "machine": machine(),
            "minutes": round(minutes, 1),
            "rows": [dataclasses.asdict(row) for row in rows],
        }
        if name in method_protocols.HEADS:
            results[name]["heads"] = method_protocols.HEADS[name]
        print(section(name, results[name]))
        ordered = {name: results[name] for name in known if name in results}
        results = ordered | results  # and what benchmarks.tpu has written
        config.json.write_text(json.dumps(results, indent=2) + "\n")
        config.page.write_text(page(results))


def about(protocol: Any) -> str:
    """Docstring of a protocol, without indentation."""
    return "\n".join(line.strip() for line in protocol.__doc__.strip().splitlines())


def page(results: dict[str, Any]) -> str:
    """Text of docs/results.md, of the results that have rows."""
    protocols = {name: results[name] for name in TITLES if "rows" in results.get(name, {})}
    sections = "".join(f"\n{section(name, result)}" for name, result in protocols.items())
    return f"{HEAD}\n{contents(protocols)}{sections}"


def contents(results: dict[str, Any]) -> str:
    """List of the sections, with what there is to compare with."""
    lines = ["| result | protocol | beside |", "|---|---|---|"]
    for name, result in results.items():
        rows = [] if "heads" in result else [row["published"] for row in result["rows"]]
        beside = "published results" if any(p != "none" for p in rows) else "each other"
        lines.append(f"| [{TITLES[name]}](#{anchor(TITLES[name])}) | `{name}` | {beside} |")
    return "\n".join(lines) + "\n"


def anchor(title: str) -> str:
    """Anchor of a heading in Markdown pages."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def section(name: str, result: dict[str, Any]) -> str:
    """Section of a protocol: heading, description, table, machine and run time."""
    heads = " | ".join(result.get("heads", ("what", "published", "jaxgan", "seeds")))
    lines = [f"| {heads} |", "|---|---|---|---|"]
    lines += [
        f"| {row['what']} | {row['published']} | {row['value']} | {row['seeds']} |"
        for row in result["rows"]
    ]
    ran = f"{result['machine']}; {result['minutes']} minutes."
    return f"## {TITLES[name]}\n\n{result['about']}\n\n" + "\n".join(lines) + f"\n\n{ran}\n"


def machine() -> str:
    """Description of this machine."""
    import jax

    devices = f"{jax.device_count()} {jax.devices()[0].device_kind} device"
    return f"{platform.machine()}, {os.cpu_count()} cores, {devices}, jax {jax.__version__}"


if __name__ == "__main__":
    main(tyro.cli(Config))
