"""Arguments of the commands on runs, a dataclass per command.

`python -m jaxgan COMMAND --help` is made of them (tyro), and the functions in `commands` and
`latent_commands` take them. Nothing here imports jax, so that help is shown before jax is loaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True, kw_only=True)
class OfRun:
    """What every command has."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run's directory."""


@dataclass(frozen=True, kw_only=True)
class OfCheckpoint(OfRun):
    """What every command has that restores a checkpoint."""

    step: Literal["newest", "best"] = "newest"
    """The newest checkpoint, or the best of those that the run evaluated."""


@dataclass(frozen=True, kw_only=True)
class Sample(OfCheckpoint):
    """Generate a sheet of samples, with the averaged parameters if there are any."""

    num: int = 64
    """Number of samples."""
    out: Path = Path("samples.png")
    """Image file to write."""
    seed: int = 0
    """Seed of the latents."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(OfCheckpoint):
    """Compute the metrics of a run's samples, and print one record per line."""

    metrics: tuple[str, ...] = ()
    """Names of metrics, such as fid kid prdc; those of the run's own evaluations by default."""
    num_samples: int | None = None
    """Number of samples; as many as in the run's own evaluations by default."""
    seed: int = 0
    """Seed of the samples."""
    parameters: Literal["average", "last", "both"] = "average"
    """The moving averages (where there are some), the last values, or both."""
    inception: Path | None = None
    """Weight file of Inception v3 as PyTorch's FID packages have it; metrics are then computed over
    its features."""
    out: Path | None = None
    """JSON file to write the records to."""


@dataclass(frozen=True, kw_only=True)
class Neighbours(OfCheckpoint):
    """Show samples next to their nearest training images, to see whether any is a copy."""

    num: int = 8
    """Number of samples."""
    k: int = 5
    """Number of neighbours of each."""
    out: Path = Path("neighbours.png")
    """Image file to write."""
    seed: int = 0
    """Seed of the latents."""


@dataclass(frozen=True, kw_only=True)
class Translate(OfCheckpoint):
    """Translate a folder of images of any size: by pix2pix, CycleGAN, a denoiser or a colouriser."""

    input: Path
    """Folder of images."""
    output: Path
    """Folder for the translations, PNG files of the same names; created if needed."""
    way: str | None = None
    """Direction, such as y2x, where a run translates in both."""


@dataclass(frozen=True, kw_only=True)
class Reconstruct(OfCheckpoint):
    """Show images above their reconstructions, by an autoencoder or a relative."""

    input: Path | None = None
    """Folder of images of the run's size; held-out images of the run by default."""
    num: int = 50
    """Maximal number of images."""
    out: Path = Path("reconstructions.png")
    """Image file to write."""
    seed: int = 0
    """Seed of the choice of held-out images."""


@dataclass(frozen=True, kw_only=True)
class Interpolate(OfCheckpoint):
    """Interpolate between the codes of pairs of images."""

    input: Path | None = None
    """Folder of images of the run's size, its second half being the ends; held-out images of the
    run by default."""
    num: int = 8
    """Number of pairs."""
    steps: int = 8
    """Images per interpolation."""
    path: Literal["lerp", "slerp"] = "lerp"
    """Linear, or spherical."""
    out: Path = Path("interpolation.png")
    """Image file to write."""
    seed: int = 0
    """Seed of the choice of held-out images."""


@dataclass(frozen=True, kw_only=True)
class LatentMap(OfCheckpoint):
    """Decode a grid over the latent plane, of a run with two latent dimensions."""

    side: int = 20
    """Images along either axis, at the quantiles of the prior."""
    out: Path = Path("map.png")
    """Image file to write."""


@dataclass(frozen=True, kw_only=True)
class Arithmetic(OfCheckpoint):
    """Latent arithmetic: add the difference of two folders' mean codes to images."""

    plus: Path
    """Folder of images with an attribute."""
    minus: Path
    """Folder of images without it."""
    input: Path | None = None
    """Folder of images to change; held-out images of the run by default."""
    num: int = 8
    """Maximal number of images."""
    steps: int = 7
    """Strengths, from 0 to 1.5 times the difference of the mean codes."""
    out: Path = Path("arithmetic.png")
    """Image file to write."""
    seed: int = 0
    """Seed of the choice of held-out images."""


@dataclass(frozen=True, kw_only=True)
class Anomalies(OfCheckpoint):
    """Anomaly scores of a folder of images, the most anomalous first."""

    input: Path
    """Folder of images of the run's size."""
    score: Literal["latent", "reconstruction"] = "latent"
    """Sort by the distance to the codes of training images, or by the reconstruction error."""
    out: Path = Path("anomalies.json")
    """JSON file with both scores of every image, and the share of held-out images above each."""


@dataclass(frozen=True, kw_only=True)
class Export(OfCheckpoint):
    """Write a player's weights as safetensors, averaged if there is an average.

    The file's metadata has a record of their making: the configuration, the data's fingerprint, the
    step and its evaluation.
    """

    out: Path
    """File to write."""
    player: str | None = None
    """Which player; the generator, or the only one, by default."""


@dataclass(frozen=True, kw_only=True)
class Digest(OfRun):
    """Print a SHA-256 over all leaves of the newest checkpoint's state, and its step."""
