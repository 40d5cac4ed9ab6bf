"""The trained model of a run as a program for other places: StableHLO, for any number of images."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from jaxgan.errors import RunError
from jaxgan.runs.config.experiment import Translation
from jaxgan.runs.run import Run
from jaxgan.types import Array, ByPlayer

PLATFORMS = ("cpu", "cuda", "tpu")


class Program(NamedTuple):
    """A pure function of a run's model, and its inputs.

    Attributes:
      apply: `(params, model_state, *inputs) -> images` in [-1, 1].
      params, model_state: by player, of `Run`.
      shapes: shape of each input by name, such as `b, 64`; letters stand for any number.
      constraints: of the letters, such as `h >= 2`.
      direction: name of the translation; `None` for a decoder of latents.
      examples: an array for each input: latents of the prior, or noise for a translation.
    """

    apply: Callable[..., Array]
    params: ByPlayer
    model_state: ByPlayer
    shapes: Mapping[str, str]
    examples: tuple[np.ndarray, ...]
    constraints: tuple[str, ...] = ()
    direction: str | None = None


def translation_of(run: Run, direction: str | None) -> Translation:
    """The translation of a run of that name, or its first.

    Raises:
      RunError: there is none of that name.
    """
    translations = run.experiment.translations
    if not translations:
        raise RunError(f"--direction is {direction}, and {run.directory} does not translate images")
    if direction is not None and direction not in translations:
        raise RunError(f"--direction is {direction}, expected one of {', '.join(translations)}")
    return translations[direction or next(iter(translations))]


def program_of(run: Run, *, num: int, seed: int, direction: str | None = None) -> Program:
    """The translation of a run, or the decoder of its latents and conditions.

    Args:
      run: the run.
      num: number of rows of the examples.
      seed: seed of the examples.
      direction: name of the translation, the first by default.

    Raises:
      RunError: the run has neither a translation nor latents, or no such translation.
    """
    if run.experiment.translations:
        translation = translation_of(run, direction)
        side, channels = translation.multiple, translation.channels
        shapes = {"images": f"b, {side}*h, {side}*w, {channels}"}
        size = (num, max(side, 32), max(side, 32), channels)
        noise = np.random.default_rng(seed).uniform(-1.0, 1.0, size).astype(np.float32)
        smallest = -(-translation.smallest // side)
        at_least = tuple(f"{letter} >= {smallest}" for letter in "hw")
        model = (translation.apply, run.params, run.model_state)
        name = direction or next(iter(run.experiment.translations))
        return Program(*model, shapes, (noise,), at_least, name)
    if run.game.prior is None or run.game.decode is None:
        raise RunError(
            f"{run.directory} is a run of a game without latents or translations: it has no "
            "program to export; --format safetensors exports the weights"
        )
    examples = (run.latents(num, seed=seed), *run.conditions(num))
    shapes = {
        name: ", ".join(["b", *map(str, rows.shape[1:])])
        for name, rows in zip(("latents", *run.game.conditions), examples, strict=True)
    }
    return Program(run.game.decode, run.params, run.model_state, shapes, examples)


def to_stablehlo(program: Program) -> bytes:
    """The program with its parameters, for CPU, CUDA and TPU; `jax.export.deserialize` reads it.

    On the platform that it is compiled for, it has the same bits as `jax.jit(program.apply)`.

    Example:
      >>> to_stablehlo(program_of(run, num=1, seed=0))  # doctest: +SKIP
    """

    @jax.jit
    def model(*inputs: Array) -> Array:
        # Constants would be folded into other sums than those of the live model.
        params, model_state = jax.lax.optimization_barrier((program.params, program.model_state))
        return program.apply(params, model_state, *inputs)

    scope = jax.export.SymbolicScope(program.constraints)
    specs = [
        jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape, scope=scope), rows.dtype)
        for shape, rows in zip(program.shapes.values(), program.examples, strict=True)
    ]
    return bytes(jax.export.export(model, platforms=PLATFORMS)(*specs).serialize())
