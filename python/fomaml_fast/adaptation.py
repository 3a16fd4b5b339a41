"""The inner loop for its own sake: adapt to new tasks, and measure how well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast import _custom_meta
from fomaml_fast._arrays import FloatArray, as_count, as_threads, one_of
from fomaml_fast._checks import check_algorithm, check_meta_arguments, check_rates
from fomaml_fast._loader import core
from fomaml_fast._request import Request
from fomaml_fast._rows import RowArrays
from fomaml_fast.algorithm import Algorithm
from fomaml_fast.batch import TaskBatch
from fomaml_fast.errors import DivergenceError
from fomaml_fast.network import MLP

#: Normal quantile of a two-sided 95% interval.
Z95 = 1.959963984540054


class Adaptation(NamedTuple):
    """The way of the inner loop, as `adapt` returns it with ``trace=True``."""

    thetas: FloatArray  #: ``[S + 1, P]`` or ``[T, S + 1, P]``: the initialisation, then each step
    losses: FloatArray  #: ``[S + 1]`` or ``[T, S + 1]``: support loss at each
    diverged: Any  #: bool, or ``[T]``


def not_finite(thetas: FloatArray) -> npt.NDArray[np.bool_]:
    """Where parameters ``[..., P]`` hold anything that is not finite."""
    found: npt.NDArray[np.bool_] = np.any(~np.isfinite(thetas), axis=-1)
    return found


def first_bad_step(thetas: FloatArray, losses: FloatArray) -> npt.NDArray[np.int64]:
    """First step of each task at which a support loss or parameters were not finite (S if none)."""
    bad = not_finite(thetas)
    bad[:, :-1] |= ~np.isfinite(losses[:, :-1])
    first: npt.NDArray[np.int64] = np.where(
        np.any(bad, axis=1), np.argmax(bad, axis=1), bad.shape[1] - 1
    )
    return first


def traces(
    net: MLP,
    theta: FloatArray,
    rows: RowArrays,
    algorithm: Algorithm,
    rates: FloatArray | None,
    steps: int,
    tasks: npt.NDArray[np.int64],
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Rerun `tasks`: parameters ``[., S + 1, P]`` and support losses, few of them at a time."""
    for start in range(0, len(tasks), 32):  # a trace holds every step's parameters
        some = tasks[start : start + 32]
        own = theta if theta.ndim == 1 else np.ascontiguousarray(theta[some])
        few = rows if rows.n_tasks == 1 and theta.ndim == 2 else rows.take(some)
        bound = few.bound if few.n_tasks == len(some) else few.shared(len(some))
        thetas, losses, _, _ = core.trace(
            net._core, own, bound, None, algorithm._core, rates, steps, True, 0
        )
        yield thetas, losses


def diagnose(
    ways: Iterable[tuple[FloatArray, FloatArray]],
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """First bad step of every task of some `traces`, and its last finite parameters."""
    found = [(first_bad_step(*way), _last_finite(way[0])) for way in ways]
    first_steps, last_thetas = zip(*found, strict=True)
    return np.concatenate(first_steps), np.concatenate(last_thetas)


def _last_finite(thetas: FloatArray) -> FloatArray:
    """Of every task's way ``[T, S + 1, P]``, the last parameters that are finite."""
    finite = ~not_finite(thetas)
    last = finite.shape[1] - 1 - np.argmax(finite[:, ::-1], axis=1)
    found: FloatArray = thetas[np.arange(len(thetas)), last]
    return found


def adapt(
    net: MLP,
    theta: Any,
    x: Any,
    y: Any,
    algorithm: Algorithm,
    *,
    steps: int | None = None,
    rates: Any = None,
    weights: Any = None,
    mask: Any = None,
    class_mask: Any = None,
    trace: bool = False,
    threads: int | None = None,
    check_finite: bool = True,
    on_divergence: str = "raise",
) -> Any:
    """Adapt to one or many tasks by the algorithm's inner loop; theta itself is never written.

    Parameters
    ----------
    net : MLP
        The network.
    theta : array
        Initialisation ``[P]``, or one for each task ``[T, P]``.
    x, y : array
        Support set ``[K, n_0]`` and ``[K, n_L]`` (or labels ``[K]``); or of many tasks, with a
        leading axis T or as lists.
    algorithm : Algorithm
        Its inner optimiser and steps are used.
    steps : int or None, default None
        Inner steps; None takes the algorithm's.
    rates : array or None, default None
        Inner rates, such as learned ones, in the shapes of ``inner.lr`` and theta's dtype; None
        takes the algorithm's, as do the empty rates of a `State` that learns none. Steps beyond
        those of rates per step repeat the last.
    weights, mask, class_mask : array or None, default None
        As in `MLP.loss`, of the support set.
    trace : bool, default False
        Also return every step on the way, and its support loss.
    threads : int or None, default None
        None takes FOMAML_FAST_NUM_THREADS, OMP_NUM_THREADS or all processors.
    check_finite : bool, default True
        Raise if theta or data hold NaN or infinity.
    on_divergence : {"raise", "mask"}, default "raise"
        What to do where a support loss or adapted parameters are not finite. "mask" returns the
        pair ``(thetas, diverged)``, with the last finite parameters of tasks that diverged.

    Returns
    -------
    numpy.ndarray, or (numpy.ndarray, diverged), or Adaptation
        Adapted parameters ``[P]`` or ``[T, P]``; with context parameters these alone, ``[k]`` or
        ``[T, k]``.

    Raises
    ------
    DivergenceError
        With the task numbers and the first step.
    ValueError, TypeError
        For any argument that does not fit, naming it.

    Examples
    --------
    >>> import fomaml_fast as ff
    >>> net = ff.MLP([1, 1])
    >>> ff.adapt(net, np.array([0.0, 0.0]), [[1.0]], [[1.0]], ff.fomaml(lr=0.25))
    array([0.5, 0.5])
    """
    plain = weights is None and mask is None and class_mask is None and rates is None
    if plain and not trace and steps is None and on_divergence == "raise":
        try:  # plain arrays: a single call of the core
            adapted = core.adapt_plain(
                net._core, theta, x, y, algorithm._core, threads, bool(check_finite)
            )
        except AttributeError:
            adapted = None
        if adapted is not None:
            return adapted
    check_algorithm(algorithm, net)
    one_of(on_divergence, "on_divergence", ("raise", "mask"))
    count = algorithm.steps if steps is None else as_count(steps, "steps")
    extras = (weights, mask, class_mask)
    request = Request(net, theta, x, y, check_finite, context=algorithm.context, extras=extras)
    own_rates = check_rates(algorithm, net, rates, request.theta.dtype)
    workers = as_threads(threads)
    tasks = request.tasks
    custom = _custom_meta.uses_custom(net, algorithm)
    if trace or custom:
        if custom:
            thetas, losses, _, diverged = _custom_meta.trace(
                net,
                request.theta,
                (request.rows, request.bound),
                None,
                algorithm,
                own_rates,
                count,
                workers,
            )
        else:
            thetas, losses, _, diverged = core.trace(
                net._core,
                request.theta,
                request.bound,
                None,
                algorithm._core,
                own_rates,
                count,
                True,
                workers,
            )
        if on_divergence == "raise" and diverged.any():
            bad = np.flatnonzero(diverged)
            raise DivergenceError(bad, int(first_bad_step(thetas, losses)[bad].min()), tasks)
        if not trace:
            adapted = _last_finite(thetas)
            lost: Any = diverged
            if request.single:
                adapted, lost = adapted[0], bool(diverged[0])
            return adapted if on_divergence == "raise" else (adapted, lost)
        if request.single:
            return Adaptation(thetas[0], losses[0], bool(diverged[0]))
        return Adaptation(thetas, losses, diverged)
    adapted, diverged, any_diverged = core.adapt(
        net._core, request.theta, request.bound, algorithm._core, own_rates, count, workers
    )
    if any_diverged:
        bad = np.flatnonzero(diverged)
        first, last = diagnose(
            traces(net, request.theta, request.rows, algorithm, own_rates, count, bad)
        )
        if on_divergence == "raise":
            raise DivergenceError(bad, int(first.min()), tasks)
        adapted[bad] = last
    if request.single:
        return adapted[0] if on_divergence == "raise" else (adapted[0], bool(diverged[0]))
    return adapted if on_divergence == "raise" else (adapted, diverged)


@dataclass(frozen=True)
class Evaluation:
    """Query losses of many tasks after some numbers of steps; statistics leave diverged ones out.

    Attributes
    ----------
    steps : tuple of int
        Numbers of inner steps, one a column.
    losses : numpy.ndarray
        ``[T, len(steps)]``; not finite where diverged.
    diverged : numpy.ndarray
        ``[T, len(steps)]`` of bool.
    """

    steps: tuple[int, ...]
    losses: FloatArray
    diverged: npt.NDArray[np.bool_]

    @cached_property
    def _kept(self) -> list[FloatArray]:
        return [
            column[~bad].astype(np.float64)
            for column, bad in zip(self.losses.T, self.diverged.T, strict=True)
        ]

    def _of_each(self, statistic: Any) -> npt.NDArray[np.float64]:
        return np.array([statistic(column) if len(column) else np.nan for column in self._kept])

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """Mean over tasks, ``[len(steps)]``."""
        return self._of_each(np.mean)

    @property
    def median(self) -> npt.NDArray[np.float64]:
        """Median over tasks, ``[len(steps)]``."""
        return self._of_each(np.median)

    @property
    def interval(self) -> npt.NDArray[np.float64]:
        """Half-width of the 95% interval of the mean over tasks, ``[len(steps)]``."""
        return self._of_each(
            lambda c: Z95 * np.std(c, ddof=1) / np.sqrt(len(c)) if len(c) > 1 else np.nan
        )

    @property
    def n_diverged(self) -> npt.NDArray[np.int64]:
        """Number of tasks that diverged, ``[len(steps)]``."""
        counts: npt.NDArray[np.int64] = np.sum(self.diverged, axis=0)
        return counts


def evaluate(
    net: MLP,
    theta: Any,
    batch: TaskBatch,
    algorithm: Algorithm,
    *,
    steps: Sequence[int] = (0, 1, 5, 10),
    rates: Any = None,
    threads: int | None = None,
    check_finite: bool = True,
    on_divergence: str = "mask",
) -> Evaluation:
    """Adapt to each task on its support set; query losses after some numbers of steps.

    Parameters
    ----------
    net, algorithm, rates, threads, check_finite
        As in `adapt`.
    theta : array
        Initialisation ``[P]``.
    batch : TaskBatch
        Tasks not met in training, if what they show is to be generalisation.
    steps : sequence of int, default (0, 1, 5, 10)
        After how many inner steps to measure; may exceed the algorithm's own.
    on_divergence : {"mask", "raise"}, default "mask"
        Mark diverged tasks in the result, or raise.

    Returns
    -------
    Evaluation

    Raises
    ------
    DivergenceError, ValueError, TypeError
        As in `adapt`.

    Examples
    --------
    >>> import fomaml_fast as ff
    >>> x = np.ones((4, 5, 1))
    >>> batch = ff.TaskBatch(x, x, x, x)
    >>> net = ff.MLP([1, 1])
    >>> ff.evaluate(net, np.zeros(2), batch, ff.fomaml(0.25), steps=(0, 1)).mean
    array([1., 0.])
    """
    check_algorithm(algorithm, net)
    one_of(on_divergence, "on_divergence", ("raise", "mask"))
    if not isinstance(steps, Sequence | np.ndarray):
        raise TypeError(f"steps must be a sequence of integers, got {steps!r}")
    points = tuple(as_count(step, f"steps[{i}]") for i, step in enumerate(steps))
    if not points:
        raise ValueError("steps must name at least one number of steps")
    flat = check_meta_arguments(net, theta, batch, algorithm, check_finite)
    own_rates, workers = check_rates(algorithm, net, rates, flat.dtype), as_threads(threads)
    if _custom_meta.uses_custom(net, algorithm):
        support, query = ((rows, rows.bound) for rows in (batch._support, batch._query))
        thetas, losses, query_losses, _ = _custom_meta.trace(
            net, flat, support, query, algorithm, own_rates, max(points), workers
        )
        infinite = not_finite(thetas)
    else:
        _, losses, query_losses, diverged = core.trace(
            net._core,
            flat,
            *batch._bound,
            algorithm._core,
            own_rates,
            max(points),
            False,
            workers,
        )
        infinite = np.zeros(losses.shape, np.bool_)
        bad = np.flatnonzero(diverged)
        if len(bad):
            ways = traces(net, flat, batch._support, algorithm, own_rates, max(points), bad)
            infinite[bad] = np.concatenate([not_finite(way) for way, _ in ways])
    assert query_losses is not None
    # Support losses before a step decide whether what follows still means something.
    before = np.logical_or.accumulate(~np.isfinite(losses), axis=1)
    lost = ~np.isfinite(query_losses) | infinite  # which saturated units hide from the loss
    lost[:, 1:] |= before[:, :-1]
    columns = list(points)
    result = Evaluation(points, query_losses[:, columns], lost[:, columns])
    if on_divergence == "raise" and result.diverged.any():
        bad = np.flatnonzero(result.diverged.any(axis=1))
        raise DivergenceError(bad, int(lost[bad].argmax(axis=1).min()), len(batch))
    return result
