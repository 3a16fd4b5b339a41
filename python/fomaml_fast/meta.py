"""Meta-gradients: of the query loss after adaptation, over the initialisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from numpy import amax, ndarray

from fomaml_fast import _custom_meta
from fomaml_fast._arrays import as_flag, is_one_of, one_of
from fomaml_fast._hints import SUSPICIOUS_LOSS, question_loss
from fomaml_fast._learners import (
    as_learners,
    as_rates,
    batches_of,
    of_learner,
    one_by_one,
    one_or_each,
)
from fomaml_fast._loader import core
from fomaml_fast.algorithm import Algorithm, as_algorithm, as_network, uses_custom
from fomaml_fast.batch import ArrayLike, TaskBatch
from fomaml_fast.network import MLP
from fomaml_fast.results import MetaGrad, SolverReport

Reduction = Literal["mean", "sum"]
REDUCTIONS: tuple[Reduction, ...] = ("mean", "sum")
OnDivergence = Literal["raise", "drop"]
_MEAN, _RAISE = "mean", "raise"
ON_DIVERGENCE: tuple[OnDivergence, ...] = ("raise", "drop")


def meta_grad(
    net: MLP,
    theta: ArrayLike,
    batch: TaskBatch | Sequence[TaskBatch],
    algorithm: Algorithm | Sequence[Algorithm],
    *,
    rates: ArrayLike | None = None,
    reduction: Reduction = "mean",
    per_task: bool = False,
    trace: bool = False,
    threads: int | None = None,
    check_finite: bool = True,
    on_divergence: OnDivergence = "raise",
) -> MetaGrad:
    """Gradient of the query loss after adaptation over the initialisation.

    Parameters
    ----------
    net : MLP
        The network.
    theta : array
        Initialisation ``[P]``; or those of R learners ``[R, P]``, each of which gets the bits of a
        call of its own.
    batch : TaskBatch
        The tasks; or a sequence of R batches of as many tasks, one a learner.
    algorithm : Algorithm
        How a task adapts, and how the gradient flows back; or one a learner.
    rates : array or None, default None
        Inner rates, such as learned ones, in the shapes of ``inner.lr`` and theta's dtype; None
        takes the algorithm's, as do the empty rates of a `State` that learns none. Those of
        learners have an axis R in front.
    reduction : {"mean", "sum"}, default "mean"
        Over tasks.
    per_task : bool, default False
        Also return each task's gradient.
    trace : bool, default False
        Also return query losses before adaptation, which cost a forward pass.
    threads : int or None, default None
        None takes FOMAML_FAST_NUM_THREADS, OMP_NUM_THREADS or all processors. Results are the same
        bits for any number.
    check_finite : bool, default True
        Raise if theta holds NaN or infinity (the batch checked its data when it was made).
    on_divergence : {"raise", "drop"}, default "raise"
        What to do with tasks that met a loss, parameters or a gradient that is not finite.

    Returns
    -------
    MetaGrad
        Of R learners every field has an axis R in front.

    Raises
    ------
    DivergenceError
        With the task numbers and the first step; also with "drop" if no task is left. Of many
        learners with the learners too.
    ValueError, TypeError
        For any argument that does not fit, naming it.

    Examples
    --------
    A network of one weight, f = (w - c)^2 on a row x = 1 with the bias fixed by the data:

    >>> import numpy as np
    >>> import fomaml_fast as ff
    >>> net = ff.MLP([1, 1])
    >>> one = np.ones((1, 1, 1))
    >>> batch = ff.TaskBatch(one, 0 * one, one, 0 * one)
    >>> ff.meta_grad(net, np.array([1.0, 0.0]), batch, ff.maml(lr=0.125)).grad
    array([0.5, 0.5])
    """
    thetas = None
    if type(theta) is not ndarray or theta.ndim != 1:
        thetas = as_learners(theta, "theta")
    if thetas is not None:
        found = _of_learners(
            *(net, thetas, batch, algorithm, rates, reduction, per_task, trace, threads),
            *(check_finite, on_divergence),
        )
        largest = float(amax(found.loss))
        if largest > SUSPICIOUS_LOSS:
            question_loss(largest)
        return found
    tasks: Any = batch  # one of each: what else they might be, `checked_options` refuses
    how: Any = algorithm
    mean, traces, drops = checked_options(net, tasks, how, reduction, trace, on_divergence)
    if per_task is not True and per_task is not False:
        per_task = as_flag(per_task, "per_task")
    if net._has_custom_loss or how._has_custom_loss:
        checked = core.check_meta(
            net._core, theta, tasks._support, tasks._query, how._core, rates, check_finite
        )
        return _custom_meta.meta_grad(
            net,
            *checked,
            tasks,
            how,
            mean=mean,
            per_task=per_task,
            trace=traces,
            drops=drops,
            threads=threads,
        )
    # fmt: off
    (
        grad, loss, losses, support_losses, task_grads,
        before, diverged, n_dropped, rate_grad, report,
    ) = core.meta_grad(
        net._core, theta, tasks._support, tasks._query, how._core, rates,
        tasks._task_weights, mean, per_task, traces, drops, threads, check_finite,
    )
    # fmt: on
    if loss > SUSPICIOUS_LOSS:
        question_loss(loss)
    # Its own constructor, a Python function, takes twice as long.
    return tuple.__new__(
        MetaGrad,
        (
            grad,
            loss,
            losses,
            support_losses,
            task_grads,
            before,
            tasks._none_diverged if diverged is None else diverged,
            n_dropped,
            rate_grad,
            SolverReport(*report) if report else None,
        ),
    )


def _of_learners(
    net: MLP,
    theta: Any,
    batch: Any,
    algorithm: Any,
    rates: Any,
    reduction: Reduction,
    per_task: bool,
    trace: bool,
    threads: int | None,
    check_finite: bool,
    on_divergence: OnDivergence,
) -> MetaGrad:
    learners = len(theta)
    batches = batches_of(batch, learners)
    algorithms = one_or_each(algorithm, learners, "algorithm")
    mean, traces, drops = checked_options_of_learners(
        net, batches, algorithms, reduction, trace, on_divergence
    )
    per_task = as_flag(per_task, "per_task")
    if any(uses_custom(net, one) for one in algorithms):
        own = as_rates(rates, learners)
        return one_by_one(
            learners,
            lambda r: meta_grad(
                *(net, theta[r], of_learner(batches, r), of_learner(algorithms, r)),
                rates=None if own is None else own[r],
                reduction=reduction,
                per_task=per_task,
                trace=traces,
                threads=threads,
                check_finite=check_finite,
                on_divergence=on_divergence,
            ),
        )
    # fmt: off
    grad, rate_grad, task_grads, told, report = core.meta_grad_of_learners(
        net._core, theta, [b._support for b in batches], [b._query for b in batches],
        [a._core for a in algorithms], rates, [b._task_weights for b in batches],
        mean, per_task, traces, drops, threads, check_finite,
    )
    # fmt: on
    loss, losses, support_losses, before, diverged, n_dropped = told
    solver = SolverReport(*report) if report else None
    return MetaGrad(
        *(grad, loss, losses, support_losses, task_grads, before, diverged, n_dropped),
        *(rate_grad, solver),
    )


def checked_options_of_learners(
    net: Any, batches: list[Any], algorithms: list[Any], reduction: Any, trace: Any, on: Any
) -> tuple[bool, bool, bool]:
    """The same as `checked_options`, of all learners' batches and algorithms."""
    for one in algorithms[1:]:
        as_algorithm(one)
    for one in batches[1:]:
        checked_options(net, one, algorithms[0], reduction, trace, on)
    return checked_options(net, batches[0], algorithms[0], reduction, trace, on)


def checked_options(
    net: Any, batch: Any, algorithm: Any, reduction: Any, trace: Any, on_divergence: Any
) -> tuple[bool, bool, bool]:
    """Check what is no array; return whether the mean is taken, `trace`, and whether tasks drop."""
    if (  # what nearly everybody passes: small calls feel every further look
        type(net) is MLP
        and type(batch) is TaskBatch
        and type(algorithm) is Algorithm
        and reduction is _MEAN
        and trace is False
        and on_divergence is _RAISE
    ):
        return True, False, False
    if type(net) is not MLP:
        as_network(net)
    if type(batch) is not TaskBatch:
        raise TypeError(f"batch must be a TaskBatch, got {type(batch).__name__}")
    if type(algorithm) is not Algorithm:
        as_algorithm(algorithm)
    if not is_one_of(reduction, REDUCTIONS) or not is_one_of(on_divergence, ON_DIVERGENCE):
        one_of(reduction, "reduction", REDUCTIONS)
        one_of(on_divergence, "on_divergence", ON_DIVERGENCE)
    if trace is not True and trace is not False:
        trace = as_flag(trace, "trace")
    return reduction == "mean", trace, on_divergence == "drop"
