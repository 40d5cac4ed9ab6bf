"""Exported runs: a single file with a player's weights and their record, as `export` writes it.

Generators that come with the package are such files, in `jaxgan/zoo`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxgan import weights
from jaxgan.errors import RunError, WeightsError
from jaxgan.game import Game
from jaxgan.runs.config.experiment import Experiment
from jaxgan.runs.directory.config_json import check_parts
from jaxgan.training import TrainState
from jaxgan.tree import by_path, path_name

if TYPE_CHECKING:
    from jaxgan.evaluation import Evaluation

ZOO = Path(__file__).parents[2] / "zoo"
FILE = "generator.safetensors"


def names() -> list[str]:
    """Names of the generators that come with the package.

    Example:
      >>> "mixture-ring" in names()
      True
    """
    return sorted(path.parent.name for path in ZOO.glob(f"*/{FILE}"))


def path_of(name: str) -> Path:
    """The file of a generator that comes with the package.

    Raises:
      RunError: there is none of that name.
    """
    if name not in names():
        raise RunError(f"there is no pretrained {name}, expected one of {', '.join(names())}")
    return ZOO / name / FILE


def read_record(path: Path) -> dict[str, Any]:
    """The record of a file, with the parts of the `config.json` of a run.

    Raises:
      UserError: the file is damaged, or has no record of a run.
    """
    record = weights.record(path)
    data = record.get("data")
    found = record | {
        "sessions": [{"versions": record.get("versions")}],
        "data": {"source": str(path)} | data if isinstance(data, dict) else data,
    }
    try:
        check_parts(found)
        step, player = record.get("step"), record.get("player")
        if not (type(step) is int and 0 <= step < 2**31 and isinstance(player, str)):
            raise ValueError(f"its step is {step!r}, its player {player!r}")
    except ValueError as error:
        raise RunError(
            f"{path} is not a model that `jaxgan export` wrote ({error}); its weights are read by "
            "jaxgan.weights.load"
        ) from None
    return found


def read_state(path: Path, record: Mapping[str, Any], experiment: Experiment) -> TrainState:
    """The state with the weights of a file, which are those of a player of the experiment.

    Raises:
      UserError: the file is damaged; or its weights are not those of the experiment's networks, or
        not of all players that it decodes with.
    """
    player, game = record["player"], experiment.game
    key, batch = jax.random.key(0), experiment.sample_batch(1)
    params, model_state = jax.eval_shape(game.init, key, batch)
    expected = {"params": params.get(player), "model_state": model_state.get(player)}
    arrays = weights.load_arrays(path)
    if {name: (x.shape, x.dtype) for name, x in by_path(expected).items()} != {
        name: (x.shape, x.dtype) for name, x in arrays.items()
    }:
        raise WeightsError(
            f"{path} has other arrays than the {player} of {record['experiment']}; restore the "
            "file from a copy, or use the version of jaxgan that wrote it"
        )
    found = jax.tree_util.tree_map_with_path(lambda at, _: arrays[path_name(at)], expected)
    state = TrainState(
        step=jnp.asarray(record["step"], jnp.int32),
        params={player: jax.tree.map(jnp.asarray, found["params"])},
        model_state={player: jax.tree.map(jnp.asarray, found["model_state"])},
        opt_state={},
        ema_params={},
        ema_model_state={},
    )
    try:
        if game.sample is not None:
            jax.eval_shape(game.sample, state.params, state.model_state, batch, key)
    except KeyError as error:
        raise RunError(
            f"{path} has the weights of the {player} alone, and its samples take those of {error}"
        ) from None
    return state


def computable(evaluation: "Evaluation", game: Game, state: TrainState) -> "Evaluation":
    """An evaluation without the parts that need players which a file does not have."""
    from jaxgan.evaluation import trace  # here, since importing metrics takes time

    parts = {}
    for name, part in evaluation.parts.items():
        try:
            trace(game, part, state)
        except KeyError:
            continue
        parts[name] = part
    return evaluation._replace(parts=parts)


# ---- helpers of the above
