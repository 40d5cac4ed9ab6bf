"""What is done with the codes of a run: reconstructions, paths, maps, arithmetic, anomalies."""

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

from jaxgan import codes, commands, images, latents, processes
from jaxgan.data import Pictures, as_float, load_folder, shuffled
from jaxgan.experiment import Experiment
from jaxgan.files import PICTURES, check_place, write_whole
from jaxgan.session import RunError
from jaxgan.training import TrainState, with_ema
from jaxgan.types import Examples

BATCH = 500  # images computed at once
NORMAL = 5000  # training images that say what is normal
SHOWN = 20  # lines of a table


def reconstruct(
    directory: Path, out: Path, *, source: Path | None, num: int, seed: int, best: bool
) -> None:
    """Writes a sheet: rows of images, each above the row of their reconstructions.

    Raises:
      UserError: as `commands.load`; the game has no codes; or pictures of another size.
    """
    check_place(out, endings=PICTURES)
    experiment, state = _load(directory, best=best)
    pictures = _pictures(experiment, source, num, seed)
    again = _computed(partial(codes.reconstruct, experiment.game), state, pictures)
    columns = min(10, len(pictures))
    whole = len(pictures) // columns * columns
    rows = lambda x: x[:whole].reshape(-1, columns, *x.shape[1:])
    page = np.concatenate([rows(pictures), rows(again)], axis=1).reshape(-1, *pictures.shape[1:])
    images.save_sheet(out, page, columns=columns)
    error = float(np.mean((again - pictures) ** 2))
    print(
        f"{out}: {whole} images and their reconstructions by {directory} at step "
        f"{int(state.step)}; mean squared error {error:.4g}"
    )


def interpolate(
    directory: Path,
    out: Path,
    *,
    source: Path | None,
    num: int,
    steps: int,
    path: str,
    seed: int,
    best: bool,
) -> None:
    """Writes a sheet: a row for each pair of images, the first, what is between, and the last.

    Raises:
      UserError: as `reconstruct`; or fewer than two images.
    """
    check_place(out, endings=PICTURES)
    experiment, state = _load(directory, best=best)
    pictures = _pictures(experiment, source, 2 * num, seed)
    half = len(pictures) // 2
    if half < 1 or steps < 2:
        raise RunError(
            f"there are {len(pictures)} images and --steps is {steps}; expected 2 of either"
        )
    start, end = pictures[:half], pictures[half : 2 * half]
    between = _jitted(
        partial(codes.interpolate, experiment.game, num=steps, path=getattr(latents, path)),
        state,
        start,
        end,
    )
    rows = np.concatenate([start[:, None], between, end[:, None]], axis=1)
    images.save_sheet(out, rows.reshape(-1, *start.shape[1:]), columns=steps + 2)
    print(
        f"{out}: {half} ways of {steps} steps by {directory} at step {int(state.step)}, "
        "each between the two images at its ends"
    )


def latent_map(directory: Path, out: Path, *, side: int, best: bool) -> None:
    """Writes what a plane of codes decodes to.

    Raises:
      UserError: as `commands.load`; or the codes have not two dimensions.
    """
    check_place(out, endings=PICTURES)
    experiment, state = _load(directory, best=best)
    assert experiment.game.encode is not None
    shape = jax.eval_shape(
        experiment.game.encode, state.params, state.model_state, experiment.sample_batch(1)["image"]
    ).shape[1:]
    if shape != (2,):
        raise RunError(
            f"{directory} has codes of the shape {shape} and a map is of two dimensions; train "
            "with --latent 2"
        )
    drawn = _jitted(partial(codes.latent_map, experiment.game, side=side), state)
    images.save_sheet(out, drawn, columns=side, margin=0)
    print(f"{out}: {side} x {side} codes decoded by {directory} at step {int(state.step)}")


def arithmetic(
    directory: Path,
    out: Path,
    *,
    source: Path | None,
    plus: Path,
    minus: Path,
    num: int,
    steps: int,
    seed: int,
    best: bool,
) -> None:
    """Writes a sheet: a row for each image, with more and more of what `plus` has and `minus` not.

    Raises:
      UserError: as `reconstruct`.
    """
    check_place(out, endings=PICTURES)
    experiment, state = _load(directory, best=best)
    pictures = _pictures(experiment, source, num, seed)
    examples = [jnp.asarray(_pictures(experiment, folder, None, seed)) for folder in (plus, minus)]
    change = lambda params, model_state, strength: codes.analogy(
        experiment.game,
        params,
        model_state,
        jnp.asarray(pictures),
        plus=examples[0],
        minus=examples[1],
        strength=strength,
    )
    changed = [
        _jitted(change, state, strength)
        for strength in np.linspace(0, 1.5, steps, dtype=np.float32)
    ]
    rows = np.stack([pictures, *changed], axis=1)
    images.save_sheet(out, rows.reshape(-1, *pictures.shape[1:]), columns=steps + 1)
    print(
        f"{out}: {len(pictures)} images, then with 0 to 1.5 times the difference of "
        f"{len(examples[0])} pictures in {plus} and {len(examples[1])} in {minus}"
    )


def anomalies(directory: Path, source: Path, out: Path, *, score: str, best: bool) -> None:
    """Writes how unlike the training images every picture of a folder is, and shows the worst.

    Beside a score stands the share of held-out images of the run that have a higher one.

    Raises:
      UserError: as `reconstruct`; or it is not known what the run was trained on.
    """
    check_place(out)
    experiment, state = _load(directory, best=best)
    folder = load_folder(source)
    pictures = _checked(experiment, folder, source)
    assert experiment.game.encode is not None
    training = as_float(_training(directory, experiment)[:NORMAL])
    normal = jnp.asarray(_computed(experiment.game.encode, state, training))
    scores = lambda x: _computed(
        lambda params, model_state, x: codes.anomaly_scores(
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
    records.sort(key=lambda record: -record[score])
    content = {"run": str(directory), "step": int(state.step), "pictures": records}
    write_whole(out, json.dumps(content, indent=2) + "\n")
    table = Table("picture", *codes.ANOMALY_SCORES, "held-out images above")
    for record in records[:SHOWN]:
        numbers = [f"{record[kind]:.4g}" for kind in codes.ANOMALY_SCORES]
        table.add_row(record["name"], *numbers, f"{record[f'{score}_share_above']:.2%}")
    console = Console()
    console.print(table)
    console.print(f"{out}: scores of {len(records)} pictures by {directory}, by {score}")


# ---- what the above are made of


def _load(directory: Path, *, best: bool) -> tuple[Experiment, TrainState]:
    experiment, state = commands.load(directory, best=best)
    if experiment.game.encode is None or experiment.game.decode is None:
        raise RunError(f"{directory} is of a game that learns no codes; this is for autoencoders")
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
    for look in () if what is None else (what, *what.parts.values()):
        if look.others is not None:
            return look.others["image"]
    raise RunError(f"{directory} is of an experiment that does not say what it was trained on")


def _jitted(function: Callable[..., Any], state: TrainState, *inputs: Any) -> Any:
    return processes.to_host(jax.jit(function)(*with_ema(state), *inputs))


def _computed(function: Callable[..., Any], state: TrainState, pictures: np.ndarray) -> Any:
    """A function of images, of many of them."""
    apply, learned = jax.jit(function), with_ema(state)
    parts = [
        processes.to_host(apply(*learned, pictures[i : i + BATCH]))
        for i in range(0, len(pictures), BATCH)
    ]
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)
