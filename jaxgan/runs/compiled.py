"""The training algorithm of a run as it is compiled: its parallel mode, and steps per call."""

import math

import chex
import jax

from jaxgan import parallel
from jaxgan.errors import RunError
from jaxgan.runs.experiment import Config, Experiment
from jaxgan.training import TrainingAlgorithm, scan_steps


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
