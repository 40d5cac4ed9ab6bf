"""Records of checkpoints: step, digest, structure, score and number of rollbacks, with a seal."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxgan.files import replacing


def read_record(directory: str | Path, step: int) -> dict[str, Any]:
    """The record of a checkpoint: its step, digest, score (or `None`) and number of rollbacks.

    Args:
      directory: directory of the checkpoints.
      step: step of the checkpoint.

    Returns:
      `step`, `digest`, `structure`, `score`, `rollbacks` and the `seal`, by name.

    Raises:
      ValueError: it is missing or damaged.

    Example:
      >>> import tempfile
      >>> import jax.numpy as jnp
      >>> from jaxgan import checkpoint, training
      >>> params = {"g": {"w": jnp.ones(2)}}
      >>> state = training.TrainState(jnp.int32(7), params, {"g": {}}, {}, {}, {})
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     with checkpoint.open_manager(Path(folder)) as manager:
      ...         checkpoint.save(manager, state, score=-12.5)
      ...     record = read_record(Path(folder), 7)
      >>> record["step"], record["score"], record["digest"] == checkpoint.digest(state)
      (7, -12.5, True)
    """
    try:
        record = json.loads((Path(directory) / str(step) / "record" / "metadata").read_bytes())
        plain = {name: value for name, value in record.items() if name != "seal"}
        if record["seal"] != _seal(plain) or record["step"] != step:
            raise ValueError("its seal is that of another record")
    except (OSError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"its record is damaged: {error}") from None
    return record


def set_score(directory: str | Path, step: int, score: float) -> None:
    """Writes the score of a checkpoint that was saved without one; no manager may be saving it.

    Args:
      directory: directory of the checkpoints.
      step: step of the checkpoint.
      score: its evaluation score, higher is better.

    Raises:
      ValueError: its record is damaged.

    Example:
      >>> import tempfile
      >>> import jax.numpy as jnp
      >>> from jaxgan import checkpoint, training
      >>> params = {"g": {"w": jnp.ones(2)}}
      >>> state = training.TrainState(jnp.int32(7), params, {"g": {}}, {}, {}, {})
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     with checkpoint.open_manager(Path(folder)) as manager:
      ...         checkpoint.save(manager, state)
      ...     set_score(Path(folder), 7, 0.5)
      ...     read_record(Path(folder), 7)["score"]
      0.5
    """
    record = read_record(directory, step) | {"score": score}
    del record["seal"]
    path = Path(directory) / str(step) / "record" / "metadata"
    with replacing(path) as part:
        part.write_text(json.dumps(sealed(record)), encoding="utf-8")


class NewestAndBest:
    """Policy that keeps the newest checkpoints and the one with the highest score."""

    def __init__(self, directory: Path, newest: int) -> None:
        self._directory, self._newest = directory, newest

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        scores = [
            info.metrics["score"] if info.metrics else score_of(self._directory, info.step)
            for info in checkpoints
        ]
        best = max(range(len(scores)), key=lambda i: (scores[i], i), default=0)
        first = len(checkpoints) - self._newest
        return [i >= first or i == best for i in range(len(checkpoints))]


def score_of(directory: Path, step: int) -> float:
    """Score of a checkpoint; minus infinity if it has none, or is damaged."""
    try:
        score = read_record(directory, step)["score"]
    except ValueError:
        return -math.inf
    return -math.inf if score is None or math.isnan(score) else score


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its seal."""
    return {**record, "seal": _seal(record)}


def _seal(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
