"""What an evaluation found: losses of many tasks, and their statistics over tasks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray

#: Normal quantile of a two-sided 95% interval.
Z95 = 1.959963984540054


#: Columns of what is printed.
HEADER = ("steps", "mean loss", "+-", "median", "diverged")


#: Losses above this are scaled down for their statistics: their squares and sums might overflow.
_LARGE, _DOWN = 2.0**500, 2.0**-600


def _safely(statistic: Any, sample: FloatArray) -> float:
    """A statistic that scales with its sample, where no step overflows on the way."""
    if np.abs(sample).max() <= _LARGE:
        return float(statistic(sample))
    return float(statistic(sample * _DOWN) / _DOWN)


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Query losses of many tasks after some numbers of steps; statistics leave diverged ones out.

    Attributes
    ----------
    steps : tuple of int
        Numbers of inner steps, one a column.
    losses : numpy.ndarray
        ``[T, len(steps)]``; not finite where diverged.
    diverged : numpy.ndarray
        ``[T, len(steps)]`` of bool.
    """

    steps: tuple[int, ...]
    losses: FloatArray
    diverged: npt.NDArray[np.bool_]

    @cached_property
    def _kept(self) -> list[FloatArray]:
        return [
            column[~bad].astype(np.float64)
            for column, bad in zip(self.losses.T, self.diverged.T, strict=True)
        ]

    def _of_each(self, statistic: Any) -> npt.NDArray[np.float64]:
        return np.array([_safely(statistic, c) if len(c) else np.nan for c in self._kept])

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """Mean over tasks, ``[len(steps)]``."""
        return self._of_each(np.mean)

    @property
    def median(self) -> npt.NDArray[np.float64]:
        """Median over tasks, ``[len(steps)]``."""
        return self._of_each(np.median)

    @property
    def interval(self) -> npt.NDArray[np.float64]:
        """Half-width of the 95% interval of the mean over tasks, ``[len(steps)]``."""
        return self._of_each(
            lambda c: Z95 * np.std(c, ddof=1) / np.sqrt(len(c)) if len(c) > 1 else np.nan
        )

    @property
    def n_diverged(self) -> npt.NDArray[np.int64]:
        """Number of tasks that diverged, ``[len(steps)]``."""
        counts: npt.NDArray[np.int64] = np.sum(self.diverged, axis=0)
        return counts

    def _rows(self) -> list[tuple[str, ...]]:
        columns = zip(
            self.steps, self.mean, self.interval, self.median, self.n_diverged, strict=True
        )
        return [
            (str(step), f"{mean:.4g}", f"{half:.2g}", f"{median:.4g}", str(bad))
            for step, mean, half, median, bad in columns
        ]

    def __repr__(self) -> str:
        """A line a number of steps: mean with its 95% interval over tasks, median, diverged."""
        lines = [f"Evaluation of {len(self.losses)} tasks", " ".join(f"{h:>10}" for h in HEADER)]
        lines += [" ".join(f"{cell:>10}" for cell in row) for row in self._rows()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{h}</th>" for h in HEADER)
        rows = "".join(
            f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in self._rows()
        )
        caption = f"<caption>Evaluation of {len(self.losses)} tasks</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
