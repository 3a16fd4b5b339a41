"""The boundary: turns what users pass into arrays the core may trust, or says what is wrong."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fomaml_fast._loader import core
from fomaml_fast._words import did_you_mean

FloatArray = npt.NDArray[np.floating[Any]]
Choice = TypeVar("Choice", bound="str | None")
INT32_MAX = int(np.iinfo(np.int32).max)
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def float_dtype(dtype: npt.DTypeLike, name: str = "dtype") -> np.dtype[Any]:
    """Return `dtype` as one of the two the core computes in."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{name} must be float32 or float64, got {dtype!r}") from None
    if found not in DTYPES:
        raise TypeError(f"{name} must be float32 or float64, got {found}")
    return found


def as_array(value: Any, name: str) -> npt.NDArray[Any]:
    """Any array-like as a plain array: NumPy subclasses, ``__array__``, DLPack, nested lists."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost; pass plain arrays")
    try:
        if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
            return np.asarray(np.from_dlpack(value))
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        raise TypeError(f"{name} cannot be read as an array: {error}") from error


def as_floats(
    value: Any,
    name: str,
    *,
    dtype: np.dtype[Any] | None = None,
    convert: bool = False,
    like: str = "theta",
) -> FloatArray:
    """A C-contiguous, aligned float array: no copy if it is one already.

    Arrays keep their dtype, which must be `dtype` if that is given (`like` says whose it is);
    ``convert`` turns them into it explicitly. Nested lists of numbers have no dtype of their own
    and take it.
    """
    if value is None:
        raise TypeError(f"{name} must be an array, got None")
    array = as_array(value, name)
    typeless = not hasattr(value, "dtype") and array.dtype.kind in "fiu"
    if array.dtype.kind == "f":
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if typeless or (convert and array.dtype.kind in "fiu"):
        array = array.astype(dtype or np.float64, copy=False)
    if array.dtype not in DTYPES:
        how = (
            "where it holds arrays of several lengths, pass a list of them"
            if array.dtype == object
            else f"convert it with numpy.asarray({name}, dtype)"
        )
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}; {how}")
    if dtype is not None and array.dtype != dtype:
        of_batch = f" or TaskBatch(..., dtype=numpy.{dtype})" if like[:2] == "x_" else ""
        raise TypeError(
            f"{name} is {array.dtype} but {like} is {dtype}; convert one of them, e.g. "
            f"numpy.asarray({name}, dtype=numpy.{dtype}){of_batch}"
        )
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.array(array, order="C")


def check_finite_array(array: FloatArray, name: str, *, always: bool = False) -> None:
    """Raise if a number is NaN or infinite, naming the first; `always`: nothing switches it off."""
    flat = core.first_non_finite(array)
    if flat >= 0:
        index = tuple(int(i) for i in np.unravel_index(flat, array.shape))
        value = array.reshape(-1)[flat]
        where = index[0] if len(index) == 1 else list(index)
        raise ValueError(
            f"{name} must be finite, but {name}[{str(where).strip('[]')}] is {value}"
            + ("" if always else " (check_finite=False switches this check off)")
        )


def as_parameters(
    theta: Any,
    n_params: int,
    *,
    name: str = "theta",
    check_finite: bool = True,
    per_task: bool = True,
) -> FloatArray:
    """Flat parameters ``[P]``, or ``[T, P]`` where they may differ from task to task."""
    if hasattr(theta, "theta"):
        raise TypeError(f"{name} must be an array, got a {type(theta).__name__}: pass its .theta")
    array = as_floats(theta, name)
    if array.ndim not in ((1, 2) if per_task else (1,)) or array.shape[-1] != n_params:
        expected = f"[{n_params}]" + (f" or [tasks, {n_params}]" if per_task else "")
        raise ValueError(f"{name} must have shape {expected}, got {list(array.shape)}")
    if array.size == 0:
        raise ValueError(f"{name} holds no task: shape {list(array.shape)}")
    if check_finite:
        check_finite_array(array, name)
    return array


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


def as_threads(threads: int | None) -> int:
    """Number of threads for the core; 0 lets it choose."""
    if threads is None:
        return 0
    return as_count(threads, "threads", least=1)


def as_number(
    value: Any, name: str, *, least: float | None = None, most: float | None = None
) -> float:
    """Return a finite real number within closed bounds."""
    if isinstance(value, bool | np.bool_) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        raise TypeError(f"{name} must be a number, got {value!r}")
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    if least is not None and number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    if most is not None and number > most:
        raise ValueError(f"{name} must be at most {most}, got {number}")
    return number


def one_of(value: Any, name: str, choices: tuple[Choice, ...]) -> Choice:
    """Return `value` if it is one of `choices`."""
    if value not in choices:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}"
            f"{did_you_mean(value, choices)}"
        )
    return choices[choices.index(value)]
