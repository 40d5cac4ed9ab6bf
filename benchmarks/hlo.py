"""Account of a program that XLA compiled for TPU, read from its text: cycles and collectives."""

import math
import re
from collections import Counter
from typing import NamedTuple

BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "f32": 4, "s32": 4, "u32": 4}
COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
)
MOVES = ("copy", "transpose", "reverse", "reshape", "pad", "slice", "concatenate", "broadcast")

HEADING = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([\w\-]+)\(")
CALLED = re.compile(r"(?:calls|body|to_apply)=%?([\w.\-]+)")
BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
BOOLEAN = re.compile(r"(?:true|false)_computation=([^\s,]+)")
CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
TENSOR = re.compile(r"(\w+)\[([\d,]*)\]")

# A collective that overlaps with computation is in the fusion that starts it, in every fusion
# beside which it makes progress, and in the fusion that waits for it.
START, STEP, DONE = "AsyncCollectiveStart", "async_collective_fusion", "AsyncCollectiveDone"


class Instruction(NamedTuple):
    """A line of a computation: result type, operation and the whole line."""

    result: str
    operation: str
    line: str


class Collective(NamedTuple):
    """Equal collectives of a program.

    Attributes:
      kind: all-reduce, all-gather, ...
      bytes: of the result, on each device.
      arrays: number of arrays in it.
      dtype: dtypes of the arrays, such as bf16+f32.
      asynchronous: whether other operations may run between its start and its end.
      count: how often it runs in a step.
    """

    kind: str
    bytes: int
    arrays: int
    dtype: str
    asynchronous: bool
    count: int


class Account(NamedTuple):
    """Cycles by kind of operation, and collectives, of one run of a program.

    Kinds are `matrix unit` (convolutions and matrix products, with what is fused with them),
    `reduction`, `elementwise` and `copy` (of data from one layout to another).
    """

    cycles: dict[str, int]
    collectives: list[Collective]


def account(text: str) -> Account:
    """Account of a program, from its text."""
    computations, entry = parse(text)
    cycles: Counter[str] = Counter()
    collectives: Counter[Collective] = Counter()
    _add(computations, entry, 1, cycles, collectives)
    merged = [one._replace(count=n) for one, n in sorted(collectives.items(), reverse=True)]
    return Account(dict(cycles), merged)


def parse(text: str) -> tuple[dict[str, list[Instruction]], str]:
    """Computations by name, and the name of the entry."""
    computations: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    entry = ""
    for line in text.splitlines():
        if heading := HEADING.match(line):
            current = computations.setdefault(heading[2], [])
            entry = heading[2] if heading[1] else entry
        elif found := INSTRUCTION.match(line):
            current.append(Instruction(found[2], found[3], line))
    return computations, entry


def tensors(result: str) -> list[tuple[str, int]]:
    """Dtype and bytes of every array of a type such as `(f32[64]{0}, bf16[3,2]{1,0})`."""
    return [
        (dtype, BYTES[dtype] * math.prod(int(side) for side in sides.split(",") if side))
        for dtype, sides in TENSOR.findall(result)
        if dtype in BYTES
    ]


def _add(
    computations: dict[str, list[Instruction]],
    name: str,
    times: int,
    cycles: Counter[str],
    collectives: Counter[Collective],
) -> None:
    """Adds `times` runs of a computation; of a conditional, that of its longest branch."""
    for instruction in computations.get(name, []):
        operation, line = instruction.operation, instruction.line
        called = CALLED.findall(line)
        if estimate := CYCLES.search(line):
            cycles[_kind(computations, operation, called)] += times * int(estimate[1])
        if found := _collective(computations, instruction, called):
            collectives[found] += times
        elif operation == "while":
            trips = TRIPS.search(line)
            _add(
                computations, called[0], times * int(trips[1] if trips else 1), cycles, collectives
            )
        elif operation == "conditional":
            _add_longest(computations, line, times, cycles, collectives)
        elif operation == "call":
            _add(computations, called[0], times, cycles, collectives)


def _add_longest(
    computations: dict[str, list[Instruction]],
    line: str,
    times: int,
    cycles: Counter[str],
    collectives: Counter[Collective],
) -> None:
    found = BRANCHES.search(line)
    names = (
        found[1].split(", ") if found else re.findall(r"(?:true|false)_computation=(\S+?),", line)
    )
    accounts = []
    for name in names:
        accounts.append((Counter[str](), Counter[Collective]()))
        _add(computations, name.lstrip("%"), times, *accounts[-1])
    longest = max(accounts, key=lambda account: account[0].total())
    cycles.update(longest[0])
    collectives.update(longest[1])


def _kind(computations: dict[str, list[Instruction]], operation: str, called: list[str]) -> str:
    """Kind of an operation, or of a fusion by what it contains."""
    inside = {operation} if operation != "fusion" else _operations(computations, called)
    if inside & {"convolution", "dot"}:
        return "matrix unit"
    if inside & {"reduce", "reduce-window"}:
        return "reduction"
    moves = {*MOVES, "bitcast", "parameter", "constant", "fusion"}
    return "copy" if inside & {*MOVES} and inside <= moves else "elementwise"


def _operations(computations: dict[str, list[Instruction]], called: list[str]) -> set[str]:
    """Operations in fused computations, and in those that these fuse."""
    found = set()
    for name in called:
        for instruction in computations.get(name, []):
            found.add(instruction.operation)
            if instruction.operation == "fusion":
                found |= _operations(computations, CALLED.findall(instruction.line))
    return found


def _collective(
    computations: dict[str, list[Instruction]], instruction: Instruction, called: list[str]
) -> Collective | None:
    """The collective of an instruction; of an asynchronous one, of its start."""
    kind = instruction.operation.removesuffix("-start")
    starts = kind != instruction.operation
    if kind in ("async", "fusion"):
        inside = [i for name in called for i in computations.get(name, [])]
        overlaps = kind == "async" or any(START in each.line for each in inside)
        continues = any(STEP in name for name in called) or any(DONE in i.line for i in inside)
        if continues and not overlaps:
            return None  # counted where it starts
        for each in inside:
            if found := _collective(computations, each, []):
                return found._replace(asynchronous=found.asynchronous or overlaps)
        return None
    if kind not in COLLECTIVES:
        return None
    arrays = tensors(instruction.result)
    if starts and kind != "all-reduce":  # (operand, result, ...)
        arrays = [max(arrays, key=lambda array: array[1])]
    dtypes = "+".join(sorted({dtype for dtype, _ in arrays}))
    return Collective(kind, sum(size for _, size in arrays), len(arrays), dtypes, starts, 1)
