"""What users pass, read as plain arrays: array-likes, columns and frames. Errors name the argument.

Frames and columns of pandas, polars and pyarrow are known by their methods: nothing is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import as_array, as_number, float_dtype
from fomaml_fast._shown import shown

Array: TypeAlias = npt.NDArray[Any]


def counted(number: int, what: str) -> str:
    """Return a number with its noun.

    >>> from fomaml_fast.samplers.reading import counted
    >>> counted(1, "class"), counted(2, "class"), counted(3, "row")
    ('1 class', '2 classes', '3 rows')
    """
    plural = "es" if what.endswith("s") else "s"
    return f"{number} {what}{'' if number == 1 else plural}"


def described(value: object) -> str:
    """Return what came, for an argument that is no array: its type, and its value if short."""
    if value is None:
        return "None"
    if isinstance(value, str | bytes | bool | int | float | complex | np.generic):
        return f"{type(value).__name__} {shown(value)}"
    return f"a {type(value).__name__}"


def read(name: str, value: npt.ArrayLike) -> Array:
    """Return ``value`` as a plain array of at least one axis."""
    if type(value) is np.ndarray and value.ndim:
        return value
    try:
        array = as_array(value, name)
    except TypeError as error:
        if error.__cause__ is None:  # refused for what it is, not for what NumPy made of it
            raise
        if isinstance(value, list | tuple):
            raise TypeError(
                f"{name} must be an array, got a {type(value).__name__} whose items differ in shape"
            ) from None
        raise TypeError(f"{name} must be an array, got {described(value)}") from None
    if array.ndim == 0:
        raise TypeError(f"{name} must be an array, got {described(value)}")
    return array


def columns_of(value: Any) -> list[tuple[object, Any]] | None:
    """Return the (label, column) pairs of a frame of pandas, polars or pyarrow; None for others."""
    if isinstance(value, np.ndarray | list | tuple):
        return None
    if hasattr(value, "column_names") and hasattr(value, "columns"):  # pyarrow
        return list(zip(value.column_names, value.columns, strict=True))
    if hasattr(value, "get_columns"):  # polars
        return [(column.name, column) for column in value.get_columns()]
    if hasattr(value, "columns") and hasattr(value, "iloc"):  # pandas
        return list(value.items())
    return None


def interval(name: str, value: Sequence[float]) -> tuple[float, float]:
    """Return ``value`` as a pair (low, high) of finite floats, low ≤ high."""
    try:
        pair = () if isinstance(value, str | bytes) else tuple(value)
    except TypeError:
        pair = ()
    if len(pair) != 2:
        raise TypeError(f"{name} must be a pair (low, high), got {shown(value)}")
    try:
        low, high = (as_number(v, f"{name}[{i}]") for i, v in enumerate(pair))
    except ValueError:  # NaN or infinity
        low, high = np.nan, np.nan
    if not (low <= high and np.isfinite(high - low)):
        raise ValueError(f"{name} must be finite with low <= high, got {shown(value)}")
    return low, high


def as_dtype(dtype: npt.DTypeLike | None, default: np.dtype[Any]) -> np.dtype[Any]:
    """Return float32 or float64; ``None`` means the default."""
    return default if dtype is None else float_dtype(dtype)
