"""Tables of error bars: by observations given, and when not to trust a prediction."""

from __future__ import annotations

from collections.abc import Iterator

from examples.gapminder.cells import BLANK, broken, on_two_lines, ruled, years
from examples.gapminder.evaluation import Results, Setting
from examples.gapminder.methods import HEAD, POOLED_TUNED, groups_of, methods_of
from examples.gapminder.scores import summarise
from examples.report import print_table, say

#: What stands for a figure that a method does not have.
NONE = "—"


def columns_of(results: Results) -> dict[str, Setting]:
    """Return heading -> setting: every K at the usual number of steps, and the forecast."""
    settings = results.settings
    k, steps = settings.k_support, settings.inner_steps
    by_k = {f"K = {k}": Setting(k, steps) for k in settings.test_supports}
    return {**by_k, f"first {k}": Setting(k, steps, forecast=True)}


def print_by_observations(results: Results, note: str) -> None:
    """Print error and coverage of every method by observations given, and on the forecast."""
    columns = columns_of(results)

    def cell(method: str, setting: Setting) -> str:
        if (method, setting) not in results.errors:
            return BLANK
        bars = results.calibration.get((method, setting))
        inside = NONE if bars is None else f"{bars.summary().coverage:.1%}"
        return f"{on_two_lines(summarise(results.errors[method, setting]))}\n{inside}"

    settings = results.settings
    print_table(
        f"RMSE in years and coverage by K, networks after {settings.inner_steps} steps{note}",
        ["", *columns],
        ruled(
            groups_of(forecast=True),
            lambda method: [broken(method), *(cell(method, s) for s in columns.values())],
        ),
    )
    rates = ", ".join(f"{network[POOLED_TUNED].rate:g}" for network in results.networks)
    say(
        f"The networks were trained at K = {settings.k_support} unless it says otherwise; tuned "
        f"rates of the folds: {rates}"
    )


def print_likelihoods(results: Results, note: str) -> None:
    """Print minus the log-density of what was held out, of the methods with error bars."""
    columns = columns_of(results)
    methods = [m for m in methods_of(forecast=True) if any(m == n for n, _ in results.calibration)]

    def cell(method: str, setting: Setting) -> str:
        bars = results.calibration.get((method, setting))
        if bars is None:
            return BLANK
        found = bars.summary()
        return f"{found.nll:.2f}\n± {found.nll_half_width:.2f}"

    print_table(
        f"Negative log-likelihood of what was not given, per observation{note}",
        ["", *columns],
        [[broken(m), *(cell(m, s) for s in columns.values())] for m in methods],
    )


def print_reliability(results: Results, note: str) -> None:
    """Print, for fifths of the predictions by their own deviation, how far off they are."""
    methods = list(dict.fromkeys(method for method, _ in results.reliability))
    for forecast in (False, True):
        found = [results.reliability[method, forecast] for method in methods]
        n_parts = len(found[0].predicted)
        rows = [
            [
                {0: "surest", n_parts - 1: "least sure"}.get(part, ""),
                *(
                    cell
                    for bars in found
                    for cell in (
                        years(bars.predicted[part]),
                        years(bars.actual[part]),
                        f"{bars.coverage[part]:.1%}",
                    )
                ),
            ]
            for part in range(n_parts)
        ]
        which = "forecasts" if forecast else f"K = {results.settings.k_support}"
        print_table(
            f"When not to trust: predictions by their deviation, {which}{note}",
            [
                f"1/{n_parts} of them\n",
                *(
                    heading
                    for method in methods
                    for heading in (f"{method}:\npredicted", "\nRMSE", "\ncoverage")
                ),
            ],
            rows,
        )


def conclusions(results: Results) -> Iterator[str]:
    """Say how honest the head's error bars are, and what they tell apart."""
    for heading, setting in columns_of(results).items():
        if setting.k == results.settings.k_support:
            found = results.calibration[HEAD, setting].summary()
            yield (
                f"{HEAD}, {heading}: {found.coverage:.1%} ± {found.coverage_half_width:.1%} of the "
                "observations not given lie inside its 95% intervals."
            )
    for (method, forecast), bars in results.reliability.items():
        what = "forecasts" if forecast else "predictions from random observations"
        yield (
            f"{method}, {what}: the fifth that it is surest of (± {years(bars.predicted[0])} "
            f"years, one deviation) is {years(bars.actual[0])} off, the fifth that it is least "
            f"sure of (± {years(bars.predicted[-1])}) {years(bars.actual[-1])}."
        )
