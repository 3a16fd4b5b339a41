"""The figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from examples.gapminder import bands
from examples.gapminder.evaluation import Results, Setting, support
from examples.gapminder.methods import (
    FOMAML,
    FORECAST_FOMAML,
    FORECAST_HEAD,
    FORECAST_MAML,
    HEAD,
    HEAD_VARIED,
    MAML,
    METHODS,
    POOLED,
    POOLED_TUNED,
    PROCESS,
    methods_of,
    networks_of,
)
from examples.gapminder.scores import summarise
from examples.gapminder.settings import Settings
from examples.report import COLOURS, new_figure, save_figure

STYLE: dict[str, dict[str, Any]] = {
    FOMAML: {"color": COLOURS["FOMAML"], "lw": 2.2},
    MAML: {"color": COLOURS["MAML"], "lw": 2.2},
    POOLED: {"color": COLOURS["pooled"], "ls": ":"},
    POOLED_TUNED: {"color": COLOURS["pooled"]},
    FORECAST_FOMAML: {"color": COLOURS["FOMAML"], "ls": "--"},
    FORECAST_MAML: {"color": COLOURS["MAML"], "ls": "--"},
    HEAD: {"color": COLOURS["head"], "lw": 2.2},
    HEAD_VARIED: {"color": COLOURS["head"], "ls": ":"},
    FORECAST_HEAD: {"color": COLOURS["head"], "ls": "--"},
    "straight line": {"color": COLOURS["other 5"]},
    "shifted mean": {"color": COLOURS["other 4"]},
    "mixed model": {"color": COLOURS["other 1"]},
    "Gaussian": {"color": COLOURS["other 2"]},
    PROCESS: {"color": COLOURS["other 3"]},
}
#: An RMSE beyond this is off the chart: the spread of life expectancy itself is 13 years.
CEILING = 14.0
TICKS = (1, 1.5, 2, 3, 4, 6, 8, 10, 14)


def save_all(results: Results, paths: Sequence[Path], note: str = "") -> tuple[Path, ...]:
    """Draw and write the figures; ``note`` is added to every title."""
    drawn = (adaptation, by_observations, by_steps, curvature, bands.bands, bands.reliability)
    return tuple(save_figure(d(results, note), p) for d, p in zip(drawn, paths, strict=True))


def adaptation(results: Results, note: str = "") -> Any:
    """Draw six unseen countries, spread evenly from FOMAML's smallest error to its largest."""
    settings, data = results.settings, results.data
    figure, axes = new_figure(2, 3, width=12, height=7, sharex=True, sharey=True)
    fine = np.linspace(data.years[0], data.years[-1], 111)
    trained = settings.inner_steps
    for ax, (country, label) in zip(axes.flat, _six(results), strict=True):
        fold = next(i for i, f in enumerate(results.folds) if country in f.test)
        order = results.orders[country : country + 1, :1]
        columns, given = support(data.values[country : country + 1], order, settings.k_support)
        curves = {
            method: results.networks[fold][method].predict(columns, given, (0, 1, trained), fine)[0]
            for method in (FOMAML, MAML)
        }
        before, one, after = curves[FOMAML][:, 0]
        colour = STYLE[FOMAML]["color"]
        ax.plot(fine, before, color=colour, ls=(0, (1, 2)), label="FOMAML before adaptation")
        ax.plot(fine, one, color=colour, alpha=0.45, label="FOMAML after 1 step")
        ax.plot(fine, after, color=colour, lw=2.2, label=f"FOMAML after {trained} steps")
        ax.plot(fine, curves[MAML][-1, 0], color=STYLE[MAML]["color"], lw=1.4, ls="--",
                label=f"exact MAML after {trained} steps")  # fmt: skip
        ax.plot(data.years, data.values[country], "o", color="white", mec="black", ms=5,
                label="to be predicted")  # fmt: skip
        ax.plot(data.years[columns[0]], given[0], "o", color="black", ms=8, label="given")
        ax.set_title(f"{data.countries[country]}  ({label})", fontsize=11)
    for ax in axes[:, 0]:
        ax.set_ylabel("life expectancy, years")
    for ax in axes[-1]:
        ax.set_xticks(data.years[::3])
    figure.suptitle(
        f"Adapting to a country never seen, from {settings.k_support} observations "
        f"(RMSE of FOMAML after {trained} steps){note}"
    )
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _six(results: Results) -> Iterator[tuple[int, str]]:
    setting = Setting(results.settings.k_support, results.settings.inner_steps)
    error = np.sqrt(results.errors[FOMAML, setting].mse[:, 0])
    rank = np.argsort(error)
    for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        country = int(rank[round(share * (len(rank) - 1))])
        which = {0.0: "best of all, ", 1.0: "worst of all, "}.get(share, f"{share:.0%} quantile, ")
        yield country, f"{which}RMSE {error[country]:.1f}"


def by_observations(results: Results, note: str = "") -> Any:
    """Draw the error of every method against the number of observations given."""
    settings = results.settings
    figure, axes = new_figure(1, 1, width=9.5, height=5.8)
    ax = axes[0, 0]
    ends = {}
    for method in METHODS:
        summaries = [
            summarise(results.errors[method, Setting(k, settings.inner_steps)])
            for k in settings.test_supports
        ]
        mean = np.array([s.mean for s in summaries])
        half = np.array([s.half_width for s in summaries])
        style = STYLE[method]
        ax.plot(settings.test_supports, mean, marker="o", ms=4.5, label=method, **style)
        if method in (FOMAML, "Gaussian"):
            ax.fill_between(
                settings.test_supports,
                mean - half,
                mean + half,
                color=style["color"],
                alpha=0.13,
                lw=0,
            )
        ends[method] = float(mean[-1])
    _log_years(ax, low=min(ends.values()) * 0.8)
    _label_ends(ax, settings.test_supports[-1], ends)
    ax.set_xticks(settings.test_supports)
    ax.set_xlim(settings.test_supports[0] - 0.15, settings.test_supports[-1] + 1.6)
    ax.set_xlabel("observations of the unseen country that are given, K")
    ax.set_ylabel("RMSE on its other observations, years")
    ax.set_title(
        f"Error against observations given (networks: {settings.inner_steps} steps, trained at "
        f"K = {settings.k_support}; bands: 95% over countries){note}",
        fontsize=11,
        loc="left",
    )
    return figure


def by_steps(results: Results, note: str = "") -> Any:
    """Draw the error of the networks against adaptation steps, beside the closed forms."""
    settings = results.settings
    figure, axes = new_figure(1, 2, width=12, height=5.6, sharey=True)
    position = np.arange(len(settings.test_steps))
    means = {
        (method, forecast): [
            summarise(results.errors[method, Setting(settings.k_support, n, forecast)]).mean
            for n in settings.test_steps
        ]
        for forecast in (False, True)
        for method in methods_of(forecast)
    }
    low = 0.85 * float(np.nanmin(list(means.values())))
    for ax, forecast in zip(axes[0], (False, True), strict=True):
        _log_years(ax, low)
        for method in methods_of(forecast):
            steps = method in networks_of(forecast)
            marker = {"marker": "o", "ms": 4.5} if steps else {"lw": 1.2}
            ax.plot(position, means[method, forecast], **{**STYLE[method], **marker})
        _label_ends(ax, position[-1], {m: means[m, forecast][-1] for m in methods_of(forecast)})
        ax.set_xlim(-0.15, position[-1] + 2.1)
        ax.set_xticks(position, [str(n) for n in settings.test_steps])
        ax.set_xlabel("adaptation steps")
        k = settings.k_support
        which = f"the first {k} in time (forecast)" if forecast else f"{k} at random"
        ax.set_title(f"observations given: {which}", fontsize=11, loc="left")
    axes[0, 0].set_ylabel("RMSE on the other observations, years")
    figure.suptitle(f"Error against adaptation steps{note}")
    return figure


def curvature(results: Results, note: str = "") -> Any:
    """Draw the largest stable inner rate of every unseen country, by start."""
    settings, study = results.settings, results.rates
    starts = sorted(study.largest_rate, key=lambda s: -float(np.median(study.largest_rate[s])))
    figure, axes = new_figure(1, 1, width=9.5, height=0.55 * len(starts) + 1.6)
    ax = axes[0, 0]
    rng = np.random.default_rng(0)
    for row, start in enumerate(reversed(starts)):
        rates = study.largest_rate[start]
        base = start.split(",")[0]
        colour = COLOURS.get(base, COLOURS["pooled"] if base == "pooled" else COLOURS["other 1"])
        ax.scatter(
            rates, row + rng.uniform(-0.22, 0.22, len(rates)), s=9, color=colour, alpha=0.55, lw=0
        )
        ax.plot([np.median(rates)] * 2, [row - 0.32, row + 0.32], color="black", lw=2)
    for rate in (settings.inner_rate, settings.large_rate):
        ax.axvline(rate, color="black", ls="--", lw=1)
        above = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        ax.text(rate, 1.01, f"α = {rate:g}", fontsize=10, **above)
    ax.set_yticks(range(len(starts)), list(reversed([_start_name(s, settings) for s in starts])))
    ax.set_xscale("log")
    ticks = (0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set_xlabel("α_max = 2/λ_max of the support loss, one dot per unseen country (bar: median)")
    figure.suptitle(f"At rate α, adaptation diverges for the countries left of α{note}")
    return figure


def _start_name(start: str, settings: Settings) -> str:
    if start in (FOMAML, MAML):
        return f"{start}, α = {settings.inner_rate:g}"
    return "pooled" if start == POOLED else start


def _log_years(ax: Any, low: float) -> None:
    ax.set_yscale("log")
    ax.set_ylim(low, CEILING)
    ticks = [t for t in TICKS if low <= t <= CEILING]
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()


def _label_ends(ax: Any, x: float, ends: dict[str, float]) -> None:
    """Write each method's name at the right end of its curve, pushed apart where they crowd."""
    low, high = np.log(ax.get_ylim())
    gap = (high - low) * 0.045
    shown = {m: np.log(v) for m, v in ends.items() if np.isfinite(v) and np.log(v) < high}
    names = sorted(shown, key=lambda m: shown[m])
    at = np.array([shown[m] for m in names])
    for _ in range(200):  # relax: push neighbours apart symmetrically until none overlap
        short = gap - np.diff(at)
        if (short <= 1e-9).all():
            break
        push = np.maximum(short, 0) / 2
        at[:-1] -= push
        at[1:] += push
        at = np.clip(at, low + gap / 2, high - gap / 2)
    for name, height in zip(names, at, strict=True):
        ax.annotate(
            name,
            (x, np.exp(shown[name])),
            xytext=(x + 0.22, np.exp(height)),
            textcoords="data",
            va="center",
            fontsize=9,
            color=STYLE[name]["color"],
            arrowprops={
                "arrowstyle": "-",
                "relpos": (0.0, 0.5),
                "shrinkA": 1.0,
                "color": STYLE[name]["color"],
                "lw": 0.6,
                "alpha": 0.7,
            },
        )
