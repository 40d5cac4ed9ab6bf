"""What a run compiles: its algorithm in a parallel mode, some steps per call; and the cache."""

import importlib.metadata
import math
import os
from pathlib import Path

import chex
import jax

from jaxgan import parallel
from jaxgan.errors import RunError
from jaxgan.runs.config.experiment import Config, Experiment
from jaxgan.training import TrainingAlgorithm, scan_steps


def enable_cache() -> None:
    """Enables a persistent cache for this version of jaxlib, unless the user has set one."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        folder = cache / "jaxgan" / f"jaxlib-{importlib.metadata.version('jaxlib')}"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def in_parallel(algorithm: TrainingAlgorithm, config: Config) -> TrainingAlgorithm:
    """The algorithm in the config's parallel mode; retracing its update raises an error."""
    chex.clear_trace_counter()
    mode, num_devices = config.parallel, jax.device_count()
    if mode == "auto":
        mode = "jit" if num_devices == 1 else "pmap" if jax.process_count() == 1 else "sharded"
    if mode != "sharded" and jax.process_count() > 1:
        raise RunError(
            f"--parallel {mode} is for one process, and there are {jax.process_count()}; "
            "choose --parallel sharded"
        )
    if mode != "jit" and config.batch_size % num_devices:
        raise RunError(
            f"--batch-size is {config.batch_size} and there are {num_devices} devices; "
            f"choose a multiple of {num_devices}"
            + (", or --parallel jit" if jax.process_count() == 1 else "")
        )
    return getattr(parallel, mode)(algorithm, max_traces=1)


def scanned(experiment: Experiment, config: Config, start: int, last: int) -> TrainingAlgorithm:
    """The algorithm with as many steps per update as intervals and remaining steps allow."""
    algorithm = experiment.algorithm
    intervals = (
        config.log_every,
        config.sample_every,
        config.checkpoint_every,
        config.evaluate_every,
    )
    steps = math.gcd(experiment.scan_steps, start, last - start, *intervals)
    return algorithm if steps == 1 else scan_steps(algorithm, steps)
