"""The command line that every experiment shares. What it starts is in `jaxgan.launch`.

An experiment is a module with a frozen dataclass `Config`, a subclass of the one below, and a
function `make(config) -> Experiment`:

    if __name__ == "__main__":
        run.main(Config, make)

Nothing here imports jax, so that `--help` answers at once.
"""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, TypeVar

import tyro

from jaxgan.errors import UserError

if TYPE_CHECKING:
    from jaxgan.game import Game
    from jaxgan.loop import Minibatches
    from jaxgan.training import TrainingAlgorithm
    from jaxgan.types import Batch


@dataclasses.dataclass(frozen=True)
class Config:
    """The flags that every experiment has."""

    num_steps: int = 5000
    """Rounds to train in all; a larger number later goes on with a finished run."""
    batch_size: int = 64
    """Examples per minibatch, over all devices."""
    seed: int = 0
    """Seed of everything: initial weights, data order, latents."""
    data: str = "auto"
    """auto (MNIST, or scikit-learn's digits where it cannot be had), mnist, digits, or any TFDS
    image set."""
    data_dir: str | None = None
    """Where to look for data first; $JAXGAN_DATA_DIR when left out."""
    run_dir: str | None = None
    """Where the run is kept; runs/EXPERIMENT when left out."""
    parallel: Literal["auto", "jit", "pmap"] = "auto"
    """One device (jit) or several (pmap); auto takes all there are."""
    log_every: int = 20
    """Steps between logged metrics."""
    sample_every: int = 500
    """Steps between sheets of samples."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""


class Experiment(NamedTuple):
    """What `make(config)` builds.

    Attributes:
      game, algorithm: who plays for what, and how.
      minibatches: the training data, `(start, count) -> batches`.
      sample_batch: `n -> batch` that asks `game.sample` for n samples.
      data: what the run's record says of the data; it identifies the data when a run goes on.
    """

    game: "Game"
    algorithm: "TrainingAlgorithm"
    minibatches: "Minibatches"
    sample_batch: "Callable[[int], Batch]"
    data: Mapping[str, Any]


C = TypeVar("C", bound=Config)


def main(config_type: type[C], make: Callable[[C], Experiment]) -> NoReturn:
    """Reads the command line into a config, runs the experiment, and ends the program.

    Exit status: 0 when all steps are done, 2 with one line for what the user can mend, 1 when the
    run diverged, 128 + n when signal n stopped it.

    Args:
      config_type: the experiment's `Config`; its docstring heads the help.
      make: builds the experiment.
    """
    config = tyro.cli(config_type)
    spec = sys.modules[make.__module__].__spec__
    name = spec.name if spec else make.__module__
    with exit_on_user_error():
        from jaxgan import launch

        status = launch.launch(config, make, name=name)
    sys.exit(status)


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Turns a `UserError` into one line on stderr and its exit status."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
