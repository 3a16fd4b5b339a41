"""Checks and conversions that the samplers share. Errors name the argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import as_array

Array: TypeAlias = npt.NDArray[Any]


def interval(name: str, value: Sequence[float]) -> tuple[float, float]:
    """Return ``value`` as a pair (low, high) of finite floats, low ≤ high."""
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a pair (low, high), got {value!r}") from None
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"{name} must be finite with low <= high, got ({low}, {high})")
    return low, high


def features(name: str, x: npt.ArrayLike) -> Array:
    """Return numbers as a table ``[N, n]``: a vector is one column, further axes are flattened."""
    array = as_array(x, name)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got {array.dtype}")
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(f"{name} must have shape [rows, ...] with a row, got {list(array.shape)}")
    return array.reshape(len(array), -1)


def column(name: str, values: npt.ArrayLike, n_rows: int) -> Array:
    """Return one value per row: a vector of length ``n_rows`` without NaN."""
    array = as_array(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (n_rows,):
        raise ValueError(f"{name} must have shape [{n_rows}], x's rows, got {list(array.shape)}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{name} must not hold NaN, but row {int(np.isnan(array).argmax())} does")
    return array


def shown(value: Any) -> str:
    """Return a class or group as an error message should name it, without NumPy's type."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def common_dtype(*arrays: Array) -> np.dtype[Any]:
    """Return the float dtype that tasks from these arrays get: float64 if any is, else float32.

    >>> import numpy as np
    >>> from fomaml_fast.samplers.arrays import common_dtype
    >>> common_dtype(np.zeros(2, np.uint8)), common_dtype(np.zeros(2))
    (dtype('float32'), dtype('float64'))
    """
    double = any(a.dtype.kind == "f" and a.dtype.itemsize >= 8 for a in arrays)
    return np.dtype(np.float64 if double else np.float32)


def members(
    name: str, values: npt.ArrayLike | None, known: Array, what: str
) -> npt.NDArray[np.int64]:
    """Return the positions in ``known`` (sorted, distinct) of ``values``; ``None`` means all."""
    if values is None:
        return np.arange(len(known))
    wanted = np.unique(np.asarray(values))
    if len(wanted) == 0:
        raise ValueError(f"{name} must hold at least one {what}, got none")
    absent = wanted[~np.isin(wanted, known)]
    if len(absent):
        raise ValueError(f"{name} names {shown(absent[0])}, which is no {what} of the data")
    return np.flatnonzero(np.isin(known, wanted))
