"""The figures of every method beside the published ones, as tables and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from examples import report
from examples.sinusoid.scoring import Score
from examples.sinusoid.settings import (
    PUBLISHED,
    PUBLISHED_SHOTS,
    PUBLISHED_STEPS,
    Settings,
)
from examples.sinusoid.training import Trained


def explain_terms(settings: Settings) -> None:
    """Print what the words of the tables mean."""
    report.explain(
        {
            "K": "points of a curve that the network is shown; K-shot is a test with K points",
            "n steps": "the error after n gradient steps on these K points, from the trained start",
            "error": f"mean squared error (MSE) on {settings.grid_points} points of each of "
            f"{settings.test_tasks} curves that no training saw",
            "±": "half the 95% interval of the mean over curves; below it stands the median",
            "d/w": f"curves that diverged (error above {settings.error_limit:g} or not finite; "
            "left out of mean and median) / that are worse off than before adaptation",
            "MAML": "meta-trained by the exact gradient",
            "FOMAML": "meta-trained without second derivatives",
            "pretrained": "trained on the same curves without adaptation, then fine-tuned",
            "small init": "started from weights of σ = 0.01, as the paper's code, instead of He's",
        }
    )


def print_scores(scores: Sequence[Score], settings: Settings) -> None:
    """Print a table for every K of the test."""
    for shots in settings.test_shots:
        rows: list[Sequence[object] | None] = []
        for score in scores:
            if score.shots == shots:
                rows.append(_row(score))
        if shots == PUBLISHED_SHOTS:
            rows.append(None)
            rows += [_published_row(name, settings) for name in PUBLISHED]
        columns = ["network\n  K in training, rate"] + [
            f"{s} step{'s' if s != 1 else ''}\nmean ± 95%\nmedian · d/w"
            for s in settings.test_steps
        ]
        report.print_table(
            f"{shots}-shot: mean squared error on {settings.test_tasks} new curves"
            + (" — SHORTENED RUN" if settings.shortened else ""),
            columns,
            rows,
        )


def print_training(runs: Sequence[Trained], settings: Settings) -> None:
    """Print what the meta-steps of every training cost, sampling not counted."""
    rows = [
        [
            f"{run.method.name} (K = {run.shots})",
            f"{run.seconds:.1f}",
            f"{1e6 * run.seconds / settings.iterations:.0f}",
            run.dropped,
        ]
        for run in runs
    ]
    report.print_table(
        f"Training: {settings.iterations:,} meta-steps each",
        ["network", "seconds", "µs a\nmeta-step", "diverged\ntasks"],
        rows,
    )


def save_numbers(
    scores: Sequence[Score],
    runs: Sequence[Trained],
    head: Mapping[str, object],
    findings: Sequence[str],
    settings: Settings,
    seed: int,
    path: Path,
) -> Path:
    """Write the protocol and every summary as JSON; return the path."""
    content = {
        "settings": asdict(settings),
        "seed": seed,
        "published": PUBLISHED,
        "training_seconds": {f"{r.method.name}, K = {r.shots}": r.seconds for r in runs},
        "scores": [
            {
                "network": score.name,
                "train_shots": score.trained.shots,
                "test_shots": score.shots,
                "rate": score.rate,
                "steps": score.result.steps,
                "mean": score.result.mean.tolist(),
                "interval": score.result.interval.tolist(),
                "median": score.result.median.tolist(),
                "diverged": score.result.n_diverged.tolist(),
                "worse": score.n_worse.tolist(),
            }
            for score in scores
        ],
        "head": head,
        "findings": list(findings),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def number(value: float) -> str:
    """Format an error; what has exploded is shown by its magnitude.

    >>> from examples.sinusoid.tables import number
    >>> number(0.666), number(1234.5), number(float("nan"))
    ('0.67', '1e+03', '—')
    """
    if np.isnan(value):
        return "—"
    return f"{value:.2f}" if value < 100 else f"{value:.0f}" if value < 1000 else f"{value:.0e}"


def _row(score: Score) -> list[str]:
    result = score.result
    cells = [
        f"{number(mean)} ± {number(half)}\n{number(median)} · {lost}/{worse}"
        for mean, half, median, lost, worse in zip(
            result.mean,
            result.interval,
            result.median,
            result.n_diverged,
            score.n_worse,
            strict=True,
        )
    ]
    return [f"{score.name}\n  K = {score.trained.shots}, rate {score.rate:g}", *cells]


def _published_row(name: str, settings: Settings) -> list[str]:
    figures = dict(zip(PUBLISHED_STEPS, PUBLISHED[name], strict=True))
    cells = [f"{figures[s]:.2f}" if s in figures else "" for s in settings.test_steps]
    return [f"published: {name}", *cells]
