"""Meta-training: the state, and the step that follows a meta-gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray, as_parameters, as_threads, one_of
from fomaml_fast._checks import check_algorithm, check_meta_arguments, check_rates
from fomaml_fast._custom_meta import uses_custom
from fomaml_fast._loader import core
from fomaml_fast.algorithm import Algorithm
from fomaml_fast.batch import TaskBatch
from fomaml_fast.errors import DivergenceError
from fomaml_fast.meta import ON_DIVERGENCE, REDUCTIONS, kept_tasks, losses_before, meta_grad
from fomaml_fast.network import MLP
from fomaml_fast.outer import Outer
from fomaml_fast.results import Metrics, SolverReport, State

#: An algorithm, or a schedule that maps the outer step (from 0) to one.
AlgorithmAt = Algorithm | Callable[[int], Algorithm]


def init_state(
    net: MLP,
    algorithm: AlgorithmAt,
    outer: Outer,
    *,
    theta: Any = None,
    seed: int | np.random.Generator = 0,
    dtype: npt.DTypeLike = np.float32,
) -> State:
    """Start of training.

    Parameters
    ----------
    net : MLP
        The network.
    algorithm : Algorithm, or callable
        Decides what is learned beside theta. A schedule ``step -> Algorithm`` counts as that of
        its first step.
    outer : outer.Outer
        Decides the moments.
    theta : array or None, default None
        Initial parameters ``[P]``, copied; None draws them by ``net.init(seed, dtype)``.
    seed, dtype
        Used where `theta` is None.

    Returns
    -------
    State

    Raises
    ------
    ValueError, TypeError
        For any argument that does not fit, naming it.

    Examples
    --------
    >>> import fomaml_fast as ff
    >>> state = ff.init_state(ff.MLP([1, 8, 1]), ff.fomaml(), ff.outer.Adam())
    >>> state.theta.shape, state.moments.shape, int(state.step)
    ((25,), (2, 25), 0)
    """
    if not isinstance(net, MLP):
        raise TypeError(f"net must be an MLP, got {net!r}")
    first = _algorithm_at(algorithm, 0, net)
    _check_outer(outer)
    if theta is None:
        start = net.init(seed, dtype)
    else:
        start = as_parameters(theta, net.n_params, per_task=False).copy()
    learned = check_rates(first, net, None, start.dtype)
    rates = np.zeros(0, start.dtype) if learned is None else learned.copy()
    moments = np.zeros((outer._core.n_moments, net.n_params + rates.size), start.dtype)
    return State(start, rates, moments, np.zeros((), np.int64))


def meta_step(
    net: MLP,
    state: State,
    batch: TaskBatch,
    algorithm: AlgorithmAt,
    outer: Outer,
    *,
    reduction: str = "mean",
    trace: bool = False,
    threads: int | None = None,
    check_finite: bool = True,
    on_divergence: str = "raise",
) -> tuple[State, Metrics]:
    """One step of meta-training: the meta-gradient, then the outer optimiser.

    Parameters
    ----------
    net, batch, reduction, trace, threads, check_finite, on_divergence
        As in `meta_grad`.
    algorithm : Algorithm, or callable
        How a task adapts, and how the gradient flows back; or a schedule of it, ``step ->
        Algorithm``, steps counted from 0.
    state : State
        From `init_state` or the step before; it is not written.
    outer : outer.Outer
        The outer optimiser that `state` was made for.

    Returns
    -------
    state : State
        The new state.
    metrics : Metrics
        Losses at the parameters before the step.

    Raises
    ------
    DivergenceError
        As in `meta_grad`; the state stays as it was.
    ValueError, TypeError
        For any argument that does not fit, naming it.

    Examples
    --------
    >>> import fomaml_fast as ff
    >>> net, algorithm, outer = ff.MLP([1, 8, 1]), ff.fomaml(), ff.outer.Adam()
    >>> state = ff.init_state(net, algorithm, outer)
    >>> batch = ff.samplers.Sinusoid().sample(0, 25, 10, 10)
    >>> state, metrics = ff.meta_step(net, state, batch, algorithm, outer)
    >>> int(state.step)
    1
    """
    if reduction not in REDUCTIONS or on_divergence not in ON_DIVERGENCE:
        one_of(reduction, "reduction", REDUCTIONS)
        one_of(on_divergence, "on_divergence", ON_DIVERGENCE)
    _check_outer(outer)
    theta, rates, moments, step = _unpack_state(state)
    chosen = algorithm if isinstance(algorithm, Algorithm) else _algorithm_at(algorithm, step, net)
    if chosen.learn_rates is not False or uses_custom(net, chosen):
        return _step_with_rates(
            net,
            State(theta, rates, moments, step),
            batch,
            chosen,
            outer,
            reduction=reduction,
            trace=trace,
            threads=threads,
            check_finite=check_finite,
            on_divergence=on_divergence,
        )
    lr = outer.rate(step)
    workers = 0 if threads is None else as_threads(threads)
    mean, scan = reduction == "mean", bool(check_finite)
    try:
        support, query = batch._bound
        result = core.meta_step(
            net._core,
            theta,
            support,
            query,
            chosen._core,
            batch._task_weights,
            mean,
            workers,
            scan,
            outer._core,
            lr,
            step + 1,
            moments,
        )
    except AttributeError:
        result = None
    if result is None:  # something needs converting, or is wrong: check all, and say what
        check_algorithm(chosen, net)
        theta = check_meta_arguments(net, theta, batch, chosen, check_finite, name="state.theta")
        moments = _check_moments(theta, theta.size, moments, outer)
        support, query = batch._bound
        result = core.meta_step(
            net._core,
            theta,
            support,
            query,
            chosen._core,
            batch._task_weights,
            mean,
            workers,
            False,
            outer._core,
            lr,
            step + 1,
            moments,
        )
        assert result is not None
    any_diverged, loss, stepped, losses, support_losses, diverged, report = result
    before = losses_before(net, theta, batch, chosen, None, workers) if trace else None
    n_dropped = 0
    if any_diverged:
        assert diverged is not None
        kept = kept_tasks(net, theta, batch, chosen, None, diverged, on_divergence)
        rest = meta_grad(
            net, theta, kept, chosen, reduction=reduction, threads=threads, check_finite=False
        )
        loss, n_dropped = rest.loss, int(diverged.sum())
        stepped = core.outer_step(outer._core, lr, step + 1, theta, rest.grad, moments)
    else:
        diverged = batch._none_diverged
    assert stepped is not None  # the core steps unless a task diverged
    new_theta, new_moments, grad_norm = stepped
    if not math.isfinite(grad_norm):
        raise DivergenceError([], chosen.steps, len(batch))
    new_state = State(new_theta, rates, new_moments, np.array(step + 1, np.int64))
    solver = SolverReport(*report) if report else None
    metrics = Metrics(
        loss, losses, support_losses, before, diverged, n_dropped, grad_norm, lr, solver
    )
    return new_state, metrics


def _step_with_rates(
    net: MLP, state: State, batch: TaskBatch, algorithm: Algorithm, outer: Outer, **options: Any
) -> tuple[State, Metrics]:
    """One step of theta and the inner rates together: one vector to the outer optimiser."""
    step = int(state.step)
    check_algorithm(algorithm, net)
    theta = check_meta_arguments(
        net, state.theta, batch, algorithm, options["check_finite"], name="state.theta"
    )
    learns = algorithm.learn_rates is not False
    rates = (
        check_rates(algorithm, net, state.rates, theta.dtype, "state.rates")
        if learns
        else np.zeros(0, theta.dtype)
    )
    assert rates is not None
    expected = algorithm.initial_rates(net).shape if learns else (0,)
    if rates.shape != expected:
        raise ValueError(f"state.rates must have shape {list(expected)}, got {list(rates.shape)}")
    moments = _check_moments(theta, theta.size + rates.size, state.moments, outer)
    result = meta_grad(net, theta, batch, algorithm, rates=rates if learns else None, **options)
    rate_grad = np.zeros(0, theta.dtype) if result.rate_grad is None else result.rate_grad
    lr = outer.rate(step)
    joined, new_moments, grad_norm = core.outer_step(
        outer._core,
        lr,
        step + 1,
        np.concatenate([theta, rates.reshape(-1)]),
        np.concatenate([result.grad, rate_grad.reshape(-1)]),
        moments,
    )
    if not math.isfinite(grad_norm):
        raise DivergenceError([], algorithm.steps, len(batch))
    new_rates = joined[theta.size :].reshape(rates.shape)
    new_state = State(joined[: theta.size], new_rates, new_moments, np.array(step + 1, np.int64))
    metrics = Metrics(
        result.loss,
        result.losses,
        result.support_losses,
        result.losses_before,
        result.diverged,
        result.n_dropped,
        grad_norm,
        lr,
    )
    return new_state, metrics


def _algorithm_at(algorithm: Any, step: int, net: MLP) -> Algorithm:
    """Return the algorithm of an outer step."""
    if callable(algorithm) and not isinstance(algorithm, Algorithm):
        algorithm = algorithm(step)
    return check_algorithm(algorithm, net)


def _check_outer(outer: Any) -> None:
    if not isinstance(outer, Outer):
        raise TypeError(f"outer must be an outer optimiser, such as outer.Adam(), got {outer!r}")


def _unpack_state(state: Any) -> tuple[Any, Any, Any, int]:
    try:
        theta, rates, moments, step = state
        count = int(step)
    except (TypeError, ValueError):
        raise TypeError(
            f"state must be a State, such as init_state gives, got {type(state).__name__}"
        ) from None
    if count < 0:
        raise ValueError(f"state.step must be at least 0, got {count}")
    return theta, rates, moments, count


def _check_moments(theta: FloatArray, size: int, moments: Any, outer: Outer) -> FloatArray:
    expected = (outer._core.n_moments, size)
    array: FloatArray = np.ascontiguousarray(moments)
    if array.shape != expected or array.dtype != theta.dtype:
        raise ValueError(
            f"state.moments must be {theta.dtype} of shape {list(expected)} for this network, "
            f"outer optimiser and number of learned rates, got {array.dtype} {list(array.shape)}"
        )
    return array
