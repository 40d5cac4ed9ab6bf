"""Tables of docs/scaling.md, from the records of `benchmarks/tpu.py`.

The time of a step on n chips is estimated as

    cycles / clock + sum over collectives of (share * bytes / link + hops * 1 us)

without overlap of communication and computation, and, for the least that it can be, with the bytes
over the whole outgoing bandwidth of a chip and without the hops. The clock follows from the
published peak; `share` is (n - 1) / n, twice that for an all-reduce, which is a reduce-scatter and
an all-gather around the ring; `link` is half of the published outgoing bandwidth of a chip, that of
one ring of the torus.
"""

from typing import Any, NamedTuple

from benchmarks.tpu_programs import CHIPS, LIMITS, OTHERS, PROGRAMS, SCALING, Program

SECONDS_PER_HOP = 1e-6
LARGE = 1 << 18  # bytes of a collective from which on it is of gradients, not of statistics


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
