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
    """Translates the pictures of a folder, of any size: by pix2pix, CycleGAN, or an autoencoder
    that takes away noise or gives colour.

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
def reconstruct(
    run: Run,
    input: Path | None = None,
    num: int = 50,
    out: Path = Path("reconstructions.png"),
    seed: int = 0,
    step: Literal["newest", "best"] = "newest",
) -> None:
    """Draws images above their reconstructions, by an autoencoder or a relative.

    Args:
        run: the run's directory.
        input: folder of pictures of the run's size; held-out images of the run when left out.
        num: how many at most.
        out: the picture to write.
        seed: which held-out images.
        step: the newest checkpoint, or the best of those that the run evaluated.
    """
    with exit_on_user_error():
        from jaxgan import code_commands

        code_commands.reconstruct(run, out, source=input, num=num, seed=seed, best=step == "best")


@app.command
def interpolate(
    run: Run,
    input: Path | None = None,
    num: int = 8,
    steps: int = 8,
    path: Literal["lerp", "slerp"] = "lerp",
    out: Path = Path("interpolation.png"),
    seed: int = 0,
    step: Literal["newest", "best"] = "newest",
) -> None:
    """Draws ways between the codes of images: the first, what is between, and the last.

    Args:
        run: the run's directory.
        input: folder of pictures of the run's size, whose second half are the ends; held-out images
            of the run when left out.
        num: how many ways.
        steps: images on a way.
        path: straight, or on the sphere.
        out: the picture to write.
        seed: which held-out images.
        step: the newest checkpoint, or the best of those that the run evaluated.
    """
    with exit_on_user_error():
        from jaxgan import code_commands

        code_commands.interpolate(
            run,
            out,
            source=input,
            num=num,
            steps=steps,
            path=path,
            seed=seed,
            best=step == "best",
        )


@app.command
def latent_map(
    run: Run,
    side: int = 20,
    out: Path = Path("map.png"),
    step: Literal["newest", "best"] = "newest",
) -> None:
    """Draws what the plane of codes decodes to, of a run whose codes have two dimensions.

    Args:
        run: the run's directory.
        side: images along either axis, at the quantiles of the prior.
        out: the picture to write.
        step: the newest checkpoint, or the best of those that the run evaluated.
    """
    with exit_on_user_error():
        from jaxgan import code_commands

        code_commands.latent_map(run, out, side=side, best=step == "best")


@app.command
def arithmetic(
    run: Run,
    plus: Path,
    minus: Path,
    input: Path | None = None,
    num: int = 8,
    steps: int = 7,
    out: Path = Path("arithmetic.png"),
    seed: int = 0,
    step: Literal["newest", "best"] = "newest",
) -> None:
    """Draws images with more and more of what one folder of pictures has and another has not.

    Args:
        run: the run's directory.
        plus: folder of pictures with something.
        minus: folder of pictures without it.
        input: folder of pictures that are changed; held-out images of the run when left out.
        num: how many at most.
        steps: strengths, from 0 to 1.5 times the difference of the mean codes.
        out: the picture to write.
        seed: which held-out images.
        step: the newest checkpoint, or the best of those that the run evaluated.
    """
    with exit_on_user_error():
        from jaxgan import code_commands

        code_commands.arithmetic(
            run,
            out,
            source=input,
            plus=plus,
            minus=minus,
            num=num,
            steps=steps,
            seed=seed,
            best=step == "best",
        )


@app.command
def anomalies(
    run: Run,
    input: Path,
    score: Literal["latent", "reconstruction"] = "latent",
    out: Path = Path("anomalies.json"),
    step: Literal["newest", "best"] = "newest",
) -> None:
    """Says how unlike the run's training images pictures are, the most unlike first.

    Args:
        run: the run's directory.
        input: folder of pictures of the run's size.
        score: what they are ordered by: the distance of codes from those of training images, or the
            error of the reconstruction.
        out: JSON file with both scores of every picture, and the share of held-out images above.
        step: the newest checkpoint, or the best of those that the run evaluated.
    """
    with exit_on_user_error():
        from jaxgan import code_commands

        code_commands.anomalies(run, input, out, score=score, best=step == "best")


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
