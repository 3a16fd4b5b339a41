"""Meta-learning with losses written in Python, composed of the core's batched primitives.

Every step goes over all tasks at once, on the thread that called: outputs from the core, the loss
and its gradient from the user's function, products with the network's Jacobian from the core, and
the core's own inner step. The way back is the flow of the core (docs/algorithms.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray
from fomaml_fast._custom import Result, checked_product, checked_result
from fomaml_fast._loader import core
from fomaml_fast._rows import RowArrays
from fomaml_fast.algorithm import Algorithm, Implicit
from fomaml_fast.batch import TaskBatch
from fomaml_fast.errors import DivergenceError
from fomaml_fast.losses import Custom
from fomaml_fast.network import MLP
from fomaml_fast.results import MetaGrad

Flags = npt.NDArray[np.bool_]


class Point(NamedTuple):
    """A loss of all tasks, at one vector of parameters each."""

    values: FloatArray  #: [T]
    gradients: Callable[[], FloatArray]  #: [T, P]
    hessian_vector: Callable[[FloatArray], FloatArray] | None  #: [T, P] -> [T, P]


class Objective(Protocol):
    """A loss on one set of rows of all tasks."""

    def at(self, thetas: FloatArray) -> Point:
        """Evaluate at ``[T, P]``."""


class _RegisteredObjective:
    """A loss of the core."""

    def __init__(self, net: MLP, bound: Any, workers: int) -> None:
        self._net, self._bound, self._workers = net._core, bound, workers

    def at(self, thetas: FloatArray) -> Point:
        values, gradients = core.gradient(self._net, thetas, self._bound, self._workers)

        def hessian_vector(v: FloatArray) -> FloatArray:
            return core.hvp(self._net, thetas, self._bound, v, self._workers)

        return Point(values, lambda: gradients, hessian_vector)


class _CustomObjective:
    """A loss written in Python."""

    def __init__(
        self, net: MLP, fn: Callable[..., Any], rows: RowArrays, bound: Any, workers: int
    ) -> None:
        self._net, self._fn, self._bound, self._workers = net._network, fn, bound, workers
        self._rows, self._n_out = rows, net.sizes[-1]
        targets = rows.per_task(np.asarray(rows.y))
        self._targets: list[Any] = [t[None] for t in targets] if rows.ragged else [targets]
        if not rows.ragged and bound.tasks > rows.n_tasks:
            shape = (bound.tasks, *targets.shape[1:])
            self._targets = [np.broadcast_to(targets, shape)]

    def at(self, thetas: FloatArray) -> Point:
        outputs = self._grouped(core.predict(self._net, thetas, self._bound, self._workers))
        results: list[Result] = [
            checked_result(self._fn(group, target), group.shape)
            for group, target in zip(outputs, self._targets, strict=True)
        ]
        values = np.concatenate([result[0] for result in results]).astype(thetas.dtype)
        # Where the loss itself is not finite the task has diverged, which the caller sees.
        for result in results:
            fine = np.isfinite(result[0])
            if not np.isfinite(result[1][fine]).all():
                raise ValueError("gradient of the custom loss must be finite where its value is")
        cotangents = self._stacked([result[1] for result in results])

        def gradients() -> FloatArray:
            return core.vjp(self._net, thetas, self._bound, cotangents, self._workers)

        def hessian_vector(v: FloatArray) -> FloatArray:
            tangents = self._grouped(core.jvp(self._net, thetas, self._bound, v, self._workers))
            products = self._stacked(
                [
                    checked_product(result[2], tangent)
                    for result, tangent in zip(results, tangents, strict=True)
                ]
            )
            return core.vjp_tangent(
                self._net, thetas, self._bound, cotangents, v, products, self._workers
            )

        twice = all(result[2] is not None for result in results)
        return Point(values, gradients, hessian_vector if twice else None)

    def _grouped(self, outputs: FloatArray) -> list[FloatArray]:
        if self._rows.ragged:
            return [group[None] for group in self._rows.per_task(outputs)]
        return [outputs.reshape(self._bound.tasks, -1, self._n_out)]

    def _stacked(self, groups: list[FloatArray]) -> FloatArray:
        rows = [group.reshape(-1, self._n_out) for group in groups]
        return np.ascontiguousarray(np.concatenate(rows), dtype=self._rows.x.dtype)


def uses_custom(net: Any, algorithm: Algorithm) -> bool:
    """Whether a loss of the call is written in Python."""
    return isinstance(algorithm.query_loss, Custom) or isinstance(
        getattr(net, "loss_spec", None), Custom
    )


def _objective(
    net: MLP, loss: Any, rows: RowArrays, bound: Any, workers: int, which: str
) -> Objective:
    if not isinstance(loss, Custom):
        if loss != net.loss_spec:
            net = MLP(net.sizes, net.activations, loss, net.norms)
        return _RegisteredObjective(net, bound, workers)
    for name, extra in ((f"weights{which}", rows.weights), ("class_mask", rows.classes)):
        if extra is not None:
            raise ValueError(f"{name} goes into the targets of a custom loss, whose fn sees it")
    return _CustomObjective(net, loss.fn, rows, bound, workers)


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
        support: Objective,
        algorithm: Algorithm,
        rates: FloatArray | None,
        tasks: int,
        exact: bool,
    ) -> None:
        self.net, self.algorithm, self.rates, self.support = net, algorithm, rates, support
        self.exact = exact
        self.anchor = np.ascontiguousarray(np.broadcast_to(theta, (tasks, net.n_params)))
        self.theta = self.anchor
        shape = (tasks, core.inner_states(algorithm._inner), net.n_params)
        self.states = np.zeros(shape, theta.dtype)
        self.diverged: Flags = np.zeros(tasks, np.bool_)
        self.first_bad = np.full(tasks, np.iinfo(np.int64).max)

    def step(self, k: int) -> tuple[_Step, FloatArray]:
        """Take step k; return where it began and the parameters it led to, finite or not."""
        point = self.support.at(self.theta)
        if self.exact and point.hessian_vector is None:
            raise ValueError(
                "gradient='exact' needs a product with the custom loss's Hessian: let fn return "
                "(value, gradient, hessian_vector)"
            )
        self.mark(~np.isfinite(point.values), k)
        began = _Step(self.theta, point.gradients(), self.states, point)
        stepped, states = core.inner_step(
            self.net._network,
            self.algorithm._inner,
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
            self.net._network,
            self.algorithm._inner,
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
    total: FloatArray = np.sum(weights[:, None] * vectors, axis=0, dtype=np.float64)
    return total.astype(vectors.dtype)


def meta_grad(
    net: MLP,
    theta: FloatArray,
    batch: TaskBatch,
    algorithm: Algorithm,
    rates: FloatArray | None,
    *,
    mean: bool,
    per_task: bool,
    trace: bool,
    workers: int,
    on_divergence: str,
) -> MetaGrad:
    """`meta.meta_grad` of checked arguments."""
    _check_available(algorithm)
    support_bound, query_bound = batch._bound
    query_loss = algorithm.query_loss or net.loss_spec
    support = _objective(net, net.loss_spec, batch._support, support_bound, workers, "_support")
    query = _objective(net, query_loss, batch._query, query_bound, workers, "_query")
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
    if diverged.any() and (on_divergence == "raise" or diverged.all()):
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
            rate_grad = (
                flat.reshape(rates.shape) if rates.ndim else np.array(flat.sum(), flat.dtype)
            )
    return MetaGrad(
        _reduced(grads[kept], weights),
        math.fsum((weights * losses[kept]).tolist()),
        losses,
        steps[0].point.values if steps else None,
        grads if per_task else None,
        before,
        diverged if diverged.any() else batch._none_diverged,
        int(diverged.sum()),
        rate_grad,
    )


def trace(
    net: MLP,
    theta: FloatArray,
    support: tuple[RowArrays, Any],
    query: tuple[RowArrays, Any] | None,
    algorithm: Algorithm,
    rates: FloatArray | None,
    steps: int,
    workers: int,
) -> tuple[FloatArray, FloatArray, FloatArray | None, Flags]:
    """What ``core.trace`` returns, thetas included; rows come with the core's type of them."""
    _check_available(algorithm)
    rows, bound = support
    objective = _objective(net, net.loss_spec, rows, bound, workers, "")
    wanted = None
    if query is not None:
        query_loss = algorithm.query_loss or net.loss_spec
        wanted = _objective(net, query_loss, *query, workers, "_query")
    loop = _InnerLoop(net, theta, objective, algorithm, rates, bound.tasks, exact=False)
    thetas = [loop.theta]
    losses: list[FloatArray] = []
    query_losses: list[FloatArray] = []

    def note(values: FloatArray, to: list[FloatArray], lost: Flags) -> None:
        to.append(np.where(lost, values.dtype.type(np.nan), values))

    for k in range(steps + 1):
        lost = loop.diverged.copy()
        if wanted is not None:
            note(wanted.at(loop.theta).values, query_losses, lost)
        if k < steps:
            began, stepped = loop.step(k)
            note(began.point.values, losses, lost)
            thetas.append(np.where(lost[:, None], stepped.dtype.type(np.nan), stepped))
        else:
            note(objective.at(loop.theta).values, losses, lost)
    stacked = np.stack(losses, axis=1)
    queries = np.stack(query_losses, axis=1) if wanted is not None else None
    return np.stack(thetas, axis=1), stacked, queries, loop.diverged
