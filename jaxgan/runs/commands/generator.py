"""Commands on what a generator has learned: interpolate, project, directions."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import images, latent_space, latents
from jaxgan.data.decode import SUFFIXES
from jaxgan.errors import RunError
from jaxgan.runs.command_line import arguments
from jaxgan.runs.commands import latent
from jaxgan.runs.commands.restore import as_images, restore
from jaxgan.runs.directory.files import check_place
from jaxgan.runs.run import Run
from jaxgan.types import Array

ANIMATIONS = (".gif", ".webp", ".mp4")
NUM_CODES = 2000  # samples whose principal components are computed


def interpolate(args: arguments.Interpolate) -> None:
    """Writes interpolations between latents, or between the codes of images.

    Raises:
      UserError: an error of `load_run`; the game does not decode; fewer than two images or steps;
        or an image cannot be read.
    """
    if args.steps < 2 or args.num < 1:
        raise RunError(
            f"--steps is {args.steps} and --num is {args.num}, expected at least 2 and at least 1"
        )
    check_place(args.out, endings={*SUFFIXES, *ANIMATIONS})
    run = restore(args)
    if run.game.encode is not None and None not in (args.input, args.label):
        raise RunError("--label is of latents from the prior, and --input has images; give one")
    if run.game.encode is None or args.label is not None:
        paths, what = _between_latents(args, run), "latents"
    else:
        paths, what = _between_images(args, run), "images"
    flat = as_images(run, paths.reshape(-1, *paths.shape[2:]))
    if args.out.suffix.lower() in ANIMATIONS:
        forth_and_back = np.concatenate([paths, paths[:, -2:0:-1]], axis=1)
        frames = [images.grid(column) for column in forth_and_back.swapaxes(0, 1)]
        images.save_video(args.out, frames, seconds=len(frames) / 12)
    else:
        images.save_grid(args.out, flat, columns=paths.shape[1])
    print(
        f"{args.out}: {len(paths)} interpolations of {args.steps} steps between {what} by "
        f"{args.run} at step {run.step}"
    )


def project(args: arguments.Project) -> None:
    """Writes images above their projections, and their latents; prints the errors.

    Raises:
      UserError: an error of `load_run`; the game has no latents; or an image cannot be read.
    """
    if args.restarts < 1 or args.num_steps < 1:
        raise RunError(
            f"--restarts is {args.restarts} and --num-steps is {args.num_steps}, expected at least "
            "1 of both"
        )
    check_place(args.out, endings=SUFFIXES)
    run = restore(args)
    if run.game.conditions and args.label is None:
        raise RunError(f"{args.run} is conditional; give --label, the class of the images")
    run.latents(1)  # raises a `RunError` if there are none, before images of their size are read
    folder = latent.open_images(run, args.input)
    inputs = latent.read_images(folder)
    n = len(inputs)
    starts = run.latents(args.restarts * n, seed=args.seed).reshape(args.restarts, n, -1)
    decode = _decoder(run, n, args.label)
    find = jax.jit(partial(latent_space.project, decode, num_steps=args.num_steps))
    found = jax.device_get(find(jnp.asarray(inputs), jnp.asarray(starts)))
    decibels = np.asarray(found.psnr)
    latent.save_pairs(args.out, inputs, found.images)
    latents_file = args.out.with_suffix(".npz")
    names = latent.file_names(folder)
    np.savez_compressed(latents_file, names=np.array(names), latents=found.codes, psnr=decibels)
    for name, value in zip(names, decibels, strict=True):
        print(f"{name}  {value:.1f} dB")
    print(
        f"{args.out}: {n} images and their projections by {args.run} at step {run.step}, "
        f"{decibels.mean():.1f} dB on average; their latents are in {latents_file}"
    )


def directions(args: arguments.Directions) -> None:
    """Writes a grid: a row per direction, in which a sample moves along it; and the directions.

    Raises:
      UserError: an error of `load_run`; the game has no latents; or the first layer is not found.
    """
    if args.num < 1 or args.steps < 2:
        raise RunError(
            f"--num is {args.num} and --steps is {args.steps}, expected at least 1 and at least 2"
        )
    if not 0.0 < args.distance < math.inf:
        raise RunError(f"--distance is {args.distance}, expected a positive number")
    check_place(args.out, endings=SUFFIXES)
    run = restore(args)
    label = _one_class(run, args.label)
    found = find_directions(args, run, label=label)
    distances = np.linspace(-args.distance, args.distance, args.steps, dtype=np.float32)
    start = run.latents(1, seed=args.seed)
    codes = start[None] + found.vectors[:, None] * distances[None, :, None]
    decoded = run.decode(codes.reshape(-1, codes.shape[-1]), label=label)
    images.save_grid(args.out, as_images(run, decoded), columns=args.steps)
    file = args.out.with_suffix(".npz")
    np.savez_compressed(file, directions=found.vectors, strengths=found.strengths)
    print(
        f"{args.out}: {len(found.vectors)} directions of {args.run} at step {run.step} by "
        f"{args.method}, a row each, from -{args.distance:g} to {args.distance:g}; they are in "
        f"{file}"
    )


def find_directions(
    args: arguments.DirectionArguments, run: Run, *, label: int | str | None = None
) -> latent_space.Directions:
    """Directions in the run's latent space by the method of a command's arguments.

    Args:
      args: the arguments.
      run: the run.
      label: class of the samples of a conditional run, for principal components; by default all
        classes, after subtracting each class's mean image.

    Raises:
      UserError: the game has no latents, or the first layer is not found.
    """
    if args.method == "sefa":
        return _sefa(args, run)
    codes = run.latents(NUM_CODES, seed=args.seed)
    decoded = as_images(run, run.decode(codes, label=label))
    if run.game.conditions == ("label",) and label is None:
        (classes,) = run.conditions(NUM_CODES)
        for each in np.unique(classes):
            decoded[classes == each] -= decoded[classes == each].mean(axis=0)
    try:
        found = latent_space.principal_components(
            jnp.asarray(codes), jnp.asarray(decoded), args.num
        )
    except ValueError as error:
        raise RunError(f"--num: {error}") from None
    return jax.device_get(found)


# ---- helpers of the above


def _between_latents(args: arguments.Interpolate, run: Run) -> np.ndarray:
    """`[num, steps, ...]`, decoded latents between pairs of latents from the prior."""
    if args.input is not None:
        raise RunError(
            f"{args.run} is a run of a game that cannot encode images; leave out --input, or find "
            "their latents with `project`"
        )
    ends = run.latents(2 * args.num, seed=args.seed).reshape(2, args.num, -1)
    path = getattr(latents, args.path or "slerp")
    positions = jnp.linspace(0.0, 1.0, args.steps)
    codes = np.asarray(jax.vmap(lambda t: path(ends[0], ends[1], t), out_axes=1)(positions))
    decoded = run.decode(codes.reshape(-1, codes.shape[-1]), label=_one_class(run, args.label))
    return decoded.reshape(args.num, args.steps, *decoded.shape[1:])


def _between_images(args: arguments.Interpolate, run: Run) -> np.ndarray:
    """`[num, steps + 2, ...]`, images between pairs of images, with both images at the ends."""
    start, end = _pairs_of_images(args, run)
    path = getattr(latents, args.path or "lerp")
    between = jax.jit(partial(latent_space.interpolate, run.game, num=args.steps, path=path))(
        run.params, run.model_state, start, end
    )
    return np.concatenate([start[:, None], between, end[:, None]], axis=1)


def _pairs_of_images(args: arguments.Interpolate, run: Run) -> tuple[np.ndarray, np.ndarray]:
    """At most `num` starts and ends: held-out images, or the first of each half of a folder."""
    if args.input is None:
        run = restore(args, with_data=True)
        inputs = latent.input_images(run, None, 2 * args.num, args.seed)
        count, read = len(inputs), lambda rows: inputs[rows.start : rows.stop]
    else:
        image_files = latent.open_images(run, args.input)
        count, read = len(image_files), partial(latent.read_images, image_files)
    if count < 2:
        raise RunError(f"there are {count} images, expected at least 2")
    num = min(count // 2, args.num)
    return read(range(num)), read(range(count // 2, count // 2 + num))


def _decoder(run: Run, n: int, label: int | str | None) -> Callable[[Array], Array]:
    """`[n, dim] -> [n, ...]`, the run's decoder at its parameters."""
    decode, conditions = run.game.decode, run.conditions(n, label)
    assert decode is not None
    return lambda codes: decode(run.params, run.model_state, codes, *conditions)


def _one_class(run: Run, label: int | str | None) -> int | str | None:
    """The label, or the first class of a conditional run, so that a row shows one class."""
    return 0 if label is None and run.game.conditions else label


def _sefa(args: arguments.DirectionArguments, run: Run) -> latent_space.Directions:
    dim = run.latents(1).shape[1]
    player = "generator" if "generator" in run.params else next(iter(run.params))
    try:
        kernel = latent_space.first_layer(run.params[player], dim, args.layer)
    except ValueError as error:
        raise RunError(f"--layer: {error}") from None
    return jax.device_get(latent_space.sefa(kernel, min(args.num, dim)))
