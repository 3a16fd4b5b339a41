"""Numbers and choices that users pass, checked; and the types of arrays."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fomaml_fast._convert import FLOATS
from fomaml_fast._convert import as_array as as_array
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
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be float32 or float64, got {dtype!r}") from None
    if found not in FLOATS:
        raise TypeError(f"{name} must be float32 or float64, got {found}")
    return found


def as_count(value: Any, name: str, *, least: int = 0) -> int:
    """Return an integer of at least `least`; bool and float are refused."""
    if type(value) is int and least <= value < INT32_MAX:  # what nearly everybody passes
        return value
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    if value >= INT32_MAX:  # and there is room for one more
        raise ValueError(f"{name} must fit 32 bits, got {value}")
    return int(value)


def as_flag(value: Any, name: str) -> bool:
    """Return a bool; nothing else counts as one."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def as_seed(value: Any, name: str = "seed") -> int:
    """Return a seed as `numpy.random.default_rng` takes it: any integer of at least 0."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer or a numpy.random.Generator, got {value!r}")
    if value < 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
    return int(value)


def as_number(
    value: Any, name: str, *, least: float | None = None, most: float | None = None
) -> float:
    """Return a finite real number within closed bounds."""
    if isinstance(value, bool | np.bool_) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        raise TypeError(f"{name} must be a number, got {value!r}")
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


def one_of(value: Any, name: str, choices: tuple[Choice, ...]) -> Choice:
    """Return `value` if it is one of `choices`."""
    if not isinstance(value, str | None) or value not in choices:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}"
            f"{did_you_mean(value, choices)}"
        )
    return choices[choices.index(value)]
