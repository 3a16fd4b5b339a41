"""The head's figures beside those of gradient steps, in tables and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from examples import report
from examples.sinusoid.head import METRICS, Scores, TrainedHead
from examples.sinusoid.scoring import Score
from examples.sinusoid.settings import PUBLISHED_SHOTS, Settings
from examples.sinusoid.trust import FALSE_ALARMS, QUESTIONS, Line


def figure(value: float) -> str:
    """Format an error; a small one keeps two digits.

    >>> from examples.sinusoid.head_tables import figure
    >>> figure(0.666), figure(0.0000213)
    ('0.67', '0.000021')
    """
    if value >= 0.1 or not value > 0:
        return f"{value:.2f}"
    return np.format_float_positional(value, precision=2, fractional=False)


def explain_terms(settings: Settings) -> None:
    """Print what the words of these tables mean."""
    first, last = settings.head_rates
    report.explain(
        {
            "Bayesian head": "last layer solved for in closed form, no steps; features, prior and "
            f"noise of a {settings.head_activation} network meta-trained at K = "
            f"{settings.head_shots} ({settings.head_iterations:,} meta-steps, Adam {first:g} to "
            f"{last:g})",
            "coverage": "share of the grid inside the 95% intervals; — where a method has none",
            "predicted": "the deviation that the head gives with its mean; RMSE is what came of it",
            "flagged": f"curves whose points are less likely than those of {1 - FALSE_ALARMS:.0%} "
            "of curves as in training",
        }
    )


def print_head(
    head: TrainedHead, found: Scores, scores: Sequence[Score], settings: Settings
) -> None:
    """Print the errors of gradient steps after the last of them, and of the head."""
    steps = settings.test_steps[-1]
    beside = {(s.name, s.trained.shots, s.shots): s.result for s in scores}
    rows: list[Sequence[object] | None] = []
    for name, trained_at in dict.fromkeys((name, trained) for name, trained, _ in beside):
        cells: list[str] = []
        for shots in settings.test_shots:
            result = beside[name, trained_at, shots]
            column = result.steps.index(steps)
            cells += [_cell(result.mean[column], result.interval[column]), "—"]
        rows.append([f"{name}\n  K = {trained_at}", *cells])
    cells = []
    for shots in settings.test_shots:
        mse, inside = found[shots]["mse"], found[shots]["coverage_95"].mean[-1]
        cells += [_cell(mse.mean[-1], mse.interval[-1]), f"{inside:.1%}"]
    rows += [None, [f"Bayesian head\n  K = {settings.head_shots}", *cells]]
    report.print_table(
        f"Squared error after {steps} steps, and of a head with error bars{_note(settings)}",
        ["network\n  K in training"]
        + [
            heading
            for shots in settings.test_shots
            for heading in (f"{shots}-shot\n± 95%", "coverage\n")
        ],
        rows,
    )
    medians = " and ".join(
        f"{figure(found[shots]['mse'].median[-1])} at {shots}-shot" for shots in settings.test_shots
    )
    report.say(
        f"The head's median over curves is {medians}. It took {head.seconds:.0f} s to meta-train, "
        f"{1e6 * head.seconds / settings.head_iterations:.0f} µs a meta-step; the deviation of a "
        f"measurement that it learned is {head.noise:.4f}."
    )


def print_trust(lines: Sequence[Line], settings: Settings) -> None:
    """Print how far off the head is where it is sure, where it is not, and where it cannot know."""
    rows = [
        [
            line.name,
            f"{line.predicted:.4f}",
            f"{line.actual:.4f}",
            f"{line.coverage:.1%}",
            "" if np.isnan(line.flagged) else f"{line.flagged:.0%}",
        ]
        for line in lines
    ]
    report.print_table(
        f"When not to trust {settings.head_shots} points: {settings.trust_tasks} curves of each "
        f"kind{_note(settings)}",
        ["curves", "predicted", "RMSE", "coverage", "flagged"],
        rows,
    )


def findings(
    found: Scores, scores: Sequence[Score], lines: Sequence[Line], settings: Settings
) -> Iterator[str]:
    """Say what the tables say."""
    steps = settings.test_steps[-1]
    mse, inside = (found[PUBLISHED_SHOTS][name] for name in ("mse", "coverage_95"))
    best = min(
        (s for s in scores if s.shots == PUBLISHED_SHOTS), key=lambda s: float(s.result.mean[-1])
    )
    yield (
        f"The head at {PUBLISHED_SHOTS}-shot: {figure(mse.mean[-1])} ± {figure(mse.interval[-1])}, "
        f"{inside.mean[-1]:.1%} of the grid inside its 95% intervals; the best of the networks "
        f"after {steps} steps is {best.name} (K = {best.trained.shots}) with "
        f"{figure(float(best.result.mean[-1]))}. These curves are its home ground: all are a sin x "
        "+ b cos x, so two features are all there is to learn."
    )
    usual = lines[0]
    questions = {question.name for question in QUESTIONS}
    for line in lines[1:]:
        if line.name in questions:
            flags = "" if np.isnan(line.flagged) else f"; their points flag {line.flagged:.0%}"
            yield (
                f"Curves {line.name}: the head expects to be {line.predicted:.4f} off and is "
                f"{line.actual:.4f} off (as in training: {usual.predicted:.4f} and "
                f"{usual.actual:.4f}){flags}."
            )


def sentence(found: Scores) -> str:
    """Return the head's part of the summary."""
    mse, inside = (found[PUBLISHED_SHOTS][name].mean[-1] for name in ("mse", "coverage_95"))
    return (
        f"a head that is solved for in closed form has {figure(mse)}, and {inside:.0%} of the "
        "truth lies inside its 95% intervals"
    )


def as_numbers(head: TrainedHead, found: Scores, lines: Sequence[Line]) -> dict[str, Any]:
    """Return all of it for the JSON file."""
    return {
        "seconds": head.seconds,
        "noise": head.noise,
        "scores": [
            {
                "test_shots": shots,
                **{name: of_head[name].mean[-1] for name in METRICS},
                "mse_interval": of_head["mse"].interval[-1],
                "mse_median": of_head["mse"].median[-1],
            }
            for shots, of_head in found.items()
        ],
        "trust": [{k: None if v != v else v for k, v in vars(line).items()} for line in lines],
    }


def _cell(mean: float, half: float) -> str:
    return f"{figure(mean)}\n± {figure(half)}"


def _note(settings: Settings) -> str:
    return " — SHORTENED RUN" if settings.shortened else ""
