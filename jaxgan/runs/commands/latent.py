"""Commands on the latent space of a run: reconstruct, interpolate, arithmetic, anomalies, ..."""

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxgan import images, latent_space
from jaxgan.data import (
    ImageFiles,
    ImageOptions,
    as_float,
    conversions_in_words,
    load_folder,
    shuffled,
)
from jaxgan.data.decode import SUFFIXES
from jaxgan.errors import ImageError, RunError
from jaxgan.parallel import multihost
from jaxgan.runs.command_line import arguments
from jaxgan.runs.commands.restore import restore, training_images
from jaxgan.runs.directory.files import check_place, write_atomically
from jaxgan.runs.run import Run
from jaxgan.types import Array, ByPlayer, Examples

BATCH = 500  # images per batch
TABLE_ROWS = 20


def reconstruct(args: arguments.Reconstruct) -> None:
    """Writes a grid: rows of images, each above the row of their reconstructions.

    Raises:
      UserError: an error of `load_run`; the game has no encoder and decoder; or an image cannot be
        read.
    """
    check_place(args.out, endings=SUFFIXES)
    run = _restore(args, with_data=args.input is None)
    inputs = input_images(run, args.input, args.num, args.seed)
    outputs = _batched(partial(latent_space.reconstruct, run.game), run, inputs)
    num_shown = save_pairs(args.out, inputs, outputs)
    error = float(np.mean((outputs - inputs) ** 2))
    print(
        f"{args.out}: {num_shown} images and their reconstructions by {args.run} at step "
        f"{run.step}; mean squared error {error:.4g}"
    )


def encode(args: arguments.Encode) -> None:
    """Writes the codes of all images of a folder, with the names of their files.

    Raises:
      UserError: an error of `load_run`; the game does not encode; or an image cannot be read.
    """
    check_place(args.out, endings={".npz"})
    run = restore(args)
    run.check_encodes()
    image_files = open_images(run, args.input, skip_bad=args.skip_bad)
    codes = run.encode(read_images(image_files))
    with args.out.open("wb") as file:  # NumPy would append .npz to other spellings of it
        np.savez_compressed(file, names=np.array(file_names(image_files)), codes=codes)
    print(
        f"{args.out}: codes {codes.shape} of {len(codes)} images by {args.run} at step {run.step}"
    )


def latent_map(args: arguments.LatentMap) -> None:
    """Writes the decoded grid over a two-dimensional latent space.

    Raises:
      UserError: an error of `reconstruct`, or the codes do not have two dimensions.
    """
    if args.side < 1:
        raise RunError(f"--side is {args.side}, expected at least 1")
    check_place(args.out, endings=SUFFIXES)
    run = _restore(args)
    assert run.game.encode is not None
    shape = jax.eval_shape(
        run.game.encode, run.params, run.model_state, run.experiment.sample_batch(1)["image"]
    ).shape[1:]
    if shape != (2,):
        raise RunError(
            f"{args.run} has codes of the shape {shape}, and a map needs two dimensions; train "
            "with --latent 2"
        )
    decoded = _apply(partial(latent_space.latent_map, run.game, side=args.side), run)
    images.save_grid(args.out, decoded, columns=args.side, margin=0)
    print(f"{args.out}: {args.side} x {args.side} codes decoded by {args.run} at step {run.step}")


def arithmetic(args: arguments.Arithmetic) -> None:
    """Writes a grid: a row per image, with increasing multiples of the attribute direction added.

    The direction is the difference of the mean codes of two folders of images.

    Raises:
      UserError: an error of `reconstruct`.
    """
    check_place(args.out, endings=SUFFIXES)
    if args.steps < 1:
        raise RunError(f"--steps is {args.steps}, expected at least 1")
    run = _restore(args, with_data=args.input is None)
    inputs = input_images(run, args.input, args.num, args.seed)
    plus, minus = (
        jnp.asarray(input_images(run, folder, None, args.seed))
        for folder in (args.plus, args.minus)
    )

    def change(params: ByPlayer, model_state: ByPlayer, strength: Array) -> Array:
        x = jnp.asarray(inputs)
        return latent_space.analogy(
            run.game, params, model_state, x, plus=plus, minus=minus, strength=strength
        )

    strengths = np.linspace(0, 1.5, args.steps, dtype=np.float32)
    changed = [_apply(change, run, strength) for strength in strengths]
    rows = np.stack([inputs, *changed], axis=1)
    images.save_grid(args.out, rows.reshape(-1, *inputs.shape[1:]), columns=args.steps + 1)
    print(
        f"{args.out}: {len(inputs)} images, each followed by its analogies at 0 to 1.5 times the "
        f"difference of {len(plus)} images in {args.plus} and {len(minus)} in {args.minus}"
    )


def anomalies(args: arguments.Anomalies) -> None:
    """Writes the anomaly scores of all images of a folder, and prints the highest.

    The share of the run's held-out images with a higher score is given for comparison.

    Raises:
      UserError: an error of `reconstruct`, or the experiment's evaluation has no training images.
    """
    check_place(args.out, endings={".json"})
    run = _restore(args, with_data=True)
    image_files = open_images(run, args.input, skip_bad=args.skip_bad)
    inputs = read_images(image_files)
    training = as_float(training_images(run)[: latent_space.NUM_NORMAL])
    normal = jnp.asarray(run.encode(training))
    compute_scores = lambda x: _batched(
        lambda params, model_state, x: latent_space.anomaly_scores(
            run.game, params, model_state, x, normal
        ),
        run,
        x,
    )
    scores, held_out_scores = compute_scores(inputs), compute_scores(_held_out(run))
    records: list[dict[str, Any]] = [
        {"name": name}
        | {kind: float(values[i]) for kind, values in scores.items()}
        | {
            f"{kind}_share_above": float(np.mean(held_out_scores[kind] > values[i]))
            for kind, values in scores.items()
        }
        for i, name in enumerate(file_names(image_files))
    ]
    records.sort(key=lambda record: -record[args.score])
    content = {"run": str(args.run), "step": run.step, "images": records}
    write_atomically(args.out, json.dumps(content, indent=2) + "\n")
    table = Table("image", *latent_space.ANOMALY_SCORES, "held-out images above")
    for record in records[:TABLE_ROWS]:
        cells = [f"{record[kind]:.4g}" for kind in latent_space.ANOMALY_SCORES]
        table.add_row(record["name"], *cells, f"{record[f'{args.score}_share_above']:.2%}")
    console = Console(markup=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"{args.out}: scores of {len(records)} images by {args.run}, sorted by {args.score}"
    )


# ---- helpers of the above


def _restore(args: arguments.CheckpointArguments, *, with_data: bool = False) -> Run:
    run = restore(args, with_data=with_data)
    if run.game.encode is None or run.game.decode is None:
        raise RunError(
            f"{args.run} is a run of a game that learns no codes; this command is for autoencoders"
        )
    run.check_complete()
    return run


def input_images(run: Run, folder: Path | None, num: int | None, seed: int) -> np.ndarray:
    """Images of a folder, or held-out images in an order given by the seed; at most `num`."""
    if num is not None and num < 1:
        raise RunError(f"--num is {num}, expected at least 1")
    if folder is not None:
        image_files = open_images(run, folder)
        return read_images(image_files, range(len(image_files))[:num])
    held_out = _held_out(run)
    rows = shuffled(np.arange(len(held_out)), n=len(held_out), seed=seed, epoch=0)
    return held_out[rows[:num]]


def save_pairs(path: Path, above: np.ndarray, below: np.ndarray) -> int:
    """Writes a grid with rows of images, each above the row of their counterparts.

    The last row is filled up with black.

    Returns:
      The number of pairs.
    """
    columns = min(10, len(above))
    black = np.full((-len(above) % columns, *above.shape[1:]), -1.0, above.dtype)
    rows = lambda x: np.concatenate([x, black]).reshape(-1, columns, *x.shape[1:])
    grid = np.concatenate([rows(above), rows(below)], axis=1).reshape(-1, *above.shape[1:])
    images.save_grid(path, grid, columns=columns)
    return len(above)


def open_images(run: Run, folder: Path, *, skip_bad: bool | None = None) -> ImageFiles:
    """Images of a folder in the shape of the run's images, resized as its training images were.

    `skip_bad` is the flag of the command, `None` if it has none.
    """
    shape = run.experiment.sample_batch(1)["image"].shape[1:]
    if len(shape) != 3:
        raise RunError(f"{run.directory} has examples of the shape {shape}, which are not images")
    height, width, channels = shape
    record = run.record["data"]
    options = ImageOptions(
        size=(height, width),
        channels=1 if channels == 1 else 3,
        resize=record.get("resize", "cover"),
        background=record.get("background", "white"),
        skip_bad=bool(skip_bad),
    )
    try:
        image_files = load_folder(folder, options)
    except ImageError as error:
        if skip_bad is None:
            raise
        raise error.with_flag() from None
    if image_files.conversions:
        print(f"{folder}: converted: {conversions_in_words(image_files.conversions)}")
    if image_files.left_out:
        print(f"{folder}: left out, since they cannot be read: {', '.join(image_files.left_out)}")
    return image_files


def read_images(image_files: ImageFiles, rows: Iterable[int] | None = None) -> np.ndarray:
    """The images of these numbers, or all."""
    rows = range(len(image_files)) if rows is None else rows
    return np.stack([as_float(image_files.read(i)) for i in rows])


def file_names(image_files: ImageFiles) -> list[str]:
    """Paths of the files in their folder."""
    pairs = zip(image_files.names, image_files.files, strict=True)
    return [f"{name}{file.suffix}" for name, file in pairs]


def _held_out(run: Run) -> np.ndarray:
    """Held-out images, without those that are labelled as anomalous."""
    if run.experiment.evaluation is None:
        raise RunError("the run's experiment has no held-out images; give --input")
    examples: Examples = run.experiment.evaluation.examples
    if "anomalous" in examples:
        examples = {"image": examples["image"][examples["anomalous"] == 0]}
    return as_float(examples["image"])


def _apply(function: Callable[..., Any], run: Run, *inputs: Any) -> Any:
    """Compiles `(params, model_state, *inputs) -> outputs` and applies it; returns NumPy arrays."""
    return multihost.to_host(jax.jit(function)(run.params, run.model_state, *inputs))


def _batched(function: Callable[..., Any], run: Run, inputs: np.ndarray) -> Any:
    """Applies `(params, model_state, images) -> rows` in batches; returns NumPy arrays."""
    compiled, variables = jax.jit(function), (run.params, run.model_state)
    batches = [
        multihost.to_host(compiled(*variables, inputs[i : i + BATCH]))
        for i in range(0, len(inputs), BATCH)
    ]
    return jax.tree.map(lambda *rows: np.concatenate(rows), *batches)
