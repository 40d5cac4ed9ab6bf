"""Commands on a run's samples and its state: sample, neighbours, digest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.progress import track

from jaxgan import checkpoint, images
from jaxgan.data import as_float
from jaxgan.data.decode import SUFFIXES
from jaxgan.errors import RunError
from jaxgan.metrics import nearest
from jaxgan.runs.command_line import arguments
from jaxgan.runs.commands.restore import as_images, check_origin, restore, training_images
from jaxgan.runs.directory.config_json import read_config_json
from jaxgan.runs.directory.files import check_place, make_folder
from jaxgan.runs.run import CHUNK, Run
from jaxgan.runs.session.samples import columns_of_classes


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


def neighbors(args: arguments.Neighbors) -> None:
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


def digest(args: arguments.Digest) -> None:
    """Prints the digest of a run's newest state, and its step.

    Raises:
      UserError: the directory has no run, or the run has no checkpoint.
    """
    read_config_json(args.run)
    state = checkpoint.restore_plain(args.run / "checkpoints")
    print(f"{checkpoint.digest(state)}  step {int(state['step'])}")


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
    check_origin(args.out, "samples", run, own)


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
