"""Meta-gradients: of the query loss after adaptation, over the initialisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast import _custom_meta
from fomaml_fast._arrays import FloatArray, as_threads, one_of
from fomaml_fast._checks import check_algorithm, check_meta_arguments, check_rates
from fomaml_fast._loader import core
from fomaml_fast.adaptation import diagnose, traces
from fomaml_fast.algorithm import Algorithm
from fomaml_fast.batch import TaskBatch
from fomaml_fast.errors import DivergenceError
from fomaml_fast.network import MLP
from fomaml_fast.results import MetaGrad, SolverReport

REDUCTIONS = ("mean", "sum")
ON_DIVERGENCE = ("raise", "drop")


def meta_grad(
    net: MLP,
    theta: Any,
    batch: TaskBatch,
    algorithm: Algorithm,
    *,
    rates: Any = None,
    reduction: str = "mean",
    per_task: bool = False,
    trace: bool = False,
    threads: int | None = None,
    check_finite: bool = True,
    on_divergence: str = "raise",
) -> MetaGrad:
    """Gradient of the query loss after adaptation over the initialisation.

    Parameters
    ----------
    net : MLP
        The network.
    theta : array
        Initialisation ``[P]``.
    batch : TaskBatch
        The tasks.
    algorithm : Algorithm
        How a task adapts, and how the gradient flows back.
    rates : array or None, default None
        Inner rates, such as learned ones, in the shapes of ``inner.lr`` and theta's dtype; None
        takes the algorithm's, as do the empty rates of a `State` that learns none.
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

    Raises
    ------
    DivergenceError
        With the task numbers and the first step; also with "drop" if no task is left.
    ValueError, TypeError
        For any argument that does not fit, naming it.

    Examples
    --------
    A network of one weight, f = (w - c)^2 on a row x = 1 with the bias fixed by the data:

    >>> import fomaml_fast as ff
    >>> net = ff.MLP([1, 1])
    >>> one = np.ones((1, 1, 1))
    >>> batch = ff.TaskBatch(one, 0 * one, one, 0 * one)
    >>> ff.meta_grad(net, np.array([1.0, 0.0]), batch, ff.maml(lr=0.125)).grad
    array([0.5, 0.5])
    """
    if reduction not in REDUCTIONS or on_divergence not in ON_DIVERGENCE:
        one_of(reduction, "reduction", REDUCTIONS)
        one_of(on_divergence, "on_divergence", ON_DIVERGENCE)
    workers = 0 if threads is None else as_threads(threads)
    mean, per_task, scan = reduction == "mean", bool(per_task), bool(check_finite)
    try:
        support, query = batch._bound
        own = rates
        if rates is None and algorithm.learn_rates is not False:
            own = algorithm.initial_rates(net, theta.dtype)
        result = core.meta_grad(
            net._core,
            theta,
            support,
            query,
            algorithm._core,
            own,
            batch._task_weights,
            mean,
            per_task,
            workers,
            scan,
        )
    except AttributeError:
        result = None
    if result is None:  # something needs converting, or is wrong: check all, and say what
        check_algorithm(algorithm, net)
        theta = check_meta_arguments(net, theta, batch, algorithm, check_finite)
        own = check_rates(algorithm, net, rates, theta.dtype)
        if _custom_meta.uses_custom(net, algorithm):
            return _custom_meta.meta_grad(
                net,
                theta,
                batch,
                algorithm,
                own,
                mean=mean,
                per_task=per_task,
                trace=trace,
                workers=workers,
                on_divergence=on_divergence,
            )
        support, query = batch._bound
        result = core.meta_grad(
            net._core,
            theta,
            support,
            query,
            algorithm._core,
            own,
            batch._task_weights,
            mean,
            per_task,
            workers,
            False,
        )
        assert result is not None
    (
        any_diverged,
        loss,
        grad,
        losses,
        support_losses,
        task_grads,
        diverged,
        rate_grad,
        report,
        finite,
    ) = result
    before = losses_before(net, theta, batch, algorithm, own, workers) if trace else None
    n_dropped = 0
    if any_diverged:
        assert diverged is not None
        kept = kept_tasks(net, theta, batch, algorithm, own, diverged, on_divergence)
        rest = meta_grad(
            net,
            theta,
            kept,
            algorithm,
            rates=own,
            reduction=reduction,
            threads=threads,
            check_finite=False,
        )
        grad, loss, rate_grad = rest.grad, rest.loss, rest.rate_grad
        n_dropped = int(diverged.sum())
    else:
        diverged = batch._none_diverged
        if not finite:
            raise DivergenceError([], algorithm.steps, len(batch))
    solver = SolverReport(*report) if report else None
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
            diverged,
            n_dropped,
            rate_grad,
            solver,
        ),
    )


def losses_before(
    net: MLP,
    theta: FloatArray,
    batch: TaskBatch,
    algorithm: Algorithm,
    rates: FloatArray | None,
    workers: int,
) -> FloatArray:
    """Query losses at theta, with whatever the algorithm changes about them."""
    support, query = batch._bound
    if algorithm.context == 0 and algorithm.query_loss is None:
        return core.loss(net._core, theta, query, workers)
    _, _, losses, _ = core.trace(
        net._core, theta, support, query, algorithm._core, rates, 0, False, workers
    )
    before: FloatArray = losses[:, 0]
    return before


def kept_tasks(
    net: MLP,
    theta: FloatArray,
    batch: TaskBatch,
    algorithm: Algorithm,
    rates: FloatArray | None,
    diverged: npt.NDArray[np.bool_],
    on_divergence: str,
) -> TaskBatch:
    """Return the batch without the tasks that diverged, or raise."""
    if on_divergence == "raise" or diverged.all():
        bad = np.flatnonzero(diverged)
        first, _ = diagnose(
            traces(net, theta, batch._support, algorithm, rates, algorithm.steps, bad)
        )
        raise DivergenceError(bad, int(first.min()), len(batch))
    return batch.take(~diverged)
