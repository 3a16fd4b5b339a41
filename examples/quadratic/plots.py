"""The figure: meta-gradients against the inner rate, and the descent that follows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from examples import report
from examples.quadratic import closed_forms, library

COLOURS = {
    "MAML": report.COLOURS["MAML"],
    "FOMAML": report.COLOURS["FOMAML"],
    "Reptile": report.COLOURS["other 1"],
}
STEPS = (1, 2, 3, 5)
START, BEST = 2.0, 1.0
LIMITS = (0.0, 2.2)


def draw(path: Path) -> Path:
    """Draw the figure to a file, and return its path."""
    figure, axes = report.new_figure(2, 4, width=13.0, height=6.4)
    for ax, steps in zip(axes[0], STEPS, strict=True):
        _gradients(ax, steps)
    axes[0, 0].set_ylabel("meta-gradient / a(w − c)\n(Reptile: / (w − c))")
    axes[0, 0].legend(fontsize=8, loc="upper left")
    for ax, alpha_a in zip(axes[1, :3], (0.5, 1.25, 1.5), strict=True):
        _descent(ax, alpha_a)
    axes[1, 0].set_ylabel("w after outer steps")
    axes[1, 0].legend(fontsize=8)
    _field(axes[1, 3])
    return report.save_figure(figure, path)


def _gradients(ax: Any, steps: int) -> None:
    """Closed forms as lines, the library as dots; the region where FOMAML climbs is shaded."""
    fine, coarse = np.linspace(*LIMITS, 221), np.linspace(0.1, 2.1, 11)
    for method in closed_forms.METHODS:
        unit = closed_forms.unit(method, library.CURVATURE, START - BEST)
        line = [
            closed_forms.meta_gradient(method, v, steps, library.CURVATURE, START - BEST) / unit
            for v in fine
        ]
        dots = [library.meta_gradient(method, v, steps, START, BEST) / unit for v in coarse]
        ax.plot(fine, line, color=COLOURS[method], label=method)
        ax.plot(coarse, dots, "o", color=COLOURS[method], markersize=3.5)
    uphill = [closed_forms.points_uphill("FOMAML", v, steps) for v in fine]
    ax.fill_between(
        fine,
        0,
        1,
        where=uphill,
        color=COLOURS["FOMAML"],
        alpha=0.12,
        linewidth=0,
        transform=ax.get_xaxis_transform(),
        label="FOMAML uphill" if any(uphill) else None,
    )
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(title=f"S = {steps}", xlabel="αa", xlim=LIMITS, ylim=(-1.6, 2.2))


def _descent(ax: Any, alpha_a: float) -> None:
    """Follow both gradients from the same start."""
    rate = 0.1 / library.CURVATURE
    for method in ("MAML", "FOMAML"):
        way = library.descend(method, alpha_a, 1, w=START, c=BEST, outer_rate=rate, count=30)
        ax.plot(way, color=COLOURS[method], label=method)
    ax.axhline(BEST, color="black", linewidth=0.8, linestyle="--", label="best weight")
    ax.set(title=f"descent, S = 1, αa = {alpha_a:g}", xlabel="outer step")


def _field(ax: Any) -> None:
    """Where a step of descent on the first-order gradient goes, for every w and αa."""
    rates, weights = np.meshgrid(np.linspace(0.1, 2.1, 11), np.linspace(-1, 3, 11))
    moves = np.array(
        [
            -closed_forms.meta_gradient("FOMAML", v, 1, 1.0, w - BEST)
            for v, w in zip(rates.flat, weights.flat, strict=True)
        ]
    ).reshape(rates.shape)
    ax.axvspan(1.0, LIMITS[1], color=COLOURS["FOMAML"], alpha=0.12, linewidth=0)
    ax.quiver(
        rates, weights, 0 * moves, moves, color=COLOURS["FOMAML"], angles="xy", scale=22, width=6e-3
    )
    ax.axhline(BEST, color="black", linewidth=0.8, linestyle="--")
    ax.set(title="descent on FOMAML, S = 1", xlabel="αa", ylabel="w", xlim=LIMITS, ylim=(-1.5, 3.5))
