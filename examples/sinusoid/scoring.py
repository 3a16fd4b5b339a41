"""The test: adapt to new curves, and score on an even grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import fomaml_fast as ff
from examples.sinusoid.settings import Settings
from examples.sinusoid.training import SAMPLER, Trained
from fomaml_fast.samplers import Curves, Sinusoid


@dataclass(frozen=True)
class TestSet:
    """New curves, and the batch that shows K points of each with the grid as query, for each K."""

    __test__ = False  # not a test class, whatever its name says to pytest

    curves: Curves
    by_shots: dict[int, ff.TaskBatch]

    @classmethod
    def draw(
        cls,
        settings: Settings,
        n_tasks: int,
        rng: np.random.Generator,
        sampler: Sinusoid = SAMPLER,
    ) -> TestSet:
        """Draw the curves once, and their points for every K of the test."""
        curves = sampler.draw(rng, n_tasks)
        return cls(
            curves,
            {
                k: sampler.observe_on_grid(rng, curves, k, settings.grid_points)
                for k in settings.test_shots
            },
        )


@dataclass(frozen=True)
class Score:
    """The test of one trained network at one K.

    Attributes
    ----------
    trained, shots, rate
        The network, K of the test, and the rate with which it adapted.
    result, every_step : Evaluation
        After the reported steps, and after every step. `diverged` is where the error is not finite
        or above the protocol's limit; means and medians leave these tasks out.
    """

    trained: Trained
    shots: int
    rate: float
    result: ff.Evaluation
    every_step: ff.Evaluation

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.trained.method.name

    @property
    def n_worse(self) -> npt.NDArray[np.int64]:
        """Tasks left worse off than before adaptation (or diverged), by steps."""
        return np.asarray(self._worse.sum(axis=0))

    @property
    def ever_worse(self) -> npt.NDArray[np.bool_]:
        """Whether a task was worse off after any of the reported steps, ``[T]``."""
        return np.asarray(self._worse.any(axis=1))

    @property
    def _worse(self) -> npt.NDArray[np.bool_]:
        losses = self.result.losses
        before = losses[:, [self.result.steps.index(0)]]
        return np.asarray(self.result.diverged | (losses > before))


@dataclass(frozen=True)
class Tuning:
    """Choice of a fine-tuning rate: mean error over tasks and steps of every candidate.

    Examples
    --------
    >>> import numpy as np
    >>> from examples.sinusoid.scoring import Tuning
    >>> Tuning((0.01, 0.1, 1.0), np.array([2.4, 2.2, np.inf])).best
    0.1
    """

    rates: tuple[float, ...]
    errors: npt.NDArray[np.float64]

    @property
    def best(self) -> float:
        """The rate of the least error."""
        return self.rates[int(np.argmin(self.errors))]


def tune(
    net: ff.MLP,
    theta: npt.NDArray[Any],
    batch: ff.TaskBatch,
    settings: Settings,
    threads: int | None = None,
) -> Tuning:
    """Try every candidate rate on validation tasks.

    The error of a rate is the mean over tasks and over the reported steps after 0; a rate at which
    any task diverges is out (infinite).
    """
    steps = tuple(s for s in settings.test_steps if s > 0)
    errors = []
    for rate in settings.tuning_rates:
        found = ff.evaluate(net, theta, batch, ff.fomaml(rate), steps=steps, threads=threads)
        errors.append(np.inf if found.diverged.any() else float(found.losses.mean()))
    return Tuning(settings.tuning_rates, np.array(errors))


def score(
    net: ff.MLP,
    trained: Trained,
    test: TestSet,
    shots: int,
    rate: float,
    settings: Settings,
    threads: int | None = None,
) -> Score:
    """Adapt by gradient descent with `rate` to every test task, and score after each step."""
    every = tuple(range(max(settings.test_steps) + 1))
    full = ff.evaluate(
        net, trained.theta, test.by_shots[shots], ff.fomaml(rate), steps=every, threads=threads
    )
    diverged = full.diverged | (full.losses > settings.error_limit)
    columns = list(settings.test_steps)
    return Score(
        trained,
        shots,
        rate,
        ff.Evaluation(settings.test_steps, full.losses[:, columns], diverged[:, columns]),
        ff.Evaluation(every, full.losses, diverged),
    )
