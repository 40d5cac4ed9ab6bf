"""Sample grids of a run, and a trial of what comes after many steps."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
from rich.console import Console

from jaxgan import images
from jaxgan.errors import RunError, UserError
from jaxgan.evaluation import trace
from jaxgan.parallel import multihost
from jaxgan.runs.config.experiment import Experiment
from jaxgan.training import TrainState, with_ema
from jaxgan.types import Array

GRID = 100  # number of samples in a grid


def dry_run(experiment: Experiment, state: TrainState, console: Console) -> tuple[bool, bool]:
    """Tries, before training, what comes after many steps: a sample grid, and an evaluation.

    Returns:
      Whether grids can be drawn, and whether there is an evaluation that can be computed; where
      one fails, a warning says why, and the run does without.

    Raises:
      UserError: one fails for a reason that the user can remove.
    """

    def grid() -> None:
        with tempfile.TemporaryDirectory() as folder:
            drawn(experiment)(Path(folder) / "grid.png", state)

    def evaluation() -> None:
        if experiment.evaluation is not None:
            trace(experiment.game, experiment.evaluation, state)

    works = []
    for name, attempt in (("grids", grid), ("evaluations", evaluation)):
        try:
            attempt()
            works.append(True)
        except UserError:
            raise
        except Exception as error:
            why = str(error).partition("\n")[0] or type(error).__name__
            console.print(f"WARNING: {name} fail, and are left out: {why}")
            works.append(False)
    return works[0], works[1]


def sampler(experiment: Experiment, n: int, *, seed: int) -> Callable[[TrainState], Array]:
    """`state -> [n, ...]`, samples by the averaged parameters if any, with fixed latents."""
    if experiment.game.sample is None:
        raise RunError("the game of this experiment has no samples")
    batch, key = experiment.sample_batch(n), jax.random.key(seed)
    sample: Callable[..., Array] = jax.jit(experiment.game.sample)
    return lambda state: multihost.to_host(sample(*with_ema(state), batch, key))


def prior_samples(experiment: Experiment) -> Callable[[TrainState], Array] | None:
    """`state -> samples` from a prior, which may collapse; `None` for other games."""
    if experiment.game.prior is None or experiment.game.sample is None:
        return None
    return sampler(experiment, GRID, seed=0)


def drawn(experiment: Experiment) -> Callable[[Path, TrainState], None]:
    return experiment.draw or _draw_grid(experiment)


def _draw_grid(experiment: Experiment) -> Callable[[Path, TrainState], None]:
    sample = sampler(experiment, GRID, seed=0)

    def draw(path: Path, state: TrainState) -> None:
        samples = sample(state)  # in all processes: parameters may be sharded over them
        if multihost.is_main():
            images.save_grid(path, samples, columns=columns_of_classes(experiment, GRID))

    return draw


def columns_of_classes(experiment: Experiment, num: int) -> int | None:
    """Columns of a grid of samples whose labels come in turn, so that a column has one class.

    The multiple of the number of classes next to the square root of `num`; `None` for games without
    labels, and where a row would have to be longer than the grid.
    """
    num_classes = experiment.data.get("num_classes") or 0
    if experiment.game.conditions != ("label",) or not 0 < num_classes <= num:
        return None
    return num_classes * max(1, round(math.sqrt(num) / num_classes))
