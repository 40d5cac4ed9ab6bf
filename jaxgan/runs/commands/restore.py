"""The run that a command is given, and what several commands do with it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan import checkpoint
from jaxgan.errors import RunError
from jaxgan.runs.command_line import arguments
from jaxgan.runs.config import find
from jaxgan.runs.directory import exported
from jaxgan.runs.directory.files import write_atomically
from jaxgan.runs.load import load_run
from jaxgan.runs.run import Run
from jaxgan.runs.session import compiled


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


def as_images(run: Run, samples: np.ndarray) -> np.ndarray:
    """The samples, checked to be images."""
    if samples.ndim != 4:
        raise RunError(
            f"{run.directory} has samples of the shape {samples.shape[1:]}, which are not images; "
            "write them as an array, --out samples.npz"
        )
    return samples


def training_images(run: Run) -> np.ndarray:
    """Training images of the run, from its evaluation."""
    evaluation = run.experiment.evaluation
    for part in () if evaluation is None else (evaluation, *evaluation.parts.values()):
        if part.others is not None:
            return part.others["image"]
    raise RunError(
        f"{run.directory} is a run of an experiment whose evaluation has no training images"
    )


def check_origin(folder: Path, what: str, run: Run, details: Mapping[str, Any]) -> None:
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
