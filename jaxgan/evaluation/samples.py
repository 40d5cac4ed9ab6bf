"""Evaluation of a game by metrics of its samples against real examples.

An evaluator generates samples on all devices, computes their features there, and passes the
features to metrics on the host. Samples depend only on the seed and their index, so results are the
same on any number of devices and processes, up to the order of floating-point sums.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxgan import parallel
from jaxgan.data import check_images, shuffled, with_float_images
from jaxgan.evaluation.outputs import Outputs, first, outputs_of, selected
from jaxgan.game import Game
from jaxgan.metrics import Metric, MetricRecord, Records
from jaxgan.training import TrainState, with_ema
from jaxgan.types import Array, Batch, ByPlayer, Examples, PRNGKey

BATCH = 500  # rows per batch, over all devices


class Evaluation(NamedTuple):
    """Metrics of a game, and the real examples that they are computed on.

    Attributes:
      metrics: metrics by name, as users select them on the command line.
      examples: real examples, which samples are compared with, and whose other entries condition
        the samples; images may be `uint8`.
      split: name of the examples' split in records.
      target: name of the entry of `examples` that samples are compared with.
      others: further real examples, such as the training set. Their score in place of samples is
        recorded as the floor, the score of a perfect generator at that sample size; if there are
        fewer of them, `details["floor_of"]` of the record is their number.
      best: name of the record by which checkpoints are compared; `None` for none.
      mode: whether lower (`min`) or higher (`max`) values of `best` are better.
      more: metrics that are computed only when selected by name, as functions that make them.
      sample: sampling function to evaluate in place of the game's own `sample`.
      parts: further evaluations of the same game, whose records are named `<part>/<name>`.

    Example, of a game that returns the examples as its samples:
      >>> from jaxgan import metrics
      >>> copies = Game(None, {}, sample=lambda params, model_state, batch, key: batch["image"])
      >>> images = np.linspace(-1, 1, 640, dtype=np.float32).reshape(10, 8, 8, 1)
      >>> evaluation = Evaluation({"swd": metrics.sliced_wasserstein()}, {"image": images})
      >>> state = TrainState(np.int32(0), {}, {}, {}, {}, {})
      >>> float(evaluator(copies, evaluation)(state)["swd_pixels"].value)
      0.0
    """

    metrics: Mapping[str, Metric]
    examples: Examples
    split: str = "test"
    target: str = "image"
    others: Examples | None = None
    best: str | None = None
    mode: Literal["min", "max"] = "min"
    more: Mapping[str, Callable[[], Metric]] = MappingProxyType({})
    sample: Callable[[ByPlayer, ByPlayer, Batch, PRNGKey], Array] | None = None
    parts: "Mapping[str, Evaluation]" = MappingProxyType({})


def evaluator(
    game: Game,
    evaluation: Evaluation,
    *,
    num_samples: int | None = None,
    seed: int = 0,
    average: bool = True,
) -> Callable[[TrainState], Records]:
    """Makes a function that evaluates training states.

    Accumulators and floors of real examples are computed once, at the first call.

    Args:
      game: game whose `sample` is evaluated.
      evaluation: metrics and real examples.
      num_samples: number of samples, at least 1; the examples' conditions are repeated if there are
        fewer. The number of examples if `None`, and at most that if there are paired metrics.
      seed: seed of the samples, and of the order of the examples.
      average: whether to sample with the moving averages of the parameters, if there are any.

    Returns:
      `state -> {name: MetricRecord}`. All processes must call it, and all get the same records.

    Raises:
      ValueError: `num_samples` is below 1 or too few for a metric, a metric is not one, such as a
        function that was not called, the examples lack the target or have several lengths, `mode`
        is another word, or the game has no `sample`. Raised by the returned function: two metrics
        have records of one name, or none is named `best`.
      DataError: images are neither `uint8` nor floats in [-1, 1].
      MetricError: raised by the returned function: samples are not finite.

    Example, of a game whose samples are black:
      >>> from jaxgan import metrics
      >>> black = lambda params, model_state, batch, key: 0.0 * batch["image"] - 1.0
      >>> images = np.linspace(-1, 1, 640, dtype=np.float32).reshape(10, 8, 8, 1)
      >>> evaluation = Evaluation({"swd": metrics.sliced_wasserstein()}, {"image": images})
      >>> evaluate = evaluator(Game(None, {}, black), evaluation, num_samples=5)
      >>> record = evaluate(TrainState(np.int32(0), {}, {}, {}, {}, {}))["swd_pixels"]
      >>> record.value > 0, record.num_real, record.num_generated
      (True, 10, 5)
    """
    evaluators = {
        prefix: _Evaluator(
            _sample_function(game, part), part, _num_samples(part, num_samples), seed, average
        )
        for prefix, part in _with_parts(evaluation)
    }

    def evaluate(state: TrainState) -> Records:
        records = (
            dataclasses.replace(record, name=prefix + record.name)
            for prefix, part_evaluator in evaluators.items()
            for record in part_evaluator(state).values()
        )
        by_name = {record.name: record for record in records}
        if evaluation.best is not None and evaluation.best not in by_name:
            raise ValueError(
                f"best is {evaluation.best}, expected one of the records: {', '.join(by_name)}"
            )
        return by_name

    return evaluate


def _with_parts(evaluation: Evaluation, prefix: str = "") -> Iterator[tuple[str, Evaluation]]:
    """Yields an evaluation and its parts that have metrics, each after its records' prefix."""
    if evaluation.metrics:
        yield prefix, evaluation
    for name, part in evaluation.parts.items():
        yield from _with_parts(part, f"{prefix}{name}/")


def trace(game: Game, evaluation: Evaluation, state: TrainState) -> None:
    """Traces the samples of an evaluation and their features, for a few examples.

    Nothing is computed: it raises in a second what would be raised after the training.

    Args:
      game: game whose `sample` is evaluated.
      evaluation: metrics and real examples.
      state: state of the game, whose shapes are used.

    Raises:
      ValueError: the game has no `sample`; or any error of the sampling function or the features.

    Example:
      >>> from jaxgan import metrics
      >>> game = Game(None, {}, sample=lambda params, model_state, batch, key: batch["label"])
      >>> examples = {"image": np.zeros((10, 8, 8, 1), np.float32)}
      >>> evaluation = Evaluation({"swd": metrics.sliced_wasserstein()}, examples)
      >>> trace(game, evaluation, TrainState(np.int32(0), {}, {}, {}, {}, {}))  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      KeyError: 'label'...
    """
    sample, measures = _sample_function(game, evaluation), tuple(evaluation.metrics.values())
    batch, _ = next(_batches(evaluation.examples, 2, 0))
    if measures:
        jax.eval_shape(
            lambda batch, key: outputs_of(measures, sample(*with_ema(state), batch, key)),
            batch,
            jax.random.key(0),
        )
    for part in evaluation.parts.values():
        trace(game, part, state)


@dataclasses.dataclass(frozen=True)
class _Evaluator:
    """Evaluator of one `Evaluation`, without its parts."""

    sample: Callable[[ByPlayer, ByPlayer, Batch, PRNGKey], Array]
    evaluation: Evaluation
    num_samples: int
    seed: int
    average: bool

    def __call__(self, state: TrainState) -> Records:
        records = self.records(self.accumulated(self.samples(state)))
        return {
            name: dataclasses.replace(
                self.with_floor(record), split=self.evaluation.split, seed=self.seed
            )
            for name, record in records.items()
        }

    def with_floor(self, record: MetricRecord) -> MetricRecord:
        """The record with the score of other real examples, unless the metric knows its floor."""
        if record.floor is not None or record.name not in self.floors:
            return record
        fewer = {"floor_of": self.num_others} if self.num_others < self.num_samples else {}
        details = {**record.details, **fewer}
        return dataclasses.replace(record, floor=self.floors[record.name], details=details)

    # ---- computed on all devices

    @cached_property
    def generated_outputs(self) -> Callable[..., Outputs]:
        """Data-parallel function from a batch to the features of samples for it."""
        return parallel.data_parallel(
            lambda batch, params, model_state, key: outputs_of(
                self.metrics, self.sample(params, model_state, batch, key)
            )
        )

    @cached_property
    def real_outputs(self) -> Callable[[Batch], Outputs]:
        """Data-parallel function from a batch to the features of its real examples."""
        return parallel.data_parallel(
            lambda batch: outputs_of(self.metrics, batch[self.evaluation.target])
        )

    # ---- accumulated on the host

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(self.evaluation.metrics.values())

    @property
    def paired(self) -> bool:
        return any(metric.paired for metric in self.metrics)

    def samples(self, state: TrainState) -> Iterator[tuple[Outputs, Outputs | None]]:
        """Yields features of samples, and of their targets if there are paired metrics."""
        learned = with_ema(state) if self.average else (state.params, state.model_state)
        batches = _batches(self.evaluation.examples, self.num_samples, self.seed)
        for i, (batch, count) in enumerate(batches):
            key = jax.random.fold_in(jax.random.key(self.seed), i)
            generated = first(count, self.generated_outputs(batch, *learned, key))
            yield generated, first(count, self.real_outputs(batch)) if self.paired else None

    def accumulated(self, rows: Iterator[tuple[Outputs, Outputs | None]]) -> list[Any]:
        """Accumulators of generated rows, and of the real rows that they are paired with."""
        accs = [metric.init() for metric in self.metrics]
        for generated, real in rows:
            accs = [
                metric.update(
                    acc,
                    real=selected(metric, real) if metric.paired else None,
                    generated=selected(metric, generated),
                )
                for metric, acc in zip(self.metrics, accs, strict=True)
            ]
        return accs

    @cached_property
    def real_accumulators(self) -> list[Any]:
        """Accumulators of the real examples; initial ones for metrics that use none or pairs."""
        examples = self.evaluation.examples
        accs = [metric.init() for metric in self.metrics]
        takes_real = [metric.takes_real and not metric.paired for metric in self.metrics]
        n = len(examples[self.evaluation.target]) if any(takes_real) else 0
        for batch, count in _batches(examples, n, self.seed):
            real = first(count, self.real_outputs(batch))
            accs = [
                metric.update(acc, real=selected(metric, real)) if takes else acc
                for metric, acc, takes in zip(self.metrics, accs, takes_real, strict=True)
            ]
        return accs

    @property
    def num_others(self) -> int:
        """Number of other real examples that stand for samples: none for paired metrics."""
        others = self.evaluation.others
        if others is None or self.paired:
            return 0
        return min(self.num_samples, len(others[self.evaluation.target]))

    @cached_property
    def floors(self) -> dict[str, float]:
        """Scores of `evaluation.others` in place of samples."""
        others, n = self.evaluation.others, self.num_others
        needed = max((metric.min_generated for metric in self.metrics), default=1)
        if others is None or n < needed:
            return {}
        batches = _batches(others, n, self.seed)
        rows = ((first(count, self.real_outputs(batch)), None) for batch, count in batches)
        return {name: record.value for name, record in self.records(self.accumulated(rows)).items()}

    def records(self, generated: list[Any]) -> Records:
        """Records of the generated rows' accumulators merged with those of the real examples."""
        records: Records = {}
        for metric, real, acc in zip(self.metrics, self.real_accumulators, generated, strict=True):
            own = metric.compute(metric.merge(real, acc))
            if twice := sorted(records.keys() & own.keys()):
                raise ValueError(f"two metrics have a record {twice[0]}; leave one of them out")
            records |= own
        return records


def _sample_function(
    game: Game, evaluation: Evaluation
) -> Callable[[ByPlayer, ByPlayer, Batch, PRNGKey], Array]:
    sample = evaluation.sample or game.sample
    if sample is None:
        raise ValueError("the game has no sample to evaluate; pass Evaluation(..., sample=...)")
    return sample


def _num_samples(evaluation: Evaluation, requested: int | None) -> int:
    examples, target = evaluation.examples, evaluation.target
    if target not in examples:
        raise ValueError(f"the examples have {', '.join(examples)} and no {target}")
    lengths = {name: len(rows) for name, rows in examples.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the examples have the lengths {lengths}, expected one length for all")
    if evaluation.mode not in ("min", "max"):
        raise ValueError(f"mode is {evaluation.mode!r}, expected min or max")
    check_images({name: examples[name] for name in {target, "image"} & examples.keys()})
    for name, metric in evaluation.metrics.items():
        if not isinstance(metric, Metric):
            what = getattr(metric, "__name__", repr(metric))
            raise ValueError(
                f"{name} is {what}, expected a metric, such as metrics.frechet_distance()"
            )
    n = len(examples[target])
    num_samples = n if requested is None else requested
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}, expected at least 1")
    if any(metric.paired for metric in evaluation.metrics.values()):
        num_samples = min(num_samples, n)
    for name, metric in evaluation.metrics.items():
        if num_samples < metric.min_generated and (requested is None or num_samples < requested):
            raise ValueError(
                f"there are {n} examples of the split {evaluation.split}, and {name} needs at "
                f"least {metric.min_generated}; add some, or leave it out"
            )
        if num_samples < metric.min_generated:
            raise ValueError(
                f"num_samples is {num_samples}, and {name} needs at least {metric.min_generated}"
            )
        if n < metric.min_real:
            raise ValueError(
                f"there are {n} real examples, and {name} needs at least {metric.min_real}; leave "
                "it out"
            )
    return num_samples


def _batches(examples: Examples, num_rows: int, seed: int) -> Iterator[tuple[Batch, int]]:
    """Yields batches of one size, divisible by the devices, and their number of rows to keep."""
    n = len(next(iter(examples.values())))
    devices = jax.device_count()
    step = max(min(BATCH, num_rows), 1)
    size = -(-step // devices) * devices
    for start in range(0, num_rows, step):
        position = (start + np.arange(size)) % n
        rows = shuffled(position, n=n, seed=seed, epoch=0)
        batch = with_float_images({name: array[rows] for name, array in examples.items()})
        yield batch, min(step, num_rows - start)
