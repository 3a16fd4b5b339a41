"""Markdown tables that also read well in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table, padded so that it also reads well in a terminal."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * w for w in widths])
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f}"


def spread(ratios: Iterable[float]) -> str:
    """Every block, not only the median."""
    return " ".join(f"{r:.2f}" for r in ratios)


def verdict(value: float, bar: float | None, at_most: bool = False) -> str:
    """The bar, and whether it is met."""
    if bar is None:
        return "–"
    met = value <= bar if at_most else value >= bar
    return f"{bar:g} {'met' if met else 'MISSED'}"
