"""Columns that name or order rows: groups, classes and times, of any dtype that sorts."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast._convert import FLAGS, is_missing
from fomaml_fast._shown import shown
from fomaml_fast.samplers.random import IntArray
from fomaml_fast.samplers.reading import Array, columns_of, read

#: Up to here float64 holds every integer.
EXACT = 2**53


class Labels(NamedTuple):
    """Row i holds ``known[code[i]]``; ``known`` is sorted and has no duplicates."""

    known: Array
    code: IntArray


def as_labels(name: str, values: npt.ArrayLike, n_rows: int | None = None) -> Labels:
    """Return the distinct values of a column and which of them each row holds.

    Raises
    ------
    ValueError
        For another shape than ``[n_rows]`` or ``[n_rows, 1]``, or missing values of any kind.
    TypeError
        For values that cannot be hashed, or not be sorted together.

    Examples
    --------
    >>> from fomaml_fast.samplers.labels import as_labels
    >>> known, code = as_labels("groups", ["b", "a", "b"])
    >>> known.tolist(), code.tolist()
    (['a', 'b'], [1, 0, 1])
    """
    array = _column(name, values, n_rows)
    if array.dtype == object:
        return _objects(name, array.tolist())
    _check_present(name, array)
    known, code = np.unique(array, return_inverse=True)
    if known.dtype.kind in "fc":
        known = known + 0.0  # -0.0 and 0.0 are one value, shown as 0.0
    return Labels(known, code.reshape(-1))


def as_times(name: str, values: npt.ArrayLike, n_rows: int) -> Array:
    """Return numbers or dates ``[n_rows]`` that sort as the column does."""
    ranks = _category_ranks(values)
    array = _column(name, values if ranks is None else ranks, n_rows)
    if array.dtype == object:
        return _objects(name, array.tolist()).code
    _check_present(name, array)
    if ranks is not None and (array < 0).any():  # how pandas codes a missing category
        raise _missing(name, int((array < 0).argmax()))
    return array


def members(name: str, values: npt.ArrayLike | None, known: Array, what: str) -> IntArray:
    """Return the positions in ``known`` (sorted, distinct) of ``values``; ``None`` means all."""
    if values is None:
        return np.arange(len(known))
    listed: Any = values
    if isinstance(values, str | bytes | int | float | np.generic):
        listed = [values]  # one name alone
    elif isinstance(values, set | frozenset):
        listed = list(values)
    elif isinstance(values, np.ndarray) and values.ndim == 0:
        listed = values.reshape(1)
    if hasattr(listed, "__len__") and len(listed) == 0:
        raise ValueError(f"{name} must hold at least one {what}, got none")
    if known.dtype == object and isinstance(known[0], tuple) and isinstance(listed, list | tuple):
        listed = _object_array([listed] if listed in known.tolist() else listed)
    wanted = as_labels(name, listed).known
    if _holds_flags(listed, wanted) and not _holds_flags(known, known):
        raise TypeError(
            f"{name} must name what to take, one item a {what}, got flags; pass the {what} names "
            "that they select"
        )
    dates = _dates(known) if known.dtype.kind in "MO" else None
    asked = None if dates is None else _dates(wanted)
    ordered, sought = (known, wanted) if dates is None or asked is None else (dates, asked)
    if ordered.dtype.kind == sought.dtype.kind != "O":
        position = np.searchsorted(ordered, sought).clip(max=len(known) - 1)
        found = ordered[position] == sought
    else:  # Python compares exactly where NumPy would round to a common dtype
        place = {value: i for i, value in enumerate(known.tolist())}
        position = np.array([place.get(value, -1) for value in wanted.tolist()], dtype=np.int64)
        found = position >= 0
    if not found.all():
        absent = wanted[int(found.argmin())]
        raise ValueError(f"{name} names {shown(absent)}, which is no {what} of the data")
    return np.sort(position)


def _holds_flags(listed: Any, array: Array) -> bool:
    if array.dtype.kind == "b":
        return True
    items = array.tolist() if array.dtype == object else listed
    return isinstance(items, list | tuple) and any(isinstance(item, FLAGS) for item in items)


def _dates(array: Array) -> Array | None:
    """Return dates as NumPy's: those of Python and pandas, and texts; None where some is none."""
    if array.dtype.kind == "M":
        return array
    found = []
    for item in array.tolist() if array.dtype.kind in "OU" else [None]:
        if not isinstance(item, datetime.date | str) or getattr(item, "tzinfo", None) is not None:
            return None
        try:
            found.append(np.datetime64(getattr(item, "to_datetime64", lambda i=item: i)()))
        except ValueError:  # a text that is no date
            return None
    return np.asarray(found)


def _missing(name: str, row: int) -> ValueError:
    return ValueError(f"{name} must not hold NaN, but row {row} does")


def _check_present(name: str, array: Array) -> None:
    if array.dtype.kind in "fcmM":
        missing = np.isnat(array) if array.dtype.kind in "mM" else np.isnan(array)
        if missing.any():
            raise _missing(name, int(missing.argmax()))


def _column(name: str, values: npt.ArrayLike, n_rows: int | None) -> Array:
    """Return a vector of numbers, dates, booleans, strings or, failing these, of objects."""
    frame = columns_of(values)
    if frame is not None and len(frame) == 1:
        values = frame[0][1]
    array = _from_list(name, values) if isinstance(values, list | tuple) else read(name, values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind not in "biufcmMSUO":  # NumPy's own variable strings, records
        array = _object_array(array.tolist())
    expected = f"[{n_rows}], x's rows" if n_rows is not None else "[rows]"
    if array.ndim != 1 or (n_rows is not None and len(array) != n_rows):
        raise ValueError(f"{name} must have shape {expected}, got {list(array.shape)}")
    if len(array) == 0:
        raise ValueError(f"{name} must have a row, got none")
    return array


def _from_list(name: str, values: list[Any] | tuple[Any, ...]) -> Array:
    """Return a list as an array, without NumPy's changing 1 to "1", None to nan or 2**60 to 1e18.

    A mixed list becomes an array of objects.
    """
    types = set(map(type, values))
    if any(issubclass(t, list | tuple | np.ndarray) for t in types):
        return read(name, values)
    try:
        array = np.asarray(values)
    except Exception:
        return _object_array(values)
    kind = array.dtype.kind
    if kind in "SU":
        one = str if kind == "U" else bytes
        kept = all(issubclass(t, one) for t in types)
    elif kind in "fc":
        integers = [v for v in values if isinstance(v, int | np.integer)]
        kept = all(-EXACT <= v <= EXACT for v in integers)
    else:
        kept = kind in "biumM"
    return array if kept and array.ndim == 1 else _object_array(values)


def _object_array(values: Iterable[Any]) -> Array:
    items = list(values)
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):  # one by one: NumPy would look into tuples
        array[i] = item
    return array


def _objects(name: str, values: list[Any]) -> Labels:
    try:
        table: dict[Any, int] = dict.fromkeys(values, 0)
    except Exception:
        for row, value in enumerate(values):
            if is_missing(value):
                raise _missing(name, row) from None
            _check_hash(name, row, value)
        raise TypeError(f"{name} must hold values that can be compared and hashed") from None
    for value in table:  # in the order in which they came
        if is_missing(value):
            raise _missing(name, next(i for i, v in enumerate(values) if v is value))
    try:
        known = sorted(table)
    except Exception:
        raise _unsortable(name, values) from None
    for i, value in enumerate(known):
        table[value] = i
    code = np.fromiter(map(table.__getitem__, values), np.int64, len(values))
    return Labels(_object_array(known), code)


def _check_hash(name: str, row: int, value: object) -> None:
    try:
        hash(value)
    except Exception:
        raise TypeError(
            f"{name} must hold values that can be hashed, such as strings or numbers, but row "
            f"{row} is the {type(value).__name__} {shown(value)}"
        ) from None


def _unsortable(name: str, values: list[Any]) -> TypeError:
    first = values[0]
    for row, value in enumerate(values):
        if type(value) is type(first):
            continue
        try:
            sorted((first, value))
        except Exception:
            return TypeError(
                f"{name} must hold values of one kind, but row 0 is the {type(first).__name__} "
                f"{shown(first)} and row {row} the {type(value).__name__} {shown(value)}"
            )
    return TypeError(
        f"{name} must hold values that can be sorted, such as strings or numbers, got objects of "
        f"{type(first).__name__}"
    )


def _category_ranks(values: object) -> Any:
    """Return the codes of a column of ordered categories of pandas or polars; None for others."""
    dtype = getattr(values, "dtype", None)
    if getattr(dtype, "ordered", False) is True and hasattr(dtype, "categories"):
        codes = getattr(getattr(values, "cat", values), "codes", None)
        return None if codes is None else np.asarray(codes)
    if type(dtype).__name__ == "Enum" and hasattr(values, "to_physical"):
        return values.to_physical()
    return None
