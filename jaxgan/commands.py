"""What is done with a run afterwards: the functions behind `python -m jaxgan COMMAND`."""

import dataclasses
import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.progress import track

from jaxgan import (
    checkpoint,
    evaluation,
    features,
    images,
    launch,
    loop,
    processes,
    session,
    weights,
)
from jaxgan.data import as_float, load_folder
from jaxgan.evaluation import Evaluation
from jaxgan.experiment import Experiment
from jaxgan.files import PICTURES, check_place, make_folder, write_whole
from jaxgan.metrics import Metric, Records, nearest
from jaxgan.session import RunError
from jaxgan.training import TrainState, with_ema


def load(directory: Path, *, best: bool = False) -> tuple[Experiment, TrainState]:
    """A run's experiment and its newest state, or its best.

    Raises:
      UserError: there is no such run, its module cannot be imported, or it has no checkpoint.

    Example:
      >>> experiment, state = load(Path("runs/mnist"), best=True)  # doctest: +SKIP
    """
    record = launch.read_record(directory)
    try:
        module = importlib.import_module(record["experiment"])
    except ImportError as error:
        raise RunError(
            f"{directory} was made by {record['experiment']}, which cannot be imported ({error}); "
            "run this where that module is found"
        ) from None
    try:
        config = module.Config(**record["config"])
    except TypeError as error:
        raise RunError(
            f"{directory} was made by another version of {record['experiment']} ({error}); "
            "use that version"
        ) from None
    experiment = launch.made(module.make, config)
    place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        jax.eval_shape(
            lambda key: loop.first_state(experiment.algorithm, experiment.minibatches, key=key),
            jax.random.key(0),
        ),
    )
    with checkpoint.open_manager(directory / "checkpoints") as manager:
        state = checkpoint.restore(manager, target, best=best)
    if state is None:
        what = "checkpoint that was evaluated" if best else "checkpoint"
        raise RunError(f"{directory} has no {what} yet; train it until its first")
    return experiment, state


def sample(directory: Path, out: Path, *, num: int, seed: int, best: bool) -> None:
    """Writes a sheet of a run's samples.

    Raises:
      UserError: as `load`, or there is nothing to draw.
    """
    if num < 1:
        raise RunError(f"--num is {num}, expected at least 1")
    check_place(out, endings=PICTURES)
    experiment, state = load(directory, best=best)
    images.save_sheet(out, session.sampler(experiment, num, seed=seed)(state))
    print(f"{out}: {num} samples of {directory} at step {int(state.step)}")


def evaluate(
    directory: Path,
    *,
    metrics: Sequence[str] = (),
    num_samples: int | None = None,
    seed: int = 0,
    best: bool = False,
    parameters: Sequence[str] = ("average",),
    inception: Path | None = None,
    out: Path | None = None,
) -> None:
    """Prints the records of a run's samples, and writes them if asked to.

    Raises:
      UserError: as `load`; or metrics of no such name; or nothing to be measured by.
    """
    if out is not None:
        check_place(out)
    experiment, state = load(directory, best=best)
    what = experiment.evaluation
    if what is None:
        raise RunError(f"{directory} is of an experiment that has nothing to be measured by")
    if inception is not None:
        what = evaluation.over(what, features.inception(inception))
    if metrics:
        what = what._replace(metrics=_chosen(what, metrics))
    if num_samples is None:
        num_samples = launch.read_record(directory)["config"]["evaluate_samples"]
    found = []
    for kind in parameters:
        records = _measured(experiment, what, state, num_samples, seed, average=kind == "average")
        print(f"{directory} at step {int(state.step)}, {kind} parameters")
        for record in records.values():
            print(f"  {record}  of {record.num_generated} samples and {record.num_real} real")
        listed = [dataclasses.asdict(record) for record in records.values()]
        found.append({"step": int(state.step), "parameters": kind, "records": listed})
    if out is not None:
        write_whole(out, json.dumps({"run": str(directory), "evaluations": found}, indent=2) + "\n")


def translate(
    directory: Path, source: Path, out: Path, *, way: str | None = None, best: bool = False
) -> None:
    """Translates every picture of a folder, whatever its size, into a PNG of the same name.

    Sides are made multiples of what the network needs by reflection, and cut back.

    Raises:
      UserError: as `load`; the run does not translate images, or not in this way; or a picture
        cannot be read, or has other channels than those that it was trained on.
    """
    make_folder(out)
    experiment, state = load(directory, best=best)
    ways = experiment.translations
    if not ways:
        raise RunError(f"{directory} is of an experiment that does not translate images")
    if way is not None and way not in ways:
        raise RunError(f"--way is {way}, expected one of {', '.join(ways)}")
    translation = ways[way or next(iter(ways))]
    pictures = load_folder(source)
    if pictures.channels != translation.channels:
        raise RunError(
            f"the pictures in {source} have {pictures.channels} channels, and {directory} was "
            f"trained on pictures of {translation.channels}; convert them"
        )
    apply = jax.jit(translation.apply)  # compiled anew for every size
    for i in track(range(len(pictures)), "translating"):
        picture = as_float(pictures.read(i))
        height, width, _ = picture.shape
        more = [(0, -side % translation.multiple) for side in (height, width)]
        padded = np.pad(picture, [*more, (0, 0)], mode="reflect")
        output = apply(*with_ema(state), padded[None])[0, :height, :width]
        images.save_sheet(out / f"{pictures.names[i]}.png", output[None], margin=0)
    print(f"{out}: {len(pictures)} pictures of {source}, by {directory} at step {int(state.step)}")


def neighbours(directory: Path, out: Path, *, num: int, k: int, seed: int, best: bool) -> None:
    """Writes a sheet of samples, each followed by its nearest training images, by their pixels.

    Raises:
      UserError: as `load`, or it is not known what the run was trained on.
    """
    if num < 1 or k < 1:
        raise RunError(f"--num is {num} and --k is {k}, expected at least 1")
    check_place(out, endings=PICTURES)
    experiment, state = load(directory, best=best)
    if experiment.evaluation is None or experiment.evaluation.others is None:
        raise RunError(f"{directory} is of an experiment that does not say what it was trained on")
    training = as_float(experiment.evaluation.others[experiment.evaluation.target])
    samples = session.sampler(experiment, num, seed=seed)(state)
    flat = lambda rows: np.reshape(rows, (len(rows), -1))
    distances, found = nearest(flat(samples), flat(training), k)
    rows = np.concatenate([samples[:, None], training[found]], axis=1)
    images.save_sheet(out, rows.reshape(-1, *samples.shape[1:]), columns=k + 1)
    print(
        f"{out}: {num} samples of {directory} at step {int(state.step)}, each followed by its {k} "
        f"nearest training images, at distances from {distances[:, 0].min():.3g}; "
        "`evaluate --metrics memorization` says whether that is close"
    )


def export(directory: Path, out: Path, *, player: str | None = None, best: bool = False) -> None:
    """Writes a player's weights, and the record of their making.

    Raises:
      UserError: as `load`, or there is no such player.
    """
    check_place(out)
    record = launch.read_record(directory)
    experiment, state = load(directory, best=best)
    players = list(experiment.game.losses)
    chosen = player or ("generator" if "generator" in players else players[0])
    if chosen not in players or (player is None and chosen != "generator" and len(players) > 1):
        raise RunError(f"--player is {player}, expected one of {', '.join(players)}")
    params, model_state = processes.to_host([of_all[chosen] for of_all in with_ema(state)])
    step = int(state.step)
    weights.save(
        out,
        params,
        model_state,
        record={
            "experiment": record["experiment"],
            "player": chosen,
            "averaged": chosen in state.ema_params,
            "step": step,
            "config": {
                name: value for name, value in record["config"].items() if name not in launch.FREE
            },
            "data": {name: record["data"][name] for name in ("name", "fingerprint")},
            "versions": record["sessions"][-1]["versions"],
            "evaluation": _evaluation_of(directory, step),
        },
    )
    print(f"{out}: the {chosen} of {directory} at step {step}, {out.stat().st_size:,} bytes")


def digest(directory: Path) -> None:
    """Prints the digest of a run's newest state.

    Raises:
      UserError: there is no run, or no checkpoint of it.
    """
    launch.read_record(directory)
    state = checkpoint.restore_plain(directory / "checkpoints")
    print(f"{checkpoint.digest(state)}  step {int(state['step'])}")


def _chosen(what: Evaluation, names: Sequence[str]) -> Mapping[str, Metric]:
    known = [*what.metrics, *what.more]
    if unknown := sorted(set(names) - set(known)):
        raise RunError(f"--metrics has {', '.join(unknown)}; this run knows {', '.join(known)}")
    return {
        name: what.metrics[name] if name in what.metrics else what.more[name]() for name in names
    }


def _measured(
    experiment: Experiment,
    what: Evaluation,
    state: TrainState,
    num_samples: int,
    seed: int,
    *,
    average: bool,
) -> Records:
    try:
        measure = evaluation.evaluator(
            experiment.game, what, num_samples=num_samples, seed=seed, average=average
        )
    except ValueError as error:
        raise RunError(str(error)) from None
    return measure(state)


def _evaluation_of(directory: Path, step: int) -> list[dict[str, Any]]:
    """Records of the step in `evaluation.json`, if there are any."""
    path = directory / "evaluation.json"
    entries = json.loads(path.read_text())["evaluations"] if path.exists() else []
    return next((entry["records"] for entry in entries if entry["step"] == step), [])
