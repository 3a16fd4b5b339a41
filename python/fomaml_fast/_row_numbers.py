"""What rows carry beside inputs and targets: weights, a mask, and the classes of their task."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray, as_array, as_floats, check_finite_array

Offsets = npt.NDArray[np.int64]
Classes = npt.NDArray[np.uint8]


def is_ragged(value: Any) -> bool:
    """Whether `value` is a sequence of arrays, one per task, rather than one array."""
    return isinstance(value, list | tuple) and len(value) > 0 and hasattr(value[0], "shape")


def flatten_rows(
    value: Any, name: str, offsets: Offsets, ragged: bool, what: str
) -> npt.NDArray[Any]:
    """One entry a row ``[rows]``, from ``[T, n]`` or a list of one ``[n_t]`` a task."""
    arrays = (
        [as_array(item, f"{name}[{t}]") for t, item in enumerate(value)]
        if is_ragged(value)
        else [as_array(value, name)]
    )
    counts = np.diff(offsets)
    got: Any
    if is_ragged(value):
        shapes_fit = len(arrays) == len(counts) and all(
            a.shape == (n,) for a, n in zip(arrays, counts, strict=True)
        )
        expected = f"hold one array of {counts.tolist()[:8]} {what} for each task"
        got = [list(a.shape) for a in arrays[:8]]
    else:
        expected = f"have shape [{len(counts)}, {counts[0]}], {what} of tasks and rows"
        if ragged:
            expected = f"be a list of {len(counts)} arrays of {what}, as the rows are"
        shapes_fit = not ragged and arrays[0].shape == (len(counts), counts[0])
        got = list(arrays[0].shape)
    if not shapes_fit:
        raise ValueError(f"{name} must {expected}, got {got}")
    return np.concatenate([a.reshape(-1) for a in arrays])


def flatten_mask(value: Any, name: str, offsets: Offsets, ragged: bool) -> npt.NDArray[np.bool_]:
    """Which rows stay ``[rows]``: at least one of each task."""
    mask = flatten_rows(value, name, offsets, ragged, "flags")
    if mask.dtype != np.bool_:
        raise TypeError(f"{name} must be bool, got {mask.dtype}")
    left = np.add.reduceat(mask, offsets[:-1], dtype=np.int64)
    if not left.all():
        raise ValueError(
            f"{name} must leave at least one row a task; task {int(left.argmin())} has none"
        )
    return mask


def flatten_weights(
    value: Any,
    name: str,
    offsets: Offsets,
    ragged: bool,
    keep: npt.NDArray[np.bool_] | None,
    **options: Any,
) -> FloatArray:
    """Finite weights ``[rows]`` of any sign; what masked rows hold is not looked at."""
    if is_ragged(value):
        value = [as_floats(item, f"{name}[{t}]", **options) for t, item in enumerate(value)]
    else:
        value = as_floats(value, name, **options)
    weights: FloatArray = flatten_rows(value, name, offsets, ragged, "weights")
    if keep is not None:
        weights = np.where(keep, weights, weights.dtype.type(0))
    if not np.isfinite(weights).all():
        row = int(np.flatnonzero(~np.isfinite(weights))[0])
        task = int(np.searchsorted(offsets, row, side="right")) - 1
        raise ValueError(
            f"{name} must be finite, but that of task {task}, row {row - offsets[task]} is "
            f"{weights[row]}"
        )
    return weights


def as_class_mask(value: Any, name: str = "class_mask") -> Classes:
    """Flags ``[tasks, n_L]`` that nobody writes to: at least one class of each task."""
    mask = as_array(value, name)
    if mask.dtype != np.bool_:
        raise TypeError(f"{name} must be bool, got {mask.dtype}")
    if mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"{name} must have shape [tasks, outputs], got {list(mask.shape)}")
    empty = np.flatnonzero(~mask.any(axis=1))
    if len(empty):
        raise ValueError(f"{name} must have at least one class a task; task {empty[0]} has none")
    classes = np.array(mask, dtype=np.uint8, order="C")
    classes.setflags(write=False)
    return classes


def check_classes(
    classes: Classes, y: npt.NDArray[Any], offsets: Offsets, y_name: str, name: str = "class_mask"
) -> None:
    """Raise where targets name a class that their task does not have."""
    tasks = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    if y.ndim == 2:
        if y.shape[1] != classes.shape[1]:
            raise ValueError(
                f"{name} must have {y.shape[1]} columns as {y_name} has, got {classes.shape[1]}"
            )
        absent = (y != 0) & (classes[tasks] == 0)
        named = np.argwhere(absent)
    else:
        if y.size and y.max() >= classes.shape[1]:
            raise ValueError(
                f"{y_name} must hold labels below {classes.shape[1]}, the columns of {name}, "
                f"got {y.max()}"
            )
        rows = np.flatnonzero(classes[tasks, y] == 0)
        named = np.stack([rows, y[rows]], axis=1)
    if len(named):
        row, label = named[0]
        task = tasks[row]
        raise ValueError(
            f"{y_name} must name classes that {name} has, but row {row - offsets[task]} of task "
            f"{task} names class {label}"
        )


def as_task_weights(value: Any, tasks: int, **options: Any) -> FloatArray:
    """Finite weights ``[T]`` that nobody writes to."""
    weights = as_floats(value, "task_weights", **options)
    if weights.shape != (tasks,):
        raise ValueError(f"task_weights must have shape [{tasks}], got {list(weights.shape)}")
    check_finite_array(weights, "task_weights", always=True)
    owned: FloatArray = weights.copy()
    owned.setflags(write=False)
    return owned
