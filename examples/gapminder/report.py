"""Tables, and conclusions derived from what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from examples.gapminder import error_bars
from examples.gapminder.cells import BLANK, broken, on_two_lines, ruled, with_interval, years
from examples.gapminder.evaluation import Results, Setting
from examples.gapminder.methods import (
    FOMAML,
    FORECAST_HEAD,
    FORECASTERS,
    HEAD,
    HEADS,
    MAML,
    METHODS,
    POOLED_TUNED,
    groups_of,
    large,
    methods_of,
    networks_of,
)
from examples.gapminder.scores import difference, summarise
from examples.report import explain, print_table, say


def explain_terms(results: Results) -> None:
    """Print what the words of the tables mean."""
    settings = results.settings
    explain(
        {
            "K": f"observations of an unseen country that are given, of {len(results.data.years)}",
            "n steps": "gradient steps on these K observations, from the trained start",
            "RMSE": "root of the mean squared error on the other observations, in years of life; "
            "its mean over countries, below it ± half the 95% interval over countries",
            "all rows": "root of the mean squared error over all countries at once",
            "lost": "adaptations that met a number that is not finite; left out",
            "FOMAML": "meta-trained without second derivatives",
            "MAML": "meta-trained by the exact gradient",
            "forecast-trained": "meta-trained on forecasts, on which alone it is tested",
            "pooled": "the same network trained on all countries at once, then fine-tuned with "
            f"MAML's rate ({settings.inner_rate:g}), or with the best one for it (tuned)",
            "Bayesian head": "the same network with its last layer solved for in closed form; "
            "K varied: meta-trained on 1 to 6 observations",
            "closed forms": "straight line, shifted mean curve, mixed model, Gaussian, Gaussian "
            "process: no steps",
            "coverage": "share of the other observations inside the method's 95% interval, the "
            "third line of a cell; — where the method has none",
        }
    )


def print_tables(results: Results) -> None:
    """Print everything: by steps, the forecast, by number of observations, bars, and the rates."""
    k = results.settings.k_support
    note = " — SHORTENED RUN" if _shortened(results) else ""
    _print_steps(results, f"RMSE in years, {k} observations given at random{note}", forecast=False)
    _print_steps(results, f"RMSE in years, the first {k} observations given{note}", forecast=True)
    error_bars.print_by_observations(results, note)
    error_bars.print_likelihoods(results, note)
    error_bars.print_reliability(results, note)
    _print_rates(results, note)


def _print_steps(results: Results, title: str, *, forecast: bool) -> None:
    settings, networks = results.settings, networks_of(forecast)

    def cells(method: str) -> list[str]:
        summaries = {
            n: summarise(results.errors[method, Setting(settings.k_support, n, forecast)])
            for n in settings.test_steps
        }
        trained = summaries[settings.inner_steps]
        return [
            broken(method),
            *(
                on_two_lines(s) if method in networks or n == settings.inner_steps else BLANK
                for n, s in summaries.items()
            ),
            years(trained.pooled),
            str(sum(s.n_diverged for s in summaries.values())),
        ]

    columns = [
        "",
        *(
            ("1 step" if n == 1 else f"{n} steps")
            + ("\nor none" if n == settings.inner_steps else "\n")
            for n in settings.test_steps
        ),
        f"all rows\n{settings.inner_steps} steps",
        "lost\n",
    ]
    print_table(title, columns, ruled(groups_of(forecast), cells))


def _print_rates(results: Results, note: str) -> None:
    settings, study = results.settings, results.rates
    usual, too_large = settings.inner_rate, settings.large_rate

    def uphill(start: str, rate: float) -> str:
        count = study.uphill[start, rate, settings.inner_steps]
        return f"{count.n_uphill} ({count.n_not_finite})"

    rows = []
    for start in study.largest_rate:
        low, middle, high = np.quantile(study.largest_rate[start], [0.05, 0.5, 0.95])
        stopped = [str(at) for at in study.diverged_at.get(start, []) if at is not None]
        rows.append(
            [
                start,
                f"{middle:.3f}\n{low:.3f} – {high:.3f}",
                uphill(start, usual),
                uphill(start, too_large),
                ("\n".join(stopped) or "no") if start in study.diverged_at else BLANK,
            ]
        )
    count = next(iter(study.uphill.values())).n_adaptations
    print_table(
        f"Inner rate α and curvature: how many of {count} adaptations diverge{note}",
        [
            "start",
            "median α_max\n5% – 95%",
            f"α = {usual:g}\n",
            f"α = {too_large:g}\n",
            "training diverged\nat iteration",
        ],
        rows,
    )
    say(
        f"An adaptation diverges where its support loss is higher after {settings.inner_steps} "
        "steps than before (in brackets: not finite); α_max = 2/λ_max is the largest stable rate."
    )


def summary(results: Results) -> tuple[str, str, str]:
    """Say in three sentences what came out: the meta-learners, their network without, the head."""
    settings = results.settings
    setting = Setting(settings.k_support, settings.inner_steps)
    found = {m: summarise(results.errors[m, setting]) for m in METHODS}
    before = summarise(results.errors[MAML, Setting(settings.k_support, 0)])
    best = min(found, key=lambda m: found[m].mean)
    gaps = {m: difference(results.errors[m, setting], results.errors[best, setting]) for m in found}
    level = [m for m in found if m != best and gaps[m].verdict == "level"]
    inside = results.calibration[HEAD, setting].summary().coverage
    return (
        f"Given {settings.k_support} of its {len(results.data.years)} observations, a network "
        "meta-trained by exact MAML tells the other life expectancies of a country that it never "
        f"saw to {years(found[MAML].mean)} years (RMSE) after {settings.inner_steps} gradient "
        f"steps, against {years(before.mean)} before them and {years(found[FOMAML].mean)} for "
        "FOMAML.",
        "The same network trained on all countries at once, and fine-tuned at the best rate for "
        f"it, comes to {years(found[POOLED_TUNED].mean)} years.",
        "With its last layer solved for in closed form it comes to "
        f"{years(found[HEAD].mean)} years, and {inside:.0%} of the truth lies inside its 95% "
        "intervals; of all methods, closed forms included, the lowest error is "
        f"{years(found[best].mean)} years: {best}"
        + (f", level with {' and '.join(level)}." if level else "."),
    )


def conclusions(results: Results) -> tuple[str, ...]:
    """Say what came out, from the numbers alone.

    A method is called better or worse where the 95% interval of the paired difference over
    countries excludes 0.
    """
    settings = results.settings
    lines = []
    for forecast, what in ((False, "Random observations"), (True, "Forecast")):
        setting = Setting(settings.k_support, settings.inner_steps, forecast)
        summaries = {m: summarise(results.errors[m, setting]) for m in methods_of(forecast)}
        best = min(summaries, key=lambda m: summaries[m].mean)
        lines.append(f"{what}: lowest error {best}, {with_interval(summaries[best])} years.")
        on_forecasts = (*FORECASTERS, FORECAST_HEAD) if forecast else ()
        meta_learners = (FOMAML, MAML, *HEADS, *on_forecasts)
        lines += [f"{what}: {_compare(results, m, setting)}" for m in meta_learners]
    lines += error_bars.conclusions(results)
    lines += _rate_conclusions(results)
    return tuple(lines)


def _compare(results: Results, method: str, setting: Setting) -> str:
    mine = results.errors[method, setting]
    groups: dict[str, list[str]] = {"better": [], "level": [], "worse": []}
    for other in methods_of(setting.forecast):
        if other != method:
            gap = difference(mine, results.errors[other, setting])
            text = f"{other} ({gap.mean:+.2f} ± {years(gap.half_width)})"
            groups[gap.verdict].append(text if abs(gap.mean) < 100 else other)
    said = [
        f"{phrase} {', '.join(groups[verdict])}"
        for verdict, phrase in (
            ("better", "better than"),
            ("level", "level with"),
            ("worse", "worse than"),
        )
        if groups[verdict]
    ]
    return f"{method} {with_interval(summarise(mine))} is {'; '.join(said)}."


def _rate_conclusions(results: Results) -> Iterable[str]:
    settings, study = results.settings, results.rates
    rate, steps = settings.large_rate, settings.inner_steps
    for method in (FOMAML, MAML):
        count = study.uphill[method, rate, steps]
        middle = float(np.median(study.largest_rate[method]))
        yield (
            f"{method} meta-trained at α = {settings.inner_rate:g} and adapted at {rate:g}: "
            f"{count.n_uphill} of {count.n_adaptations} adaptations diverge "
            f"(median α_max {middle:.3f})."
        )
    for method in (FOMAML, MAML):
        name = large(method, settings)
        stopped = [at for at in study.diverged_at[name] if at is not None]
        count = study.uphill[name, rate, steps]
        middle = float(np.median(study.largest_rate[name]))
        usual = results.errors[method, Setting(settings.k_support, steps)]
        gap = difference(study.errors[name], usual)
        training = (
            f"diverged in {len(stopped)} of {len(results.folds)} folds, at iterations {stopped}"
            if stopped
            else "ran through in every fold"
        )
        yield (
            f"{method} meta-trained at α = {rate:g}: training {training}; "
            f"{count.n_uphill} of {count.n_adaptations} adaptations diverge "
            f"(median α_max {middle:.3f}), error {with_interval(summarise(study.errors[name]))}, "
            f"{gap.mean:+.2f} ± {years(gap.half_width)} from that at {settings.inner_rate:g}."
        )


def save_numbers(results: Results, lines: Sequence[str], path: Path) -> Path:
    """Write every summary and the conclusions as JSON; return the path."""
    summaries = [
        {"method": method, **asdict(setting), **asdict(summarise(errors))}
        for (method, setting), errors in results.errors.items()
    ]
    study = results.rates
    document = {
        "settings": asdict(results.settings),
        "unit": "years of life expectancy, RMSE",
        "summaries": summaries,
        "calibration": [
            {"method": method, **asdict(setting), **asdict(bars.summary())}
            for (method, setting), bars in results.calibration.items()
        ],
        "reliability": [
            {"method": method, "forecast": forecast}
            | {part: values.tolist() for part, values in vars(bars).items()}
            for (method, forecast), bars in results.reliability.items()
        ],
        "tuned_rates": [network[POOLED_TUNED].rate for network in results.networks],
        "largest_rates": {
            start: np.quantile(rates, [0.05, 0.5, 0.95]).tolist()
            for start, rates in study.largest_rate.items()
        },
        "uphill": [
            {"start": start, "rate": rate, "steps": steps, **asdict(count)}
            for (start, rate, steps), count in study.uphill.items()
        ],
        "diverged_at": study.diverged_at,
        "large_rate_errors": {m: asdict(summarise(e)) for m, e in study.errors.items()},
        "conclusions": list(lines),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, default=_plain) + "\n", encoding="utf-8")
    return path


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"not a number or text: {value!r}")


def _shortened(results: Results) -> bool:
    return results.settings != type(results.settings)()
