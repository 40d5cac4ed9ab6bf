"""The command `export`: weights and programs of a run for other places, with a model card."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxgan import images, weights
from jaxgan.errors import RunError
from jaxgan.files import replacing
from jaxgan.parallel import multihost
from jaxgan.runs.command_line import arguments
from jaxgan.runs.commands.restore import restore
from jaxgan.runs.config.experiment import Config, resumable_fields
from jaxgan.runs.directory.files import check_place, make_folder, write_atomically
from jaxgan.runs.directory.logs import read_metrics
from jaxgan.runs.directory.recorded import read_run
from jaxgan.runs.export import onnx, programs
from jaxgan.runs.reports.report import render
from jaxgan.runs.run import Run

NUM_EXAMPLES = 64  # inputs next to the model, and their images
ZERO_IS_ON = ("seed", "b1")  # flags that 0 does not turn off
PROGRAMS: Mapping[str, Callable[[programs.Program], bytes]] = {  # files of the model's program
    "stablehlo": programs.to_stablehlo,
    "onnx": onnx.to_onnx,
}


def export(args: arguments.Export) -> None:
    """Exports the model of a run into a file, or into a folder with a model card.

    Raises:
      UserError: an error of `load_run`; the game has no such player, or no latents; or the file's
        name has another extension.
    """
    is_file = bool(args.out.suffix) and not args.out.is_dir()
    if is_file and args.formats != arguments.FORMATS:
        raise RunError(f"--format is for a folder; the extension of {args.out} is its format")
    if is_file:
        check_place(args.out, endings={".safetensors", *(f".{name}" for name in PROGRAMS)})
    else:
        _check_card(args.out)
    run = restore(args)
    formats = (args.out.suffix[1:].lower(),) if is_file else args.formats
    player = _player(run, args.player, needed="safetensors" in formats)
    if args.direction is not None:
        programs.translation_of(run, args.direction)
    program, contents = None, {}
    if wanted := [name for name in formats if name in PROGRAMS]:
        program = programs.program_of(run, num=NUM_EXAMPLES, seed=0, direction=args.direction)
    if not is_file:
        make_folder(args.out)
    if program is not None:
        contents = {name: PROGRAMS[name](program) for name in wanted}
    for name in formats:
        stem = player if name == "safetensors" else "model"
        path = args.out if is_file else args.out / f"{stem}.{name}"
        if name == "safetensors":
            write_safetensors(path, run, player, args.license)
        else:
            with replacing(path) as part:
                part.write_bytes(contents[name])
        print(f"{path}: {run.directory} at step {run.step}, {path.stat().st_size:,} bytes")
    if not is_file:
        write_card(args.out, run, player, formats, args.license, program)
        print(f"{args.out}/README.md: its data, training, scores, and how to load it")


def write_safetensors(path: Path, run: Run, player: str, license_name: str) -> None:
    """Writes a player's weights, with their provenance as metadata; `load_run` reads it."""
    params, model_state = multihost.to_host([run.params[player], run.model_state[player]])
    weights.save(
        path,
        params,
        model_state,
        record={
            "experiment": run.record["experiment"],
            "player": player,
            "averaged": _averaged(run, player),
            "step": run.step,
            "seconds": _seconds(run),
            "license": license_name,
            "config": _configuration(run),
            "data": {name: x for name, x in run.record["data"].items() if name != "source"},
            "versions": run.record["sessions"][-1]["versions"],
            "evaluation": _evaluation(run),
        },
    )


def write_card(
    folder: Path,
    run: Run,
    player: str,
    formats: Sequence[str],
    license_name: str,
    program: programs.Program | None,
) -> None:
    """Writes the model card, `README.md`, and example inputs with their images.

    The form is that of Mitchell et al., *Model Cards for Model Reporting*, 2019,
    https://arxiv.org/abs/1810.03993.

    Args:
      folder: the folder.
      run: the run.
      player: the player whose weights are exported.
      formats: formats of the files in the folder.
      license_name: license of the weights.
      program: the program that is exported, if there is one.
    """
    shapes, output = ({}, ()) if program is None else _write_examples(folder, program)
    text = render(
        "card.md",
        run=run,
        player=player,
        averaged=_averaged(run, player),
        data=run.record["data"],
        config={k: x for k, x in _configuration(run).items() if x or k in ZERO_IS_ON},
        seconds=_seconds(run),
        records=_evaluation(run),
        formats=formats,
        shapes=shapes,
        direction=None if program is None else program.direction,
        output=output,
        is_image=len(output) == 3,
        normal=run.has_normal_prior,
        license=license_name,
        opset=onnx.OPSET,
    )
    write_atomically(folder / "README.md", text)


# ---- helpers of the above


def _check_card(folder: Path) -> None:
    """Checks that a README.md in the folder is a model card, which may be replaced."""
    card = folder / "README.md"
    if card.exists() and b"library_name: jaxgan" not in card.read_bytes():
        raise RunError(f"{card} is not a model card of jaxgan; choose another --out")


def _write_examples(
    folder: Path, program: programs.Program
) -> tuple[Mapping[str, str], tuple[int, ...]]:
    """Writes inputs and their images; the shapes of the inputs by name, and that of one output."""
    inputs: dict[str, Any] = dict(zip(program.shapes, program.examples, strict=True))
    np.savez(folder / "examples.npz", **inputs)
    output = jax.jit(program.apply)(program.params, program.model_state, *program.examples)
    if output.ndim == 4:
        images.save_grid(folder / "examples.png", output)
    return program.shapes, output.shape[1:]


def _player(run: Run, name: str | None, *, needed: bool) -> str:
    """The player of that name; by default the generator or generators, or the last player.

    Raises:
      RunError: there is none of that name, or it is `needed` and there are several.
    """
    players = list(run.game.losses)
    generators = [player for player in players if player.startswith("generator")]
    player = name or [*players, *generators][-1]
    if player not in players:
        raise RunError(f"--player is {name}, expected one of {', '.join(players)}")
    if needed and not name and not generators and len(players) > 1:
        raise RunError(f"the weights of which player? give --player, one of {', '.join(players)}")
    return player


def _averaged(run: Run, player: str) -> bool:
    return run.record.get("averaged", player in run.state.ema_params)


def _configuration(run: Run) -> dict[str, Any]:
    """What a training step and its score depend on: no paths and no intervals."""
    resumable = resumable_fields(Config)
    config = run.record["config"].items()
    return {name: x for name, x in config if name == "data" or name not in resumable}


def _evaluation(run: Run) -> list[dict[str, Any]]:
    """Records of the step, if it was evaluated."""
    if "evaluation" in run.record:  # of a file
        return run.record["evaluation"]
    entries = read_run(run.directory).evaluations
    return next((entry["records"] for entry in entries if entry["step"] == run.step), [])


def _seconds(run: Run) -> float | None:
    """Time of training up to the step, if it was logged."""
    if "seconds" in run.record:  # of a file
        return run.record["seconds"]
    rows = read_metrics(run.directory / "metrics.jsonl")
    return next((row["seconds"] for row in rows if row["step"] == run.step), None)
