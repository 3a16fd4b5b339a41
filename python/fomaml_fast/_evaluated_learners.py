"""Query losses and metrics of many learners, each alone and all of them together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray
from fomaml_fast._evaluated import (
    HowEvaluated,
    deviations,
    evaluate_custom,
    parts_of,
)
from fomaml_fast._learners import as_rates, of_learner, one_by_one
from fomaml_fast._loader import core
from fomaml_fast._measure import Asked, QueryRows, Values
from fomaml_fast.algorithm import uses_custom
from fomaml_fast.batch import TaskBatch
from fomaml_fast.heads import BayesianHead
from fomaml_fast.metrics import Metric
from fomaml_fast.network import MLP

Flags = npt.NDArray[np.bool_]


class OfLearners(NamedTuple):
    """What was found."""

    losses: FloatArray  #: [R, T, points]
    lost: Flags  #: [R, T, points]
    values: list[Values]  #: of every learner, [T, points] by name
    together: Values  #: [T, points] by name


def evaluated_learners(
    net: MLP,
    thetas: Any,
    batches: list[TaskBatch],
    asked: list[HowEvaluated],
    metrics: dict[str, Asked],
) -> OfLearners:
    """Evaluate all learners; metrics are of one batch that all of them see."""
    learners = len(thetas)
    if not metrics:
        losses, lost, _ = _evaluate(net, thetas, batches, asked)
        return OfLearners(losses, lost, [{}] * learners, {})
    if len(batches) > 1:
        raise ValueError(
            "metrics are of what the learners predict together, which needs one batch for all of "
            f"them, got {len(batches)}"
        )
    kinds = {(type(a.algorithm.inner) is BayesianHead, a.algorithm.query_loss) for a in asked}
    if len(kinds) > 1:
        raise ValueError(
            "algorithm must be alike for all learners in query_loss and in whether a head is "
            "solved for, if metrics are to be of what they predict together"
        )
    _rows_of(net, batches[0], asked[0]).check(metrics, of_ensemble=learners > 1)
    parts = []
    for part in parts_of(batches[0], learners * len(asked[0].points) * net.n_params):
        losses, lost, adapted = _evaluate(net, thetas, [part], asked)
        of_points = [
            _measured(net, thetas, part, asked, metrics, (adapted[:, :, i], lost[:, :, i], point))
            for i, point in enumerate(asked[0].points)
        ]
        parts.append((losses, lost, of_points))
    losses, lost = (np.concatenate([part[i] for part in parts], axis=1) for i in (0, 1))
    values = [
        _joined([[point[0][r] for point in of_points] for *_, of_points in parts])
        for r in range(learners)
    ]
    together = _joined([[point[1] for point in of_points] for *_, of_points in parts])
    return OfLearners(losses, lost, values, together)


def _evaluate(
    net: MLP, thetas: Any, batches: list[TaskBatch], asked: list[HowEvaluated]
) -> tuple[Any, ...]:
    """Query losses, what is lost, and parameters at all points where they are wanted."""
    algorithms = [one.algorithm for one in asked]
    first = asked[0]
    if any(uses_custom(net, algorithm) for algorithm in algorithms):
        rates = as_rates(first.rates, len(thetas))
        return one_by_one(
            len(thetas),
            lambda r: evaluate_custom(
                net, thetas[r], of_learner(batches, r), _asked_of(asked, r, rates)
            ),
        )
    return core.evaluate_of_learners(
        *(net._core, thetas, [b._support for b in batches], [b._query for b in batches]),
        *([a._core for a in algorithms], first.rates, first.points, first.wants_thetas),
        *(first.threads, first.check_finite),
    )


def _asked_of(asked: list[HowEvaluated], learner: int, rates: Any) -> HowEvaluated:
    """What one learner is asked, with its own of the rates that `as_rates` returned."""
    own = None if rates is None else rates[learner]
    return of_learner(asked, learner)._replace(rates=own)


def _rows_of(net: MLP, batch: TaskBatch, asked: HowEvaluated) -> QueryRows:
    loss = asked.algorithm.query_loss or net.loss_spec
    return QueryRows(net, batch._query, loss, asked.algorithm)


def _measured(
    net: MLP,
    thetas: Any,
    batch: TaskBatch,
    asked: list[HowEvaluated],
    metrics: dict[str, Asked],
    at: tuple[Any, Any, int],
) -> tuple[list[Values], Values]:
    """Metrics of every learner, and of all together, after one number of steps."""
    adapted, lost, point = at
    rows = _rows_of(net, batch, asked[0])
    own = metrics
    if not rows.has_distribution:
        own = {
            n: m for n, m in metrics.items() if not (isinstance(m, Metric) and m.of_distribution)
        }
    values, outputs, spreads = [], [], []
    rates = as_rates(asked[0].rates, len(thetas))
    for r in range(len(thetas)):
        one = _asked_of(asked, r, rates)
        found = rows.outputs_at(thetas[r], np.ascontiguousarray(adapted[r]), one.threads)
        spread = None
        if rows.has_distribution:
            spread = deviations(net, thetas[r], batch, one, point, metrics)
        values.append(rows.measured(own, found, lost[r], spread))
        outputs.append(found)
        spreads.append(spread)
    with np.errstate(divide="ignore", invalid="ignore"):  # learners that agree have no density
        mean, spread = rows.together(outputs, spreads)
        return values, rows.measured(metrics, mean, lost.any(axis=0), spread)


def _joined(parts: list[list[Values]]) -> Values:
    """Values ``[T, points]`` of parts of the tasks, at one point after another."""
    names = parts[0][0]
    return {
        name: np.concatenate(
            [np.stack([at[name] for at in of_points], axis=1) for of_points in parts]
        )
        for name in names
    }
