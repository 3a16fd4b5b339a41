"""Closed forms and the library side by side, as the inner rate grows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from examples import report
from examples.quadratic import closed_forms, library, plots
from examples.quadratic.closed_forms import METHODS

#: Start and best weight of the demonstration.
W, C = 2.0, 1.0
STEPS = (1, 2, 3, 5)
RATES = (0.25, 0.5, 1.0, 1.25, 1.5, 2.0)
#: Of the descent: outer rate in units of 1/a, outer steps, and the αa shown.
OUTER, COUNT = 0.1, 30
DESCENTS = (0.5, 1.25, 1.5)

TITLE = "One dimension: where first order points uphill"

#: Files written.
OUTPUTS = ("quadratic.png",)

TABLE = "Meta-gradient of a/2 (w − c)² in its unit"
COLUMNS = ("αa", "S", *METHODS, "FOMAML points")


@dataclass(frozen=True)
class Row:
    """The meta-gradients of every method at one αa and S, in the units of `explain_terms`."""

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
    """All that the demonstration found; `error` is the largest difference to a closed form.

    `summary` is three sentences.
    """

    rows: list[Row]
    descents: list[tuple[str, ...]]
    error: float
    summary: tuple[str, ...]
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
    figure = plots.draw(out_dir / OUTPUTS[0])
    explain_terms()
    report.print_table(TABLE, COLUMNS, [r.cells() for r in rows])
    report.say(f"Largest difference to the closed forms: {error:.1e}")
    report.print_table(
        f"Distance |w − c| after {COUNT} outer steps of rate {OUTER:g}/a, from {W - C:g}; S = 1",
        ("αa", "MAML", "FOMAML", "FOMAML's factor a step"),
        descents,
    )
    seconds = time.perf_counter() - start
    return QuadraticReport(rows, descents, error, summary(rows, descents, error), [figure], seconds)


def explain_terms() -> None:
    """Print what the words of the tables mean."""
    report.explain(
        {
            "task": "the loss a/2 (w − c)² of one weight w, for adapting and for testing",
            "α, S": "rate and number of inner gradient steps; for αa > 1 a step overshoots c",
            "MAML": "the exact meta-gradient",
            "FOMAML": "without second derivatives",
            "Reptile": "w − w_S, what S inner steps moved w by",
            "unit": "a(w − c), the gradient without adaptation; of Reptile w − c",
            "uphill": "descent on this meta-gradient moves away from the best weight c",
            "factor": "what an outer step multiplies w − c by; above 1 the descent runs away",
        }
    )


def summary(rows: list[Row], descents: list[tuple[str, ...]], error: float) -> tuple[str, str, str]:
    """Say in three sentences what came out: the check, the sign, what follows from it."""
    uphill = {m: sum(row.library[i] < -1e-9 for row in rows) for i, m in enumerate(METHODS)}
    alpha_a, exact, first, _ = descents[-1]
    return (
        f"FOMAML's meta-gradient points uphill in {uphill['FOMAML']} of {len(rows)} cases, where "
        f"the inner step overshoots (αa > 1) an odd number of times; MAML's does in "
        f"{uphill['MAML']}.",
        f"At αa = {alpha_a} descent on it ends {first} from the best weight, and descent on the "
        f"exact one {exact}; both start {W - C:g} away.",
        f"The library differs from the closed forms by at most {error:.0e}.",
    )


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
