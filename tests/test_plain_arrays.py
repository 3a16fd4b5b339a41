"""Arrays that the core reads in place, and the same numbers converted: same bits and errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fomaml_fast as ff

SIZES = (3, 5, 2)
LOSSES = ("mse", "cross_entropy", "binary_cross_entropy")
METHODS = ("predict", "loss", "value_and_grad", "hvp", "gnvp", "jvp", "vjp")
#: Tasks of theta, x and y, v: None where there is no such axis.
TASKS = [
    (None, None, None),
    (None, 1, None),
    (1, None, None),
    (None, None, 1),
    (None, 3, None),
    (3, None, None),
    (None, None, 3),
    (3, 1, 1),
    (1, 3, 3),
    (3, 3, 3),
    (3, 3, None),
]


def draw(rng, tasks, *shape):
    return rng.standard_normal(shape if tasks is None else (tasks, *shape))


def arguments(method, loss, tasks, dtype, rows=4, labels=np.int64):
    """A network and the arrays of one call."""
    of_theta, of_x, of_v = tasks
    rng = np.random.default_rng(7)
    net = ff.MLP(SIZES, "tanh", loss)
    theta = draw(rng, of_theta, net.n_params).astype(dtype)
    x = draw(rng, of_x, rows, SIZES[0]).astype(dtype)
    y = np.abs(draw(rng, of_x, rows, SIZES[-1]) % 1).astype(dtype)
    if loss == "cross_entropy" and labels is not None:
        y = rng.integers(0, SIZES[-1], y.shape[:-1]).astype(labels)
    v = draw(rng, of_v, net.n_params).astype(dtype)
    cotangent = draw(rng, of_v, rows, SIZES[-1]).astype(dtype)
    return net, {
        "predict": (theta, x),
        "loss": (theta, x, y),
        "value_and_grad": (theta, x, y),
        "hvp": (theta, x, y, v),
        "gnvp": (theta, x, y, v),
        "jvp": (theta, x, v),
        "vjp": (theta, x, cotangent),
    }[method]


def strided(array):
    """The same numbers with gaps between them, so that they have to be copied."""
    wide = np.full((*array.shape, 2), 77, array.dtype)
    wide[..., 0] = array
    return wide[..., 0]


def assert_same(short, long):
    assert type(short) is type(long)
    if isinstance(short, tuple):
        for mine, other in zip(short, long, strict=True):
            assert_same(mine, other)
    elif isinstance(short, float):
        assert short == long
    else:
        assert (short.dtype, short.shape) == (long.dtype, long.shape)
        assert short.tobytes() == long.tobytes()
        assert short.flags.writeable


@pytest.mark.parametrize(("method", "tasks"), list(itertools.product(METHODS, TASKS)))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_converted_arrays_give_the_same_bits(method, tasks, dtype):
    for loss in LOSSES:
        net, arrays = arguments(method, loss, tasks, dtype)
        expected = getattr(net, method)(*arrays)
        assert_same(getattr(net, method)(*map(strided, arrays)), expected)
        for threads in (1, 2):
            assert_same(getattr(net, method)(*arrays, threads=threads), expected)
        assert_same(getattr(net, method)(*arrays, check_finite=False), expected)


@pytest.mark.parametrize("tasks", [tasks for tasks in TASKS if tasks[2] is None])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("context", [0, 2])
def test_adapt_of_converted_arrays(tasks, dtype, context):
    inner = ff.cavia(0.05, 2, context) if context else ff.fomaml(0.05, 2)
    for loss in LOSSES:
        net, (theta, x, y) = arguments("loss", loss, tasks, dtype)
        arrays = (theta, np.ascontiguousarray(x[..., context:]), y)
        expected = ff.adapt(net, *arrays, inner)
        assert_same(ff.adapt(net, *map(strided, arrays), inner), expected)
        for threads in (1, 2):
            assert_same(ff.adapt(net, *arrays, inner, threads=threads), expected)


@pytest.mark.parametrize("labels", [np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_labels_of_any_width(labels):
    net, arrays = arguments("loss", "cross_entropy", (None, 3, None), "float32", labels=labels)
    wide = (*arrays[:2], arrays[2].astype(np.int64))
    assert_same(net.loss(*arrays), net.loss(*map(strided, wide)))


@pytest.mark.parametrize("method", METHODS)
def test_read_only_arrays_stay_as_they_are(method):
    net, arrays = arguments(method, "mse", (None, None, None), "float64")
    expected = getattr(net, method)(*arrays)
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    assert_same(getattr(net, method)(*arrays), expected)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def replaced(arrays, index, value):
    return [value if i == index else array for i, array in enumerate(arrays)]


def spoiled(arrays):
    """The arguments of a call, each of them wrong in some way, one at a time."""
    for index, array in enumerate(arrays):
        yield replaced(arrays, index, array[..., :-1].copy())
        yield replaced(arrays, index, array[None, None])
        yield replaced(arrays, index, array[:0].copy())
        yield replaced(arrays, index, np.stack([array, array])[:0])
        yield replaced(arrays, index, array.astype(np.complex128))
        yield replaced(arrays, index, None)
        yield replaced(arrays, index, np.ma.masked_array(array))
        if array.dtype.kind == "f":
            yield replaced(arrays, index, array.astype(np.float16))
            yield replaced(arrays, index, array.astype(np.float64))
            yield replaced(arrays, index, np.full_like(array, np.nan))
        else:
            for label in (-1, SIZES[-1], 2**31, 2**40):
                yield replaced(arrays, index, np.full_like(array, label))


def outcome(call, arrays):
    try:
        return call(*arrays)
    except (TypeError, ValueError) as error:
        return type(error), str(error)


@pytest.mark.parametrize(("method", "loss"), list(itertools.product(METHODS, LOSSES)))
@pytest.mark.parametrize("tasks", [(None, None, None), (None, 3, None), (3, 3, 3)])
def test_wrong_arguments_are_explained_in_the_same_words(method, loss, tasks):
    """Whether an array is read in place or converted first."""
    net, arrays = arguments(method, loss, tasks, "float32")
    call, errors = getattr(net, method), 0
    for case in spoiled(arrays):
        mine = outcome(call, case)
        converted = [strided(a) if type(a) is np.ndarray and a.ndim else a for a in case]
        if isinstance(mine, tuple) and isinstance(mine[0], type):
            errors += 1
            assert outcome(call, converted) == mine
        else:
            np.testing.assert_equal(outcome(call, converted), mine)
    assert errors > len(list(spoiled(arrays))) // 2


@pytest.mark.parametrize("threads", [0, -1, 1.0, True, "2", 2**31, 2**70])
def test_wrong_threads_are_refused(threads):
    net, arrays = arguments("loss", "mse", (None, None, None), "float32")
    with pytest.raises((TypeError, ValueError), match="threads"):
        net.loss(*arrays, threads=threads)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3), (0, 4, 3)])
def test_no_rows_predict_nothing(shape):
    net = ff.MLP(SIZES)
    theta = net.init(0)
    outputs = net.predict(theta, np.empty(shape, np.float32))
    assert outputs.shape == (*shape[:-1], SIZES[-1])
    with pytest.raises(ValueError, match="x"):
        net.loss(theta, np.empty(shape, np.float32), np.empty((*shape[:-1], 2), np.float32))


# ----------------------------------------------------------------------------- batches with a dtype


def batch_arrays(kind, labelled):
    rng = np.random.default_rng(3)
    xs = [rng.standard_normal((4, n, 3)).astype(kind) for n in (2, 5)]
    if labelled:
        ys = [rng.integers(0, 2, (4, n)) for n in (2, 5)]
    else:
        ys = [rng.standard_normal((4, n, 2)).astype(kind) for n in (2, 5)]
    return xs[0], ys[0], xs[1], ys[1]


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", ">f8"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_batch_with_a_dtype_holds_the_same_numbers(kind, dtype, labelled):
    arrays = batch_arrays(kind, labelled)
    short = ff.TaskBatch(*arrays, dtype=dtype, task_weights=np.arange(4))
    long = ff.TaskBatch(*map(list, arrays), dtype=dtype, task_weights=np.arange(4))
    assert short.dtype == long.dtype == dtype
    for name in ("x_support", "y_support", "x_query", "y_query", "task_weights"):
        assert_same(np.asarray(getattr(short, name)).copy(), np.asarray(getattr(long, name)).copy())


def test_a_batch_that_has_its_dtype_is_not_copied():
    arrays = batch_arrays("float32", False)
    tasks = ff.TaskBatch(*arrays, dtype=np.float32)
    for name, array in zip(("x_support", "y_support", "x_query", "y_query"), arrays, strict=True):
        assert np.shares_memory(getattr(tasks, name), array)


@pytest.mark.parametrize("index", range(4))
def test_wrong_arrays_are_refused_with_a_dtype(index):
    names = ("x_support", "y_support", "x_query", "y_query")
    arrays = batch_arrays("float64", False)
    for wrong in (arrays[index] * np.nan, arrays[index][:-1], arrays[index].astype(complex)):
        with pytest.raises((TypeError, ValueError), match=names[index][2:]):
            ff.TaskBatch(*replaced(arrays, index, wrong), dtype=np.float32)
