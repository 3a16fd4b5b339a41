"""Every number the protocol fixes, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SIZES = (1, 40, 40, 1)
ACTIVATION: Literal["tanh"] = "tanh"


@dataclass(frozen=True)
class Settings:
    """The protocol. `quick` cuts it down to check that everything runs; its figures mean nothing.

    Attributes
    ----------
    n_folds : int
        Folds over countries.
    iterations, countries_per_batch : int
        Length of meta-training and tasks per meta-batch.
    k_support : int
        Observations given, in meta-training and in the tables.
    inner_rate, inner_steps, outer_rate : float, int, float
        α and S of the inner loop (plain gradient descent), rate of Adam outside.
    large_rate : float
        An α beyond what the curvature allows, to show what happens.
    tuned_rates : tuple of float
        Candidates for the fine-tuning rate of the pooled network.
    n_draws, n_tuning_draws : int
        Random supports per country in the test, and in the choice of that rate.
    test_steps : tuple of int
        Adaptation steps reported.
    test_supports : tuple of int
        Support sizes of the figure.
    varied_supports : tuple of int
        Support sizes among which each meta-batch of the second head draws its own.
    """

    n_folds: int = 5
    iterations: int = 4000
    countries_per_batch: int = 16
    k_support: int = 3
    inner_rate: float = 0.03
    inner_steps: int = 5
    outer_rate: float = 0.001
    large_rate: float = 0.1
    tuned_rates: tuple[float, ...] = (0.003, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
    n_draws: int = 20
    n_tuning_draws: int = 5
    test_steps: tuple[int, ...] = (0, 1, 5, 10, 20)
    test_supports: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    varied_supports: tuple[int, ...] = (1, 2, 3, 4, 5, 6)

    @classmethod
    def quick(cls) -> Settings:
        """Return a cut-down protocol: two folds, 60 iterations, three draws."""
        return cls(n_folds=2, iterations=60, n_draws=3, n_tuning_draws=1, test_supports=(1, 3, 6))
