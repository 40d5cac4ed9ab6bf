"""The command `demo`: a page that runs a run's generator in the browser, by onnxruntime-web."""

import base64
import gzip
import json
from pathlib import Path

import numpy as np

from jaxgan.errors import RunError
from jaxgan.runs.command_line import arguments
from jaxgan.runs.commands import generator
from jaxgan.runs.commands.report import announce
from jaxgan.runs.commands.restore import as_images, restore
from jaxgan.runs.directory.files import check_place, write_atomically
from jaxgan.runs.export import onnx, programs
from jaxgan.runs.reports.report import PAGES, render
from jaxgan.runs.run import Run

PACKAGE = "onnxruntime-web"
SCRIPT, *BINARIES = (
    "ort.wasm.min.js",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
NUM_LATENTS = 256  # in the page, of priors that it cannot sample itself


def demo(args: arguments.Demo) -> None:
    """Writes the page.

    Raises:
      UserError: an error of `load_run`, `onnx.to_onnx` or `directions`; the run does not make
        images from latents; its conditions are not labels; or the folder has no onnxruntime-web.
    """
    if args.num < 1:
        raise RunError(f"--num is {args.num}, expected at least 1")
    check_place(args.out, endings={".html"})
    runtime = _runtime(args.runtime)
    run = restore(args)
    write_demo(args, run, runtime)
    announce(args.out, f"demo of {args.run} at step {run.step}", show=args.open)


def write_demo(args: arguments.Demo, run: Run, runtime: Path) -> None:
    """Writes the page of a run, with the files of onnxruntime-web that are in a folder."""
    if run.game.conditions not in ((), ("label",)):
        names = ", ".join(run.game.conditions)
        raise RunError(f"{run.directory} has the conditions {names}; a demo is for labels")
    first = as_images(run, run.sample(1, seed=args.seed))[0]
    normal = run.has_normal_prior
    found = generator.find_directions(args, run)
    data = {
        "shape": first.shape,
        "classes": run.record["data"]["num_classes"] if run.game.conditions else 0,
        "normal": normal,
        "latents": run.latents(1 if normal else NUM_LATENTS, seed=args.seed).tolist(),
        "directions": np.asarray(found.vectors).tolist(),
    }
    model = onnx.to_onnx(programs.program_of(run, num=2, seed=args.seed))
    binaries = [model, *((runtime / name).read_bytes() for name in BINARIES)]
    page = render(
        "demo.html",
        title=f"{run.record['experiment']} on {run.record['data']['name']}",
        run=run,
        method=args.method,
        data=data,
        css=(PAGES / "page.css").read_text(encoding="utf-8")
        + (PAGES / "demo.css").read_text(encoding="utf-8"),
        packed=dict(zip(("model", "module", "wasm"), map(_packed, binaries), strict=True)),
        scripts=[_script(runtime / SCRIPT), (PAGES / "demo.js").read_text(encoding="utf-8")],
        runtime=f"{PACKAGE} {_version(runtime)}".strip(),
    )
    write_atomically(args.out, page)


# ---- helpers of the above


def _runtime(folder: Path) -> Path:
    """The folder with the files of onnxruntime-web."""
    for place in (folder / "node_modules" / PACKAGE / "dist", folder / "dist", folder):
        if all((place / name).is_file() for name in (SCRIPT, *BINARIES)):
            return place
    raise RunError(
        f"{folder.resolve()} has no {PACKAGE} ({', '.join((SCRIPT, *BINARIES))}); run `npm install "
        f"{PACKAGE}` in a folder, and give that folder as --runtime"
    )


def _version(runtime: Path) -> str:
    try:
        return json.loads((runtime.parent / "package.json").read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        return ""


def _packed(content: bytes) -> str:
    """Content for a page, which `unpacked` in demo.js reads."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def _script(path: Path) -> str:
    """A script for a page, which nothing in it may end."""
    return path.read_text(encoding="utf-8").replace("</script", "<\\/script")
