"""Numbers of each row: the inputs and targets from which samplers gather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import INT32_MAX
from fomaml_fast._convert import FLAGS, NUMBERS, first_odd, holds_integers, is_missing
from fomaml_fast._shown import shown
from fomaml_fast.samplers.labels import EXACT
from fomaml_fast.samplers.random import IntArray
from fomaml_fast.samplers.reading import Array, columns_of, described, read

#: Up to here float32 holds every integer.
_EXACT_SINGLE = 2**24
#: Label of a row that has none, and may not be drawn.
_GAP = -1


@dataclass(frozen=True)
class Table:
    """Rows of numbers, checked once: every row that may be drawn is finite."""

    name: str  #: of the argument
    values: Array  #: [rows, n] numbers or [rows] int32 labels, contiguous, so that gathers are fast
    shape: tuple[int, ...]  #: as the user gave it
    columns: tuple[object, ...] | None  #: of a frame
    largest: float  #: magnitude; NaN or infinity where a row that is never drawn holds one
    gaps: bool = False  #: whether NaN means that a number is not known

    @property
    def labelled(self) -> bool:
        """Whether the rows are class labels."""
        return self.values.ndim == 1

    @property
    def needs_double(self) -> bool:
        """Whether float32 would round: float64, or integers of more than 24 bits."""
        kind = self.values.dtype.kind
        return self.values.dtype.itemsize >= 8 if kind == "f" else self.largest > _EXACT_SINGLE

    def gather(self, rows: IntArray, dtype: np.dtype[Any]) -> Array:
        """Return the rows ``[...]`` as ``[..., n]`` in that dtype; labels stay as they are."""
        # `take` gathers whole rows several times faster than indexing does.
        found = self.values.take(rows, axis=0)
        return found if self.labelled else found.astype(dtype, copy=False)

    def known(self) -> npt.NDArray[np.bool_]:
        """Return whether something of each row is known, ``[rows]``."""
        if not self.gaps:
            return np.ones(len(self.values), np.bool_)
        known: npt.NDArray[np.bool_] = np.any(~np.isnan(self.values), axis=1)
        return known

    def place(self, row: int, column: int) -> str:
        """Return where a number stands in what the user gave."""
        if self.columns is not None:
            return _place([row], shown(self.columns[column]))
        return _place([row, *(int(i) for i in np.unravel_index(column, self.shape[1:]))])

    def check_rows(self, rows: IntArray, dtype: np.dtype[Any] | None = None) -> None:
        """Raise where one of these rows is not finite, or does not fit ``dtype``."""
        limit = float(np.finfo(np.float64 if dtype is None else dtype).max)
        if self.largest <= limit:
            return
        rows = rows.ravel()
        if self.labelled:
            gaps = self.values[rows] == _GAP
            if gaps.any():
                raise self._not_finite(_place([int(rows[gaps.argmax()])]), np.nan)
            return
        bad = ~(np.abs(self.values[rows]) <= np.float64(limit))
        if self.gaps:
            bad &= ~np.isnan(self.values[rows])
        if bad.any():
            row, column = (int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
            row = int(rows[row])
            where = self.place(row, column)
            value = self.values[row, column]
            if dtype is None or not np.isfinite(value):
                raise self._not_finite(where, value)
            raise ValueError(f"{self.name} must fit {dtype}, but {where} is {value}")

    def _not_finite(self, where: str, value: Any) -> ValueError:
        return ValueError(
            f"{self.name} must be finite, but {where} is {value}; fill such rows in or leave them "
            "out"
        )


def as_table(name: str, value: npt.ArrayLike, *, gaps: bool = False) -> Table:
    """Return numbers as a table: a vector is one column, axes after the first are flattened.

    A frame keeps the dtypes of its columns: it is double where one of them has to be. With ``gaps``
    numbers may be missing; those that are become NaN.
    """
    frame = columns_of(value)
    if frame is None:
        array = _numbers(name, value, gaps=gaps)
    elif not frame:
        raise ValueError(f"{name} must have a column, got none")
    else:
        columns = [_column(name, label, values, gaps) for label, values in frame]
        array = _joined(name, columns)
    if array.size == 0:
        raise ValueError(f"{name} must have shape [rows, ...] with a row, got {list(array.shape)}")
    labels = None if frame is None else tuple(label for label, _ in frame)
    flat = np.ascontiguousarray(array.reshape(len(array), -1))
    gaps = gaps and flat.dtype.kind == "f"
    largest = _largest(np.where(np.isnan(flat), 0, flat) if gaps else flat)
    table = Table(name, flat, array.shape, labels, largest, gaps)
    if flat.dtype.kind in "iu" and largest > EXACT:
        row, column = np.argwhere((flat > EXACT) | (flat < -EXACT))[0].tolist()
        raise ValueError(
            f"{name} must hold integers of at most 53 bits, but {table.place(row, column)} is "
            f"{flat[row, column]}; convert such columns to floats"
        )
    return table


def as_targets(name: str, value: npt.ArrayLike, n_rows: int, *, gaps: bool = False) -> Table:
    """Return targets ``[rows, outputs]``; a vector of integers or booleans is labels ``[rows]``."""
    hint = f"number the classes from 0 on: numpy.unique({name}, return_inverse=True)[1]"
    array = None if columns_of(value) is not None else _numbers(name, value, hint=hint, gaps=gaps)
    unlabelled = None
    whole = not gaps and array is not None and array.ndim == 1 and holds_integers(value)
    if array is not None and whole and array.dtype.kind == "f":
        unlabelled = np.isnan(array)  # NumPy has no integers with gaps
        array = np.where(unlabelled, 0, array).astype(np.int64)
    if array is None or array.ndim != 1 or array.dtype.kind == "f":
        table = as_table(name, value if array is None else array, gaps=gaps)
    else:
        outside = (array < 0) | (array > INT32_MAX)
        if outside.any():
            row = int(outside.argmax())
            raise ValueError(
                f"{name} must hold labels from 0 on, but row {row} is {array[row]}; targets of a "
                f"regression must be floats: {name}.astype(float)"
            )
        labels, largest = array.astype(np.int32), 0.0
        if unlabelled is not None and unlabelled.any():
            labels[unlabelled], largest = _GAP, np.nan
        table = Table(name, labels, array.shape, None, largest)
    if len(table.values) != n_rows:
        raise ValueError(f"{name} must have {n_rows} rows as x has, got {len(table.values)}")
    return table


def common_dtype(*tables: Table) -> np.dtype[Any]:
    """Return the float dtype that tasks of these tables get: float32 where that holds them all."""
    double = any(t.needs_double for t in tables if not t.labelled)
    return np.dtype(np.float64 if double else np.float32)


def _largest(array: Array) -> float:
    if array.dtype.kind == "b":
        return 1.0
    exact = int if array.dtype.kind in "iu" else float  # 2**53 + 1 is no float
    # Extremes pass NaN and infinity on, and need no memory.
    return max(-exact(array.min()), exact(array.max()))


def _place(index: Sequence[int], column: str = "") -> str:
    """Return where a number stands in what the user gave; a frame's columns have names."""
    row, *rest = index
    if column or len(rest) == 1:
        return f"row {row}, column {column or rest[0]}"
    return f"row {row}, at {rest}" if rest else f"row {row}"


def _numbers(
    name: str, value: npt.ArrayLike, *, column: str = "", hint: str = "", gaps: bool = False
) -> Array:
    """Return a native array of floats, integers or booleans, or say what else came."""
    if value is None:
        raise TypeError(f"{name} must be an array, got None")
    array = read(name, value)
    if array.dtype.kind in "US" and isinstance(value, list | tuple):
        array = np.array(value, dtype=object)  # NumPy made numbers among words words
    if array.dtype.kind not in "fiub":
        array = _from_objects(name, value, array, column, hint, gaps)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # an infinity is told as one
            return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _from_objects(
    name: str, value: npt.ArrayLike, array: Array, column: str, hint: str, gaps: bool
) -> Array:
    """Return the numbers of a nullable column that misses none, or may; raise for all else."""
    if array.dtype.kind in "cmMV":
        of = f"column {column} holds" if column else "got"
        raise TypeError(f"{name} must hold real numbers, {of} {array.dtype}")
    empty = np.zeros(array.shape, np.bool_)
    if gaps:
        missing = [is_missing(item) for item in array.ravel().tolist()]
        empty = np.reshape(np.array(missing, np.bool_), array.shape)
        array = np.where(empty, 0, array.astype(object))
    place, item = first_odd(array, (*FLAGS, *NUMBERS))
    if place is not None:
        where = _place(place, column)
        if is_missing(item):
            raise ValueError(
                f"{name} must be finite, but {where} is {item}; fill such rows in or leave them out"
            )
        if isinstance(item, str | bytes):
            hint = hint or "encode words as numbers"
            raise TypeError(
                f"{name} must hold real numbers, but {where} is the {described(item)}; {hint}"
            )
        raise TypeError(
            f"{name} must hold real numbers, but {where} is {described(item)}; convert it to float"
        )
    native = getattr(getattr(value, "dtype", None), "numpy_dtype", None)  # pandas, nullable
    if not isinstance(native, np.dtype) or native.kind not in "fiub":
        raise TypeError(
            f"{name} must hold real numbers, got an array of objects; convert it with "
            f"numpy.asarray({name}, float)"
        )
    if not empty.any():
        return np.asarray(array.tolist(), dtype=native)
    filled = np.where(empty, np.nan, array).tolist()
    return np.asarray(filled, dtype=native if native.kind == "f" else np.float64)


def _column(name: str, label: object, values: Any, gaps: bool) -> Array:
    array = _numbers(name, values, column=shown(label), gaps=gaps)
    if array.ndim != 1:
        raise ValueError(
            f"{name} must hold one number a row in each column, but column {shown(label)} holds "
            f"arrays of shape {list(array.shape[1:])}"
        )
    return array


def _joined(name: str, columns: list[Array]) -> Array:
    """Return columns side by side in a dtype that rounds none of them, float32 if that will do."""
    dtype = np.result_type(*(c.dtype for c in columns))
    if dtype.kind == "f":
        whole = max((_largest(c) for c in columns if c.dtype.kind in "iu" and c.size), default=0)
        if whole > EXACT:
            raise ValueError(
                f"{name} must hold integers of at most 53 bits, got {whole}; convert such "
                "columns to floats"
            )
        double = whole > _EXACT_SINGLE or any(c.dtype == np.float64 for c in columns)
        dtype = np.dtype(np.float64 if double else np.float32)
    joined = np.empty((len(columns[0]), len(columns)), dtype)
    for i, values in enumerate(columns):
        joined[:, i] = values
    return joined
