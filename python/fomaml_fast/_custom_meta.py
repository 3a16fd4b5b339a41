"""Meta-learning with losses written in Python, composed of the core's batched primitives.

Every step goes over all tasks at once, on the thread that called: outputs from the core, the loss
and its gradient from the user's function, products with the network's Jacobian from the core, and
the core's own inner step. The way back is the flow of the core (docs/algorithms.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fomaml_fast import _custom_heads
from fomaml_fast._arrays import FloatArray
from fomaml_fast._custom_objective import Flags, Objective, Point, Way, objective, summed
from fomaml_fast._loader import core
from fomaml_fast.algorithm import Algorithm, Implicit
from fomaml_fast.batch import TaskBatch
from fomaml_fast.errors import DivergenceError
from fomaml_fast.heads import BayesianHead
from fomaml_fast.network import MLP
from fomaml_fast.results import MetaGrad


def _objectives_of_steps(
    net: MLP, rows: Any, tasks: int, threads: int | None, which: str
) -> list[Objective]:
    """The support loss at every step: one for all, or one each."""
    of_steps = [rows.at_step(k) for k in range(rows.steps)] or [rows]
    return [objective(net, net.loss_spec, one, tasks, threads, which) for one in of_steps]


def _check_available(algorithm: Algorithm) -> None:
    if isinstance(algorithm.gradient, Implicit):
        raise ValueError("implicit gradients are not available with a custom loss")
    if algorithm.context > 0:
        raise ValueError("context is not available with a custom loss")


class _Step(NamedTuple):
    """Where a step began."""

    theta: FloatArray
    gradient: FloatArray
    states: FloatArray
    point: Point


class _InnerLoop:
    """The inner loops of all tasks, a step at a time; what diverges stays where it was."""

    def __init__(
        self,
        net: MLP,
        theta: FloatArray,
        support: list[Objective],
        algorithm: Algorithm,
        rates: FloatArray | None,
        tasks: int,
        exact: bool,
    ) -> None:
        self.net, self.algorithm, self.rates, self.support = net, algorithm, rates, support
        self.exact = exact
        self.anchor = np.ascontiguousarray(np.broadcast_to(theta, (tasks, net.n_params)))
        self.theta = self.anchor
        shape = (tasks, core.inner_states(algorithm._core), net.n_params)
        self.states = np.zeros(shape, theta.dtype)
        self.diverged: Flags = np.zeros(tasks, np.bool_)
        self.first_bad = np.full(tasks, np.iinfo(np.int64).max)

    def support_at(self, k: int) -> Point:
        """Where step k begins; behind the last step, on the rows of the last."""
        return self.support[min(k, len(self.support) - 1)].at(self.theta)

    def step(self, k: int) -> tuple[_Step, FloatArray]:
        """Take step k; return where it began and the parameters it led to, finite or not."""
        point = self.support_at(k)
        if self.exact and point.hessian_vector is None:
            raise ValueError(
                "gradient='exact' needs a product with the custom loss's Hessian: let fn return "
                "(value, gradient, hessian_vector)"
            )
        self.mark(~np.isfinite(point.values), k)
        began = _Step(self.theta, point.gradients(), self.states, point)
        stepped, states = core.inner_step(
            self.net._core,
            self.algorithm._core,
            self.rates,
            k,
            self.theta,
            self.anchor,
            began.gradient,
            self.states,
        )
        self.mark(np.any(~np.isfinite(stepped), axis=1), k + 1)
        stays = self.diverged[:, None]
        self.theta = np.where(stays, self.theta, stepped)
        self.states = np.where(stays[..., None], self.states, states)
        return began, stepped

    def mark(self, bad: Flags, k: int) -> None:
        """Note tasks that diverged at step k."""
        self.first_bad[bad & ~self.diverged] = k
        self.diverged |= bad

    def pull_back(
        self, k: int, began: _Step, co_theta: FloatArray, co_states: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Cotangents of theta_k and its states, of theta_0 directly, and of the rates."""
        co_theta, co_states, co_gradient, co_anchor, co_rates = core.inner_pullback(
            self.net._core,
            self.algorithm._core,
            self.rates,
            k,
            self.exact,
            began.theta,
            self.anchor,
            began.gradient,
            began.states,
            co_theta,
            co_states,
        )
        if self.exact:
            assert began.point.hessian_vector is not None
            co_theta += began.point.hessian_vector(co_gradient)
        return co_theta, co_states, co_anchor, co_rates


def _through_steps(
    loop: _InnerLoop, steps: list[_Step], query: Objective
) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Query losses [T], meta-gradients [T, P] and those of the rates [T, R]."""
    algorithm = loop.algorithm
    weights = algorithm.step_weights
    last = query.at(loop.theta)
    if algorithm.gradient == "reptile":
        return last.values, loop.anchor - loop.theta, None
    dtype = loop.theta.dtype.type
    first = dtype(weights[-1] if weights else 1)
    losses, co_theta = first * last.values, first * last.gradients()
    co_rates: FloatArray | None = None
    if algorithm.gradient != "exact" and algorithm.learn_rates is False and weights is None:
        return losses, co_theta, None
    pulls, co_states = np.zeros_like(co_theta), np.zeros_like(loop.states)
    for k in range(len(steps) - 1, -1, -1):
        co_theta, co_states, pull, moved = loop.pull_back(k, steps[k], co_theta, co_states)
        pulls += pull
        co_rates = moved if co_rates is None else co_rates + moved
        if k > 0 and weights and weights[k - 1] != 0:
            there = query.at(steps[k].theta)
            losses = losses + dtype(weights[k - 1]) * there.values
            co_theta = co_theta + dtype(weights[k - 1]) * there.gradients()
    return losses, co_theta + pulls, co_rates


def _reduced(vectors: FloatArray, weights: FloatArray) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):  # told by `_check_sums`
        total: FloatArray = np.sum(weights[:, None] * vectors, axis=0, dtype=np.float64)
        return total.astype(vectors.dtype)


def _check_sums(result: MetaGrad, steps: int) -> None:
    """Tasks that are finite may have a sum that is not."""
    sums = (result.grad, result.loss, 0.0 if result.rate_grad is None else result.rate_grad)
    if not all(np.isfinite(part).all() for part in sums):
        raise DivergenceError([], steps, len(result.losses))


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
    if isinstance(algorithm.inner, BayesianHead):
        return _custom_heads.meta_grad(
            *(net, theta, rates, batch, algorithm),
            mean=mean,
            per_task=per_task,
            trace=trace,
            drops=drops,
            threads=threads,
        )
    _check_available(algorithm)
    query_loss = algorithm.query_loss or net.loss_spec
    support = _objectives_of_steps(net, batch._support, len(batch), threads, "_support")
    query = objective(net, query_loss, batch._query, len(batch), threads, "_query")
    exact = algorithm.gradient == "exact"
    loop = _InnerLoop(net, theta, support, algorithm, rates, len(batch), exact)
    before = query.at(loop.theta).values if trace else None
    steps = [loop.step(k)[0] for k in range(algorithm.steps)]
    losses, grads, co_rates = _through_steps(loop, steps, query)
    lost = ~np.isfinite(losses) | np.any(~np.isfinite(grads), axis=1)
    if co_rates is not None:
        lost |= np.any(~np.isfinite(co_rates), axis=1)
    loop.mark(lost, algorithm.steps)
    diverged = loop.diverged
    losses[diverged] = np.nan
    if diverged.any() and (not drops or diverged.all()):
        raise DivergenceError(np.flatnonzero(diverged), int(loop.first_bad.min()), len(batch))
    kept = ~diverged
    scale = 1 / int(kept.sum()) if mean else 1.0
    shares = np.ones(len(batch)) if batch._task_weights is None else batch._task_weights
    weights = shares[kept].astype(np.float64) * scale
    rate_grad = None
    if algorithm.learn_rates is not False and rates is not None:
        rate_grad = np.zeros_like(rates)
        if co_rates is not None:
            flat = _reduced(co_rates[kept], weights)
            with np.errstate(over="ignore"):
                rate_grad = (
                    flat.reshape(rates.shape) if rates.ndim else np.array(flat.sum(), flat.dtype)
                )
    result = MetaGrad(
        _reduced(grads[kept], weights),
        summed(losses[kept], weights),
        losses,
        steps[0].point.values if steps else None,
        grads if per_task else None,
        before,
        diverged if diverged.any() else batch._none_diverged,
        int(diverged.sum()),
        rate_grad,
    )
    _check_sums(result, algorithm.steps)
    return result


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
    """Take `steps` inner steps; rows are the core's type of them, `query` may be None."""
    if isinstance(algorithm.inner, BayesianHead):
        return _custom_heads.trace(
            net, theta, support, query, algorithm, rates, steps, points, threads
        )
    _check_available(algorithm)
    tasks = max(support.tasks, len(theta) if theta.ndim == 2 else 1)
    objectives = _objectives_of_steps(net, support, tasks, threads, "")
    wanted = None
    if query is not None:
        query_loss = algorithm.query_loss or net.loss_spec
        wanted = objective(net, query_loss, query, tasks, threads, "_query")
    loop = _InnerLoop(net, theta, objectives, algorithm, rates, tasks, exact=False)
    nan = theta.dtype.type(np.nan)
    thetas, losses, query_losses = [], [], []
    for k in range(steps + 1):
        lost = loop.diverged.copy()
        if k in points:
            thetas.append(loop.theta)
            if wanted is not None:
                query_losses.append(np.where(lost, nan, wanted.at(loop.theta).values))
        point = loop.step(k)[0].point if k < steps else loop.support_at(k)
        values = point.values
        losses.append(np.where(lost, nan, values))
    return Way(
        np.stack(thetas, axis=1) if thetas else np.empty((tasks, 0, net.n_params), theta.dtype),
        np.stack(losses, axis=1),
        np.stack(query_losses, axis=1) if wanted is not None else None,
        loop.theta,
        loop.diverged,
        loop.first_bad,
    )
