"""Commands on the latent space of a run: reconstructions, interpolations, arithmetic, anomalies."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxgan import latent_space, images, latents
from jaxgan.runs import arguments, commands
from jaxgan.parallel import multihost
from jaxgan.data import Pictures, as_float, load_folder, shuffled
from jaxgan.runs.experiment import Experiment
from jaxgan.data.pictures import SUFFIXES
from jaxgan.runs.files import check_place, write_atomically
from jaxgan.errors import RunError
from jaxgan.training import TrainState, with_ema
from jaxgan.types import Array, ByPlayer, Examples

BATCH = 500  # images computed at once
NORMAL = 5000  # training images that say what is normal
SHOWN = 20  # lines of a table


def reconstruct(args: arguments.Reconstruct) -> None:
    """Writes a sheet: rows of images, each above the row of their reconstructions.

    Raises:
      UserError: as `commands.load`; the game has no encoder; or images of another size.
    """
    check_place(args.out, endings=SUFFIXES)
    experiment, state = _restore(args)
    pictures = _pictures(experiment, args.input, args.num, args.seed)
    again = _computed(partial(latent_space.reconstruct, experiment.game), state, pictures)
    columns = min(10, len(pictures))
    shown = len(pictures) // columns * columns
    rows = lambda x: x[:shown].reshape(-1, columns, *x.shape[1:])
    page = np.concatenate([rows(pictures), rows(again)], axis=1).reshape(-1, *pictures.shape[1:])
    images.save_sheet(args.out, page, columns=columns)
    error = float(np.mean((again - pictures) ** 2))
    print(
        f"{args.out}: {shown} images and their reconstructions by {args.run} at step "
        f"{int(state.step)}; mean squared error {error:.4g}"
    )


def interpolate(args: arguments.Interpolate) -> None:
    """Writes a sheet: a row per pair of images, the first, the interpolation, and the second.

    Raises:
      UserError: as `reconstruct`; or fewer than two images.
    """
    check_place(args.out, endings=SUFFIXES)
    experiment, state = _restore(args)
    pictures = _pictures(experiment, args.input, 2 * args.num, args.seed)
    half = len(pictures) // 2
    if half < 1 or args.steps < 2:
        raise RunError(
            f"there are {len(pictures)} images and --steps is {args.steps}; expected at least 2 of "
            "either"
        )
    start, end = pictures[:half], pictures[half : 2 * half]
    path = getattr(latents, args.path)
    between = _jitted(
        partial(latent_space.interpolate, experiment.game, num=args.steps, path=path),
        state,
        start,
        end,
    )
    rows = np.concatenate([start[:, None], between, end[:, None]], axis=1)
    images.save_sheet(args.out, rows.reshape(-1, *start.shape[1:]), columns=args.steps + 2)
    print(
        f"{args.out}: {half} interpolations of {args.steps} steps by {args.run} at step "
        f"{int(state.step)}, each between the two images at its ends"
    )


def latent_map(args: arguments.LatentMap) -> None:
    """Writes the decoded grid of a latent plane.

    Raises:
      UserError: as `commands.load`; or the codes do not have two dimensions.
    """
    check_place(args.out, endings=SUFFIXES)
    experiment, state = _restore(args)
    assert experiment.game.encode is not None
    shape = jax.eval_shape(
        experiment.game.encode, state.params, state.model_state, experiment.sample_batch(1)["image"]
    ).shape[1:]
    if shape != (2,):
        raise RunError(
            f"{args.run} has codes of the shape {shape} and a map is of two dimensions; train "
            "with --latent 2"
        )
    decoded = _jitted(partial(latent_space.latent_map, experiment.game, side=args.side), state)
    images.save_sheet(args.out, decoded, columns=args.side, margin=0)
    print(f"{args.out}: {args.side} x {args.side} codes decoded by {args.run} at step {state.step}")


def arithmetic(args: arguments.Arithmetic) -> None:
    """Writes a sheet: a row per image, with more and more of the difference of two mean codes.

    Raises:
      UserError: as `reconstruct`.
    """
    check_place(args.out, endings=SUFFIXES)
    experiment, state = _restore(args)
    pictures = _pictures(experiment, args.input, args.num, args.seed)
    plus, minus = (
        jnp.asarray(_pictures(experiment, folder, None, args.seed))
        for folder in (args.plus, args.minus)
    )

    def change(params: ByPlayer, model_state: ByPlayer, strength: Array) -> Array:
        x = jnp.asarray(pictures)
        return latent_space.analogy(
            experiment.game, params, model_state, x, plus=plus, minus=minus, strength=strength
        )

    strengths = np.linspace(0, 1.5, args.steps, dtype=np.float32)
    changed = [_jitted(change, state, strength) for strength in strengths]
    rows = np.stack([pictures, *changed], axis=1)
    images.save_sheet(args.out, rows.reshape(-1, *pictures.shape[1:]), columns=args.steps + 1)
    print(
        f"{args.out}: {len(pictures)} images, then with 0 to 1.5 times the difference of "
        f"{len(plus)} pictures in {args.plus} and {len(minus)} in {args.minus}"
    )


def anomalies(args: arguments.Anomalies) -> None:
    """Writes the anomaly scores of every picture of a folder, and shows the highest.

    Beside a score stands the share of the run's held-out images that have a higher one.

    Raises:
      UserError: as `reconstruct`; or the experiment does not say what the run was trained on.
    """
    check_place(args.out)
    experiment, state = _restore(args)
    folder = load_folder(args.input)
    pictures = _checked(experiment, folder, args.input)
    assert experiment.game.encode is not None
    training = as_float(_training(args.run, experiment)[:NORMAL])
    normal = jnp.asarray(_computed(experiment.game.encode, state, training))
    scores = lambda x: _computed(
        lambda params, model_state, x: latent_space.anomaly_scores(
            experiment.game, params, model_state, x, normal
        ),
        state,
        x,
    )
    found, usual = scores(pictures), scores(_held_out(experiment))
    records: list[dict[str, Any]] = [
        {"name": name}
        | {kind: float(values[i]) for kind, values in found.items()}
        | {
            f"{kind}_share_above": float(np.mean(usual[kind] > values[i]))
            for kind, values in found.items()
        }
        for i, name in enumerate(folder.names)
    ]
    records.sort(key=lambda record: -record[args.score])
    content = {"run": str(args.run), "step": int(state.step), "pictures": records}
    write_atomically(args.out, json.dumps(content, indent=2) + "\n")
    table = Table("picture", *latent_space.ANOMALY_SCORES, "held-out images above")
    for record in records[:SHOWN]:
        numbers = [f"{record[kind]:.4g}" for kind in latent_space.ANOMALY_SCORES]
        table.add_row(record["name"], *numbers, f"{record[f'{args.score}_share_above']:.2%}")
    console = Console()
    console.print(table)
    console.print(f"{args.out}: scores of {len(records)} pictures by {args.run}, by {args.score}")


# ---- what the above are made of


def _restore(args: arguments.OfCheckpoint) -> tuple[Experiment, TrainState]:
    experiment, state = commands.restore(args)
    if experiment.game.encode is None or experiment.game.decode is None:
        raise RunError(f"{args.run} is of a game that learns no codes; this is for autoencoders")
    return experiment, state


def _pictures(
    experiment: Experiment, folder: Path | None, num: int | None, seed: int
) -> np.ndarray:
    """Pictures of a folder, or held-out images in the order of a seed; `num` of them at most."""
    if num is not None and num < 1:
        raise RunError(f"--num is {num}, expected at least 1")
    if folder is not None:
        return _checked(experiment, load_folder(folder), folder)[:num]
    held_out = _held_out(experiment)
    rows = shuffled(np.arange(len(held_out)), n=len(held_out), seed=seed, epoch=0)
    return held_out[rows[:num]]


def _checked(experiment: Experiment, folder: Pictures, place: Path) -> np.ndarray:
    """All pictures of a folder, which have the size of the run's images."""
    shape = experiment.sample_batch(1)["image"].shape[1:]
    found = []
    for i in range(len(folder)):
        picture = as_float(folder.read(i))
        if picture.shape != shape:
            raise RunError(
                f"{place}: {folder.names[i]} has the shape {picture.shape} and the run's images "
                f"have {shape} (height, width, channels); resize or convert it"
            )
        found.append(picture)
    return np.stack(found)


def _held_out(experiment: Experiment) -> np.ndarray:
    """Held-out images, without those that are known to be anomalous."""
    if experiment.evaluation is None:
        raise RunError("the run's experiment has no held-out images; give --input")
    examples: Examples = experiment.evaluation.examples
    if "anomalous" in examples:
        examples = {"image": examples["image"][examples["anomalous"] == 0]}
    return as_float(examples["image"])


def _training(directory: Path, experiment: Experiment) -> np.ndarray:
    what = experiment.evaluation
    for part in () if what is None else (what, *what.parts.values()):
        if part.others is not None:
            return part.others["image"]
    raise RunError(f"{directory} is of an experiment that does not say what it was trained on")


def _jitted(function: Callable[..., Any], state: TrainState, *inputs: Any) -> Any:
    return multihost.to_host(jax.jit(function)(*with_ema(state), *inputs))


def _computed(function: Callable[..., Any], state: TrainState, pictures: np.ndarray) -> Any:
    """A function of images, of many of them."""
    apply, learned = jax.jit(function), with_ema(state)
    parts = [
        multihost.to_host(apply(*learned, pictures[i : i + BATCH]))
        for i in range(0, len(pictures), BATCH)
    ]
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)
