"""The experiments, importable wherever jaxgan is installed.

A wheel has their modules here. In a clone they are in `experiments/` next to the package, from
where this package imports them: `jaxgan.experiments.mnist` is `experiments/mnist.py`.
"""

from pathlib import Path

_here = Path(__file__).parent
if not (_here / "mnist.py").exists():
    __path__.append(str(_here.parents[1] / "experiments"))
