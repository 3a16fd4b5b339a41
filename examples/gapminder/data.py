"""Life expectancy by country: the Gapminder table that comes with plotly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LifeExpectancy:
    """Life expectancy at birth, one row per country.

    Attributes
    ----------
    countries : tuple of str, length C
    years : ndarray of float64, shape [12]
        Calendar years, the same for every country, ascending.
    values : ndarray of float64, shape [C, 12]
        Life expectancy in years.
    """

    countries: tuple[str, ...]
    years: FloatArray
    values: FloatArray


def load() -> LifeExpectancy:
    """Read the 142 countries × 12 years (1952, 1957, …, 2007) from ``plotly.express.data``.

    Examples
    --------
    >>> from examples.gapminder.data import load
    >>> data = load()
    >>> data.values.shape, float(data.years[0]), float(data.years[-1])
    ((142, 12), 1952.0, 2007.0)
    """
    import plotly.express as px

    table = px.data.gapminder().pivot(index="country", columns="year", values="lifeExp")
    values = table.to_numpy(dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("gapminder: a country lacks a year, expected all years for all countries")
    return LifeExpectancy(
        tuple(map(str, table.index)), table.columns.to_numpy(dtype=np.float64), values
    )
