"""Plots of a game's dynamics: field, spectrum, path angle."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.dynamics.eigenvalues import Spectrum
from jaxgan.dynamics.field import Field
from jaxgan.dynamics.path import Path
from jaxgan.files import replacing


def draw_field(
    ax: Any,
    field: Field,
    players: tuple[str, str],
    *,
    reach: float = 1.0,
    trajectories: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Draws the flow `-xi` of a game with one number per player, as arrows.

    Args:
      ax: matplotlib axes.
      field: field of two players with a scalar each.
      players: their names, the one on the horizontal axis first.
      reach: both numbers go from `-reach` to `reach`.
      trajectories: by label, points `[steps, 2]` of training, drawn as lines.

    Example:
      >>> field = lambda params: {"x": params["y"], "y": -params["x"]}  # of the game x y
      >>> figure, ax = matplotlib.pyplot.subplots()  # doctest: +SKIP
      >>> draw_field(ax, field, ("x", "y"))  # doctest: +SKIP
    """
    first, second = players
    line = jnp.linspace(-reach, reach, 17)
    a, b = (x.ravel() for x in jnp.meshgrid(line, line))
    xi = jax.vmap(lambda a, b: field({first: a, second: b}))(a, b)
    ax.quiver(a, b, -xi[first], -xi[second], color="0.6", angles="xy")
    for label, points in (trajectories or {}).items():
        (drawn,) = ax.plot(*np.asarray(points).T, label=label, linewidth=1.2)
        ax.plot(*np.asarray(points)[-1], "o", color=drawn.get_color(), markersize=4)
    ax.set(xlabel=first, ylabel=second, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    if trajectories:
        ax.legend(loc="upper right", fontsize="small")


def draw_spectrum(ax: Any, spectra: Mapping[str, Spectrum]) -> None:
    """Draws eigenvalues in the complex plane; those left of the imaginary axis repel.

    Args:
      ax: matplotlib axes.
      spectra: spectra by label.

    Example:
      >>> spectra = {"at the end": dynamics.spectrum(field, params)}  # doctest: +SKIP
      >>> draw_spectrum(ax, spectra)  # doctest: +SKIP
    """
    ax.axvline(0.0, color="0.6", linewidth=0.8)
    ax.axhline(0.0, color="0.9", linewidth=0.8)
    for label, found in spectra.items():
        ax.plot(found.values.real, found.values.imag, "o", markersize=4, alpha=0.7, label=label)
    ax.set(xlabel="real part", ylabel="imaginary part")
    ax.legend(loc="upper right", fontsize="small")


def draw_path(axes: Sequence[Any], path: Path) -> None:
    """Draws the cosine and the norm of the field along a line.

    Args:
      axes: two matplotlib axes, for the cosine of the path angle and for the norm.
      path: as `path_angle` returns it.

    Example:
      >>> figure, axes = matplotlib.pyplot.subplots(1, 2)  # doctest: +SKIP
      >>> draw_path(axes, path_angle(field, start, end))  # doctest: +SKIP
    """
    angle, norm = axes
    angle.plot(path.positions, path.cosines)
    angle.set(ylabel="cosine of the path angle", ylim=(-1.05, 1.05))
    norm.plot(path.positions, path.norms, color="tab:orange")
    norm.set(ylabel="norm of the field", yscale="log")
    for ax in axes:
        ax.axvline(1.0, color="0.6", linestyle=":", linewidth=1)
        ax.set_xlabel("position on the line, 0 start and 1 end")


def save_plot(path: str | FilePath, draw: Callable[[Any], None], *, columns: int = 1) -> None:
    """Writes an image file of axes on which `draw(axes)` draws; a sequence of them if several."""
    from matplotlib.figure import Figure  # importing matplotlib takes a second

    figure = Figure(figsize=(5 * columns, 4.5), layout="constrained")
    draw(figure.subplots(1, columns))
    with replacing(path) as part:
        figure.savefig(part, dpi=110, format=part.suffix[1:] or "png")
