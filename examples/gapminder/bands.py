"""Figures of error bars: what the head and a Gaussian process expect, and how honest they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from examples.gapminder.evaluation import Results, Setting, orders_of, support
from examples.gapminder.methods import HEAD, PROCESS
from examples.intervals import Z95
from examples.report import COLOURS, new_figure

_HEAD, _PROCESS = COLOURS["head"], COLOURS["other 3"]
#: Countries of a row of the figure, by where their error of the head stands among all.
SHARES = (0.1, 0.5, 0.9)


def bands(results: Results, note: str = "") -> Any:
    """Draw three unseen countries from random observations (above) and as forecasts (below)."""
    data, k = results.data, results.settings.k_support
    figure, axes = new_figure(2, len(SHARES), width=12, height=7.8, sharex=True, sharey=True)
    fine = np.linspace(data.years[0], data.years[-1], 111)
    for row, forecast in zip(axes, (False, True), strict=True):
        for ax, (country, label) in zip(row, _chosen(results, forecast), strict=True):
            fold = next(i for i, f in enumerate(results.folds) if country in f.test)
            order = orders_of(results, forecast)[country : country + 1, :1]
            columns, given = (a[0] for a in support(data.values[[country]], order, k))
            mean, deviation = results.heads[fold][HEAD].between(columns, given, fine)
            ax.fill_between(
                fine,
                mean - Z95 * deviation,
                mean + Z95 * deviation,
                color=_HEAD,
                alpha=0.18,
                lw=0,
                label="95% interval of the head",
            )
            ax.plot(fine, mean, color=_HEAD, lw=2, label="Bayesian head")
            mean, deviation = results.processes[fold].between(columns, given, fine)
            ax.plot(fine, mean, color=_PROCESS, lw=1.6, label="Gaussian process")
            for sign, name in ((-1, "95% interval of the process"), (1, None)):
                ax.plot(fine, mean + sign * Z95 * deviation, color=_PROCESS, lw=1.1, ls="--",
                        label=name)  # fmt: skip
            ax.plot(data.years, data.values[country], "o", color="white", mec="black", ms=5,
                    label="to be predicted")  # fmt: skip
            ax.plot(data.years[columns], given, "o", color="black", ms=8, label="given")
            ax.set_title(f"{data.countries[country]}\n{label}", fontsize=10)
        row[0].set_ylabel(
            ("the first observations given" if forecast else "observations given at random")
            + "\nlife expectancy, years"
        )
    axes[0, 0].set_ylim(20, 100)
    for ax in axes[-1]:
        ax.set_xticks(data.years[::3])
        ax.set_xlabel("year")
    figure.suptitle(f"What {k} observations of a country never seen say, and how surely{note}")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _chosen(results: Results, forecast: bool) -> Iterator[tuple[int, str]]:
    """Take countries by their rank in the head's error, none by eye."""
    settings = results.settings
    setting = Setting(settings.k_support, settings.inner_steps, forecast)
    error = np.sqrt(results.errors[HEAD, setting].mse[:, 0])
    rank = np.argsort(error)
    for share in SHARES:
        country = int(rank[round(share * (len(rank) - 1))])
        yield country, f"{share:.0%} quantile of the head's error: RMSE {error[country]:.1f} years"


def reliability(results: Results, note: str = "") -> Any:
    """Draw the error of fifths of the predictions against the deviation they were made with."""
    figure, axes = new_figure(1, 2, width=11, height=5.2, sharex=True, sharey=True)
    most = 1.1 * max(
        float(max(bars.predicted.max(), bars.actual.max())) for bars in results.reliability.values()
    )
    for ax, forecast in zip(axes[0], (False, True), strict=True):
        ax.plot([0, most], [0, most], color="black", lw=1, ls=":", label="honest error bars")
        for method, colour, marker in ((HEAD, _HEAD, "o"), (PROCESS, _PROCESS, "s")):
            bars = results.reliability[method, forecast]
            ax.plot(bars.predicted, bars.actual, color=colour, marker=marker, ms=6, label=method)
        ax.set(xlim=(0, most), ylim=(0, most), xlabel="predicted standard deviation, years")
        k = results.settings.k_support
        which = f"the first {k} in time (forecast)" if forecast else f"{k} at random"
        ax.set_title(f"observations given: {which}", fontsize=11, loc="left")
    axes[0, 0].set_ylabel("RMSE, years")
    axes[0, 0].legend(frameon=False)
    figure.suptitle(
        f"Predictions in fifths by their own standard deviation: how far off each is{note}"
    )
    return figure
