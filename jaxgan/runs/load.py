"""Runs and exported models, loaded from their directories and files.

A run is read without its data: networks are built from the shapes in `config.json`. What compares
with the data (`evaluate`, `neighbors`, ...) loads them too, and checks that they are the run's.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jaxgan import checkpoint, loop
from jaxgan.errors import DataError, RunError, UserError
from jaxgan.runs import launch
from jaxgan.runs.config import find
from jaxgan.runs.config.experiment import Config, Experiment
from jaxgan.runs.directory import exported
from jaxgan.runs.directory.config_json import (
    check_same_data,
    read_config,
    read_config_json,
    record_path,
)
from jaxgan.runs.run import Run
from jaxgan.training import TrainState
from jaxgan.types import Batch


def load_run(
    directory: str | Path,
    *,
    step: Literal["newest", "best"] | int = "newest",
    with_data: bool = False,
    data_dir: str | Path | None = None,
    experiment: str | Path | None = None,
) -> Run:
    """Loads a run from its directory, or from a file that `export` wrote, on one device.

    The code of its experiment is executed: one of jaxgan's or of an installed package, as recorded
    in `config.json`, or the one that is named here.

    Args:
      directory: directory of the run; or a `.safetensors` file with the weights of its generator,
        which has one step, and parameters of that player only.
      step: the newest checkpoint, the one with the best evaluation, or that of a step.
      with_data: whether to load the data too, for `experiment.minibatches` and
        `experiment.evaluation`. Not needed for samples.
      data_dir: folder of the data, if they are no longer where the run found them.
      experiment: the run's experiment, a module or the path of a file, if it is neither one of
        jaxgan's nor installed.

    Returns:
      The run.

    Raises:
      UserError: the directory has no run or no intact checkpoint, or the file none that was
        exported; its configuration is refused; the experiment is not found, or must be named; or,
        with data, they are missing or differ from those of the run.

    Example:
      >>> run = load_run("runs/mnist", step="best")  # doctest: +SKIP
      >>> images = run.sample(16, label=7)  # doctest: +SKIP
    """
    directory = Path(directory)
    is_file = directory.is_file()
    if isinstance(step, np.integer):
        step = int(step)
    if type(step) is not int and step not in ("newest", "best"):
        raise RunError(f"step is {step!r}, expected newest, best, or the number of a step")
    record = (exported.read_record if is_file else read_config_json)(directory)
    named = None if experiment is None else str(experiment)
    module = find.of_run(directory, record["experiment"], named=named)
    config, make = read_config(directory, record, module.Config), module.make
    if data_dir is not None:
        config = dataclasses.replace(config, data_dir=str(data_dir))
    elif is_file and with_data and getattr(config, "data", None) == "folder":
        raise RunError(
            f"{directory} is a model of the images in a folder, {record['data']['name']}; give "
            "--data-dir, that folder"
        )
    data = config.load_data() if with_data else _blank_data(directory, config, record)
    own = config
    if not with_data and hasattr(config, "evaluate_features"):  # whose file may be elsewhere
        own = dataclasses.replace(config, evaluate_features="auto")
    try:
        built = launch.build(make, own, data)
    except UserError as error:
        raise RunError(f"the configuration of {directory} is refused: {error}") from None
    if with_data:
        check_same_data(directory, record["data"], built.data)
    state = (
        exported.read_state(directory, record, built)
        if is_file
        else _restored(directory, built, step)
    )
    if is_file and built.evaluation is not None:
        computable = exported.computable(built.evaluation, built.game, state)
        built = built._replace(evaluation=computable)
    if not with_data:
        built = built._replace(minibatches=_no_minibatches, evaluation=None)
    return Run(directory, record, config, built, state)


def pretrained(name: str, *, with_data: bool = False, data_dir: str | Path | None = None) -> Run:
    """Loads a generator that comes with the package.

    Its `record` has the configuration, the data, and the scores with their protocol
    (`record["evaluation"]`); the model card is next to the weights, `README.md` in the folder of
    `directory`.

    Args:
      name: its name; an unknown one raises an error that lists them.
      with_data, data_dir: as in `load_run`.

    Returns:
      The generator as a `Run`, with parameters of that player only.

    Raises:
      UserError: there is none of that name; or an error of `load_run`.

    Example:
      >>> pretrained("mixture-ring").sample(3).shape
      (3, 2)
    """
    return load_run(exported.path_of(name), with_data=with_data, data_dir=data_dir)


def _blank_data(directory: Path, config: Config, record: Mapping[str, Any]) -> Any:
    try:
        return config.blank_data(record["data"])
    except (TypeError, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise RunError(
            f"{record_path(directory)} is damaged (its data: {error}); restore it from a copy"
        ) from None


def _restored(
    directory: Path, experiment: Experiment, step: Literal["newest", "best"] | int
) -> TrainState:
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        jax.eval_shape(
            lambda key: loop.first_state(experiment.algorithm, experiment.minibatches, key=key),
            jax.random.key(0),
        ),
    )
    with checkpoint.open_manager(directory / "checkpoints") as manager:
        number = step if isinstance(step, int) else None
        state = checkpoint.restore(manager, target, best=step == "best", step=number)
    if state is None and step == "best":
        raise RunError(
            f"{directory} has no evaluated checkpoint: its first evaluation comes later, or there "
            "is none (--evaluate-every 0); use the newest checkpoint"
        )
    if state is None:
        raise RunError(f"{directory} has no checkpoint yet; train until the first one")
    return state


def _no_minibatches(start: int, count: int) -> Batch:
    raise DataError("the run was loaded without its data; load it with its data")
