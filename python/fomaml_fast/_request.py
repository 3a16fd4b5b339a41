"""Arguments of one evaluation or adaptation, checked and broadcast over tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from fomaml_fast._arrays import FloatArray, as_array, as_floats, as_parameters
from fomaml_fast._row_numbers import as_class_mask, check_classes, is_ragged
from fomaml_fast._rows import RowArrays, build_rows, check_against_network
from fomaml_fast.losses import Loss


class Network(Protocol):
    """What a request needs to know of `MLP`."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of all layers."""

    @property
    def loss_spec(self) -> Loss:
        """The loss."""

    @property
    def n_params(self) -> int:
        """Number of parameters."""


class Request:
    """One call over T tasks.

    `tasks_of` names further arguments that are per task and says how many tasks they hold.
    """

    def __init__(
        self,
        net: Network,
        theta: Any,
        x: Any,
        y: Any,
        check_finite: bool,
        tangent: FloatArray | None = None,
        context: int = 0,
        tasks_of: dict[str, int] | None = None,
        extras: tuple[Any, Any, Any] | None = None,
    ) -> None:
        """Check the arguments; `extras` of targets: weights, mask and class_mask."""
        sizes = (net.sizes[0] - context, *net.sizes[1:])
        if extras is not None and y is None:
            raise TypeError("y must be given")
        weights, mask, class_mask = extras or (None, None, None)
        self.theta = as_parameters(theta, net.n_params, check_finite=check_finite)
        dtype = self.theta.dtype
        if not is_ragged(x):
            x = as_floats(x, "x", dtype=dtype)
            if x.ndim not in (2, 3):
                raise ValueError(
                    f"x must have shape [rows, {sizes[0]}] or [tasks, rows, {sizes[0]}], "
                    f"got {list(x.shape)}"
                )
        one_set = not is_ragged(x) and x.ndim == 2
        self.per_task = not one_set  #: x, and so y, has a task axis
        self.empty = None
        if y is None and not is_ragged(x) and x.size == 0 and x.shape[-1] == sizes[0]:
            of_vectors = [len(a) for a in (self.theta, tangent) if a is not None and a.ndim == 2]
            lead = x.shape[:-1]
            if of_vectors and (one_set or len(x) == 1):
                lead = (max(of_vectors), lead[-1])
            self.empty = np.empty((*lead, sizes[-1]), dtype)
            return
        if one_set:
            weights = None if weights is None else _of_rows(weights, "weights", len(x))
            mask = None if mask is None else _of_rows(mask, "mask", len(x))
            x, y = x[None], None if y is None else _one_task(y, len(x))
        self.single = one_set and self.theta.ndim == 1
        self.rows: RowArrays = build_rows(
            x, y, weights=weights, mask=mask, dtype=dtype, check_finite=check_finite
        )
        if class_mask is not None:
            self.single = self.single and np.ndim(class_mask) == 1
            self.rows = _with_classes(self.rows, class_mask)
        check_against_network(self.rows, sizes, net.loss_spec, "x", "y")
        if tangent is not None:
            if tangent.dtype != dtype:
                raise TypeError(f"v is {tangent.dtype} but theta is {dtype}; convert one of them")
            self.single = self.single and tangent.ndim == 1
        self.single = self.single and not tasks_of
        counts = {
            **(tasks_of or {}),
            "theta": len(self.theta) if self.theta.ndim == 2 else 1,
            "x": self.rows.n_tasks,
            "v": len(tangent) if tangent is not None and tangent.ndim == 2 else 1,
        }
        self.tasks = max(counts.values())
        for name, count in counts.items():
            if count not in (1, self.tasks):
                raise ValueError(f"{name} must hold 1 or {self.tasks} tasks, got {count}")
        if counts["theta"] == 1:
            self.theta = self.theta.reshape(-1)
        self.tangent: Any = (
            tangent.reshape(-1) if tangent is not None and counts["v"] == 1 else tangent
        )
        shared = self.rows.n_tasks == 1 and self.tasks > 1
        self.bound = self.rows.shared(self.tasks) if shared else self.rows.bound

    def shape_rows(self, outputs: FloatArray) -> Any:
        """Cut outputs of all rows into tasks, as the user asked."""
        if self.single:
            return outputs
        if self.rows.ragged:
            return self.rows.per_task(outputs)
        return outputs.reshape(self.tasks, -1, outputs.shape[1])


def _with_classes(rows: RowArrays, class_mask: Any) -> RowArrays:
    """Rows whose tasks have some classes only: ``[n_L]`` for all of them, or ``[T, n_L]``."""
    if np.ndim(class_mask) == 1:
        class_mask = _lead(class_mask, "class_mask")
    classes = as_class_mask(class_mask)
    if len(classes) > 1 and rows.n_tasks == 1:
        rows = rows.take(np.zeros(len(classes), np.int64))
    if len(classes) not in (1, rows.n_tasks):
        raise ValueError(f"class_mask must hold 1 or {rows.n_tasks} tasks, got {len(classes)}")
    classes = np.broadcast_to(classes, (rows.n_tasks, classes.shape[1]))
    rows = replace(rows, classes=np.ascontiguousarray(classes))
    if rows.y is not None and rows.classes is not None:
        check_classes(rows.classes, rows.y, rows.offsets, "y")
    return rows


def _lead(value: Any, name: str) -> Any:
    """Put the task axis in front of what one set of rows carries; lists stay without a dtype."""
    array = as_array(value, name)
    return array[None] if hasattr(value, "dtype") else [array.tolist()]


def _of_rows(value: Any, name: str, rows: int) -> Any:
    """The same for one number a row."""
    shape = as_array(value, name).shape
    if shape != (rows,):
        raise ValueError(f"{name} must have shape [{rows}], one for each row, got {list(shape)}")
    return _lead(value, name)


def _one_task(y: Any, rows: int) -> Any:
    """Put the task axis in front of the targets of one set of rows."""
    array = as_array(y, "y")
    if array.dtype.kind in "iu":
        if array.ndim != 1:
            raise ValueError(
                "y must have shape [rows] where it holds integers, which are labels, "
                f"got {list(array.shape)}; targets of a regression are floats"
            )
        return _of_rows(y, "y", rows)
    if array.ndim > 2:
        raise ValueError(f"y must have shape [rows, outputs], as x has, got {list(array.shape)}")
    if array.ndim == 1 and array.dtype.kind == "f":
        raise ValueError(
            f"y must have shape [rows, outputs], got {list(array.shape)}; for one output add an "
            "axis: y[:, numpy.newaxis]; class labels must be integers"
        )
    return _lead(y, "y")
