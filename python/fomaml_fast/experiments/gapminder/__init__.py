"""Life expectancy of countries: meta-learning on real data, beside honest baselines.

A task is a country: adapt to one never seen from 3 of its 12 observations, 1952–2007, and predict
the other 9. Five folds over 142 countries. ``docs/gapminder.md`` has the method and what came out.

``data``        the table
``protocol``    folds, supports, standardisation
``settings``    every number the protocol fixes
``meta``        meta-training
``network``     a trained network that adapts
``baselines``   line, shifted mean, mixed model, Gaussian
``curvature``   how large an inner rate is stable
``scores``      errors, intervals, paired differences
``evaluation``  the experiment: folds × methods × settings
``report``, ``plots``
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ..report import progress, say
from . import evaluation, plots, report
from .data import load
from .evaluation import Results
from .settings import Settings

__all__ = ["GapminderReport", "Results", "Settings", "run"]


@dataclass(frozen=True)
class GapminderReport:
    """What `run` produced.

    Attributes
    ----------
    results : Results
        Every error measured.
    conclusions : tuple of str
        Sentences derived from them.
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
    label = "Life expectancy: training" + (" (SHORTENED)" if quick else "")
    total = settings.n_folds * evaluation.TRAININGS_PER_FOLD * settings.iterations
    with progress({label: total}) as advance:
        results = evaluation.evaluate(
            load(),
            settings,
            seed=seed,
            threads=threads,
            advance=lambda n: advance(label, n),
        )
    report.print_tables(results)
    lines = report.conclusions(results)
    for line in lines:
        say(f"• {line}")
    figures = plots.save_all(results, out_dir, " — SHORTENED RUN" if quick else "")
    numbers = report.save_numbers(results, lines, out_dir / "gapminder.json")
    seconds = time.perf_counter() - begin
    say(f"Life expectancy: {seconds:.1f} s; figures and numbers in {out_dir}")
    return GapminderReport(results, lines, figures, numbers, seconds, quick)
