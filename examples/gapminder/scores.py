"""Errors of a method, their summary over countries, and comparisons between methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.gapminder.data import BoolArray, FloatArray, IntArray
from examples.intervals import mean_and_half_width


@dataclass(frozen=True)
class Errors:
    """Squared errors of one method in one setting.

    Attributes
    ----------
    mse : ndarray, shape [C, D]
        Mean over the query of the squared error, years², per country and support draw.
    diverged : ndarray of bool, shape [C, D]
        Where adaptation met a number that was not finite; those entries of ``mse`` mean nothing.
    """

    mse: FloatArray
    diverged: BoolArray


@dataclass(frozen=True)
class Summary:
    """What `summarise` returns; errors in years."""

    mean: float
    half_width: float
    pooled: float
    n_diverged: int
    n_countries: int


@dataclass(frozen=True)
class Difference:
    """Mean over countries of (RMSE of one method − RMSE of another) and its 95% half-width."""

    mean: float
    half_width: float

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"`` (the interval excludes 0) or ``"level"``."""
        if not abs(self.mean) > self.half_width:
            return "level"
        return "better" if self.mean < 0 else "worse"


def query_mse(predicted: FloatArray, values: FloatArray, order: IntArray, k: int) -> FloatArray:
    """Return the mean squared error over the observations that are not in the support.

    Parameters
    ----------
    predicted : ndarray, shape [C, D, n]
        Prediction for every year.
    values : ndarray, shape [C, n]
        The observations.
    order : ndarray of int, shape [C, D, n]
        Order of the observations; the first ``k`` are the support.
    k : int

    Returns
    -------
    ndarray, shape [C, D]

    Examples
    --------
    >>> import numpy as np
    >>> from examples.gapminder.scores import query_mse
    >>> predicted, values = np.array([[[9.0, 2.0, 5.0]]]), np.array([[0.0, 1.0, 2.0]])
    >>> query_mse(predicted, values, np.array([[[0, 2, 1]]]), k=1)
    array([[5.]])
    """
    error = np.take_along_axis(predicted - values[:, None, :], order[..., k:], axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):  # diverged entries are masked, not hidden
        return np.asarray(np.square(error).mean(axis=-1))


def country_rmse(errors: Errors) -> FloatArray:
    """Return each country's RMSE, mean over its draws that did not diverge; NaN if all did."""
    kept = ~errors.diverged
    total = np.where(kept, np.sqrt(np.where(kept, errors.mse, 0.0)), 0.0).sum(axis=1)
    mean = np.full(len(total), np.nan)
    return np.asarray(np.divide(total, kept.sum(axis=1), out=mean, where=kept.any(axis=1)))


def summarise(errors: Errors) -> Summary:
    """Summarise over countries: each country's draws are averaged first.

    Examples
    --------
    >>> import numpy as np
    >>> from examples.gapminder.scores import Errors, summarise
    >>> errors = Errors(np.array([[1.0, 9.0], [16.0, 16.0]]), np.zeros((2, 2), bool))
    >>> summary = summarise(errors)
    >>> summary.mean, round(summary.half_width, 2), round(summary.pooled, 3)
    (3.0, 1.96, 3.24)
    """
    rmse = country_rmse(errors)
    rmse = rmse[~np.isnan(rmse)]
    n_diverged = int(errors.diverged.sum())
    if len(rmse) == 0:
        return Summary(np.nan, np.nan, np.nan, n_diverged, 0)
    pooled = float(np.sqrt(errors.mse[~errors.diverged].mean()))
    return Summary(*mean_and_half_width(rmse), pooled, n_diverged, len(rmse))


def difference(one: Errors, other: Errors) -> Difference:
    """Compare two methods country by country, over the countries where both have an error.

    Pairing removes what makes a country hard for every method, so this interval is much narrower
    than the two intervals of the methods suggest.
    """
    gap = country_rmse(one) - country_rmse(other)
    return Difference(*mean_and_half_width(gap[~np.isnan(gap)]))
