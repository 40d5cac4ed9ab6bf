"""Commands on a finished or running run: `python -m jaxgan COMMAND RUN`."""

from pathlib import Path
from typing import Annotated

import tyro
from tyro.extras import SubcommandApp

from jaxgan.run import exit_on_user_error

app = SubcommandApp()
Run = Annotated[Path, tyro.conf.Positional]


@app.command
def sample(run: Run, num: int = 64, out: Path = Path("samples.png"), seed: int = 0) -> None:
    """Draws samples with the newest state of a run, its averaged parameters if there are any.

    Args:
        run: the run's directory.
        num: how many samples.
        out: the picture to write.
        seed: seed of the latents.
    """
    with exit_on_user_error():
        from jaxgan import images, launch

        if num < 1:
            raise launch.RunError(f"--num is {num}, expected at least 1")
        experiment, state = launch.load(run)
        images.save_sheet(out, launch.sampler(experiment, num, seed=seed)(state))
        print(f"{out}: {num} samples of {run} at step {int(state.step)}")


@app.command
def digest(run: Run) -> None:
    """Prints one SHA-256 over every leaf of the newest checkpoint's state, and its step.

    Args:
        run: the run's directory.
    """
    with exit_on_user_error():
        from jaxgan import checkpoint, launch

        launch.read_record(run)
        state = checkpoint.restore_plain(run / "checkpoints")
        print(f"{checkpoint.digest(state)}  step {int(state['step'])}")


if __name__ == "__main__":
    app.cli(description=__doc__, prog="python -m jaxgan")
