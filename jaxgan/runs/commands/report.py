"""Commands that show runs: report, compare, list."""

import datetime
import os
import sys
import webbrowser
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jaxgan.errors import RunError, UserError
from jaxgan.runs.command_line import arguments
from jaxgan.runs.directory.files import check_place, make_folder
from jaxgan.runs.directory.recorded import RecordedRun, read_run
from jaxgan.runs.reports.report import write_comparison, write_report

WIDTH = 1000  # of a table that is written to a file or a pipe, where no line is folded


def report(args: arguments.Report) -> None:
    """Writes the page of a run.

    Raises:
      UserError: the directory has no run, or cannot be written to.
    """
    read_run(args.run)
    make_folder(args.run)
    path = write_report(args.run)
    announce(path, str(args.run), show=args.open)


def compare(args: arguments.Compare) -> None:
    """Writes a page that compares runs.

    Raises:
      UserError: there are less than two runs, or one of the directories has none.
    """
    if len(args.runs) < 2:
        given = ", ".join(map(str, args.runs)) or "none"
        raise RunError(f"the runs are {given}; give at least two to compare")
    check_place(args.out, endings={".html"})
    write_comparison(args.runs, args.out)
    announce(args.out, f"comparison of {len(args.runs)} runs", show=args.open)


def list(args: arguments.List) -> None:
    """Prints a table of the runs in a folder: status and best score.

    Raises:
      UserError: there is no such folder, or there are no runs in it.
    """
    if not args.folder.is_dir():
        raise RunError(f"there is no folder {args.folder}; give one that holds runs")
    runs = _found(args.folder)
    if not runs:
        raise RunError(f"{args.folder} holds no runs: no folder in it has a config.json")
    table = Table(box=None)
    for title in ("run", "experiment", "status", "best", "last logged"):
        table.add_column(title, overflow="fold")
    for folder in runs:
        table.add_row(str(folder), *_row(folder))
    width = None if sys.stdout.isatty() else WIDTH
    Console(width=width, soft_wrap=True, highlight=False, markup=False).print(table)


# ---- helpers of the above


def announce(path: Path, what: str, *, show: bool) -> None:
    print(f"{path}: {what}, {path.stat().st_size / 1e6:.1f} MB; open it in a browser")
    if show:
        webbrowser.open(path.resolve().as_uri())


def _found(folder: Path) -> tuple[Path, ...]:
    """Directories with a `config.json` in a folder and in the folders in it, by name."""
    runs = []
    for parent, folders, files in os.walk(folder):
        if "config.json" in files:
            runs.append(Path(parent))
            folders.clear()
        folders.sort()
    return tuple(runs)


def _row(directory: Path) -> tuple[str, ...]:
    """The cells of a run after its directory; a run that cannot be read hides no other."""
    try:
        run = read_run(directory)
    except UserError as error:
        return "", str(error)
    return run.record["experiment"], run.status, _best(run), _logged(run)


def _best(run: RecordedRun) -> str:
    if run.best_by is None or run.best_step is None:
        return ""
    value = run.value(run.best_by, run.best_step)
    return "" if value is None else f"{run.best_by} {value:.4g} at step {run.best_step:,}"


def _logged(run: RecordedRun) -> str:
    """When the run last logged a step."""
    path = run.directory / "metrics.jsonl"
    if not path.exists():
        return ""
    moment = datetime.datetime.fromtimestamp(path.stat().st_mtime)
    return moment.isoformat(sep=" ", timespec="minutes")
