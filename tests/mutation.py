"""Mutation testing: of small changes to the code, how many do the quick tests notice?

    pip install -e '.[test,mutation]'
    python -m tests.mutation --num 350 --out docs/mutants.json

Mutants are made by Cosmic Ray: an operator is exchanged, a number changed, a condition negated, a
loop skipped. One per line at most, sampled over the rooms below; those that could only crash (bit
operations, type annotations) are left out. Each is tested in a copy of the tree by the quick tests
that belong to its file, until the first failure. `docs/mutants.md` explains those that survive.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

ROOT = Path(__file__).parent.parent

# Rooms that are mutated, and the tests that belong to them, beside the doctests of the file.
TESTS = {
    "jaxgan/game.py": "test_training test_dirac",
    "jaxgan/training.py": "test_training test_dirac",
    "jaxgan/latents.py": "test_latents test_latent_space",
    "jaxgan/losses/": "test_losses test_dirac test_variational",
    "jaxgan/penalties/": "test_penalties test_dirac",
    "jaxgan/augment/": "test_augment",
    "jaxgan/games/": "test_gan test_contract test_variational test_translation",
    "jaxgan/metrics/": "test_metrics",
}
EXCHANGES = {
    "Add": ["Sub"],
    "Sub": ["Add"],
    "Mul": ["Div"],
    "Div": ["Mul"],
    "Pow": ["Mul"],
    "FloorDiv": ["Mul"],
    "Mod": ["Mul"],
}
OTHERS = (
    "AddNot",
    "NumberReplacer",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceComparisonOperator",
    "ZeroIterationForLoop",
    "RemoveDecorator",
)
OPERATORS = (
    *(f"ReplaceBinaryOperator_{a}_{b}" for a, all_b in EXCHANGES.items() for b in all_b),
    *OTHERS,
)


def all_mutants() -> list[MutationSpec]:
    """Every mutant of the rooms, by the operators above, and nowhere but in code."""
    from cosmic_ray.plugins import operator_names

    names = [name for name in operator_names() if name.split("/")[1].startswith(OPERATORS)]
    files = [
        path
        for room in TESTS
        for path in sorted(ROOT.glob(f"{room}*.py" if room.endswith("/") else room))
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        use_db(f"{folder}/mutants.sqlite", WorkDB.Mode.create) as database,
    ):
        init(files, database, {})
        items = [item.mutations[0] for item in database.work_items]
    return [mutant for mutant in items if mutant.operator_name in names]


def sample(mutants: list[MutationSpec], num: int, seed: int) -> list[MutationSpec]:
    """At most one mutant per line, in a random order, those of functions alone."""
    rng = random.Random(seed)
    mutants = sorted(
        mutants, key=lambda m: (m.module_path, m.start_pos, m.operator_name, m.occurrence)
    )
    rng.shuffle(mutants)
    by_line = {(m.module_path, m.start_pos[0]): m for m in mutants if m.definition_name}
    chosen = list(by_line.values())
    rng.shuffle(chosen)
    return chosen[:num]


def tests_of(path: Path) -> str:
    """The command that tests a file, in a copy of the tree."""
    name = str(path)
    room = next(room for room in TESTS if name.startswith(room))
    files = [f"tests/{test}.py" for test in TESTS[room].split()]
    return f"{sys.executable} -m pytest -x -q -n 0 -p no:cacheprovider {' '.join(files)} {name}"


def enter_copy() -> None:
    """A copy of the tree for this worker, in which files may be changed."""
    folder = Path(tempfile.mkdtemp(prefix="mutants-", dir=os.environ["MUTANTS"]))
    for part in ("jaxgan", "tests", "experiments", "benchmarks"):
        shutil.copytree(ROOT / part, folder / part)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, folder)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)


def outcome(mutant: MutationSpec) -> dict[str, object]:
    """Tests one mutant."""
    path, start = mutant.module_path.relative_to(ROOT), time.perf_counter()
    local = MutationSpec(
        path, mutant.operator_name, mutant.occurrence, mutant.start_pos, mutant.end_pos
    )
    result = mutate_and_test([local], tests_of(path), 900.0)
    changed = [line for line in (result.diff or "").splitlines() if line[:1] in "+-"][2:]
    return {
        "file": str(path),
        "line": mutant.start_pos[0],
        "function": mutant.definition_name,
        "operator": mutant.operator_name.removeprefix("core/"),
        "outcome": result.test_outcome or result.worker_outcome,
        "change": [line.strip() for line in changed],
        "seconds": round(time.perf_counter() - start, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num", type=int, default=350, help="mutants to test")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--workers", type=int, default=2, help="mutants that are tested at once")
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--out", type=Path, default=Path("mutants.json"), help="what came out")
    args = parser.parse_args()
    mutants = [m for m in all_mutants() if args.only in str(m.module_path)]
    chosen, results = sample(mutants, args.num, args.seed), []
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MUTANTS": folder, "JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
        with ProcessPoolExecutor(args.workers, initializer=enter_copy) as pool:
            for result in pool.map(outcome, chosen):
                results.append(result)
                print(
                    f"{result['outcome']:10} {result['file']}:{result['line']} {result['change']}"
                )
                args.out.write_text(json.dumps(results, indent=1) + "\n")
    counts = Counter(result["outcome"] for result in results)
    print(dict(counts), f"{counts['killed'] / len(results):.1%} killed of {len(results)}")


if __name__ == "__main__":
    main()
