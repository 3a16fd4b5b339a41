"""Arrays of every layout and container are read, and none is ever written."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from cases import DTYPES, GRADIENTS, LR, build
from small_batches import T, classes, ragged, regression
from subject import algorithm, batch, meta_grad, mlp


class Wrapped:
    """Only ``__array__``."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype=dtype)


class Capsule:
    """Only DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Subclass(np.ndarray):
    """Multiplies differently, as numpy.matrix does: the core must not care."""

    def __mul__(self, other):
        raise AssertionError("the subclass's own arithmetic was used")

    __matmul__ = __add__ = __mul__


def read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def strided(array):
    """The same values with gaps between them along every axis."""
    padded = np.full([2 * n for n in array.shape], 77, array.dtype)
    view = padded[tuple(slice(0, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def misaligned(array):
    """The same values at an address that is no multiple of the item size."""
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    view = buffer[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "strided": strided,
    "reversed": lambda array: array[..., ::-1].copy()[..., ::-1],
    "read-only": read_only,
    "misaligned": misaligned,
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "subclass": lambda array: array.view(Subclass),
    "__array__": Wrapped,
    "DLPack": Capsule,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("make", [regression, classes])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_layout_and_container(layout, make, dtype):
    case, arrays = make(dtype)
    change = LAYOUTS[layout]
    net, inner = mlp(case), algorithm("exact", 2)
    expected = ff.meta_grad(net, case.theta, ff.TaskBatch(**arrays), inner).grad
    changed = {name: change(array) for name, array in arrays.items()}
    result = ff.meta_grad(net, change(case.theta), ff.TaskBatch(**changed), inner).grad
    assert type(result) is np.ndarray
    np.testing.assert_allclose(
        result, expected, rtol=0, atol={"float32": 1e-6, "float64": 1e-15}[dtype]
    )

    x, y = case.tasks[0].x_support, case.tasks[0].y_support
    _, expected = net.value_and_grad(case.theta, x, y)
    _, result = net.value_and_grad(change(case.theta), change(x), change(y))
    np.testing.assert_allclose(
        result, expected, rtol=0, atol={"float32": 1e-6, "float64": 1e-15}[dtype]
    )


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of numpy.matrix itself
def test_numpy_matrix():
    case, _ = regression()
    x = np.asmatrix(case.tasks[0].x_support)
    predicted = mlp(case).predict(case.theta, x)
    assert type(predicted) is np.ndarray
    np.testing.assert_array_equal(predicted, mlp(case).predict(case.theta, np.asarray(x)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_lists_of_numbers_take_the_dtype_of_theta(dtype):
    case, _ = regression(dtype)
    x, y = case.tasks[0].x_support, case.tasks[0].y_support
    net = mlp(case)
    assert net.loss(case.theta, x.tolist(), y.tolist()) == net.loss(case.theta, x, y)
    assert net.predict(case.theta, [[1, 2]]).dtype == dtype
    labelled, _ = classes(dtype)
    x, y = labelled.tasks[0].x_support, labelled.tasks[0].y_support
    assert mlp(labelled).loss(labelled.theta, x.tolist(), y.tolist()) == mlp(labelled).loss(
        labelled.theta, x, y
    )


def test_lists_of_lists_make_a_batch():
    case, arrays = regression()
    tasks = ff.TaskBatch(**{name: array.tolist() for name, array in arrays.items()})
    result = ff.meta_grad(mlp(case), case.theta, tasks, algorithm())
    np.testing.assert_array_equal(result.grad, meta_grad(case).grad)


def test_masked_arrays_are_refused():
    _, arrays = regression()
    with pytest.raises(TypeError, match="x_support"):
        ff.TaskBatch(**{**arrays, "x_support": np.ma.masked_array(arrays["x_support"])})


def test_contiguous_arrays_are_not_copied():
    _, arrays = regression()
    tasks = ff.TaskBatch(**arrays)
    for name, array in arrays.items():
        assert np.shares_memory(getattr(tasks, name), array)


@pytest.mark.parametrize(
    ("make", "gradient"), list(itertools.product([regression, classes], GRADIENTS))
)
def test_inputs_are_never_written(make, gradient):
    case, arrays = make()
    v = case.theta.copy()
    everything = [case.theta, v, *arrays.values()]
    copies = [array.copy() for array in everything]
    net, tasks, inner = mlp(case), ff.TaskBatch(**arrays), algorithm(gradient, 2)
    x, y, *_ = arrays.values()
    ff.meta_grad(net, case.theta, tasks, inner, per_task=True, trace=True)
    ff.evaluate(net, case.theta, tasks, inner)
    ff.adapt(net, case.theta, x, y, inner, trace=True)
    ff.adapt(net, case.theta, x, y, inner)
    net.predict(case.theta, x)
    net.value_and_grad(case.theta, x, y)
    net.hvp(case.theta, x, y, v)
    state = ff.init_state(net, inner, ff.outer.Adam(), theta=case.theta)
    ff.meta_step(net, state, tasks, inner, ff.outer.Adam())
    for array, copy in zip(everything, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


# ----------------------------------------------------------------------------------------- batches


def test_batch_attributes():
    case, arrays = classes("float32")
    tasks = ff.TaskBatch(**arrays)
    assert len(tasks) == tasks.n_tasks == T
    assert tasks.dtype == np.float32
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(tasks, name), array)
    for name, array in ragged(case).items():
        for ours, theirs in zip(getattr(ff.TaskBatch(**ragged(case)), name), array, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("make_ragged", [False, True])
def test_take(make_ragged):
    rows = [(3, 4), (1, 2), (6, 1), (2, 2)] if make_ragged else [(3, 4)] * 4
    case = build((2, 5, 3), "tanh", "cross_entropy", rows=rows)
    tasks = batch(case, ragged=make_ragged)
    for indices in ([2], [3, 0, 0], np.array([1, 3]), np.array([True, False, True, False])):
        chosen = np.arange(4)[indices]
        part = tasks.take(indices)
        assert len(part) == len(chosen)
        expected = oracle.meta_gradient(
            case.net, case.theta, [case.tasks[i] for i in chosen], LR, 1, "first"
        )
        result = ff.meta_grad(mlp(case), case.theta, part, algorithm(), per_task=True)
        np.testing.assert_allclose(result.task_grads, expected.task_grads, atol=1e-13)
    for bad in ([], [4], [-5], np.zeros((2, 2), int)):
        with pytest.raises((ValueError, IndexError)):
            tasks.take(bad)
