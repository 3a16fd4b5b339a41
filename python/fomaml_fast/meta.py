"""Meta-gradients: of the query loss after adaptation, over the initialisation."""

from __future__ import annotations

from typing import Any, Literal

from fomaml_fast import _custom_meta
from fomaml_fast._arrays import as_flag, is_one_of, one_of
from fomaml_fast._hints import SUSPICIOUS_LOSS, question_loss
from fomaml_fast._loader import core
from fomaml_fast.algorithm import Algorithm, as_algorithm, as_network
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
    batch: TaskBatch,
    algorithm: Algorithm,
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

    >>> import numpy as np
    >>> import fomaml_fast as ff
    >>> net = ff.MLP([1, 1])
    >>> one = np.ones((1, 1, 1))
    >>> batch = ff.TaskBatch(one, 0 * one, one, 0 * one)
    >>> ff.meta_grad(net, np.array([1.0, 0.0]), batch, ff.maml(lr=0.125)).grad
    array([0.5, 0.5])
    """
    mean, traces, drops = checked_options(net, batch, algorithm, reduction, trace, on_divergence)
    if per_task is not True and per_task is not False:
        per_task = as_flag(per_task, "per_task")
    if net._has_custom_loss or algorithm._has_custom_loss:
        checked = core.check_meta(
            net._core, theta, batch._support, batch._query, algorithm._core, rates, check_finite
        )
        return _custom_meta.meta_grad(
            net,
            *checked,
            batch,
            algorithm,
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
        net._core, theta, batch._support, batch._query, algorithm._core, rates,
        batch._task_weights, mean, per_task, traces, drops, threads, check_finite,
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
            batch._none_diverged if diverged is None else diverged,
            n_dropped,
            rate_grad,
            SolverReport(*report) if report else None,
        ),
    )


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
