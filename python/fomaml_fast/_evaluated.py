"""Query losses and metrics of many tasks after some numbers of steps, in parts that find memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast import _custom_meta
from fomaml_fast._arrays import FloatArray
from fomaml_fast._loader import core
from fomaml_fast._measure import Asked, QueryRows, Values
from fomaml_fast.algorithm import Algorithm, uses_custom
from fomaml_fast.batch import TaskBatch
from fomaml_fast.metrics import Metric
from fomaml_fast.network import MLP

#: Numbers of parameters, of all tasks at all steps that are asked for, that `evaluate` holds at a
#: time where it measures metrics: 64 MB of floats.
MOST_NUMBERS = 2**24


class HowEvaluated(NamedTuple):
    """How tasks are evaluated."""

    algorithm: Algorithm
    rates: Any
    points: list[int]
    wants_thetas: bool
    threads: int | None
    check_finite: bool


def evaluated(
    net: MLP, theta: Any, batch: TaskBatch, asked: HowEvaluated, metrics: dict[str, Asked]
) -> tuple[FloatArray, npt.NDArray[np.bool_], Values]:
    """Query losses and what is lost, ``[T, points]``, and metrics of the same shape."""
    of_part = evaluate_custom if uses_custom(net, asked.algorithm) else _evaluate
    if not metrics:
        return *of_part(net, theta, batch, asked)[:2], {}
    loss = asked.algorithm.query_loss or net.loss_spec
    QueryRows(net, batch._query, loss, asked.algorithm).check(metrics)
    parts = []
    for part in parts_of(batch, len(asked.points) * net.n_params):
        losses, lost, thetas = of_part(net, theta, part, asked)
        assert thetas is not None
        rows = QueryRows(net, part._query, loss, asked.algorithm)
        at_points = [
            rows.measured(
                metrics,
                rows.outputs_at(theta, np.ascontiguousarray(thetas[:, i]), asked.threads),
                lost[:, i],
                deviations(net, theta, part, asked, point, metrics),
            )
            for i, point in enumerate(asked.points)
        ]
        values = {name: np.stack([at[name] for at in at_points], axis=1) for name in metrics}
        parts.append((losses, lost, values))
    losses, lost = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return losses, lost, {n: np.concatenate([values[n] for *_, values in parts]) for n in metrics}


def deviations(
    net: MLP,
    theta: Any,
    batch: TaskBatch,
    asked: HowEvaluated,
    point: int,
    metrics: dict[str, Asked],
) -> FloatArray | None:
    """Standard deviations of all query rows, where a metric asks for them."""
    if not any(isinstance(m, Metric) and m.of_distribution for m in metrics.values()):
        return None
    found: FloatArray = core.predictive(
        *(net._core, theta, batch._support, batch._query, asked.algorithm._core, asked.rates),
        *(point, asked.threads, False),
    )[1]
    return found


def parts_of(batch: TaskBatch, numbers: int) -> list[TaskBatch]:
    """A batch in parts of which parameters at all points, `numbers` a task, find memory."""
    most = max(1, MOST_NUMBERS // numbers)
    if len(batch) <= most:
        return [batch]
    return [batch.take(range(i, min(i + most, len(batch)))) for i in range(0, len(batch), most)]


def _evaluate(
    net: MLP, theta: Any, batch: TaskBatch, asked: HowEvaluated
) -> tuple[FloatArray, npt.NDArray[np.bool_], FloatArray | None]:
    algorithm, *others = asked
    return core.evaluate(net._core, theta, batch._support, batch._query, algorithm._core, *others)


def evaluate_custom(
    net: MLP, theta: Any, batch: TaskBatch, asked: HowEvaluated
) -> tuple[FloatArray, npt.NDArray[np.bool_], FloatArray | None]:
    algorithm, rates, points, wants_thetas, threads, check_finite = asked
    flat, own = core.check_adaptation(
        *(net._core, theta, batch._support, batch._query, algorithm._core, rates),
        *(points[-1], check_finite),
    )
    way = _custom_meta.trace(
        *(net, flat, batch._support, batch._query, algorithm, own, points[-1], points, threads)
    )
    assert way.query_losses is not None
    lost = ~np.isfinite(way.query_losses)
    lost |= np.asarray(points) >= np.where(way.diverged, way.first_bad, points[-1] + 1)[:, None]
    return way.query_losses, lost, way.thetas if wants_thetas else None
