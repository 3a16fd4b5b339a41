"""How the meta-gradient flows: each flow by its definition, none by a reverse sweep.

*Exact* differentiates the whole unrolled objective with imaginary steps.  *First order* does the
same to a path whose directions are constants.  *Reptile* (Nichol, Achiam and Schulman 2018) is the
way from the last point back to the first, and *implicit* solves for the sensitivity of a minimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oracle.activations import Array
from oracle.complex_step import columns
from oracle.implicit import Solution, conjugate_gradients, dense, implicit_gradient, matrix
from oracle.meta import Task
from oracle.network import Net, inexact
from oracle.unroll import Algorithm, Implicit, Path, meta_loss, unroll


class TaskResult(NamedTuple):
    """One task's meta-gradient ``[P]``, that of the rates in their shape, loss and path."""

    grad: Array
    rate_grad: Array | None
    loss: float
    path: Path
    solver: Solution | None


class Result(NamedTuple):
    """Reduced over tasks; `tasks` are unweighted."""

    grad: Array
    rate_grad: Array | None
    loss: float
    tasks: list[TaskResult]


def task_result(
    net: Net, theta: ArrayLike, task: Task, algorithm: Algorithm, *, iterate: bool = False
) -> TaskResult:
    """Everything about one task; `iterate` replays the implicit solver's stopping rules."""
    start, rates = inexact(theta), inexact(algorithm.rates)
    objective = algorithm.objective(net, task)
    path = unroll(objective, start, rates, algorithm)
    last = path.points[-1]
    loss = float(np.real(meta_loss(objective, start, rates, algorithm)))
    if isinstance(algorithm.gradient, Implicit):
        mu, tol, max_iter = (getattr(algorithm.gradient, n) for n in ("mu", "tol", "max_iter"))
        a, b = matrix(objective, last, start, mu), objective.query_gradient(last, start)
        definite = np.linalg.eigvalsh((a + a.T) / 2).min() > 0
        solve = iterate or not definite  # what the iterations then return is a definition
        solution = conjugate_gradients(a, b, tol, max_iter) if solve else dense(a, b)
        grad = implicit_gradient(objective, last, start, mu, solution)
        return TaskResult(grad, None, loss, path, solution)
    if algorithm.gradient == "reptile":
        return TaskResult(start - last, None, loss, path, None)
    frozen = {"exact": None, "first": path.directions}[algorithm.gradient]

    def of_theta(point: Array) -> Any:
        return meta_loss(objective, point, rates, algorithm, frozen)

    def of_rates(point: Array) -> Any:
        return meta_loss(objective, start, point, algorithm, frozen)

    rate_grad = columns(of_rates, rates).reshape(rates.shape)
    return TaskResult(columns(of_theta, start), rate_grad, loss, path, None)


def result(
    net: Net,
    theta: ArrayLike,
    tasks: Sequence[Task],
    algorithm: Algorithm,
    *,
    task_weights: ArrayLike | None = None,
    reduction: str = "mean",
    iterate: bool = False,
) -> Result:
    """``F = (1/T) sum_t w_t F_t``; the sum is without the 1/T."""
    each = [task_result(net, theta, task, algorithm, iterate=iterate) for task in tasks]
    weights = np.ones(len(each)) if task_weights is None else np.asarray(task_weights, np.float64)
    if reduction == "mean":
        weights = weights / len(each)

    def total(values: Sequence[Any]) -> Any:
        return sum(w * value for w, value in zip(weights, values, strict=True))

    rate_grads = [one.rate_grad for one in each]
    return Result(
        total([one.grad for one in each]),
        None if any(grad is None for grad in rate_grads) else total(rate_grads),
        float(total([one.loss for one in each])),
        each,
    )
