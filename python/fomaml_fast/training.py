"""Meta-training: the state, and the step that follows a meta-gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy import ndarray

from fomaml_fast import _custom_meta
from fomaml_fast._arrays import FloatArray, is_integer, is_sequence
from fomaml_fast._convert import INT64_MAX
from fomaml_fast._hints import SUSPICIOUS_LOSS, question_loss
from fomaml_fast._learners import (
    as_learners,
    batches_of,
    of_learner,
    one_by_one,
    one_or_each,
    steps_of,
)
from fomaml_fast._loader import core
from fomaml_fast._shown import shown
from fomaml_fast.algorithm import Algorithm, as_algorithm, as_network, uses_custom
from fomaml_fast.batch import ArrayLike, TaskBatch
from fomaml_fast.meta import OnDivergence, Reduction, checked_options, checked_options_of_learners
from fomaml_fast.network import MLP
from fomaml_fast.outer import Outer
from fomaml_fast.results import Metrics, SolverReport, State, common_or_each

#: An algorithm, or a schedule that maps the outer step (from 0) to one.
AlgorithmAt = Algorithm | Callable[[int], Algorithm]
#: The step of a state of many learners, as `_unpack_state` tells of it.
_OF_LEARNERS = -1


def init_state(
    net: MLP,
    algorithm: AlgorithmAt | Sequence[AlgorithmAt],
    outer: Outer,
    *,
    theta: ArrayLike | None = None,
    seed: int | np.random.Generator | Sequence[int | np.random.Generator] = 0,
    dtype: npt.DTypeLike = np.float32,
) -> State:
    """Start of training.

    Parameters
    ----------
    net : MLP
        The network.
    algorithm : Algorithm, or callable
        Decides what is learned beside theta. A schedule ``step -> Algorithm`` counts as that of
        its first step. Many learners may have one each.
    outer : outer.Outer
        Decides the moments.
    theta : array or None, default None
        Initial parameters ``[P]``, copied; None draws them by ``net.init(seed, dtype)``. Those of
        R learners are ``[R, P]``.
    seed, dtype
        Used where `theta` is None. A sequence of R seeds starts R learners.

    Returns
    -------
    State
        Of R learners its arrays have an axis R in front.

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
    >>> ff.init_state(ff.MLP([1, 8, 1]), ff.fomaml(), ff.outer.Adam(), seed=range(4))
    State(theta=[4, 25], rates=[4, 0], moments=[4, 2, 25], step=0)
    """
    as_network(net)
    thetas = _starts(net, theta, seed, dtype)
    if thetas is not None:
        algorithms = one_or_each(algorithm, len(thetas), "algorithm")
        states = [
            init_state(net, of_learner(algorithms, r), outer, theta=own)
            for r, own in enumerate(thetas)
        ]
        return State.stack(states)
    first = _algorithm_at(algorithm, 0, net)
    _check_outer(outer)
    core.check_outer(outer._core, outer.rate(0), net._core)
    one_seed: Any = seed
    start = net.init(one_seed, dtype) if theta is None else core.parameters(net._core, theta)
    rates = np.zeros(0, start.dtype)
    if first.learn_rates is not False:
        rates = core.first_rates(first._core, net._core, str(start.dtype))
    moments = np.zeros((outer._core.n_moments, net.n_params + rates.size), start.dtype)
    return State(start, rates, moments, np.zeros((), np.int64))


def _starts(net: MLP, theta: Any, seeds: Any, dtype: Any) -> FloatArray | None:
    """Parameters of every learner, ``[R, P]``; None of one that has no axis of them."""
    if theta is not None:
        thetas = as_learners(theta, "theta")
        if thetas is None:
            return None
        checked: FloatArray = core.parameters_of_tasks(net._core, thetas, True)
        return checked
    if not is_sequence(seeds):
        return None
    if len(seeds) == 0:
        raise ValueError("seed must hold one seed a learner, got none")
    return np.stack([net.init(seed, dtype) for seed in seeds])


def meta_step(
    net: MLP,
    state: State,
    batch: TaskBatch | Sequence[TaskBatch],
    algorithm: AlgorithmAt | Sequence[AlgorithmAt],
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
        Algorithm``, steps counted from 0. Many learners may have one each.
    state : State
        From `init_state` or the step before; it is not written. That of R learners steps them all
        in one call, each by the bits of a call of its own.
    outer : outer.Outer
        The outer optimiser that `state` was made for.

    Returns
    -------
    state : State
        The new state.
    metrics : Metrics
        Losses at the parameters before the step. Of R learners every field has an axis R in front.

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
    if step == _OF_LEARNERS:
        options = reduction, trace, on_divergence
        stepped = _step_learners(
            net,
            State(theta, rates, moments, state[3]),
            batch,
            algorithm,
            outer,
            options,
            threads,
            check_finite,
        )
        largest = max(np.asarray(stepped[1].loss).tolist())
        if largest > SUSPICIOUS_LOSS:
            question_loss(largest)
        return stepped
    tasks: Any = batch  # one TaskBatch: what else it might be, `checked_options` refuses
    chosen: Any = algorithm
    if type(algorithm) is not Algorithm:
        chosen = _algorithm_at(algorithm, step, net)
    mean, traces, drops = checked_options(net, tasks, chosen, reduction, trace, on_divergence)
    lr = outer.rate(step)
    if net._has_custom_loss or chosen._has_custom_loss:
        fields = theta, rates, moments, step
        how = mean, traces, drops, threads, check_finite
        return _step_custom(net, fields, tasks, chosen, outer, lr, how)
    # fmt: off
    (
        new_theta, new_rates, new_moments, loss, losses, support_losses,
        before, diverged, n_dropped, grad_norm, report,
    ) = core.meta_step(
        net._core, theta, rates, moments, step + 1, lr, outer._core,
        tasks._support, tasks._query, chosen._core,
        tasks._task_weights, mean, traces, drops, threads, check_finite,
    )
    # fmt: on
    if loss > SUSPICIOUS_LOSS:
        question_loss(loss)
    metrics = Metrics(
        loss,
        losses,
        support_losses,
        before,
        tasks._none_diverged if diverged is None else diverged,
        n_dropped,
        grad_norm,
        lr,
        SolverReport(*report) if report else None,
    )
    return State(new_theta, new_rates, new_moments, np.array(step + 1, np.int64)), metrics


def _step_custom(
    net: MLP,
    state: tuple[Any, Any, Any, int],
    batch: TaskBatch,
    algorithm: Algorithm,
    outer: Outer,
    lr: float | tuple[float, ...],
    how: tuple[bool, bool, bool, int | None, bool],
) -> tuple[State, Metrics]:
    """Step with losses that Python computes."""
    theta, rates, moments, step = state
    mean, trace, drops, threads, check_finite = how
    checked = core.check_meta(
        *(net._core, theta, batch._support, batch._query, algorithm._core),
        *(rates if algorithm.learn_rates is not False else None, check_finite, True),
    )
    found = _custom_meta.meta_grad(
        *(net, *checked, batch, algorithm),
        mean=mean,
        trace=trace,
        drops=drops,
        per_task=False,
        threads=threads,
    )
    new_theta, new_rates, new_moments, grad_norm = core.outer_step(
        *(net._core, theta, rates, moments, step + 1, lr, outer._core),
        *(algorithm._core, found.grad, found.rate_grad, len(batch)),
    )
    if found.loss > SUSPICIOUS_LOSS:
        question_loss(found.loss)
    losses = found.loss, found.losses, found.support_losses, found.losses_before
    metrics = Metrics(*losses, found.diverged, found.n_dropped, grad_norm, lr)
    return State(new_theta, new_rates, new_moments, np.array(step + 1, np.int64)), metrics


def _step_learners(
    net: MLP,
    state: State,
    batch: Any,
    algorithm: Any,
    outer: Outer,
    options: tuple[Any, Any, Any],
    threads: int | None,
    check_finite: bool,
) -> tuple[State, Metrics]:
    learners = len(state.theta)
    steps = steps_of(state.step, learners)
    batches = batches_of(batch, learners)
    given = one_or_each(algorithm, learners, "algorithm")
    algorithms = [
        own
        if type(own := of_learner(given, r)) is Algorithm
        else _algorithm_at(own, of_learner(steps, r), net)
        for r in range(max(len(given), len(steps)))
    ]
    mean, traces, drops = checked_options_of_learners(net, batches, algorithms, *options)
    lrs = [outer.rate(step) for step in steps]
    taken = [step + 1 for step in steps]
    after = np.array(taken if np.ndim(state.step) else taken[0], np.int64)
    if any(uses_custom(net, one) for one in algorithms):
        how = mean, traces, drops, threads, check_finite

        def one(r: int) -> _Stepped:
            fields = (*state.learner(r)[:3], of_learner(steps, r))
            own = of_learner(batches, r), of_learner(algorithms, r)
            return _Stepped(*_step_custom(net, fields, *own, outer, of_learner(lrs, r), how))

        (theta, rates, moments, _), metrics = one_by_one(learners, one)
        metrics = metrics._replace(lr=common_or_each(lrs))
        return State(theta, rates, moments, after), metrics
    # fmt: off
    theta, rates, moments, norms, told, report = core.meta_step_of_learners(
        net._core, state.theta, state.rates, state.moments, taken,
        lrs, outer._core, [b._support for b in batches], [b._query for b in batches],
        [a._core for a in algorithms], [b._task_weights for b in batches],
        mean, traces, drops, threads, check_finite,
    )
    # fmt: on
    solver = SolverReport(*report) if report else None
    metrics = Metrics._make((*told, norms, common_or_each(lrs), solver))
    return State(theta, rates, moments, after), metrics


class _Stepped(NamedTuple):
    """What a step of one learner returns."""

    state: State
    metrics: Metrics


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
    if type(theta) is not ndarray or theta.ndim != 1:
        thetas = as_learners(theta, "state.theta")
        if thetas is not None:
            return thetas, rates, moments, _OF_LEARNERS
    if type(step) is np.ndarray and step.ndim == 0:
        step = step.item()
    if type(step) is not int and not is_integer(step):
        raise TypeError(
            f"state.step must be an integer for one learner, which state.theta is of, got "
            f"{shown(step)}"
        )
    if not 0 <= step < INT64_MAX:  # and there is room for one more
        raise ValueError(f"state.step must be from 0 to 2**63 - 2, got {shown(int(step))}")
    return theta, rates, moments, int(step)
