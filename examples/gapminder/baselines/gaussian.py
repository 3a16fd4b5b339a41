"""The years of a country as one Gaussian vector, conditioned on the given observations.

Mean μ and covariance S of the n years come from the training countries. With few countries S is
noisy, so it is shrunk towards its diagonal, Σ = (1 − ρ) S + ρ diag S, and the given observations
are taken to carry noise of variance τ² (`conditioning` has the formulas). ρ and τ² are the pair
with the smallest error in a cross-validation within the training countries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.gapminder.baselines.conditioning import condition
from examples.gapminder.data import BoolArray, FloatArray, IntArray
from examples.gapminder.protocol import support_orders
from examples.gapminder.scores import query_mse

SHRINKAGE = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3)  # ρ
NOISE = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # τ², years²
INNER_FOLDS = 5
INNER_DRAWS = 10
INNER_SUPPORT = 3
INNER_SEED = 0


@dataclass(frozen=True)
class Gaussian:
    """Mean ``[n]``, shrunk covariance ``[n, n]`` and observation noise variance τ² (years²)."""

    mean: FloatArray
    covariance: FloatArray
    noise: float

    @classmethod
    def fit(cls, years: FloatArray, values: FloatArray) -> Gaussian:
        """Estimate from ``values [N, n]``, choosing ρ and τ² by cross-validation within them."""
        shrinkage, noise = choose(values)
        return cls.estimate(values, shrinkage, noise)

    @classmethod
    def estimate(cls, values: FloatArray, shrinkage: float, noise: float) -> Gaussian:
        """Estimate from ``values [N, n]`` with given ρ and τ²."""
        S = np.cov(values, rowvar=False)
        covariance = (1 - shrinkage) * S + shrinkage * np.diag(np.diag(S))
        return cls(values.mean(axis=0), covariance, noise)

    def predict(self, columns: IntArray, given: FloatArray) -> FloatArray:
        """Return the conditional mean of every year.

        Examples
        --------
        >>> import numpy as np
        >>> from examples.gapminder.baselines import Gaussian
        >>> model = Gaussian(np.array([50.0, 60.0]), np.array([[3.0, 2.0], [2.0, 3.0]]), 1.0)
        >>> model.predict(np.array([[0]]), np.array([[54.0]]))
        array([[53., 62.]])
        """
        return self.predictive(columns, given)[0]

    def predictive(self, columns: IntArray, given: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the conditional mean and standard deviation of a new observation of every year."""
        return condition(self.mean, self.covariance, self.noise, columns, given)


def choose(values: FloatArray) -> tuple[float, float]:
    """Return the (ρ, τ²) of the grid with the smallest cross-validated mean RMSE.

    Five folds over the countries given, ten random supports of three observations each.
    """
    rng = np.random.default_rng(INNER_SEED)
    part = rng.permutation(len(values)) % INNER_FOLDS
    order = support_orders(len(values), INNER_DRAWS, values.shape[1], rng)
    error = {
        (rho, tau2): sum(
            _held_out_error(values, order, part == fold, rho, tau2) for fold in range(INNER_FOLDS)
        )
        for rho in SHRINKAGE
        for tau2 in NOISE
    }
    return min(error, key=lambda pair: error[pair])


def _held_out_error(
    values: FloatArray, order: IntArray, held_out: BoolArray, shrinkage: float, noise: float
) -> float:
    model = Gaussian.estimate(values[~held_out], shrinkage, noise)
    y, order = values[held_out], order[held_out]
    columns = order[..., :INNER_SUPPORT]
    given = np.take_along_axis(y[:, None, :], columns, axis=-1)
    predicted = model.predict(
        columns.reshape(-1, INNER_SUPPORT), given.reshape(-1, INNER_SUPPORT)
    ).reshape(*columns.shape[:2], -1)
    return float(np.sqrt(query_mse(predicted, y, order, INNER_SUPPORT)).sum())
