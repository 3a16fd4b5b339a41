"""Wrong shapes, dtypes and kinds of arguments are refused by name."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fomaml_fast as ff
from cases import DTYPES, build
from small_batches import ARGUMENTS, T, classes, ragged, regression
from subject import algorithm, batch, mlp


@pytest.mark.parametrize("name", ["x_support", "x_query", "y_support", "y_query"])
@pytest.mark.parametrize("shape", [(), (3,), (3, 5), (3, 5, 2, 1, 1)])
def test_batch_refuses_wrong_dimensions(name, shape):
    _, arrays = regression()
    with pytest.raises(ValueError, match=name):
        ff.TaskBatch(**{**arrays, name: np.zeros(shape)})


@pytest.mark.parametrize("name", ARGUMENTS)
def test_batch_refuses_mismatched_tasks(name):
    _, arrays = regression()
    with pytest.raises(ValueError, match=rf"[xy]_{name[2:]}.*tasks"):
        ff.TaskBatch(**{**arrays, name: arrays[name][:2]})


@pytest.mark.parametrize("name", ["y_support", "y_query"])
@pytest.mark.parametrize("make", [regression, classes])
def test_batch_refuses_mismatched_rows(name, make):
    _, arrays = make()
    with pytest.raises(ValueError, match=name):
        ff.TaskBatch(**{**arrays, name: arrays[name][:, :-1]})


@pytest.mark.parametrize("name", ["x_query", "y_query"])
def test_batch_refuses_mismatched_columns(name):
    _, arrays = regression()
    with pytest.raises(ValueError, match=name):
        ff.TaskBatch(**{**arrays, name: arrays[name][..., :1]})


@pytest.mark.parametrize(("first", "second"), [("x_support", "y_support"), ("x_query", "y_query")])
def test_batch_refuses_empty_sets(first, second):
    for make in (regression, classes):
        _, arrays = make()
        empty = {first: arrays[first][:, :0], second: arrays[second][:, :0]}
        with pytest.raises(ValueError, match=first):
            ff.TaskBatch(**{**arrays, **empty})


@pytest.mark.parametrize(("first", "second"), [("x_support", "y_support"), ("x_query", "y_query")])
def test_batch_refuses_one_empty_task_among_many(first, second):
    case, _ = regression()
    arrays = ragged(case)
    for name in (first, second):
        arrays[name] = [*arrays[name][:1], arrays[name][1][:0], *arrays[name][2:]]
    with pytest.raises(ValueError, match=rf"{first}.*1"):
        ff.TaskBatch(**arrays)


def test_batch_refuses_no_task():
    _, arrays = regression()
    with pytest.raises(ValueError, match="x_support"):
        ff.TaskBatch(**{name: array[:0] for name, array in arrays.items()})
    with pytest.raises((ValueError, TypeError), match="x_support"):
        ff.TaskBatch([], [], [], [])


@pytest.mark.parametrize("name", ARGUMENTS)
def test_batch_refuses_ragged_tasks_that_do_not_fit(name):
    case, _ = regression()
    arrays = ragged(case)
    one_less = ragged(case, **{name: arrays[name][:-1]})
    with pytest.raises(ValueError, match=rf"[xy]_{name[2:]}.*tasks"):
        ff.TaskBatch(**one_less)
    bad = [*arrays[name][:2], arrays[name][2][:, :1]]
    with pytest.raises(ValueError, match=rf"{name}\[2\]"):
        ff.TaskBatch(**ragged(case, **{name: bad}))
    if name.startswith("y"):
        short = [*arrays[name][:2], arrays[name][2][:-1]]
        with pytest.raises(ValueError, match=rf"{name}.*2"):
            ff.TaskBatch(**ragged(case, **{name: short}))


@pytest.mark.parametrize("name", ["y_support", "y_query"])
def test_targets_of_one_output_need_their_axis(name):
    case = build((2, 6, 1), n_tasks=T)
    arrays = dict(zip(ARGUMENTS, case.arrays(), strict=True))
    with pytest.raises(ValueError, match=rf"{name}.*(newaxis|axis)"):
        ff.TaskBatch(**{**arrays, name: arrays[name][..., 0]})
    flat = [array[:, 0] for array in ragged(case)[name]]
    with pytest.raises(ValueError, match=rf"{name}.*(newaxis|axis)"):
        ff.TaskBatch(**ragged(case, **{name: flat}))
    task = case.tasks[0]
    with pytest.raises(ValueError, match=r"y .*axis"):
        mlp(case).loss(case.theta, task.x_support, task.y_support[:, 0])


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.complex128, np.bool_, "U1", "O"])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_batch_refuses_other_dtypes(name, dtype):
    _, arrays = regression()
    with pytest.raises(TypeError, match=name):
        ff.TaskBatch(**{**arrays, name: np.zeros(arrays[name].shape, dtype)})


@pytest.mark.parametrize("name", ARGUMENTS)
def test_batch_refuses_mixed_precision_unless_told(name):
    _, arrays = regression()
    mixed = {**arrays, name: arrays[name].astype(np.float32)}
    with pytest.raises(TypeError, match=r"(?s)float32.*float64|float64.*float32") as caught:
        ff.TaskBatch(**mixed)
    assert "dtype" in str(caught.value)
    for dtype in DTYPES:
        assert ff.TaskBatch(**mixed, dtype=dtype).dtype == dtype


def test_batch_converts_when_told():
    case, arrays = regression()
    single = ff.TaskBatch(**arrays, dtype=np.float32)
    assert single.x_support.dtype == single.y_query.dtype == np.float32
    integers = {name: np.ones(a.shape, int) for name, a in arrays.items() if name[0] == "x"}
    converted = ff.TaskBatch(**{**arrays, **integers}, dtype=np.float64)
    assert converted.x_support.dtype == np.float64
    with pytest.raises(TypeError, match="dtype"):
        ff.TaskBatch(**arrays, dtype=np.int32)
    assert ff.meta_grad(
        mlp(case), case.theta.astype(np.float32), single, algorithm()
    ).grad.dtype == np.dtype(np.float32)


@pytest.mark.parametrize(("data", "theta"), [("float64", "float32"), ("float32", "float64")])
def test_dtype_of_theta_and_data_must_agree(data, theta):
    """The error names both, and how to convert."""
    case, _ = regression(data)
    tasks, flat = batch(case), case.theta.astype(theta)
    message = rf"(?s)theta.*{theta}.*{data}|{data}.*theta.*{theta}"
    calls = (
        lambda: ff.meta_grad(mlp(case), flat, tasks, algorithm()),
        lambda: ff.evaluate(mlp(case), flat, tasks, algorithm()),
        lambda: ff.adapt(mlp(case), flat, *case.arrays()[:2], algorithm()),
        lambda: mlp(case).predict(flat, case.tasks[0].x_support),
        lambda: mlp(case).loss(flat, case.tasks[0].x_support, case.tasks[0].y_support),
    )
    for call in calls:
        with pytest.raises(TypeError, match=message) as caught:
            call()
        assert "dtype" in str(caught.value)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 4), (0,)])
def test_theta_has_the_wrong_shape(shape):
    case, _ = regression()
    for call in (
        lambda theta: ff.meta_grad(mlp(case), theta, batch(case), algorithm()),
        lambda theta: ff.evaluate(mlp(case), theta, batch(case), algorithm()),
        lambda theta: ff.adapt(mlp(case), theta, *case.arrays()[:2], algorithm()),
        lambda theta: mlp(case).predict(theta, case.tasks[0].x_support),
        lambda theta: ff.init_state(mlp(case), algorithm(), ff.outer.SGD(1.0), theta=theta),
    ):
        with pytest.raises(ValueError, match=rf"theta.*{case.theta.size}"):
            call(np.zeros(shape))


def test_meta_gradient_wants_one_theta_a_learner():
    case, _ = regression()
    thetas = np.stack([case.theta] * T)
    assert ff.meta_grad(mlp(case), thetas, batch(case), algorithm()).losses.shape == (T, T)
    with pytest.raises(ValueError, match="theta"):
        ff.meta_grad(mlp(case), thetas[None], batch(case), algorithm())


def test_task_counts_that_do_not_broadcast():
    case, arrays = regression()
    net, x, y = mlp(case), arrays["x_support"], arrays["y_support"]
    thetas = np.stack([case.theta] * 2)
    for call in (
        lambda: net.predict(thetas, x),
        lambda: net.loss(thetas, x, y),
        lambda: ff.adapt(net, thetas, x, y, algorithm()),
        lambda: net.hvp(case.theta, x, y, thetas),
    ):
        with pytest.raises(ValueError, match=r"theta|x|v"):
            call()


@pytest.mark.parametrize("name", ["x", "y", "v"])
def test_network_functions_name_what_does_not_fit(name):
    case, _ = regression()
    task = case.tasks[0]
    arguments = {"x": task.x_support, "y": task.y_support, "v": case.theta}
    arguments[name] = arguments[name][..., :-1]
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        mlp(case).hvp(case.theta, **arguments)
    with pytest.raises(TypeError, match=rf"\b{name}\b"):
        mlp(case).hvp(case.theta, **{**arguments, name: arguments[name].astype(complex)})


def test_data_must_fit_the_network():
    case, _ = regression()
    tasks = batch(case)
    for sizes in ((3, 6, 2), (2, 6, 3)):
        net = ff.MLP(sizes)
        with pytest.raises(ValueError, match=r"x_support|y_support"):
            ff.meta_grad(net, net.init(0, np.float64), tasks, algorithm())
    net = ff.MLP((2, 6, 2), loss="cross_entropy")
    with pytest.raises(ValueError, match=r"y_support.*probabilities"):
        ff.meta_grad(net, net.init(0, np.float64), tasks, algorithm())
    net, (case, _) = ff.MLP((2, 6, 4)), classes()
    with pytest.raises(TypeError, match="y_support"):
        ff.meta_grad(net, net.init(0, np.float64), batch(case), algorithm())


def test_arguments_of_the_wrong_kind():
    case, _ = regression()
    net, tasks, inner = mlp(case), batch(case), algorithm()
    for match, arguments in {
        "net": ("mlp", case.theta, tasks, inner),
        "batch": (net, case.theta, case.arrays(), inner),
        "algorithm": (net, case.theta, tasks, "maml"),
        "theta": (net, "theta", tasks, inner),
    }.items():
        with pytest.raises(TypeError, match=match):
            ff.meta_grad(*arguments)
    state = ff.init_state(net, inner, ff.outer.Adam(), theta=case.theta)
    with pytest.raises(TypeError, match="outer"):
        ff.meta_step(net, state, tasks, inner, "adam")
    with pytest.raises(TypeError, match="state"):
        ff.meta_step(net, case.theta[0], tasks, inner, ff.outer.Adam())
    with pytest.raises(ValueError, match="moments"):
        ff.meta_step(net, state, tasks, inner, ff.outer.SGD(0.1))
    with pytest.raises(ValueError, match="theta"):
        ff.meta_step(net, state._replace(theta=case.theta[:-1]), tasks, inner, ff.outer.Adam())


@pytest.mark.parametrize("shape", [(2,), (1, 2), (23,)], ids=str)
def test_context_takes_one_rate(shape):
    """More would be read for parameters that do not adapt, or past their end."""
    net, rng = ff.MLP([4, 3, 2]), np.random.default_rng(0)
    x, y = rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 5, 2))
    rates, theta = np.full(shape, 0.1), net.init(0, np.float64)
    assert net.n_params == 23
    with pytest.raises(ValueError, match=r"^rates must be one number with context"):
        ff.meta_grad(net, theta, ff.TaskBatch(x, y, x, y), ff.cavia(context=2), rates=rates)
    with pytest.raises(ValueError, match=r"^rates must be one number with context"):
        ff.adapt(net, theta, x, y, ff.cavia(context=2), rates=rates)


def test_rates_are_called_what_the_caller_calls_them():
    case, arrays = regression()
    net, tasks = mlp(case), ff.TaskBatch(**arrays)
    wrong, learned = np.full(7, 0.1), ff.Algorithm(ff.inner.SGD(0.1), learn_rates="layer")
    outer = ff.outer.Adam()
    state = ff.init_state(net, learned, outer, theta=case.theta)
    with pytest.raises(ValueError, match=r"^inner\.lr must be"):
        ff.meta_grad(net, case.theta, tasks, ff.maml(wrong))
    with pytest.raises(ValueError, match=r"^rates must be"):
        ff.meta_grad(net, case.theta, tasks, ff.maml(), rates=wrong)
    with pytest.raises(ValueError, match=r"^state\.rates must be"):
        ff.meta_step(net, state._replace(rates=wrong), tasks, learned, outer)
    with pytest.raises(TypeError, match=r"^lr cannot be read"):
        ff.inner.SGD([[0.1], [0.1, 0.2]])


def test_only_checks_that_can_be_switched_off_say_how():
    case, arrays = regression()
    net, nan = mlp(case), np.array(np.nan, case.dtype)
    with pytest.raises(ValueError, match=r"^rates must be finite.*nan$"):
        ff.meta_grad(
            net, case.theta, ff.TaskBatch(**arrays), ff.maml(), rates=nan, check_finite=False
        )
    with pytest.raises(ValueError, match=r"^task_weights must be finite.*nan$"):
        ff.TaskBatch(**arrays, task_weights=np.full(len(arrays["x_query"]), np.nan))
    with pytest.raises(ValueError, match=r"check_finite=False"):
        ff.meta_grad(net, case.theta * nan, ff.TaskBatch(**arrays), ff.maml())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": np.ones((1, 2))}, r"^weights must have shape \[2, 1\].*got \[1, 2\]$"),
        ({"mask": np.ones(3, bool)}, r"^mask must have shape \[2\].*got \[3\]$"),
        ({"y": np.ones((1, 2, 1))}, r"^y must have shape \[rows, outputs\].*got \[1, 2, 1\]$"),
        ({"y": [[1], [2]]}, r"^y must have shape \[2\].*got \[2, 1\]; targets of a regr"),
        ({"y": [1, 2, 3]}, r"^y must have shape \[2\].*got \[3\]$"),
    ],
    ids=str,
)
def test_one_set_of_rows_is_told_its_own_shapes(options, message):
    """Not those with the axis of tasks that it gets inside."""
    arguments = {"y": np.ones((2, 1)), **options}
    with pytest.raises(ValueError, match=message):
        ff.MLP([1, 1]).loss(np.zeros(2), np.ones((2, 1)), **arguments)


def test_steps_of_an_evaluation_are_a_sequence():
    case, arrays = regression()
    with pytest.raises(TypeError, match=r"^steps must be a sequence"):
        ff.evaluate(mlp(case), case.theta, ff.TaskBatch(**arrays), ff.maml(), steps=3)


def test_batch_that_was_not_checked_pickles():
    _, arrays = regression()
    arrays["x_support"] = arrays["x_support"] * np.nan
    unchecked = ff.TaskBatch(**arrays, check_finite=False)
    restored = pickle.loads(pickle.dumps(unchecked))
    np.testing.assert_array_equal(restored.x_support, unchecked.x_support)
