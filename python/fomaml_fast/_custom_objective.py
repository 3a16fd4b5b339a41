"""Losses of the rows of all tasks as functions of the parameters, of the core and of Python."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray
from fomaml_fast._custom import CustomRows, Values, as_outputs
from fomaml_fast._custom_outputs import outputs_of
from fomaml_fast._loader import core
from fomaml_fast.losses import Custom
from fomaml_fast.network import MLP

Flags = npt.NDArray[np.bool_]


class Point(NamedTuple):
    """A loss of all tasks, at one vector of parameters each."""

    values: FloatArray  #: [T]
    gradients: Callable[[], FloatArray]  #: [T, P]
    hessian_vector: Callable[[FloatArray], FloatArray] | None  #: [T, P] -> [T, P]


class Objective(Protocol):
    """A loss on the rows of all tasks."""

    def at(self, thetas: FloatArray) -> Point:
        """Evaluate at ``[T, P]``."""


class _RegisteredObjective:
    """A loss of the core."""

    def __init__(self, net: MLP, rows: Any, threads: int | None) -> None:
        self._net, self._rows, self._threads = net._core, rows, threads

    def at(self, thetas: FloatArray) -> Point:
        values, gradients = core.gradient(
            self._net, thetas, self._rows, None, None, None, None, self._threads, False
        )

        def hessian_vector(v: FloatArray) -> FloatArray:
            return core.hvp(
                self._net, thetas, self._rows, None, v, None, None, None, self._threads, False
            )

        return Point(values, lambda: gradients, hessian_vector)


class CustomObjective:
    """A loss written in Python."""

    def __init__(self, net: MLP, loss: Custom, rows: Any, tasks: int, threads: int | None) -> None:
        targets = [t[None] for t in rows.y] if rows.ragged else [rows.y]
        if not rows.ragged and tasks > rows.tasks:
            targets = [np.broadcast_to(rows.y, (tasks, *rows.y.shape[1:]))]
        self._rows = CustomRows(outputs_of(net, loss, rows, threads, rows.dtype), targets)

    def at(self, thetas: FloatArray) -> Point:
        outputs = self._rows.outputs.at(thetas)
        values = self._rows.at(outputs)
        self._check_gradients(values)
        return Point(
            values.losses,
            lambda: self._rows.gradient(thetas, values, outputs),
            (lambda v: self._rows.hvp(thetas, values, v)) if values.has_hessian else None,
        )

    def on_outputs(self, thetas: FloatArray) -> tuple[FloatArray, Any, Any]:
        """Losses ``[T]``, outputs as `MLP.predict` gives them, and the gradients on these."""
        outputs = self._rows.outputs.at(thetas)
        values = self._rows.at(copy.deepcopy(outputs))  # fn may write in what it is given
        self._check_gradients(values)
        return values.losses, outputs, as_outputs(values.gradients, outputs)

    @staticmethod
    def _check_gradients(values: Values) -> None:
        """Where the loss itself is not finite the task has diverged, which the caller sees."""
        ends = np.cumsum([len(group) for group in values.gradients])[:-1]
        for losses, group in zip(np.split(values.losses, ends), values.gradients, strict=True):
            if not np.isfinite(group[np.isfinite(losses)]).all():
                raise ValueError("gradient of the custom loss must be finite where its value is")


def objective(
    net: MLP, loss: Any, rows: Any, tasks: int, threads: int | None, which: str
) -> Objective:
    """Of a loss, whoever wrote it."""
    if not isinstance(loss, Custom):
        if loss != net.loss_spec:
            net = MLP(net.sizes, net.activations, loss, net.norms)
        return _RegisteredObjective(net, rows, threads)
    extras = {
        f"weights{which}": rows.weights,
        f"mask{which} of each output": rows.mask,
        "class_mask": rows.classes,
    }
    for name, extra in extras.items():
        if extra is not None:
            raise ValueError(f"{name} goes into the targets of a custom loss, whose fn sees it")
    return CustomObjective(net, loss, rows, tasks, threads)


class Way(NamedTuple):
    """The way of the inner loop of all tasks; nothing is written of tasks that diverged before."""

    thetas: FloatArray  #: [T, points, P]: where not finite, the last that were
    losses: FloatArray  #: [T, S + 1], of the support set
    query_losses: FloatArray | None  #: [T, points]
    last: FloatArray  #: [T, P]: the last finite parameters
    diverged: Flags  #: [T]
    first_bad: npt.NDArray[np.int64]  #: [T]


def summed(losses: FloatArray, weights: FloatArray) -> float:
    """NaN where the sum is beyond float64, or of infinities of both signs."""
    with np.errstate(over="ignore"):
        parts = (weights * losses).tolist()
    try:
        return math.fsum(parts)
    except (OverflowError, ValueError):  # a sum beyond float64; infinities of both signs
        return math.nan
