"""Predictions, losses, gradients and Hessian-vector products at given parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fomaml_fast as ff
import oracle
from cases import DTYPES, WIDTHS, build, parameters, ragged_rows
from subject import mlp
from tolerances import assert_close

ACTIVATIONS = (*ff.activations.names(), *oracle.VARIANTS)
LOSSES = ff.losses.names()


def test_oracle_knows_everything_registered():
    assert set(ff.activations.names()) == set(oracle.ACTIVATIONS)
    assert set(LOSSES) == set(oracle.LOSSES)


def assert_task_matches_oracle(case):
    """All four functions on the first task's support set."""
    net, task = mlp(case), case.tasks[0]
    x, y = task.x_support, task.y_support
    v = parameters(case.sizes, np.random.default_rng(5)).astype(case.dtype)
    predicted = net.predict(case.theta, x)
    value = net.loss(case.theta, x, y)
    value_too, gradient = net.value_and_grad(case.theta, x, y)
    hv = net.hvp(case.theta, x, y, v)
    assert predicted.dtype == gradient.dtype == hv.dtype == case.dtype
    assert_close(predicted, oracle.predict(case.net, case.theta, x), "predict", case.dtype)
    expected = oracle.loss(case.net, case.theta, x, y)
    assert_close(value, expected, "loss", case.dtype)
    assert_close(value_too, expected, "loss", case.dtype)
    expected = oracle.gradient(case.net, case.theta, x, y)
    assert_close(gradient, expected, "gradient", case.dtype)
    assert_close(hv, oracle.hvp(case.net, case.theta, x, y, v), "hvp", case.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_and_loss(activation, loss, dtype):
    assert_task_matches_oracle(build((3, 9, 6, 4), activation, loss, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("width", WIDTHS)
def test_sizes_around_vector_widths(width, loss, dtype):
    n_out = max(2, width) if loss == "cross_entropy" else width
    assert_task_matches_oracle(build((width, width, n_out), "tanh", loss, dtype, support=width))
    assert_task_matches_oracle(build((2, width, 18 - width % 7, 3), "silu", loss, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "sizes", [(1, 1), (5, 3), (1, 1, 1), (2, 3, 4, 5, 4, 3, 2), (70, 130, 3), (1, 200, 1)]
)
def test_depths_and_odd_shapes(sizes, dtype):
    assert_task_matches_oracle(build(sizes, "tanh", "mse", dtype))
    assert_task_matches_oracle(build((*sizes[:-1], sizes[-1] + 1), "relu", "cross_entropy", dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_activation_per_hidden_layer(dtype):
    activations = ACTIVATIONS[::-1]
    sizes = (3, *range(4, 4 + len(activations)), 2)
    assert_task_matches_oracle(build(sizes, activations, "mse", dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_far_out(activation, dtype):
    """Extreme pre-activations neither overflow nor lose the answer."""
    case = build((1, 1, 1), activation, "mse", dtype)
    theta = np.array([1, 0, 1, 0], dtype=case.dtype)  # the network is the activation itself
    x = np.array([[-90], [-20], [-8], [-1e-4], [0], [1e-4], [8], [20], [90]], dtype=case.dtype)
    net, y, v = mlp(case), np.full_like(x, -2), np.array([0.3, -0.7, 0.2, 0.5], dtype=case.dtype)
    expected = oracle.predict(case.net, theta, x)
    tolerance = {"float64": 1e-13, "float32": 2e-6}[dtype]
    # Row by row: an error at a small output must not hide behind a large one. What underflows
    # in the dtype may be flushed to zero, and gelu's 1 + tanh u cancels (in PyTorch too).
    floor = np.finfo(dtype).tiny + np.zeros_like(expected)
    if activation == "gelu":
        floor += np.finfo(dtype).eps * np.abs(x)
    predicted = net.predict(theta, x)
    assert np.all(np.abs(predicted - expected) <= tolerance * np.abs(expected) + floor)
    for i in range(len(x)):
        row, target = x[i : i + 1], y[i : i + 1]
        _, gradient = net.value_and_grad(theta, row, target)
        assert_close(gradient, oracle.gradient(case.net, theta, row, target), "gradient", dtype)
        hv = net.hvp(theta, row, target, v)
        assert_close(hv, oracle.hvp(case.net, theta, row, target, v), "hvp", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_of_large_logits_is_stable(dtype):
    net = ff.MLP((1, 3), loss="cross_entropy")
    theta = np.array([1000, 0, -1000, 0, 0, 0], dtype=dtype)
    x, y = np.array([[1], [1], [-1]], dtype=dtype), np.array([0, 2, 1])
    loss, gradient = net.value_and_grad(theta, x, y)
    assert loss == pytest.approx((0 + 2000 + 1000) / 3, rel=1e-6)
    assert np.all(np.isfinite(gradient))


def test_relu_has_derivative_zero_at_zero():
    net = ff.MLP((1, 1, 1))
    _, gradient = net.value_and_grad(np.array([1.0, 0.0, 1.0, 0.0]), [[0.0]], [[1.0]])
    np.testing.assert_array_equal(gradient, [0, 0, 0, -2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_is_never_swallowed(activation, dtype):
    """A dead network must not return a finite loss: relu(NaN) is NaN."""
    for width in (1, 5, 8, 17):
        case = build((2, width, 2), activation, "mse", dtype)
        theta = case.theta.copy()
        theta[0] = np.nan
        x = case.tasks[0].x_support
        net = mlp(case)
        assert np.all(np.isnan(net.predict(theta, x, check_finite=False)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_theta_and_rows_broadcast_over_tasks(loss, dtype):
    case = build((3, 8, 4), "tanh", loss, dtype, n_tasks=5)
    net, n_tasks = mlp(case), len(case.tasks)
    x, y, _, _ = case.arrays()
    rng = np.random.default_rng(6)
    thetas = np.stack([parameters(case.sizes, rng) for _ in range(n_tasks)]).astype(dtype)
    tangents = np.stack([parameters(case.sizes, rng) for _ in range(n_tasks)]).astype(dtype)

    choices = {
        "theta": (case.theta, thetas),
        "rows": ((x[0], y[0]), (x, y)),
        "tangent": (tangents[0], tangents),
    }
    for many in np.ndindex(2, 2, 2):
        theta, (x_in, y_in), v = (
            choices[what][index] for what, index in zip(choices, many, strict=True)
        )
        each_theta = np.broadcast_to(theta, thetas.shape)
        each_x, each_y = np.broadcast_to(x_in, x.shape), np.broadcast_to(y_in, y.shape)
        each_v = np.broadcast_to(v, tangents.shape)
        rows = list(zip(each_theta, each_x, each_y, each_v, strict=True))
        tasks = bool(many[0] or many[1])

        def check(actual, function, quantity, tasks, rows=rows):
            expected = np.stack([function(*row) for row in rows])
            expected = expected if tasks else expected[0]
            assert_close(actual, expected, quantity, dtype, tasks=tasks)

        check(
            net.predict(theta, x_in),
            lambda t, x, y, v: oracle.predict(case.net, t, x),
            "predict",
            tasks,
        )
        value, gradient = net.value_and_grad(theta, x_in, y_in)
        for actual in (value, net.loss(theta, x_in, y_in)):
            check(actual, lambda t, x, y, v: oracle.loss(case.net, t, x, y), "loss", tasks)
        check(gradient, lambda t, x, y, v: oracle.gradient(case.net, t, x, y), "gradient", tasks)
        check(
            net.hvp(theta, x_in, y_in, v),
            lambda t, x, y, v: oracle.hvp(case.net, t, x, y, v),
            "hvp",
            tasks or bool(many[2]),
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_ragged_rows(loss, dtype):
    case = build((3, 8, 4), "tanh", loss, dtype, rows=ragged_rows(11))
    net, (x, y, _, _) = mlp(case), case.arrays(ragged=True)
    v = parameters(case.sizes, np.random.default_rng(6)).astype(dtype)
    predicted = net.predict(case.theta, x)
    values, gradients = net.value_and_grad(case.theta, x, y)
    np.testing.assert_array_equal(net.loss(case.theta, x, y), values)
    products = net.hvp(case.theta, x, y, v)
    for i, rows in enumerate(zip(x, y, strict=True)):
        arguments = (case.net, case.theta, *rows)
        assert_close(predicted[i], oracle.predict(*arguments[:3]), "predict", dtype)
        assert_close(values[i], oracle.loss(*arguments), "loss", dtype)
        assert_close(gradients[i], oracle.gradient(*arguments), "gradient", dtype)
        assert_close(products[i], oracle.hvp(*arguments, v), "hvp", dtype)


def test_loss_of_one_task_is_a_float():
    case = build((2, 4, 1))
    value = mlp(case).loss(case.theta, case.tasks[0].x_support, case.tasks[0].y_support)
    assert isinstance(value, float)
    value, _ = mlp(case).value_and_grad(
        case.theta, case.tasks[0].x_support, case.tasks[0].y_support
    )
    assert isinstance(value, float)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives_match_finite_differences(activation, loss):
    """Independent of the oracle: the package against itself."""
    case = build((3, 7, 5, 3), activation, loss)
    net, (x, y, _, _) = mlp(case), case.tasks[0]
    rng, h = np.random.default_rng(7), 1e-5
    v = rng.normal(size=case.theta.size)
    near = [case.theta + s * h * v for s in (1, -1)]
    _, gradient = net.value_and_grad(case.theta, x, y)
    slope = (net.loss(near[0], x, y) - net.loss(near[1], x, y)) / (2 * h)
    # v may be nearly orthogonal to the gradient: then the slope is a small difference of terms.
    most = np.linalg.norm(gradient) * np.linalg.norm(v)
    assert gradient @ v == pytest.approx(slope, rel=1e-6, abs=1e-9 * most)
    gradients = [net.value_and_grad(theta, x, y)[1] for theta in near]
    hv = net.hvp(case.theta, x, y, v)
    np.testing.assert_allclose(
        hv, (gradients[0] - gradients[1]) / (2 * h), rtol=0, atol=1e-6 * np.abs(hv).max()
    )


networks = st.builds(
    build,
    st.lists(st.integers(2, 12), min_size=2, max_size=5).map(tuple),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(LOSSES),
    n_tasks=st.just(1),
    support=st.integers(1, 20),
    seed=st.integers(0, 1000),
)


@given(networks, st.integers(0, 1000))
def test_hvp_is_symmetric_and_linear(case, seed):
    net, (x, y, _, _) = mlp(case), case.tasks[0]
    u, v = np.random.default_rng(seed).normal(size=(2, case.theta.size))
    hu, hv = (net.hvp(case.theta, x, y, w) for w in (u, v))
    scale = np.linalg.norm(hu) * np.linalg.norm(v) + np.linalg.norm(hv) * np.linalg.norm(u)
    assert abs(u @ hv - v @ hu) <= 1e-13 * scale
    both = net.hvp(case.theta, x, y, 2 * u - 3 * v)
    limit = 1e-12 * (np.abs(hu).max() + np.abs(hv).max())
    np.testing.assert_allclose(both, 2 * hu - 3 * hv, rtol=0, atol=limit)
    assert not np.any(net.hvp(case.theta, x, y, np.zeros_like(u)))


@given(networks, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(case, random):
    net, (x, y, _, _) = mlp(case), case.tasks[0]
    order = list(range(len(x)))
    random.shuffle(order)
    loss, gradient = net.value_and_grad(case.theta, x, y)
    shuffled_loss, shuffled_gradient = net.value_and_grad(case.theta, x[order], y[order])
    assert_close(shuffled_loss, loss, "loss", np.float64)
    assert_close(shuffled_gradient, gradient, "gradient", np.float64)
    np.testing.assert_array_equal(net.predict(case.theta, x)[order].shape, (len(x), case.sizes[-1]))
    assert_close(
        net.predict(case.theta, x[order]), net.predict(case.theta, x)[order], "predict", np.float64
    )


def test_loss_of_many_float32_rows_keeps_its_digits():
    """10^5 rows may lose no more than a few units in the last place."""
    rng = np.random.default_rng(8)
    x = rng.normal(1, 0.01, (100_000, 1)).astype(np.float32)
    y = np.zeros_like(x)
    theta = np.array([1, 0], dtype=np.float32)
    value = ff.MLP((1, 1)).loss(theta, x, y)
    expected = np.mean(x.astype(np.float64) ** 2)
    assert abs(value - expected) <= 4 * np.spacing(np.float32(expected))

    labels = np.zeros(len(x), dtype=np.int64)
    theta = np.array([0.5, -0.5, 0, 0], dtype=np.float32)
    value = ff.MLP((1, 2), loss="cross_entropy").loss(theta, x, labels)
    expected = np.mean(np.log1p(np.exp(-x.astype(np.float64))))
    assert abs(value - expected) <= 4 * np.spacing(np.float32(expected))
