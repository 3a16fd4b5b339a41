"""What is not finite is never silent: raise, drop or mask."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fomaml_fast as ff
from cases import DTYPES, GRADIENTS, LR, build
from fomaml_fast import _debug
from subject import algorithm, batch, mlp
from tolerances import assert_close

DIVERGING = (2, 5)
N_TASKS = 7


def mixed(dtype="float64", n_tasks=N_TASKS, bad=DIVERGING, scale=1e12):
    """Good tasks, and some whose support rows are so large that a few steps overflow."""
    case = build((2, 8, 1), "identity", "mse", dtype, n_tasks=n_tasks)
    tasks = list(case.tasks)
    for i in bad:
        tasks[i] = tasks[i]._replace(x_support=tasks[i].x_support * case.dtype.type(scale))
    good = [task for i, task in enumerate(tasks) if i not in bad]
    return (
        type(case)(*case.spec, case.dtype, case.theta, tuple(tasks)),
        type(case)(*case.spec, case.dtype, case.theta, tuple(good)),
    )


def overshoot(factor, dtype="float64"):
    """The quadratic whose error is multiplied by 1 - `factor` at every step, as a task.

    Rows +1 and -1 make mse (w - c)^2, so a = 2; with c = 0 and w = 1 theta_k is
    (1 - factor)^k and the loss its square.
    """
    rows = np.array([[1.0], [-1.0]], dtype=dtype)
    return rows, 0 * rows, factor / 2


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_raise_names_the_tasks(dtype, gradient):
    case, _ = mixed(dtype)
    with pytest.raises(ff.DivergenceError, match=r"2 of 7 tasks.*\[2, 5\]") as caught:
        ff.meta_grad(mlp(case), case.theta, batch(case), algorithm(gradient, 40))
    assert isinstance(caught.value, ArithmeticError)
    assert caught.value.tasks == list(DIVERGING)
    assert all(type(task) is int for task in caught.value.tasks)
    assert 1 <= caught.value.step <= 40


@pytest.mark.parametrize("dtype", DTYPES)
def test_step_is_the_first_that_is_not_finite(dtype):
    """The error is multiplied by -10^e at each step: its square overflows first."""
    net = ff.MLP((1, 1))
    exponent = {"float32": 8, "float64": 60}[dtype]
    largest = {"float32": 38, "float64": 308}[dtype]
    x, y, lr = overshoot(1 + 10.0**exponent, dtype)
    theta = np.array([1, 0], dtype=dtype)
    inner = algorithm("first", 10, lr)
    tasks = ff.TaskBatch(x[None], y[None], x[None], y[None])
    first = next(k for k in range(1, 11) if 2 * exponent * k > largest)
    assert first < 10
    with pytest.raises(ff.DivergenceError) as caught:
        ff.meta_grad(net, theta, tasks, inner)
    assert (caught.value.tasks, caught.value.step) == ([0], first)
    with pytest.raises(ff.DivergenceError) as caught:
        ff.adapt(net, theta, x, y, inner)
    assert (caught.value.tasks, caught.value.step) == ([0], first)
    # One step fewer is finite throughout.
    ff.adapt(net, theta, x, y, inner, steps=first - 1)
    result = ff.meta_grad(net, theta, tasks, algorithm("first", first - 1, lr))
    assert np.all(np.isfinite(result.grad))


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_query_loss_that_overflows(steps):
    """Adaptation is fine; the query rows are what overflows."""
    net, theta = ff.MLP((1, 1)), np.array([1.0, 0.0])
    x, y, lr = overshoot(0.5)
    tasks = ff.TaskBatch(x[None], y[None], 1e200 * x[None], y[None])
    with pytest.raises(ff.DivergenceError) as caught:
        ff.meta_grad(net, theta, tasks, algorithm("first", steps, lr))
    assert (caught.value.tasks, caught.value.step) == ([0], steps)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_tasks", [7, 33])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_drop_reduces_over_the_tasks_kept(dtype, gradient, n_tasks, reduction):
    case, good = mixed(dtype, n_tasks)
    net, inner = mlp(case), algorithm(gradient, 40, 0.01)
    options = {"on_divergence": "drop", "reduction": reduction}
    result = ff.meta_grad(net, case.theta, batch(case), inner, per_task=True, **options)
    assert result.n_dropped == len(DIVERGING)
    assert np.flatnonzero(result.diverged).tolist() == list(DIVERGING)
    kept = ~result.diverged
    expected = ff.meta_grad(net, good.theta, batch(good), inner, per_task=True, reduction=reduction)
    assert_close(result.grad, expected.grad, "meta_gradient", dtype)
    assert_close(result.loss, expected.loss, "loss", dtype)
    assert_close(result.losses[kept], expected.losses, "loss", dtype)
    assert_close(result.task_grads[kept], expected.task_grads, "meta_gradient", dtype, tasks=True)
    plain = ff.meta_grad(net, case.theta, batch(case), inner, **options)
    assert_close(plain.grad, expected.grad, "meta_gradient", dtype)


def test_drop_without_divergence_changes_nothing():
    case, _ = mixed(bad=())
    arguments = (mlp(case), case.theta, batch(case), algorithm("exact", 2))
    kept = ff.meta_grad(*arguments, on_divergence="drop")
    expected = ff.meta_grad(*arguments)
    np.testing.assert_array_equal(kept.grad, expected.grad)
    assert kept.n_dropped == 0


def test_drop_raises_when_no_task_is_left():
    case, _ = mixed(bad=range(N_TASKS))
    with pytest.raises(ff.DivergenceError) as caught:
        ff.meta_grad(
            mlp(case), case.theta, batch(case), algorithm("first", 40), on_divergence="drop"
        )
    assert caught.value.tasks == list(range(N_TASKS))


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_meta_step_leaves_the_state_as_it_was(gradient):
    case, good = mixed()
    net, inner, outer = mlp(case), algorithm(gradient, 40, 0.01), ff.outer.Adam()
    state = ff.init_state(net, inner, outer, theta=case.theta)
    state, _ = ff.meta_step(net, state, batch(good), inner, outer)
    before = [np.array(part) for part in state]
    with pytest.raises(ff.DivergenceError):
        ff.meta_step(net, state, batch(case), inner, outer)
    for part, copy in zip(state, before, strict=True):
        np.testing.assert_array_equal(part, copy)

    dropped, metrics = ff.meta_step(net, state, batch(case), inner, outer, on_divergence="drop")
    expected, _ = ff.meta_step(net, state, batch(good), inner, outer)
    assert metrics.n_dropped == len(DIVERGING)
    assert_close(dropped.theta, expected.theta, "outer", np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_adapt_masks(dtype):
    case, _ = mixed(dtype)
    x, y, _, _ = case.arrays()
    inner = algorithm(steps=40, lr=0.01)
    with pytest.raises(ff.DivergenceError) as caught:
        ff.adapt(mlp(case), case.theta, x, y, inner)
    assert caught.value.tasks == list(DIVERGING)
    thetas, diverged = ff.adapt(mlp(case), case.theta, x, y, inner, on_divergence="mask")
    assert np.flatnonzero(diverged).tolist() == list(DIVERGING)
    assert np.all(np.isfinite(thetas))  # diverged rows hold the last finite parameters
    for i in range(N_TASKS):
        if i not in DIVERGING:
            alone = ff.adapt(mlp(case), case.theta, x[i], y[i], inner)
            assert_close(thetas[i], alone, "adapt", dtype)
    trace = ff.adapt(mlp(case), case.theta, x, y, inner, trace=True, on_divergence="mask")
    assert np.flatnonzero(trace.diverged).tolist() == list(DIVERGING)


def test_evaluate_counts_per_number_of_steps():
    case, good = mixed()
    inner = algorithm(lr=0.01)
    result = ff.evaluate(mlp(case), case.theta, batch(case), inner, steps=(0, 1, 40))
    assert result.diverged.sum(axis=0).tolist()[0] == 0
    assert np.flatnonzero(result.diverged[:, 2]).tolist() == list(DIVERGING)
    assert np.asarray(result.n_diverged).tolist() == result.diverged.sum(axis=0).tolist()
    kept = ff.evaluate(mlp(case), case.theta, batch(good), inner, steps=(0, 1, 40))
    np.testing.assert_allclose(result.mean[2], kept.mean[2], rtol=1e-12)
    np.testing.assert_allclose(result.median[2], kept.median[2], rtol=1e-12)
    np.testing.assert_allclose(result.interval[2], kept.interval[2], rtol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_unchecked_nan_is_reported_as_divergence(gradient, value):
    case = build((2, 8, 1), "relu", n_tasks=3)
    arrays = [np.array(array) for array in case.arrays()]
    arrays[0][1, 2, 1] = value
    tasks = ff.TaskBatch(*arrays, check_finite=False)
    with pytest.raises(ff.DivergenceError) as caught:
        ff.meta_grad(mlp(case), case.theta, tasks, algorithm(gradient, 2), check_finite=False)
    assert caught.value.tasks == [1]


def test_unchecked_nan_in_theta_is_reported_as_divergence():
    case = build((2, 8, 1), "relu", n_tasks=3)
    theta = case.theta.copy()
    theta[3] = np.nan
    with pytest.raises(ff.DivergenceError) as caught:
        ff.meta_grad(mlp(case), theta, batch(case), algorithm(), check_finite=False)
    assert caught.value.tasks == [0, 1, 2]
    with pytest.raises(ff.DivergenceError):
        ff.adapt(mlp(case), theta, *case.arrays()[:2], algorithm(), check_finite=False)


def test_relu_network_that_blows_up_does_not_hide_it():
    """After a huge step all units are dead and a clamp would return a finite loss."""
    case = build((1, 8, 1), "relu", n_tasks=4)
    tasks = batch(case)
    try:
        result = ff.meta_grad(mlp(case), case.theta, tasks, algorithm("first", 5, 1e200))
    except ff.DivergenceError as error:
        assert error.tasks  # noqa: PT017 - either outcome is right, a silent NaN is not
    else:
        assert np.all(np.isfinite(result.grad))


def test_error_pickles():
    error = pickle.loads(pickle.dumps(ff.DivergenceError([1, 3], 2, 8)))
    assert (error.tasks, error.step) == ([1, 3], 2)


def test_lr_zero_never_diverges_where_the_loss_is_finite():
    case = build((2, 8, 1))
    result = ff.meta_grad(mlp(case), case.theta, batch(case), algorithm("exact", 3, 0.0))
    expected = case.expected(LR, 0, "first").task_grads.mean(axis=0)
    assert_close(result.grad, expected, "meta_gradient", np.float64)


@pytest.mark.parametrize("engine", ff.build_info()["engines"])
@pytest.mark.parametrize("width", [31, 32, 64])
def test_a_task_that_overflows_leaves_those_after_it_alone(engine, width):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(48, 5, 2)).astype(np.float32)
    y = rng.normal(size=(48, 5, 1)).astype(np.float32)
    far = x.copy()
    far[3] *= 1e18
    net = ff.MLP([2, width, 1], activation="softplus")
    algorithm = ff.Algorithm(ff.inner.SGD(1e-37), gradient=ff.Implicit(1e-4, 1e-6, 10))
    batch, theta = ff.TaskBatch(far, y, x, y), net.init(0)
    with _debug.force_engine(engine):
        results = [
            ff.meta_grad(net, theta, batch, algorithm, on_divergence="drop", threads=threads)
            for threads in (1, 2, 3)
        ]
    for result in results:
        assert np.flatnonzero(result.diverged).tolist() == [3]
        np.testing.assert_array_equal(result.grad, results[0].grad)
