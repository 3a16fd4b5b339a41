"""A Gaussian process over the years, its kernel tuned on the training countries.

A country is the training countries' mean curve plus a draw of a process with the kernel

    level + slope · t t' + Matérn-3/2(t − t'),  and noise.

The four variances and the length come from the training countries: they maximise the sum of the
countries' marginal likelihoods, which is what ``scikit-learn`` maximises where every country is a
target of one regression. The mean of each year is its maximum-likelihood estimate too, since all
countries are observed in all years.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from examples.gapminder.baselines.conditioning import condition
from examples.gapminder.baselines.mixed_model import DECADE
from examples.gapminder.data import FloatArray, IntArray


@dataclass(frozen=True)
class GaussianProcess:
    """The tuned process.

    Attributes
    ----------
    years, curve : ndarray, shape [n]
        The calendar and the training countries' mean in it.
    kernel : object
        Of scikit-learn, tuned: ``smooth + noise``, over decades from the middle year.
    """

    years: FloatArray
    curve: FloatArray
    kernel: Any

    @classmethod
    def fit(cls, years: FloatArray, values: FloatArray) -> GaussianProcess:
        """Tune the kernel on ``values [N, n]``."""
        from sklearn.gaussian_process import GaussianProcessRegressor

        curve = values.mean(axis=0)
        tuned = GaussianProcessRegressor(untuned_kernel())
        tuned.fit(inputs(years, years), (values - curve).T)
        return cls(years, curve, tuned.kernel_)

    def predict(self, columns: IntArray, given: FloatArray) -> FloatArray:
        """Return the posterior mean of every year."""
        return self.predictive(columns, given)[0]

    def predictive(self, columns: IntArray, given: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return posterior mean and standard deviation of a new observation of every year.

        In a calendar a process is a Gaussian vector: M countries at once, in one product.
        """
        smooth, noise = self.kernel.k1, float(self.kernel.k2.noise_level)
        covariance = np.asarray(smooth(inputs(self.years, self.years)))
        return condition(self.curve, covariance, noise, columns, given)

    def between(
        self, columns: IntArray, given: FloatArray, years: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the same of one country ``[K]`` in any years ``[m]``, by scikit-learn.

        The mean curve is straight between the calendar's years.
        """
        from sklearn.gaussian_process import GaussianProcessRegressor

        process = GaussianProcessRegressor(self.kernel, optimizer=None)
        process.fit(inputs(self.years[columns], self.years), given - self.curve[columns])
        mean, deviation = process.predict(inputs(years, self.years), return_std=True)
        return np.interp(years, self.years, self.curve) + mean, np.asarray(deviation)


def inputs(years: FloatArray, calendar: FloatArray) -> FloatArray:
    """Return decades from the middle of the calendar, as scikit-learn takes them ``[m, 1]``."""
    return np.asarray((years - (calendar[0] + calendar[-1]) / 2) / DECADE)[:, None]


def untuned_kernel() -> Any:
    """Return the kernel from which tuning starts; variances in years², the length in decades."""
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

    wide = (1e-3, 1e4)
    level = ConstantKernel(50.0, wide)
    slope = ConstantKernel(5.0, wide) * DotProduct(0.0, "fixed")
    bends = ConstantKernel(10.0, wide) * Matern(2.0, (0.1, 100.0), nu=1.5)
    return level + slope + bends + WhiteKernel(0.3, (1e-4, 1e2))
