"""Commands on a run: sample, evaluate, translate, neighbours, export, digest."""

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
from jaxgan.data import PictureOptions, Pictures, as_float, conversions_in_words, load_folder
from jaxgan.data.decode import SUFFIXES
from jaxgan.errors import PictureError, RunError
from jaxgan.evaluation import Evaluation
from jaxgan.metrics import Metric, Records, nearest
from jaxgan.parallel import multihost
from jaxgan.runs import arguments, launch, session
from jaxgan.runs.config_json import read_config_json
from jaxgan.runs.experiment import Config, Experiment, resumable_fields
from jaxgan.runs.files import check_place, make_folder, write_atomically
from jaxgan.training import TrainState, with_ema


def load(directory: Path, *, best: bool = False) -> tuple[Experiment, TrainState]:
    """Loads a run: its experiment, and its newest or best state on one device.

    Args:
      directory: directory of the run.
      best: load the state with the best evaluation instead of the newest.

    Raises:
      UserError: the directory has no run or no checkpoint, or the experiment's module cannot be
        imported.

    Example:
      >>> experiment, state = load(Path("runs/mnist"), best=True)  # doctest: +SKIP
    """
    record = read_config_json(directory)
    try:
        module = importlib.import_module(record["experiment"])
    except ImportError as error:
        raise RunError(
            f"{directory} was made by {record['experiment']}, which cannot be imported ({error}); "
            "run this command where the module can be imported"
        ) from None
    try:
        config = module.Config(**record["config"])
    except TypeError as error:
        raise RunError(
            f"{directory} was made by another version of {record['experiment']} ({error}); "
            "use that version"
        ) from None
    experiment = launch.build(module.make, config)
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        jax.eval_shape(
            lambda key: loop.first_state(experiment.algorithm, experiment.minibatches, key=key),
            jax.random.key(0),
        ),
    )
    with checkpoint.open_manager(directory / "checkpoints") as manager:
        state = checkpoint.restore(manager, target, best=best)
    if state is None:
        what = "evaluated checkpoint" if best else "checkpoint"
        raise RunError(f"{directory} has no {what} yet; train until the first one")
    return experiment, state


def sample(args: arguments.Sample) -> None:
    """Writes a grid of a run's samples.

    Raises:
      UserError: an error of `load`, or the game has no samples.
    """
    if args.num < 1:
        raise RunError(f"--num is {args.num}, expected at least 1")
    check_place(args.out, endings=SUFFIXES)
    experiment, state = restore(args)
    images.save_sheet(args.out, session.sampler(experiment, args.num, seed=args.seed)(state))
    print(f"{args.out}: {args.num} samples of {args.run} at step {int(state.step)}")


def evaluate(args: arguments.Evaluate) -> None:
    """Evaluates a run or a folder of pictures, prints the records, and writes them if asked to.

    Raises:
      UserError: an error of `load` or `load_folder`, unknown features or metrics, or the experiment
        has no evaluation.
    """
    if args.out is not None:
        check_place(args.out)
    evaluations = _evaluated_run(args) if args.real is None else [_evaluated_folder(args)]
    for entry in evaluations:
        print(entry["title"])
        for record in entry["records"].values():
            print(f"  {record}  of {record.num_generated} samples and {record.num_real} real")
    if args.out is not None:
        for entry in evaluations:
            del entry["title"]
            entry["records"] = [dataclasses.asdict(r) for r in entry["records"].values()]
        content = {"run": str(args.run), "evaluations": evaluations}
        write_atomically(args.out, json.dumps(content, indent=2) + "\n")


def _evaluated_run(args: arguments.Evaluate) -> list[dict[str, Any]]:
    """Records of the averaged or the last parameters of a run, or of both."""
    experiment, state = restore(args)
    spec = experiment.evaluation
    if spec is None:
        raise RunError(f"{args.run} is a run of an experiment without evaluation")
    if args.features is not None:
        spec = evaluation.over(spec, features.by_name(args.features, resize=args.resize))
    if args.metrics:
        spec = spec._replace(metrics=_selected(spec, args.metrics))
    num_samples = args.num_samples
    if num_samples is None:
        num_samples = read_config_json(args.run)["config"]["evaluate_samples"]
    parameters = ("average", "last") if args.parameters == "both" else (args.parameters,)
    step = int(state.step)
    return [
        {
            "title": f"{args.run} at step {step}, {kind} parameters",
            "step": step,
            "parameters": kind,
            "records": _records(
                experiment, spec, state, num_samples, args.seed, average=kind == "average"
            ),
        }
        for kind in parameters
    ]


def _evaluated_folder(args: arguments.Evaluate) -> dict[str, Any]:
    """Records of a folder of generated pictures against a folder of real ones."""
    assert args.real is not None
    chosen = features.by_name(args.features or "random", resize=args.resize)
    if args.num_samples is not None and args.num_samples < 1:
        raise RunError(f"--num-samples is {args.num_samples}, expected at least 1")
    real, generated = load_folder(args.real), load_folder(args.run)
    if real.channels != generated.channels:  # features of grey and of colour are not comparable
        colour = PictureOptions(channels=3)
        real, generated = load_folder(args.real, colour), load_folder(args.run, colour)
    folders = {"real": real, "generated": generated}
    names = args.metrics or ("fid", "kid", "prdc")
    available = evaluation.measurable(chosen, folders["real"].read(0)[None])
    if unknown := sorted(set(names) - set(available)):
        raise RunError(
            f"--metrics has {', '.join(unknown)}, expected some of {', '.join(available)}"
        )
    measures = [evaluation.MEASURES[name](chosen) for name in names]
    records = evaluation.of_pictures(measures, **folders, limit=args.num_samples)
    return {"title": f"{args.run} against {args.real}", "real": str(args.real), "records": records}


def translate(args: arguments.Translate) -> None:
    """Translates images of any size into PNG files of the same names.

    Images are padded by reflection to the multiples that the network supports, and the outputs
    cropped to the original size.

    Raises:
      UserError: an error of `load`; the run does not translate images, or not in this direction; an
        image cannot be read; or an output would overwrite an input or another output.
    """
    make_folder(args.output)
    experiment, state = restore(args)
    translations = experiment.translations
    if not translations:
        raise RunError(f"{args.run} is a run of an experiment that does not translate images")
    if args.way is not None and args.way not in translations:
        raise RunError(f"--way is {args.way}, expected one of {', '.join(translations)}")
    translation = translations[args.way or next(iter(translations))]
    pictures = _inputs(args, translation.channels, experiment.data.get("background", "white"))
    outputs = _outputs(args, pictures)
    apply = jax.jit(translation.apply)  # recompiled for every size
    pairs = 0
    for i in track(range(len(pictures)), "translating"):
        image = as_float(_half(pictures.read(i), args.side, pictures.names[i]))
        height, width, _ = image.shape
        pairs += width == 2 * height
        padding = [(0, -side % translation.multiple) for side in (height, width)]
        padded = np.pad(image, [*padding, (0, 0)], mode="reflect")
        output = apply(*with_ema(state), padded[None])[0, :height, :width]
        make_folder(outputs[i].parent)
        images.save_sheet(outputs[i], output[None], margin=0)
    print(
        f"{args.output}: {len(pictures)} images of {args.input} translated by {args.run} at step "
        f"{int(state.step)}"
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
      UserError: an error of `load`, or the experiment's evaluation has no training images.
    """
    if args.num < 1 or args.k < 1:
        raise RunError(f"--num is {args.num} and --k is {args.k}, expected at least 1")
    check_place(args.out, endings=SUFFIXES)
    experiment, state = restore(args)
    if experiment.evaluation is None or experiment.evaluation.others is None:
        raise RunError(
            f"{args.run} is a run of an experiment whose evaluation has no training images"
        )
    training = as_float(experiment.evaluation.others[experiment.evaluation.target])
    samples = session.sampler(experiment, args.num, seed=args.seed)(state)
    flatten = lambda rows: np.reshape(rows, (len(rows), -1))
    distances, indices = nearest(flatten(samples), flatten(training), args.k)
    rows = np.concatenate([samples[:, None], training[indices]], axis=1)
    images.save_sheet(args.out, rows.reshape(-1, *samples.shape[1:]), columns=args.k + 1)
    print(
        f"{args.out}: {args.num} samples of {args.run} at step {int(state.step)}, each followed by "
        f"its {args.k} nearest training images, at distances from {distances[:, 0].min():.3g}; "
        "`evaluate --metrics memorization` tests whether that indicates memorisation"
    )


def export(args: arguments.Export) -> None:
    """Exports a player's weights, with their provenance as metadata.

    Raises:
      UserError: an error of `load`, or the game has no such player.
    """
    check_place(args.out)
    record = read_config_json(args.run)
    experiment, state = restore(args)
    players = list(experiment.game.losses)
    player = args.player or ("generator" if "generator" in players else players[0])
    if player not in players or (not args.player and player != "generator" and len(players) > 1):
        raise RunError(f"--player is {args.player}, expected one of {', '.join(players)}")
    params, model_state = multihost.to_host([by_player[player] for by_player in with_ema(state)])
    step = int(state.step)
    resumable = resumable_fields(Config)
    weights.save(
        args.out,
        params,
        model_state,
        record={
            "experiment": record["experiment"],
            "player": player,
            "averaged": player in state.ema_params,
            "step": step,
            "config": {name: x for name, x in record["config"].items() if name not in resumable},
            "data": {name: record["data"][name] for name in ("name", "fingerprint")},
            "versions": record["sessions"][-1]["versions"],
            "evaluation": _read_evaluation(args.run, step),
        },
    )
    size = args.out.stat().st_size
    print(f"{args.out}: the {player} of {args.run} at step {step}, {size:,} bytes")


def digest(args: arguments.Digest) -> None:
    """Prints the digest of a run's newest state, and its step.

    Raises:
      UserError: the directory has no run, or the run has no checkpoint.
    """
    read_config_json(args.run)
    state = checkpoint.restore_plain(args.run / "checkpoints")
    print(f"{checkpoint.digest(state)}  step {int(state['step'])}")


def restore(args: arguments.CheckpointArguments) -> tuple[Experiment, TrainState]:
    """Loads the run and the checkpoint of a command's arguments; raises the errors of `load`."""
    return load(args.run, best=args.step == "best")


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
        todo = "replace or remove it, or give --skip-bad"
        raise PictureError(error.file, error.why, todo) from None


def _outputs(args: arguments.Translate, pictures: Pictures) -> list[Path]:
    """Files to write, none of them an input, and no two of them the same."""
    if (
        args.output.resolve()
        == (args.input if args.input.is_dir() else args.input.parent).resolve()
    ):
        raise RunError(f"--output is the folder of --input, {args.output}; choose another")
    outputs = [args.output / f"{name}.png" for name in pictures.names]
    inputs = {file.resolve() for file in pictures.files}
    first: dict[Path, Path] = {}
    for file, output in zip(pictures.files, outputs, strict=True):
        if output.resolve() in inputs:
            raise RunError(
                f"{output} is an input, and would be overwritten; choose another --output"
            )
        if output in first:
            raise RunError(
                f"{first[output]} and {file} would both become {output}; rename one of them"
            )
        first[output] = file
    return outputs


def _half(picture: np.ndarray, side: str | None, name: str) -> np.ndarray:
    """The left or right half of an image, or all of it."""
    if side is None:
        return picture
    if picture.shape[1] % 2:
        raise RunError(
            f"{name} is {picture.shape[1]} pixels wide; pairs side by side have an even width: "
            "leave out --side"
        )
    return np.split(picture, 2, axis=1)[side == "right"]


def _what_was_done(pictures: Pictures) -> str:
    """What was converted and left out, as the end of a sentence; empty if nothing was."""
    words = ""
    if pictures.conversions:
        words += f"; converted: {conversions_in_words(pictures.conversions)}"
    if pictures.left_out:
        words += f"; left out, since they cannot be read: {', '.join(pictures.left_out)}"
    return words


def _selected(spec: Evaluation, names: Sequence[str]) -> Mapping[str, Metric]:
    available = [*spec.metrics, *spec.more]
    if unknown := sorted(set(names) - set(available)):
        raise RunError(
            f"--metrics has {', '.join(unknown)}, expected some of {', '.join(available)}"
        )
    return {
        name: spec.metrics[name] if name in spec.metrics else spec.more[name]() for name in names
    }


def _records(
    experiment: Experiment,
    spec: Evaluation,
    state: TrainState,
    num_samples: int,
    seed: int,
    *,
    average: bool,
) -> Records:
    try:
        evaluate = evaluation.evaluator(
            experiment.game, spec, num_samples=num_samples, seed=seed, average=average
        )
    except ValueError as error:
        raise RunError(str(error)) from None
    return evaluate(state)


def _read_evaluation(directory: Path, step: int) -> list[dict[str, Any]]:
    """Records of a step in `evaluation.json`; empty if there are none."""
    path = directory / "evaluation.json"
    entries = json.loads(path.read_text())["evaluations"] if path.exists() else []
    return next((entry["records"] for entry in entries if entry["step"] == step), [])
