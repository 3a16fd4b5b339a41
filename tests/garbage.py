"""Values that no argument expects, by name: each is made anew for every call."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import fractions
import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import fomaml_fast as ff

Factory = Callable[[], Any]


class Odd:
    """An object with some attributes, and nothing else."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class OnlyArray:
    """What other libraries offer NumPy: `made` may be no array, or an exception to raise."""

    def __init__(self, made):
        self.made = made

    def __array__(self, dtype=None, copy=None):
        if isinstance(self.made, BaseException):
            raise self.made
        return self.made


class OnlyDLPack:
    """Another library's tensor without `__array__`."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        if isinstance(self.array, BaseException):
            raise self.array
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return (1, 0)


class Unprintable:
    """Its repr fails, as those of closed files or deleted objects may."""

    def __repr__(self):
        raise RuntimeError("no repr")


class Undecided:
    """Neither true nor false, and comparable to nothing."""

    def __bool__(self):
        raise TypeError("neither true nor false")

    def __eq__(self, other):
        raise TypeError("not comparable")

    __hash__ = None


class OfLength(list):
    """A list that lies about its length."""

    def __len__(self):
        return 3


class Subclass(np.ndarray):
    """An array of somebody's own."""


class BadLength:
    """A sequence in name only."""

    def __len__(self):
        raise ValueError("no length")

    def __getitem__(self, i):
        raise KeyError(i)


class Text(str):
    """A string of somebody's own."""


class Whole(int):
    """An integer of somebody's own."""


def _recursive():
    items: list[Any] = []
    items.append(items)
    return items


def _deep(levels):
    items: Any = [1.0]
    for _ in range(levels):
        items = [items]
    return items


def _misaligned(shape):
    count = int(np.prod(shape))
    raw = np.zeros(count * 4 + 1, np.uint8)
    return np.frombuffer(raw.data, np.float32, count, offset=1).reshape(shape)


def _read_only(shape):
    array = np.ones(shape, np.float32)
    array.setflags(write=False)
    return array


SCALARS: dict[str, Factory] = {
    "none": lambda: None,
    "true": lambda: True,
    "false": lambda: False,
    "zero": lambda: 0,
    "minus one": lambda: -1,
    "seven": lambda: 7,
    "2^31": lambda: 2**31,
    "2^63": lambda: 2**63,
    "2^64": lambda: 2**64,
    "-2^63-1": lambda: -(2**63) - 1,
    "10^400": lambda: 10**400,
    "-10^5000": lambda: -(10**5000),
    "half": lambda: 0.5,
    "minus zero": lambda: -0.0,
    "1e300": lambda: 1e300,
    "1e39": lambda: 1e39,
    "tiny": lambda: 5e-324,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: -float("inf"),
    "complex": lambda: 1 + 2j,
    "np.float32": lambda: np.float32(0.5),
    "np.float16 nan": lambda: np.float16("nan"),
    "np.int8": lambda: np.int8(-3),
    "np.uint64": lambda: np.uint64(2**64 - 1),
    "np.bool": lambda: np.bool_(True),
    "np.longdouble": lambda: np.longdouble("1e4000"),
    "np.datetime64": lambda: np.datetime64("NaT"),
    "np.str": lambda: np.str_("first"),
    "np.void": lambda: np.void(b"abc"),
    "decimal": lambda: decimal.Decimal("NaN"),
    "fraction": lambda: fractions.Fraction(1, 3),
    "date": lambda: datetime.date(2020, 1, 1),
    "whole": lambda: Whole(3),
}

OBJECTS: dict[str, Factory] = {
    "empty text": lambda: "",
    "text": lambda: "Relu",
    "own text": lambda: Text("mean"),
    "surrogate": lambda: "\udc80",
    "null in text": lambda: "first\0",
    "long text": lambda: "x" * 10_000,
    "bytes": lambda: b"\xff\x00",
    "bytearray": lambda: bytearray(4),
    "memoryview": lambda: memoryview(b"abcd"),
    "ellipsis": lambda: ...,
    "slice": lambda: slice(None),
    "range": lambda: range(3),
    "dict": lambda: {"a": 1.0},
    "dict of places": lambda: {0: 1.0, 1: 2.0},
    "set": lambda: {1, 2},
    "generator": lambda: (i for i in range(3)),
    "iterator": lambda: itertools.repeat(1.0, 3),
    "object": object,
    "function": lambda: lambda: None,
    "builtin": lambda: len,
    "class": lambda: dict,
    "exception": lambda: ValueError("x"),
    "module": lambda: np,
    "unprintable": Unprintable,
    "undecided": Undecided,
    "bad length": BadLength,
    "shape of text": lambda: Odd(shape="abc", dtype="float32"),
    "shape of none": lambda: Odd(shape=None, dtype=None, ndim=None),
    "shape a number": lambda: Odd(shape=3),
    "theta": lambda: Odd(theta=1, moments=2),
    "odd dtype": lambda: Odd(dtype=np.float32, dtypes=5, schema=3, type=int),
    "toarray": lambda: Odd(toarray=1, nnz=2),
    "class of the library": lambda: ff.Algorithm,
    "class MLP": lambda: ff.MLP,
    "network": lambda: ff.MLP([1, 1]),
    "algorithm": ff.maml,
    "bare inner": lambda: ff.inner.Inner,
    "bare loss": lambda: ff.losses.Loss,
    "bare outer": lambda: ff.outer.Outer,
    "outer": ff.outer.Adam,
    "loss": ff.losses.Huber,
    "rng": lambda: np.random.default_rng(0),
    "old rng": lambda: np.random.RandomState(0),
    "dtype": lambda: np.dtype("float16"),
    "structured dtype": lambda: np.dtype([("a", "f4")]),
    "state": lambda: ff.init_state(ff.MLP([1, 1]), ff.maml(), ff.outer.SGD(0.1)),
}

LISTS: dict[str, Factory] = {
    "empty list": list,
    "empty tuple": tuple,
    "list of empty lists": lambda: [[], []],
    "list of none": lambda: [None, None],
    "list of text": lambda: ["a", "b"],
    "list of nan": lambda: [float("nan")] * 3,
    "list of huge": lambda: [10**400, 1],
    "list of 2^63": lambda: [2**63, 1],
    "list of bools": lambda: [True, False],
    "list of dicts": lambda: [{}, {}],
    "list of objects": lambda: [object(), Unprintable()],
    "ragged": lambda: [[1.0, 2.0], [3.0]],
    "deeper ragged": lambda: [[[1.0]], [2.0], 3.0],
    "mixed": lambda: [np.ones((2, 1), np.float32), [[1.0], [2.0]]],
    "mixed with none": lambda: [np.ones((2, 1), np.float32), None],
    "mixed dtypes": lambda: [np.ones((2, 1), np.float32), np.ones((2, 1), np.int32)],
    "mixed with 0-d": lambda: [np.ones((2, 1), np.float32), np.float32(1)],
    "list of 0-d": lambda: [np.array(1.0), np.array(2.0)],
    "list of empties": lambda: [np.ones((0, 1), np.float32)] * 2,
    "list of 4-d": lambda: [np.ones((2, 2, 2, 2), np.float32)],
    "list of objects arrays": lambda: [np.array([None, 1.0])] * 2,
    "recursive": _recursive,
    "recursive with array": lambda: [np.ones(2), _recursive()],
    "deep": lambda: _deep(70),
    "very deep": lambda: _deep(5_000),
    "of length": lambda: OfLength([1.0]),
    "tuple of arrays": lambda: (np.ones((3, 1), np.float32),) * 2,
    "pairs": lambda: [(1, 2), (3, 4)],
    "object shapes": lambda: [Odd(shape=(2,)), Odd(shape=5)],
}

ARRAYS: dict[str, Factory] = {
    "0-d": lambda: np.array(1.0, np.float32),
    "empty": lambda: np.empty(0, np.float32),
    "empty rows": lambda: np.empty((0, 1), np.float32),
    "empty tasks": lambda: np.empty((0, 3, 1), np.float32),
    "no columns": lambda: np.empty((2, 3, 0), np.float32),
    "5-d": lambda: np.ones((1,) * 5, np.float32),
    "9-d": lambda: np.ones((1,) * 9, np.float32),
    "32-d": lambda: np.ones((1,) * 32, np.float32),
    "64-d": lambda: np.ones((1,) * (64 if np.__version__ >= "2" else 32), np.float64),
    "huge of nothing": lambda: np.empty((2**40, 0), np.float32),
    "zero-stride": lambda: np.broadcast_to(np.float32(1), (300, 200)),
    "huge stride": lambda: np.ones((3, 100_000), np.float32)[:, ::99_999][:, :1],
    "negative stride": lambda: np.ones((6, 2), np.float32)[::-1, ::-1],
    "fortran": lambda: np.ones((2, 3, 2), np.float32, order="F"),
    "read-only": lambda: _read_only((3, 1)),
    "misaligned": lambda: _misaligned((3, 1)),
    "byte-swapped": lambda: np.ones((3, 1), ">f4"),
    "float16": lambda: np.ones((3, 1), np.float16),
    "float64": lambda: np.ones((2, 3, 1)),
    "float64 beyond float32": lambda: np.full((3, 1), 1e300),
    "longdouble": lambda: np.ones((3, 1), np.longdouble),
    "complex64": lambda: np.ones((3, 1), np.complex64),
    "int8": lambda: np.ones((3, 1), np.int8),
    "int64 min": lambda: np.full(3, -(2**63)),
    "uint64 max": lambda: np.full(3, 2**64 - 1, np.uint64),
    "bools": lambda: np.ones((3, 1), bool),
    "objects": lambda: np.array([[1.0], [None], ["a"]], object),
    "objects that are unprintable": lambda: np.array([Unprintable(), Undecided()], object),
    "empty objects": lambda: np.empty((0, 2), object),
    "objects 0-d": lambda: np.array(None, object),
    "strings": lambda: np.array(["a", "b"]),
    "byte strings": lambda: np.array([b"a", b"\xff"]),
    "structured": lambda: np.zeros(3, [("a", "f4"), ("b", "i4")]),
    "void": lambda: np.zeros(3, "V8"),
    "datetime": lambda: np.array(["2020-01-01", "NaT"], "M8[D]"),
    "timedelta": lambda: np.ones(3, "m8[s]"),
    "masked": lambda: np.ma.masked_array(np.ones((3, 1), np.float32), [[0], [1], [0]]),
    "masked constant": lambda: np.ma.masked,
    "recarray": lambda: np.rec.array([(1.0, 2)], [("a", "f4"), ("b", "i4")]),
    "subclass": lambda: np.ones((3, 1), np.float32).view(Subclass),
    "matrix": lambda: np.ones((3, 1), np.float32).view(np.matrix),
    "nan": lambda: np.full((3, 1), np.nan, np.float32),
    "nan tasks": lambda: np.full((2, 3, 1), np.nan, np.float32),
    "inf vector": lambda: np.full(7, np.inf, np.float32),
    "largest": lambda: np.full((2, 3, 1), np.finfo(np.float32).max, np.float32),
    "denormal": lambda: np.full((2, 3, 1), 1e-45, np.float32),
    "memmap-like": lambda: np.ones(7, np.float32)[1:],
    "only __array__": lambda: OnlyArray(np.ones((3, 1), np.float32)),
    "only __array__ of objects": lambda: OnlyArray(np.array([None])),
    "__array__ of text": lambda: OnlyArray("abc"),
    "__array__ of none": lambda: OnlyArray(None),
    "__array__ raises": lambda: OnlyArray(RuntimeError("lost")),
    "__array__ raises KeyError": lambda: OnlyArray(KeyError("lost")),
    "__array__ raises AttributeError": lambda: OnlyArray(AttributeError("lost")),
    "__array__ raises AssertionError": lambda: OnlyArray(AssertionError("lost")),
    "__array__ raises RecursionError": lambda: OnlyArray(RecursionError("lost")),
    "list of __array__ that raises": lambda: [OnlyArray(ZeroDivisionError("lost"))] * 2,
    "only __dlpack__": lambda: OnlyDLPack(np.ones((3, 1), np.float32)),
    "__dlpack__ of int16": lambda: OnlyDLPack(np.ones(3, np.int16)),
    "__dlpack__ raises": lambda: OnlyDLPack(NotImplementedError("lost")),
    "list of __dlpack__": lambda: [OnlyDLPack(np.ones((3, 1), np.float32))] * 2,
}


def _of_library(name: str, make: Callable[[Any], dict[str, Factory]]) -> dict[str, Factory]:
    """Values of a library that need not be installed."""
    try:
        return make(importlib.import_module(name))
    except ImportError:
        return {}


LIBRARIES: dict[str, Factory] = {
    **_of_library(
        "pandas",
        lambda pd: {
            "pandas frame": lambda: pd.DataFrame({"a": np.ones(3, np.float32)}),
            "pandas frame with text": lambda: pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
            "pandas empty frame": lambda: pd.DataFrame(),
            "pandas nullable": lambda: pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
            "pandas NA": lambda: pd.NA,
            "pandas NaT": lambda: pd.NaT,
            "pandas series": lambda: pd.Series([1, None, 2], dtype="Int64"),
            "pandas categories": lambda: pd.Series(["a", "b"], dtype="category"),
            "pandas times": lambda: pd.Series(pd.date_range("2020", periods=3)),
            "pandas index of levels": lambda: pd.DataFrame(
                np.ones((3, 1)), index=pd.MultiIndex.from_product([[0], [0, 1, 2]])
            ),
            "pandas repeated columns": lambda: pd.DataFrame([[1, None, "a"]], columns=["a"] * 3),
            "list of pandas": lambda: [pd.DataFrame({"a": [1.0]}), pd.Series([1.0])],
        },
    ),
    **_of_library(
        "polars",
        lambda pl: {
            "polars frame": lambda: pl.DataFrame({"a": [1.0, None]}),
            "polars series": lambda: pl.Series([1, None, 3]),
            "polars text": lambda: pl.DataFrame({"a": ["x"]}),
            "polars lazy": lambda: pl.DataFrame({"a": [1.0]}).lazy(),
            "polars nested": lambda: pl.Series([[1.0], [2.0, 3.0]]),
        },
    ),
    **_of_library(
        "pyarrow",
        lambda pa: {
            "arrow array": lambda: pa.array([1, None, 2]),
            "arrow table": lambda: pa.table({"a": [1.0, 2.0]}),
            "arrow chunked": lambda: pa.chunked_array([[1], [2, 3]]),
            "arrow struct": lambda: pa.array([{"a": 1}]),
            "arrow scalar": lambda: pa.scalar(1.0),
        },
    ),
    **_of_library(
        "scipy.sparse",
        lambda sparse: {
            "sparse matrix": lambda: sparse.csr_matrix(np.eye(3, dtype=np.float32)),
            "sparse array": lambda: sparse.coo_array(np.eye(3)),
        },
    ),
}

GARBAGE: dict[str, Factory] = {
    **{f"scalar {name}": make for name, make in SCALARS.items()},
    **{f"object {name}": make for name, make in OBJECTS.items()},
    **{f"list {name}": make for name, make in LISTS.items()},
    **{f"array {name}": make for name, make in ARRAYS.items()},
    **LIBRARIES,
}


def arrays_within(value: Any, seen: int = 0) -> list[Any]:
    """Every array and number of a result."""
    if isinstance(value, np.ndarray | np.generic | float):
        return [value]
    if seen > 4:
        return []
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, f.name) for f in dataclasses.fields(value)]
    if isinstance(value, list | tuple):
        return [a for item in value for a in arrays_within(item, seen + 1)]
    return []
