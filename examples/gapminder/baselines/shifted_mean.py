"""The mean curve of the training countries, moved up or down to the given observations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.gapminder.data import FloatArray, IntArray


@dataclass(frozen=True)
class ShiftedMean:
    """``curve [n]`` is the mean over the training countries."""

    curve: FloatArray

    @classmethod
    def fit(cls, years: FloatArray, values: FloatArray) -> ShiftedMean:
        """Average the training countries ``values [N, n]``."""
        return cls(values.mean(axis=0))

    def predict(self, columns: IntArray, given: FloatArray) -> FloatArray:
        """Shift by the mean residual of what is given.

        Examples
        --------
        >>> import numpy as np
        >>> from examples.gapminder.baselines import ShiftedMean
        >>> mean = ShiftedMean(np.array([50.0, 55.0, 60.0]))
        >>> mean.predict(np.array([[0, 1]]), np.array([[60.0, 67.0]]))
        array([[61., 66., 71.]])
        """
        shift = (given - self.curve[columns]).mean(axis=1, keepdims=True)
        return np.asarray(self.curve + shift)
