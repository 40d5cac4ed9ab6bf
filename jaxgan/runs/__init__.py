"""Runs: command line, run directory, training session, and commands on a run.

Nothing imported here imports jax, so that `--help` is shown without loading jax.
"""

from jaxgan.runs.algorithms import AlgorithmConfig as AlgorithmConfig
from jaxgan.runs.cli import main as main
from jaxgan.runs.experiment import Config as Config
from jaxgan.runs.experiment import Experiment as Experiment
from jaxgan.runs.experiment import Translation as Translation
from jaxgan.runs.experiment import flag as flag
from jaxgan.runs.pictures import PictureFlags as PictureFlags
from jaxgan.runs.pictures import SizedPictureFlags as SizedPictureFlags
from jaxgan.runs.presets import Preset as Preset
from jaxgan.runs.presets import with_preset as with_preset
from jaxgan.runs.training_config import TrainingConfig as TrainingConfig
