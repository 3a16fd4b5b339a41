"""The life-expectancy experiment from end to end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from examples.gapminder import evaluation, plots, report, training
from examples.gapminder.data import load
from examples.gapminder.evaluation import Results
from examples.gapminder.settings import Settings
from examples.report import progress, say

TITLE = "Life expectancy in 142 countries"

#: Files written, in this order.
OUTPUTS = (
    "gapminder_adaptation.png",
    "gapminder_observations.png",
    "gapminder_steps.png",
    "gapminder_curvature.png",
    "gapminder_bands.png",
    "gapminder_trust.png",
    "gapminder.json",
)


@dataclass(frozen=True)
class GapminderReport:
    """What `run` produced.

    Attributes
    ----------
    results : Results
        Every error measured.
    conclusions : tuple of str
        Sentences derived from them.
    summary : tuple of str
        Three of them in plain words.
    figures : tuple of Path
        The PNG files.
    numbers : Path
        The JSON file with every summary.
    seconds : float
        Wall-clock time of the whole experiment.
    quick : bool
        Whether this was the shortened run, whose figures mean nothing.
    """

    results: Results
    conclusions: tuple[str, ...]
    summary: tuple[str, ...]
    figures: tuple[Path, ...]
    numbers: Path
    seconds: float
    quick: bool


def run(
    out_dir: Path, *, quick: bool = False, seed: int = 0, threads: int | None = None
) -> GapminderReport:
    """Run the experiment; print tables, write figures and numbers into ``out_dir``.

    Parameters
    ----------
    out_dir : Path
        Made if it does not exist.
    quick : bool, default False
        A shortened run that shows that everything works; it is labelled so everywhere.
    seed : int, default 0
    threads : int, optional
        Of the core; by default it chooses.

    Returns
    -------
    GapminderReport
    """
    begin = time.perf_counter()
    settings = Settings.quick() if quick else Settings()
    label = "training" + (" (SHORTENED)" if quick else "")
    total = settings.n_folds * training.TRAININGS_PER_FOLD * settings.iterations
    with progress({label: total}) as advance:
        results = evaluation.evaluate(
            load(),
            settings,
            seed=seed,
            threads=threads,
            advance=lambda n: advance(label, n),
        )
    report.explain_terms(results)
    report.print_tables(results)
    lines = report.conclusions(results)
    say("")
    for line in lines:
        say(f"• {line}")
    *pictures, file = (out_dir / name for name in OUTPUTS)
    figures = plots.save_all(results, pictures, " — SHORTENED RUN" if quick else "")
    numbers = report.save_numbers(results, lines, file)
    seconds = time.perf_counter() - begin
    say(f"Life expectancy: {seconds:.1f} s in all.")
    summary = report.summary(results)
    return GapminderReport(results, lines, summary, figures, numbers, seconds, quick)
