"""No conversion loses a value silently, and whatever cannot be used is told what it is."""

from __future__ import annotations

import decimal
import io

import numpy as np
import pytest

import fomaml_fast as ff

NET = ff.MLP([2, 4, 1], activation="tanh")
CLASSIFIER = ff.MLP([2, 4, 3], loss="cross_entropy")
X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 3, 2)
Y = X[..., :1] * X[..., 1:]
LABELS = np.array([[0, 1, 2], [2, 1, 0]])
THETA = NET.init(0)
THETA_OF_LABELS = CLASSIFIER.init(0)

#: What a later task's labels may be, and what is said about them.
LATER = {
    "fractions": (np.array([0.9, 1.7, 2.2]), TypeError, r"y\w*\[1\]"),
    "whole floats": (np.array([0.0, 1.0, 2.0], np.float32), TypeError, r"y\w*\[1\]"),
    "booleans": (np.array([True, False, True]), TypeError, r"y\w*\[1\].*bool"),
    "complex": (np.array([0, 1j, 2]), TypeError, r"y\w*\[1\].*complex"),
    "strings": (np.array(["0", "1", "2"]), TypeError, r"y\w*\[1\] holds text"),
    "missing": (np.array([0, 1, None], object), ValueError, r"y\w*\[1\].*missing.*row 2"),
    "beyond int64": (np.array([0, 1, 2**64 - 1], np.uint64), ValueError, r"y\w*\[1\].*fit 32 bits"),
    "beyond int32": (np.array([0, 1, 2**32]), ValueError, r"y\w*\[1\].*fit 32 bits"),
    "negative": (np.array([0, 1, -(2**40)]), ValueError, r"y\w*\[1\].*at least 0"),
    "dates": (np.array(["2020", "2021", "NaT"], "M8[Y]"), TypeError, r"y\w*\[1\] holds dates"),
    "records": (np.zeros(3, [("a", "i4")]), TypeError, r"y\w*\[1\]"),
    "a number": (np.int64(1), ValueError, r"y\w*\[1\]"),
    "nothing": (None, TypeError, r"y\w*\[1\].*None"),
}


@pytest.mark.parametrize("kind", LATER)
@pytest.mark.parametrize("first", [np.int32, np.int64, np.uint8])
def test_labels_of_later_tasks(kind, first):
    """Every task's labels are judged, wherever they are passed."""
    later, error, match = LATER[kind]
    x, y = list(X), [LABELS[0].astype(first), later]
    good = list(LABELS)
    for call in (
        lambda: ff.TaskBatch(x, y, x, good),
        lambda: ff.TaskBatch(x, good, x, y),
        lambda: CLASSIFIER.loss(THETA_OF_LABELS, x, y),
        lambda: CLASSIFIER.value_and_grad(THETA_OF_LABELS, x, y),
        lambda: ff.adapt(CLASSIFIER, THETA_OF_LABELS, x, y, ff.fomaml()),
    ):
        with pytest.raises(error, match=match):
            call()


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64, ">i4"]
)
def test_labels_of_every_integer_type_are_kept(dtype):
    batch = ff.TaskBatch(X, LABELS.astype(dtype), list(X), [LABELS[0].astype(dtype), LABELS[1]])
    assert np.array_equal(batch.y_support, LABELS)
    assert np.array_equal(batch.y_query, LABELS)


def test_python_integers_that_no_dtype_holds():
    """NumPy calls them objects; nothing may fold them into 64 bits."""
    for huge in (2**63, 2**64, -(2**70), 10**400):
        with pytest.raises((TypeError, ValueError), match=r"^y"):
            CLASSIFIER.loss(THETA_OF_LABELS, X[0], [0, 1, huge])
    with pytest.raises((TypeError, ValueError), match=r"^x"):
        NET.predict(THETA, [[0.0, 10**400]])


@pytest.mark.parametrize("huge", [1e39, -1e300, float("inf")])
def test_numbers_beyond_float32_in_lists(huge):
    with pytest.raises(ValueError, match=r"^x must be finite"):
        NET.predict(THETA, [[0.0, huge]])
    with pytest.raises(ValueError, match=r"^x_support must be finite"):
        ff.TaskBatch(X.astype(float) * huge, Y, X, Y, dtype=np.float32)


def test_integers_are_no_regression_targets():
    whole = np.ones((2, 3, 1), int)
    with pytest.raises(ValueError, match=r"^y_support.*floats"):
        ff.TaskBatch(X, whole, X, Y)
    with pytest.raises((TypeError, ValueError), match=r"^y\b.*float"):
        NET.loss(THETA, X[0], np.array([1, 2, 3]))
    with pytest.raises(TypeError, match=r"^y\b.*bool"):
        NET.loss(THETA, X[0], np.ones((3, 1), bool))


@pytest.mark.parametrize("name", ["theta", "x", "y", "weights"])
@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda a: a.astype(np.float64), "float64"),
        (lambda a: a.astype(np.float16), "float16"),
        (lambda a: a.astype(np.longdouble), "longdouble|float128|float96"),
        (lambda a: a.astype(np.complex64), "complex64"),
        (lambda a: a.astype(str), "text"),
        (lambda a: a.astype("M8[s]"), "dates"),
        (lambda a: a.astype("V8"), "void|V8"),
        (lambda a: np.ma.masked_array(a), "masked"),
        (lambda a: np.vectorize(decimal.Decimal)(a.astype(float)), "Decimal"),
        (lambda a: a.astype(object), "Python objects"),
    ],
)
def test_each_dtype_gets_its_true_sentence(name, make, match):
    given = {"theta": THETA, "x": X[0], "y": Y[0], "weights": np.ones(3, np.float32)}
    given[name] = make(given[name])
    with pytest.raises(TypeError, match=rf"(?s)^(x|{name})\b.*({match})"):
        NET.loss(**given)


def _frames():
    """Frames of float32 and of float64 of every library that is installed: (name, small, wide)."""
    columns = {name: X[0][:, i] for i, name in enumerate("ab")}
    wide = {name: column.astype(np.float64) for name, column in columns.items()}
    try:
        import pandas as pd
    except ImportError:
        pass
    else:
        yield "pandas", pd.DataFrame(columns), pd.DataFrame(wide)
    try:
        import polars as pl
    except ImportError:
        pass
    else:
        yield "polars", pl.DataFrame(columns), pl.DataFrame(wide)
    try:
        import pyarrow as pa
    except ImportError:
        pass
    else:
        yield "pyarrow", pa.table(columns), pa.table(wide)


FRAMES = {name: frames for name, *frames in _frames()}


@pytest.mark.parametrize("library", FRAMES)
def test_frames_have_the_dtype_of_their_columns(library):
    small, wide = FRAMES[library]
    assert np.array_equal(NET.predict(THETA, small), NET.predict(THETA, X[0]))
    with pytest.raises(TypeError, match=r"^x is float64 but theta is float32"):
        NET.predict(THETA, wide)
    exact = THETA.astype(np.float64)
    assert np.array_equal(NET.predict(exact, wide), NET.predict(exact, X[0].astype(np.float64)))
    batch = ff.TaskBatch([small, small], list(Y), [small, small], list(Y))
    assert batch.dtype == np.float32
    with pytest.raises(TypeError, match=r"^x_support\[1\] is float64"):
        ff.TaskBatch([small, wide], list(Y), [small, small], list(Y))


def test_nullable_and_arrow_columns_of_pandas():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X[0], columns=["a", "b"])
    with pytest.raises(TypeError, match=r"^x.*float64|^x.*nullable|^x is"):
        NET.predict(THETA, frame.astype("Float64"))
    labels = pd.Series([0, 1, 2], dtype="Int64")
    assert np.array_equal(
        CLASSIFIER.loss(THETA_OF_LABELS, X[0], labels),
        CLASSIFIER.loss(THETA_OF_LABELS, X[0], LABELS[0]),
    )
    for gap in (pd.array([0, None, 2], dtype="Int64"), pd.Series([0, None, 2], dtype="Int32")):
        with pytest.raises(ValueError, match=r"^y must not hold missing values, but row 1 does"):
            CLASSIFIER.loss(THETA_OF_LABELS, X[0], gap)
        with pytest.raises(ValueError, match=r"^y\[1\] must not hold missing.*row 1"):
            CLASSIFIER.loss(THETA_OF_LABELS, list(X), [LABELS[0], gap])


@pytest.mark.parametrize(
    "seed", [0, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64, 10**50, np.uint32(2**32 - 1), np.int8(3)]
)
def test_seeds_are_those_of_numpy(seed):
    """A net without biases' draws: the generator of the same seed draws the same weights."""
    state = ff.init_state(NET, ff.fomaml(), ff.outer.SGD(0.1), seed=seed)
    theta = NET.init(np.random.default_rng(int(seed)))
    assert np.array_equal(NET.init(seed), theta)
    assert np.array_equal(state.theta, theta)


@pytest.mark.parametrize(
    "seed", [-1, 1.0, True, None, "0", [1], np.float64(1), np.timedelta64(1, "s")]
)
def test_what_is_no_seed(seed):
    with pytest.raises((TypeError, ValueError), match=r"^seed must be"):
        NET.init(seed)


OUTER = {
    "sgd": ff.outer.SGD(0.1, momentum=0.9),
    "adam": ff.outer.Adam(0.1, amsgrad=True),
    "adamw": ff.outer.AdamW(0.1),
}


def _squares(outputs, targets):
    error = outputs - targets
    return (error**2).mean(axis=(1, 2)), 2 * error / error[0].size, lambda v: 2 * v / error[0].size


CUSTOM = ff.losses.Custom(_squares)
NETS = {"core": NET, "custom": ff.MLP([2, 4, 1], activation="tanh", loss=CUSTOM)}
BATCH = ff.TaskBatch(X, Y, X, Y)


def _saved_and_loaded(state):
    file = io.BytesIO()
    np.savez(file, **state._asdict())
    file.seek(0)
    with np.load(file) as arrays:
        return ff.State(**arrays)


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("field", ["theta", "moments", "rates"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_damaged_states_are_refused(outer, net, field, value):
    """Whatever the field, as it stands or from a file; nothing is written."""
    algorithm = ff.meta_sgd(0.01)
    state = ff.init_state(NETS[net], algorithm, OUTER[outer])
    getattr(state, field).flat[-1] = value
    for damaged in (state, _saved_and_loaded(state)):
        before = [np.array(part) for part in damaged]
        with pytest.raises(ValueError, match=rf"^state\.{field} must be finite"):
            ff.meta_step(NETS[net], damaged, BATCH, algorithm, OUTER[outer])
        for part, old in zip(damaged, before, strict=True):
            assert np.asarray(part).tobytes() == old.tobytes()


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("outer", [ff.outer.SGD, ff.outer.Adam, ff.outer.AdamW])
@pytest.mark.parametrize("net", NETS)
def test_steps_that_leave_the_numbers_raise(outer, net, learns):
    """An outer rate beyond float32 makes parameters, and learned rates, infinite."""
    algorithm = ff.meta_sgd(0.01) if learns else ff.fomaml()
    optimizer = outer(lr=1e300)
    state = ff.init_state(NETS[net], algorithm, optimizer)
    before = [np.array(part) for part in state]
    with pytest.raises(ff.DivergenceError, match="outer step"):
        ff.meta_step(NETS[net], state, BATCH, algorithm, optimizer)
    for part, old in zip(state, before, strict=True):
        assert np.asarray(part).tobytes() == old.tobytes()


@pytest.mark.parametrize("eps", [0.0, 1e-46])
@pytest.mark.parametrize("outer", [ff.outer.Adam, ff.outer.AdamW])
def test_units_that_never_fire_leave_no_nan(outer, eps):
    """0 / 0 of a gradient that is exactly 0: an error, or numbers; never NaN."""
    net = ff.MLP([1, 4, 1])
    theta = np.zeros(net.n_params, np.float32)
    theta[4:8] = -10
    x = np.ones((2, 3, 1), np.float32)
    batch, optimizer = ff.TaskBatch(x, x, x, x), outer(1e-3, eps=eps)
    state = ff.init_state(net, ff.fomaml(), optimizer, theta=theta)
    try:
        after, _ = ff.meta_step(net, state, batch, ff.fomaml(), optimizer)
    except ff.DivergenceError:
        after = state
    assert all(np.isfinite(part).all() for part in after)
    assert np.array_equal(state.theta, theta)


def test_masks_of_items_are_not_lost():
    masked = np.ma.masked_array(X[0], mask=np.eye(3, 2, dtype=bool))
    for given in (list(masked), [[masked[0]], [masked[1]]], (X[0][0], masked[1])):
        with pytest.raises(TypeError, match=r"^x(\[\d\])? (holds|is a) masked array"):
            NET.predict(THETA, given)


def test_objects_are_told_by_what_they_are():
    pd = pytest.importorskip("pandas")
    gap = pd.Series([True, None, False], dtype="boolean")
    with pytest.raises(ValueError, match="mask must not hold missing values, but row 1 does"):
        NET.loss(THETA, X[0], Y[0], mask=gap)
    with pytest.raises(TypeError, match=r"mask holds booleans .* dtype=bool"):
        NET.loss(THETA, X[0], Y[0], mask=np.array([True, True, False], object))
    with pytest.raises(TypeError, match=r"y holds numbers .* dtype=numpy\.int64"):
        CLASSIFIER.loss(THETA_OF_LABELS, X[0], LABELS[0].astype(object))
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(TypeError, match=r"row 0 of column 'b'"):
        NET.predict(THETA, pa.table({"a": [1.0] * 50, "b": ["x"] * 50}))
