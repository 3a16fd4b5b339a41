"""Who is trained on, who is tested, and which observations are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from examples.gapminder.data import FloatArray, IntArray
from fomaml_fast.samplers import split_groups


@dataclass(frozen=True)
class Fold:
    """Row numbers of the training and of the unseen countries, both ascending."""

    train: IntArray
    test: IntArray


def folds(countries: Sequence[str], n_folds: int, rng: np.random.Generator) -> list[Fold]:
    """Split the countries into folds; each country is unseen in exactly one.

    Examples
    --------
    >>> import numpy as np
    >>> from examples.gapminder.protocol import folds
    >>> split = folds(["Chad", "Fiji", "Iran", "Peru"], 2, np.random.default_rng(0))
    >>> sorted(int(i) for fold in split for i in fold.test)
    [0, 1, 2, 3]
    """
    row = {country: i for i, country in enumerate(countries)}
    rows = [
        [np.array(sorted(row[c] for c in side.tolist())) for side in sides]
        for sides in split_groups(list(countries), n_folds, rng)
    ]
    return [Fold(train, test) for train, test in rows]


def support_orders(
    n_countries: int, n_draws: int, n_years: int, rng: np.random.Generator
) -> IntArray:
    """Draw, for every country and draw, an order of its observations.

    The support of size K is the first K of the order and the query the rest, so that supports of
    different sizes are nested and every method sees the same ones.

    Returns
    -------
    ndarray of int, shape [n_countries, n_draws, n_years]
    """
    years = np.broadcast_to(np.arange(n_years), (n_countries, n_draws, n_years))
    return rng.permuted(years, axis=-1)


def forecast_orders(n_countries: int, n_years: int) -> IntArray:
    """Return the order of time, ``[n_countries, 1, n_years]``: the support comes first in time."""
    return np.broadcast_to(np.arange(n_years), (n_countries, 1, n_years))


@dataclass(frozen=True)
class Standardiser:
    """Years and values brought to mean 0 and standard deviation 1 over the countries it is fit on.

    Examples
    --------
    >>> import numpy as np
    >>> from examples.gapminder.protocol import Standardiser
    >>> scale = Standardiser.fit(np.array([1950.0, 1960.0]), np.array([[40.0, 60.0]]))
    >>> scale.x(np.array([1960.0])), scale.y(np.array([40.0])), scale.years_of_life(np.ones(1))
    (array([1.]), array([-1.]), array([60.]))
    """

    year_mean: float
    year_sd: float
    value_mean: float
    value_sd: float

    @classmethod
    def fit(cls, years: FloatArray, values: FloatArray) -> Standardiser:
        """Take the statistics of ``years [n]`` and the training countries' ``values [N, n]``."""
        return cls(
            float(years.mean()), float(years.std()), float(values.mean()), float(values.std())
        )

    def x(self, years: FloatArray) -> FloatArray:
        """Standardise calendar years."""
        return (years - self.year_mean) / self.year_sd

    def y(self, values: FloatArray) -> FloatArray:
        """Standardise life expectancies."""
        return (values - self.value_mean) / self.value_sd

    def years_of_life(self, z: FloatArray) -> FloatArray:
        """Undo `y`."""
        return z * self.value_sd + self.value_mean
