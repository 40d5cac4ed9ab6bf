"""Arguments of the commands on runs, one dataclass per command.

tyro generates `python -m jaxgan COMMAND --help` from them, and the functions of the commands take
them. Nothing here imports jax, so that help is shown without loading jax.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

SEEDS = 2**32  # seeds are below
Format = Literal["stablehlo", "safetensors", "onnx"]
FORMATS: tuple[Format, ...] = ("stablehlo", "safetensors")  # that `export` writes by default


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train an experiment; without a name, list the experiments."""

    experiment: Annotated[Positional[str], arg(metavar="EXPERIMENT")]
    """Name of an experiment, or the path of a file; its flags follow."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Train an experiment at every point of a grid of its flags, and print and draw a table.

    Flags of the experiment follow, and hold at all points.
    """

    experiment: Annotated[Positional[str], arg(metavar="EXPERIMENT")]
    """Name of an experiment, or the path of a file."""
    grid: Annotated[UseAppendAction[tuple[tuple[str, ...], ...]], arg(metavar="FLAG VALUE ...")]
    """A flag and its values, such as r1 0.1 1 10, or True False of a switch; several --grid give
    all combinations."""
    seeds: int = 1
    """Number of seeds of every point, trained at once."""
    halvings: int = 0
    """Successive halving: the better half of the points goes on, this many times, after a half, a
    quarter, ... of the steps."""


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """Arguments of all commands."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Directory of the run."""


@dataclass(frozen=True, kw_only=True)
class CheckpointArguments(RunArguments):
    """Arguments of all commands that restore a checkpoint."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Directory of the run; or a generator that `export` wrote, or the name of one that comes with
    the package, such as mnist-dcgan."""
    step: Literal["newest", "best"] | int = "newest"
    """Use the newest checkpoint, the one with the best evaluation, or that of a step."""
    experiment: str | None = None
    """The run's experiment, a module or the path of a file, which is executed; needed if it is
    neither one of jaxgan's nor installed."""


@dataclass(frozen=True, kw_only=True)
class DataArguments(CheckpointArguments):
    """Arguments of the commands that compare with the data of the run."""

    data_dir: Path | None = None
    """Folder of the run's data, if they are no longer where the run found them."""


@dataclass(frozen=True, kw_only=True)
class Sample(CheckpointArguments):
    """Generate samples, with the averaged parameters if there are any."""

    num: int = 64
    """Number of samples."""
    out: Path = Path("samples.png")
    """Image file for a grid of all samples; .npz for an array; or a folder for a file per sample,
    where files that exist are kept."""
    seed: int = 0
    """Seed of the samples."""
    seeds: str | None = None
    """A sample for each of these seeds, such as 0-63 or 3,7,11, in place of --num and --seed."""
    label: str | None = None
    """Class of all samples, of a conditional run, by the name of its folder, or by number."""
    truncation: float | None = None
    """Largest absolute value of the latents' coordinates: smaller values trade variety for
    fidelity."""
    columns: int | None = None
    """Number of samples per row of the grid; by default the square root of their number, or, of a
    conditional run, a multiple of the number of classes."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(DataArguments):
    """Evaluate a run, or compare two folders of images: print one record per line.

    A run's samples are compared with the real examples of its evaluation. With a second folder,
    RUN is a folder of generated images, and the second one holds the real images.
    """

    real: Annotated[Positional[Path | None], arg(metavar="[REAL]")] = None
    """Folder of real images, if RUN is a folder of generated ones."""
    metrics: tuple[str, ...] = ()
    """Names of metrics, such as fid, kid, prdc, swd, ms_ssim and memorization (an unknown
    name lists all); by default those that the run evaluates."""
    num_samples: int | None = None
    """Number of samples; by default as in the run's evaluations. For folders, all images."""
    size: str | None = None
    """Folders: size in pixels that all images are scaled to and cut in the centre, N or
    HEIGHTxWIDTH; by default each keeps its own."""
    skip_bad: bool = False
    """Folders: leave out files that cannot be read, instead of ending with an error."""
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
class Neighbors(DataArguments):
    """Show samples next to their nearest training images, to detect memorised images."""

    num: int = 8
    """Number of samples."""
    k: int = 5
    """Number of neighbours per sample."""
    out: Path = Path("neighbors.png")
    """Image file to write."""
    seed: int = 0
    """Seed of the samples."""


@dataclass(frozen=True, kw_only=True)
class Translate(CheckpointArguments):
    """Translate images of any size (pix2pix, CycleGAN, denoising, colourisation)."""

    input: Path
    """Folder of images, or one image."""
    out: Path
    """Folder for the outputs, PNG files of the same names; created if needed."""
    direction: str | None = None
    """Direction, such as y2x, if the run translates in both."""
    side: Literal["left", "right"] | None = None
    """Half of each image to translate, of pairs side by side; the whole image by default."""
    background: str | None = None
    """Colour behind transparent pixels; that of the run by default."""
    skip_bad: bool = False
    """Leave out files that cannot be read, instead of ending with an error."""


@dataclass(frozen=True, kw_only=True)
class Reconstruct(DataArguments):
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
class Encode(CheckpointArguments):
    """Encode images by an autoencoder or another game that encodes, and write their codes."""

    input: Path
    """Folder of images, or one image, resized as for the run."""
    out: Path = Path("codes.npz")
    """Archive to write: names [n] of the files, and codes [n, dim]."""
    skip_bad: bool = False
    """Leave out files that cannot be read, instead of ending with an error."""


@dataclass(frozen=True, kw_only=True)
class Interpolate(DataArguments):
    """Interpolate between pairs of latents, or of codes of images if the run's game encodes."""

    input: Path | None = None
    """Folder of images, resized as for the run, starts in its first half and ends in its second; of
    a game that encodes. By default held-out images of the run, or latents from the prior."""
    num: int = 8
    """Number of pairs."""
    steps: int = 8
    """Number of images per interpolation; between two images, which are added at its ends."""
    path: Literal["lerp", "slerp"] | None = None
    """Linear or spherical interpolation; by default spherical between latents from a prior."""
    label: str | None = None
    """Class of all images, of a conditional run, by the name of its folder, or by number."""
    out: Path = Path("interpolation.png")
    """Image file for a row per pair; or an animation of all pairs, .gif, .webp or .mp4."""
    seed: int = 0
    """Seed of the latents, or of the choice of held-out images."""


@dataclass(frozen=True, kw_only=True)
class LatentMap(CheckpointArguments):
    """Decode a grid over a two-dimensional latent space."""

    side: int = 20
    """Number of images along each axis, at quantiles of the prior."""
    out: Path = Path("map.png")
    """Image file to write."""


@dataclass(frozen=True, kw_only=True)
class Arithmetic(DataArguments):
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
class Anomalies(DataArguments):
    """Compute anomaly scores of a folder of images, and list the most anomalous first."""

    input: Path
    """Folder of images, or one image, resized as for the run."""
    score: Literal["latent", "reconstruction"] = "latent"
    """Sort by distance to the codes of training images, or by reconstruction error."""
    skip_bad: bool = False
    """Leave out files that cannot be read, instead of ending with an error."""
    out: Path = Path("anomalies.json")
    """JSON file for both scores of every image, and the share of held-out images above each."""


@dataclass(frozen=True, kw_only=True)
class Project(CheckpointArguments):
    """Invert the generator: find latents whose images are nearest to given ones."""

    input: Path
    """Folder of images of the run's size."""
    label: str | None = None
    """Class of all images, of a conditional run, by the name of its folder, or by number."""
    num_steps: int = 500
    """Number of steps of the optimisation, with Adam."""
    restarts: int = 8
    """Number of initial latents per image, of which the best result is kept."""
    out: Path = Path("projection.png")
    """Image file to write, images above their projections; latents and errors are written next to
    it, as .npz."""
    seed: int = 0
    """Seed of the initial latents."""


@dataclass(frozen=True, kw_only=True)
class DirectionArguments(CheckpointArguments):
    """Arguments of the commands that find directions."""

    method: Literal["sefa", "pca"] = "sefa"
    """Eigenvectors of the first layer's weights (SeFa), or principal components of the generated
    images (GANSpace)."""
    num: int = 8
    """Number of directions."""
    layer: str | None = None
    """Path of the first layer's weights, such as Dense_0/kernel, if it cannot be found (SeFa)."""
    seed: int = 0
    """Seed of the samples."""


@dataclass(frozen=True, kw_only=True)
class Directions(DirectionArguments):
    """Show the latent directions along which samples change most, a row per direction."""

    steps: int = 9
    """Number of images per direction."""
    distance: float = 3.0
    """Largest distance from the sample, in standard deviations of the prior."""
    label: str | None = None
    """Class of all images, of a conditional run, by the name of its folder, or by number."""
    out: Path = Path("directions.png")
    """Image file to write; the directions are written next to it, as .npz."""


@dataclass(frozen=True, kw_only=True)
class Spectrum(DataArguments):
    """Draw the leading eigenvalues of the game's Jacobian at the last parameters of a run."""

    num: int = 20
    """Number of eigenvalues."""
    which: Literal["LM", "LR", "SR", "LI"] = "LM"
    """Those of the largest modulus, the largest or smallest real part, or the largest imaginary
    part."""
    minibatch: int = 0
    """Number of the minibatch on which the field is computed."""
    tolerance: float = 1e-3
    """Largest relative residual."""
    out: Path = Path("spectrum.png")
    """Image file to write; eigenvalues and residuals are written next to it, as .npz."""


@dataclass(frozen=True, kw_only=True)
class Export(CheckpointArguments):
    """Export the model for other programs, with averaged parameters if there are any.

    stablehlo: the model as a program for CPU, GPU and TPU, which jax alone runs. onnx: the model
    as a graph for ONNX runtimes. safetensors: a player's weights; their metadata have the
    configuration, the fingerprint of the data, the step and its evaluation.
    """

    out: Path
    """Folder for the files and a model card; or one file, whose extension gives the format."""
    formats: Annotated[
        tuple[Format, ...],
        arg(name="format", metavar="FORMAT ..."),
    ] = FORMATS
    """Formats of the files in a folder."""
    player: str | None = None
    """Name of the player whose weights are written; the generator, or the only player, by
    default."""
    direction: str | None = None
    """Direction of the program, such as y2x, if the run translates in both."""
    license: str = "unknown"
    """License of the model, for the model card, such as apache-2.0."""


@dataclass(frozen=True, kw_only=True)
class Demo(DirectionArguments):
    """Write a page that runs the generator in the browser: new samples, and sliders for directions.

    A single file that needs no network and no server. It holds onnxruntime-web, which npm installs.
    """

    method: Literal["sefa", "pca"] = "pca"
    """Principal components of the generated images (GANSpace), or eigenvectors of the first layer's
    weights (SeFa)."""
    out: Path = Path("demo.html")
    """File to write."""
    runtime: Path = Path()
    """Folder in which `npm install onnxruntime-web` was run, or the package itself."""
    open: bool = False
    """Show it in the browser."""


@dataclass(frozen=True, kw_only=True)
class Digest(RunArguments):
    """Print the SHA-256 digest of the newest checkpoint, and its step."""


@dataclass(frozen=True, kw_only=True)
class Report(RunArguments):
    """Write RUN/report.html: curves, metrics, samples, and how to repeat the run.

    A single file, without network. Runs write it themselves at every evaluation and at the end.
    """

    open: bool = False
    """Show it in the browser."""


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Write a page that compares runs: a table, curves, and samples at equal steps."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN RUN ...")]
    """Directories of the runs."""
    out: Path = Path("comparison.html")
    """File to write."""
    open: bool = False
    """Show it in the browser."""


@dataclass(frozen=True, kw_only=True)
class List:
    """List the runs in a folder, with their status and best score."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")] = Path("runs")
    """Folder that holds runs, or folders of runs."""


@dataclass(frozen=True, kw_only=True)
class Watch(RunArguments):
    """Show the progress of a run that trains elsewhere, until it is complete.

    From its files alone, so that the run may train on another machine. Ctrl-C leaves it training.
    """


@dataclass(frozen=True, kw_only=True)
class Completion:
    """Print the script by which a shell completes commands, flags, their values and files."""

    shell: Positional[Literal["bash", "zsh"]]
    """The shell."""
