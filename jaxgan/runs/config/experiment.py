"""Experiments: a `Config`, and a function `make(config, data)` that builds an `Experiment`.

Nothing here imports jax, so that `--help` is shown without loading jax.
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


def flag(
    default: Any,
    *,
    resumable: bool = False,
    at_least: float | None = None,
    below: float | None = None,
) -> Any:
    """A field of a `Config`, with metadata; a subclass that overrides the default keeps it.

    Args:
      default: default value.
      resumable: whether the value may change when a run is resumed, because neither the result of
        a training step nor which scores can be compared depends on it.
      at_least: smallest allowed value.
      below: number that the value must be below.

    Returns:
      The default of a field, for a dataclass; its type is `Any`, so that any field may have it.

    Raises:
      RunError: raised at the start of a run: a value is out of the range.

    Example:
      >>> @dataclasses.dataclass(frozen=True)
      ... class Mine(Config):
      ...     num_steps: int = 500
      ...     width: int = flag(64, at_least=1)
      >>> Mine(width=32).num_steps, lower_bounds(Mine)["width"], lower_bounds(Mine)["num_steps"]
      (500, 1, 1)
    """
    return dataclasses.field(
        default=default, metadata={"resumable": resumable, "at_least": at_least, "below": below}
    )


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of all experiments."""

    num_steps: int | None = flag(10_000, resumable=True, at_least=1)
    """Total number of training steps; a larger number continues a finished run."""
    batch_size: int = flag(64, at_least=1)
    """Number of examples per minibatch, over all devices."""
    seed: int = 0
    """Seed of all randomness: initial weights, data order, latents."""
    seeds: int = flag(1, resumable=True, at_least=1)
    """Number of seeds, from --seed on, that are trained at once, each a run in RUN_DIR/seed_N.
    They are evaluated and drawn at the last step."""
    data: str = flag("auto", resumable=True)  # on resume, fingerprints are compared
    """auto (MNIST, or scikit-learn's digits where it is not available), mnist, digits, any TFDS
    image set, or folder (image files in --data-dir, in train/ and test/ or val/ if it has these;
    folders in them are classes)."""
    data_dir: str | None = flag(None, resumable=True)
    """Directory to search for data first; $JAXGAN_DATA_DIR by default."""
    run_dir: str | None = flag(None, resumable=True)
    """Directory of the run; runs/EXPERIMENT by default."""
    init_from: str | None = None
    """Run to start from, or a generator that `export` wrote, or the name of one that comes with the
    package: arrays of its state with equal names and shapes are taken, the others, such as the
    embedding of other classes, are new."""
    init_step: Literal["newest", "best"] = "newest"
    """Start from the newest checkpoint of that run, or from the one with the best evaluation."""
    init_layers: str | None = None
    """Regular expression of the layers to take, such as generator/ or discriminator/Conv_[01]."""
    reset_optimizers: bool = False
    """Take no optimizer states from that run."""
    parallel: Literal["auto", "jit", "pmap", "sharded"] = flag("auto", resumable=True)
    """One device (jit), all devices of one process (pmap), or of all processes (sharded); auto uses
    all devices."""
    distributed: bool = flag(False, resumable=True)
    """Run as one of several processes. On TPU pods and under SLURM, jax detects the others;
    elsewhere, set the next three flags."""
    coordinator: str | None = flag(None, resumable=True)
    """HOST:PORT of process 0."""
    num_processes: int | None = flag(None, resumable=True)
    """Number of processes."""
    process_id: int | None = flag(None, resumable=True)
    """Index of this process, from 0."""
    compilation_cache: bool = flag(True, resumable=True)
    """Cache compiled programs in ~/.cache/jaxgan, so that the next start is fast."""
    log_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = flag(
        ("tensorboard",), resumable=True
    )
    """Trackers of the metrics, in addition to metrics.jsonl; wandb and trackio are extras."""
    log_every: int = flag(50, resumable=True, at_least=1)
    """Steps between logged metrics."""
    sample_every: int = flag(1000, resumable=True, at_least=1)
    """Steps between grids of samples."""
    checkpoint_every: int = flag(1000, resumable=True, at_least=1)
    """Steps between checkpoints."""
    evaluate_every: int = flag(5000, resumable=True, at_least=0)
    """Steps between evaluations; the last step is evaluated too. 0 disables evaluation."""
    from_step: int | None = flag(None, resumable=True, at_least=1)
    """Resume from the checkpoint of this step instead of the newest; later ones are set aside. Give
    it once: the same command without it then continues."""
    on_divergence: Literal["stop", "rollback"] = flag("stop", resumable=True)
    """What happens when a loss or a parameter is not finite: stop, or go back to the newest
    checkpoint, with other random numbers and half the learning rates."""
    max_rollbacks: int = flag(3, resumable=True, at_least=0)
    """Number of rollbacks after which a diverged run stops."""
    health: bool = flag(True, resumable=True)
    """Look for warning signs, such as mode collapse, and report them with common remedies."""
    evaluate_samples: int | None = flag(10_000, at_least=1)
    """Number of samples per evaluation. Results for different numbers are not comparable, so it
    cannot change when a run is resumed; `jaxgan evaluate RUN --num-samples N` takes any other."""

    def load_data(self) -> Any:
        """The data that `make` takes, here a `data.Dataset`; an experiment may load its own."""
        from jaxgan import data

        return data.load(self.data, data_dir=self.data_dir)

    def blank_data(self, record: Mapping[str, Any]) -> Any:
        """Blank data of the recorded shapes, from which `make` builds networks without the files.

        Args:
          record: the record of the data in a run's `config.json`.

        Returns:
          A `data.Dataset`, or what the experiment's own `load_data` returns.

        Example:
          >>> config = Config(data="digits")
          >>> config.blank_data(config.load_data().record).image_shape
          (28, 28, 1)
        """
        from jaxgan import data

        return data.blank(record)


def resumable_fields(config_type: type[Config]) -> set[str]:
    """Names of the fields that may change when a run is resumed."""
    return {name for name, value in _metadata(config_type, "resumable").items() if value}


def lower_bounds(config_type: type[Config]) -> dict[str, float]:
    """Smallest allowed values, by field name."""
    bounds = _metadata(config_type, "at_least").items()
    return {name: bound for name, bound in bounds if bound is not None}


def upper_bounds(config_type: type[Config]) -> dict[str, float]:
    """Numbers that values must be below, by field name."""
    bounds = _metadata(config_type, "below").items()
    return {name: bound for name, bound in bounds if bound is not None}


def _metadata(config_type: type[Config], key: str) -> dict[str, Any]:
    """Metadata by field name, from the most derived class that defines it."""
    return {
        field.name: field.metadata[key]
        for cls in reversed(config_type.__mro__)
        if dataclasses.is_dataclass(cls)
        for field in dataclasses.fields(cls)
        if key in field.metadata
    }


class Experiment(NamedTuple):
    """Game, training algorithm, data and evaluation of a run, built by `make(config, data)`.

    Attributes:
      game: the game.
      algorithm: its training algorithm, not compiled.
      minibatches: training data, `(start, count) -> batches`.
      sample_batch: `n -> batch` for n samples of `game.sample`.
      data: the run's record of the data, in `config.json`: its `fingerprint`, which is compared on
        resume, and what `Config.blank_data` needs.
      evaluation: metrics of the run; `None` for none.
      draw: `(path, state) -> None`, writes the image file of a step; a grid of samples by default.
      num_steps: number of training steps if the config has `num_steps=None`.
      scan_steps: largest number of steps per compiled call (`jaxgan.scan_steps`), for networks so
        small that dispatch would dominate. Fewer are taken if an interval is not a multiple of it.
      translations: image translations by name, for `python -m jaxgan translate`; the first is the
        default.

    Example, a GAN on images of 2 x 2 pixels, which its `load_data` would return:
      >>> import numpy as np
      >>> import optax
      >>> import jaxgan
      >>> network = lambda *shape: jaxgan.from_linen(jaxgan.networks.MLP((8,), output_shape=shape))
      >>> def make(config, images):
      ...     game = jaxgan.gan(network(2, 2, 1), network(), latent=jaxgan.latents.normal(2))
      ...     sgd = optax.sgd(0.1)
      ...     return Experiment(
      ...         game=game,
      ...         algorithm=jaxgan.alternating(game, {"discriminator": sgd, "generator": sgd}),
      ...         minibatches=jaxgan.data.minibatches(images, batch_size=config.batch_size),
      ...         sample_batch=lambda n: {"image": images["image"][:n]},
      ...         data={"fingerprint": jaxgan.checkpoint.digest(images)},
      ...     )
      >>> experiment = make(Config(batch_size=4), {"image": np.zeros((9, 2, 2, 1), np.float32)})
      >>> experiment.minibatches(0, 3)["image"].shape, list(experiment.game.losses)
      ((3, 4, 2, 2, 1), ['discriminator', 'generator'])
    """

    game: "Game"
    algorithm: "TrainingAlgorithm"
    minibatches: "Minibatches"
    sample_batch: "Callable[[int], Batch]"
    data: Mapping[str, Any]
    evaluation: "Evaluation | None" = None
    draw: "Callable[[Path, TrainState], None] | None" = None
    num_steps: int | None = None
    scan_steps: int = 1
    translations: "Mapping[str, Translation]" = MappingProxyType({})


class Translation(NamedTuple):
    """A trained image translation of a run.

    Attributes:
      apply: `(params, model_state, images) -> images`, `[n, height, width, channels]` in [-1, 1].
      channels: number of channels of the input images.
      multiple: divisor of the heights and widths that the network supports.
      smallest: smallest height and width.

    Example, an experiment's `translations`, of which one inverts colours:
      >>> invert = Translation(lambda params, model_state, images: -images, channels=3, multiple=4)
      >>> translations = {"inverted": invert}
      >>> translations["inverted"].apply({}, {}, 0.5)
      -0.5
    """

    apply: "Callable[[ByPlayer, ByPlayer, Array], Array]"
    channels: int
    multiple: int = 1
    smallest: int = 1
