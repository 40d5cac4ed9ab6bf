"""`Config` and `Experiment`: an experiment is a `Config`, and a function `make(config)`.

Nothing here imports jax: a command line shows `--help` before jax is loaded.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from jaxgan.evaluation import Evaluation
    from jaxgan.game import Game
    from jaxgan.loop import Minibatches
    from jaxgan.training import TrainingAlgorithm, TrainState
    from jaxgan.types import Array, Batch, ByPlayer


def flag(default: Any, *, resumable: bool = False, at_least: int | None = None) -> Any:
    """A field of a `Config`, with what is to be known of it beside its type.

    Args:
      default: its default.
      resumable: it may change when a run is resumed, because the numbers of a step do not depend on
        it.
      at_least: its smallest allowed value.

    A subclass that gives the field another default keeps the rest.
    """
    return dataclasses.field(
        default=default, metadata={"resumable": resumable, "at_least": at_least}
    )


@dataclasses.dataclass(frozen=True)
class Config:
    """The flags that every experiment has."""

    num_steps: int | None = flag(10_000, resumable=True, at_least=1)
    """Training steps in all; a larger number later resumes a finished run."""
    batch_size: int = flag(64, at_least=1)
    """Examples per minibatch, over all devices."""
    seed: int = 0
    """Seed of everything: initial weights, data order, latents."""
    data: str = flag("auto", resumable=True)  # a resumed run compares its fingerprint
    """auto (MNIST, or scikit-learn's digits where it is not available), mnist, digits, any TFDS
    image set, or folder (images of one size in train/ and test/ of --data-dir)."""
    data_dir: str | None = flag(None, resumable=True)
    """Where to look for data first; $JAXGAN_DATA_DIR by default."""
    run_dir: str | None = flag(None, resumable=True)
    """Directory of the run; runs/EXPERIMENT by default."""
    parallel: Literal["auto", "jit", "pmap", "sharded"] = flag("auto", resumable=True)
    """One device (jit), those of one process (pmap), any (sharded); auto takes all there are."""
    distributed: bool = flag(False, resumable=True)
    """Run as one of several processes. On TPU pods and under SLURM jax finds the others; elsewhere
    the next three flags say."""
    coordinator: str | None = flag(None, resumable=True)
    """HOST:PORT of process 0."""
    num_processes: int | None = flag(None, resumable=True)
    """Number of processes."""
    process_id: int | None = flag(None, resumable=True)
    """Index of this process, from 0 on."""
    compilation_cache: bool = flag(True, resumable=True)
    """Keep compiled programs in ~/.cache/jaxgan, so that the next start is quick."""
    log_every: int = flag(50, resumable=True, at_least=1)
    """Steps between logged metrics."""
    sample_every: int = flag(1000, resumable=True, at_least=1)
    """Steps between sheets of samples."""
    checkpoint_every: int = flag(1000, resumable=True, at_least=1)
    """Steps between checkpoints."""
    evaluate_every: int = flag(5000, resumable=True, at_least=0)
    """Steps between evaluations; the last step is evaluated too. 0 for no evaluation."""
    evaluate_samples: int | None = flag(10_000, resumable=True, at_least=1)
    """Samples per evaluation; values at different numbers are not comparable."""


def resumable_fields(config_type: type[Config]) -> set[str]:
    """Fields that may differ when a run is resumed."""
    return {name for name, value in _metadata(config_type, "resumable").items() if value}


def lower_bounds(config_type: type[Config]) -> dict[str, int]:
    """Smallest allowed values, by field."""
    bounds = _metadata(config_type, "at_least").items()
    return {name: bound for name, bound in bounds if bound is not None}


def _metadata(config_type: type[Config], key: str) -> dict[str, Any]:
    """Of each field, from the most derived class that says it."""
    return {
        field.name: field.metadata[key]
        for cls in reversed(config_type.__mro__)
        if dataclasses.is_dataclass(cls)
        for field in dataclasses.fields(cls)
        if key in field.metadata
    }


class Experiment(NamedTuple):
    """What `make(config)` builds.

    Attributes:
      game, algorithm: the game, and how it is trained.
      minibatches: the training data, `(start, count) -> batches`.
      sample_batch: `n -> batch` that asks `game.sample` for n samples.
      data: the run's record of the data; its `fingerprint` identifies them when a run is resumed.
      evaluation: the metrics of the run; `None` for none.
      draw: `(path, state) -> None`, writes the image of a step; a sheet of samples by default.
      num_steps: number of steps where the config leaves `num_steps` out.
      translations: image translations by name, for `python -m jaxgan translate`; the first is the
        default.
    """

    game: "Game"
    algorithm: "TrainingAlgorithm"
    minibatches: "Minibatches"
    sample_batch: "Callable[[int], Batch]"
    data: Mapping[str, Any]
    evaluation: "Evaluation | None" = None
    draw: "Callable[[Path, TrainState], None] | None" = None
    num_steps: int | None = None
    translations: "Mapping[str, Translation]" = MappingProxyType({})


class Translation(NamedTuple):
    """An image translation that a run has learned.

    Attributes:
      apply: `(params, model_state, images) -> images`, `[n, height, width, channels]` in [-1, 1].
      channels: of the input images.
      multiple: heights and widths have to be multiples of it.
    """

    apply: "Callable[[ByPlayer, ByPlayer, Array], Array]"
    channels: int
    multiple: int = 1
