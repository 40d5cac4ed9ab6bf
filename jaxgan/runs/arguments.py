"""Arguments of the commands on runs, one dataclass per command.

tyro generates `python -m jaxgan COMMAND --help` from them, and the functions in `commands` and
`latent_commands` take them. Nothing here imports jax, so that help is shown without loading jax.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """Arguments of all commands."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Directory of the run."""


@dataclass(frozen=True, kw_only=True)
class CheckpointArguments(RunArguments):
    """Arguments of all commands that restore a checkpoint."""

    step: Literal["newest", "best"] = "newest"
    """Use the newest checkpoint, or the one with the best evaluation."""


@dataclass(frozen=True, kw_only=True)
class Sample(CheckpointArguments):
    """Generate a grid of samples, with the averaged parameters if there are any."""

    num: int = 64
    """Number of samples."""
    out: Path = Path("samples.png")
    """Image file to write."""
    seed: int = 0
    """Seed of the samples."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(CheckpointArguments):
    """Evaluate a run, or compare two folders of pictures: print one record per line.

    A run's samples are compared with the real examples of its evaluation. With a second folder,
    RUN is a folder of generated pictures, and the second one holds the real pictures.
    """

    real: Annotated[Positional[Path | None], arg(metavar="[REAL]")] = None
    """Folder of real pictures, if RUN is a folder of generated ones."""
    metrics: tuple[str, ...] = ()
    """Names of metrics, such as fid kid prdc; by default those that the run evaluates."""
    num_samples: int | None = None
    """Number of samples; by default as in the run's evaluations. Of a folder, all pictures."""
    seed: int = 0
    """Seed of the samples."""
    parameters: Literal["average", "last", "both"] = "average"
    """Evaluate the moving averages (where there are any), the last parameters, or both."""
    features: str | None = None
    """Features of the metrics: digits, random, pixels, or the path of Inception's weight file, as
    PyTorch's FID packages download it; by default those of the run, and random for folders."""
    resize: Literal["clean", "legacy_pytorch", "legacy_tensorflow"] = "clean"
    """How images are resized for Inception; scores are comparable at equal resizes only."""
    out: Path | None = None
    """JSON file to write the records to."""


@dataclass(frozen=True, kw_only=True)
class Neighbours(CheckpointArguments):
    """Show samples next to their nearest training images, to detect memorised images."""

    num: int = 8
    """Number of samples."""
    k: int = 5
    """Number of neighbours per sample."""
    out: Path = Path("neighbours.png")
    """Image file to write."""
    seed: int = 0
    """Seed of the samples."""


@dataclass(frozen=True, kw_only=True)
class Translate(CheckpointArguments):
    """Translate images of any size (pix2pix, CycleGAN, denoising, colourisation)."""

    input: Path
    """Folder of images, or one image."""
    output: Path
    """Folder for the outputs, PNG files of the same names; created if needed."""
    way: str | None = None
    """Direction, such as y2x, if the run translates in both."""
    side: Literal["left", "right"] | None = None
    """Half of each image to translate, of pairs side by side; the whole image by default."""
    background: str | None = None
    """Colour behind transparent pixels; that of the run by default."""
    skip_bad: bool = False
    """Leave out files that cannot be read, instead of ending with an error."""


@dataclass(frozen=True, kw_only=True)
class Reconstruct(CheckpointArguments):
    """Show images above their reconstructions by an autoencoder."""

    input: Path | None = None
    """Folder of images, or one image, resized as for the run; held-out images of the run by
    default."""
    num: int = 50
    """Maximum number of images."""
    out: Path = Path("reconstructions.png")
    """Image file to write."""
    seed: int = 0
    """Seed of the choice of held-out images."""


@dataclass(frozen=True, kw_only=True)
class Interpolate(CheckpointArguments):
    """Interpolate between the codes of pairs of images."""

    input: Path | None = None
    """Folder of images, resized as for the run, starts in its first half and ends in its second;
    held-out images of the run by default."""
    num: int = 8
    """Number of pairs."""
    steps: int = 8
    """Number of images per interpolation."""
    path: Literal["lerp", "slerp"] = "lerp"
    """Linear or spherical interpolation."""
    out: Path = Path("interpolation.png")
    """Image file to write."""
    seed: int = 0
    """Seed of the choice of held-out images."""


@dataclass(frozen=True, kw_only=True)
class LatentMap(CheckpointArguments):
    """Decode a grid over a two-dimensional latent space."""

    side: int = 20
    """Number of images along each axis, at quantiles of the prior."""
    out: Path = Path("map.png")
    """Image file to write."""


@dataclass(frozen=True, kw_only=True)
class Arithmetic(CheckpointArguments):
    """Add an attribute to images by latent arithmetic, with the difference of two mean codes."""

    plus: Path
    """Folder of images with the attribute."""
    minus: Path
    """Folder of images without the attribute."""
    input: Path | None = None
    """Folder of images to change; held-out images of the run by default."""
    num: int = 8
    """Maximum number of images."""
    steps: int = 7
    """Number of strengths, from 0 to 1.5 times the difference of the mean codes."""
    out: Path = Path("arithmetic.png")
    """Image file to write."""
    seed: int = 0
    """Seed of the choice of held-out images."""


@dataclass(frozen=True, kw_only=True)
class Anomalies(CheckpointArguments):
    """Compute anomaly scores of a folder of images, and list the most anomalous first."""

    input: Path
    """Folder of images, or one image, resized as for the run."""
    score: Literal["latent", "reconstruction"] = "latent"
    """Sort by distance to the codes of training images, or by reconstruction error."""
    out: Path = Path("anomalies.json")
    """JSON file for both scores of every image, and the share of held-out images above each."""


@dataclass(frozen=True, kw_only=True)
class Export(CheckpointArguments):
    """Export a player's weights as safetensors, with averaged parameters if there are any.

    The metadata of the file has the configuration, the fingerprint of the data, the step and its
    evaluation.
    """

    out: Path
    """File to write."""
    player: str | None = None
    """Name of the player; the generator, or the only player, by default."""


@dataclass(frozen=True, kw_only=True)
class Digest(RunArguments):
    """Print the SHA-256 digest of the newest checkpoint, and its step."""
