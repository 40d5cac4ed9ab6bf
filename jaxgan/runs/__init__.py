"""One run: its command line, its directory, its training session, and the commands on it.

Nothing that is imported here imports jax, so that `--help` answers before jax is loaded.
"""

from jaxgan.runs.cli import main as main
from jaxgan.runs.experiment import Config as Config
from jaxgan.runs.experiment import Experiment as Experiment
from jaxgan.runs.experiment import Translation as Translation
