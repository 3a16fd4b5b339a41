"""The examples of one or many tasks, as arrays the core reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray, as_array, as_floats, check_finite_array
from fomaml_fast._loader import core

Targets = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class RowArrays:
    """Rows of all tasks on top of each other; task t holds rows ``offsets[t]:offsets[t + 1]``."""

    x: FloatArray  #: [rows, n_0]
    y: Targets | None  #: [rows, n_L] floats, [rows] int32 labels, or None
    offsets: npt.NDArray[np.int64]  #: [T + 1]
    ragged: bool
    top_label: int = -1  #: largest label

    @classmethod
    def of(cls, bound: Any) -> RowArrays:
        """Return the arrays of stacked rows that the core made."""
        x, y = bound.x, bound.y
        y = y.reshape(-1) if y.ndim == 2 else y.reshape(-1, y.shape[2])
        return cls(x.reshape(-1, x.shape[2]), y, bound.offsets, False, bound.top_label)

    @property
    def n_tasks(self) -> int:
        """Sets of rows."""
        return len(self.offsets) - 1

    @property
    def labelled(self) -> bool:
        """Whether targets are class labels."""
        return self.y is not None and self.y.dtype == np.int32

    @cached_property
    def bound(self) -> Any:
        """As the core's own type, one task per set of rows."""
        return core.Rows(self.x, self.y, self.offsets, False, self.n_tasks, self.top_label)

    def shared(self, tasks: int) -> Any:
        """As the core's own type, the one set of rows seen by all tasks."""
        return core.Rows(self.x, self.y, self.offsets, True, tasks, self.top_label)

    def per_task(self, array: npt.NDArray[Any]) -> Any:
        """Cut an array with one entry a row into tasks: stacked, or a list where ragged."""
        if self.ragged:
            return np.split(array, self.offsets[1:-1])
        return array.reshape(self.n_tasks, -1, *array.shape[1:])

    def take(self, indices: npt.NDArray[np.int64]) -> RowArrays:
        """Rows of some tasks only, copied."""
        counts = np.diff(self.offsets)[indices]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[indices] - offsets[:-1], counts)
        y = None if self.y is None else np.ascontiguousarray(self.y[rows])
        if self.labelled and y is not None:
            y.setflags(write=False)
        ragged = bool(len(counts)) and bool((counts != counts[0]).any())
        return RowArrays(np.ascontiguousarray(self.x[rows]), y, offsets, ragged, self.top_label)


def is_ragged(value: Any) -> bool:
    """Whether `value` is a sequence of arrays, one per task, rather than one array."""
    return isinstance(value, list | tuple) and len(value) > 0 and hasattr(value[0], "shape")


def _stack(value: Any, name: str, **options: Any) -> tuple[FloatArray, npt.NDArray[np.int64], bool]:
    """Rows of all tasks [rows, columns], offsets, and whether tasks differ in length."""
    if not is_ragged(value):
        array = as_floats(value, name, **options)
        if array.ndim != 3:
            raise ValueError(
                f"{name} must have shape [tasks, rows, columns] or be a list of [rows, columns], "
                f"got {list(array.shape)}"
            )
        tasks, count, columns = array.shape
        offsets = np.arange(tasks + 1, dtype=np.int64) * count
        return array.reshape(tasks * count, columns), offsets, False
    arrays = [as_floats(item, f"{name}[{t}]", **options) for t, item in enumerate(value)]
    for t, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[1] != arrays[0].shape[-1]:
            raise ValueError(
                f"{name}[{t}] must have shape [rows, {arrays[0].shape[-1]}], "
                f"got {list(array.shape)}"
            )
        if array.dtype != arrays[0].dtype:
            raise TypeError(f"{name}[{t}] is {array.dtype} but {name}[0] is {arrays[0].dtype}")
    counts = [len(array) for array in arrays]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return np.concatenate(arrays), offsets, len(set(counts)) > 1


def _check_counts(offsets: npt.NDArray[np.int64], name: str) -> None:
    counts = np.diff(offsets)
    if len(counts) == 0:
        raise ValueError(f"{name} holds no task")
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        raise ValueError(f"{name} must have at least one row a task; task {empty[0]} has none")


def _as_labels(
    value: Any, name: str, offsets: npt.NDArray[np.int64], ragged: bool
) -> npt.NDArray[np.int32]:
    """An int32 copy of class labels, one per row."""
    arrays = (
        [as_array(item, f"{name}[{t}]") for t, item in enumerate(value)]
        if is_ragged(value)
        else [as_array(value, name)]
    )
    counts = np.diff(offsets)
    if is_ragged(value):
        shapes_fit = len(arrays) == len(counts) and all(
            a.shape == (n,) for a, n in zip(arrays, counts, strict=True)
        )
        expected = f"one array of {counts.tolist()[:8]} labels for each task"
        got = [list(a.shape) for a in arrays[:8]]
    else:
        expected = f"shape [{len(counts)}, {counts[0]}]"
        shapes_fit = not ragged and arrays[0].shape == (len(counts), counts[0])
        got = list(arrays[0].shape)
    if not shapes_fit:
        raise ValueError(f"{name} must hold {expected}, got {got}")
    labels = np.concatenate([a.reshape(-1) for a in arrays])
    if labels.size and (labels.min() < 0 or labels.max() > np.iinfo(np.int32).max):
        bad = int(np.flatnonzero((labels < 0) | (labels > np.iinfo(np.int32).max))[0])
        raise ValueError(f"{name} must hold labels of at least 0, but row {bad} is {labels[bad]}")
    owned = np.array(labels, dtype=np.int32)
    owned.setflags(write=False)  # edited later, they could index out of bounds
    return owned


def _first_dtype(value: Any) -> np.dtype[Any] | None:
    item = value[0] if is_ragged(value) else value
    dtype = getattr(item, "dtype", None)
    return dtype if isinstance(dtype, np.dtype) else as_array(item, "y").dtype


def build_rows(
    x: Any,
    y: Any,
    *,
    x_name: str = "x",
    y_name: str = "y",
    dtype: np.dtype[Any] | None = None,
    convert: bool = False,
    like: str = "theta",
    check_finite: bool = True,
) -> RowArrays:
    """Check and stack the rows of many tasks: x [T, n, n_0] or a list, y to match or None."""
    options: dict[str, Any] = {"dtype": dtype, "convert": convert, "like": like}
    stacked, offsets, ragged = _stack(x, x_name, **options)
    _check_counts(offsets, x_name)
    if check_finite:
        _check_rows_finite(stacked, offsets, ragged, x_name)
    if y is None:
        return RowArrays(stacked, None, offsets, ragged)
    found = _first_dtype(y)
    if found is not None and found.kind == "b":
        raise TypeError(f"{y_name} must be numbers or integer labels, got bool")
    if found is not None and found.kind in "iu":
        labels = _as_labels(y, y_name, offsets, ragged)
        return RowArrays(stacked, labels, offsets, ragged, int(labels.max()))
    targets = _as_targets(
        y, y_name, offsets, {**options, "dtype": stacked.dtype, "like": x_name}, x_name
    )
    if check_finite:
        _check_rows_finite(targets, offsets, ragged, y_name)
    return RowArrays(stacked, targets, offsets, ragged)


def _as_targets(
    y: Any, name: str, offsets: npt.NDArray[np.int64], options: dict[str, Any], x_name: str
) -> FloatArray:
    tasks = len(offsets) - 1
    if not is_ragged(y) and as_array(y, name).ndim == 2:
        shape = list(as_array(y, name).shape)
        raise ValueError(
            f"{name} must have shape [tasks, rows, outputs], got {shape}; for one output add an "
            f"axis: {name}[..., numpy.newaxis]"
        )
    if is_ragged(y) and getattr(y[0], "ndim", 2) == 1:
        raise ValueError(
            f"{name}[0] must have shape [rows, outputs], got {list(y[0].shape)}; for one output "
            f"add an axis: [a[:, numpy.newaxis] for a in {name}]"
        )
    targets, target_offsets, _ = _stack(y, name, **options)
    if len(target_offsets) != len(offsets):
        raise ValueError(
            f"{name} must hold {tasks} tasks as {x_name} does, got {len(target_offsets) - 1}"
        )
    if (target_offsets != offsets).any():
        t = int(np.flatnonzero(np.diff(target_offsets) != np.diff(offsets))[0])
        raise ValueError(
            f"{name} must have as many rows as {x_name}, but task {t} has "
            f"{np.diff(target_offsets)[t]} against {np.diff(offsets)[t]}"
        )
    return targets


def _check_rows_finite(
    array: FloatArray, offsets: npt.NDArray[np.int64], ragged: bool, name: str
) -> None:
    if core.first_non_finite(array) < 0:
        return
    if not ragged:
        check_finite_array(array.reshape(len(offsets) - 1, -1, array.shape[1]), name)
    for t, (first, last) in enumerate(pairwise(offsets)):
        check_finite_array(array[first:last], f"{name}[{t}]")


def check_against_network(
    rows: RowArrays, sizes: Sequence[int], takes_labels: bool, x_name: str, y_name: str
) -> None:
    """Raise where rows do not fit a network: inputs, outputs, kind and range of targets."""
    if rows.x.shape[1] != sizes[0]:
        raise ValueError(
            f"{x_name} must have {sizes[0]} columns, the network's inputs, got {rows.x.shape[1]}"
        )
    if rows.y is None:
        return
    if takes_labels != rows.labelled:
        wanted = "integer labels" if takes_labels else "floating-point targets"
        raise TypeError(f"{y_name} must hold {wanted} for the network's loss, got {rows.y.dtype}")
    if rows.labelled:
        if rows.top_label >= sizes[-1]:
            raise ValueError(
                f"{y_name} must hold labels below {sizes[-1]}, the network's outputs, "
                f"got {rows.top_label}"
            )
    elif rows.y.shape[1] != sizes[-1]:
        raise ValueError(
            f"{y_name} must have {sizes[-1]} columns, the network's outputs, got {rows.y.shape[1]}"
        )
