"""Shared output of the experiments: progress bars, tables and figures.

Everything the experiments show goes through here, so they look alike. Needs ``rich`` and
``matplotlib`` (the ``examples`` extra).
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

#: One colour per method, the same in every figure (Okabe-Ito, safe for colour-blind
#: readers, and two darker ones).
COLOURS: Mapping[str, str] = {
    "MAML": "#0072B2",
    "FOMAML": "#D55E00",
    "head": "#6A3D9A",
    "pooled": "#7F7F7F",
    "truth": "#000000",
    "other 1": "#009E73",
    "other 2": "#CC79A7",
    "other 3": "#E69F00",
    "other 4": "#56B4E9",
    "other 5": "#8C564B",
}

console = Console(highlight=False)


@contextmanager
def progress(bars: Mapping[str, int]) -> Iterator[Callable[..., None]]:
    """Show one progress bar per entry of ``bars`` while the block runs.

    Parameters
    ----------
    bars : mapping of str to int
        Label of each bar and its number of units of work.

    Yields
    ------
    callable
        ``advance(label, n=1)`` moves a bar on by ``n`` units; safe to call from any thread.

    Examples
    --------
    >>> with progress({"training": 2}) as advance:  # doctest: +SKIP
    ...     advance("training")
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as display:
        ids = {label: display.add_task(label, total=total) for label, total in bars.items()}

        def advance(label: str, n: int = 1) -> None:
            display.advance(ids[label], n)

        yield advance


def new_part(title: str) -> None:
    """Print the heading of a part, over a rule."""
    console.print()
    console.print(title, style="bold", markup=False)
    console.print("─" * min(len(title), console.width))


def explain(terms: Mapping[str, str]) -> None:
    """Print terms and what they mean, the meanings below one another."""
    console.print()
    table = Table.grid(padding=(0, 2))
    for term, meaning in terms.items():
        table.add_row(Text(term, style="bold"), Text(meaning))
    console.print(table)


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object] | None]
) -> None:
    r"""Print a table: the first column to the left, the others to the right.

    A table must fit into 80 columns; a narrower terminal wraps its lines, and no digit is lost.

    Parameters
    ----------
    title : str
    columns : sequence of str
        Headings; ``"\n"`` breaks a heading into lines.
    rows : sequence of (sequence of object, or None)
        Cells are shown by ``str``; ``None`` in place of a row draws a rule.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for i, heading in enumerate(columns):
        table.add_column(heading, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*map(str, row))
    console.print()
    console.print(title, style="bold", markup=False)
    console.print()
    full = Measurement.get(console, console.options.update(width=1000), table).maximum
    Console(file=console.file, width=max(full, console.width), highlight=False).print(table)


def say(text: str) -> None:
    """Print running text; lines after the first are indented under a bullet (``"• "``)."""
    for line in text.splitlines() or [""]:
        indent = "  " if line.startswith(("• ", "  ")) else ""
        # A sentence wider than this is hard to read, however wide the terminal is.
        width = min(console.width, 100)
        wrapped = textwrap.fill(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        console.print(wrapped, markup=False, soft_wrap=True)


def new_figure(
    rows: int, columns: int, *, width: float = 11.0, height: float | None = None, **options: Any
) -> tuple[Figure, Any]:
    """Make a figure and its grid of axes, independent of pyplot's global state.

    Parameters
    ----------
    rows, columns : int
        Shape of the grid.
    width, height : float
        Inches; the height defaults to 3 per row.
    **options
        Passed to `matplotlib.figure.Figure.subplots`, e.g. ``sharey=True``.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : ndarray of Axes, shape [rows, columns]
    """
    figure = Figure(figsize=(width, height or 3.0 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25, linewidth=0.6)
    return figure, axes


def save_figure(fig: Figure, path: Path) -> Path:
    """Write a figure as PNG, making its folder; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=130)
    return path
