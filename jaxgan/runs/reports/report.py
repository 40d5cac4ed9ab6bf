"""Pages about runs, `report.html` of one or a comparison of several: files that need no network."""

import base64
import datetime
import functools
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import jaxgan
from jaxgan.runs.config.experiment import Config
from jaxgan.runs.directory.files import write_atomically
from jaxgan.runs.directory.recorded import RecordedRun, command, read_run
from jaxgan.runs.reports import panels

MAX_GRIDS = 24  # in a page, over all its runs
MAX_SIDE = 1024  # pixels of an image in a page
PAGES = Path(__file__).parent / "pages"


def write_report(directory: str | Path, config_type: type[Config] | None = None) -> Path:
    """Writes the `report.html` of a run: curves, metrics, samples, and how to repeat it.

    Args:
      directory: directory of the run.
      config_type: the `Config` of its experiment; by default it is found by the run's record.

    Returns:
      The file.

    Raises:
      RunError: the directory holds no run.

    Example:
      >>> write_report("runs/mnist")  # doctest: +SKIP
    """
    run = read_run(directory)
    steps = _evenly(list(run.grids), MAX_GRIDS, keep=run.best_step)
    data = {
        "panels": panels.of_run(run),
        "grids": {"steps": steps, "images": [[_embedded(run.grids[step]) for step in steps]]},
    }
    file = run.directory / "neighbors.png"
    page = _page(
        "run.html",
        data,
        title=run.name,
        caption="Faint: as logged; bold: moving averages.",
        run=run,
        command=command(run, config_type),
        metrics=_metrics(run),
        best_grid=_best_grid(run, steps),
        neighbors=_embedded(file) if file.is_file() else None,
        neighbors_command=f"jaxgan neighbors {run.directory} --out {file}",
    )
    path = run.directory / "report.html"
    write_atomically(path, page)
    return path


def write_comparison(directories: Sequence[str | Path], path: Path) -> None:
    """Writes a page that compares runs: a table, their curves, and their samples at equal steps.

    Args:
      directories: directories of the runs, at least two.
      path: the file to write.

    Raises:
      RunError: a directory holds no run.

    Example:
      >>> write_comparison(["runs/a", "runs/b"], Path("comparison.html"))  # doctest: +SKIP
    """
    read = [read_run(directory) for directory in directories]
    names = [run.name for run in read]
    unique = len(set(names)) == len(names)
    runs = {run.name if unique else str(run.directory): run for run in read}
    common = sorted(set.intersection(*(set(run.grids) for run in read)))
    steps = _evenly(common, max(2, MAX_GRIDS // len(runs)))
    images = [[_embedded(run.grids[step]) for step in steps] for run in runs.values()]
    page = _page(
        "compare.html",
        {"panels": panels.of_runs(runs), "grids": {"steps": steps, "images": images}},
        title=f"Comparison of {', '.join(runs)}",
        caption="Faint: as logged; bold: moving averages. A click on a name hides its curve.",
        names=list(runs),
        table=_table(list(runs.values())),
    )
    write_atomically(path, page)


def render(template: str, **content: Any) -> str:
    """The text of a template in `pages/`, in which what is recorded is escaped.

    Args:
      template: name of the file.
      content: values of its names; `version` is that of jaxgan, and `written` the time.
    """
    import jinja2  # which programs that write no page should not wait for

    loader = jinja2.FileSystemLoader(PAGES, encoding="utf-8")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    written = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = environment.get_template(template)
    return text.render(version=jaxgan.__version__, written=written, **content)


# ---- helpers of the above


def _page(template: str, data: Mapping[str, Any], **content: Any) -> str:
    """A page with its data, and all scripts in it."""
    from bokeh.resources import Resources  # importing it takes a second

    plotting = Resources(mode="inline", components=["bokeh", "bokeh-api"]).js_raw
    return render(
        template,
        data=data,
        css=(PAGES / "page.css").read_text(encoding="utf-8"),
        scripts=[*plotting, (PAGES / "page.js").read_text(encoding="utf-8")],
        **content,
    )


def _evenly(steps: Sequence[int], most: int, *, keep: int | None = None) -> list[int]:
    """At most so many of the steps, evenly spaced, with the first, the last, and the one to keep.

    The spacing is a power of two, so that pages written during training have steps in common.
    """
    stride = 1
    while math.ceil(len(steps) / stride) > most - 2:
        stride *= 2
    chosen = {*steps[::stride], *steps[-1:], *(step for step in steps if step == keep)}
    return sorted(chosen)


def _embedded(path: Path) -> str:
    """An image file as a data URI, scaled down if it is large."""
    return _data_uri(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)  # pages of a run that is training show mostly the same images
def _data_uri(path: Path, modified: int) -> str:
    content, kind = path.read_bytes(), "png"
    with Image.open(path) as image:
        if max(image.size) > MAX_SIDE:
            image.thumbnail((MAX_SIDE, MAX_SIDE))
            file = io.BytesIO()
            image.convert("RGB").save(file, "webp", quality=85)
            content, kind = file.getvalue(), "webp"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _best_grid(run: RecordedRun, steps: Sequence[int]) -> int | None:
    """Position of the last grid up to the best step; `None` if that is the last of all."""
    if run.best_step is None or not steps or steps[0] > run.best_step:
        return None
    best = int(np.searchsorted(steps, run.best_step, side="right")) - 1
    return None if best == len(steps) - 1 else best


def _metrics(run: RecordedRun) -> list[dict[str, str]]:
    """Rows of the table of metrics, of the best and of the last evaluation."""
    if not run.evaluations:
        return []
    last = run.evaluations[-1]
    best = next((e for e in run.evaluations if e["step"] == run.best_step), last)
    of_best = {record["name"]: record for record in best["records"]}
    return [
        {
            "name": record["name"],
            "best": _value(of_best.get(record["name"])),
            "final": _value(record),
            "floor": _floor(record),
            "samples": f"{record['num_generated']:,}",
            "real": f"{record['num_real']:,} {record['split'] or ''}" if record["num_real"] else "",
        }
        for record in last["records"]
    ]


def _floor(record: Mapping[str, Any]) -> str:
    """A floor, with the number of its examples if it is not that of the samples."""
    if record["floor"] is None:
        return ""
    of = record.get("details", {}).get("floor_of")
    return f"{record['floor']:.4g}" + ("" if of is None else f" of {of:,}")


def _value(record: Mapping[str, Any] | None) -> str:
    """A value with its standard error."""
    if record is None:
        return ""
    error = record.get("standard_error")
    return f"{record['value']:.4g}" + ("" if error is None else f" ± {error:.2g}")


def _table(runs: Sequence[RecordedRun]) -> list[dict[str, Any]]:
    """Rows of the table of a comparison: status, flags that differ, scores."""
    row = lambda name, cell: {"name": name, "cells": [cell(run) for run in runs]}
    rows = [
        row("status", lambda run: run.status),
        row("experiment", lambda run: run.record["experiment"]),
        row("data", lambda run: run.record["data"]["name"]),
    ]
    for flag in dict.fromkeys(name for run in runs for name in run.record["config"]):
        values = [run.record["config"].get(flag) for run in runs]
        if flag != "run_dir" and any(value != values[0] for value in values):
            rows.append({"name": flag, "cells": values})
    by = dict.fromkeys(run.best_by for run in runs if run.best_by is not None)
    for name in by:
        rows.append(row(f"best {name}", lambda run, name=name: _score(run, name, run.best_step)))
        rows.append(row(f"final {name}", lambda run, name=name: _score(run, name, _last(run))))
    return rows


def _last(run: RecordedRun) -> int | None:
    return run.evaluations[-1]["step"] if run.evaluations else None


def _score(run: RecordedRun, name: str, step: int | None) -> str:
    value = None if step is None else run.value(name, step)
    return "" if value is None else f"{value:.4g} at step {step:,}"
