"""A straight line through the given observations of a country, by least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.gapminder.data import FloatArray, IntArray


@dataclass(frozen=True)
class Line:
    """Knows nothing of other countries. One observation alone gives a constant."""

    years: FloatArray

    @classmethod
    def fit(cls, years: FloatArray, values: FloatArray) -> Line:
        """Keep the calendar; the training countries have nothing to say."""
        return cls(years)

    def predict(self, columns: IntArray, given: FloatArray) -> FloatArray:
        """Fit every country by itself.

        Examples
        --------
        >>> import numpy as np
        >>> from examples.gapminder.baselines import Line
        >>> line = Line(np.array([1950.0, 1955.0, 1960.0]))
        >>> line.predict(np.array([[0, 2]]), np.array([[40.0, 44.0]]))
        array([[40., 42., 44.]])
        """
        t = self.years[columns]
        centre = t.mean(axis=1, keepdims=True)
        level = given.mean(axis=1, keepdims=True)
        spread = np.square(t - centre).sum(axis=1, keepdims=True)
        product = ((t - centre) * (given - level)).sum(axis=1, keepdims=True)
        slope = np.divide(product, spread, out=np.zeros_like(product), where=spread > 0)
        return np.asarray(level + slope * (self.years - centre))
