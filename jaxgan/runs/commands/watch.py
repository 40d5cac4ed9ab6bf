"""The command `watch`: the progress of a run that trains in another process, from its files."""

import contextlib
import time
from collections.abc import Mapping
from typing import Any, cast

from rich.console import Console

from jaxgan.runs.command_line import arguments
from jaxgan.runs.directory.lock import is_locked
from jaxgan.runs.directory.recorded import RecordedRun, read_run
from jaxgan.runs.session import callbacks
from jaxgan.training import TrainState

PAUSE = 1.0  # seconds between looks at the files


def watch(args: arguments.Watch) -> None:
    """Shows the bar of a run until its last step is logged, or no process trains it any more.

    Raises:
      UserError: the directory holds no run.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with contextlib.suppress(KeyboardInterrupt):  # which leaves the run training
        run = read_run(args.run)
        _follow(args, console, run)
    console.print(f"{args.run}: {read_run(args.run).status}")


# ---- helpers of the above


def _follow(args: arguments.Watch, console: Console, run: RecordedRun) -> None:
    num_steps, shown = run.record["config"].get("num_steps"), 0
    with callbacks.progress(console, start=run.step, num_steps=num_steps) as show:
        while True:
            if run.metrics and run.step != shown:  # smaller after a rollback, none after a restart
                shown = run.step
                show(shown, cast(TrainState, None), _losses(run.metrics[-1]))
            if num_steps is not None and shown >= num_steps:
                return
            if not is_locked(args.run) and read_run(args.run).step == shown:
                console.print("no process trains it; unless it is complete, its command resumes it")
                return
            time.sleep(PAUSE)
            run = read_run(args.run)


def _losses(row: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """The losses of a logged step, as metrics of the players."""
    names = [name.removesuffix("/loss") for name in row if name.endswith("/loss")]
    return {name: {"loss": row[f"{name}/loss"]} for name in names}
