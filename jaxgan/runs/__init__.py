"""Runs: command line, run directory, training session, and commands on a run.

Nothing imported here imports jax, so that `--help` is shown without loading jax.
"""

from jaxgan.runs.cli import main as main
from jaxgan.runs.config.algorithms import AlgorithmConfig as AlgorithmConfig
from jaxgan.runs.config.experiment import Config as Config
from jaxgan.runs.config.experiment import Experiment as Experiment
from jaxgan.runs.config.experiment import Translation as Translation
from jaxgan.runs.config.experiment import flag as flag
from jaxgan.runs.config.image_flags import ImageFlags as ImageFlags
from jaxgan.runs.config.image_flags import SizedImageFlags as SizedImageFlags
from jaxgan.runs.config.presets import Preset as Preset
from jaxgan.runs.config.presets import with_preset as with_preset
from jaxgan.runs.config.training_config import TrainingConfig as TrainingConfig
