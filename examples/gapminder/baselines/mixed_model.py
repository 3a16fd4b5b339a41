r"""A linear mixed model: a common line, and for each country an intercept and a slope of its own.

For country i, with rows (1, t) in both X and Z (Laird & Ware, Biometrics 38, 1982):

    y_i = X β + Z u_i + ε_i,    u_i ~ N(0, Ψ),    ε_i ~ N(0, σ² I).

β, Ψ and σ² come from the training countries by restricted maximum likelihood. An unseen country
is predicted by its best linear unbiased prediction (Robinson, Statistical Science 6, 1991),

    û = Ψ Zᵀ (Z Ψ Zᵀ + σ² I)⁻¹ (y − X β),    ŷ(t) = (1, t)(β + û).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.gapminder.baselines.conditioning import condition
from examples.gapminder.data import FloatArray, IntArray

#: Years in a unit of t: keeps intercept and slope on one scale, which the optimiser needs.
DECADE = 10.0


@dataclass(frozen=True)
class MixedModel:
    """The fitted model.

    Attributes
    ----------
    design : ndarray, shape [n, 2]
        Rows (1, t) of the years, t in decades from the middle year.
    beta : ndarray, shape [2]
        Fixed effects β.
    psi : ndarray, shape [2, 2]
        Covariance Ψ of the random effects.
    noise : float
        Residual variance σ², years².
    """

    design: FloatArray
    beta: FloatArray
    psi: FloatArray
    noise: float

    @classmethod
    def fit(cls, years: FloatArray, values: FloatArray) -> MixedModel:
        """Fit by restricted maximum likelihood with ``statsmodels`` on ``values [N, n]``."""
        from statsmodels.regression.mixed_linear_model import MixedLM

        design = design_matrix(years)
        n_countries = len(values)
        rows = np.tile(design, (n_countries, 1))
        country = np.repeat(np.arange(n_countries), len(years))
        fitted = MixedLM(values.ravel(), rows, groups=country, exog_re=rows).fit(reml=True)
        if not fitted.converged:
            raise RuntimeError("mixed model: the likelihood's maximum was not found")
        return cls(
            design,
            np.asarray(fitted.fe_params, dtype=np.float64),
            np.asarray(fitted.cov_re, dtype=np.float64),
            float(fitted.scale),
        )

    def random_effects(self, columns: IntArray, given: FloatArray) -> FloatArray:
        """Return û ``[M, 2]`` of M countries."""
        Z = self.design[columns]
        transposed = Z.swapaxes(-1, -2)  # .mT came with NumPy 2
        covariance = Z @ self.psi @ transposed + self.noise * np.eye(columns.shape[1])
        residual = given - Z @ self.beta
        weights = np.linalg.solve(covariance, residual[..., None])
        return np.asarray((self.psi @ transposed @ weights)[..., 0])

    def predict(self, columns: IntArray, given: FloatArray) -> FloatArray:
        """Predict every year by the country's own line.

        Examples
        --------
        >>> import numpy as np
        >>> from examples.gapminder.baselines import MixedModel
        >>> design = np.array([[1.0, -1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> model = MixedModel(design, np.array([50.0, 2.0]), np.diag([3.0, 0.0]), 1.0)
        >>> model.predict(np.array([[1]]), np.array([[54.0]]))  # û = 3/(3 + 1)·4 in the intercept
        array([[51., 53., 55.]])
        """
        coefficients = self.beta + self.random_effects(columns, given)
        return np.asarray(coefficients @ self.design.T)

    def predictive(self, columns: IntArray, given: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of a new observation of every year.

        The country's values are a Gaussian vector, N(Xβ, Z Ψ Zᵀ), observed with noise σ²; that β, Ψ
        and σ² are estimates is not part of the deviation.
        """
        mean, covariance = self.design @ self.beta, self.design @ self.psi @ self.design.T
        return condition(mean, covariance, self.noise, columns, given)


def design_matrix(years: FloatArray) -> FloatArray:
    """Return rows (1, t), t in decades from the middle of the period ``[n, 2]``."""
    t = (years - (years[0] + years[-1]) / 2) / DECADE
    return np.stack([np.ones_like(t), t], axis=1)
