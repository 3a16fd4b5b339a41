"""What an evaluation found: values of many tasks, and their statistics over tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray

#: Normal quantile of a two-sided 95% interval.
Z95 = 1.959963984540054

#: Values above this are scaled down for their statistics: their squares and sums might overflow.
_LARGE, _DOWN = 2.0**500, 2.0**-600


def _safely(statistic: Any, sample: npt.NDArray[np.float64]) -> float:
    """A statistic that scales with its sample, where no step overflows on the way."""
    if np.abs(sample).max() <= _LARGE:
        return float(statistic(sample))
    return float(statistic(sample * _DOWN) / _DOWN)


class OverTasks(ABC):
    """Statistics over tasks of the columns of ``[T, len(steps)]``."""

    @property
    @abstractmethod
    def _kept(self) -> list[npt.NDArray[np.float64]]:
        """Of each column, the values of the tasks that count."""

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


@dataclass(frozen=True, eq=False)
class MetricValues(OverTasks):
    """A metric of many tasks after some numbers of steps; undefined values count nowhere.

    Attributes
    ----------
    values : numpy.ndarray
        ``[T, len(steps)]``; NaN where the task diverged or the metric is not defined.
    """

    values: npt.NDArray[np.float64]

    @cached_property
    def _kept(self) -> list[npt.NDArray[np.float64]]:
        return [column[~np.isnan(column)] for column in self.values.T]

    @property
    def n_tasks(self) -> npt.NDArray[np.int64]:
        """Number of tasks that count, ``[len(steps)]``."""
        counts: npt.NDArray[np.int64] = np.sum(~np.isnan(self.values), axis=0)
        return counts


#: Columns of what is printed.
HEADER = ("steps", "mean loss", "+-", "median", "diverged")


class _Measured:
    """What holds metrics, which are read only and so have to be copied as a dict."""

    metrics: Mapping[str, MetricValues]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "metrics": dict(self.metrics)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, metrics=MappingProxyType(state["metrics"]))


@dataclass(frozen=True, repr=False)
class Evaluation(_Measured, OverTasks):
    """Query losses of many tasks after some numbers of steps; statistics leave diverged ones out.

    Attributes
    ----------
    steps : tuple of int
        Numbers of inner steps, one a column.
    losses : numpy.ndarray
        ``[T, len(steps)]``; not finite where diverged.
    diverged : numpy.ndarray
        ``[T, len(steps)]`` of bool.
    metrics : mapping of str to MetricValues
        What `evaluate` was asked for, by name.
    """

    steps: tuple[int, ...]
    losses: FloatArray
    diverged: npt.NDArray[np.bool_]
    metrics: Mapping[str, MetricValues] = field(default_factory=lambda: MappingProxyType({}))

    @cached_property
    def _kept(self) -> list[npt.NDArray[np.float64]]:
        both = zip(self.losses.T, self.diverged.T, strict=True)
        return [column[~bad].astype(np.float64) for column, bad in both]

    @property
    def n_diverged(self) -> npt.NDArray[np.int64]:
        """Number of tasks that diverged, ``[len(steps)]``."""
        counts: npt.NDArray[np.int64] = np.sum(self.diverged, axis=0)
        return counts

    def _header(self) -> tuple[str, ...]:
        return (*HEADER, *(cell for name in self.metrics for cell in (name, "+-")))

    def _rows(self) -> list[tuple[str, ...]]:
        columns = zip(
            self.steps, self.mean, self.interval, self.median, self.n_diverged, strict=True
        )
        rows: list[tuple[str, ...]] = [
            (str(step), f"{mean:.4g}", f"{half:.2g}", f"{median:.4g}", str(bad))
            for step, mean, half, median, bad in columns
        ]
        for metric in self.metrics.values():
            both = zip(rows, metric.mean, metric.interval, strict=True)
            rows = [(*row, f"{mean:.4g}", f"{half:.2g}") for row, mean, half in both]
        return rows

    def __repr__(self) -> str:
        """A line a number of steps: mean with its 95% interval over tasks, median, diverged."""
        table = [self._header(), *self._rows()]
        widths = [max(10, len(head)) for head in table[0]]
        lines = [f"Evaluation of {len(self.losses)} tasks"]
        for row in table:
            lines.append(" ".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True)))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(h)}</th>" for h in self._header())
        rows = "".join(
            f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in self._rows()
        )
        caption = f"<caption>Evaluation of {len(self.losses)} tasks</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


@dataclass(frozen=True, repr=False, eq=False)
class EnsembleEvaluation(_Measured):
    """What `evaluate` finds of many learners.

    Attributes
    ----------
    learners : tuple of Evaluation
        Of each learner what a call of its own returns, but for metrics of a predictive
        distribution where a learner has none.
    metrics : mapping of str to MetricValues
        Of what the learners predict together: the mean over them, with the standard deviation over
        them for a predictive distribution. Classes are those of the mean probability. NaN for tasks
        that diverged for any learner.
    """

    learners: tuple[Evaluation, ...]
    metrics: Mapping[str, MetricValues]

    @property
    def steps(self) -> tuple[int, ...]:
        """Numbers of inner steps, one a column."""
        return self.learners[0].steps

    @cached_property
    def losses(self) -> FloatArray:
        """Query losses ``[R, T, len(steps)]``; not finite where diverged."""
        losses: FloatArray = np.stack([one.losses for one in self.learners])
        return losses

    @cached_property
    def diverged(self) -> npt.NDArray[np.bool_]:
        """``[R, T, len(steps)]``."""
        return np.stack([one.diverged for one in self.learners])

    @cached_property
    def mean(self) -> npt.NDArray[np.float64]:
        """Mean loss over tasks, ``[R, len(steps)]``."""
        return np.stack([one.mean for one in self.learners])

    def __repr__(self) -> str:
        """A line a number of steps: the learners' mean losses, and metrics of them together."""
        names = [cell for name in self.metrics for cell in (name, "+-")]
        table = [("steps", "mean loss", "best", "worst", "diverged", *names)]
        for i, step in enumerate(self.steps):
            losses = self.mean[:, i]
            losses = losses[~np.isnan(losses)]  # of learners that have tasks left
            losses = losses if len(losses) else np.array([np.nan])
            row = [str(step), *(f"{x:.4g}" for x in (losses.mean(), losses.min(), losses.max()))]
            row.append(str(int(self.diverged[:, :, i].sum())))
            for metric in self.metrics.values():
                row += [f"{metric.mean[i]:.4g}", f"{metric.interval[i]:.2g}"]
            table.append(tuple(row))
        widths = [max(10, len(head)) for head in table[0]]
        lines = [f"Evaluation of {len(self.learners)} learners on {self.losses.shape[1]} tasks"]
        for cells in table:
            lines.append(" ".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))
        return "\n".join(lines)
