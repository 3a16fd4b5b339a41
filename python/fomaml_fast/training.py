"""Meta-training: the state, and the step that follows a meta-gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast import _custom_meta
from fomaml_fast._arrays import is_integer
from fomaml_fast._convert import INT64_MAX
from fomaml_fast._hints import SUSPICIOUS_LOSS, question_loss
from fomaml_fast._loader import core
from fomaml_fast._shown import shown
from fomaml_fast.algorithm import Algorithm, as_algorithm, as_network
from fomaml_fast.batch import ArrayLike, TaskBatch
from fomaml_fast.meta import OnDivergence, Reduction, checked_options
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
    theta: ArrayLike | None = None,
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
    as_network(net)
    first = _algorithm_at(algorithm, 0, net)
    _check_outer(outer)
    core.check_outer(outer._core, outer.rate(0), net._core)
    start = net.init(seed, dtype) if theta is None else core.parameters(net._core, theta)
    rates = np.zeros(0, start.dtype)
    if first.learn_rates is not False:
        rates = core.first_rates(first._core, net._core, str(start.dtype))
    moments = np.zeros((outer._core.n_moments, net.n_params + rates.size), start.dtype)
    return State(start, rates, moments, np.zeros((), np.int64))


def meta_step(
    net: MLP,
    state: State,
    batch: TaskBatch,
    algorithm: AlgorithmAt,
    outer: Outer,
    *,
    reduction: Reduction = "mean",
    trace: bool = False,
    threads: int | None = None,
    check_finite: bool = True,
    on_divergence: OnDivergence = "raise",
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
    _check_outer(outer)
    theta, rates, moments, step = _unpack_state(state)
    chosen = algorithm if type(algorithm) is Algorithm else _algorithm_at(algorithm, step, net)
    mean, traces, drops = checked_options(net, batch, chosen, reduction, trace, on_divergence)
    lr = outer.rate(step)
    if net._has_custom_loss or chosen._has_custom_loss:
        checked = core.check_meta(
            *(net._core, theta, batch._support, batch._query, chosen._core),
            *(rates if chosen.learn_rates is not False else None, check_finite, True),
        )
        result = _custom_meta.meta_grad(
            *(net, *checked, batch, chosen),
            mean=mean,
            trace=traces,
            drops=drops,
            per_task=False,
            threads=threads,
        )
        new_theta, new_rates, new_moments, grad_norm = core.outer_step(
            *(net._core, theta, rates, moments, step + 1, lr, outer._core),
            *(chosen._core, result.grad, result.rate_grad, len(batch)),
        )
        loss, losses, support_losses = result.loss, result.losses, result.support_losses
        before, diverged, n_dropped = result.losses_before, result.diverged, result.n_dropped
        report = None
    else:
        # fmt: off
        (
            new_theta, new_rates, new_moments, loss, losses, support_losses,
            before, diverged, n_dropped, grad_norm, report,
        ) = core.meta_step(
            net._core, theta, rates, moments, step + 1, lr, outer._core,
            batch._support, batch._query, chosen._core,
            batch._task_weights, mean, traces, drops, threads, check_finite,
        )
        # fmt: on
    if loss > SUSPICIOUS_LOSS:
        question_loss(loss)
    metrics = Metrics(
        loss,
        losses,
        support_losses,
        before,
        batch._none_diverged if diverged is None else diverged,
        n_dropped,
        grad_norm,
        lr,
        SolverReport(*report) if report else None,
    )
    return State(new_theta, new_rates, new_moments, np.array(step + 1, np.int64)), metrics


def _algorithm_at(algorithm: Any, step: int, net: Any) -> Algorithm:
    """Return the algorithm of an outer step."""
    if callable(algorithm) and not isinstance(algorithm, Algorithm | type):
        algorithm = algorithm(step)
    return as_algorithm(algorithm, net)


def _check_outer(outer: Any) -> None:
    if not isinstance(outer, Outer) or type(outer) is Outer:
        raise TypeError(
            f"outer must be an outer optimiser, such as outer.Adam(), got {shown(outer)}"
        )


def _unpack_state(state: Any) -> tuple[Any, Any, Any, int]:
    if not isinstance(state, tuple) or len(state) != len(State._fields):
        raise TypeError(
            f"state must be a State, such as init_state gives, got {type(state).__name__}"
        )
    theta, rates, moments, step = state
    if type(step) is np.ndarray and step.ndim == 0:
        step = step.item()
    if type(step) is not int and not is_integer(step):
        raise TypeError(f"state.step must be an integer, got {shown(step)}")
    if not 0 <= step < INT64_MAX:  # and there is room for one more
        raise ValueError(f"state.step must be from 0 to 2**63 - 2, got {shown(int(step))}")
    return theta, rates, moments, int(step)
