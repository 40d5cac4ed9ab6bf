"""Commands on a run: sample, translate, neighbours, digest."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.progress import track

from jaxgan import checkpoint, images
from jaxgan.data import PictureOptions, Pictures, as_float, conversions_in_words, load_folder
from jaxgan.data.decode import SUFFIXES
from jaxgan.errors import PictureError, RunError
from jaxgan.metrics import nearest
from jaxgan.runs import arguments, compiled, exported, find, programs
from jaxgan.runs.config_json import read_config_json
from jaxgan.runs.experiment import Translation
from jaxgan.runs.files import check_place, make_folder, write_atomically
from jaxgan.runs.run import CHUNK, Run, load_run
from jaxgan.runs.samples import columns_of_classes


def sample(args: arguments.Sample) -> None:
    """Writes samples of a run: a grid, an array, or separate files.

    Raises:
      UserError: an error of `load_run` or `Run.sample`.
    """
    seeds = None if args.seeds is None else _seeds(args.seeds)
    if args.num < 1:
        raise RunError(f"--num is {args.num}, expected at least 1")
    if args.columns is not None and args.columns < 1:
        raise RunError(f"--columns is {args.columns}, expected at least 1")
    choices: Any = {"label": args.label, "truncation": args.truncation}
    if args.out.is_dir() or not args.out.suffix:
        _sample_files(args, seeds, choices)
        return
    check_place(args.out, endings={*SUFFIXES, ".npz"})
    run = restore(args)
    num = args.num if seeds is None else len(seeds)
    samples = (
        run.sample(num, seed=args.seed, **choices)
        if seeds is None
        else run.sample_seeds(seeds, **choices)
    )
    if args.out.suffix.lower() == ".npz":
        with args.out.open("wb") as file:  # NumPy would append .npz to other spellings of it
            np.savez_compressed(file, samples=samples)
    else:
        in_turn = args.label is None and seeds is None
        columns = args.columns or (columns_of_classes(run.experiment, num) if in_turn else None)
        images.save_grid(args.out, as_images(run, samples), columns=columns)
    print(f"{args.out}: {num} samples of {args.run} at step {run.step}")


def _sample_files(args: arguments.Sample, seeds: Sequence[int] | None, choices: Any) -> None:
    """Writes a file per sample, named by its number or its seed; files that exist are kept."""
    run = restore(args)
    numbers = range(args.num) if seeds is None else seeds
    codes = run.latents(args.num, seed=args.seed, truncation=args.truncation)
    conditions = run.conditions(args.num, args.label)
    make_folder(args.out)
    _check_samples(args, run)
    path = lambda number: args.out / f"{number:06d}.png"
    missing = [number for number in numbers if not path(number).exists()]
    for first in track(range(0, len(missing), CHUNK), "sampling"):
        chunk = missing[first : first + CHUNK]
        if seeds is None:
            samples = run.decode_given(codes[chunk], [rows[chunk] for rows in conditions])
        else:
            samples = run.sample_seeds(chunk, **choices)
        for number, image in zip(chunk, as_images(run, samples), strict=True):
            images.save_grid(path(number), image[None], margin=0)
    kept = len(numbers) - len(missing)
    print(
        f"{args.out}: {len(missing)} samples of {args.run} at step {run.step}"
        + (f", and {kept} that were there" if kept else "")
    )


def _check_samples(args: arguments.Sample, run: Run) -> None:
    """Raises a `RunError` if a folder has samples of something else."""
    own = {
        "seed": args.seed if args.seeds is None else "each of --seeds",
        "label": None if args.label is None else run.class_of(args.label),
        "truncation": args.truncation,
    }
    _check_origin(args.out, "samples", run, own)


def _check_translations(args: arguments.Translate, run: Run) -> None:
    """Raises a `RunError` if a folder has translations by another model."""
    direction = args.direction or next(iter(run.experiment.translations))
    _check_origin(args.out, "translations", run, {"direction": direction, "side": args.side})


def _check_origin(folder: Path, what: str, run: Run, details: Mapping[str, Any]) -> None:
    """Records what the files of a folder are of; a `RunError` if they are of something else."""
    path = folder / f".{what}.json"
    own = {"model": checkpoint.digest(run.params), **details}  # wherever its run is
    origin = {"run": str(run.directory), "step": run.step, **own}
    if not path.exists():
        write_atomically(path, json.dumps(origin, indent=2) + "\n")
        return
    there = json.loads(path.read_text(encoding="utf-8"))
    if any(there.get(name) != value for name, value in own.items()):
        known = ", ".join(f"{name} {there.get(name)}" for name in origin if name != "model")
        raise RunError(f"{folder} has {what} of {known}; choose another folder for others")


def _seeds(text: str) -> list[int]:
    """Seeds of a text such as `0-63` or `3,7,11-13`."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise RunError(f"--seeds is {text}, expected seeds such as 0-63 or 3,7,11")
        own = range(int(first), int(last if dash else first) + 1)
        if not own or own[-1] >= arguments.SEEDS:
            raise RunError(f"--seeds is {text}, expected ranges that ascend, below 2^32")
        seeds += own
    return seeds


def as_images(run: Run, samples: np.ndarray) -> np.ndarray:
    """The samples, checked to be images."""
    if samples.ndim != 4:
        raise RunError(
            f"{run.directory} has samples of the shape {samples.shape[1:]}, which are not images; "
            "write them as an array, --out samples.npz"
        )
    return samples


def translate(args: arguments.Translate) -> None:
    """Translates images of any size into PNG files of the same names.

    Images are padded by reflection to the multiples that the network supports, and the outputs
    cropped to the original size.

    Raises:
      UserError: an error of `load_run`; the run does not translate images, or not in this
        direction; an image cannot be read, or has an odd width and `--side` is set; an output would
        overwrite an input or another output, or those of another model.
    """
    run = restore(args)
    if not run.experiment.translations:
        raise RunError(f"{args.run} is a run of an experiment that does not translate images")
    translation = programs.translation_of(run, args.direction)
    pictures = _inputs(args, translation.channels, run.record["data"].get("background", "white"))
    outputs = _outputs(args, pictures)
    if args.side is not None:
        _check_halves(pictures)
    make_folder(args.out)
    _check_translations(args, run)
    apply = jax.jit(translation.apply)  # recompiled for every size
    pairs = 0
    for i in track(range(len(pictures)), "translating"):
        image = as_float(_half(pictures.read(i), args.side))
        height, width, _ = image.shape
        pairs += width == 2 * height
        padding = [(0, _supported(side, translation) - side) for side in (height, width)]
        padded = np.pad(image, [*padding, (0, 0)], mode="reflect")
        output = apply(run.params, run.model_state, padded[None])[0, :height, :width]
        make_folder(outputs[i].parent)
        images.save_grid(outputs[i], output[None], margin=0)
    print(
        f"{args.out}: {len(pictures)} images of {args.input} translated by {args.run} at step "
        f"{run.step}"
        + (f", their {args.side} halves" if args.side else "")
        + _what_was_done(pictures)
    )
    if pairs == len(pictures):
        print(
            "all images are twice as wide as high, and were translated as a whole; if they are "
            "pairs side by side, give --side left or --side right"
        )


def neighbours(args: arguments.Neighbours) -> None:
    """Writes a grid of samples, each followed by its nearest training images in pixel space.

    Raises:
      UserError: an error of `load_run`, or the experiment's evaluation has no training images.
    """
    if args.num < 1 or args.k < 1:
        raise RunError(f"--num is {args.num} and --k is {args.k}, expected at least 1")
    check_place(args.out, endings=SUFFIXES)
    run = restore(args, with_data=True)
    training = as_float(training_images(run))
    if args.k > len(training):
        raise RunError(f"--k is {args.k}, and there are {len(training)} training images")
    samples = as_images(run, run.sample(args.num, seed=args.seed))
    flatten = lambda rows: np.reshape(rows, (len(rows), -1))
    distances, indices = nearest(flatten(samples), flatten(training), args.k)
    rows = np.concatenate([samples[:, None], training[indices]], axis=1)
    images.save_grid(args.out, rows.reshape(-1, *samples.shape[1:]), columns=args.k + 1)
    print(
        f"{args.out}: {args.num} samples of {args.run} at step {run.step}, each followed by "
        f"its {args.k} nearest training images, at distances from {distances[:, 0].min():.3g}; "
        "`evaluate --metrics memorization` tests whether that indicates memorisation"
    )


def training_images(run: Run) -> np.ndarray:
    """Training images of the run, from its evaluation."""
    evaluation = run.experiment.evaluation
    for part in () if evaluation is None else (evaluation, *evaluation.parts.values()):
        if part.others is not None:
            return part.others["image"]
    raise RunError(
        f"{run.directory} is a run of an experiment whose evaluation has no training images"
    )


def digest(args: arguments.Digest) -> None:
    """Prints the digest of a run's newest state, and its step.

    Raises:
      UserError: the directory has no run, or the run has no checkpoint.
    """
    read_config_json(args.run)
    state = checkpoint.restore_plain(args.run / "checkpoints")
    print(f"{checkpoint.digest(state)}  step {int(state['step'])}")


def restore(args: arguments.CheckpointArguments, *, with_data: bool = False) -> Run:
    """Loads the run and the checkpoint of a command's arguments; raises those of `load_run`.

    A name of a generator that comes with the package is one, where there is no such directory.
    """
    is_name = not args.run.exists() and str(args.run) in exported.names()
    if not is_name and not args.run.exists():
        similar = find.did_you_mean(str(args.run), exported.names())
        raise RunError(f"{args.run} holds no run: it does not exist{similar}")
    if args.step != "newest" and (is_name or args.run.is_file()):
        raise RunError(f"{args.run} has the state of one step; leave out --step")
    data_dir = args.data_dir if isinstance(args, arguments.DataArguments) else None
    compiled.enable_cache()  # before anything is compiled: jax decides about its cache then
    return load_run(
        exported.path_of(str(args.run)) if is_name else args.run,
        step=args.step,
        with_data=with_data,
        data_dir=data_dir,
        experiment=args.experiment,
    )


def _inputs(args: arguments.Translate, channels: int, background: str) -> Pictures:
    """The images to translate, with the number of channels of the training images."""
    assert channels in (1, 3)
    options = PictureOptions(
        channels=1 if channels == 1 else 3,
        background=args.background or background,
        skip_bad=args.skip_bad,
    )
    try:
        return load_folder(args.input, options)
    except PictureError as error:
        raise error.with_flag() from None


def _outputs(args: arguments.Translate, pictures: Pictures) -> list[Path]:
    """Files to write, none of them an input, and no two of them the same."""
    if args.out.resolve() == (args.input if args.input.is_dir() else args.input.parent).resolve():
        raise RunError(f"--out is the folder of --input, {args.out}; choose another")
    outputs = [args.out / f"{name}.png" for name in pictures.names]
    inputs = {file.resolve() for file in pictures.files}
    first: dict[Path, Path] = {}
    for file, output in zip(pictures.files, outputs, strict=True):
        if output.resolve() in inputs:
            raise RunError(f"{output} is an input, and would be overwritten; choose another --out")
        if output in first:
            raise RunError(
                f"{first[output]} and {file} would both become {output}; rename one of them"
            )
        first[output] = file
    return outputs


def _supported(side: int, translation: Translation) -> int:
    """The smallest side of at least this many pixels that a network supports."""
    full = max(side, translation.smallest)
    return full + -full % translation.multiple


def _check_halves(pictures: Pictures) -> None:
    """Raises a `RunError` if an image has an odd width, and so no halves."""
    for file, (_, width) in zip(pictures.files, pictures.sizes, strict=True):
        if width % 2:
            raise RunError(
                f"{file} is {width} pixels wide, and pairs side by side have an even width: cut or "
                "remove it, or leave out --side"
            )


def _half(picture: np.ndarray, side: str | None) -> np.ndarray:
    """The left or right half of an image, or all of it."""
    if side is None:
        return picture
    return np.split(picture, 2, axis=1)[side == "right"]


def _what_was_done(pictures: Pictures) -> str:
    """What was converted and left out, as the end of a sentence; empty if nothing was."""
    words = ""
    if pictures.conversions:
        words += f"; converted: {conversions_in_words(pictures.conversions)}"
    if pictures.left_out:
        words += f"; left out, since they cannot be read: {', '.join(pictures.left_out)}"
    return words
