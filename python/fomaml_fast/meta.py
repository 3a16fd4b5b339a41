"""The outer loop: meta-gradients, and the step that follows them."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False, slots=True)
class MetaGrad:
    """A meta-gradient and the losses met on the way.

    Attributes
    ----------
    grad : numpy.ndarray
        ``[P]``: mean or sum over the tasks kept.
    loss : float
        Query loss after adaptation, reduced likewise.
    losses : numpy.ndarray
        Query loss after adaptation of every task, ``[T]``.
    support_losses : numpy.ndarray or None
        Support loss at theta, ``[T]`` (the first inner forward); None without inner steps.
    task_grads : numpy.ndarray or None
        ``[T, P]`` with ``per_task=True``, unreduced.
    losses_before : numpy.ndarray or None
        Query loss before adaptation, ``[T]``, with ``trace=True``.
    diverged : numpy.ndarray
        ``[T]`` of bool: tasks left out.
    n_dropped : int
        How many they are.
    """

    grad: FloatArray
    loss: float
    losses: FloatArray
    support_losses: FloatArray | None
    task_grads: FloatArray | None
    losses_before: FloatArray | None
    diverged: npt.NDArray[np.bool_]
    n_dropped: int


@dataclass(frozen=True, eq=False, slots=True)
class Metrics:
    """What one meta-step saw; arrays as in `MetaGrad`.

    Attributes
    ----------
    loss, losses, support_losses, losses_before, diverged, n_dropped
        As in `MetaGrad`, at the parameters before the step.
    grad_norm : float
        Norm of the meta-gradient before clipping.
    lr : float
        Outer learning rate of the step.
    """

    loss: float
    losses: FloatArray
    support_losses: FloatArray | None
    losses_before: FloatArray | None
    diverged: npt.NDArray[np.bool_]
    n_dropped: int
    grad_norm: float
    lr: float


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
    check_algorithm(algorithm)
    one_of(reduction, "reduction", ("mean", "sum"))
    one_of(on_divergence, "on_divergence", ("raise", "drop"))
    flat = check_meta_arguments(net, theta, batch, check_finite)
    workers = as_threads(threads)
    any_diverged, loss, grad, losses, support_losses, task_grads, diverged = core.meta_grad(
        net._core,
        flat,
        batch._support.bound,
        batch._query.bound,
        algorithm._core,
        reduction == "mean",
        per_task,
        workers,
    )
    before = core.loss(net._core, flat, batch._query.bound, workers) if trace else None
    n_dropped = 0
    if any_diverged:
        kept = _kept_tasks(net, flat, batch, algorithm, diverged, on_divergence)
        rest = meta_grad(
            net, flat, kept, algorithm, reduction=reduction, threads=threads, check_finite=False
        )
        grad, loss = rest.grad, rest.loss
        n_dropped = int(diverged.sum())
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
    check_algorithm(algorithm)
    _check_outer(outer)
    one_of(reduction, "reduction", ("mean", "sum"))
    one_of(on_divergence, "on_divergence", ("raise", "drop"))
    theta, moments, step = _check_state(net, state, batch, outer, check_finite)
    lr = outer.rate(step)
    workers = as_threads(threads)
    any_diverged, loss, stepped, losses, support_losses, diverged = core.meta_step(
        net._core,
        theta,
        batch._support.bound,
        batch._query.bound,
        algorithm._core,
        reduction == "mean",
        workers,
        outer._core,
        lr,
        step + 1,
        moments,
    )
    before = core.loss(net._core, theta, batch._query.bound, workers) if trace else None
    n_dropped = 0
    if any_diverged:
        kept = _kept_tasks(net, theta, batch, algorithm, diverged, on_divergence)
        rest = meta_grad(
            net, theta, kept, algorithm, reduction=reduction, threads=threads, check_finite=False
        )
        loss, n_dropped = rest.loss, int(diverged.sum())
        stepped = core.outer_step(outer._core, lr, step + 1, theta, rest.grad, moments)
    assert stepped is not None  # the core steps unless a task diverged
    new_theta, new_moments, grad_norm = stepped
    if not np.isfinite(grad_norm):
        raise DivergenceError([], algorithm.steps, len(batch))
    new_state = State(new_theta, state.rates, new_moments, np.array(step + 1, np.int64))
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


def _check_state(
    net: MLP, state: Any, batch: TaskBatch, outer: Outer, check_finite: bool
) -> tuple[FloatArray, FloatArray, int]:
    try:
        theta, _, moments, step = state
    except (TypeError, ValueError):
        raise TypeError(
            f"state must be a State, such as init_state gives, got {type(state).__name__}"
        ) from None
    flat = check_meta_arguments(net, theta, batch, check_finite, name="state.theta")
    expected = (outer._core.n_moments, net.n_params)
    array = np.ascontiguousarray(moments)
    if array.shape != expected or array.dtype != flat.dtype:
        raise ValueError(
            f"state.moments must be {flat.dtype} of shape {list(expected)} for this outer "
            f"optimiser, got {array.dtype} {list(array.shape)}"
        )
    count = int(step)
    if count < 0:
        raise ValueError(f"state.step must be at least 0, got {count}")
    return flat, array, count
