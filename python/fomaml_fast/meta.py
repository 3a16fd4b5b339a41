"""The outer loop: meta-gradients, and the step that follows them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray, as_parameters, as_threads, one_of
from fomaml_fast._loader import core
from fomaml_fast.adaptation import check_algorithm, check_meta_arguments, diagnose
from fomaml_fast.algorithm import Algorithm
from fomaml_fast.batch import TaskBatch
from fomaml_fast.errors import DivergenceError
from fomaml_fast.network import MLP
from fomaml_fast.outer import Outer

_REDUCTIONS = ("mean", "sum")
_ON_DIVERGENCE = ("raise", "drop")


class MetaGrad(NamedTuple):
    """A meta-gradient and the losses met on the way."""

    grad: FloatArray  #: ``[P]``: mean or sum over the tasks kept
    loss: float  #: query loss after adaptation, reduced likewise
    losses: FloatArray  #: query loss after adaptation of every task, ``[T]``
    #: support loss at theta, ``[T]`` (the first inner forward); None without inner steps
    support_losses: FloatArray | None
    task_grads: FloatArray | None  #: ``[T, P]`` with ``per_task=True``, unreduced
    losses_before: FloatArray | None  #: query loss before adaptation, ``[T]``, with ``trace=True``
    diverged: npt.NDArray[np.bool_]  #: ``[T]``: tasks left out
    n_dropped: int  #: how many they are


class Metrics(NamedTuple):
    """What one meta-step saw, at the parameters before the step; arrays as in `MetaGrad`."""

    loss: float
    losses: FloatArray
    support_losses: FloatArray | None
    losses_before: FloatArray | None
    diverged: npt.NDArray[np.bool_]
    n_dropped: int
    grad_norm: float  #: norm of the meta-gradient before clipping
    lr: float  #: outer learning rate of the step


class State(NamedTuple):
    """Everything that training carries from step to step: plain arrays.

    It pickles, and ``numpy.savez(file, **state._asdict())`` saves it.
    """

    theta: FloatArray  #: the initialisation ``[P]``
    rates: FloatArray  #: learned inner rates; empty where none are learned
    moments: FloatArray  #: of the outer optimiser, ``[m, P]``
    step: Any  #: outer steps taken, an integer scalar array


def init_state(
    net: MLP,
    algorithm: Algorithm,
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
    algorithm : Algorithm
        Decides what is learned beside theta.
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
    check_algorithm(algorithm)
    _check_outer(outer)
    if theta is None:
        start = net.init(seed, dtype)
    else:
        start = as_parameters(theta, net.n_params).copy()
        if start.ndim != 1:
            raise ValueError(f"theta must have shape [{net.n_params}], got {list(start.shape)}")
    moments = np.zeros((outer._core.n_moments, net.n_params), start.dtype)
    return State(start, np.zeros(0, start.dtype), moments, np.zeros((), np.int64))


def meta_grad(
    net: MLP,
    theta: Any,
    batch: TaskBatch,
    algorithm: Algorithm,
    *,
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
    if reduction not in _REDUCTIONS or on_divergence not in _ON_DIVERGENCE:
        one_of(reduction, "reduction", _REDUCTIONS)
        one_of(on_divergence, "on_divergence", _ON_DIVERGENCE)
    workers = 0 if threads is None else as_threads(threads)
    mean, per_task, scan = reduction == "mean", bool(per_task), bool(check_finite)
    try:
        support, query = batch._bound
        result = core.meta_grad(
            net._core, theta, support, query, algorithm._core, mean, per_task, workers, scan
        )
    except AttributeError:
        result = None
    if result is None:  # something needs converting, or is wrong: check all, and say what
        check_algorithm(algorithm)
        theta = check_meta_arguments(net, theta, batch, check_finite)
        support, query = batch._bound
        result = core.meta_grad(
            net._core, theta, support, query, algorithm._core, mean, per_task, workers, False
        )
        assert result is not None
    any_diverged, loss, grad, losses, support_losses, task_grads, diverged = result
    before = core.loss(net._core, theta, query, workers) if trace else None
    n_dropped = 0
    if any_diverged:
        assert diverged is not None
        kept = _kept_tasks(net, theta, batch, algorithm, diverged, on_divergence)
        rest = meta_grad(
            net, theta, kept, algorithm, reduction=reduction, threads=threads, check_finite=False
        )
        grad, loss = rest.grad, rest.loss
        n_dropped = int(diverged.sum())
    else:
        diverged = batch._none_diverged
    return MetaGrad(grad, loss, losses, support_losses, task_grads, before, diverged, n_dropped)


def meta_step(
    net: MLP,
    state: State,
    batch: TaskBatch,
    algorithm: Algorithm,
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
    net, batch, algorithm, reduction, trace, threads, check_finite, on_divergence
        As in `meta_grad`.
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
    if reduction not in _REDUCTIONS or on_divergence not in _ON_DIVERGENCE:
        one_of(reduction, "reduction", _REDUCTIONS)
        one_of(on_divergence, "on_divergence", _ON_DIVERGENCE)
    _check_outer(outer)
    theta, rates, moments, step = _unpack_state(state)
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
            algorithm._core,
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
        check_algorithm(algorithm)
        theta = check_meta_arguments(net, theta, batch, check_finite, name="state.theta")
        moments = _check_moments(net, theta, moments, outer)
        support, query = batch._bound
        result = core.meta_step(
            net._core,
            theta,
            support,
            query,
            algorithm._core,
            mean,
            workers,
            False,
            outer._core,
            lr,
            step + 1,
            moments,
        )
        assert result is not None
    any_diverged, loss, stepped, losses, support_losses, diverged = result
    before = core.loss(net._core, theta, query, workers) if trace else None
    n_dropped = 0
    if any_diverged:
        assert diverged is not None
        kept = _kept_tasks(net, theta, batch, algorithm, diverged, on_divergence)
        rest = meta_grad(
            net, theta, kept, algorithm, reduction=reduction, threads=threads, check_finite=False
        )
        loss, n_dropped = rest.loss, int(diverged.sum())
        stepped = core.outer_step(outer._core, lr, step + 1, theta, rest.grad, moments)
    else:
        diverged = batch._none_diverged
    assert stepped is not None  # the core steps unless a task diverged
    new_theta, new_moments, grad_norm = stepped
    if not math.isfinite(grad_norm):
        raise DivergenceError([], algorithm.steps, len(batch))
    new_state = State(new_theta, rates, new_moments, np.array(step + 1, np.int64))
    metrics = Metrics(loss, losses, support_losses, before, diverged, n_dropped, grad_norm, lr)
    return new_state, metrics


def _kept_tasks(
    net: MLP,
    theta: FloatArray,
    batch: TaskBatch,
    algorithm: Algorithm,
    diverged: npt.NDArray[np.bool_],
    on_divergence: str,
) -> TaskBatch:
    """Return the batch without the tasks that diverged, or raise."""
    if on_divergence == "raise" or diverged.all():
        bad = np.flatnonzero(diverged)
        first, _ = diagnose(net, theta, batch._support, algorithm, algorithm.steps, bad)
        raise DivergenceError(bad, int(first.min()), len(batch))
    return batch.take(~diverged)


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


def _check_moments(net: MLP, theta: FloatArray, moments: Any, outer: Outer) -> FloatArray:
    expected = (outer._core.n_moments, net.n_params)
    array: FloatArray = np.ascontiguousarray(moments)
    if array.shape != expected or array.dtype != theta.dtype:
        raise ValueError(
            f"state.moments must be {theta.dtype} of shape {list(expected)} for this outer "
            f"optimiser, got {array.dtype} {list(array.shape)}"
        )
    return array
