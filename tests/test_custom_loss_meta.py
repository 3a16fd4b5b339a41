"""Meta-learning with losses written in Python: the core's formulas give the core's numbers."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
from cases import build, ragged_rows
from test_custom_loss import FUNCTIONS, custom, squares, without_hessian
from tolerances import assert_close

INNERS = {
    "sgd": ff.inner.SGD(0.1),
    "nesterov, decay": ff.inner.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam, eps, pull": ff.inner.Adam(0.02, eps=0.1, proximal=0.3, decoupled_weight_decay=0.1),
    "rmsprop, centered": ff.inner.RMSprop(0.02, eps=0.1, momentum=0.5, centered=True),
    "adagrad, clipped": ff.inner.Adagrad(0.05, eps=0.1, clip_norm=0.2),
}
OPTIONS = {
    "first": {},
    "exact": {"gradient": "exact"},
    "reptile": {"gradient": "reptile"},
    "head, learned": {"gradient": "exact", "adapt": "head", "learn_rates": "step_layer"},
    "body, multi-step": {
        "gradient": "exact",
        "adapt": "body",
        "step_weights": (0.2, 0.0, 0.8),
        "learn_rates": "parameter",
    },
    "first, multi-step, learned": {"step_weights": (0.2, 0.3, 0.5), "learn_rates": True},
}


def both(case, ragged=False, **more):
    """The loss in Python, and the same loss of the core; their batch."""
    batch = ff.TaskBatch(*case.arrays(ragged=ragged), **more)
    return custom(case), ff.MLP(*case.spec), batch


def assert_same(ours, expected, dtype):
    for name in ("losses", "support_losses", "losses_before"):
        assert_close(getattr(ours, name), getattr(expected, name), "loss", dtype)
    assert_close(ours.loss, expected.loss, "loss", dtype)
    for name in ("grad", "task_grads", "rate_grad"):
        mine, other = getattr(ours, name), getattr(expected, name)
        assert (mine is None) == (other is None), name
        if other is not None:
            assert mine.dtype == other.dtype
            assert mine.shape == other.shape
            assert_close(mine, other, "gradient", dtype)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("loss", FUNCTIONS)
def test_meta_gradients(loss, inner, options):
    case = build((3, 6, 5, 4), "tanh", loss, n_tasks=3)
    ours, registered, batch = both(case, task_weights=[0.5, -1.0, 2.0])
    algorithm = ff.Algorithm(INNERS[inner], steps=3, **OPTIONS[options])
    arguments = case.theta, batch, algorithm
    more = {"per_task": True, "trace": True}
    assert_same(
        ff.meta_grad(ours, *arguments, **more),
        ff.meta_grad(registered, *arguments, **more),
        np.float64,
    )


@pytest.mark.parametrize("gradient", ["first", "exact"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ragged_rows_and_both_dtypes(dtype, gradient):
    case = build((3, 6, 4), "silu", "mse", dtype, rows=ragged_rows(4))
    ours, registered, batch = both(case, ragged=True)
    arguments = case.theta, batch, ff.Algorithm(ff.inner.SGD(0.1), 2, gradient=gradient)
    more = {"per_task": True, "trace": True}
    assert_same(
        ff.meta_grad(ours, *arguments, **more), ff.meta_grad(registered, *arguments, **more), dtype
    )


def test_a_custom_query_loss_alone():
    case = build((3, 6, 4), "tanh", "mse", n_tasks=3)
    sizes, activations, _, norms = case.spec
    net = ff.MLP(sizes, activations, ff.losses.Huber(0.3), norms)
    batch = ff.TaskBatch(*case.arrays())
    found = []
    for loss in (ff.losses.Custom(squares), "mse"):
        algorithm = ff.Algorithm(ff.inner.SGD(0.1), 2, gradient="exact", query_loss=loss)
        found.append(ff.meta_grad(net, case.theta, batch, algorithm).grad)
    assert_close(*found, "gradient", np.float64)


def log_cosh(outputs, targets):
    error, count = outputs - targets, outputs[0].size
    slope = np.tanh(error)
    value = np.log(np.cosh(error)).mean(axis=(1, 2))
    return value, slope / count, lambda v: (1 - slope**2) * v / count


def test_a_new_loss_against_finite_differences():
    case = build((2, 5, 3), "tanh", "mse", n_tasks=3)
    net, batch = custom(case, log_cosh), ff.TaskBatch(*case.arrays())
    algorithm = ff.Algorithm(ff.inner.Adam(0.05, eps=0.1), 3, gradient="exact")
    direction = np.random.default_rng(0).normal(size=net.n_params)

    def loss(step):
        return ff.meta_grad(net, case.theta + step * direction, batch, algorithm).loss

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    grad = ff.meta_grad(net, case.theta, batch, algorithm).grad
    np.testing.assert_allclose(grad @ direction, slope, rtol=1e-7)


def test_adapt_evaluate_and_train():
    case = build((3, 6, 4), "tanh", "mse", n_tasks=3)
    ours, registered, batch = both(case)
    algorithm = ff.Algorithm(ff.inner.Adam(0.05), 3)
    x, y = batch.x_support, batch.y_support
    for rows in ((x, y), (x[0], y[0])):
        adapted = [ff.adapt(net, case.theta, *rows, algorithm) for net in (ours, registered)]
        assert_close(*adapted, "gradient", np.float64)
        traced = [
            ff.adapt(net, case.theta, *rows, algorithm, trace=True) for net in (ours, registered)
        ]
        assert_close(traced[0].thetas, traced[1].thetas, "gradient", np.float64)
        assert_close(traced[0].losses, traced[1].losses, "loss", np.float64)
    found = [ff.evaluate(net, case.theta, batch, algorithm).losses for net in (ours, registered)]
    assert_close(*found, "loss", np.float64)
    for learned in (False, "layer"):
        trained = []
        for net in (ours, registered):
            point = ff.Algorithm(ff.inner.SGD(0.1), 2, gradient="exact", learn_rates=learned)
            outer = ff.outer.SGD(0.1)
            state = ff.init_state(net, point, outer, theta=case.theta)
            for _ in range(3):
                state, _ = ff.meta_step(net, state, batch, point, outer)
            trained.append(state)
        assert_close(trained[0].theta, trained[1].theta, "gradient", np.float64)
        np.testing.assert_allclose(trained[0].rates, trained[1].rates, rtol=1e-12)


def test_divergence_is_never_silent():
    case = build((3, 6, 4), "tanh", "mse", n_tasks=3)
    arrays = [a.copy() for a in case.arrays()]
    arrays[1][1] = 1e200  # its square overflows
    net, batch = custom(case), ff.TaskBatch(*arrays)
    algorithm = ff.fomaml(0.1)
    with np.errstate(all="ignore"):
        with pytest.raises(ff.DivergenceError) as error:
            ff.meta_grad(net, case.theta, batch, algorithm)
        assert list(error.value.tasks) == [1]
        result = ff.meta_grad(net, case.theta, batch, algorithm, on_divergence="drop")
    kept = ff.meta_grad(net, case.theta, batch.take([0, 2]), algorithm)
    assert result.n_dropped == 1
    assert result.diverged.tolist() == [False, True, False]
    assert_close(result.grad, kept.grad, "gradient", np.float64)


def test_exact_needs_the_hessian_and_first_order_does_not():
    case = build((2, 5, 1), n_tasks=2)
    net, batch = custom(case, without_hessian), ff.TaskBatch(*case.arrays())
    assert np.isfinite(ff.meta_grad(net, case.theta, batch, ff.fomaml(0.1)).grad).all()
    with pytest.raises(ValueError, match="needs a product with the custom loss's Hessian"):
        ff.meta_grad(net, case.theta, batch, ff.maml(0.1))


def test_what_is_not_available_says_so():
    case = build((3, 5, 1), n_tasks=2)
    net, batch = custom(case), ff.TaskBatch(*case.arrays())
    with pytest.raises(ValueError, match="implicit gradients are not available with a custom"):
        ff.meta_grad(net, case.theta, batch, ff.imaml())
    x, y = case.arrays()[0][..., :2], case.arrays()[1]
    with pytest.raises(ValueError, match="context is not available with a custom"):
        ff.meta_grad(net, case.theta, ff.TaskBatch(x, y, x, y), ff.cavia(context=1))
    weighted = ff.TaskBatch(*case.arrays(), weights_query=np.ones(case.arrays()[3].shape[:2]))
    with pytest.raises(ValueError, match="weights_query goes into the targets"):
        ff.meta_grad(net, case.theta, weighted, ff.fomaml())


def test_results_of_the_function_are_checked():
    case = build((2, 5, 1), n_tasks=2)
    batch = ff.TaskBatch(*case.arrays())
    bad = (
        (lambda o, y: (np.zeros(2), o * np.nan), ValueError, "gradient of the custom loss"),
        (lambda o, y: (np.zeros(3), o), ValueError, "value of the custom loss must have shape"),
        (lambda o, y: (np.zeros(2), o + 1j), TypeError, "gradient .* must hold real numbers"),
    )
    for fn, error, message in bad:
        with pytest.raises(error, match=message):
            ff.meta_grad(custom(case, fn), case.theta, batch, ff.fomaml())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("part", ["loss", "gradient"])
def test_sums_that_overflow_diverge(dtype, part):
    """Each of four tasks is finite; the sum of their losses, or of their gradients, is not."""
    huge = float(np.finfo(dtype).max) / 2
    value = float(np.finfo(np.float64).max) / 2 if dtype == np.float64 else 1.0

    def fn(outputs, targets):
        if part == "loss":
            return np.full(len(outputs), value, dtype), np.zeros_like(outputs)
        return np.ones(len(outputs)), np.full(outputs.shape, huge / outputs[0].size, dtype)

    net = ff.MLP([1, 1], loss=ff.losses.Custom(fn))
    x = np.ones((4, 3, 1), dtype)
    batch, theta = ff.TaskBatch(x, x, x, x), net.init(0, dtype=dtype)
    algorithm = ff.fomaml(0.0, steps=0)
    mean = ff.meta_grad(net, theta, batch, algorithm, reduction="mean")
    assert np.isfinite(mean.loss)
    if part == "loss" and dtype == np.float32:
        return  # sums of losses are float64
    with pytest.raises(ff.DivergenceError, match="4 tasks are finite, but their sum is not"):
        ff.meta_grad(net, theta, batch, algorithm, reduction="sum")
