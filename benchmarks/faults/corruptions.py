"""Damaged checkpoints: a run never goes on with wrong values, and always goes on.

The newest of three checkpoints is damaged. It is either restored with the right values, or the one
before it is, with a warning; then the next state is saved, and it is the newest that is restored.
"""

import collections
import random
import shutil
import tempfile
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from benchmarks.faults.mutations import damage_folder
from benchmarks.faults.watched import TookTooLong, at_most
from jaxgan import checkpoint
from jaxgan.training import TrainState

STEPS = (10, 20, 30)
SECONDS = 30


def state(step: int) -> TrainState:
    """A small state, another one at every step."""
    rng = np.random.default_rng(step)
    array = lambda *shape: jnp.asarray(rng.standard_normal(shape, np.float32))
    params = {"g": {"Dense_0": {"kernel": array(8, 8), "bias": array(8)}}, "d": {"w": array(3)}}
    return TrainState(
        step=jnp.int32(step),
        params=params,
        model_state={"g": {"mean": array(8)}, "d": {}},
        opt_state={"g": (array(8, 8), jnp.int32(step)), "d": ()},
        ema_params={"g": params["g"]},
        ema_model_state={"g": {"mean": array(8)}},
    )


def write(directory: Path) -> None:
    """Three checkpoints, of which the first is the best."""
    with checkpoint.open_manager(directory) as manager:
        for step in STEPS:
            checkpoint.save(manager, state(step), score=-float(step))


def outcome(directory: Path) -> str:
    """What becomes of a run with these: restored, fallback, or a name of what is wrong."""
    with warnings.catch_warnings(record=True) as caught, at_most(SECONDS):
        warnings.simplefilter("always")
        try:
            with checkpoint.open_manager(directory) as manager:
                restored = checkpoint.restore(manager, state(0))
            step = int(restored.step)
            if checkpoint.digest(restored) != checkpoint.digest(state(step)):
                return "WRONG VALUES"
            checkpoint.set_aside(directory, after=step)
            with checkpoint.open_manager(directory) as manager:
                checkpoint.save(manager, state(step + 10))
            with checkpoint.open_manager(directory) as manager:
                newest = checkpoint.restore(manager, state(0))
        except TookTooLong:
            return "HANG"
        except Exception as error:
            return f"ERROR {type(error).__name__}: {str(error)[:200]}"
        if checkpoint.digest(newest) != checkpoint.digest(state(step + 10)):
            return "NOT SAVED"
    warned = any("is damaged" in str(warning.message) for warning in caught)
    if step == STEPS[-1]:
        return "restored"
    return "fallback" if warned else "SILENT FALLBACK"


def corruptions(num: int, seed: int) -> dict[str, int]:
    """Number of damaged checkpoints by outcome; what is wrong is printed."""
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as temporary:
        whole, directory = Path(temporary) / "whole", Path(temporary) / "run" / "checkpoints"
        write(whole)
        for i in range(num):
            rng = random.Random(f"{seed} {i}")
            shutil.copytree(whole, directory)
            newest, before = (directory / str(step) for step in STEPS[:0:-1])
            what = damage_folder(newest, rng, other=before)
            found = outcome(directory)
            counts[found.partition(":")[0]] += 1
            if found not in ("restored", "fallback"):
                print(f"{i}: {what}: {found}", flush=True)
            shutil.rmtree(directory.parent)
    return dict(counts)
