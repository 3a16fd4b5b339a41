"""Numbers out of range, and numbers that are not finite, are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
from cases import DTYPES
from small_batches import ARGUMENTS, classes, ragged, regression
from subject import algorithm, batch, meta_grad, mlp


@pytest.mark.parametrize("bad", [-1, 4, 2**31, 2**40])
@pytest.mark.parametrize("name", ["y_support", "y_query"])
def test_label_out_of_range(name, bad):
    case, arrays = classes()
    labels = arrays[name].copy()
    labels[1, 2] = bad
    with pytest.raises(ValueError, match=rf"{name}.*{bad}"):
        ff.meta_grad(mlp(case), case.theta, ff.TaskBatch(**{**arrays, name: labels}), algorithm())
    lists = ragged(case)
    lists[name] = [*lists[name][:2], labels[1]]
    with pytest.raises(ValueError, match=rf"{name}.*{bad}"):
        ff.meta_grad(mlp(case), case.theta, ff.TaskBatch(**lists), algorithm())


def test_label_out_of_range_in_network_functions():
    case, _ = classes()
    labels = case.tasks[0].y_support.copy()
    labels[0] = 4
    with pytest.raises(ValueError, match=r"\by\b.*4"):
        mlp(case).loss(case.theta, case.tasks[0].x_support, labels)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_labels_of_any_integer_type(dtype):
    case, arrays = classes()
    labels = {name: arrays[name].astype(dtype) for name in ("y_support", "y_query")}
    result = ff.meta_grad(mlp(case), case.theta, ff.TaskBatch(**{**arrays, **labels}), algorithm())
    np.testing.assert_array_equal(result.grad, meta_grad(case).grad)


@pytest.mark.parametrize("dtype", [np.bool_, np.float64])
def test_labels_of_other_types(dtype):
    case, arrays = classes()
    arrays["y_support"] = arrays["y_support"].astype(dtype)
    with pytest.raises((TypeError, ValueError), match="y_support"):
        ff.meta_grad(mlp(case), case.theta, ff.TaskBatch(**arrays), algorithm())


@pytest.mark.parametrize("kind", ["stacked", "ragged"])
def test_labels_edited_later_do_not_matter(kind):
    """The batch owns its labels: no alias of them can ever index out of bounds."""
    case, arrays = classes()
    given = arrays if kind == "stacked" else ragged(case)
    given = {n: np.array(a) if kind == "stacked" else [*map(np.array, a)] for n, a in given.items()}
    for name in ("y_support", "y_query"):  # int32 is what the core reads: the tempting alias
        labels = given[name]
        given[name] = (
            labels.astype(np.int32)
            if kind == "stacked"
            else [array.astype(np.int32) for array in labels]
        )
    tasks = ff.TaskBatch(**given)
    expected = ff.meta_grad(mlp(case), case.theta, tasks, algorithm()).grad
    for name in ("y_support", "y_query"):
        for labels in given[name]:
            labels[...] = 10**6
        for labels in getattr(tasks, name):
            try:
                labels[...] = 10**6
            except ValueError:
                assert not labels.flags.writeable
    np.testing.assert_array_equal(
        ff.meta_grad(mlp(case), case.theta, tasks, algorithm()).grad, expected
    )


SIZES_REFUSED = [
    ((), ValueError),
    ((3,), ValueError),
    ((3, 0, 1), ValueError),
    ((3, -1), ValueError),
    ((2**31, 1), ValueError),
    ((2**31 - 1, 2**31 - 1, 2**31 - 1), ValueError),
    ((10**30, 1), ValueError),
    ((3, 1.5), TypeError),
    ((3, True), TypeError),
    ((3, "4"), TypeError),
    ("12", TypeError),
    (5, TypeError),
    (None, TypeError),
]


@pytest.mark.parametrize(("sizes", "error"), SIZES_REFUSED)
def test_sizes_refused(sizes, error):
    with pytest.raises(error, match="sizes"):
        ff.MLP(sizes)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"activation": "swish"}, ValueError, "activation"),
        ({"activation": ("relu",)}, ValueError, "activation"),
        ({"activation": ("relu", "nope")}, ValueError, "activation"),
        ({"loss": "mae"}, ValueError, "loss"),
        ({"loss": 3}, TypeError, "loss"),
    ],
)
def test_network_options_refused(options, error, match):
    with pytest.raises(error, match=match):
        ff.MLP((2, 3, 3, 1), **options)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: ff.maml(steps=-1), ValueError, "steps"),
        (lambda: ff.maml(steps=1.5), TypeError, "steps"),
        (lambda: ff.maml(steps=True), TypeError, "steps"),
        (lambda: ff.maml(steps=2**40), ValueError, "steps"),
        (lambda: ff.maml(lr=float("nan")), ValueError, "lr"),
        (lambda: ff.maml(lr=float("inf")), ValueError, "lr"),
        (lambda: ff.maml(lr="fast"), TypeError, "lr"),
        (lambda: ff.Algorithm("sgd"), TypeError, "inner"),
        (lambda: ff.Algorithm(ff.inner.SGD(0.1), gradient="second"), ValueError, "gradient"),
        (lambda: ff.Algorithm(ff.inner.SGD(0.1), adapt="nothing"), ValueError, "adapt"),
    ],
)
def test_algorithm_refuses(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"threads": 0}, ValueError, "threads"),
        ({"threads": -2}, ValueError, "threads"),
        ({"threads": 1.5}, TypeError, "threads"),
        ({"reduction": "max"}, ValueError, "reduction"),
        ({"on_divergence": "ignore"}, ValueError, "on_divergence"),
    ],
)
def test_options_refused(options, error, match):
    case, _ = regression()
    state = ff.init_state(mlp(case), algorithm(), ff.outer.SGD(0.1), theta=case.theta)
    with pytest.raises(error, match=match):
        ff.meta_grad(mlp(case), case.theta, batch(case), algorithm(), **options)
    with pytest.raises(error, match=match):
        ff.meta_step(mlp(case), state, batch(case), algorithm(), ff.outer.SGD(0.1), **options)


@pytest.mark.parametrize("steps", [(), (-1,), (1.5,), (2**40,)])
def test_evaluate_refuses_steps(steps):
    case, _ = regression()
    with pytest.raises((ValueError, TypeError), match="steps"):
        ff.evaluate(mlp(case), case.theta, batch(case), algorithm(), steps=steps)
    if steps:
        with pytest.raises((ValueError, TypeError), match="steps"):
            ff.adapt(mlp(case), case.theta, *case.arrays()[:2], algorithm(), steps=steps[0])


def test_more_threads_than_tasks_are_fine():
    case, _ = regression()
    np.testing.assert_array_equal(meta_grad(case, threads=500).grad, meta_grad(case).grad)


# ------------------------------------------------------------------------------- NaN and infinity


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_data_that_is_not_finite_is_named(name, value, dtype):
    _, arrays = regression(dtype)
    bad = arrays[name].copy()
    bad[1, 3, 1] = bad[2, 0, 0] = value
    with pytest.raises(ValueError, match=rf"{name}\[1, 3, 1\]"):
        ff.TaskBatch(**{**arrays, name: bad})


def test_ragged_data_that_is_not_finite_is_named():
    case, _ = regression()
    for name in ARGUMENTS:
        arrays = ragged(case)
        arrays[name] = [array.copy() for array in arrays[name]]
        arrays[name][2][3, 1] = np.nan
        with pytest.raises(ValueError, match=rf"{name}\[2(\]\[|, )3, 1\]"):
            ff.TaskBatch(**arrays)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_theta_that_is_not_finite_is_named(value, dtype):
    case, _ = regression(dtype)
    theta = case.theta.copy()
    theta[5] = theta[9] = value
    calls = {
        "theta": [
            lambda: ff.meta_grad(mlp(case), theta, batch(case), algorithm()),
            lambda: ff.evaluate(mlp(case), theta, batch(case), algorithm()),
            lambda: ff.adapt(mlp(case), theta, *case.arrays()[:2], algorithm()),
            lambda: mlp(case).predict(theta, case.tasks[0].x_support),
            lambda: ff.init_state(mlp(case), algorithm(), ff.outer.SGD(1.0), theta=theta),
        ]
    }
    for name, functions in calls.items():
        for call in functions:
            with pytest.raises(ValueError, match=rf"{name}\[5\]"):
                call()
    with pytest.raises(ValueError, match=r"theta\[1, 5\]"):
        mlp(case).predict(np.stack([case.theta, theta]), case.tasks[0].x_support)


def test_rows_that_are_not_finite_are_named_by_network_functions():
    case, _ = regression()
    x, y, _, _ = (array.copy() for array in case.tasks[0])
    x[4, 1] = y[2, 0] = np.nan
    net = mlp(case)
    with pytest.raises(ValueError, match=r"\bx\b.*4, 1"):
        net.predict(case.theta, x)
    with pytest.raises(ValueError, match=r"\by\b.*2, 0"):
        net.loss(case.theta, case.tasks[0].x_support, y)


def test_the_check_can_be_switched_off():
    case, _ = regression()
    x = case.tasks[0].x_support.copy()
    x[0, 0] = np.nan
    predicted = mlp(case).predict(case.theta, x, check_finite=False)
    assert np.isnan(predicted[0]).all()
    assert np.isfinite(predicted[1:]).all()


def test_tangents_are_scanned_where_their_products_are_not_finite():
    case, _ = regression()
    v = np.full_like(case.theta, np.inf)
    arguments = case.theta, case.tasks[0].x_support, case.tasks[0].y_support, v
    with pytest.raises(ValueError, match=r"v must be finite, but v\[0\] is inf"):
        mlp(case).hvp(*arguments)
    assert not np.isfinite(mlp(case).hvp(*arguments, check_finite=False)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_that_overflow_say_so(dtype):
    net, huge = ff.MLP([1, 4, 1], activation="identity"), np.array(np.finfo(dtype).max / 8)
    theta, x, y = net.init(0, dtype), np.ones((2, 1), dtype), np.zeros((2, 1), dtype)
    huge, c = huge.astype(dtype), np.ones((2, 1), dtype)
    over = np.full_like(theta, huge)
    for call in (
        lambda **how: net.predict(over, x * huge, **how),
        lambda **how: net.value_and_grad(over, x, y + huge, **how),
        lambda **how: net.hvp(over, x, y, theta, **how),
        lambda **how: net.gnvp(over, x, y, over, **how),
        lambda **how: net.vjp(over, x * huge, c * huge, **how),
        lambda **how: net.jvp(over, x * huge, over, **how),
        lambda **how: net.jacobian(over, x * huge, **how),
    ):
        with pytest.raises(OverflowError, match=f"not finite: {dtype} overflows"):
            call()
        values = call(check_finite=False)
        assert not np.isfinite(values[1] if isinstance(values, tuple) else values).all()


def test_a_layer_that_no_network_has():
    for layer in (2**40, -(2**70)):
        with pytest.raises(ValueError, match=r"adapt\[0\] must be the index of a layer"):
            ff.Algorithm(ff.inner.SGD(0.1), adapt=(layer,))


def test_flags_of_numpy_are_flags():
    assert ff.outer.SGD(0.1, 0.9, nesterov=np.True_) == ff.outer.SGD(0.1, 0.9, nesterov=True)
    with pytest.raises(TypeError, match="nesterov must be True or False, got 1"):
        ff.outer.SGD(0.1, 0.9, nesterov=1)


def test_labels_with_an_axis_too_many_are_told_how_to_lose_it():
    net = ff.MLP([1, 3], loss="cross_entropy")
    for y in (np.array([[0], [1]]), np.eye(3, dtype=int)[:2]):
        with pytest.raises(ValueError, match=r"y\[\.\.\., 0\] drops an axis.* one-hot rows"):
            net.loss(net.init(0), np.ones((2, 1), np.float32), y)


def test_one_task_is_taken_as_an_array():
    x = np.zeros((2, 3, 1))
    with pytest.raises(TypeError, match=r"indices must be an array, such as \[1\] for one task"):
        ff.TaskBatch(x, x, x, x).take(1)


def test_statistics_of_large_losses_do_not_overflow():
    losses = np.array([[1.0, 5.0], [3.0, 7.0], [8.0, 9.0]])
    small, large = (
        ff.Evaluation((0, 1), losses * scale, np.zeros((3, 2), bool)) for scale in (1.0, 2.0**1020)
    )
    for name in ("mean", "median", "interval"):
        assert np.array_equal(getattr(large, name), getattr(small, name) * 2.0**1020)
