"""Weights, masks and classes as arguments: what is refused, named, kept, pickled and taken."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fomaml_fast as ff
from small_batches import K, Q, T, classes, ragged, regression
from subject import algorithm, mlp

ROWS = {"weights_support": K, "weights_query": Q, "mask_support": K, "mask_query": Q}


def value_of(name, shape, dtype="float64"):
    return np.ones(shape, bool if name.startswith("mask") else dtype)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("shape", [(T,), (T, 99), (T + 1, 5), (T, 5, 1), (T, 99, 2), (1, 1, 1, 1)])
def test_wrong_shapes(name, shape):
    _, arrays = regression()
    wanted = f"{T}, {ROWS[name]}, 2" if len(shape) == 3 else f"{T}, {ROWS[name]}"
    with pytest.raises(ValueError, match=rf"{name} must have shape \[{wanted}\]"):
        ff.TaskBatch(**arrays, **{name: value_of(name, shape)})


@pytest.mark.parametrize("name", ROWS)
def test_ragged_rows_that_do_not_fit(name):
    case, _ = regression()
    value = [value_of(name, ROWS[name]) for _ in range(T)]
    ff.TaskBatch(**ragged(case), **{name: value})
    value[1] = value[1][:-1]
    with pytest.raises(ValueError, match=name):
        ff.TaskBatch(**ragged(case), **{name: value})


@pytest.mark.parametrize("name", ["weights_support", "weights_query"])
def test_weights_must_be_finite_numbers_of_the_batch_dtype(name):
    _, arrays = regression()
    weights = value_of(name, (T, ROWS[name]))
    weights[2, 3] = np.nan
    with pytest.raises(ValueError, match=rf"{name}\[2, 3\] is nan"):
        ff.TaskBatch(**arrays, **{name: weights})
    with pytest.raises(TypeError, match=rf"{name} is float32 but x_\w+ is float64"):
        ff.TaskBatch(**arrays, **{name: weights.astype(np.float32)})
    with pytest.raises(TypeError, match=name):
        ff.TaskBatch(**arrays, **{name: np.ones((T, ROWS[name]), int)})
    ff.TaskBatch(**arrays, **{name: np.ones((T, ROWS[name]), int)}, dtype=np.float32)


@pytest.mark.parametrize("name", ["mask_support", "mask_query"])
def test_masks_must_be_bool_and_leave_rows(name):
    _, arrays = regression()
    with pytest.raises(TypeError, match=f"{name} must be bool, got int64"):
        ff.TaskBatch(**arrays, **{name: np.ones((T, ROWS[name]), int)})
    mask = value_of(name, (T, ROWS[name]))
    mask[1] = False
    with pytest.raises(ValueError, match=f"{name} must leave at least one row.*task 1"):
        ff.TaskBatch(**arrays, **{name: mask})


@pytest.mark.parametrize("name", ["x_support", "y_query"])
def test_rows_that_stay_are_checked_where_they_stand(name):
    _, arrays = regression()
    mask = np.ones((T, arrays[name].shape[1]), bool)
    mask[1, 0] = False
    arrays[name][1, 0] = np.nan
    which = {name.replace("x_", "mask_").replace("y_", "mask_"): mask}
    ff.TaskBatch(**arrays, **which)
    arrays[name][1, 2, 1] = np.nan
    with pytest.raises(ValueError, match=rf"{name}\[1, 2, 1\] is nan"):
        ff.TaskBatch(**arrays, **which)


def test_labels_of_masked_rows_are_not_looked_at():
    case, arrays = classes()
    mask = np.ones((T, K), bool)
    mask[0, 2] = mask[2, 4] = False
    arrays["y_support"][0, 2], arrays["y_support"][2, 4] = -3, 999
    batch = ff.TaskBatch(**arrays, mask_support=mask)
    ff.meta_grad(mlp(case), case.theta, batch, algorithm())
    with pytest.raises(ValueError, match="y_support must hold labels of at least 0"):
        ff.TaskBatch(**arrays)


def test_class_mask_is_checked():
    case, arrays = classes()
    net, mask = mlp(case), np.ones((T, 4), bool)
    for bad, error in {
        "bool": (mask.astype(int), TypeError),
        "shape": (mask[0], ValueError),
        "3 tasks": (mask[:-1], ValueError),
        "at least one class.*task 1": (mask & (np.arange(T) != 1)[:, None], ValueError),
    }.items():
        value, kind = error
        with pytest.raises(kind, match=rf"class_mask.*{bad}"):
            ff.TaskBatch(**arrays, class_mask=value)
    gone = mask.copy()
    gone[1, arrays["y_query"][1, 0]] = False
    arrays["y_support"][1] = (arrays["y_query"][1, 0] + 1) % 4
    with pytest.raises(ValueError, match=r"y_query.*row 0 of task 1"):
        ff.TaskBatch(**arrays, class_mask=gone)
    wide = ff.TaskBatch(**arrays, class_mask=np.ones((T, 5), bool))
    with pytest.raises(ValueError, match="class_mask must have 4 columns"):
        ff.meta_grad(net, case.theta, wide, algorithm())
    with pytest.raises(ValueError, match="class_mask"):
        net.loss(case.theta, arrays["x_support"], arrays["y_support"], class_mask=[True] * 5)


def test_class_mask_wants_cross_entropy():
    case, arrays = regression()
    batch = ff.TaskBatch(**arrays, class_mask=np.ones((T, 2), bool))
    with pytest.raises(ValueError, match="class_mask needs the loss cross_entropy"):
        ff.meta_grad(mlp(case), case.theta, batch, algorithm())
    arrays["y_support"][:] = 1.0
    arrays["y_query"][2, 4] = [0.0, 0.5]
    mask = np.ones((T, 2), bool)
    mask[2, 1] = False
    with pytest.raises(ValueError, match=r"y_support.*row 0 of task 2 names class 1"):
        ff.TaskBatch(**arrays, class_mask=mask)


def test_network_functions_name_what_does_not_fit():
    case, arrays = classes()
    net, x, y = mlp(case), arrays["x_support"], arrays["y_support"]
    for name, value in {
        "weights": np.ones((T, K + 1)),
        "mask": np.ones((T, K + 1), bool),
        "class_mask": np.ones((T + 1, 4), bool),
    }.items():
        for call in (
            lambda **extra: net.loss(case.theta, x, y, **extra),
            lambda **extra: net.value_and_grad(case.theta, x, y, **extra),
            lambda **extra: net.hvp(case.theta, x, y, case.theta, **extra),
            lambda **extra: ff.adapt(net, case.theta, x, y, algorithm(), **extra),
        ):
            with pytest.raises(ValueError, match=rf"^{name} must"):
                call(**{name: value})


def test_task_weights_are_checked_and_kept():
    _, arrays = regression()
    weights = np.array([0.5, -1.0, 2.0])
    batch = ff.TaskBatch(**arrays, task_weights=weights)
    weights[:] = 0
    np.testing.assert_array_equal(batch.task_weights, [0.5, -1, 2])
    np.testing.assert_array_equal(batch.take([2, 0]).task_weights, [2, 0.5])
    assert ff.TaskBatch(**arrays).task_weights is None
    assert ff.TaskBatch(**arrays, task_weights=[1, 2, 3]).task_weights.dtype == np.float64
    for bad in ([1.0, 2.0], [[1.0, 2.0, 3.0]], [1.0, np.inf, 1.0]):
        with pytest.raises(ValueError, match="task_weights"):
            ff.TaskBatch(**arrays, task_weights=bad)
    with pytest.raises(TypeError, match="task_weights is float32"):
        ff.TaskBatch(**arrays, task_weights=np.ones(T, np.float32))


def everything(dtype="float64"):
    """A batch with all of it, and what is left of its rows."""
    case, arrays = classes(dtype)
    rng = np.random.default_rng(1)
    options = {
        "weights_support": rng.normal(size=(T, K)).astype(dtype),
        "weights_query": rng.normal(size=(T, Q)).astype(dtype),
        "mask_support": np.arange(T * K).reshape(T, K) % 4 != 1,
        "task_weights": rng.normal(size=T).astype(dtype),
        "class_mask": np.ones((T, 4), bool),
    }
    return case, arrays, options, ff.TaskBatch(**arrays, **options)


def assert_same(one, other):
    assert repr(one) == repr(other)
    for name in (
        *("x_support", "y_support", "x_query", "y_query"),
        *("weights_support", "weights_query", "task_weights", "class_mask"),
    ):
        a, b = getattr(one, name), getattr(other, name)
        assert type(a) is type(b)
        if a is not None:
            for a_task, b_task in zip(a, b, strict=True):
                np.testing.assert_array_equal(a_task, b_task)


def test_properties_hold_the_rows_that_stay():
    _, arrays, options, batch = everything()
    for t, mask in enumerate(options["mask_support"]):
        np.testing.assert_array_equal(batch.x_support[t], arrays["x_support"][t][mask])
        np.testing.assert_array_equal(batch.y_support[t], arrays["y_support"][t][mask])
        kept = options["weights_support"][t][mask]
        np.testing.assert_array_equal(batch.weights_support[t], kept)
    np.testing.assert_array_equal(batch.weights_query, options["weights_query"])
    np.testing.assert_array_equal(batch.class_mask, options["class_mask"])
    assert "ragged" in repr(batch)
    even = np.ones((T, K), bool)
    even[:, 2] = False
    tasks = ff.TaskBatch(**arrays, mask_support=even)
    assert tasks.x_support.shape == (T, K - 1, 2)
    assert tasks.weights_support is tasks.weights_query is tasks.class_mask is None


def test_pickling_and_taking_keep_everything():
    case, _, _, batch = everything()
    restored = pickle.loads(pickle.dumps(batch))
    assert_same(batch, restored)
    assert_same(batch.take([2, 0]).take([1]), batch.take([0]))
    net = mlp(case)
    whole = ff.meta_grad(net, case.theta, batch, algorithm("exact", 2), per_task=True)
    part = ff.meta_grad(net, case.theta, batch.take([1]), algorithm("exact", 2), per_task=True)
    np.testing.assert_allclose(part.task_grads[0], whole.task_grads[1], rtol=1e-12, atol=1e-15)
    again = ff.meta_grad(net, case.theta, restored, algorithm("exact", 2))
    np.testing.assert_array_equal(again.grad, whole.grad)


def test_diverged_tasks_are_dropped_with_what_they_carry():
    case, arrays, options, _ = everything()
    options = {**options, "weights_support": options["weights_support"] ** 2}
    options["weights_support"][1] *= 1e200
    batch = ff.TaskBatch(**arrays, **options)
    inner, net = algorithm("first", 3), mlp(case)
    with pytest.raises(ff.DivergenceError):
        ff.meta_grad(net, case.theta, batch, inner)
    result = ff.meta_grad(net, case.theta, batch, inner, on_divergence="drop")
    assert result.diverged.tolist() == [False, True, False]
    rest = ff.meta_grad(net, case.theta, batch.take([0, 2]), inner)
    np.testing.assert_array_equal(result.grad, rest.grad)
