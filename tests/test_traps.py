"""The traps of the mathematics, each with a test named after it.

Traps that other projects fell into as software are in `test_traps_of_the_field.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
import subject_points as subject
from oracle import flows, inner_optimisers, unroll
from points import FLOWS, MASKS, NORMS, OPTIMISERS, Point
from tolerances import TOLERANCES, relative_error

CLOSE = TOLERANCES["combination"]["float64"]
ADAPTIVE = [name for name, (cls, _, _) in OPTIMISERS.items() if cls != "SGD"]
STEEP = {"Adam": {"eps": 0.0}, "RMSprop": {"eps": 0.0}, "Adagrad": {"eps": 0.0}}


def against_oracle(point, **options):
    """The package's result, once it has been found equal to the oracle's."""
    result = subject.meta_grad(point, per_task=True, **options)
    for ours, expected in zip(result.task_grads, point.expected.tasks, strict=True):
        assert relative_error(ours, expected.grad) <= CLOSE
    if point.learn:
        assert relative_error(result.rate_grad, point.expected.rate_grad) <= CLOSE
    return result


def differ(first, second, by=1e-3):
    return relative_error(first, second) > by


def one_unit(x_support, y_support, x_query, y_query, dtype="float64"):
    """A network of one weight and one bias, and its only task."""
    rows = [np.array(a, dtype)[None, :, None] for a in (x_support, y_support, x_query, y_query)]
    return ff.MLP((1, 1)), ff.TaskBatch(*rows), [oracle.Task(*(a[0] for a in rows))]


# ------------------------------------------------------------------------------ inner optimisers


@pytest.mark.parametrize("eps", [0.1, 1e-3])
def test_adams_derivative_at_a_zero_gradient_is_finite(eps):
    """Rows +x and -x give the bias a gradient of exactly 0 and a curvature of 2.

    There one step's direction is g / (|g| + eps), of slope 1 / eps.
    """
    lr = 0.25 * eps
    net, batch, tasks = one_unit([1.5, -1.5], [0.6, -0.6], [0.5], [2.0])
    theta = np.array([1.0, 0.0])
    algorithm = ff.Algorithm(ff.inner.Adam(lr, eps=eps), gradient="exact")
    result = ff.meta_grad(net, theta, batch, algorithm)
    own = unroll.Algorithm(inner_optimisers.Adam(eps=eps), lr, gradient="exact")
    adapted = flows.task_result(net_of((1, 1)), theta, tasks[0], own).path.points[-1]
    query = oracle.gradient(net_of((1, 1)), adapted, tasks[0].x_query, tasks[0].y_query)
    assert result.grad[1] == pytest.approx(query[1] * (1 - lr / eps * 2), rel=1e-12)


def net_of(sizes, activation="tanh"):
    return oracle.Net(sizes, (activation,) * (len(sizes) - 2), "mse")


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("flow", ["first", "exact"])
def test_dead_relu_gives_finite_exact_gradients(optimiser, flow):
    """The first unit is dead on the support set and alive on the query set."""
    point = Point(optimiser, flow=flow, activation="relu", learn=True)
    theta = point.theta.copy()
    (weights, bias), *_ = oracle.unflatten(point.net, theta)
    weights[:, 0], bias[0] = (1.0, 0.0), -5.0
    theta = oracle.flatten([(weights, bias), *oracle.unflatten(point.net, theta)[1:]])
    arrays = [np.stack(column) for column in zip(*point.tasks, strict=True)]
    arrays[2][..., 0] += 9.0  # the query rows lie far on the living side
    tasks = [oracle.Task(*(a[t] for a in arrays)) for t in range(len(point.tasks))]
    expected = flows.result(point.net, theta, tasks, point.algorithm)
    result = ff.meta_grad(
        subject.mlp(point), theta, ff.TaskBatch(*arrays), subject.algorithm(point)
    )
    g = oracle.gradient(point.net, theta, tasks[0].x_support, tasks[0].y_support)
    assert (g == 0).any()
    assert np.isfinite(result.grad).all()
    assert relative_error(result.grad, expected.grad) <= CLOSE
    assert relative_error(result.rate_grad, expected.rate_grad) <= CLOSE


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", STEEP)
def test_second_moment_that_underflows_is_zero(name, dtype):
    """The weight's gradient is not 0 but its square is: without eps its direction is 0."""
    tiny = {"float64": 1e-170, "float32": 1e-25}[dtype]
    net, batch, _ = one_unit([tiny], [1.0], [1.0], [0.0], dtype)
    theta = np.array([0.5, 0.0], dtype)
    for flow in ("first", "exact"):
        inner = getattr(ff.inner, name)(0.125, **STEEP[name])
        algorithm = ff.Algorithm(inner, steps=3, gradient=flow)
        adapted = ff.adapt(net, theta, batch.x_support[0], batch.y_support[0], algorithm)
        assert adapted[0] == theta[0]
        assert adapted[1] != theta[1]
        assert np.isfinite(ff.meta_grad(net, theta, batch, algorithm).grad).all()


def test_adam_at_one_step_hides_the_second_order():
    """At S = 1 a direction is nearly a sign and exact nearly first order: S >= 2 must tell."""
    first, exact = (subject.meta_grad(Point("adam", flow=f, steps=1)).grad for f in FLOWS[:2])
    assert relative_error(first, exact) < 1e-5
    for optimiser in ("adam", "adam, eps 0.1"):
        for steps in (2, 3):
            first, exact = (
                against_oracle(Point(optimiser, flow=f, steps=steps)).grad for f in FLOWS[:2]
            )
            assert differ(first, exact), (optimiser, steps)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_time_and_state_restart_in_every_task(optimiser):
    point = Point(optimiser)
    together = subject.adapt(point)
    x, y = subject.batch(point).x_support, subject.batch(point).y_support
    for t in (1, 0, 1):  # in another order, and again
        alone = ff.adapt(subject.mlp(point), point.theta, x[t], y[t], subject.algorithm(point))
        assert relative_error(alone, together[t]) <= 1e-13
    repeated = subject.meta_grad(point, tasks=[0, 0, 0], per_task=True).task_grads
    assert relative_error(repeated[2], repeated[0]) <= 1e-13


def test_adams_first_step_is_bias_corrected():
    point = Point("adam", steps=1)
    change = subject.adapt(point) - point.theta
    np.testing.assert_allclose(np.abs(change), float(point.rates), rtol=1e-4)


def test_momentum_buffer_starts_as_the_gradient():
    """Not as (1 - momentum) g: one step with momentum is one without."""
    plain, heavy = (subject.adapt(replace(Point(o), steps=1)) for o in ("sgd", "momentum"))
    ratio = float(Point("momentum").rates) / float(Point("sgd").rates)
    np.testing.assert_allclose(heavy - Point().theta, ratio * (plain - Point().theta), atol=1e-15)


def test_decoupled_decay_has_another_jacobian_than_l2():
    """With plain descent they coincide; with Adam neither the step nor its derivative does."""
    plain = [
        subject.meta_grad(Point("sgd", **{kind: 0.3})).grad
        for kind in ("weight_decay", "decoupled_weight_decay")
    ]
    assert relative_error(*plain) <= 1e-13
    adam = [
        against_oracle(Point("adam, eps 0.1", **{kind: 0.3})).grad
        for kind in ("weight_decay", "decoupled_weight_decay")
    ]
    assert differ(*adam)


@pytest.mark.parametrize("adapt", MASKS, ids=str)
def test_clipping_has_its_true_jacobian_over_what_adapts(adapt):
    """The factor counts the adapted parameters alone, per task, and is differentiated."""
    point = Point(adapt=adapt, clip_norm=0.3, steps=1)
    objective = point.algorithm.objective(point.net, point.tasks[0])
    g = objective.support_gradient(point.theta, point.theta)
    assert np.linalg.norm(g) > 0.3
    moved = subject.adapt(point)[0] - point.theta
    assert np.linalg.norm(moved) == pytest.approx(0.3 * float(point.rates), rel=1e-12)
    exact = against_oracle(point).grad
    assert differ(exact, subject.meta_grad(replace(point, flow="first")).grad)


# ------------------------------------------------------------------------------------ the Hessian


def test_relu_networks_have_a_cross_layer_hessian():
    first, exact = (
        against_oracle(Point(activation="relu", flow=flow, steps=1)).grad for flow in FLOWS[:2]
    )
    assert differ(first, exact)


def test_anil_keeps_the_mixed_term_of_the_body():
    """The body's exact gradient is its query gradient - alpha (d2 L_s / d body d head) lambda."""
    point = Point(adapt="head", steps=1)
    result = against_oracle(point)
    net, task, lr = point.net, point.tasks[0], float(point.rates)
    head = point.algorithm.objective(net, task).mask
    adapted = point.expected.tasks[0].path.points[-1]
    query = oracle.gradient(net, adapted, task.x_query, task.y_query)
    mixed = oracle.hvp(net, point.theta, task.x_support, task.y_support, np.where(head, query, 0))
    body = result.task_grads[0][~head]
    np.testing.assert_allclose(body, (query - lr * mixed)[~head], rtol=1e-11, atol=1e-14)
    assert differ(body, query[~head])


def test_hessian_is_the_supports_and_gradient_the_querys():
    """A support set that is the query set would hide an exchange of the two."""
    point = Point(flow="exact", steps=1)
    result = against_oracle(point)
    net, task, lr = point.net, point.tasks[0], float(point.rates)
    adapted = point.expected.tasks[0].path.points[-1]
    query = oracle.gradient(net, adapted, task.x_query, task.y_query)
    mixed_up = query - lr * oracle.hvp(net, point.theta, task.x_query, task.y_query, query)
    assert differ(result.task_grads[0], mixed_up)


# ------------------------------------------------------------------------------- rates and anchor


@pytest.mark.parametrize("flow", FLOWS)
def test_steps_beyond_the_rates_repeat_the_last(flow):
    point = Point(flow=flow, rate="step_layer", steps=2)
    table, learn = point.rates, flow in ("first", "exact")
    longer = np.vstack([table, table[-1:], table[-1:]])
    gradient = subject.algorithm(point).gradient
    results = [
        ff.meta_grad(
            subject.mlp(point),
            point.theta,
            subject.batch(point),
            ff.Algorithm(ff.inner.SGD(rows), steps=4, gradient=gradient, learn_rates=learn),
        )
        for rows in (table, longer)
    ]
    np.testing.assert_allclose(results[0].grad, results[1].grad, rtol=1e-13)
    if learn:  # what repeats a row adds to that row's gradient
        np.testing.assert_allclose(results[0].rate_grad[0], results[1].rate_grad[0], rtol=1e-12)
        expected = results[1].rate_grad[1:].sum(axis=0)
        np.testing.assert_allclose(results[0].rate_grad[1], expected, rtol=1e-12)


def test_rates_beyond_the_steps_have_no_gradient():
    rates = np.full((3, 3), 0.05)
    point = Point(steps=1)
    algorithm = ff.Algorithm(ff.inner.SGD(rates), steps=1, gradient="exact", learn_rates=True)
    result = ff.meta_grad(subject.mlp(point), point.theta, subject.batch(point), algorithm)
    assert result.rate_grad.shape == (3, 3)
    assert result.rate_grad[0].all()
    assert not result.rate_grad[1:].any()


def test_rates_outside_the_mask_have_gradient_zero():
    result = against_oracle(Point(rate="layer", adapt="head", learn=True))
    assert (result.rate_grad != 0).tolist() == [False, False, True]


@pytest.mark.parametrize("kind", ["decoupled_weight_decay", "proximal", "weight_decay"])
@pytest.mark.parametrize("flow", ["first", "exact"])
def test_rate_gradient_takes_the_whole_direction(flow, kind):
    """Non-zero in first order too, decay and pull included."""
    with_it, without = (
        against_oracle(Point(flow=flow, learn=True, steps=2, **{kind: value})).rate_grad
        for value in (0.4, 0.0)
    )
    assert with_it != 0
    assert differ(with_it, without)


def test_proximal_anchor_moves_with_theta():
    """A pull of strength mu at S = 2: dropping the anchor's share multiplies by 1 - lr mu."""
    net, batch, _ = one_unit([0.0], [0.0], [1.0], [3.0])
    theta, lr, mu = np.array([1.0, 0.0]), 0.25, 2.0
    # The weight has no support gradient, so it stays where the anchor is.
    inner = ff.inner.SGD(lr, proximal=mu)
    for steps in (1, 2, 5):
        algorithm = ff.Algorithm(inner, steps=steps, gradient="exact")
        assert ff.meta_grad(net, theta, batch, algorithm).grad[0] == pytest.approx(-4, rel=1e-12)


def test_first_order_drops_decay_and_pull():
    point = Point(
        "momentum", flow="first", weight_decay=0.5, decoupled_weight_decay=0.3, proximal=0.7
    )
    result = against_oracle(point)
    for t, (theta, task) in enumerate(zip(subject.adapt(point), point.tasks, strict=True)):
        expected = oracle.gradient(point.net, theta, task.x_query, task.y_query)
        assert relative_error(result.task_grads[t], expected) <= 1e-12


# ------------------------------------------------------------------------------------ other flows


@pytest.mark.parametrize("adapt", ["head", "body", (1,)], ids=str)
def test_reptile_gives_the_frozen_part_no_gradient(adapt):
    point = Point(adapt=adapt, flow="reptile")
    result = against_oracle(point)
    moved = point.theta - subject.adapt(point)
    np.testing.assert_allclose(result.task_grads, moved, atol=1e-15)
    frozen = ~point.algorithm.objective(point.net, point.tasks[0]).mask
    assert not result.task_grads[:, frozen].any()


@pytest.mark.parametrize("context", [1, 3])
@pytest.mark.parametrize("flow", ["first", "exact"])
def test_context_starts_at_zero_in_every_task(context, flow):
    point = Point(context=context, flow=flow)
    result = against_oracle(point)
    phi = subject.adapt(point)
    assert phi.shape == (len(point.tasks), context)
    assert relative_error(phi[1], point.expected.tasks[1].path.points[-1]) <= CLOSE
    assert result.grad.shape == point.theta.shape  # over theta only
    none = replace(point, steps=0)
    assert not subject.adapt(none).any()


def test_step_weights_on_the_last_step_are_the_plain_loss():
    point = Point("adam, eps 0.1", steps=3)
    plain = subject.meta_grad(point)
    algorithm = replace(subject.algorithm(point), step_weights=(0.0, 0.0, 1.0))
    result = ff.meta_grad(subject.mlp(point), point.theta, subject.batch(point), algorithm)
    assert relative_error(result.grad, plain.grad) <= 1e-13
    assert result.loss == pytest.approx(plain.loss, rel=1e-13)


# -------------------------------------------------------------------------------- rows and NaN


def test_weights_of_rows_are_not_normalised():
    """Weights of any sign; twice the query weights are twice the gradient."""
    point = Point()
    arrays = [np.stack(column) for column in zip(*point.tasks, strict=True)]
    weights = np.random.default_rng(0).normal(size=arrays[2].shape[:2])
    net, algorithm = subject.mlp(point), subject.algorithm(point)
    once, twice = (
        ff.meta_grad(
            net, point.theta, ff.TaskBatch(*arrays, weights_query=factor * weights), algorithm
        )
        for factor in (1.0, 2.0)
    )
    assert (weights < 0).any()
    assert relative_error(twice.grad, 2 * once.grad) <= 1e-12
    assert relative_error(twice.losses, 2 * once.losses) <= 1e-12


def test_weights_of_tasks_leave_the_losses_alone():
    point, weights = Point(), np.array([3.0, -1.0])
    arrays = [np.stack(column) for column in zip(*point.tasks, strict=True)]
    batch = ff.TaskBatch(*arrays, task_weights=weights)
    net, algorithm = subject.mlp(point), subject.algorithm(point)
    plain = subject.meta_grad(point, per_task=True)
    result = ff.meta_grad(net, point.theta, batch, algorithm, per_task=True)
    np.testing.assert_allclose(result.losses, plain.losses, rtol=1e-13)
    np.testing.assert_allclose(result.task_grads, plain.task_grads, rtol=1e-12, atol=1e-15)
    expected = (weights[:, None] * plain.task_grads).mean(axis=0)
    np.testing.assert_allclose(result.grad, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.skipif("batch" not in NORMS, reason="the oracle's network has no normalisation")
def test_query_statistics_are_the_querys_own():
    point = Point(norm="batch", steps=0)
    net, batch = subject.mlp(point), subject.batch(point)
    result = subject.meta_grad(point)
    expected = net.loss(np.stack([point.theta] * 2), batch.x_query, batch.y_query)
    np.testing.assert_allclose(result.losses, expected, rtol=1e-12)
    joined = np.concatenate([batch.x_support, batch.x_query], axis=1)
    outputs = net.predict(np.stack([point.theta] * 2), joined)[:, batch.x_support.shape[1] :]
    mixed = np.mean((outputs - batch.y_query) ** 2, axis=(1, 2))
    assert differ(mixed, result.losses)


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_clamps_do_not_swallow_nan(optimiser, flow):
    """A minimum or a guarded quotient, written the wrong way round, makes NaN a number."""
    point = Point(optimiser, flow=flow, clip_norm=0.5)
    theta = point.theta.copy()
    theta[-1] = np.nan
    net, batch, algorithm = subject.mlp(point), subject.batch(point), subject.algorithm(point)
    with pytest.raises(ff.DivergenceError):
        ff.meta_grad(net, theta, batch, algorithm, check_finite=False)
