"""The figure: some new curves, the points given of them, and what is drawn from these."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

import fomaml_fast as ff
from examples import report

#: Names of what is drawn, and their colours.
COLOURS = {
    "learned start": report.COLOURS["MAML"],
    "fresh network": report.COLOURS["other 3"],
    "straight lines": report.COLOURS["pooled"],
}


def draw(path: Path, tasks: ff.TaskBatch, drawn: dict[str, npt.NDArray[np.float32]]) -> Path:
    """Draw the figure to a file, and return its path.

    Parameters
    ----------
    path : Path
    tasks : TaskBatch
        The first six are shown.
    drawn : dict of str to ndarray, shape [T, n, 1]
        Outputs at the query inputs, by the names of `COLOURS`.
    """
    figure, axes = report.new_figure(2, 3, height=5.6, sharex=True, sharey=True)
    for t, ax in enumerate(axes.flat):
        x = np.asarray(tasks.x_query[t])[:, 0]
        ax.plot(x, np.asarray(tasks.y_query[t])[:, 0], color=report.COLOURS["truth"], label="curve")
        for name, outputs in drawn.items():
            ax.plot(x, outputs[t, :, 0], color=COLOURS[name], label=name, linewidth=1.2)
        given = np.asarray(tasks.x_support[t])[:, 0], np.asarray(tasks.y_support[t])[:, 0]
        ax.plot(*given, "o", color=report.COLOURS["truth"], markersize=4, label="points given")
    axes[0, 0].legend(fontsize=8)
    return report.save_figure(figure, path)
