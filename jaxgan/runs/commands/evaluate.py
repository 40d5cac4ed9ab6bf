"""Command that measures: a run, or a folder of images against another one."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan import evaluation, features
from jaxgan.data import ImageFiles, ImageOptions, load_folder
from jaxgan.errors import ImageError, RunError
from jaxgan.evaluation import Evaluation
from jaxgan.metrics import Records
from jaxgan.runs.command_line import arguments
from jaxgan.runs.commands.restore import restore
from jaxgan.runs.config.image_flags import parse_size
from jaxgan.runs.directory.files import check_place, write_atomically
from jaxgan.runs.run import Run
from jaxgan.runs.session.session import has_metrics


def evaluate(args: arguments.Evaluate) -> None:
    """Evaluates a run or a folder of images, prints the records, and writes them if asked to.

    Raises:
      UserError: an error of `load_run` or `load_folder`, unknown features or metrics, or the
        experiment has no evaluation.
    """
    if args.out is not None:
        check_place(args.out, endings={".json"})
    if args.resize != "clean" and args.features is None:
        raise RunError("--resize is for the network of --features; give both")
    evaluations = _evaluated_run(args) if args.real is None else [_evaluated_folder(args)]
    for entry in evaluations:
        print(entry["title"])
        for record in entry["records"].values():
            real = f" and {record.num_real} real" if record.num_real else ""
            print(f"  {record}  of {record.num_generated} samples{real}")
    if args.out is not None:
        for entry in evaluations:
            del entry["title"]
            entry["records"] = [dataclasses.asdict(r) for r in entry["records"].values()]
        content = {"run": str(args.run), "evaluations": evaluations}
        write_atomically(args.out, json.dumps(content, indent=2) + "\n")


def _evaluated_run(args: arguments.Evaluate) -> list[dict[str, Any]]:
    """Records of the averaged or the last parameters of a run, or of both."""
    if args.size is not None or args.skip_bad:
        raise RunError("--size and --skip-bad are for two folders, and a run was given")
    run = restore(args, with_data=True)
    if run.record.get("averaged") and args.parameters != "average":
        raise RunError(
            f"{args.run} has only averaged parameters; leave out --parameters {args.parameters}"
        )
    spec = run.experiment.evaluation
    if spec is None:
        raise RunError(f"{args.run} is a run of an experiment without evaluation")
    if args.features is not None:
        spec = evaluation.over(spec, features.by_name(args.features, resize=args.resize))
    if args.metrics:
        spec = _selected(spec, args.metrics)
    if not has_metrics(spec):
        num = len(spec.examples[spec.target])
        raise RunError(f"{args.run} has {num} held-out examples, too few for the default metrics")
    num_samples = args.num_samples
    if num_samples is None:
        num_samples = run.config.evaluate_samples
    parameters = ("average", "last") if args.parameters == "both" else (args.parameters,)
    return [
        {
            "title": f"{args.run} at step {run.step}, {kind} parameters",
            "step": run.step,
            "parameters": kind,
            "records": _records(run, spec, num_samples, args.seed, average=kind == "average"),
        }
        for kind in parameters
    ]


def _evaluated_folder(args: arguments.Evaluate) -> dict[str, Any]:
    """Records of a folder of generated images against a folder of real ones."""
    assert args.real is not None
    for folder in (args.run, args.real):
        if (folder / "config.json").exists():
            raise RunError(
                f"{folder} is a run, whose images are curves and grids; write samples with `jaxgan "
                "sample RUN --out FOLDER`, and compare that folder"
            )
    for flag, given in (
        ("--step", args.step != "newest"),
        ("--parameters", args.parameters != "average"),
        ("--seed", args.seed != 0),
        ("--experiment", args.experiment is not None),
        ("--data-dir", args.data_dir is not None),
    ):
        if given:
            raise RunError(f"{flag} is for runs, and two folders were given; leave it out")
    chosen = features.by_name(args.features or "random", resize=args.resize)
    if args.num_samples is not None and args.num_samples < 1:
        raise RunError(f"--num-samples is {args.num_samples}, expected at least 1")
    real, generated = _opened_folders(args, args.real)
    one = real.read(0)
    available = evaluation.measurable(chosen, np.broadcast_to(one, (len(real), *one.shape)))
    names = args.metrics or [name for name in ("fid", "kid", "prdc") if name in available]
    if unknown := sorted(set(names) - set(available)):
        raise RunError(
            f"--metrics has {', '.join(unknown)}, expected some of {', '.join(available)}"
        )
    measures = [evaluation.MEASURES[name](chosen) for name in names]
    for name, metric in zip(names, measures, strict=True):
        _check_enough(args.run, generated, name, metric.min_generated)
        _check_enough(args.real, real, name, metric.min_real)
    records = evaluation.of_image_files(
        measures, real=real, generated=generated, limit=args.num_samples
    )
    return {"title": f"{args.run} against {args.real}", "real": str(args.real), "records": records}


def _opened_folders(args: arguments.Evaluate, real_folder: Path) -> tuple[ImageFiles, ImageFiles]:
    """Real and generated images, with equal numbers of channels."""
    options = ImageOptions(size=parse_size(args.size), skip_bad=args.skip_bad)
    try:
        real, generated = (load_folder(folder, options) for folder in (real_folder, args.run))
    except ImageError as error:
        raise error.with_flag() from None
    if real.channels != generated.channels:  # features of grey and of colour are not comparable
        color = dataclasses.replace(options, channels=3)
        real, generated = (load_folder(folder, color) for folder in (real_folder, args.run))
    for folder, image_files in ((real_folder, real), (args.run, generated)):
        if image_files.left_out:
            names = ", ".join(image_files.left_out)
            print(f"{folder}: left out, since they cannot be read: {names}")
    if args.size is None and len(sizes := _first_sizes(real, generated)) > 1:
        print(
            f"WARNING: the images have different sizes, such as {' and '.join(sizes[:2])} "
            "pixels, which features see; give one size to all, such as --size 64"
        )
    return real, generated


def _check_enough(folder: Path, image_files: ImageFiles, name: str, least: int) -> None:
    """Raises a `RunError` if there are too few images for a metric."""
    if len(image_files) < least:
        raise RunError(
            f"{folder} has {len(image_files)} images, and {name} needs at least {least}; choose "
            "others by --metrics"
        )


def _first_sizes(*sets: ImageFiles) -> list[str]:
    """Different sizes among the first images of some folders."""
    shapes = [one.read(i).shape for one in sets for i in range(min(len(one), 8))]
    return list(dict.fromkeys(f"{height} x {width}" for height, width, _ in shapes))


def _selected(spec: Evaluation, names: Sequence[str]) -> Evaluation:
    """The evaluation with metrics of these names alone, in itself and in all of its parts."""
    available = dict.fromkeys(_names_of(spec))  # parts have some in common
    if unknown := sorted(set(names) - set(available)):
        raise RunError(
            f"--metrics has {', '.join(unknown)}, expected some of {', '.join(available)}"
        )
    return _only(spec, names)


def _names_of(spec: Evaluation) -> list[str]:
    of_parts = (name for part in spec.parts.values() for name in _names_of(part))
    return [*spec.metrics, *spec.more, *of_parts]


def _only(spec: Evaluation, names: Sequence[str]) -> Evaluation:
    own = {
        name: spec.metrics[name] if name in spec.metrics else spec.more[name]()
        for name in names
        if name in spec.metrics or name in spec.more
    }
    parts = {name: _only(part, names) for name, part in spec.parts.items()}
    parts = {name: part for name, part in parts.items() if has_metrics(part)}
    return spec._replace(metrics=own, parts=parts, best=None)


def _records(
    run: Run,
    spec: Evaluation,
    num_samples: int | None,
    seed: int,
    *,
    average: bool,
) -> Records:
    try:
        evaluate = evaluation.evaluator(
            run.game, spec, num_samples=num_samples, seed=seed, average=average
        )
    except ValueError as error:
        raise RunError(str(error)) from None
    return evaluate(run.state)
