"""The examples of one or many tasks, as arrays the core reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import INT32_MAX, FloatArray, as_array, as_floats, check_finite_array
from fomaml_fast._loader import core
from fomaml_fast._row_numbers import (
    Classes,
    check_classes,
    flatten_mask,
    flatten_rows,
    flatten_weights,
    is_ragged,
)
from fomaml_fast.losses import Custom, Loss

Targets = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class RowArrays:
    """Rows of all tasks on top of each other; task t holds rows ``offsets[t]:offsets[t + 1]``."""

    x: FloatArray  #: [rows, n_0]
    y: Targets | None  #: [rows, n_L] floats, [rows] int32 labels, or None
    offsets: npt.NDArray[np.int64]  #: [T + 1]
    ragged: bool
    top_label: int = -1  #: largest label
    weights: FloatArray | None = None  #: [rows]
    classes: Classes | None = None  #: [T, n_L], 0 where a task lacks the class

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
    def coefficients(self) -> FloatArray | None:
        """What each row's loss is multiplied by, where that is not 1 / rows."""
        if self.weights is None:
            return None
        counts = np.diff(self.offsets)
        return self.weights / np.repeat(counts, counts).astype(self.weights.dtype)

    @cached_property
    def bound(self) -> Any:
        """As the core's own type, one task per set of rows."""
        return self._bind(False, self.n_tasks, self.classes)

    def shared(self, tasks: int) -> Any:
        """As the core's own type, the one set of rows seen by all tasks."""
        classes = None if self.classes is None else np.repeat(self.classes, tasks, axis=0)
        return self._bind(True, tasks, classes)

    def _bind(self, shared: bool, tasks: int, classes: Classes | None) -> Any:
        return core.Rows(
            self.x, self.y, self.offsets, shared, tasks, self.top_label, self.coefficients, classes
        )

    def per_task(self, array: npt.NDArray[Any]) -> Any:
        """Cut an array with one entry a row into tasks: stacked, or a list where ragged."""
        if self.ragged:
            return np.split(array, self.offsets[1:-1])
        return array.reshape(self.n_tasks, -1, *array.shape[1:])

    def take(self, indices: npt.NDArray[np.int64]) -> RowArrays:
        """Rows of some tasks only, copied."""
        counts = np.diff(self.offsets)[indices]
        offsets = _offsets_of(counts)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[indices] - offsets[:-1], counts)
        classes = None if self.classes is None else self.classes[indices]
        return self._select(rows, counts, classes)

    def keep(self, mask: npt.NDArray[np.bool_]) -> RowArrays:
        """Rows where `mask` is true, copied; it leaves some of each task."""
        counts = np.add.reduceat(mask, self.offsets[:-1], dtype=np.int64)
        return self._select(np.flatnonzero(mask), counts, self.classes)

    def _select(
        self,
        rows: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
        classes: Classes | None,
    ) -> RowArrays:
        y = None if self.y is None else np.ascontiguousarray(self.y[rows])
        if self.labelled and y is not None:
            y.setflags(write=False)
        return RowArrays(
            np.ascontiguousarray(self.x[rows]),
            y,
            _offsets_of(counts),
            bool(len(counts)) and bool((counts != counts[0]).any()),
            self.top_label,
            None if self.weights is None else self.weights[rows],
            classes,
        )


def _offsets_of(counts: Any) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


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
    return np.concatenate(arrays), _offsets_of(counts), len(set(counts)) > 1


def _check_counts(offsets: npt.NDArray[np.int64], name: str) -> None:
    counts = np.diff(offsets)
    if len(counts) == 0:
        raise ValueError(f"{name} holds no task")
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        raise ValueError(f"{name} must have at least one row a task; task {empty[0]} has none")


def _as_labels(
    value: Any,
    name: str,
    offsets: npt.NDArray[np.int64],
    ragged: bool,
    keep: npt.NDArray[np.bool_] | None,
) -> npt.NDArray[np.int32]:
    """An int32 copy of class labels, one per row; those of masked rows are 0."""
    labels = flatten_rows(value, name, offsets, ragged, "labels")
    if keep is not None:
        labels[~keep] = 0
    if labels.size and (labels.min() < 0 or labels.max() > INT32_MAX):
        bad = int(np.flatnonzero((labels < 0) | (labels > INT32_MAX))[0])
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
    weights: Any = None,
    weights_name: str = "weights",
    mask: Any = None,
    mask_name: str = "mask",
    classes: Classes | None = None,
    dtype: np.dtype[Any] | None = None,
    convert: bool = False,
    like: str = "theta",
    check_finite: bool = True,
) -> RowArrays:
    """Check and stack the rows of many tasks: x [T, n, n_0] or a list, the others to match or None.

    Rows that `mask` removes are gone from the result and never looked at.
    """
    options: dict[str, Any] = {"dtype": dtype, "convert": convert, "like": like}
    stacked, offsets, ragged = _stack(x, x_name, **options)
    _check_counts(offsets, x_name)
    keep = None if mask is None else flatten_mask(mask, mask_name, offsets, ragged)
    if keep is not None:
        stacked = np.where(keep[:, None], stacked, stacked.dtype.type(0))
    if check_finite:
        _check_rows_finite(stacked, offsets, ragged, x_name)
    options = {**options, "dtype": stacked.dtype, "like": x_name}
    targets = _as_any_targets(y, y_name, offsets, ragged, keep, options, x_name)
    labelled = targets is not None and targets.dtype == np.int32
    if check_finite and targets is not None and not labelled:
        _check_rows_finite(targets, offsets, ragged, y_name)
    if weights is not None:
        weights = flatten_weights(weights, weights_name, offsets, ragged, keep, **options)
    top_label = int(targets.max()) if labelled and targets is not None else -1
    rows = RowArrays(stacked, targets, offsets, ragged, top_label, weights, classes)
    if keep is not None:
        rows = rows.keep(keep)
    if classes is not None and len(classes) != rows.n_tasks:
        raise ValueError(
            f"class_mask must hold {rows.n_tasks} tasks as {x_name} does, got {len(classes)}"
        )
    if classes is not None and rows.y is not None:
        check_classes(classes, rows.y, rows.offsets, y_name)
    return rows


def _as_any_targets(
    y: Any,
    name: str,
    offsets: npt.NDArray[np.int64],
    ragged: bool,
    keep: npt.NDArray[np.bool_] | None,
    options: dict[str, Any],
    x_name: str,
) -> Targets | None:
    """Labels [rows] or numbers [rows, n_L], 0 in masked rows; None where there are none."""
    if y is None:
        return None
    found = _first_dtype(y)
    if found is not None and found.kind == "b":
        raise TypeError(f"{name} must be numbers or integer labels, got bool")
    if found is not None and found.kind in "iu":
        return _as_labels(y, name, offsets, ragged, keep)
    targets = _as_targets(y, name, offsets, options, x_name)
    return targets if keep is None else np.where(keep[:, None], targets, targets.dtype.type(0))


def _as_targets(
    y: Any, name: str, offsets: npt.NDArray[np.int64], options: dict[str, Any], x_name: str
) -> FloatArray:
    tasks = len(offsets) - 1
    if not is_ragged(y) and as_array(y, name).ndim == 2:
        shape = list(as_array(y, name).shape)
        raise ValueError(
            f"{name} must have shape [tasks, rows, outputs], got {shape}; for one output add an "
            f"axis: {name}[..., numpy.newaxis]; class labels must be integers"
        )
    if is_ragged(y) and getattr(y[0], "ndim", 2) == 1:
        raise ValueError(
            f"{name}[0] must have shape [rows, outputs], got {list(y[0].shape)}; for one output "
            f"add an axis: [a[:, numpy.newaxis] for a in {name}]; class labels must be integers"
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
    rows: RowArrays, sizes: Sequence[int], loss: Loss, x_name: str, y_name: str
) -> None:
    """Raise where rows do not fit a network and a loss: inputs, outputs, kind and range."""
    if rows.x.shape[1] != sizes[0]:
        raise ValueError(
            f"{x_name} must have {sizes[0]} columns, the network's inputs, got {rows.x.shape[1]}"
        )
    if rows.y is None or isinstance(loss, Custom):  # whose targets are its own affair
        return
    if rows.labelled != loss.takes_labels and (rows.labelled or not loss.takes_probabilities):
        wanted = "integer labels" if loss.takes_labels else "floating-point targets"
        raise TypeError(f"{y_name} must hold {wanted} for the loss {loss}, got {rows.y.dtype}")
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
    elif loss.takes_probabilities and (rows.y < 0).any():
        raise ValueError(
            f"{y_name} must hold probabilities of at least 0 for the loss {loss}, "
            f"got {rows.y[rows.y < 0][0]}"
        )
    if rows.classes is not None:
        if not loss.takes_probabilities:
            raise ValueError(f"class_mask needs the loss cross_entropy, got {loss}")
        if rows.classes.shape[1] != sizes[-1]:
            raise ValueError(
                f"class_mask must have {sizes[-1]} columns, the network's outputs, "
                f"got {rows.classes.shape[1]}"
            )
