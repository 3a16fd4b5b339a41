"""The figure of error bars: where they hold, and where they cannot know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.intervals import Z95
from examples.report import COLOURS, new_figure, save_figure
from examples.sinusoid.head import TrainedHead
from examples.sinusoid.settings import Settings
from examples.sinusoid.training import SAMPLER
from examples.sinusoid.trust import BEYOND, OTHER_FREQUENCIES
from fomaml_fast.samplers import Curves

#: Curve of all columns: amplitude, phase.
AMPLITUDE, PHASE = 3.0, 1.0


def plot_bands(head: TrainedHead, settings: Settings, path: Path, seed: int = 0) -> Path:
    """Draw one curve as the head was trained to see it, and three questions of other kinds.

    Above the curves; below, on a logarithmic scale, how far off the mean is and how far the 95%
    interval reaches.
    """
    low, high = SAMPLER.x_range
    x = np.random.default_rng(seed).uniform(low, high, settings.head_shots)
    other = sum(OTHER_FREQUENCIES) / 2
    columns = (
        (f"{len(x)} points, as in training", 1.0, x, high),
        ("1 point", 1.0, x[:1], high),
        ("asked beyond the range of training", 1.0, x, BEYOND[1]),
        (f"frequency {other:g} instead of 1", other, x, high),
    )
    fig, axes = new_figure(2, len(columns), width=14, height=6.6, sharex="col", sharey="row")
    for (title, frequency, shown, reach), (above, below) in zip(columns, axes.T, strict=True):
        curve = Curves(*(np.array([value]) for value in (AMPLITUDE, PHASE, frequency)))
        _draw(above, below, head, curve, shown, np.linspace(low, reach, 600))
        above.set_title(title, fontsize=11)
        below.set_xlabel("x")
        for ax in (above, below):
            if reach > high:
                ax.axvline(high, color="black", lw=0.8, ls=":")
    axes[0, 0].set(ylabel="y", ylim=(-5, 5))
    axes[1, 0].set(ylabel="distance from the mean, in y", yscale="log", ylim=(1e-4, 20))
    note = " — SHORTENED RUN" if settings.shortened else ""
    fig.suptitle(f"A head with error bars on curves that it never saw{note}")
    shown_by_label: dict[str, Any] = {}
    for ax in axes[:, 0]:
        handles, labels = ax.get_legend_handles_labels()
        shown_by_label.update(zip(labels, handles, strict=True))
    fig.legend(
        list(shown_by_label.values()),
        list(shown_by_label),
        loc="outside lower center",
        ncols=len(shown_by_label),
        frameon=False,
    )
    return save_figure(fig, path)


def _draw(
    above: Any,
    below: Any,
    head: TrainedHead,
    curve: Curves,
    x: npt.NDArray[np.float64],
    grid: npt.NDArray[np.float64],
) -> None:
    known = head.posterior(*(a.astype(np.float32)[:, None] for a in (x, curve(x)[0])))
    both = known.predict(grid.astype(np.float32)[:, None], return_std=True)
    mean, deviation = (a[:, 0].astype(np.float64) for a in both)
    truth, reach, colour = curve(grid)[0], Z95 * deviation, COLOURS["head"]
    band = {"color": colour, "alpha": 0.25, "lw": 0, "label": "95% interval"}
    above.fill_between(grid, mean - reach, mean + reach, **band)
    above.plot(grid, mean, color=colour, lw=1.8, label="mean of the head")
    above.plot(grid, truth, color=COLOURS["truth"], lw=1.2, ls="--", label="truth")
    above.plot(x, curve(x)[0], "o", color=COLOURS["FOMAML"], ms=6, zorder=5, label="points shown")
    below.fill_between(grid, 1e-9, reach, **band)
    below.plot(grid, np.abs(truth - mean), color=COLOURS["truth"], lw=1.2, label="|truth − mean|")
