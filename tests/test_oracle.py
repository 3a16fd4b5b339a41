"""The oracle against finite differences, complex steps and closed forms: it needs no package."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import oracle
from cases import LR, build

COMPLEX_STEP = 1e-30
Z = np.array([-30.0, -4.3, -1.7, -0.9, -0.2, -1e-3, 1e-3, 0.3, 0.8, 1.6, 4.1, 30.0])

every_network = pytest.mark.parametrize(
    ("activation", "loss"), list(itertools.product(oracle.ACTIVATIONS, oracle.LOSSES))
)


def complex_step(function, theta, v):
    """The derivative of `function` along `v`, exact to rounding."""
    return np.imag(function(theta + 1j * COMPLEX_STEP * v)) / COMPLEX_STEP


@pytest.mark.parametrize("name", oracle.ACTIVATIONS)
def test_activation_derivatives_match_complex_steps(name):
    apply, d1, d2 = oracle.ACTIVATIONS[name]
    ones = np.ones_like(Z)
    np.testing.assert_allclose(d1(Z), complex_step(apply, Z, ones), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(d2(Z), complex_step(d1, Z, ones), rtol=1e-12, atol=1e-15)


def test_activations_at_known_points():
    value = {name: float(a.apply(np.array([1.0]))[0]) for name, a in oracle.ACTIVATIONS.items()}
    expected = {
        "relu": 1.0,
        "leaky_relu": 1.0,
        "elu": 1.0,
        "tanh": 0.7615941559557649,
        "sigmoid": 0.7310585786300049,
        "softplus": 1.3132616875182228,
        "gelu": 0.8411919906082768,
        "silu": 0.7310585786300049,
        "sin": 0.8414709848078965,
        "identity": 1.0,
    }
    assert value == pytest.approx({name: expected[name] for name in value}, rel=1e-15)


def test_activations_do_not_overflow():
    far = np.array([-1e4, 1e4])
    with np.errstate(over="raise", invalid="raise"):
        for name, functions in oracle.ACTIVATIONS.items():
            for function in functions:
                assert np.all(np.isfinite(function(far))), name


def test_relu_has_derivative_zero_at_zero():
    assert oracle.ACTIVATIONS["relu"].d1(np.zeros(1)) == 0


@pytest.mark.parametrize("name", oracle.LOSSES)
def test_loss_derivatives_match_complex_steps(name):
    rng = np.random.default_rng(1)
    o, v = rng.normal(size=(2, 6, 4))
    y = rng.integers(0, 4, 6) if name == "cross_entropy" else rng.normal(size=(6, 4))
    value, gradient, hessian_times = oracle.LOSSES[name]
    slope = complex_step(lambda o: value(o, y), o, v)
    np.testing.assert_allclose(np.sum(gradient(o, y) * v), slope, rtol=1e-13)
    change = complex_step(lambda o: gradient(o, y), o, v)
    np.testing.assert_allclose(hessian_times(o, y, v), change, rtol=1e-12, atol=1e-15)


def test_loss_values_by_hand():
    o = np.array([[1.0, 2.0], [0.0, 0.0]])
    assert oracle.LOSSES["mse"].value(o, np.array([[0.0, 0.0], [0.0, 2.0]])) == (1 + 4 + 4) / 4
    labels = np.array([1, 0])
    expected = (np.log(1 + np.exp(-1)) + np.log(2)) / 2
    assert oracle.LOSSES["cross_entropy"].value(o, labels) == pytest.approx(expected, rel=1e-15)


def test_cross_entropy_does_not_overflow():
    o = np.array([[1e3, 0.0], [0.0, -1e3]])
    assert oracle.LOSSES["cross_entropy"].value(o, np.array([1, 0])) == 500


def test_flat_layout():
    net = oracle.Net((2, 3, 1), ("tanh",), "mse")
    (w1, b1), (w2, b2) = oracle.unflatten(net, np.arange(13))
    assert w1.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert b1.tolist() == [6, 7, 8]
    assert w2.tolist() == [[9], [10], [11]]
    assert b2.tolist() == [12]
    assert net.n_params == 13
    np.testing.assert_array_equal(
        oracle.flatten(oracle.unflatten(net, np.arange(13))), np.arange(13)
    )


def test_forward_by_hand():
    net = oracle.Net((1, 2, 1), ("relu",), "mse")
    theta = np.array([1.0, -1.0, 0.5, 0.5, 2.0, 3.0, 0.25])
    # Hidden units relu(x + 0.5) and relu(-x + 0.5), output 2 h_1 + 3 h_2 + 0.25.
    np.testing.assert_array_equal(
        oracle.predict(net, theta, [[1.0], [-2.0], [0.0]]), [[3.25], [7.75], [2.75]]
    )


@every_network
def test_gradient_and_hvp_match_complex_steps(activation, loss):
    case = build((3, 6, 5, 2), activation, loss)
    x, y = case.tasks[0].x_support, case.tasks[0].y_support
    v = np.random.default_rng(2).normal(size=case.theta.size)
    gradient = oracle.gradient(case.net, case.theta, x, y)
    slope = complex_step(lambda theta: oracle.loss(case.net, theta, x, y), case.theta, v)
    np.testing.assert_allclose(gradient @ v, slope, rtol=1e-12)
    hv = oracle.hvp(case.net, case.theta, x, y, v)
    change = complex_step(lambda theta: oracle.gradient(case.net, theta, x, y), case.theta, v)
    np.testing.assert_allclose(hv, change, rtol=0, atol=1e-14 * np.abs(change).max())


@every_network
def test_gradient_and_hvp_match_finite_differences(activation, loss):
    case = build((3, 6, 5, 2), activation, loss)
    x, y = case.tasks[0].x_query, case.tasks[0].y_query
    v = np.random.default_rng(3).normal(size=case.theta.size)
    h = 1e-6
    losses = [oracle.loss(case.net, case.theta + s * h * v, x, y) for s in (1, -1)]
    gradient = oracle.gradient(case.net, case.theta, x, y)
    np.testing.assert_allclose(gradient @ v, (losses[0] - losses[1]) / (2 * h), rtol=1e-6)
    gradients = [oracle.gradient(case.net, case.theta + s * h * v, x, y) for s in (1, -1)]
    expected = (gradients[0] - gradients[1]) / (2 * h)
    hv = oracle.hvp(case.net, case.theta, x, y, v)
    np.testing.assert_allclose(hv, expected, rtol=0, atol=1e-7 * np.abs(hv).max())


def test_relu_network_has_a_hessian():
    """It is piecewise linear in each layer, but the layers multiply."""
    case = build((2, 5, 1), "relu")
    x, y = case.tasks[0].x_support, case.tasks[0].y_support
    h = np.stack([oracle.hvp(case.net, case.theta, x, y, e) for e in np.eye(case.theta.size)])
    np.testing.assert_allclose(h, h.T, atol=1e-15)
    assert np.linalg.eigvalsh(h).min() < -1e-3


@every_network
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_exact_meta_gradient_is_the_derivative_of_the_query_loss(activation, loss, steps):
    case = build((2, 5, 4, 3), activation, loss)
    task = case.tasks[0]

    def query_loss(theta):
        adapted = oracle.adapt(case.net, theta, task.x_support, task.y_support, LR, steps)
        return oracle.loss(case.net, adapted[-1], task.x_query, task.y_query)

    exact = oracle.task_gradient(case.net, case.theta, task, LR, steps, "exact")
    for v in np.random.default_rng(4).normal(size=(3, case.theta.size)):
        slope = complex_step(query_loss, case.theta, v)
        assert exact @ v == pytest.approx(slope, rel=1e-11)


@pytest.mark.parametrize("alpha_a", [0.3, 0.9, 1.5])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_meta_gradient_closed_forms(alpha_a, steps):
    """The quadratic 1/2 a (w - c)^2 as a one-unit network; rows +x and -x keep the bias at 0."""
    w, c, x = 1.7, 0.4, 1.3
    a = 2 * x**2
    net = oracle.Net((1, 1), (), "mse")
    rows = np.array([[x], [-x]])
    task = oracle.Task(rows, c * rows, rows, c * rows)
    theta, lr = np.array([w, 0.0]), alpha_a / a
    first = oracle.task_gradient(net, theta, task, lr, steps, "first")
    exact = oracle.task_gradient(net, theta, task, lr, steps, "exact")
    np.testing.assert_allclose(first, [(1 - alpha_a) ** steps * a * (w - c), 0], atol=1e-14)
    np.testing.assert_allclose(exact, [(1 - alpha_a) ** (2 * steps) * a * (w - c), 0], atol=1e-14)


def test_outer_optimisers_by_hand():
    theta, grad = np.array([1.0]), np.array([0.5])
    sgd = oracle.SGD(momentum=0.9, nesterov=True)
    # The buffer starts as g, so the first Nesterov direction is g + 0.9 g.
    np.testing.assert_allclose(sgd.step(theta, grad, 0.1), [1 - 0.1 * 0.95])
    # Adam's first step is lr sign(g) but for eps; the decoupled decay comes on top of it.
    np.testing.assert_allclose(oracle.Adam(eps=0).step(theta, grad, 0.1), [0.9])
    np.testing.assert_allclose(
        oracle.AdamW(eps=0, weight_decay=0.5).step(theta, grad, 0.1), [0.95 - 0.1]
    )
    np.testing.assert_allclose(oracle.clip(np.array([3.0, 4.0]), 1.0), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(oracle.clip(np.array([3.0, 4.0]), 6.0), [3.0, 4.0])
