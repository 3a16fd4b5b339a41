"""Metrics of predictions on query rows, with scikit-learn's names and definitions.

Those of a predictive distribution, which heads in closed form have: "nll" is the mean of minus its
log-density, "coverage_90" the share of targets inside the central 90% interval, and
"calibration_error" the mean over the levels 0.1 … 0.9 of how far coverage is from the level (of one
task's few rows it is seldom near 0: look at many).

`evaluate` takes a name, an object of this module, or a function of one's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fomaml_fast._shown import shown
from fomaml_fast._words import did_you_mean

Numbers = npt.NDArray[np.float64]

#: The names, for type checkers.
MetricName = Literal[
    "accuracy",
    "balanced_accuracy",
    "r2",
    "rmse",
    "mae",
    "nll",
    "coverage_50",
    "coverage_90",
    "coverage_95",
    "calibration_error",
]


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes
    ----------
    name : str
        What `evaluate` and `get` call it.
    of_classes : bool
        Whether it compares classes; else numbers.
    one_class : bool
        Whether every row must have one class, rather than a flag an output.
    fn : callable
        ``fn(predicted, targets, weights)`` of the same rows of many tasks, ``[T, n]`` classes or
        ``[T, n, n_L]`` flags or numbers; weights ``[T, n]``, or ``[T, n, n_L]`` where some targets
        are unknown, whose weight is 0. Returns ``[T]``, NaN where the metric is not defined.
    """

    name: str
    of_classes: bool
    one_class: bool
    fn: Callable[[Any, Any, Numbers], Numbers]
    #: Whether it is of a distribution: predicted is ``(mean, standard deviation)``.
    of_distribution: bool = False


def _mean(values: Any, weights: Numbers) -> Numbers:
    """Mean over rows, ``[T, n]`` -> ``[T]`` or ``[T, n, n_L]`` -> ``[T, n_L]``."""
    weights = weights if values.ndim == weights.ndim else weights[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):  # rows without any weight: undefined
        mean: Numbers = (weights * values).sum(1) / weights.sum(1)
    return mean


def _over_outputs(values: Numbers) -> Numbers:
    """Mean of those that are defined, ``[T, n_L]`` -> ``[T]``."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: Numbers = np.where(known, values, 0).sum(1) / known.sum(1)
    return mean


def _accuracy(predicted: Any, targets: Any, weights: Numbers) -> Numbers:
    same = predicted == targets
    if weights.ndim == 3:  # what is unknown is not wrong
        return _mean((same | (weights == 0)).all(2), weights.max(2))
    return _mean(same if same.ndim == 2 else same.all(2), weights)


def _balanced_accuracy(predicted: Any, targets: Any, weights: Numbers) -> Numbers:
    same = predicted == targets
    recalls = []
    for label in np.unique(targets):
        here = weights * (targets == label)
        with np.errstate(invalid="ignore"):  # a class that a task lacks is left out
            recalls.append((here * same).sum(1) / here.sum(1))
    recall = np.array(recalls)
    known = ~np.isnan(recall)
    with np.errstate(invalid="ignore"):
        balanced: Numbers = np.where(known, recall, 0).sum(0) / known.sum(0)
    return balanced


def _r2(predicted: Any, targets: Any, weights: Numbers) -> Numbers:
    left = _mean((targets - predicted) ** 2, weights)
    spread = _mean((targets - _mean(targets, weights)[:, None]) ** 2, weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_outputs = np.where(spread > 0, 1 - left / spread, np.where(left > 0, 0.0, 1.0))
    rows = (weights != 0).sum(1) if weights.ndim == 3 else targets.shape[1]
    # As scikit-learn: of a single row there is no variance to explain.
    return _over_outputs(np.where(rows < 2, np.nan, of_outputs))


def _rmse(predicted: Any, targets: Any, weights: Numbers) -> Numbers:
    return _over_outputs(np.sqrt(_mean((predicted - targets) ** 2, weights)))


def _mae(predicted: Any, targets: Any, weights: Numbers) -> Numbers:
    return _over_outputs(_mean(np.abs(predicted - targets), weights))


def _nll(predicted: Any, targets: Any, weights: Numbers) -> Numbers:
    mean, std = predicted
    density = ((targets - mean) / std) ** 2 / 2 + np.log(std) + np.log(2 * np.pi) / 2
    return _over_outputs(_mean(density, weights))


def _coverage(level: float) -> Callable[[Any, Any, Numbers], Numbers]:
    """Share of the targets inside the central interval of that probability."""
    reach = NormalDist().inv_cdf((1 + level) / 2)

    def covered(predicted: Any, targets: Any, weights: Numbers) -> Numbers:
        mean, std = predicted
        return _over_outputs(_mean(np.abs(targets - mean) <= reach * std, weights))

    return covered


def _calibration_error(predicted: Any, targets: Any, weights: Numbers) -> Numbers:
    levels = np.arange(1, 10) / 10
    off = [np.abs(_coverage(p)(predicted, targets, weights) - p) for p in levels]
    error: Numbers = np.mean(off, axis=0)
    return error


# A line here registers a metric.
_REGISTRY = {
    metric.name: metric
    for metric in (
        Metric("accuracy", True, False, _accuracy),
        Metric("balanced_accuracy", True, True, _balanced_accuracy),
        Metric("r2", False, False, _r2),
        Metric("rmse", False, False, _rmse),
        Metric("mae", False, False, _mae),
        Metric("nll", False, False, _nll, True),
        Metric("coverage_50", False, False, _coverage(0.5), True),
        Metric("coverage_90", False, False, _coverage(0.9), True),
        Metric("coverage_95", False, False, _coverage(0.95), True),
        Metric("calibration_error", False, False, _calibration_error, True),
    )
}


def names() -> tuple[str, ...]:
    """Names accepted by `evaluate`, in registry order.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> names()[:5]
    ('accuracy', 'balanced_accuracy', 'r2', 'rmse', 'mae')
    """
    return tuple(_REGISTRY)


def get(name: MetricName, argument: str = "name") -> Metric:
    """Return the metric of a name.

    Parameters
    ----------
    name : str
        One of `names`.
    argument : str, default "name"
        What errors call it.

    Returns
    -------
    Metric

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or anything else.

    Examples
    --------
    >>> get("rmse").of_classes
    False
    """
    if not isinstance(name, str):
        raise TypeError(
            f"{argument} must be a name, such as {names()[0]!r}, or a function, got {shown(name)}"
        )
    if name not in _REGISTRY:
        raise ValueError(
            f"{argument} must be one of {', '.join(names())}, or a function, got {shown(name)}"
            f"{did_you_mean(name, names())}"
        )
    return _REGISTRY[name]
