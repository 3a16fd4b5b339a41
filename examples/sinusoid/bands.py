"""The figure of error bars: how they shrink with points, and where they say not to trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.intervals import Z95
from examples.report import COLOURS, new_figure, save_figure
from examples.sinusoid.head import TrainedHead
from examples.sinusoid.settings import Settings
from examples.sinusoid.trust import BEYOND, OTHER_FREQUENCIES
from fomaml_fast.samplers import Curves, Sinusoid

#: Points shown in the upper row.
SHOWN = (1, 2, 5)
#: Curve of both rows: amplitude, phase.
AMPLITUDE, PHASE = 3.0, 1.0


def plot_bands(head: TrainedHead, settings: Settings, path: Path, seed: int = 0) -> Path:
    """Draw one curve from 1, 2 and 5 points, and three harder questions to five points."""
    fig, axes = new_figure(2, 3, width=12, height=7, sharey=True)
    low, high = Sinusoid().x_range
    x = np.random.default_rng(seed).uniform(low, high, SHOWN[-1])
    curve = _curve(1.0)
    for ax, k in zip(axes[0], SHOWN, strict=True):
        _draw(ax, head, curve, x[:k], (low, high))
        ax.set_title(f"{k} point{'s' if k > 1 else ''}", fontsize=11)
    frequency = sum(OTHER_FREQUENCIES) / 2
    close = low + 1.5 * (x - low) / (high - low)
    for ax, (title, asked, points, reach) in zip(
        axes[1],
        (
            ("five points close together", curve, close, high),
            ("asked beyond the range of training", curve, x, BEYOND[1]),
            (f"a curve of frequency {frequency:g}", _curve(frequency), x, high),
        ),
        strict=True,
    ):
        _draw(ax, head, asked, points, (low, reach))
        if reach > high:
            ax.axvline(high, color="black", lw=0.8, ls=":")
        ax.set_title(title, fontsize=11)
    axes[0, 0].set_ylim(-9, 9)
    for row in axes:
        row[0].set_ylabel("y")
    for ax in axes[-1]:
        ax.set_xlabel("x")
    note = " — SHORTENED RUN" if settings.shortened else ""
    fig.suptitle(f"A head with error bars on curves that it never saw{note}")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return save_figure(fig, path)


def _curve(frequency: float) -> Curves:
    return Curves(*(np.array([value]) for value in (AMPLITUDE, PHASE, frequency)))


def _draw(
    ax: Any,
    head: TrainedHead,
    curve: Curves,
    x: npt.NDArray[np.float64],
    between: tuple[float, float],
) -> None:
    grid = np.linspace(*between, 300)
    known = head.posterior(*(a.astype(np.float32)[:, None] for a in (x, curve(x)[0])))
    both = known.predict(grid.astype(np.float32)[:, None], return_std=True)
    mean, deviation = (a[:, 0].astype(np.float64) for a in both)
    reach = Z95 * deviation
    colour = COLOURS["head"]
    ax.fill_between(
        grid, mean - reach, mean + reach, color=colour, alpha=0.2, lw=0, label="95% interval"
    )
    ax.plot(grid, mean, color=colour, lw=1.8, label="mean of the head")
    ax.plot(grid, curve(grid)[0], color=COLOURS["truth"], lw=1.2, ls="--", label="truth")
    ax.plot(x, curve(x)[0], "o", color=COLOURS["FOMAML"], ms=6, zorder=5, label="points shown")
