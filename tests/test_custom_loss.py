"""Losses written in Python: the same formulas as the core's give the same numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from cases import DTYPES, build, parameters, ragged_rows
from tolerances import assert_close


def squares(outputs, targets):
    """The core's mse."""
    error, count = outputs - targets, outputs[0].size
    value = (error**2).mean(axis=(1, 2))
    return value, 2 * error / count, lambda v: 2 * v / count


def cross_entropy(outputs, labels):
    """The core's cross_entropy."""
    shifted = np.exp(outputs - outputs.max(axis=2, keepdims=True))
    s = shifted / shifted.sum(axis=2, keepdims=True)
    chosen = np.eye(outputs.shape[2])[labels]
    n = outputs.shape[1]
    value = -np.log((s * chosen).sum(axis=2)).mean(axis=1)
    return value, (s - chosen) / n, lambda v: s * (v - (s * v).sum(axis=2, keepdims=True)) / n


def without_hessian(outputs, targets):
    return squares(outputs, targets)[:2]


FUNCTIONS = {"mse": squares, "cross_entropy": cross_entropy}
every_loss = pytest.mark.parametrize("loss", FUNCTIONS)


def custom(case, fn=None):
    sizes, activations, loss, norms = case.spec
    return ff.MLP(sizes, activations, ff.losses.Custom(fn or FUNCTIONS[loss]), norms)


def directions(case, count):
    rng = np.random.default_rng(5)
    drawn = [parameters(case.sizes, rng, case.norms) for _ in range(count)]
    return np.stack(drawn).astype(case.dtype)


@every_loss
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm", [None, "layer", "batch"])
def test_one_task(norm, dtype, loss):
    case = build((3, 9, 6, 4), "tanh", loss, dtype, norm=norm)
    net, (x, y, _, _) = custom(case), case.tasks[0]
    (v,) = directions(case, 1)
    arguments = (case.net, case.theta, x, y)
    value, gradient = net.value_and_grad(case.theta, x, y)
    hv, product = net.hvp(case.theta, x, y, v), net.gnvp(case.theta, x, y, v)
    assert gradient.dtype == hv.dtype == product.dtype == case.dtype
    for number in (value, net.loss(case.theta, x, y)):
        assert isinstance(number, float)
        assert_close(number, oracle.loss(*arguments), "loss", dtype)
    assert_close(gradient, oracle.gradient(*arguments), "gradient", dtype)
    assert_close(hv, oracle.hvp(*arguments, v), "hvp", dtype)
    assert_close(product, oracle.gnvp(*arguments, v), "hvp", dtype)


@every_loss
@pytest.mark.parametrize("rows", ["even", "ragged", "shared", "theta per task"])
def test_many_tasks(rows, loss):
    sets = ragged_rows(5) if rows == "ragged" else [(4, 1)] * 5
    case = build((3, 9, 4), "silu", loss, rows=sets)
    net, builtin = custom(case), ff.MLP(*case.spec)
    x, y, _, _ = case.arrays(ragged=rows == "ragged")
    theta, v = directions(case, 5), directions(case, 5)[::-1].copy()
    if rows == "shared":
        x, y = x[0], y[0]
    if rows in ("even", "ragged"):
        theta = theta[0]
    for method, arguments in (
        ("loss", ()),
        ("value_and_grad", ()),
        ("hvp", (v,)),
        ("gnvp", (v,)),
    ):
        ours = getattr(net, method)(theta, x, y, *arguments)
        expected = getattr(builtin, method)(theta, x, y, *arguments)
        for a, b in zip(
            *((r if isinstance(r, tuple) else (r,)) for r in (ours, expected)), strict=True
        ):
            assert a.shape == b.shape
            assert_close(a, b, "gradient", np.float64, tasks=True)


def test_targets_may_be_anything():
    """Here: a per-row weight beside the number."""

    def weighted(outputs, targets):
        error, weight = outputs[..., 0] - targets["y"], targets["weight"]
        return (weight * error**2).sum(axis=1), (2 * weight * error)[..., None]

    net = ff.MLP((1, 1), loss=ff.losses.Custom(weighted))
    y = np.array([(5.0, 1.0), (7.0, -0.5)], dtype=[("y", float), ("weight", float)])
    value, gradient = net.value_and_grad(np.array([2.0, 0.0]), [[3.0], [4.0]], y)
    assert value == 1 * 1 - 0.5 * 1
    np.testing.assert_array_equal(gradient, [2 * 3 - 4, 2 - 1])


def test_the_function_is_called_once_a_call():
    calls = []

    def counted(outputs, targets):
        calls.append((outputs.shape, targets.shape))
        return squares(outputs, targets)

    case = build((2, 5, 1), n_tasks=4)
    net, (x, y, _, _) = custom(case, counted), case.arrays()
    net.hvp(case.theta, x, y, case.theta)
    assert calls == [((4, 5, 1), (4, 5, 1))]


def test_second_derivatives_need_the_hessian():
    case = build((2, 5, 1))
    net, (x, y, _, _) = custom(case, without_hessian), case.tasks[0]
    assert net.value_and_grad(case.theta, x, y)[0] == custom(case).loss(case.theta, x, y)
    for product in (net.hvp, net.gnvp):
        with pytest.raises(ValueError, match="no product with its Hessian"):
            product(case.theta, x, y, case.theta)


def test_errors_of_the_function_come_through():
    def broken(outputs, targets):
        raise ZeroDivisionError("mine")

    case = build((2, 5, 1))
    with pytest.raises(ZeroDivisionError, match="mine"):
        custom(case, broken).loss(case.theta, *case.tasks[0][:2])


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda o, y: 3.0, TypeError, r"must return \(value, gradient\)"),
        (lambda o, y: (3.0, o), ValueError, r"value .* must have shape \[1\], got \[\]"),
        (
            lambda o, y: (np.ones(1), o[0]),
            ValueError,
            r"gradient .* shape \[1, 5, 1\], got \[5, 1\]",
        ),
        (lambda o, y: (np.ones(1), o, 3), TypeError, "hessian_vector .* must be callable"),
        (
            lambda o, y: (np.ones(1), o, lambda v: v[0]),
            ValueError,
            r"hessian_vector's result .* must have shape \[1, 5, 1\]",
        ),
    ],
)
def test_results_are_checked(result, error, message):
    case = build((2, 5, 1))
    with pytest.raises(error, match=message):
        custom(case, result).hvp(case.theta, *case.tasks[0][:2], case.theta)


def test_arguments_are_checked():
    case = build((2, 5, 1))
    net, (x, y, _, _) = custom(case), case.tasks[0]
    with pytest.raises(TypeError, match="fn must be callable"):
        ff.losses.Custom("mse")
    with pytest.raises(ValueError, match="y must have as many rows as x"):
        net.loss(case.theta, x, y[:3])
    with pytest.raises(ValueError, match="y must be a list of 2 arrays"):
        net.loss(case.theta, [x, x[:2]], y)
    with pytest.raises(ValueError, match="x must have at least one row"):
        net.loss(case.theta, x[:0], y[:0])
    with pytest.raises(ValueError, match="weights goes into the targets of a custom loss"):
        net.loss(case.theta, x, y, weights=np.ones(len(x)))
    with pytest.raises(TypeError, match="v must be an array, got None"):
        net.hvp(case.theta, x, y, None)


def test_the_network_stays_a_value():
    net = ff.MLP((2, 3, 1), loss=ff.losses.Custom(squares))
    assert net == pickle.loads(pickle.dumps(net))
    assert "Custom(fn=<function squares" in repr(net)
    assert net.init(0).shape == (net.n_params,)
