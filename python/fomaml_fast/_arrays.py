"""Numbers and choices that users pass, checked; and the types of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fomaml_fast._convert import FLOATS
from fomaml_fast._convert import as_array as as_array
from fomaml_fast._shown import shown
from fomaml_fast._words import did_you_mean

FloatArray = npt.NDArray[np.floating[Any]]
Choice = TypeVar("Choice", bound="str | None")
INT32_MAX = int(np.iinfo(np.int32).max)


def float_dtype(dtype: npt.DTypeLike, name: str = "dtype") -> np.dtype[Any]:
    """Return `dtype` as one of the two the core computes in."""
    try:
        if dtype is None:  # which NumPy takes for float64
            raise TypeError
        found = np.dtype(dtype)
    except Exception:  # NumPy asks objects for their attributes and reprs
        raise TypeError(f"{name} must be float32 or float64, got {shown(dtype)}") from None
    if found not in FLOATS:
        raise TypeError(f"{name} must be float32 or float64, got {found}")
    return found


def is_integer(value: Any) -> bool:
    """Whether `value` is an integer of Python or NumPy, which counts time spans among them."""
    if isinstance(value, bool | np.bool_ | np.timedelta64):
        return False
    return isinstance(value, int | np.integer)


def as_count(value: Any, name: str, *, least: int = 0) -> int:
    """Return an integer of at least `least`; bool and float are refused."""
    if type(value) is int and least <= value < INT32_MAX:  # what nearly everybody passes
        return value
    if not is_integer(value):
        raise TypeError(f"{name} must be an integer, got {shown(value)}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {shown(value)}")
    if value >= INT32_MAX:  # and there is room for one more
        raise ValueError(f"{name} must fit 32 bits, got {shown(int(value))}")
    return int(value)


def as_flag(value: Any, name: str) -> bool:
    """Return a bool; nothing else counts as one."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def as_seed(value: Any, name: str = "seed") -> int:
    """Return a seed as `numpy.random.default_rng` takes it: any integer of at least 0."""
    if not is_integer(value):
        raise TypeError(
            f"{name} must be an integer or a numpy.random.Generator, got {shown(value)}"
        )
    if value < 0:
        raise ValueError(f"{name} must be at least 0, got {shown(int(value))}")
    return int(value)


def as_number(
    value: Any, name: str, *, least: float | None = None, most: float | None = None
) -> float:
    """Return a finite real number within closed bounds."""
    if not is_integer(value) and not isinstance(value, float | np.floating):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    if least is not None and number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    if most is not None and number > most:
        raise ValueError(f"{name} must be at most {most}, got {number}")
    return number


def is_sequence(value: Any) -> bool:
    """Whether `value` is a list, tuple, range or array, of items that may be anything."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def one_of(value: Any, name: str, choices: tuple[Choice, ...]) -> Choice:
    """Return `value` if it is one of `choices`."""
    if is_one_of(value, choices):
        return choices[choices.index(value)]
    raise ValueError(
        f"{name} must be one of {', '.join(map(repr, choices))}, got {shown(value)}"
        f"{did_you_mean(value, choices)}"
    )


def is_one_of(value: Any, choices: tuple[str | None, ...]) -> bool:
    """Whether `value` is a string, or None, among `choices`; objects are not asked to compare."""
    return (value is None or type(value) is str) and value in choices
