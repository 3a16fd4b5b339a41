"""A trained network that adapts to unseen countries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from examples.gapminder.data import BoolArray, FloatArray, IntArray
from examples.gapminder.protocol import Standardiser
from fomaml_fast import MLP, adapt, fomaml


@dataclass(frozen=True)
class AdaptedNetwork:
    """Parameters to start from, and the rate at which to adapt them.

    Attributes
    ----------
    net : MLP
    theta : ndarray, shape [P]
    rate : float
        α of plain gradient descent on the support.
    scale : Standardiser
        Of the training countries.
    years : ndarray, shape [n]
        The calendar that ``columns`` count in.
    threads : int, optional
    """

    net: MLP
    theta: FloatArray
    rate: float
    scale: Standardiser
    years: FloatArray
    threads: int | None = None

    def with_rate(self, rate: float) -> AdaptedNetwork:
        """Return the same network with another α."""
        return replace(self, rate=rate)

    def support(self, columns: IntArray, given: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return standardised inputs and targets ``[M, K, 1]`` in the network's dtype."""
        dtype = self.theta.dtype
        x = self.scale.x(self.years)[columns][..., None].astype(dtype)
        y = self.scale.y(given)[..., None].astype(dtype)
        return x, y

    def adapted(
        self, columns: IntArray, given: FloatArray, steps: Sequence[int]
    ) -> Iterator[tuple[FloatArray, BoolArray]]:
        """Yield, for each number of steps, the parameters ``[M, P]`` and who diverged ``[M]``.

        ``steps`` ascends; plain gradient descent has no state, so each goes on from the last.
        A country that met a number that is not finite stays marked.
        """
        x, y = self.support(columns, given)
        theta = np.repeat(self.theta[None], len(columns), axis=0)
        diverged = np.zeros(len(columns), dtype=bool)
        done = 0
        for n in steps:
            if n > done:
                theta, failed = adapt(
                    self.net,
                    theta,
                    x,
                    y,
                    fomaml(self.rate),
                    steps=n - done,
                    threads=self.threads,
                    on_divergence="mask",
                )
                diverged, done = diverged | failed, n
            yield theta, diverged

    def predict(
        self,
        columns: IntArray,
        given: FloatArray,
        steps: Sequence[int],
        years: FloatArray | None = None,
    ) -> tuple[FloatArray, BoolArray]:
        """Predict life expectancy after each number of steps.

        Parameters
        ----------
        columns, given : ndarray, shape [M, K]
            Which years of the calendar are given, and their values.
        steps : sequence of int, length S, ascending
        years : ndarray, shape [m], optional
            Where to predict; the calendar by default.

        Returns
        -------
        predicted : ndarray of float64, shape [S, M, m]
            Years of life.
        diverged : ndarray of bool, shape [S, M]
        """
        at = self.scale.x(self.years if years is None else years)[:, None]
        at = at.astype(self.theta.dtype)
        predicted, diverged = [], []
        for theta, failed in self.adapted(columns, given, steps):
            z = self.net.predict(theta, at, check_finite=False)[..., 0].astype(np.float64)
            predicted.append(self.scale.years_of_life(z))
            diverged.append(failed | ~np.isfinite(z).all(axis=1))
        return np.stack(predicted), np.stack(diverged)

    def support_loss(
        self, columns: IntArray, given: FloatArray, steps: Sequence[int]
    ) -> FloatArray:
        """Return the support loss after each number of steps ``[S, M]``, standardised units.

        Infinite where adaptation met a number that is not finite.
        """
        x, y = self.support(columns, given)
        losses = []
        for theta, failed in self.adapted(columns, given, steps):
            loss = np.asarray(self.net.loss(theta, x, y, check_finite=False), dtype=np.float64)
            losses.append(np.where(failed | ~np.isfinite(loss), np.inf, loss))
        return np.stack(losses)
