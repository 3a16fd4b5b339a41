"""The oracle of inner optimisers and flows against itself and by hand: it needs no package."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import oracle
from combinations import meaningless
from oracle import complex_step, flows, implicit, inner_optimisers, masks, rates, unroll
from oracle.clipping import clip_by_norm
from points import FLOWS, ILL_CONDITIONED, MASKS, MU, OPTIMISERS, RATES, Point

every_optimiser = pytest.mark.parametrize("optimiser", OPTIMISERS)


def first_task(point):
    return point.expected.tasks[0]


def trajectory(name, options, gradients):
    """Directions of an optimiser along given gradients."""
    optimiser, state, directions = getattr(inner_optimisers, name)(**options), (), []
    for t, g in enumerate(np.asarray(gradients, dtype=float), start=1):
        d, state = optimiser.direction(g, state, t)
        directions.append(d)
    return np.array(directions)


def test_optimisers_by_hand():
    g = [[2.0], [1.0]]
    assert trajectory("SGD", {}, g).ravel().tolist() == [2, 1]
    assert trajectory("SGD", {"momentum": 0.5}, g).ravel().tolist() == [2, 2]
    nesterov = trajectory("SGD", {"momentum": 0.5, "nesterov": True}, g)
    assert nesterov.ravel().tolist() == [3, 2]
    # m = 1, then 1; corrections 1/2, 3/4; v = 1, then 3/4 + 1/4; corrections 1/4, 7/16
    adam = trajectory("Adam", {"betas": (0.5, 0.75), "eps": 0.5}, g)
    expected = [2 / (2 + 0.5), (4 / 3) / (np.sqrt(16 / 7) + 0.5)]
    np.testing.assert_allclose(adam.ravel(), expected, rtol=1e-14)
    # v = 2, then 1.5
    plain = trajectory("RMSprop", {"alpha": 0.5, "eps": 0.5}, g)
    expected = [2 / (np.sqrt(2) + 0.5), 1 / (np.sqrt(1.5) + 0.5)]
    np.testing.assert_allclose(plain.ravel(), expected, rtol=1e-14)
    # mean = 1, then 1: variances 1 and 0.5
    centered = trajectory("RMSprop", {"alpha": 0.5, "eps": 0.5, "centered": True}, g)
    np.testing.assert_allclose(centered.ravel(), [2 / 1.5, 1 / (np.sqrt(0.5) + 0.5)], rtol=1e-14)
    heavy = trajectory("RMSprop", {"alpha": 0.5, "eps": 0.5, "momentum": 0.5}, g)
    np.testing.assert_allclose(heavy.ravel(), [expected[0], expected[0] / 2 + expected[1]])
    options = {"lr_decay": 0.5, "initial_accumulator_value": 5.0, "eps": 1.0}
    adagrad = trajectory("Adagrad", options, g)
    expected = [2 / (3 + 1), 1 / (np.sqrt(10) + 1) / 1.5]
    np.testing.assert_allclose(adagrad.ravel(), expected, rtol=1e-14)


@every_optimiser
def test_direction_at_a_zero_gradient_is_zero_with_a_finite_derivative(optimiser):
    name, options, _ = OPTIMISERS[optimiser]
    rule = getattr(inner_optimisers, name)(**options)
    d, _ = rule.direction(np.zeros(1), (), 1)
    slope = complex_step.along(lambda g: rule.direction(g, (), 1)[0], np.zeros(1), np.ones(1))
    assert d == 0
    assert np.isfinite(slope).all()
    assert slope > 0


@every_optimiser
def test_directions_without_eps_at_zero_are_zero(optimiser):
    name, options, _ = OPTIMISERS[optimiser]
    if name != "SGD":
        options = {**options, "eps": 0.0}
    assert not trajectory(name, options, np.zeros((3, 2))).any()


def test_clipping_by_hand():
    g = np.array([3.0, 4.0])
    np.testing.assert_allclose(clip_by_norm(g, 1.0), [0.6, 0.8])
    np.testing.assert_array_equal(clip_by_norm(g, 5.0), g)
    np.testing.assert_array_equal(clip_by_norm(0 * g, 5.0), 0 * g)
    # The Jacobian of a clipped gradient removes the radial part: c/||g|| (I - g g^T / ||g||^2).
    jacobian = complex_step.columns(lambda g: clip_by_norm(g, 1.0), g)
    np.testing.assert_allclose(jacobian, (np.eye(2) - np.outer(g, g) / 25) / 5, atol=1e-16)


def test_rates_and_masks_by_hand():
    net = oracle.Net((1, 2, 1), ("tanh",), "mse")  # 4 and 3 parameters
    layers = rates.layer_of(net)
    assert layers.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert rates.at_step("layer", np.array([1, 2]), 5, layers).tolist() == [1, 1, 1, 1, 2, 2, 2]
    table = np.array([[1, 2], [3, 4]])
    steps = [rates.at_step("step_layer", table, k, layers)[[0, -1]].tolist() for k in range(4)]
    assert steps == [[1, 2], [3, 4], [3, 4], [3, 4]]
    head = [False] * 4 + [True] * 3
    assert masks.adapted(net, "head").tolist() == masks.adapted(net, (1,)).tolist() == head
    assert masks.adapted(net, "body").tolist() == [not m for m in head]
    assert masks.adapted(net, "all").all()


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("flow", ["first", "exact"])
@pytest.mark.parametrize("activation", oracle.ACTIVATIONS)
def test_plain_descent_equals_the_reverse_sweep(activation, flow, steps):
    """Forward differentiation of the loop against the recursion with Hessian-vector products."""
    point = Point(activation=activation, flow=flow, steps=steps)
    task, lr = point.tasks[0], float(point.rates)
    expected = oracle.task_gradient(point.net, point.theta, task, lr, steps, flow)
    np.testing.assert_allclose(first_task(point).grad, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("adapt", MASKS)
@every_optimiser
def test_exact_gradients_match_finite_differences(optimiser, adapt):
    point = Point(
        optimiser, "layer", adapt, weight_decay=0.1, decoupled_weight_decay=0.05, proximal=0.2,
        clip_norm=0.7, step_weights=True,
    )  # fmt: skip
    task, algorithm = point.tasks[0], point.algorithm
    objective = algorithm.objective(point.net, task)
    v, h = np.random.default_rng(0).normal(size=point.theta.size), 1e-6
    u = np.random.default_rng(1).normal(size=point.rates.shape) * point.rates

    def loss(s, r):
        return unroll.meta_loss(
            objective, point.theta + s * h * v, point.rates + r * h * u, algorithm
        )

    result = first_task(point)
    if optimiser not in ILL_CONDITIONED:  # nearly a sign: no finite step is small enough
        slope = (loss(1, 0) - loss(-1, 0)) / (2 * h)
        assert result.grad @ v == pytest.approx(slope, rel=1e-6, abs=1e-8)
    slope = (loss(0, 1) - loss(0, -1)) / (2 * h)
    assert np.sum(result.rate_grad * u) == pytest.approx(slope, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("rate", RATES)
@every_optimiser
def test_first_order_by_its_definition(optimiser, rate):
    """The query gradients of the steps, and minus their sum from k + 1 on times d_k."""
    point = Point(optimiser, rate, "body", "first", step_weights=True, decoupled_weight_decay=0.1)
    task = point.tasks[0]
    result = first_task(point)
    queries = [
        weight * oracle.gradient(point.net, theta, task.x_query, task.y_query)
        for weight, theta in zip(point.weights, result.path.points[1:], strict=True)
    ]
    np.testing.assert_allclose(result.grad, sum(queries), atol=1e-14)
    layers, expected = rates.layer_of(point.net), np.zeros(point.rates.shape)
    for k, d in enumerate(result.path.directions):
        for j, change in enumerate(-sum(queries[k:]) * d):
            where = {
                "scalar": (),
                "layer": (layers[j],),
                "step_layer": (k, layers[j]),
                "parameter": (j,),
            }
            expected[where[rate]] += change
    np.testing.assert_allclose(result.rate_grad, expected, atol=1e-14)


@pytest.mark.parametrize("alpha_a", [0.3, 0.9, 1.5])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_closed_forms_of_every_flow(alpha_a, steps):
    """The quadratic 1/2 a (w - c)^2 as a one-unit network whose bias has rate 0."""
    w, c, x = 1.7, 0.4, 1.3
    a, factor = 2 * x**2, 1 - alpha_a
    net, row = oracle.Net((1, 1), (), "mse"), np.array([[x]])
    task, theta = oracle.Task(row, c * row, row, c * row), np.array([w, 0.0])
    plain = unroll.Algorithm(rates=[alpha_a / a, 0.0], rate_kind="parameter", steps=steps)

    def weight_gradient(**changes):
        return flows.task_result(net, theta, task, replace(plain, **changes)).grad[0]

    first = factor**steps * a * (w - c)
    assert weight_gradient() == pytest.approx(first, abs=1e-13)
    assert weight_gradient(gradient="exact") == pytest.approx(factor**steps * first, abs=1e-13)
    assert weight_gradient(gradient="reptile") == pytest.approx((1 - factor**steps) * (w - c))


@pytest.mark.parametrize("mu", [0.5, 2.0, 40.0])
def test_implicit_closed_form_of_the_quadratic(mu):
    """At the minimum of the pulled loss the gradient is that of 1/2 a (phi*(w) - c)^2."""
    w, c, x = 1.7, 0.4, 1.3
    a, net, rows = 2 * x**2, oracle.Net((1, 1), (), "mse"), np.array([[x], [-x]])
    task = oracle.Task(rows, c * rows, rows, c * rows)
    algorithm = unroll.Algorithm(rates=0.5 / (a + mu), steps=80, gradient=unroll.Implicit(mu))
    grad = flows.task_result(net, np.array([w, 0.0]), task, algorithm).grad
    np.testing.assert_allclose(grad, [a * (mu / (a + mu)) ** 2 * (w - c), 0], atol=1e-14)


def assert_implicit_is_the_limit_of_exact(point):
    implicit_flow = replace(point.algorithm, rates=0.01, steps=400)
    exact_flow = replace(implicit_flow, gradient="exact", proximal=MU)
    results = [
        flows.task_result(point.net, point.theta, point.tasks[0], algorithm)
        for algorithm in (implicit_flow, exact_flow)
    ]
    np.testing.assert_allclose(results[0].grad, results[1].grad, atol=1e-12)


@pytest.mark.parametrize("adapt", MASKS)
def test_implicit_is_the_limit_of_exact(adapt):
    """Through a loop that has converged, both differentiate the same minimum."""
    assert_implicit_is_the_limit_of_exact(Point(adapt=adapt, flow="implicit"))


def test_implicit_with_context_is_the_limit_of_exact():
    assert_implicit_is_the_limit_of_exact(Point(context=2, flow="implicit"))


def test_hessian_is_that_of_the_products():
    point = Point(adapt="head", flow="implicit")
    task, theta = point.tasks[0], point.theta
    objective = point.algorithm.objective(point.net, task)
    matrix = implicit.matrix(objective, theta, theta, 0.5)
    for j, e in enumerate(np.eye(theta.size)):
        column = oracle.hvp(point.net, theta, task.x_support, task.y_support, e) / 0.5
        expected = np.where(objective.mask & objective.mask[j], column, 0) + e
        np.testing.assert_allclose(matrix[:, j], expected, atol=1e-13)


def test_conjugate_gradients_solve_and_stop():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    a, b = np.eye(6) + root @ root.T, rng.normal(size=6)
    solved = implicit.conjugate_gradients(a, b, 1e-12, 50)
    np.testing.assert_allclose(solved.x, np.linalg.solve(a, b), rtol=1e-9)
    assert solved.residual <= 2e-12
    assert not solved.indefinite
    early = implicit.conjugate_gradients(a, b, 1e-12, 2)
    assert early.iterations == 2
    # After two steps the error is least, in the norm of A, over span(b, A b).
    basis = np.stack([b, a @ b], axis=1)
    best = basis @ np.linalg.solve(basis.T @ a @ basis, basis.T @ b)
    np.testing.assert_allclose(early.x, best, rtol=1e-10)
    assert implicit.conjugate_gradients(a, 0 * b, 1e-12, 9) == (pytest.approx(0 * b), 0, 0, False)


def test_conjugate_gradients_stop_where_curvature_is_not_positive():
    b = np.array([1.0, 1.0])
    at_once = implicit.conjugate_gradients(np.diag([1.0, -2.0]), b, 1e-9, 9)
    assert at_once.indefinite
    assert at_once.x.tolist() == [1, 1]
    later = implicit.conjugate_gradients(np.diag([3.0, -1.0]), b, 1e-9, 9)
    assert later.indefinite
    assert later.iterations == 1
    np.testing.assert_allclose(later.x, b)  # the step is b.b / b.A.b = 1


@pytest.mark.parametrize("flow", ["first", "exact"])
def test_context_gradient_is_that_of_the_inputs(flow):
    point = Point(context=2, flow=flow)
    objective = point.algorithm.objective(point.net, point.tasks[0])
    theta, phi = point.theta, np.array([0.3, -0.2])
    (rows,) = objective.support
    np.testing.assert_allclose(
        objective.support_gradient(phi, theta),
        complex_step.columns(lambda phi: rows.with_context(phi).loss(theta), phi),
        rtol=1e-13,
    )
    assert first_task(point).grad.shape == theta.shape
    assert first_task(point).path.points[-1].shape == (2,)


def test_every_choice_changes_the_gradient():
    """No option of the oracle is ignored: each changes the result of the plain point."""
    plain = Point("adam, eps 0.1").expected.grad
    changes = {
        "adapt": "head", "flow": "first", "steps": 2, "step_weights": True, "weight_decay": 0.1,
        "decoupled_weight_decay": 0.1, "proximal": 0.5, "clip_norm": 0.5, "optimiser": "momentum",
        "rate": "step_layer",
    }  # fmt: skip
    for name, value in changes.items():
        other = replace(Point("adam, eps 0.1"), **{name: value})
        assert not meaningless(other)
        assert np.abs(other.expected.grad - plain).max() > 1e-6 * np.abs(plain).max(), name


@pytest.mark.parametrize("flow", FLOWS)
def test_weights_of_tasks_and_sums(flow):
    point = Point(flow=flow)
    options = {"task_weights": [2.0, -1.0]}
    mean = flows.result(point.net, point.theta, point.tasks, point.algorithm, **options)
    one, two = mean.tasks
    np.testing.assert_allclose(mean.grad, one.grad - two.grad / 2, atol=1e-15)
    total = flows.result(
        point.net, point.theta, point.tasks, point.algorithm, reduction="sum", **options
    )
    np.testing.assert_allclose(total.grad, 2 * mean.grad, atol=1e-14)
    assert total.loss == pytest.approx(2 * one.loss - two.loss)
