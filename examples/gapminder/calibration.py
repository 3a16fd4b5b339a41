"""How honest error bars are: coverage of 95% intervals, and the likelihood of what was held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.gapminder.data import FloatArray, IntArray
from examples.intervals import Z95, mean_and_half_width


@dataclass(frozen=True)
class Calibration:
    """Of one method in one setting, per country and support draw ``[C, D]``.

    Attributes
    ----------
    coverage : ndarray
        Share of the observations not given that lie in their 95% interval.
    nll : ndarray
        Mean over them of minus the logarithm of their predicted density (per year of life).
    """

    coverage: FloatArray
    nll: FloatArray

    @classmethod
    def empty(cls, n_countries: int, n_draws: int) -> Calibration:
        """Return one that is yet to be filled, NaN throughout."""
        return cls(*(np.full((n_countries, n_draws), np.nan) for _ in range(2)))

    def summary(self) -> CalibrationSummary:
        """Average a country's draws, then countries."""
        return CalibrationSummary(
            *mean_and_half_width(self.coverage.mean(axis=1)),
            *mean_and_half_width(self.nll.mean(axis=1)),
        )


@dataclass(frozen=True)
class CalibrationSummary:
    """Means over countries, each with half the width of its 95% interval over countries."""

    coverage: float
    coverage_half_width: float
    nll: float
    nll_half_width: float


def of_normal(
    mean: FloatArray, deviation: FloatArray, values: FloatArray, order: IntArray, k: int
) -> Calibration:
    """Judge normal predictions on the observations that are not given.

    Parameters
    ----------
    mean, deviation : ndarray, shape [C, D, n]
        Of every year.
    values : ndarray, shape [C, n]
    order : ndarray of int, shape [C, D, n]
        Order of the observations; the first ``k`` are given.
    k : int

    Examples
    --------
    >>> import numpy as np
    >>> from examples.gapminder.calibration import of_normal
    >>> mean, order = np.zeros((1, 1, 3)), np.array([[[0, 1, 2]]])
    >>> found = of_normal(mean, np.ones((1, 1, 3)), np.array([[9.0, 1.0, 3.0]]), order, k=1)
    >>> found.coverage.tolist(), found.nll.round(3).tolist()
    ([[0.5]], [[3.419]])
    """
    distance = (values[:, None, :] - mean) / deviation
    nll = 0.5 * (distance**2 + np.log(2 * np.pi)) + np.log(deviation)
    inside, nll = (
        np.take_along_axis(of_years, order[..., k:], axis=-1)
        for of_years in (np.abs(distance) <= Z95, nll)
    )
    return Calibration(inside.mean(axis=-1), nll.mean(axis=-1))


@dataclass(frozen=True)
class Reliability:
    """Predictions sorted by their own deviation and cut into equal parts, surest first ``[parts]``.

    Attributes
    ----------
    predicted : ndarray
        Root of the mean predicted variance, years.
    actual : ndarray
        RMSE, years: the same number where error bars are honest.
    coverage : ndarray
        Share inside the 95% interval.
    """

    predicted: FloatArray
    actual: FloatArray
    coverage: FloatArray

    @classmethod
    def of(cls, deviation: FloatArray, error: FloatArray, parts: int = 5) -> Reliability:
        """Cut predictions of known deviation and error, arrays of one shape, into parts.

        Examples
        --------
        >>> import numpy as np
        >>> from examples.gapminder.calibration import Reliability
        >>> Reliability.of(np.array([1.0, 3.0]), np.array([-1.0, 9.0]), parts=2).actual.tolist()
        [1.0, 9.0]
        """
        by_deviation = np.argsort(deviation, axis=None)
        found = []
        for part in np.array_split(by_deviation, parts):
            sd, e = deviation.ravel()[part], error.ravel()[part]
            inside = np.mean(np.abs(e) <= Z95 * sd)
            found.append((np.sqrt(np.mean(sd**2)), np.sqrt(np.mean(e**2)), inside))
        return cls(*np.array(found).T)
