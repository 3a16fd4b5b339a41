"""How figures look in the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from examples.gapminder.scores import Summary

BLANK = "·"


def years(value: float) -> str:
    """Format an error in years; what has exploded is shown by its magnitude.

    >>> from examples.gapminder.cells import years
    >>> years(2.345), years(1234567.0), years(float("nan"))
    ('2.35', '1e+06', '—')
    """
    if np.isnan(value):
        return "—"
    return f"{value:.2f}" if value < 100 else f"{value:.0f}" if value < 1000 else f"{value:.0e}"


def with_interval(summary: Summary) -> str:
    """Format the mean and the half-width of its interval."""
    return f"{years(summary.mean)} ± {years(summary.half_width)}"


def on_two_lines(summary: Summary) -> str:
    """Format the same on two lines, for a table of many columns."""
    return f"{years(summary.mean)}\n± {years(summary.half_width)}"


def broken(method: str) -> str:
    """Break a method's name at its comma."""
    return method.replace(", ", ",\n  ")


def ruled(
    groups: Iterable[Sequence[str]], cells: Callable[[str], Sequence[str]]
) -> list[Sequence[str] | None]:
    """Return a row of cells for each method, with a rule between groups."""
    rows: list[Sequence[str] | None] = []
    for group in groups:
        rows += [None] if rows else []
        rows += [cells(method) for method in group]
    return rows
