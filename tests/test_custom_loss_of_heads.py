"""Heads in closed form under a query loss in Python: the core's formulas give its numbers."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
from cases import DTYPES, build
from test_custom_loss import FUNCTIONS, squares
from test_custom_loss_meta import assert_same

HEADS = {
    "full": ff.inner.BayesianHead(),
    "ridge": ff.inner.BayesianHead("scalar", prior_mean="zero", score_scale=1.5),
}


def algorithm_of(head, loss, gradient):
    return ff.Algorithm(head, gradient=gradient, learn_rates=True, query_loss=loss)


def values_loss(fn):
    return ff.losses.Custom(fn)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("gradient", ["first", "exact"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("loss", FUNCTIONS)
def test_meta_gradients_and_evaluation(loss, head, gradient, ragged, dtype):
    case = build((3, 6, 5, 4), "tanh", loss, n_tasks=3, dtype=dtype)
    batch = ff.TaskBatch(*case.arrays(ragged=ragged), task_weights=np.array([0.5, -1, 2], dtype))
    net = ff.MLP(*case.spec)
    own, expected = (
        algorithm_of(HEADS[head], of, gradient) for of in (values_loss(FUNCTIONS[loss]), None)
    )
    state = ff.init_state(net, expected, ff.outer.Adam(), dtype=dtype)
    more = {"rates": state.rates, "per_task": True, "trace": True}
    ours = ff.meta_grad(net, state.theta, batch, own, **more)
    assert_same(ours, ff.meta_grad(net, state.theta, batch, expected, **more), dtype)
    found, wanted = (
        ff.evaluate(net, state.theta, batch, a, rates=state.rates) for a in (own, expected)
    )
    rtol = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(found.losses, wanted.losses, rtol=rtol)
    stepped, metrics = ff.meta_step(net, state, batch, own, ff.outer.Adam())
    other, _ = ff.meta_step(net, state, batch, expected, ff.outer.Adam())
    np.testing.assert_allclose(stepped.theta, other.theta, rtol=0, atol=1e-5)
    assert metrics.n_dropped == 0


@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_the_size_of_a_loss_takes_no_precision(size):
    case = build((2, 5, 2), "tanh", "mse", n_tasks=3, dtype="float32")
    batch, net = ff.TaskBatch(*case.arrays()), ff.MLP(*case.spec)

    def sized(outputs, targets):
        value, gradient, *_ = squares(outputs, targets)
        return size * value, size * gradient

    own, plain = (
        ff.meta_grad(net, case.theta, batch, algorithm_of(HEADS["full"], loss, "exact"))
        for loss in (values_loss(sized), "mse")
    )
    np.testing.assert_allclose(own.grad / size, plain.grad, atol=1e-6 * np.abs(plain.grad).max())


def test_a_loss_that_is_not_finite_drops_its_task():
    case = build((2, 5, 2), "tanh", "mse", n_tasks=4)
    x, y, xq, yq = case.arrays()
    net = ff.MLP(*case.spec)

    def one_lost(outputs, targets):
        value, gradient, *_ = squares(outputs, targets)
        return np.where(targets[:, 0, 0] > 1e6, np.inf, value), gradient

    yq = yq.copy()
    yq[1, 0, 0] = 1e7
    own = algorithm_of(HEADS["full"], values_loss(one_lost), "exact")
    batch = ff.TaskBatch(x, y, xq, yq)
    with pytest.raises(ff.DivergenceError) as caught:
        ff.meta_grad(net, case.theta, batch, own)
    assert list(caught.value.tasks) == [1]
    found = ff.meta_grad(net, case.theta, batch, own, on_divergence="drop", per_task=True)
    kept = [0, 2, 3]
    rest = ff.TaskBatch(x[kept], y[kept], xq[kept], yq[kept])
    wanted = ff.meta_grad(net, case.theta, rest, algorithm_of(HEADS["full"], "mse", "exact"))
    np.testing.assert_allclose(found.grad, wanted.grad, rtol=1e-9, atol=1e-12)
    assert found.n_dropped == 1
    np.testing.assert_array_equal(found.diverged, [False, True, False, False])
    assert np.isnan(found.losses[1])
    assert np.isnan(found.task_grads[1]).all()


def test_the_network_has_a_loss_of_the_core():
    case = build((2, 5, 2), "tanh", "mse", n_tasks=2)
    net = ff.MLP((2, 5, 2), "tanh", loss=values_loss(squares))
    batch, head = ff.TaskBatch(*case.arrays()), ff.Algorithm(HEADS["full"])
    for call in (ff.meta_grad, ff.evaluate):
        with pytest.raises(ValueError, match="pass a custom loss as query_loss"):
            call(net, case.theta, batch, head)


def test_a_function_may_write_in_its_arguments():
    case = build((2, 5, 2), "tanh", "mse", n_tasks=3)
    batch, net = ff.TaskBatch(*case.arrays()), ff.MLP(*case.spec)

    def in_place(outputs, targets):
        outputs -= targets
        value = np.mean(outputs**2, axis=(1, 2))
        outputs *= 2 / outputs[0].size
        return value, outputs

    own, plain = (
        ff.meta_grad(net, case.theta, batch, algorithm_of(HEADS["full"], loss, "exact"))
        for loss in (values_loss(in_place), "mse")
    )
    np.testing.assert_allclose(own.grad, plain.grad, rtol=1e-9, atol=1e-12)


def far_support(case, task):
    """Rows whose support loss is not finite, though the system has a solution."""
    x, y, xq, yq = case.arrays()
    x = x.copy()
    x[task, 0] = 1e160
    return ff.TaskBatch(x, y, xq, yq)


@pytest.mark.parametrize("head", HEADS)
def test_divergence_is_told_as_of_losses_of_the_core(head):
    case = build((2, 5, 2), "relu", "mse", n_tasks=4)
    net, batch = ff.MLP(*case.spec), far_support(case, 2)
    algorithms = [algorithm_of(HEADS[head], of, "exact") for of in (values_loss(squares), None)]
    told = []
    for algorithm in algorithms:
        with pytest.raises(ff.DivergenceError) as caught:
            ff.meta_grad(net, case.theta, batch, algorithm)
        told.append(str(caught.value))
    assert told[0] == told[1]
    more = {"on_divergence": "drop", "per_task": True, "trace": True}
    own, wanted = (ff.meta_grad(net, case.theta, batch, a, **more) for a in algorithms)
    for field in ("losses_before", "support_losses", "diverged", "losses", "grad"):
        found, expected = getattr(own, field), getattr(wanted, field)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=field)
    assert own.n_dropped == wanted.n_dropped == 1


def test_a_theta_for_each_task_adapts():
    case = build((2, 5, 2), "tanh", "mse", n_tasks=3)
    net, (x, y, *_) = ff.MLP(*case.spec), case.arrays()
    thetas = case.theta * np.array([[1.0], [0.9], [1.1]])
    own, plain = (
        ff.adapt(net, thetas, x, y, ff.Algorithm(HEADS["full"], query_loss=of))
        for of in (values_loss(squares), None)
    )
    np.testing.assert_array_equal(own, plain)


def test_meta_gradients_of_losses_of_jets_are_refused():
    case = build((2, 5, 2), "tanh", "mse", n_tasks=2)
    loss = ff.losses.Custom(squares, directions=[[1.0, 0.0]])
    own = algorithm_of(HEADS["full"], loss, "exact")
    with pytest.raises(ValueError, match="query_loss must be of outputs"):
        ff.meta_grad(ff.MLP(*case.spec), case.theta, ff.TaskBatch(*case.arrays()), own)
