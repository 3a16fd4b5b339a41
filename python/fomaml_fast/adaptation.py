"""The inner loop for its own sake: adapt to new tasks, and measure how well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from fomaml_fast import _custom_meta
from fomaml_fast._arrays import FloatArray, as_count, is_sequence, one_of
from fomaml_fast._evaluated import HowEvaluated, evaluated
from fomaml_fast._evaluated_learners import evaluated_learners
from fomaml_fast._hints import question_rates
from fomaml_fast._learners import as_learners, as_rates, batches_of, one_by_one, one_or_each
from fomaml_fast._loader import core
from fomaml_fast._measure import asked_for
from fomaml_fast._shown import shown
from fomaml_fast._support_rows import support_rows
from fomaml_fast.algorithm import Algorithm, as_algorithm, as_network, uses_custom
from fomaml_fast.batch import ArrayLike, TaskBatch
from fomaml_fast.errors import DivergenceError
from fomaml_fast.evaluation import EnsembleEvaluation, Evaluation, MetricValues
from fomaml_fast.heads import BayesianHead
from fomaml_fast.network import MLP

OneMetric = str | Callable[[Any, Any], Any]
#: What `evaluate` takes for metrics.
Metrics = OneMetric | Sequence[OneMetric] | Mapping[str, OneMetric] | None

#: Numbers of inner steps that `evaluate` measures after, where none are named.
USUAL_STEPS = (0, 1, 5, 10)

OnDivergence = Literal["raise", "mask"]
_RAISE: OnDivergence = "raise"
ON_DIVERGENCE: tuple[OnDivergence, ...] = (_RAISE, "mask")


class Adaptation(NamedTuple):
    """The way of the inner loop, as `adapt` returns it with ``trace=True``."""

    #: ``[S + 1, P]`` or ``[T, S + 1, P]``: the initialisation, then each step; or at the steps
    #: named. Where parameters are not finite, the last that were.
    thetas: FloatArray
    losses: FloatArray  #: ``[S + 1]`` or ``[T, S + 1]``: support loss at each step
    diverged: Any  #: bool, or ``[T]``


def adapt(
    net: MLP,
    theta: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    algorithm: Algorithm,
    *,
    steps: int | None = None,
    rates: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    class_mask: ArrayLike | None = None,
    trace: bool | Sequence[int] = False,
    threads: int | None = None,
    check_finite: bool = True,
    on_divergence: OnDivergence = "raise",
) -> Any:
    """Adapt to one or many tasks by the algorithm's inner loop; theta itself is never written.

    Parameters
    ----------
    net : MLP
        The network.
    theta : array
        Initialisation ``[P]``, or one for each task ``[T, P]``. Those of R learners have an axis
        in front, ``[R, 1, P]`` or ``[R, T, P]``, as has ``state.theta[:, None]``; so have their
        rates, and all results, whose next axis is that of tasks.
    x, y : array
        Support set ``[K, n_0]`` and ``[K, n_L]`` (or labels ``[K]``); or of many tasks, with a
        leading axis T or as lists. Rows of their own at every step have an axis S behind that of
        tasks, ``[T, S, K, n_0]`` and ``[T, S, K, n_L]``, or are lists of lists.
    algorithm : Algorithm
        Its inner optimiser and steps are used.
    steps : int or None, default None
        Inner steps; None takes the algorithm's. Where steps have rows of their own, fewer than S
        are the first of them.
    rates : array or None, default None
        Inner rates, such as learned ones, in the shapes of ``inner.lr`` and theta's dtype; None
        takes the algorithm's, as do the empty rates of a `State` that learns none. Steps beyond
        those of rates per step repeat the last.
    weights, mask, class_mask : array or None, default None
        As in `MLP.loss`, of the support set.
    trace : bool or sequence of int, default False
        Also return the way: the support loss at every step (on the step's own rows, at the end on
        the last's), and the parameters at every step (True) or at the steps named, from 0 for the
        initialisation. Every step's parameters are ``[T, S + 1, P]`` numbers.
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
    if type(net) is not MLP:
        as_network(net)
    if type(algorithm) is not Algorithm:
        as_algorithm(algorithm)
    if rates is None and algorithm.learn_rates:
        question_rates(True, rates)
    if isinstance(trace, np.bool_):
        trace = bool(trace)
    masks = False
    if on_divergence is not _RAISE:  # small calls feel every further look
        masks = one_of(on_divergence, "on_divergence", ON_DIVERGENCE) == "mask"
    count = -1 if steps is None else as_count(steps, "steps")  # -1: the algorithm's
    if type(theta) is not np.ndarray or theta.ndim == 3:
        thetas = as_learners(theta, "theta", 3)
        if thetas is not None:
            extras, how = (weights, mask, class_mask), (count, trace, masks, threads, check_finite)
            return _adapt_learners(net, thetas, x, y, extras, algorithm, rates, *how)
    if algorithm._has_custom_loss and isinstance(algorithm.inner, BayesianHead):
        algorithm = replace(algorithm, query_loss=None)  # which plays no part where a head adapts
    if net._has_custom_loss or algorithm._has_custom_loss:
        extras = weights, mask, class_mask
        given = theta, x, y, extras, rates
        return _adapt_custom(net, algorithm, given, count, trace, masks, threads, check_finite)
    if trace is False:
        return core.adapt(
            net._core,
            theta,
            x,
            y,
            weights,
            mask,
            class_mask,
            algorithm._core,
            rates,
            count,
            masks,
            threads,
            check_finite,
        )
    traced = core.trace(
        *(net._core, theta, x, y, weights, mask, class_mask, algorithm._core, rates, count),
        *(_trace_points(trace, algorithm.steps if steps is None else count), masks),
        *(threads, check_finite),
    )
    return Adaptation(*traced)


def _trace_points(trace: Any, steps: int) -> Sequence[int] | None:
    """Steps whose parameters are wanted, ascending; None for all of them."""
    if trace is True:
        return None
    if not is_sequence(trace):
        raise TypeError(f"trace must be True, False or a sequence of steps, got {shown(trace)}")
    points = [as_count(step, f"trace[{i}]") for i, step in enumerate(trace)]
    for i, (point, before) in enumerate(zip(points, [-1, *points], strict=False)):
        if point > steps:
            raise ValueError(f"trace[{i}] must be at most {steps}, the steps taken, got {point}")
        if point <= before:
            raise ValueError(f"trace must name ascending steps, got {points}")
    return points


def _adapt_custom(
    net: MLP,
    algorithm: Algorithm,
    given: tuple[Any, ...],
    steps: int,
    trace: Any,
    masks: bool,
    threads: int | None,
    check_finite: bool,
) -> Any:
    theta, x, y, extras, rates = given
    theta = core.parameters_of_tasks(net._core, theta, check_finite)
    rows, one_set = support_rows(x, y, extras, theta.dtype, check_finite)
    rates = core.check_adaptation(
        net._core, theta, rows, None, algorithm._core, rates, steps, False
    )[1]
    steps = algorithm.steps if steps < 0 else steps
    points = () if trace is False else _trace_points(trace, steps)
    points = range(steps + 1) if points is None else points
    way = _custom_meta.trace(net, theta, rows, None, algorithm, rates, steps, points, threads)
    if way.diverged.any() and not masks:
        bad = np.flatnonzero(way.diverged)
        raise DivergenceError(bad, int(way.first_bad[bad].min()), len(way.diverged))
    single = one_set and theta.ndim == 1
    if trace is False:
        adapted = way.last[0] if single else way.last
        diverged = bool(way.diverged[0]) if single else way.diverged
        return (adapted, diverged) if masks else adapted
    if single:
        return Adaptation(way.thetas[0], way.losses[0], bool(way.diverged[0]))
    return Adaptation(way.thetas, way.losses, way.diverged)


def _adapt_learners(
    net: MLP,
    theta: Any,
    x: Any,
    y: Any,
    extras: tuple[Any, ...],
    algorithm: Algorithm,
    rates: Any,
    steps: int,
    trace: Any,
    masks: bool,
    threads: int | None,
    check_finite: bool,
) -> Any:
    """Adapt theta ``[R, 1, P]`` or ``[R, T, P]``: results have an axis of learners in front."""
    if trace is False and not uses_custom(net, algorithm):
        rows, _ = support_rows(x, y, extras, theta.dtype, check_finite)
        return core.adapt_of_learners(
            net._core, theta, rows, [algorithm._core], rates, steps, masks, threads, check_finite
        )
    weights, mask, class_mask = extras
    own = as_rates(rates, len(theta))

    def one(r: int) -> tuple[Any, ...]:
        found = adapt(
            *(net, theta[r], x, y, algorithm),
            steps=None if steps < 0 else steps,
            rates=None if own is None else own[r],
            weights=weights,
            mask=mask,
            class_mask=class_mask,
            trace=trace,
            threads=threads,
            check_finite=check_finite,
            on_divergence="mask" if masks else "raise",
        )
        return found if isinstance(found, tuple) else (found,)

    found = one_by_one(len(theta), one)
    return found if len(found) > 1 else found[0]


def evaluate(
    net: MLP,
    theta: ArrayLike,
    batch: TaskBatch | Sequence[TaskBatch],
    algorithm: Algorithm | Sequence[Algorithm],
    *,
    steps: Sequence[int] | None = None,
    rates: ArrayLike | None = None,
    threads: int | None = None,
    check_finite: bool = True,
    on_divergence: OnDivergence = "mask",
    metrics: Metrics = None,
) -> Evaluation | Any:
    """Adapt to each task on its support set; query losses after some numbers of steps.

    Parameters
    ----------
    net, algorithm, rates, threads, check_finite
        As in `adapt`.
    theta : array
        Initialisation ``[P]``; or those of R learners ``[R, P]``, whose rates have an axis R too.
        They may have an algorithm each.
    batch : TaskBatch
        Tasks not met in training, if what they show is to be generalisation. Without metrics, many
        learners may have a batch each.
    steps : sequence of int or None, default None
        After how many inner steps to measure; may exceed the algorithm's own. None takes 0, 1, 5
        and 10, or S for those beyond the S steps that the batch has support rows of their own for:
        1 of a head that is solved for.
    on_divergence : {"mask", "raise"}, default "mask"
        Mark diverged tasks in the result, or raise.
    metrics : str, callable, sequence or dict of these, or None, default None
        What else to measure of the query rows after each number of steps: names of
        `metrics.names`, with scikit-learn's definitions, or functions
        ``fn(outputs [n, n_L], targets)`` of one task that return a number. The targets are as they
        were given, ``[n, n_L]`` or labels ``[n]``; outputs of classes that the task lacks are
        -inf, and targets that are unknown NaN. Masked rows are left out. Weights of rows are
        `sample_weight` to registered metrics; functions do not see them. A dict names its
        functions. Those of a predictive distribution are of heads in closed form, or of many
        learners together.

    Returns
    -------
    Evaluation, or EnsembleEvaluation of many learners

    Raises
    ------
    DivergenceError, ValueError, TypeError
        As in `adapt`; also for metrics that do not fit the targets.

    Examples
    --------
    >>> import fomaml_fast as ff
    >>> x = np.ones((4, 5, 1))
    >>> batch = ff.TaskBatch(x, x, x, x)
    >>> net = ff.MLP([1, 1])
    >>> ff.evaluate(net, np.zeros(2), batch, ff.fomaml(0.25), steps=(0, 1)).mean
    array([1., 0.])
    >>> found = ff.evaluate(
    ...     net, np.zeros(2), batch, ff.fomaml(0.25), steps=(0, 1), metrics=["mae", "rmse"]
    ... )
    >>> found.metrics["mae"].mean
    array([1., 0.])
    """
    as_network(net)
    thetas = as_learners(theta, "theta")
    learners = None if thetas is None else len(thetas)
    algorithms: list[Any] = (
        [algorithm] if learners is None else one_or_each(algorithm, learners, "algorithm")
    )
    for one in algorithms:
        as_algorithm(one)
    if learners is None and not isinstance(batch, TaskBatch):
        raise TypeError(f"batch must be a TaskBatch, got {type(batch).__name__}")
    batches: list[Any] = [batch] if learners is None else batches_of(batch, learners)
    question_rates(any(one.learn_rates is not False for one in algorithms), rates)
    one_of(on_divergence, "on_divergence", ON_DIVERGENCE)
    solves = any(isinstance(one.inner, BayesianHead) for one in algorithms)
    points = _points(steps, 1 if solves else batches[0].n_steps)
    ascending = sorted(set(points))
    columns = [ascending.index(point) for point in points]
    found = asked_for(metrics)
    asked = [
        HowEvaluated(one, rates, ascending, bool(found), threads, check_finite)
        for one in algorithms
    ]
    if thetas is None or learners is None:
        one_found = evaluated(net, theta, batches[0], asked[0], found)
        evaluation = _evaluation(points, columns, *one_found)
        if on_divergence == "raise":
            _raise_lost(evaluation)
        return evaluation
    losses, lost, values, together = evaluated_learners(net, thetas, batches, asked, found)
    of_each = tuple(
        _evaluation(points, columns, *one) for one in zip(losses, lost, values, strict=True)
    )
    if on_divergence == "raise":
        bad = [r for r in range(learners) if lost[r].any()]
        if bad:
            _raise_lost(of_each[bad[0]], bad)
    measured = {name: MetricValues(array[:, columns]) for name, array in together.items()}
    return EnsembleEvaluation(of_each, MappingProxyType(measured))


def _evaluation(
    points: tuple[int, ...], columns: list[int], losses: Any, lost: Any, values: Any
) -> Evaluation:
    """Columns in the order in which they were asked for."""
    measured = {name: MetricValues(array[:, columns]) for name, array in values.items()}
    return Evaluation(points, losses[:, columns], lost[:, columns], MappingProxyType(measured))


def _raise_lost(evaluation: Evaluation, learners: Sequence[int] = ()) -> None:
    lost = evaluation.diverged
    if not lost.any():
        return
    bad = np.flatnonzero(lost.any(axis=1))
    first = min(evaluation.steps[column] for column in np.flatnonzero(lost.any(axis=0)))
    raise DivergenceError(bad, first, len(lost), learners=learners)


def _points(steps: Any, most: int | None) -> tuple[int, ...]:
    """Numbers of steps to measure after, as they were given."""
    if steps is None:
        usual = USUAL_STEPS if most is None else (min(step, most) for step in USUAL_STEPS)
        return tuple(sorted(set(usual)))
    if not is_sequence(steps):
        raise TypeError(f"steps must be a sequence of integers, got {shown(steps)}")
    points = tuple(as_count(step, f"steps[{i}]") for i, step in enumerate(steps))
    if not points:
        raise ValueError("steps must name at least one number of steps")
    return points
