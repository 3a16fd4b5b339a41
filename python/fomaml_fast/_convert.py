"""What users pass for arrays, as arrays that the core reads; or the true sentence about it.

The bindings call `convert` for whatever is not a C-contiguous NumPy array of float32, float64,
int32, int64 or bool: lists, frames, other libraries' arrays, strided and byte-swapped ones. Shapes
and values are the core's affair.
"""

from __future__ import annotations

import decimal
import fractions
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._shown import shown

Array = npt.NDArray[Any]
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
INT64_MAX = int(np.iinfo(np.int64).max)
#: Types of real numbers, and of flags.
NUMBERS = (int, float, np.integer, np.floating)
FLAGS = (bool, np.bool_)
_LISTS = {list, tuple}
_PLAIN = _LISTS | {int, float}


def convert(
    value: Any, name: str, role: str, dtype: str | None, lists: int, forces: bool
) -> Array | list[Array] | list[list[Array]]:
    """Return one array; with `lists`, a list of one array a task where `value` is one.

    Where `lists` is 2, also a list of lists, of one array a task and step. `role` is "numbers",
    "inputs" (numbers whose arrays have rows and columns), "targets" (numbers, or integer labels) or
    "flags". Lists of Python numbers have no dtype of their own and take `dtype`; with `forces` all
    floats do.
    """
    wanted = None if dtype is None else np.dtype(dtype)
    if hasattr(value, "theta") and hasattr(value, "moments"):
        raise TypeError(f"{name} must be an array, got a {type(value).__name__}: pass its .theta")
    if lists > 1 and _is_list_of_lists(value, 2 if role == "inputs" else 1):
        odd = next((t for t, item in enumerate(value) if not isinstance(item, list | tuple)), None)
        if odd is not None:
            raise TypeError(
                f"{name}[{odd}] must be a list of arrays, one a step, as others of {name} are, got "
                f"{type(value[odd]).__name__}"
            )
        return [
            _in_list(items, f"{name}[{t}]", role, wanted, forces) for t, items in enumerate(value)
        ]
    if lists and is_list_of_arrays(value):
        return _in_list(value, name, role, wanted, forces)
    return _one(value, name, role, wanted, forces)


def is_list_of_arrays(value: Any) -> bool:
    """Whether `value` is a list or tuple in which some item is an array or a frame."""
    return isinstance(value, list | tuple) and any(_is_array(item) for item in value)


def _is_list_of_lists(value: Any, axes: int) -> bool:
    """Whether some item is a list in which some item is an array of at least so many axes."""
    return isinstance(value, list | tuple) and any(
        isinstance(items, list | tuple) and any(_is_array(item, axes) for item in items)
        for items in value
    )


def _is_array(item: Any, axes: int = 1) -> bool:
    if isinstance(item, list | tuple | str | bytes):
        return False
    try:
        return len(item.shape) >= axes
    except (AttributeError, TypeError):
        return hasattr(item, "__array__") or hasattr(item, "__dlpack__")


def as_array(value: Any, name: str) -> Array:
    """Any array-like as a NumPy array of NumPy's own type."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost; pass plain arrays")
    if isinstance(value, list | tuple):
        return _of_list(value, name)
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise TypeError(f"{name} is a sparse matrix; pass {name}.toarray()")
    try:
        if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
            return np.asarray(np.from_dlpack(value))
        return np.asarray(value)
    except Exception as error:  # whatever another library's conversion raises
        raise _unreadable(name, error) from error


def _of_list(value: Any, name: str) -> Array:
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever items raise on being read
        if _holds_masked(value, 1):
            array = np.empty(0, object)
        else:
            raise _unreadable(name, error) from error
    # A single masked number became NaN: only arrays, an axis up, have masks to lose.
    if _holds_masked(value, max(array.ndim - 1, 1)):
        raise TypeError(f"{name} holds masked arrays, whose masks would be lost; pass plain arrays")
    return array


def _holds_masked(items: Any, depth: int) -> bool:
    """Whether a list holds masked items, up to so many lists deep."""
    while True:  # a level at a time, which costs less than a row at a time
        types = set(map(type, items))
        if not types <= _PLAIN and any(issubclass(t, np.ma.MaskedArray) for t in types):
            return True
        depth -= 1
        if depth == 0:
            return False
        if not types <= _LISTS:
            items = [item for item in items if isinstance(item, list | tuple)]
        items = list(chain.from_iterable(items))


def _unreadable(name: str, error: Exception) -> TypeError:
    return TypeError(f"{name} cannot be read as an array: {str(error) or type(error).__name__}")


def _in_list(
    items: Any, name: str, role: str, dtype: np.dtype[Any] | None, forces: bool
) -> list[Array]:
    return [_item(item, f"{name}[{i}]", role, dtype, forces) for i, item in enumerate(items)]


def _item(value: Any, name: str, role: str, dtype: np.dtype[Any] | None, forces: bool) -> Array:
    """One item of a list of arrays."""
    array = _one(value, name, role, dtype, forces)
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array of rows, got one number")
    return array


def _one(value: Any, name: str, role: str, dtype: np.dtype[Any] | None, forces: bool) -> Array:
    if value is None:
        raise TypeError(f"{name} must be an array, got None")
    array = as_array(value, name)
    if array.dtype == object:
        raise _about_objects(array, value, name, role)
    kind = array.dtype.kind
    if kind in "US":
        raise TypeError(f"{name} holds text{_numbering(name, role)}")
    if kind in "mM":
        raise TypeError(
            f"{name} holds dates or durations ({array.dtype}); convert them to numbers, e.g. "
            f"({name} - {name}[0]) / numpy.timedelta64(1, 's')"
        )
    if role == "flags":
        if kind != "b":
            raise TypeError(f"{name} must be bool, got {array.dtype}")
    elif kind in "iu" and role == "targets":
        array = _as_int64(array, name)
    else:
        if role == "targets":
            _check_not_lost(value, array, name)
        array = _as_floats(array, name, dtype, typeless=_is_typeless(value, array), forces=forces)
    return array if array.flags.c_contiguous and array.flags.aligned else np.array(array, order="C")


def _is_typeless(value: Any, array: Array) -> bool:
    """Whether numbers are Python's own, which have no dtype."""
    if not isinstance(value, list | tuple | int | float) or isinstance(value, bool | np.generic):
        return False
    return array.dtype in (np.float64, np.int64) and not is_list_of_arrays(value)


def _as_floats(
    array: Array, name: str, dtype: np.dtype[Any] | None, *, typeless: bool, forces: bool
) -> Array:
    kind = array.dtype.kind
    if kind == "f":
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if (typeless or forces) and kind in "fiu":
        with np.errstate(over="ignore"):  # the core tells of infinities by their place
            array = array.astype(dtype or np.float64, copy=False)
    if array.dtype in FLOATS or kind == "b":  # about bool the core has the sentence
        return array
    how = f"; convert it with numpy.asarray({name}, dtype)" if kind in "fiu" else ""
    raise TypeError(f"{name} must be float32 or float64, got {array.dtype}{how}")


def _as_int64(array: Array, name: str) -> Array:
    if array.dtype in (np.int32, np.int64) and array.dtype.isnative:
        return array
    if array.dtype.kind == "u" and array.size and int(array.max()) > INT64_MAX:
        raise ValueError(f"{name} must hold labels that fit 32 bits, got {array.max()}")
    return array.astype(np.int64)


def _check_not_lost(value: Any, array: Array, name: str) -> None:
    """Integers with gaps become floats on their way to NumPy: gaps are no targets."""
    if array.dtype.kind != "f" or isinstance(value, np.ndarray | list | tuple):
        return
    gaps = np.isnan(array)
    if gaps.any() and holds_integers(value):
        place = tuple(int(i) for i in np.argwhere(gaps)[0])
        raise ValueError(f"{name} must not hold missing values, but {_place(place, value)} does")


def holds_integers(value: Any) -> bool:
    """Whether a frame or column has integers or booleans by its own library's dtypes."""
    kinds = (str(dtype).lower() for dtype in _dtypes_of(value))
    return any(kind.startswith(("int", "uint", "bool")) for kind in kinds)


def _numbering(name: str, role: str) -> str:
    if role == "targets":
        return (
            "; class labels must be integers: "
            f"numpy.unique({name}, return_inverse=True)[1] numbers them"
        )
    return "; only numbers can be computed with"


def is_missing(value: object) -> bool:
    """Whether an object stands for "no value": None, NaN, NA, NaT, or a tuple that holds one."""
    if value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return True
    if isinstance(value, tuple):
        return any(map(is_missing, value))
    if getattr(value, "is_valid", True) is False:  # a scalar of pyarrow
        return True
    try:
        return bool(value != value)
    except Exception:  # a signalling NaN of decimal, or an object that cannot be compared
        return type(value).__name__ == "Decimal"


def _about_objects(array: Array, value: Any, name: str, role: str) -> Exception:
    """What an array of objects holds, and what to do about it."""
    place, item = first_odd(array, FLAGS if role == "flags" else NUMBERS)
    where = _place(place, value)
    if place is None:
        kinds = sorted({str(d) for d in _dtypes_of(value) if not isinstance(d, np.dtype)})
        if kinds:
            return TypeError(
                f"{name} has nullable columns ({', '.join(kinds)}); convert them, e.g. "
                f"{name}.to_numpy(dtype='float32', na_value=numpy.nan)"
            )
        what = "booleans" if role == "flags" else "numbers"
        return TypeError(
            f"{name} holds {what} as Python objects; convert it with "
            f"numpy.asarray({name}, dtype={_plain_dtype(array, role)})"
        )
    if is_missing(item):
        return ValueError(f"{name} must not hold missing values, but {where} does")
    if isinstance(item, str | bytes):
        return TypeError(f"{name} holds text ({shown(item)} in {where}){_numbering(name, role)}")
    if role == "flags":
        return TypeError(f"{name} must be bool, but {where} is a {type(item).__name__}")
    if isinstance(item, FLAGS):
        return TypeError(
            f"{name} holds booleans among other things ({where}); convert them to numbers first"
        )
    if isinstance(item, decimal.Decimal | fractions.Fraction):
        return TypeError(
            f"{name} holds {type(item).__name__} numbers; convert it with "
            f"numpy.asarray({name}, dtype=numpy.float64)"
        )
    if _is_array(item) or isinstance(item, list | tuple):
        return TypeError(f"{name} holds arrays of several lengths; pass a list of them")
    return TypeError(f"{name} must hold numbers, but {where} is a {type(item).__name__}")


def _plain_dtype(array: Array, role: str) -> str:
    """The dtype for objects that are all numbers, or all flags."""
    if role == "flags":
        return "bool"
    labels = role == "targets" and first_odd(array, (int, np.integer))[0] is None
    return "numpy.int64" if labels else "numpy.float64"


def first_odd(array: Array, real: tuple[type, ...] = NUMBERS) -> tuple[tuple[int, ...] | None, Any]:
    """Place and value of the first object that is missing or of no type in `real`.

    Booleans are no integers, unless `real` names them.
    """
    fine: set[type] = set()
    for flat, item in enumerate(array.ravel().tolist()):
        kind = type(item)
        if kind not in fine and issubclass(kind, real) and (kind is not bool or bool in real):
            fine.add(kind)  # asked once a type: there may be millions of items
        if kind not in fine or item != item:
            return tuple(int(i) for i in np.unravel_index(flat, array.shape)), item
    return None, None


def _place(place: tuple[int, ...] | None, value: Any) -> str:
    if not place:
        return "it"
    columns = getattr(value, "column_names", getattr(value, "columns", None))  # pyarrow, others
    if len(place) == 2 and columns is not None:
        return f"row {place[0]} of column {shown(list(columns)[place[1]])}"
    return f"row {place[0]}" if len(place) == 1 else f"item {list(place)}"


def _dtypes_of(value: Any) -> list[Any]:
    """Dtypes of a frame's columns, or of a column, as its own library names them."""
    for attribute in ("dtypes", "schema", "dtype", "type"):
        found = getattr(value, attribute, None)
        if found is None or callable(found) or isinstance(found, np.dtype):
            continue
        if hasattr(found, "types"):  # pyarrow
            return list(found.types)
        if hasattr(found, "values") and callable(found.values):  # polars
            return list(found.values())
        return list(found) if hasattr(found, "__iter__") else [found]
    return []
