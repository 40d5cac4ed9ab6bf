"""Training curves of a run: the players' losses, and the discriminator's mean outputs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.files import replacing

PLAYER_COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red")


def save_curves(path: str | Path, records: Sequence[Mapping[str, float]]) -> None:
    """Plots the players' losses, and the mean of D on real and generated images, over the steps.

    Args:
      path: image file to write.
      records: one `{"step": ..., "<player>/loss": ..., ...}` per logged step. The lower panel is
        plotted if `discriminator/real_output` and `discriminator/fake_output` are recorded.
    """
    from matplotlib.figure import Figure  # importing matplotlib takes a second

    players = [name.removesuffix("/loss") for name in records[-1] if name.endswith("/loss")]
    outputs = {"real": "discriminator/real_output", "generated": "discriminator/fake_output"}
    has_outputs = all(name in records[-1] for name in outputs.values())

    figure = Figure(figsize=(8, 6 if has_outputs else 3.5), layout="constrained")
    axes = figure.subplots(2 if has_outputs else 1, sharex=True, squeeze=False)[:, 0]
    for player, colour in zip(players, PLAYER_COLOURS, strict=False):
        _curve(axes[0], records, f"{player}/loss", player, colour)
    axes[0].set_ylabel("loss")
    if has_outputs:
        for (label, name), colour in zip(outputs.items(), ("tab:green", "tab:red"), strict=True):
            _curve(axes[1], records, name, f"mean of D on {label} images", colour)
        values = [record[name] for record in records for name in outputs.values()]
        if min(values) >= 0.0 and max(values) <= 1.0:
            axes[1].axhline(0.5, color="grey", linestyle=":", linewidth=1, label="1/2")
            axes[1].set_ylim(0.0, 1.0)
        axes[1].set_ylabel("D")
    for ax in axes:
        ax.legend(loc="upper right", fontsize="small")
        ax.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    with replacing(path) as part:
        figure.savefig(part, dpi=110)


def _curve(
    ax: Any, records: Sequence[Mapping[str, float]], name: str, label: str, colour: str
) -> None:
    """Plots the values, faintly, and their moving average."""
    points = [(record["step"], record[name]) for record in records if name in record]
    steps, values = np.array(points, np.float64).T
    window = max(1, len(values) // 50)
    kernel = np.ones(window) / window
    padded = np.concatenate([np.full(window - 1, values[0]), values])
    ax.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
    ax.plot(steps, np.convolve(padded, kernel, "valid"), color=colour, linewidth=1.5, label=label)
