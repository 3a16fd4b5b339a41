"""What samplers are given: missing values of every dtype, frames, numbers not finite."""

import datetime
import decimal

import numpy as np
import pytest

from fomaml_fast import samplers

N = 60
NAMES = np.repeat([f"u{i}" for i in range(6)], 10).astype(object)
X = np.random.default_rng(0).standard_normal((N, 2))
Y = X[:, 0]
DAYS = np.datetime64("2020-01-01") + np.repeat(np.arange(6), 10)


def gap(values, missing, row=5):
    """Return the values as a list with one missing."""
    values = list(values)
    values[row] = missing
    return values


def columns():
    """Columns of names that all miss row 5, by what they are."""
    pd = pytest.importorskip("pandas")
    numbers = np.repeat(np.arange(6), 10)
    found = {
        "list with None": gap(NAMES, None),
        "list with nan": gap(NAMES, float("nan")),
        "list of numbers with nan": gap(numbers.tolist(), float("nan")),
        "list of integers with None": gap(numbers.tolist(), None),
        "objects with None": np.array(gap(NAMES, None), object),
        "objects with nan": np.array(gap(NAMES, np.nan), object),
        "objects with NA": np.array(gap(NAMES, pd.NA), object),
        "objects with NaT": np.array(gap(NAMES, pd.NaT), object),
        "all missing but the first five": np.array([*NAMES[:5], *[None] * 55], object),
        "decimals": gap(map(decimal.Decimal, numbers.tolist()), decimal.Decimal("NaN")),
        "signalling decimals": gap(map(decimal.Decimal, numbers.tolist()), decimal.Decimal("sNaN")),
        "float16": np.array(gap(numbers, np.nan), np.float16),
        "float64": np.array(gap(numbers, np.nan)),
        "complex": np.array(gap(numbers, complex(1, np.nan))),
        "datetime64": np.array(gap(DAYS, np.datetime64("NaT"))),
        "timedelta64": np.array(gap(DAYS - DAYS[0], np.timedelta64("NaT"))),
        "column [n, 1]": np.array(gap(NAMES, None), object)[:, None],
        "pandas objects": pd.Series(gap(NAMES, None), dtype=object),
        "pandas string": pd.Series(gap(NAMES, None), dtype="string"),
        "pandas category": pd.Series(gap(NAMES, None), dtype="category"),
        "pandas Int64": pd.Series(gap(numbers, None), dtype="Int64"),
        "pandas boolean": pd.Series(gap(numbers % 2 == 0, None), dtype="boolean"),
        "pandas datetime": pd.Series(pd.to_datetime(gap(DAYS, None))),
        "pandas datetime, zone": pd.Series(pd.to_datetime(gap(DAYS, None), utc=True)),
        "pandas period": pd.Series(gap(pd.PeriodIndex(DAYS, freq="D"), pd.NaT)),
        "pandas MultiIndex": pd.MultiIndex.from_arrays([NAMES, gap(NAMES, None)]),
        "pandas frame": pd.DataFrame({"who": gap(NAMES, None)}),
    }
    try:
        import polars as pl
    except ImportError:
        pass
    else:
        for kind, values in {
            "String": NAMES, "Categorical": NAMES, "Int64": numbers.tolist(),
            "Float32": numbers.tolist(), "Date": DAYS.tolist(), "Boolean": (numbers == 1).tolist(),
        }.items():  # fmt: skip
            found[f"polars {kind}"] = pl.Series(gap(values, None), dtype=getattr(pl, kind))
        found["polars frame"] = pl.DataFrame({"who": gap(NAMES, None)})
    try:
        import pyarrow as pa
    except ImportError:
        pass
    else:
        found["pyarrow strings"] = pa.array(gap(NAMES, None))
        found["pyarrow integers"] = pa.array(gap(numbers.tolist(), None))
        found["pyarrow dictionary"] = pa.array(gap(NAMES, None)).dictionary_encode()
        found["pyarrow dates"] = pa.array(gap(DAYS.tolist(), None))
        found["pyarrow chunks"] = pa.chunked_array([NAMES[:5].tolist(), [None] * 55])
        found["pyarrow table"] = pa.table({"who": gap(NAMES, None)})
        found["list of pyarrow scalars"] = list(pa.array(gap(NAMES, None)))
    return found


def test_what_is_missing_is_told_with_its_row():
    order = np.arange(N)
    for kind, column in columns().items():
        calls = {
            "groups": lambda c=column: samplers.Groups(X, Y, c, 1),
            "y": lambda c=column: samplers.Episodes(X, c, 2, 1, 1),
            "order": lambda c=column: samplers.Groups(X, Y, NAMES, 1, order=c),
            " groups": lambda c=column: samplers.Episodes(X, order % 2, 2, 1, 1, groups=c),
            "  groups": lambda c=column: samplers.split_groups(c, 2, 0),
            " y": lambda c=column: samplers.split_classes(c, (0.5, 0.5), 0),
        }
        for name, call in calls.items():
            with pytest.raises(ValueError, match="must not hold NaN") as raised:
                call()
            assert str(raised.value) == f"{name.strip()} must not hold NaN, but row 5 does", kind
    with pytest.raises(ValueError, match="among must not hold NaN, but row 1 does"):
        samplers.Groups(X, Y, NAMES, 1, among=["u0", None])
    with pytest.raises(ValueError, match="classes must not hold NaN, but row 1 does"):
        samplers.Episodes(X, NAMES, 2, 1, 1, classes=["u0", float("nan")])


@pytest.mark.parametrize(
    "names",
    [
        np.array([2**62 + i for i in range(6)]),
        np.array([2**63 + i for i in range(6)], np.uint64),
        np.array([2**70 + i for i in range(6)], object),
        np.array(["a", "bb", "ccc", "d", "e", "f"]),
        np.array([b"a", b"bb", b"c", b"d", b"e", b"f"]),
        np.array([(i, "x") for i in range(6)], dtype=[("id", "i4"), ("key", "U3")]),
        np.array([decimal.Decimal(i) / 10 for i in range(6)], object),
        np.array([datetime.date(2020, 1, i + 1) for i in range(6)], object),
        np.arange(6).astype("datetime64[ns]"),
        np.arange(6).astype("timedelta64[s]"),
        np.arange(6).astype(">i2"),
        np.arange(6) * 1j,
    ],
    ids=lambda names: str(names.dtype),
)
def test_names_of_every_dtype(names):
    which = np.random.default_rng(1).permutation(np.repeat(np.arange(6), 10))
    values = names[which]
    for given in (values, values.tolist() if values.dtype.kind not in "mMV" else values):
        groups = samplers.Groups(np.arange(N), Y, given, 2, 3)
        assert len(groups.groups) == 6
        rows = groups.draw(0, 12)
        for t in range(12):
            used = which[[*rows.support[t], *rows.query[t]]]
            assert (used == used[0]).all()
        only = samplers.Groups(np.arange(N), Y, given, 2, 3, among=groups.groups[[1, 4]])
        np.testing.assert_array_equal(only.groups, groups.groups[[1, 4]])


def test_lists_keep_what_they_hold():
    """NumPy would make 1 and "1", or two integers beyond 53 bits, the same."""
    big = [2**63 + 1, 2**63 + 3, -1] * 4
    assert len(samplers.Groups(np.zeros(12), np.zeros(12), big, 1).groups) == 3
    near = [2**53, 2**53 + 1, 0.5] * 4
    assert len(samplers.Groups(np.zeros(12), np.zeros(12), near, 1).groups) == 3
    ids = np.array([2**62, 2**62 + 1] * 6)
    with pytest.raises(ValueError, match="among names 4611686018427387906"):
        samplers.Groups(np.zeros(12), np.zeros(12), ids, 1, among=[2**62 + 2])
    with pytest.raises(
        ValueError, match=r"among names 4\.6\d+e\+18|among names 4611686018427387904"
    ):
        samplers.Groups(np.zeros(12), np.zeros(12), ids + 1, 1, among=[float(2**62)])


def test_negative_zero_is_zero():
    groups = samplers.Groups(np.zeros(4), np.zeros(4), [-0.0, 0.0, 0.0, -0.0], 1).groups
    assert str(groups.tolist()) == "[0.0]"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            [1, "a"] * 30,
            "groups must hold values of one kind, but row 0 is the int 1 and row 1 the",
        ),
        ([b"a", "a"] * 30, "row 0 is the bytes b'a' and row 1 the str 'a'"),
        ([{}, {}] * 30, "groups must hold values that can be hashed, .* but row 0 is the dict {}"),
        ([{1}, 2] * 30, "row 0 is the set {1}"),
        ([object] * 30 + [int] * 30, "groups must hold values that can be sorted"),
        ([[1], [1, 2]] * 30, "groups must be an array, got a list whose items differ in shape"),
        ("oak", "groups must be an array, got str 'oak'"),
        (None, "groups must be an array, got None"),
        (5, "groups must be an array, got int 5"),
        ({1: 2}, "groups must be an array, got a dict"),
        (np.zeros((N, 2)), r"groups must have shape \[60\], x's rows, got \[60, 2\]"),
    ],
)
def test_names_that_are_none(names, message):
    with pytest.raises((TypeError, ValueError), match=message):
        samplers.Groups(X, Y, names, 1)


def test_ordered_categories_are_times():
    pd = pytest.importorskip("pandas")
    months = pd.Categorical(["Feb", "Jan", "Mar"] * 2, ["Jan", "Feb", "Mar"], ordered=True)
    kinds = [months, pd.Series(months), pd.CategoricalIndex(months)]
    try:
        import polars as pl
    except ImportError:
        pass
    else:
        kinds.append(pl.Series(["Feb", "Jan", "Mar"] * 2, dtype=pl.Enum(["Jan", "Feb", "Mar"])))
    for order in kinds:
        groups = samplers.Groups(
            np.arange(6), np.arange(6.0), [0, 0, 0, 1, 1, 1], 2, order=order, support="first"
        )
        assert groups.all(0).x_support[:, :, 0].tolist() == [[1, 0], [4, 3]]
    missing = pd.Categorical(["Feb", None, "Mar"] * 2, ["Jan", "Feb", "Mar"], ordered=True)
    with pytest.raises(ValueError, match="order must not hold NaN, but row 1 does"):
        samplers.Groups(np.arange(6), np.arange(6.0), [0] * 6, 2, order=missing)


def test_unused_categories_are_no_groups():
    pd = pytest.importorskip("pandas")
    names = pd.Series(NAMES, dtype=pd.CategoricalDtype(["unused", *sorted(set(NAMES))]))
    assert samplers.Groups(X, Y, names, 1).groups.tolist() == sorted(set(NAMES))


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_and_columns_that_are_not_finite_are_told(bad):
    x, y = X.copy(), np.stack([Y, Y], axis=1)
    x[7, 1] = bad
    with pytest.raises(ValueError, match=rf"^x must be finite, but row 7, column 1 is {bad};"):
        samplers.Groups(x, y, NAMES, 1)
    with pytest.raises(ValueError, match=rf"^x must be finite, but row 7, column 1 is {bad};"):
        samplers.Episodes(x, NAMES, 2, 1, 1)
    with pytest.raises(ValueError, match=rf"^x must be finite, but row 7, at \[0, 1\] is {bad};"):
        samplers.Episodes(x.reshape(N, 1, 2), NAMES, 2, 1, 1)
    y[9, 1] = bad
    with pytest.raises(ValueError, match=rf"^y must be finite, but row 9, column 1 is {bad};"):
        samplers.Groups(X, y, NAMES, 1)
    with pytest.raises(ValueError, match=rf"^y must be finite, but row 9 is {bad};"):
        samplers.Groups(X, y[:, 1], NAMES, 1)
    # Rows of groups and classes that are never drawn from may hold anything.
    assert samplers.Groups(x, Y, NAMES, 1, among=["u1", "u2"]).sample(0, 5, np.float32)
    assert samplers.Episodes(x, NAMES, 2, 1, 1, classes=["u1", "u2"]).sample(0, 5, np.float32)


def frames(data):
    pd = pytest.importorskip("pandas")
    made = [pd.DataFrame(data)]
    try:
        import polars as pl
    except ImportError:
        pass
    else:
        made.append(pl.DataFrame(data))
    try:
        import pyarrow as pa
    except ImportError:
        pass
    else:
        made.append(pa.table({k: pa.array(v) for k, v in data.items()}))
    return made


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("float32", "float32"), "float32"),
        (("float32", "float64"), "float64"),
        (("float64", "int8"), "float64"),
        (("float32", "int64"), "float32"),
        (("int64", "uint8"), "float32"),
    ],
)
def test_frames_keep_the_dtype_of_their_columns(dtypes, expected):
    data = {"age": (100 * X[:, 0]).astype(dtypes[0]), "size": (100 * X[:, 1]).astype(dtypes[1])}
    for frame in frames(data):
        target = Y.astype(dtypes[0] if dtypes[0][0] == "f" else "float32")
        batch = samplers.Groups(frame, target, NAMES.tolist(), 10 - 1).all(0)
        assert batch.dtype == expected
        for t in range(6):
            rows = np.concatenate([batch.x_support[t], batch.x_query[t]])
            own = np.stack([v[10 * t : 10 * t + 10] for v in data.values()], axis=1)
            np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(own, axis=0))
        if dtypes[1][0] == "f":
            with_nan = data | {"size": data["size"].copy()}
            with_nan["size"][4] = np.nan
            for holed in frames(with_nan):
                with pytest.raises(ValueError, match="x must be finite, but row 4, column 'size'"):
                    samplers.Groups(holed, target, NAMES.tolist(), 1)


def test_frames_with_words_and_gaps_are_told_by_column():
    for frame in frames({"age": X[:, 0], "who": NAMES.tolist()}):
        with pytest.raises(TypeError, match="x must hold real numbers, but row 0, column 'who' is"):
            samplers.Groups(frame, Y, NAMES, 1)
    pd = pytest.importorskip("pandas")
    for dtype, expected in [("Float32", "float32"), ("Float64", "float64"), ("Int8", "float32")]:
        ages = pd.Series(np.abs(10 * X[:, 0]).round(), dtype=dtype)
        assert samplers.Groups(pd.DataFrame({"age": ages}), ages, NAMES, 1).all(0).dtype == expected
        ages[8] = pd.NA
        with pytest.raises(ValueError, match="x must be finite, but row 8, column 'age' is"):
            samplers.Groups(pd.DataFrame({"age": ages}), Y, NAMES, 1)
        with pytest.raises(ValueError, match="y must be finite, but row 8 is"):
            samplers.Groups(X, ages, NAMES, 1)


def test_integers_are_never_rounded_unasked():
    stamps = 1_700_000_000 + np.arange(N)
    groups = samplers.Groups(stamps, Y.astype(np.float32), NAMES, 1)
    batch = groups.all(0)
    assert batch.dtype == np.float64
    assert sorted(np.concatenate([batch.x_support, batch.x_query], 1).ravel()) == stamps.tolist()
    assert groups.all(0, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="at most 53 bits, but row 1 is 9007199254740993"):
        samplers.Groups(np.arange(N) + 2**53, Y, NAMES, 1)


def test_what_float32_cannot_hold_is_told_by_row():
    x = X.copy()
    x[12, 1] = 1e300
    groups = samplers.Groups(x, Y, NAMES, 1)
    assert groups.all(0).dtype == np.float64
    with pytest.raises(ValueError, match=r"x must fit float32, but row 12, column 1 is 1e\+300"):
        groups.all(0, dtype=np.float32)
    with pytest.raises(ValueError, match="x_range must fit float32"):
        samplers.Sinusoid(x_range=(0, 1e39)).sample(0, 2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": NAMES}, TypeError, "row 0 is the str 'u0'; number the classes from 0 on: numpy.uni"),
        ({"y": NAMES.astype(str)}, TypeError, "number the classes from 0 on"),
        ({"y": np.arange(N) - 3}, ValueError, r"row 0 is -3; targets of a .* floats: y.astype"),
        ({"y": None}, TypeError, "y must be an array, got None"),
        ({"y": DAYS}, TypeError, r"y must hold real numbers, got datetime64\[D\]"),
        ({"x": X + 1j}, TypeError, "x must hold real numbers, got complex128"),
        ({"x": X.astype(object)}, TypeError, r"convert it with numpy.asarray\(x, float\)"),
        ({"x": [[decimal.Decimal(1)]] * N}, TypeError, "row 0, column 0 is a Decimal; convert it"),
        ({"x": [[1.0, None]] * N}, ValueError, "x must be finite, but row 0, column 1 is None"),
        ({"x": [[1.0], [1.0, 2.0]]}, TypeError, "x must be an array, got a list whose items"),
        ({"x": "words"}, TypeError, "x must be an array, got str 'words'"),
        ({"x": np.zeros((N, 0))}, ValueError, r"x must have shape \[rows, ...\] with a row"),
    ],
)
def test_numbers_that_are_none(change, error, message):
    with pytest.raises(error, match=message):
        samplers.Groups(**{"x": X, "y": Y, "groups": NAMES, "k_support": 1} | change)
