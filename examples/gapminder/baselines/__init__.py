"""What meta-learning is compared with: five models that need no network.

Each is built by ``fit(years, values)`` from the training countries and answers
``predict(columns, given)`` for unseen ones (see `Baseline`). ``BASELINES`` is their list. Those
with error bars of their own answer ``predictive`` too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from examples.gapminder.baselines.gaussian import Gaussian
from examples.gapminder.baselines.gaussian_process import GaussianProcess
from examples.gapminder.baselines.line import Line
from examples.gapminder.baselines.mixed_model import MixedModel
from examples.gapminder.baselines.shifted_mean import ShiftedMean
from examples.gapminder.data import FloatArray, IntArray


class Baseline(Protocol):
    """A fitted model.

    ``predict(columns [M, K], given [M, K])`` takes which of the n years are given and their
    values, for M unseen countries, and returns the values of all years ``[M, n]``.
    """

    def predict(self, columns: IntArray, given: FloatArray) -> FloatArray:
        """Predict every year of every country from what is given."""
        ...


@runtime_checkable
class Probabilistic(Protocol):
    """A model that says how sure it is."""

    def predictive(self, columns: IntArray, given: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of an observation in every year, ``[M, n]`` each."""
        ...


#: Name in tables -> ``fit(years [n], values [N, n])`` on the training countries.
BASELINES: Mapping[str, Callable[[FloatArray, FloatArray], Baseline]] = {
    "straight line": Line.fit,
    "shifted mean": ShiftedMean.fit,
    "mixed model": MixedModel.fit,
    "Gaussian": Gaussian.fit,
    "Gaussian process": GaussianProcess.fit,
}

__all__ = [
    "BASELINES",
    "Baseline",
    "Gaussian",
    "GaussianProcess",
    "Line",
    "MixedModel",
    "Probabilistic",
    "ShiftedMean",
]
