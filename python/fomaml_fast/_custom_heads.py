"""Heads in closed form whose query loss is written in Python.

The core solves, and goes back through the solution. Of the loss it needs the gradient d on the
query's outputs o alone, and the mean squared error of targets ``o - n n_L d / 2`` has that one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from fomaml_fast._arrays import FloatArray
from fomaml_fast._custom_objective import CustomObjective, Way, objective, summed
from fomaml_fast._loader import core
from fomaml_fast.algorithm import Algorithm
from fomaml_fast.batch import TaskBatch
from fomaml_fast.errors import DivergenceError
from fomaml_fast.losses import MSE, Custom
from fomaml_fast.network import MLP
from fomaml_fast.results import MetaGrad

#: So many times the outputs' size is what the targets are away from them: their difference then
#: has the precision of d.
_FAR = 1024.0


def meta_grad(
    net: MLP,
    theta: FloatArray,
    rates: FloatArray | None,
    batch: TaskBatch,
    algorithm: Algorithm,
    *,
    mean: bool,
    per_task: bool,
    trace: bool,
    drops: bool,
    threads: int | None,
) -> MetaGrad:
    """`meta.meta_grad` of checked arguments."""
    _check_loss(net)
    _check_query_loss(algorithm.query_loss)
    tasks = len(batch)
    support_losses, way, lost = _solutions(
        net, theta, batch._support, algorithm, rates, (0, 1), threads
    )
    query = objective(net, algorithm.query_loss, batch._query, tasks, threads, "_query")
    assert isinstance(query, CustomObjective)
    losses, outputs, gradients = query.on_outputs(way[:, 1])
    before = query.at(way[:, 0]).values if trace else None
    lost |= ~np.isfinite(losses)
    if lost.any():
        first_bad = int(np.isfinite(support_losses[lost, 0]).all())
        if not drops or lost.all():
            raise DivergenceError(np.flatnonzero(lost), first_bad, tasks)
        left = np.flatnonzero(~lost)
        try:
            rest = meta_grad(
                *(net, theta, rates, batch.take(left), algorithm),
                mean=mean,
                per_task=per_task,
                trace=False,
                drops=drops,
                threads=threads,
            )
        except DivergenceError as error:  # those that were left, as well
            raise DivergenceError(
                np.union1d(np.flatnonzero(lost), left[error.tasks]),
                min(error.step, first_bad),
                tasks,
            ) from None
        return _with_lost(rest, lost)._replace(
            support_losses=support_losses[:, 0], losses_before=before
        )
    targets, scales = _targets(outputs, gradients)
    weights = np.ones(tasks, theta.dtype) if batch._task_weights is None else batch._task_weights
    pulled = core.meta_grad(
        *(net._core, theta, batch._support, _rows_of(batch, targets)),
        *(dataclasses.replace(algorithm, query_loss=MSE())._core, rates),
        (weights / scales).astype(theta.dtype),
        *(mean, per_task, False, drops),
        *(threads, False),
    )
    grad, _, _, _, task_grads, _, diverged, n_dropped, rate_grad, _ = pulled
    if diverged is not None:
        losses = np.where(diverged, np.nan, losses).astype(theta.dtype)
    kept = np.ones(tasks, np.bool_) if diverged is None else ~diverged
    share = 1 / int(kept.sum()) if mean else 1.0
    return MetaGrad(
        grad,
        summed(losses[kept], weights[kept].astype(np.float64) * share),
        losses,
        support_losses[:, 0],
        task_grads / scales[:, None].astype(theta.dtype) if per_task else None,
        before,
        batch._none_diverged if diverged is None else diverged,
        n_dropped,
        rate_grad,
    )


def trace(
    net: MLP,
    theta: FloatArray,
    support: Any,
    query: Any,
    algorithm: Algorithm,
    rates: FloatArray | None,
    steps: int,
    points: Sequence[int],
    threads: int | None,
) -> Way:
    """Before and after the solution; rows are the core's type of them."""
    _check_loss(net)
    tasks = max(support.tasks, len(theta) if theta.ndim == 2 else 1)
    ends = tuple(range(steps + 1))
    losses, way, lost = _solutions(net, theta, support, algorithm, rates, ends, threads)
    of_query = objective(net, algorithm.query_loss, query, tasks, threads, "_query")
    found = np.stack([of_query.at(way[:, k]).values for k in points], axis=1)
    never = np.iinfo(np.int64).max
    first_bad = np.where(lost, steps, never).astype(np.int64)
    thetas = way[:, list(points)]
    last = np.where(lost[:, None], way[:, 0], way[:, -1])
    return Way(thetas, losses, found, last, lost, first_bad)


def _check_loss(net: MLP) -> None:
    if net._has_custom_loss:
        raise ValueError(
            "the network's loss must be one of the core's where a BayesianHead is solved for, "
            "which it plays no part in: pass a custom loss as query_loss"
        )


def _check_query_loss(loss: Any) -> None:
    if isinstance(loss, Custom) and loss.directions is not None:
        raise ValueError(
            "query_loss must be of outputs where a BayesianHead is solved for: meta-gradients of a "
            "custom loss of jets (directions=...) are not available there"
        )


def _solutions(
    net: MLP,
    theta: FloatArray,
    support: Any,
    algorithm: Algorithm,
    rates: FloatArray | None,
    points: tuple[int, ...],
    threads: int | None,
) -> tuple[FloatArray, FloatArray, Any]:
    """Support losses ``[T, points]``, parameters ``[T, points, P]``, and which tasks are lost."""
    solver = dataclasses.replace(algorithm, query_loss=None)
    losses, lost, thetas = core.evaluate(
        *(net._core, theta, support, support, solver._core, rates, points, True, threads, False)
    )
    assert thetas is not None
    return losses, thetas, np.any(lost, axis=1)


def _targets(outputs: Any, gradients: Any) -> tuple[Any, FloatArray]:
    """Targets whose mean squared error has the gradients, times a power of two a task."""
    made, scales = [], []
    for o, d in zip(outputs, gradients, strict=True):
        away = 0.5 * d.size * d
        size, far = float(np.abs(o).max()), float(np.abs(away).max())
        scale = 1.0
        if size > 0 and far > 0:
            scale = float(np.exp2(np.clip(np.round(np.log2(_FAR * size / far)), -60, 60)))
        made.append(o - o.dtype.type(scale) * away.astype(o.dtype))
        scales.append(scale)
    return made if isinstance(outputs, list) else np.stack(made), np.array(scales)


def _rows_of(batch: TaskBatch, targets: Any) -> Any:
    """The query's rows with other targets."""
    x = batch._query.x
    return TaskBatch(x, targets, x, targets)._query


def _with_lost(rest: MetaGrad, lost: Any) -> MetaGrad:
    """What came of some of the tasks, among all of them."""

    def among_all(values: Any, fill: Any) -> Any:
        if values is None:
            return None
        whole = np.full((len(lost), *values.shape[1:]), fill, values.dtype)
        whole[~lost] = values
        return whole

    return rest._replace(
        losses=among_all(rest.losses, np.nan),
        task_grads=among_all(rest.task_grads, np.nan),
        diverged=among_all(rest.diverged, True),
        n_dropped=rest.n_dropped + int(lost.sum()),
    )
