"""The last layer in closed form: Bayesian regression on meta-learned features, with error bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.gapminder.calibration import Calibration
from examples.gapminder.data import FloatArray, IntArray
from examples.gapminder.protocol import Standardiser
from fomaml_fast import MLP, Algorithm, Posterior, State, TaskBatch, alpaca, evaluate, posterior


def algorithm() -> Algorithm:
    """Return ALPaCA as it comes: full prior and noise, learned by the query's likelihood."""
    return alpaca()


@dataclass(frozen=True)
class HeadModel:
    """A trained network whose last layer adapts to unseen countries in closed form.

    Attributes
    ----------
    net : MLP
    state : State
        Parameters, prior and noise.
    scale : Standardiser
        Of the training countries.
    years : ndarray, shape [n]
        The calendar that ``columns`` count in.
    threads : int, optional
    """

    net: MLP
    state: State
    scale: Standardiser
    years: FloatArray
    threads: int | None = None

    def judge(self, values: FloatArray, order: IntArray, k: int) -> tuple[FloatArray, Calibration]:
        """Adapt to the first ``k`` observations of each order and judge by the others.

        Parameters
        ----------
        values : ndarray, shape [C, n]
        order : ndarray of int, shape [C, D, n]
        k : int

        Returns
        -------
        mse : ndarray, shape [C, D]
            Years².
        calibration : Calibration
        """
        shape = order.shape[:2]
        y = np.take_along_axis(values[:, None, :], order, axis=-1)
        x, y = self._inputs(self.years[order]), self._targets(y)
        x, y = (a.reshape(-1, order.shape[-1], 1) for a in (x, y))
        found = evaluate(
            self.net,
            self.state.theta,
            TaskBatch(x[:, :k], y[:, :k], x[:, k:], y[:, k:]),
            algorithm(),
            steps=(1,),
            rates=self.state.rates,
            threads=self.threads,
            metrics=("rmse", "coverage_95", "nll"),
            on_divergence="raise",
        ).metrics
        rmse, coverage, nll = (
            found[name].values.reshape(shape) for name in ("rmse", "coverage_95", "nll")
        )
        unit = self.scale.value_sd
        return np.square(rmse * unit), Calibration(coverage, nll + np.log(unit))

    def posterior(self, columns: IntArray, given: FloatArray) -> Posterior:
        """Return what observations ``[K]`` of one country say about its last layer."""
        x, y = self._inputs(self.years[columns]), self._targets(given)
        return posterior(self.net, self.state, x, y, algorithm())

    def between(
        self, columns: IntArray, given: FloatArray, years: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of one country ``[K]`` in any years ``[m]``."""
        found = self.posterior(columns, given)
        mean, deviation = found.predict(self._inputs(years), return_std=True)
        mean, deviation = (a[:, 0].astype(np.float64) for a in (mean, deviation))
        return self.scale.years_of_life(mean), deviation * self.scale.value_sd

    def predictive(self, columns: IntArray, given: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of M countries ``[M, K]`` in every year ``[M, n]``."""
        both = [self.between(c, y, self.years) for c, y in zip(columns, given, strict=True)]
        mean, deviation = zip(*both, strict=True)
        return np.stack(mean), np.stack(deviation)

    def _inputs(self, years: FloatArray) -> FloatArray:
        return np.asarray(self.scale.x(years)[..., None], self.state.theta.dtype)

    def _targets(self, values: FloatArray) -> FloatArray:
        return np.asarray(self.scale.y(values)[..., None], self.state.theta.dtype)
