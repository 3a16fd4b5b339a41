"""Calls of many learners at once: what each of them is given, and what all of them return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import is_sequence
from fomaml_fast._convert import INT64_MAX, as_array, convert
from fomaml_fast._shown import shown
from fomaml_fast.algorithm import Algorithm
from fomaml_fast.batch import TaskBatch
from fomaml_fast.errors import DivergenceError
from fomaml_fast.results import Result, stacked

Item = TypeVar("Item")


def as_learners(theta: Any, name: str, axes: int = 2) -> npt.NDArray[Any] | None:
    """`theta` as an array, if it has so many axes, the first of which is that of learners."""
    if type(theta) is np.ndarray:
        return theta if theta.ndim == axes else None
    if isinstance(theta, list | tuple):
        nested = len(theta) > 0 and isinstance(theta[0], list | tuple | np.ndarray)
    else:
        nested = getattr(theta, "ndim", None) == axes
    if not nested:
        return None
    array = convert(theta, name, "numbers", None, 0, False)
    return array if isinstance(array, np.ndarray) and array.ndim == axes else None


def as_rates(rates: Any, learners: int) -> npt.NDArray[Any] | None:
    """Rates of every learner; None where there are none."""
    if rates is None:
        return None
    array = convert(rates, "rates", "numbers", None, 0, False)
    assert isinstance(array, np.ndarray)
    if array.size == 0:
        return None
    if array.ndim == 0 or len(array) != learners:
        raise ValueError(
            f"rates must have an axis of {learners} learners in front, as theta has, got shape "
            f"{list(array.shape)}"
        )
    return array


def one_or_each(value: Any, learners: int, name: str) -> list[Any]:
    """One item for all learners, or one for each of them."""
    if type(value) is TaskBatch or type(value) is Algorithm or not is_sequence(value):
        return [value]
    if len(value) != learners:
        raise ValueError(
            f"{name} must be one for all learners, or one for each of the {learners} that theta "
            f"holds, got {len(value)}"
        )
    return list(value)


def of_learner(items: Sequence[Item], learner: int) -> Item:
    """Item of a learner, from what `one_or_each` returned."""
    return items[0 if len(items) == 1 else learner]


def batches_of(batch: Any, learners: int) -> list[TaskBatch]:
    """One batch that all learners see, or one each."""
    if type(batch) is TaskBatch:  # small calls feel every further look
        return [batch]
    batches = one_or_each(batch, learners, "batch")
    for r, one in enumerate(batches):
        if not isinstance(one, TaskBatch):
            where = f"batch[{r}]" if is_sequence(batch) else "batch"
            raise TypeError(f"{where} must be a TaskBatch, got {type(one).__name__}")
    return batches


def steps_of(step: Any, learners: int) -> list[int]:
    """Outer steps taken: one count for all learners, or one each."""
    if type(step) is np.ndarray and step.ndim == 0 and step.dtype.kind in "iu":
        return _in_range([step.item()])
    counts = as_array(step, "state.step")
    if counts.dtype.kind not in "iu" or counts.ndim > 1:
        raise TypeError(f"state.step must be an integer, or one a learner, got {shown(step)}")
    steps = one_or_each(counts if counts.ndim == 1 else int(counts), learners, "state.step")
    return _in_range([int(count) for count in steps])


def _in_range(steps: list[int]) -> list[int]:
    for count in steps:
        if not 0 <= count < INT64_MAX:  # and there is room for one more
            raise ValueError(f"state.step must be from 0 to 2**63 - 2, got {count}")
    return steps


def one_by_one(learners: int, call: Callable[[int], Result]) -> Result:
    """What ``call(learner)`` returns of all learners, stacked; divergence names the learner."""
    if learners == 0:
        raise ValueError("theta must hold at least one learner, got none")
    results = []
    for r in range(learners):
        try:
            results.append(call(r))
        except DivergenceError as error:
            told = error.tasks, error.step, error.n_tasks, error.what
            raise DivergenceError(*told, learners=[r]) from None
    return stacked(results)
