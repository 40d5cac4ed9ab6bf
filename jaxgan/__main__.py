"""Commands on a finished or running run: `python -m jaxgan COMMAND RUN`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.extras import SubcommandApp

from jaxgan.run import exit_on_user_error

app = SubcommandApp()
Run = Annotated[Path, tyro.conf.Positional]


@app.command
def sample(
    run: Run,
    num: int = 64,
    out: Path = Path("samples.png"),
    seed: int = 0,
    step: Literal["newest", "best"] = "newest",
) -> None:
    """Draws samples with a state of a run, its averaged parameters if there are any.

    Args:
        run: the run's directory.
        num: how many samples.
        out: the picture to write.
        seed: seed of the latents.
        step: the newest checkpoint, or the best of those that the run evaluated.
    """
    with exit_on_user_error():
        from jaxgan import commands

        commands.sample(run, out, num=num, seed=seed, best=step == "best")


@app.command
def evaluate(
    run: Run,
    metrics: tuple[str, ...] = (),
    num_samples: int | None = None,
    seed: int = 0,
    step: Literal["newest", "best"] = "newest",
    parameters: Literal["average", "last", "both"] = "average",
    inception: Path | None = None,
    out: Path | None = None,
) -> None:
    """Measures the samples of a run, and prints a record a line.

    Args:
        run: the run's directory.
        metrics: names of what to measure, such as fid kid prdc; what the experiment evaluates when
            left out.
        num_samples: how many samples; as many as the run's own evaluations when left out.
        seed: seed of the samples.
        step: the newest checkpoint, or the best of those that the run evaluated.
        parameters: the moving averages (where there are some), the last values, or both.
        inception: weight file of Inception v3, as PyTorch's FID packages have it; images are then
            measured by its features.
        out: JSON file to write the records to.
    """
    with exit_on_user_error():
        from jaxgan import commands

        commands.evaluate(
            run,
            metrics=metrics,
            num_samples=num_samples,
            seed=seed,
            best=step == "best",
            parameters=("average", "last") if parameters == "both" else (parameters,),
            inception=inception,
            out=out,
        )


@app.command
def neighbours(
    run: Run,
    num: int = 8,
    k: int = 5,
    out: Path = Path("neighbours.png"),
    seed: int = 0,
    step: Literal["newest", "best"] = "newest",
) -> None:
    """Draws samples of a run and the training images nearest to each, so that copies are seen.

    Args:
        run: the run's directory.
        num: how many samples.
        k: how many neighbours of each.
        out: the picture to write.
        seed: seed of the latents.
        step: the newest checkpoint, or the best of those that the run evaluated.
    """
    with exit_on_user_error():
        from jaxgan import commands

        commands.neighbours(run, out, num=num, k=k, seed=seed, best=step == "best")


@app.command
def translate(
    run: Run,
    input: Path,
    output: Path,
    way: str | None = None,
    step: Literal["newest", "best"] = "newest",
) -> None:
    """Translates the pictures of a folder, of any size, by a finished pix2pix or CycleGAN.

    Args:
        run: the run's directory.
        input: folder of pictures.
        output: folder for the translations, PNG files of the same names; made if need be.
        way: such as y2x, where a run translates both ways.
        step: the newest checkpoint, or the best of those that the run evaluated.
    """
    with exit_on_user_error():
        from jaxgan import commands

        commands.translate(run, input, output, way=way, best=step == "best")


@app.command
def export(
    run: Run, out: Path, player: str | None = None, step: Literal["newest", "best"] = "newest"
) -> None:
    """Writes a player's weights as safetensors, averaged if there is an average.

    The file's metadata has a record of their making: the configuration, the data's fingerprint, the
    step and its evaluation.

    Args:
        run: the run's directory.
        out: the file to write.
        player: whose weights; the only one's, or the generator's, when left out.
        step: the newest checkpoint, or the best of those that the run evaluated.
    """
    with exit_on_user_error():
        from jaxgan import commands

        commands.export(run, out, player=player, best=step == "best")


@app.command
def digest(run: Run) -> None:
    """Prints one SHA-256 over every leaf of the newest checkpoint's state, and its step.

    Args:
        run: the run's directory.
    """
    with exit_on_user_error():
        from jaxgan import commands

        commands.digest(run)


if __name__ == "__main__":
    app.cli(description=__doc__, prog="python -m jaxgan")
