"""What an experiment is: a `Config`, and a function `make(config) -> Experiment`.

Nothing here imports jax: a command line answers `--help` before jax is loaded.
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


@dataclasses.dataclass(frozen=True)
class Config:
    """The flags that every experiment has."""

    num_steps: int | None = 10_000
    """Rounds to train in all; a larger number later goes on with a finished run."""
    batch_size: int = 64
    """Examples per minibatch, over all devices."""
    seed: int = 0
    """Seed of everything: initial weights, data order, latents."""
    data: str = "auto"
    """auto (MNIST, or scikit-learn's digits where it cannot be had), mnist, digits, any TFDS image
    set, or folder (pictures of one size in train/ and test/ of --data-dir)."""
    data_dir: str | None = None
    """Where to look for data first; $JAXGAN_DATA_DIR when left out."""
    run_dir: str | None = None
    """Where the run is kept; runs/EXPERIMENT when left out."""
    parallel: Literal["auto", "jit", "pmap", "sharded"] = "auto"
    """One device (jit), those of one process (pmap), any (sharded); auto takes all there are."""
    distributed: bool = False
    """One of several processes. On TPU pods and under SLURM jax finds the others; elsewhere the
    next three flags say."""
    coordinator: str | None = None
    """HOST:PORT of process 0."""
    num_processes: int | None = None
    """How many processes there are."""
    process_id: int | None = None
    """Which one this is, from 0 on."""
    compilation_cache: bool = True
    """Keep compiled programs in ~/.cache/jaxgan, so that the next start is quick."""
    log_every: int = 50
    """Steps between logged metrics."""
    sample_every: int = 1000
    """Steps between sheets of samples."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""
    evaluate_every: int = 5000
    """Steps between evaluations; the last step is evaluated too. 0 for none at all."""
    evaluate_samples: int | None = 10_000
    """Samples of an evaluation; values at different numbers do not compare."""


class Experiment(NamedTuple):
    """What `make(config)` builds.

    Attributes:
      game, algorithm: who plays for what, and how.
      minibatches: the training data, `(start, count) -> batches`.
      sample_batch: `n -> batch` that asks `game.sample` for n samples.
      data: what the run's record says of the data; it identifies the data when a run goes on.
      evaluation: what the run is measured by; `None` for nothing.
      num_steps: rounds that it is made for, where the config leaves `num_steps` out.
      translations: ways of translating images, by name, for `python -m jaxgan translate`; the first
        is the usual one.
      draw: `(path, state) -> None`, writes the picture of a step; a sheet of samples when `None`.
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
    """A way of translating images.

    Attributes:
      apply: `(params, model_state, images) -> images`, `[n, height, width, channels]` in [-1, 1].
      channels: of the images that it takes.
      multiple: what heights and widths have to be multiples of.
    """

    apply: "Callable[[ByPlayer, ByPlayer, Array], Array]"
    channels: int
    multiple: int = 1
