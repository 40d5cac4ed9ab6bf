"""Commands on a run: sample, evaluate, neighbours, translate, export, digest."""

import dataclasses
import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.progress import track

from jaxgan import checkpoint, evaluation, features, images, loop, weights
from jaxgan.runs import launch, session
from jaxgan.parallel import multihost
from jaxgan.data import as_float, load_folder
from jaxgan.evaluation import Evaluation
from jaxgan.runs.experiment import Config, Experiment, resumable_fields
from jaxgan.runs.record import read_record
from jaxgan.data.pictures import SUFFIXES
from jaxgan.runs import arguments
from jaxgan.runs.files import check_place, make_folder, write_atomically
from jaxgan.metrics import Metric, Records, nearest
from jaxgan.errors import RunError
from jaxgan.training import TrainState, with_ema


def load(directory: Path, *, best: bool = False) -> tuple[Experiment, TrainState]:
    """A run's experiment and its newest state, or its best.

    Raises:
      UserError: there is no such run, its module cannot be imported, or it has no checkpoint.

    Example:
      >>> experiment, state = load(Path("runs/mnist"), best=True)  # doctest: +SKIP
    """
    record = read_record(directory)
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
    experiment = launch.build(module.make, config)
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


def sample(args: arguments.Sample) -> None:
    """Writes a sheet of a run's samples.

    Raises:
      UserError: as `load`, or there is nothing to draw.
    """
    if args.num < 1:
        raise RunError(f"--num is {args.num}, expected at least 1")
    check_place(args.out, endings=SUFFIXES)
    experiment, state = restore(args)
    images.save_sheet(args.out, session.sampler(experiment, args.num, seed=args.seed)(state))
    print(f"{args.out}: {args.num} samples of {args.run} at step {int(state.step)}")


def evaluate(args: arguments.Evaluate) -> None:
    """Prints the records of a run's samples, and writes them if asked to.

    Raises:
      UserError: as `load`; unknown names of metrics; or the experiment has no evaluation.
    """
    if args.out is not None:
        check_place(args.out)
    experiment, state = restore(args)
    what = experiment.evaluation
    if what is None:
        raise RunError(f"{args.run} is of an experiment that has no evaluation")
    if args.inception is not None:
        what = evaluation.over(what, features.inception(args.inception))
    if args.metrics:
        what = what._replace(metrics=_chosen(what, args.metrics))
    num_samples = args.num_samples
    if num_samples is None:
        num_samples = read_record(args.run)["config"]["evaluate_samples"]
    parameters = ("average", "last") if args.parameters == "both" else (args.parameters,)
    found = []
    for kind in parameters:
        average = kind == "average"
        records = _evaluated(experiment, what, state, num_samples, args.seed, average=average)
        print(f"{args.run} at step {int(state.step)}, {kind} parameters")
        for record in records.values():
            print(f"  {record}  of {record.num_generated} samples and {record.num_real} real")
        listed = [dataclasses.asdict(record) for record in records.values()]
        found.append({"step": int(state.step), "parameters": kind, "records": listed})
    if args.out is not None:
        content = {"run": str(args.run), "evaluations": found}
        write_atomically(args.out, json.dumps(content, indent=2) + "\n")


def translate(args: arguments.Translate) -> None:
    """Translates every picture of a folder, whatever its size, into a PNG of the same name.

    Sides are padded by reflection to multiples of what the network needs, and cropped back.

    Raises:
      UserError: as `load`; the run does not translate images, or not in this direction; or a
        picture cannot be read, or has other channels than those that it was trained on.
    """
    make_folder(args.output)
    experiment, state = restore(args)
    ways = experiment.translations
    if not ways:
        raise RunError(f"{args.run} is of an experiment that does not translate images")
    if args.way is not None and args.way not in ways:
        raise RunError(f"--way is {args.way}, expected one of {', '.join(ways)}")
    translation = ways[args.way or next(iter(ways))]
    pictures = load_folder(args.input)
    if pictures.channels != translation.channels:
        raise RunError(
            f"the pictures in {args.input} have {pictures.channels} channels, and {args.run} was "
            f"trained on pictures of {translation.channels}; convert them"
        )
    apply = jax.jit(translation.apply)  # compiled anew for every size
    for i in track(range(len(pictures)), "translating"):
        picture = as_float(pictures.read(i))
        height, width, _ = picture.shape
        more = [(0, -side % translation.multiple) for side in (height, width)]
        padded = np.pad(picture, [*more, (0, 0)], mode="reflect")
        output = apply(*with_ema(state), padded[None])[0, :height, :width]
        images.save_sheet(args.output / f"{pictures.names[i]}.png", output[None], margin=0)
    print(
        f"{args.output}: {len(pictures)} pictures of {args.input}, by {args.run} at step "
        f"{int(state.step)}"
    )


def neighbours(args: arguments.Neighbours) -> None:
    """Writes a sheet of samples, each followed by its nearest training images, by their pixels.

    Raises:
      UserError: as `load`, or the experiment does not say what the run was trained on.
    """
    if args.num < 1 or args.k < 1:
        raise RunError(f"--num is {args.num} and --k is {args.k}, expected at least 1")
    check_place(args.out, endings=SUFFIXES)
    experiment, state = restore(args)
    if experiment.evaluation is None or experiment.evaluation.others is None:
        raise RunError(f"{args.run} is of an experiment that does not say what it was trained on")
    training = as_float(experiment.evaluation.others[experiment.evaluation.target])
    samples = session.sampler(experiment, args.num, seed=args.seed)(state)
    flat = lambda rows: np.reshape(rows, (len(rows), -1))
    distances, found = nearest(flat(samples), flat(training), args.k)
    rows = np.concatenate([samples[:, None], training[found]], axis=1)
    images.save_sheet(args.out, rows.reshape(-1, *samples.shape[1:]), columns=args.k + 1)
    print(
        f"{args.out}: {args.num} samples of {args.run} at step {int(state.step)}, each followed by "
        f"its {args.k} nearest training images, at distances from {distances[:, 0].min():.3g}; "
        "`evaluate --metrics memorization` says whether that is close"
    )


def export(args: arguments.Export) -> None:
    """Writes a player's weights, and the record of their making.

    Raises:
      UserError: as `load`, or there is no such player.
    """
    check_place(args.out)
    record = read_record(args.run)
    experiment, state = restore(args)
    players = list(experiment.game.losses)
    chosen = args.player or ("generator" if "generator" in players else players[0])
    if chosen not in players or (not args.player and chosen != "generator" and len(players) > 1):
        raise RunError(f"--player is {args.player}, expected one of {', '.join(players)}")
    params, model_state = multihost.to_host([of_all[chosen] for of_all in with_ema(state)])
    step = int(state.step)
    free = resumable_fields(Config)
    weights.save(
        args.out,
        params,
        model_state,
        record={
            "experiment": record["experiment"],
            "player": chosen,
            "averaged": chosen in state.ema_params,
            "step": step,
            "config": {name: x for name, x in record["config"].items() if name not in free},
            "data": {name: record["data"][name] for name in ("name", "fingerprint")},
            "versions": record["sessions"][-1]["versions"],
            "evaluation": _evaluation_of(args.run, step),
        },
    )
    size = args.out.stat().st_size
    print(f"{args.out}: the {chosen} of {args.run} at step {step}, {size:,} bytes")


def digest(args: arguments.Digest) -> None:
    """Prints the digest of a run's newest state.

    Raises:
      UserError: there is no run, or no checkpoint of it.
    """
    read_record(args.run)
    state = checkpoint.restore_plain(args.run / "checkpoints")
    print(f"{checkpoint.digest(state)}  step {int(state['step'])}")


def restore(args: arguments.OfCheckpoint) -> tuple[Experiment, TrainState]:
    """The experiment and the state that a command asks for; raises as `load`."""
    return load(args.run, best=args.step == "best")


def _chosen(what: Evaluation, names: Sequence[str]) -> Mapping[str, Metric]:
    known = [*what.metrics, *what.more]
    if unknown := sorted(set(names) - set(known)):
        raise RunError(f"--metrics has {', '.join(unknown)}; this run knows {', '.join(known)}")
    return {
        name: what.metrics[name] if name in what.metrics else what.more[name]() for name in names
    }


def _evaluated(
    experiment: Experiment,
    what: Evaluation,
    state: TrainState,
    num_samples: int,
    seed: int,
    *,
    average: bool,
) -> Records:
    try:
        evaluate = evaluation.evaluator(
            experiment.game, what, num_samples=num_samples, seed=seed, average=average
        )
    except ValueError as error:
        raise RunError(str(error)) from None
    return evaluate(state)


def _evaluation_of(directory: Path, step: int) -> list[dict[str, Any]]:
    """Records of the step in `evaluation.json`, if there are any."""
    path = directory / "evaluation.json"
    entries = json.loads(path.read_text())["evaluations"] if path.exists() else []
    return next((entry["records"] for entry in entries if entry["step"] == step), [])
