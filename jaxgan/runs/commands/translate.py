"""The command `translate`: images of any size, by a run that translates images."""

from pathlib import Path

import jax
import numpy as np
from rich.progress import track

from jaxgan import images
from jaxgan.data import ImageFiles, ImageOptions, as_float, conversions_in_words, load_folder
from jaxgan.errors import ImageError, RunError
from jaxgan.runs.command_line import arguments
from jaxgan.runs.commands.restore import check_origin, restore
from jaxgan.runs.config.experiment import Translation
from jaxgan.runs.directory.files import make_folder
from jaxgan.runs.export import programs
from jaxgan.runs.run import Run


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
    image_files = _inputs(args, translation.channels, run.record["data"].get("background", "white"))
    outputs = _outputs(args, image_files)
    if args.side is not None:
        _check_halves(image_files)
    make_folder(args.out)
    _check_translations(args, run)
    apply = jax.jit(translation.apply)  # recompiled for every size
    pairs = 0
    for i in track(range(len(image_files)), "translating"):
        image = as_float(_half(image_files.read(i), args.side))
        height, width, _ = image.shape
        pairs += width == 2 * height
        padding = [(0, _supported(side, translation) - side) for side in (height, width)]
        padded = np.pad(image, [*padding, (0, 0)], mode="reflect")
        output = apply(run.params, run.model_state, padded[None])[0, :height, :width]
        make_folder(outputs[i].parent)
        images.save_grid(outputs[i], output[None], margin=0)
    print(
        f"{args.out}: {len(image_files)} images of {args.input} translated by {args.run} at step "
        f"{run.step}"
        + (f", their {args.side} halves" if args.side else "")
        + _what_was_done(image_files)
    )
    if pairs == len(image_files):
        print(
            "all images are twice as wide as high, and were translated as a whole; if they are "
            "pairs side by side, give --side left or --side right"
        )


def _check_translations(args: arguments.Translate, run: Run) -> None:
    """Raises a `RunError` if a folder has translations by another model."""
    direction = args.direction or next(iter(run.experiment.translations))
    check_origin(args.out, "translations", run, {"direction": direction, "side": args.side})


def _inputs(args: arguments.Translate, channels: int, background: str) -> ImageFiles:
    """The images to translate, with the number of channels of the training images."""
    assert channels in (1, 3)
    options = ImageOptions(
        channels=1 if channels == 1 else 3,
        background=args.background or background,
        skip_bad=args.skip_bad,
    )
    try:
        return load_folder(args.input, options)
    except ImageError as error:
        raise error.with_flag() from None


def _outputs(args: arguments.Translate, image_files: ImageFiles) -> list[Path]:
    """Files to write, none of them an input, and no two of them the same."""
    if args.out.resolve() == (args.input if args.input.is_dir() else args.input.parent).resolve():
        raise RunError(f"--out is the folder of --input, {args.out}; choose another")
    outputs = [args.out / f"{name}.png" for name in image_files.names]
    inputs = {file.resolve() for file in image_files.files}
    first: dict[Path, Path] = {}
    for file, output in zip(image_files.files, outputs, strict=True):
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


def _check_halves(image_files: ImageFiles) -> None:
    """Raises a `RunError` if an image has an odd width, and so no halves."""
    for file, (_, width) in zip(image_files.files, image_files.sizes, strict=True):
        if width % 2:
            raise RunError(
                f"{file} is {width} pixels wide, and pairs side by side have an even width: cut or "
                "remove it, or leave out --side"
            )


def _half(image: np.ndarray, side: str | None) -> np.ndarray:
    """The left or right half of an image, or all of it."""
    if side is None:
        return image
    return np.split(image, 2, axis=1)[side == "right"]


def _what_was_done(image_files: ImageFiles) -> str:
    """What was converted and left out, as the end of a sentence; empty if nothing was."""
    words = ""
    if image_files.conversions:
        words += f"; converted: {conversions_in_words(image_files.conversions)}"
    if image_files.left_out:
        words += f"; left out, since they cannot be read: {', '.join(image_files.left_out)}"
    return words
