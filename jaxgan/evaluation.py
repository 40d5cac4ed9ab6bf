"""What a generator is worth: its samples, measured against real examples.

An evaluator draws samples on all devices, computes their features there, and hands both to metrics
on the host. Samples depend on the seed and their number alone, so that a value is the same on any
number of devices and processes, up to the order of floating-point sums.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgan import metrics, parallel
from jaxgan.data import as_float, shuffled
from jaxgan.features import mnist_classifier
from jaxgan.game import Game
from jaxgan.metrics import Features, Metric, Records
from jaxgan.training import TrainState, with_ema
from jaxgan.types import Array, Batch, ByPlayer, Examples, PRNGKey

BATCH = 500  # rows computed at once

Outputs = dict[str, Any]  # {features/output: rows}


class Evaluation(NamedTuple):
    """What a game is measured by, and on which real examples.

    Attributes:
      metrics: what is measured, by the names that people ask for it.
      examples: real examples, which samples are compared with, and which bring the conditions for
        drawing them; images may be bytes.
      split: what the examples are called in records.
      target: the entry of the examples that samples are compared with.
      others: real examples apart from those, such as the training set. What they score in place of
        samples is recorded as the floor.
      best: name of the record by which checkpoints are compared; `None` for none.
      mode: whether a good one is small (`min`) or large (`max`).
      more: what is measured only when it is asked for by name; made when it is.
      sample: what is measured, in place of the game's own `sample`.
      parts: further evaluations of the same game, whose records are named `<part>/<name>`.
    """

    metrics: Mapping[str, Metric]
    examples: Examples
    split: str = "test"
    target: str = "image"
    others: Examples | None = None
    best: str | None = None
    mode: str = "min"
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
    """A function that measures a state; what concerns real examples alone is computed once.

    Args:
      game: whose `sample` is measured.
      evaluation: by what, and on which examples.
      num_samples: how many samples are drawn, for the examples' conditions again and again if need
        be; as many as there are examples when left out, and never more where there are metrics of
        pairs.
      seed: of the samples, and of the order in which examples are taken.
      average: draw with the moving averages, where there are some.

    Returns:
      `state -> {name: MetricRecord}`. All processes have to call it, and all get the same.

    Raises:
      ValueError: `num_samples` is out of its range, the examples lack the target, or the game has
        no `sample`.
      MetricError: in the call: samples that are not finite, or too few for a metric.

    Example:
      >>> measure = evaluator(game, Evaluation({"fid": frechet_distance()}, test))  # doctest: +SKIP
      >>> print(measure(state)["fid_pixels"])  # doctest: +SKIP
    """
    every = {"": evaluation._replace(parts={})} if evaluation.metrics else {}
    every |= {f"{name}/": part for name, part in evaluation.parts.items()}
    looks = {
        prefix: _Evaluator(
            _sample_of(game, part), part, _number_wanted(part, num_samples), seed, average
        )
        for prefix, part in every.items()
    }

    def measure(state: TrainState) -> Records:
        found = ((p, record) for p, look in looks.items() for record in look(state).values())
        named = (dataclasses.replace(record, name=p + record.name) for p, record in found)
        return {record.name: record for record in named}

    return measure


MEASURES: Mapping[str, Callable[[Features], Metric]] = {
    "fid": metrics.frechet_distance,
    "kid": metrics.kernel_distance,
    "prdc": metrics.precision_recall_density_coverage,
    "inception_score": metrics.classifier_score,
    "ms_ssim": lambda _: metrics.ms_ssim_diversity(),
    "swd": metrics.sliced_wasserstein,
}
"""What images are measured by, by the names that commands know."""

OVER_NETWORKS = ("fid", "kid", "prdc", "inception_score")


def of_images(
    test: Examples, train: Examples | None = None, *, features: Features | None = None
) -> Evaluation:
    """The usual evaluation of generated images.

    Over features of a network: Fréchet distance (by which checkpoints are compared), kernel
    distance, precision, recall, density and coverage, and the score of the classes that it sees.
    Without one: the sliced Wasserstein distance of pixels, and the mean MS-SSIM of pairs. The rest,
    and `memorization`, on demand.

    Args:
      test: real images, `image` `[n, height, width, channels]`, held out.
      train: those that the generator was trained on.
      features: what to measure by; the digit classifier for images of MNIST's shape, and pixels for
        others, when left out.

    Example:
      >>> import numpy as np
      >>> of_images({"image": np.zeros((10, 28, 28, 1), np.uint8)}).best
      'fid_mnist_classifier'
    """
    shape = test["image"].shape[1:]
    if features is None:
        features = mnist_classifier() if shape == (28, 28, 1) else metrics.PIXELS
    pixels = features is metrics.PIXELS
    usual = ("swd", "ms_ssim") if pixels else OVER_NETWORKS
    known = [name for name in MEASURES if not (pixels and name == "inception_score")]
    more = {name: partial(MEASURES[name], features) for name in known if name not in usual}
    if train is not None:
        more["memorization"] = partial(_memorization, train["image"])
    return Evaluation(
        {name: MEASURES[name](features) for name in usual},
        test,
        others=train,
        best=features.score_name("swd" if pixels else "fid"),
        more=more,
    )


def over(evaluation: Evaluation, features: Features) -> Evaluation:
    """The same evaluation by other features, of a network such as Inception's.

    Fréchet and kernel distance, precision, recall, density, coverage and the classes' score take
    the place of the metrics. What only compares pairs is left out.

    Example:
      >>> over(what, inception("pt_inception-2015-12-05-6726825d.pth"))  # doctest: +SKIP
    """
    of_samples = any(not metric.paired for metric in evaluation.metrics.values())
    measures = {name: MEASURES[name](features) for name in OVER_NETWORKS}
    parts = {name: over(part, features) for name, part in evaluation.parts.items()}
    return evaluation._replace(
        metrics=measures if of_samples else {},
        more={},
        parts={name: part for name, part in parts.items() if part.metrics or part.parts},
    )


def _memorization(images: np.ndarray) -> Metric:
    return metrics.memorization(as_float(images).reshape(len(images), -1))


@dataclasses.dataclass(frozen=True)
class _Evaluator:
    """Measures one `Evaluation`, without its parts."""

    sample: Callable[[ByPlayer, ByPlayer, Batch, PRNGKey], Array]
    evaluation: Evaluation
    num_samples: int
    seed: int
    average: bool

    def __call__(self, state: TrainState) -> Records:
        records = self.computed(self.of_generated(self.samples(state)))
        return {
            name: dataclasses.replace(
                record,
                floor=self.floors.get(name) if record.floor is None else record.floor,
                split=self.evaluation.split,
                seed=self.seed,
            )
            for name, record in records.items()
        }

    # ---- computed on all devices

    @cached_property
    def draw(self) -> Callable[..., Outputs]:
        """What the metrics need of samples for a batch."""
        return parallel.data_parallel(
            lambda batch, params, model_state, key: _outputs(
                self.metrics, self.sample(params, model_state, batch, key)
            )
        )

    @cached_property
    def look(self) -> Callable[[Batch], Outputs]:
        """What the metrics need of a batch's real examples."""
        return parallel.data_parallel(
            lambda batch: _outputs(self.metrics, batch[self.evaluation.target])
        )

    # ---- accumulated on the host

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(self.evaluation.metrics.values())

    @property
    def pairs(self) -> bool:
        return any(metric.paired for metric in self.metrics)

    def samples(self, state: TrainState) -> Iterator[tuple[Outputs, Outputs | None]]:
        """Samples, and where they are compared in pairs, their targets."""
        learned = with_ema(state) if self.average else (state.params, state.model_state)
        batches = _batches(self.evaluation.examples, self.num_samples, self.seed)
        for number, (batch, count) in enumerate(batches):
            key = jax.random.fold_in(jax.random.key(self.seed), number)
            generated = _first(count, self.draw(batch, *learned, key))
            yield generated, _first(count, self.look(batch)) if self.pairs else None

    def of_generated(self, rows: Iterator[tuple[Outputs, Outputs | None]]) -> list[Any]:
        """Accumulators of generated rows, and of the real ones that they are paired with."""
        accs = [metric.init() for metric in self.metrics]
        for generated, real in rows:
            accs = [
                metric.update(
                    acc,
                    real=_of(metric, real) if metric.paired else None,
                    generated=_of(metric, generated),
                )
                for metric, acc in zip(self.metrics, accs, strict=True)
            ]
        return accs

    @cached_property
    def of_real(self) -> list[Any]:
        """Accumulators of the real examples, for metrics that take them by themselves."""
        examples = self.evaluation.examples
        accs = [metric.init() for metric in self.metrics]
        takes = [metric.takes_real and not metric.paired for metric in self.metrics]
        number = len(examples[self.evaluation.target]) if any(takes) else 0
        for batch, count in _batches(examples, number, self.seed):
            real = _first(count, self.look(batch))
            accs = [
                metric.update(acc, real=_of(metric, real)) if taken else acc
                for metric, acc, taken in zip(self.metrics, accs, takes, strict=True)
            ]
        return accs

    @cached_property
    def floors(self) -> dict[str, float]:
        """What other real examples score in place of samples, as many as there are."""
        others = self.evaluation.others
        if others is None or self.pairs:
            return {}
        count = min(self.num_samples, len(others[self.evaluation.target]))
        batches = _batches(others, count, self.seed)
        rows = ((_first(number, self.look(batch)), None) for batch, number in batches)
        return {
            name: record.value for name, record in self.computed(self.of_generated(rows)).items()
        }

    def computed(self, generated: list[Any]) -> Records:
        """The records of accumulators, merged with those of the real examples."""
        records: Records = {}
        for metric, real, acc in zip(self.metrics, self.of_real, generated, strict=True):
            records |= metric.compute(metric.merge(real, acc))
        return records


def _sample_of(
    game: Game, evaluation: Evaluation
) -> Callable[[ByPlayer, ByPlayer, Batch, PRNGKey], Array]:
    sample = evaluation.sample or game.sample
    if sample is None:
        raise ValueError("the game has no sample; there is nothing to measure")
    return sample


def _number_wanted(evaluation: Evaluation, num_samples: int | None) -> int:
    examples, target = evaluation.examples, evaluation.target
    if target not in examples:
        raise ValueError(f"the examples have {', '.join(examples)} and no {target}")
    n = len(examples[target])
    wanted = n if num_samples is None else num_samples
    if wanted < 1:
        raise ValueError(f"num_samples is {wanted}, expected at least 1")
    paired = any(metric.paired for metric in evaluation.metrics.values())
    return min(wanted, n) if paired else wanted


def _batches(examples: Examples, wanted: int, seed: int) -> Iterator[tuple[Batch, int]]:
    """Batches of one size that the devices divide, and how many rows of each are wanted."""
    n = len(next(iter(examples.values())))
    devices = jax.device_count()
    step = max(min(BATCH, wanted), 1)
    size = -(-step // devices) * devices
    for start in range(0, wanted, step):
        position = (start + np.arange(size)) % n
        rows = shuffled(position, n=n, seed=seed, epoch=0)
        batch = {name: as_float(array[rows]) for name, array in examples.items()}
        yield batch, min(step, wanted - start)


def _outputs(measures: Sequence[Metric], images: Array) -> Outputs:
    """What the metrics need of images; a network that several need is computed once, by XLA."""
    needed = {f"{m.features.name}/{m.output}": m for m in measures}
    return {name: m.features.apply(images)[m.output] for name, m in needed.items()}


def _of(metric: Metric, outputs: Outputs | None) -> Any:
    return None if outputs is None else outputs[f"{metric.features.name}/{metric.output}"]


def _first(count: int, outputs: Outputs) -> Outputs:
    return jax.tree.map(lambda rows: rows[:count], outputs)
