"""Mutation testing: of small changes to the code, how many do the quick tests notice?

    pip install -e '.[test,mutation]'
    python -m tests.mutation --num 320

Mutants are made by Cosmic Ray: an operator is exchanged, a number changed, a condition negated, a
loop skipped. One per line at most, sampled over the files below; those that could only crash (bit
operations, type annotations) are left out. Each is tested in a copy of the tree by the quick tests
that belong to its file, until the first failure. `docs/mutants.md` explains those that survive.
"""

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from difflib import ndiff
from pathlib import Path
from typing import NoReturn

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator, operator_names
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

ROOT = Path(__file__).parent.parent

MUTATED = (
    "game.py",
    "training",
    "dynamics",
    "latents.py",
    "losses",
    "penalties",
    "augment",
    "games",
    "metrics",
)
# The tests of a file are its doctests and those of the first prefix that it begins with: names of
# test files, and cases of the contract.
TESTS = {
    "jaxgan/game.py": ("test_training test_dirac", ""),
    "jaxgan/training/": (
        "test_calls test_training test_memory test_dirac test_training_algorithms",
        "",
    ),
    "jaxgan/dynamics/": ("test_dynamics test_training_algorithms", ""),
    "jaxgan/latents.py": ("test_latents test_latent_space", ""),
    "jaxgan/losses/variational.py": ("test_variational", ""),
    "jaxgan/losses/": ("test_losses test_dirac", ""),
    "jaxgan/penalties/": ("test_calls test_penalties test_terms", ""),
    "jaxgan/augment/": ("test_augment test_ada", ""),
    "jaxgan/games/vae": ("test_calls test_contract test_variational", "vae"),
    "jaxgan/games/bigan": ("test_calls test_contract test_variational", "bigan"),
    "jaxgan/games/adversarial": ("test_calls test_contract test_variational", "adversarial"),
    "jaxgan/games/autoencoder": ("test_calls test_contract test_variational", "autoencoder"),
    "jaxgan/games/checks": ("test_calls test_refused test_latents test_zoo_networks", ""),
    "jaxgan/games/shared": ("test_calls test_contract test_variational", "bigan or vae"),
    "jaxgan/games/gan.py": (
        "test_calls test_contract test_latent_space test_augment test_penalties test_terms "
        "test_training",
        "one_stage or path_length or conditional_dcgan or normalized_gan",
    ),
    "jaxgan/games/pix2pix": ("test_calls test_translation test_contract", "pix2pix"),
    "jaxgan/games/": ("test_calls test_translation test_contract", "cyclegan"),
    "jaxgan/metrics/": ("test_calls test_metrics", ""),
}
WARM = (
    *("chex", "flax.linen", "flax.nnx", "jax", "optax", "orbax.checkpoint", "pytest"),
    *("scipy.stats", "sklearn.neighbors", "tensorboardX", "tyro"),
)
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
    """All mutants of the files above by the operators above."""
    names = [name for name in operator_names() if name.split("/")[1].startswith(OPERATORS)]
    paths = [ROOT / "jaxgan" / part for part in MUTATED]
    files = [file for path in paths for file in (sorted(path.glob("*.py")) or [path])]
    with (
        tempfile.TemporaryDirectory() as folder,
        use_db(f"{folder}/mutants.sqlite", WorkDB.Mode.create) as database,
    ):
        init(files, database, {})
        items = [item.mutations[0] for item in database.work_items]
    return [m for m in items if m.operator_name in names and not _is_star(m)]


def _is_star(mutant: MutationSpec) -> bool:
    """Whether the operator is the star of an argument, and no product."""
    row, column = mutant.start_pos
    before = mutant.module_path.read_text(encoding="utf-8").splitlines()[row - 1][:column].rstrip()
    return "_Mul_" in mutant.operator_name and (not before or before[-1] in "([{,=:*")


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


def relative(mutant: MutationSpec) -> Path:
    """The mutated file, from the root of the tree."""
    return mutant.module_path.relative_to(ROOT)


def tests_of(path: Path) -> tuple[str, str]:
    """Names of the test files that belong to a file, and of the cases of the contract."""
    return next(tests for prefix, tests in TESTS.items() if str(path).startswith(prefix))


def enter_copy() -> None:
    """A copy of the tree for this worker, in which files may be changed, and warm imports.

    What takes long to import is imported once, and inherited by the process of each mutant; jaxgan
    is imported there. No backend of jax is started here, whose threads a fork would lose.
    """
    for name in WARM:
        importlib.import_module(name)
    folder = Path(tempfile.mkdtemp(prefix="mutants-", dir=os.environ["MUTANTS"]))
    for part in ("jaxgan", "tests", "experiments", "benchmarks"):
        shutil.copytree(ROOT / part, folder / part)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, folder)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True


def _test(path: Path) -> NoReturn:
    """Ends this process with pytest's exit status."""
    import pytest

    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    for name in [name for name in sys.modules if name.split(".")[0] in ("jaxgan", "tests")]:
        del sys.modules[name]
    names, cases = tests_of(path)
    files = [f"tests/{name}.py" for name in names.split()]
    options = ["-x", "-q", "-n0", f"-ocache_dir={os.environ['MUTANTS']}/cache"]
    options += ["-k", f"not test_contract or {cases}"] if cases else []
    os._exit(pytest.main([*options, *files, str(path)]))


def passes(path: Path, seconds: float = 900.0) -> bool:
    """Whether a file's tests pass, in a process of their own; a program that hangs does not."""
    child = os.fork()
    if child == 0:
        try:
            _test(path)
        finally:
            os._exit(1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def outcome(mutant: MutationSpec) -> dict[str, object]:
    """Tests one mutant."""
    path, start = relative(mutant), time.monotonic()
    with use_mutation(path, get_operator(mutant.operator_name)(), mutant.occurrence) as (old, new):
        survived = passes(path)
    lines = [line for line in ndiff(old.splitlines(), new.splitlines()) if line[:2] in ("- ", "+ ")]
    return {
        "file": str(path),
        "line": mutant.start_pos[0],
        "function": mutant.definition_name,
        "operator": mutant.operator_name.removeprefix("core/"),
        "outcome": "survived" if survived else "killed",
        "change": [" ".join(line.split()) for line in lines],
        "seconds": round(time.monotonic() - start, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num", type=int, default=320, help="mutants to test")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--workers", type=int, default=2, help="mutants that are tested at once")
    parser.add_argument(
        "--only", default="", help="of the sample, those in files whose path contains this"
    )
    parser.add_argument("--out", type=Path, default=Path("mutants.json"), help="what came out")
    args = parser.parse_args()
    chosen = sample(all_mutants(), args.num, args.seed)
    chosen, results = [m for m in chosen if args.only in str(m.module_path)], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MUTANTS"] = folder
        with ProcessPoolExecutor(args.workers, initializer=enter_copy) as pool:
            files = list({tests_of(path): path for path in map(relative, chosen)}.values())
            for path, passed in zip(files, pool.map(passes, files), strict=True):
                if not passed:
                    raise SystemExit(f"the tests of {path} fail without any mutant; mend them")
            for result in pool.map(outcome, chosen):
                results.append(result)
                where = f"{result['file']}:{result['line']}"
                print(result["outcome"], where, *result["change"], flush=True)
                args.out.write_text(json.dumps(results, indent=1) + "\n")
    counts = Counter(result["outcome"] for result in results)
    print(dict(counts), f"{counts['killed'] / len(results):.1%} killed of {len(results)}")


if __name__ == "__main__":
    main()
