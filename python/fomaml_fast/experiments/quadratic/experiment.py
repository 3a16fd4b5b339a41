"""Closed forms and the library side by side, as the inner rate grows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from fomaml_fast.experiments import report
from fomaml_fast.experiments.quadratic import closed_forms, library, plots
from fomaml_fast.experiments.quadratic.closed_forms import METHODS

#: Start and best weight of the demonstration.
W, C = 2.0, 1.0
STEPS = (1, 2, 3, 5)
RATES = (0.25, 0.5, 1.0, 1.25, 1.5, 2.0)
#: Of the descent: outer rate in units of 1/a, outer steps, and the αa shown.
OUTER, COUNT = 0.1, 30
DESCENTS = (0.5, 1.25, 1.5)

TITLE = "Meta-gradient of a/2 (w − c)² in units of a(w − c); Reptile in units of w − c"
COLUMNS = ("αa", "S", *METHODS, "FOMAML points")


@dataclass(frozen=True)
class Row:
    """The meta-gradients of every method at one αa and S, in the units of `TITLE`."""

    alpha_a: float
    steps: int
    library: tuple[float, ...]
    closed: tuple[float, ...]

    def cells(self) -> tuple[str, ...]:
        """Return what a table shows: the library's values.

        Examples
        --------
        >>> Row(1.5, 1, (0.25, -0.5, 1.5), (0.25, -0.5, 1.5)).cells()
        ('1.5', '1', '+0.2500', '−0.5000', '+1.5000', 'uphill')
        """
        first = self.closed[METHODS.index("FOMAML")]
        way = "uphill" if first < 0 else "nowhere" if first == 0 else "downhill"
        shown = [signed(value) for value in self.library]
        return f"{self.alpha_a:g}", str(self.steps), *shown, way


@dataclass(frozen=True)
class QuadraticReport:
    """All that the demonstration found; `error` is the largest difference to a closed form."""

    rows: list[Row]
    descents: list[tuple[str, ...]]
    error: float
    figures: list[Path]
    seconds: float


def run(
    out_dir: Path, *, quick: bool = False, seed: int = 0, threads: int | None = None
) -> QuadraticReport:
    """Compute, print the tables, draw the figure.

    Parameters
    ----------
    out_dir : Path
        Folder of the figure; made if absent.
    quick, seed, threads
        Accepted as by every experiment, and without effect: nothing here is random or long.

    Returns
    -------
    QuadraticReport
    """
    start = time.perf_counter()
    rows = gradients()
    descents = descent_rows()
    error = max(abs(a - b) for row in rows for a, b in zip(row.library, row.closed, strict=True))
    figure = plots.draw(out_dir / "quadratic.png")
    report.print_table(TITLE, COLUMNS, [r.cells() for r in rows])
    report.say(f"Largest difference to the closed forms: {error:.1e}")
    report.print_table(
        f"|w − c| after {COUNT} outer steps of rate {OUTER:g}/a (it starts at {W - C:g}, S = 1)",
        ("αa", "MAML", "FOMAML", "FOMAML's factor a step"),
        descents,
    )
    return QuadraticReport(rows, descents, error, [figure], time.perf_counter() - start)


def gradients() -> list[Row]:
    """Return the meta-gradients of the library, and those of the closed forms."""
    units = [closed_forms.unit(m, library.CURVATURE, W - C) for m in METHODS]
    return [
        Row(
            alpha_a,
            steps,
            tuple(
                library.meta_gradient(m, alpha_a, steps, W, C) / unit
                for m, unit in zip(METHODS, units, strict=True)
            ),
            tuple(
                closed_forms.meta_gradient(m, alpha_a, steps, library.CURVATURE, W - C) / unit
                for m, unit in zip(METHODS, units, strict=True)
            ),
        )
        for steps in STEPS
        for alpha_a in RATES
    ]


def descent_rows() -> list[tuple[str, ...]]:
    """Return how far from the best weight the outer descent ends under both gradients."""
    rate, found = OUTER / library.CURVATURE, []
    for alpha_a in DESCENTS:
        ends = [
            abs(library.descend(m, alpha_a, 1, w=W, c=C, outer_rate=rate, count=COUNT)[-1] - C)
            for m in ("MAML", "FOMAML")
        ]
        factor = closed_forms.outer_factor("FOMAML", alpha_a, 1, library.CURVATURE, rate)
        found.append((f"{alpha_a:g}", *(f"{end:.4f}" for end in ends), f"{factor:.4f}"))
    return found


def signed(value: float) -> str:
    """Format a number with its sign.

    Examples
    --------
    >>> signed(-0.5), signed(0.0)
    ('−0.5000', '0.0000')
    """
    if abs(value) < 5e-5:
        return "0.0000"
    return f"{value:+.4f}".replace("-", "−")
