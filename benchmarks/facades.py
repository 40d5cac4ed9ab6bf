"""FCN-score of translations of label maps of facades: can the label map be read from the image?

    python -m benchmarks.facades --data-dir facades
    python -m benchmarks.facades --data-dir facades --outputs runs/pix2pix translated

A segmentation network is trained on the real pairs of the CMP facades (Tyleček and Šára, *Spatial
Pattern Templates for Recognition of Objects with Regular Structure*, 2013), photographs on the left
and label maps on the right as pix2pix publishes them. Its predictions for the translations of the
test label maps are compared with these label maps (Isola et al., 2017, section 4.1, as for
Cityscapes there). The scores of the real test photographs are the upper end, and those of the mean
training photograph, which has nothing of the label map, the lower end; the share of the gap between
them that a translator closes is the last column. Standard errors are over the test images
(jackknife), for this one segmentation network.

`--outputs` takes runs of `experiments.pix2pix` or `experiments.cyclegan` with `--direction b2a`,
and folders of translated label maps, in the order of the test pairs.
"""

import dataclasses
import json
from pathlib import Path

import tyro

from jaxgan.runs import cli
from jaxgan.runs.command_line import xla_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Judge translations from label maps to photographs of facades by a segmentation network."""

    data_dir: Path
    """Folder with train/ and test/, photograph and label map side by side."""
    outputs: tuple[Path, ...] = ()
    """Runs, and folders of translated test label maps."""
    side: int = 64
    """Side length of the judged images; outputs of other sizes are resized."""
    num_steps: int = 1500
    """Training steps of the segmentation network."""
    cache: Path = Path("runs/segmenter")
    """Folder of the weights of trained segmentation networks."""
    json: Path | None = None
    """Where to write the scores."""


def main(config: Config) -> None:
    """Prints a table with one row per translator, between the two ends."""
    xla_flags.set_flags()
    from benchmarks import fcn_score

    with cli.exit_on_user_error():
        judge = fcn_score.make_judge(config.data_dir, config.side, config.num_steps, config.cache)
        results = {"mean photograph": judge.mean}
        results |= {str(path): judge.scores(judge.outputs(path)) for path in config.outputs}
        results["real photographs"] = judge.real
    print_row("outputs", "pixel accuracy", "class accuracy", "mean IoU", "share of the gap")
    print_row(*["---"] * 5)
    for name, scores in results.items():
        cells = [f"{score.value:.3f} ± {score.standard_error:.3f}" for score in scores.values()]
        print_row(name, *cells, f"{judge.share(scores):.0%}")
    if config.json is not None:
        records = {name: dict(scores) for name, scores in results.items()}
        config.json.write_text(json.dumps(records, indent=2, default=dataclasses.asdict) + "\n")


def print_row(*cells: str) -> None:
    """Prints a row of a Markdown table."""
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
