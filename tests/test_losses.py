"""Losses beyond the sweeps over the registry: parameters, limits, and two kinds of targets."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from cases import DTYPES, LR, build
from fomaml_fast import _debug
from subject import algorithm
from tolerances import assert_close

ENGINES = ff.build_info()["engines"]


def one_output(loss, output, target, dtype="float64"):
    """Loss and gradient on the output of a network that is its bias."""
    net = ff.MLP([1, 1], loss=loss)
    theta = np.array([0.0, output], dtype)
    row = np.zeros((1, 1), dtype), np.full((1, 1), target, dtype)
    value, grad = net.value_and_grad(theta, *row)
    return value, grad[1], net.hvp(theta, *row, np.array([0.0, 1.0], dtype))[1]


@pytest.mark.parametrize("delta", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("error", [-4.0, -0.2, 0.0, 0.1, 3.0])
def test_huber(delta, error):
    inside = abs(error) <= delta
    value = error**2 / 2 if inside else delta * (abs(error) - delta / 2)
    slope = error if inside else delta * np.sign(error)
    got = one_output(ff.losses.Huber(delta), error + 0.5, 0.5)
    np.testing.assert_allclose(got, (value, slope, float(inside)), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("error", [-4.0, -0.25, 0.0, 0.125, 3.0])
def test_quantile(tau, error):
    """The error is target - output."""
    slope = {1: -tau, -1: 1 - tau, 0: 0.0}[int(np.sign(error))]
    got = one_output(ff.losses.Quantile(tau), 0.5 - error, 0.5)
    expected = max(tau * error, (tau - 1) * error), slope, 0.0
    np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", [0.0, 0.25, 1.0])
def test_binary_cross_entropy_of_large_logits(target, dtype):
    for logit in (-1e4, 1e4):
        value, slope, curvature = one_output("binary_cross_entropy", logit, target, dtype)
        chance = float(logit > 0)
        assert value == pytest.approx(abs(logit) * abs(chance - target), rel=1e-6)
        assert (slope, curvature) == (chance - target, 0)


@pytest.mark.parametrize("loss", ff.losses.names())
@pytest.mark.parametrize("engine", ENGINES)
def test_nan_output_gives_nan(engine, loss):
    net = ff.MLP([1, 2], loss=loss)
    theta = np.array([0.0, 0.0, np.nan, 0.0])
    y = np.array([1]) if net.loss_spec.takes_labels else np.array([[0.5, 0.5]])
    with _debug.force_engine(engine):
        value, grad = net.value_and_grad(theta, np.ones((1, 1)), y, check_finite=False)
    assert np.isnan(value)
    assert np.isnan(grad[2])


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, "1", True])
def test_huber_delta_is_checked(bad):
    with pytest.raises((ValueError, TypeError), match="delta"):
        ff.losses.Huber(bad)


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.5, np.nan, "0.5", None])
def test_quantile_tau_is_checked(bad):
    with pytest.raises((ValueError, TypeError), match="tau"):
        ff.losses.Quantile(bad)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("engine", ENGINES)
def test_cross_entropy_takes_probabilities(engine, dtype):
    """One-hot rows are labels; others, of any sum, are the loss soft_cross_entropy."""
    labels = build((3, 8, 5), "tanh", "cross_entropy", dtype, n_tasks=9)
    net = ff.MLP(*labels.spec)
    xs, ys, xq, yq = labels.arrays()
    one_hot = np.eye(5, dtype=dtype)
    inner = algorithm("exact", 2)
    with _debug.force_engine(engine):
        by_label = ff.meta_grad(net, labels.theta, ff.TaskBatch(xs, ys, xq, yq), inner)
        tasks = ff.TaskBatch(xs, one_hot[ys], xq, one_hot[yq])
        by_row = ff.meta_grad(net, labels.theta, tasks, inner)
    assert_close(by_row.grad, by_label.grad, "meta_gradient", dtype)

    soft = build((3, 8, 5), "tanh", "soft_cross_entropy", dtype, n_tasks=9)
    expected = soft.expected(LR, 2, "exact")
    with _debug.force_engine(engine):
        for loss in ("cross_entropy", "soft_cross_entropy"):
            net = ff.MLP(soft.sizes, soft.activations, loss)
            result = ff.meta_grad(net, soft.theta, ff.TaskBatch(*soft.arrays()), inner)
            assert_close(result.losses, expected.losses, "loss", dtype)
            assert_close(result.grad, expected.task_grads.mean(axis=0), "meta_gradient", dtype)


@pytest.mark.parametrize("labelled", ["support", "query"])
@pytest.mark.parametrize("engine", ENGINES)
def test_support_and_query_of_different_kinds(engine, labelled):
    case = build((3, 8, 5), "tanh", "cross_entropy", n_tasks=7)
    xs, ys, xq, yq = case.arrays()
    rng = np.random.default_rng(0)
    soft = oracle.Net(case.sizes, case.activations, "soft_cross_entropy")
    nets = [case.net, soft]
    if labelled == "support":
        yq = rng.random((*yq.shape, 5))
    else:
        ys = rng.random((*ys.shape, 5))
        nets.reverse()
    with _debug.force_engine(engine):
        tasks = ff.TaskBatch(xs, ys, xq, yq)
        result = ff.meta_grad(ff.MLP(*case.spec), case.theta, tasks, algorithm("exact", 1))
    grads = []
    for t in range(7):
        adapted = oracle.adapt(nets[0], case.theta, xs[t], ys[t], LR, 1)[-1]
        g = oracle.gradient(nets[1], adapted, xq[t], yq[t])
        grads.append(g - LR * oracle.hvp(nets[0], case.theta, xs[t], ys[t], g))
    assert_close(result.grad, np.mean(grads, axis=0), "meta_gradient", "float64")


def test_probabilities_below_zero_are_refused():
    case = build((3, 8, 5), "tanh", "soft_cross_entropy", n_tasks=3)
    xs, ys, xq, yq = case.arrays()
    yq[1, 2, 3] = -0.25
    net = ff.MLP(case.sizes, loss="cross_entropy")
    with pytest.raises(ValueError, match=r"y_query.*probabilities of at least 0.*-0\.25"):
        ff.meta_grad(net, case.theta, ff.TaskBatch(xs, ys, xq, yq), algorithm())
    with pytest.raises(ValueError, match="y must hold probabilities"):
        net.loss(case.theta, xq[1], yq[1])
    np.testing.assert_array_less(0, ff.MLP(case.sizes).loss(case.theta, xq, yq))


def test_each_set_is_checked_against_the_loss():
    case = build((3, 8, 5), "tanh", "mse", n_tasks=3)
    xs, ys, xq, yq = case.arrays()
    labels = np.zeros(yq.shape[:2], int)
    with pytest.raises(TypeError, match="y_query must hold floating-point targets"):
        ff.meta_grad(ff.MLP(*case.spec), case.theta, ff.TaskBatch(xs, ys, xq, labels), algorithm())
    with pytest.raises(ValueError, match="y_query must have 5 columns"):
        ff.TaskBatch(xs, ys, xq, yq[..., :2])
