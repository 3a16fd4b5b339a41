"""Numbers near the ends of a dtype: scaled where they can be, reported where they cannot."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from fomaml_fast import _debug, activations
from test_custom_loss import squares

ENGINES = ("reference", "rows", "lanes")


@pytest.fixture(params=ENGINES)
def engine(request):
    with _debug.force_engine(request.param):
        yield request.param


def one_row(x, y, dtype):
    """Two tasks of one row each, one after the other."""
    ones = np.ones((2, 1, 1), dtype)
    return ff.TaskBatch(x * ones, y * ones, x * ones, y * ones)


@pytest.mark.parametrize(("dtype", "x", "y"), [("float32", 1e10, 1e16), ("float64", 1e80, 1e120)])
def test_clipping_of_gradients_whose_squares_overflow(engine, dtype, x, y):
    # e = -y at theta = 0, so the gradient (-2 y x, -2 y) is a multiple of (-x, -1).
    net, batch = ff.MLP([1, 1]), one_row(x, y, dtype)
    clipped = ff.Algorithm(ff.inner.SGD(1.0, clip_norm=0.5))
    adapted = ff.adapt(net, np.zeros(2, dtype), batch.x_support, batch.y_support, clipped)
    np.testing.assert_allclose(adapted, [[0.5, 0.5 / x]] * 2, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "x", "y"), [("float32", 1e10, 1e16), ("float64", 1e80, 1e120)])
def test_rate_gradients_that_overflow_are_divergence(engine, dtype, x, y):
    # The gradients of both sets are of the size x y; their product is not representable.
    net, batch = ff.MLP([1, 1]), one_row(x, y, dtype)
    learned = ff.Algorithm(ff.inner.SGD(0.0), learn_rates=True)
    with pytest.raises(ff.DivergenceError):
        ff.meta_grad(net, np.zeros(2, dtype), batch, learned)
    assert np.isfinite(ff.meta_grad(net, np.zeros(2, dtype), batch, ff.fomaml(0.0)).grad).all()


def test_a_sum_of_gradients_that_overflows_says_so():
    net, batch = ff.MLP([1, 1]), one_row(1.2e20, 1e18, "float32")
    algorithm, outer = ff.fomaml(0.0), ff.outer.SGD(0.1)
    state = ff.init_state(net, algorithm, outer, theta=np.zeros(2, np.float32))
    for task in range(2):
        assert np.isfinite(ff.meta_grad(net, state.theta, batch.take([task]), algorithm).grad).all()
    with pytest.raises(ff.DivergenceError, match="of 2 tasks are finite, but their sum is not"):
        ff.meta_step(net, state, batch, algorithm, outer, reduction="sum")
    with pytest.raises(ff.DivergenceError, match="of 2 tasks are finite, but their sum is not"):
        ff.meta_grad(net, state.theta, batch, algorithm, reduction="sum")


def test_rate_gradients_of_a_custom_loss_that_overflow_are_divergence():
    net, batch = ff.MLP([1, 1], loss=ff.losses.Custom(squares)), one_row(1e80, 1e120, "float64")
    learned = ff.Algorithm(ff.inner.SGD(0.0), learn_rates=True)
    with pytest.raises(ff.DivergenceError):
        ff.meta_grad(net, np.zeros(2), batch, learned)


def test_evaluation_sees_infinite_parameters_behind_saturated_units():
    net, batch = ff.MLP([1, 4, 1], "tanh"), one_row(1.0, 50.0, "float32")
    theta, steps = net.init(0), (0, 1, 2)
    far = ff.Algorithm(ff.inner.SGD(3e38), adapt="body")
    with pytest.raises(ff.DivergenceError):
        ff.adapt(net, theta, batch.x_support, batch.y_support, far, steps=1)
    found = ff.evaluate(net, theta, batch, far, steps=steps)
    assert np.isfinite(found.losses).all()  # nothing else tells
    assert found.diverged.tolist() == [[False, True, True]] * 2
    with pytest.raises(ff.DivergenceError, match="inner step 1"):
        ff.evaluate(net, theta, batch, far, steps=steps, on_divergence="raise")


def test_more_steps_than_can_be_counted_are_refused():
    net, batch, most = ff.MLP([1, 1]), one_row(1.0, 1.0, "float64"), 2**31 - 1
    theta, rows = np.zeros(2), (batch.x_support, batch.y_support)
    with pytest.raises(ValueError, match=r"^steps must fit"):
        ff.adapt(net, theta, *rows, ff.fomaml(), steps=most, trace=True)
    with pytest.raises(ValueError, match=r"^steps\[0\] must fit"):
        ff.evaluate(net, theta, batch, ff.fomaml(), steps=(most,))


#: Sizes far beyond what an activation distinguishes, whose squares and cubes overflow.
FAR = {"float32": (1e6, 1e15, 1e30), "float64": (1e6, 1e120, 1e300)}
SATURATED = 60.0  # where slopes have reached their limits


def expected_far(name, z):
    """sigma, sigma' and sigma'' at z: beyond SATURATED lines continue them."""
    activation = oracle.ACTIVATIONS[name]
    if name == "sin":
        return np.sin(z), np.cos(z), -np.sin(z)
    at = np.sign(z) * SATURATED
    value, slope = activation.apply(at), activation.d1(at)
    slope = np.where(np.abs(slope) < 1e-20, 0.0, slope)
    return value + slope * (z - at), slope, 0.0


@pytest.mark.parametrize("name", activations.names())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_far_out(engine, dtype, name):
    # The loss |o - y|/2, below every output or above it: its slope is the sign alone.
    net = ff.MLP([1, 1, 1], name, ff.losses.Quantile(0.5))
    for z in (sign * size for size in FAR[dtype] for sign in (1, -1)):
        z = float(np.array(z, dtype))
        value, slope, bend = expected_far(name, np.float64(z))
        x, theta = np.array([[z]], dtype), np.array([1, 0, 1, 0], dtype)
        assert_extreme(net.predict(theta, x)[0, 0], value, dtype)
        y = np.array([[0 if value > 1 else 2]], dtype)
        sign = 0.5 if value > y[0, 0] else -0.5
        loss, gradient = net.value_and_grad(theta, x, y)
        assert_extreme(loss, abs(value - float(y[0, 0])) / 2, dtype)
        assert_extreme(gradient[1:], sign * np.array([slope, value, 1]), dtype)
        product = net.hvp(theta, x, y, np.array([0, 1, 0, 0], dtype))
        assert_extreme(product[1:3], sign * np.array([bend, slope]), dtype)
        if engine != "lanes":
            tangent = net.jvp(theta, x, np.array([0, 1, 0, 0], dtype))
            assert_extreme(tangent[0, 0], slope, dtype)


def assert_extreme(actual, expected, dtype):
    rtol = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


LOGITS = {"float32": (1e4, 1e30, 1.5e38), "float64": (1e4, 1e200, 8e307)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spread", [0, 1, 2])
def test_softmax_of_far_logits(engine, dtype, spread):
    big = LOGITS[dtype][spread]
    x, theta = np.zeros((1, 1), dtype), np.array([0, 0, 0, big, 0, -big], dtype)
    net = ff.MLP([1, 3], loss="cross_entropy")
    for label, loss in ((0, 0.0), (1, big), (2, 2 * big)):
        value, gradient = net.value_and_grad(theta, x, np.array([label]))
        assert_extreme(value / big, loss / big, dtype)
        right = np.array([1.0, 0, 0])
        right[label] -= 1
        assert_extreme(gradient[3:], right, dtype)
    for p, loss in (([1, 0, 0], 0.0), ([0.5, 0.5, 0], big / 2), ([0, 0, 0.25], big / 2)):
        value, gradient = net.value_and_grad(theta, x, np.array([p], dtype))
        assert_extreme(value / big, loss / big, dtype)
        assert_extreme(gradient[3:], np.array([sum(p), 0, 0]) - p, dtype)
    product = net.hvp(theta, x, np.array([1]), np.ones(6, dtype))
    assert_extreme(product, np.zeros(6), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_probability_of_0_meets_a_difference_that_overflows(engine, dtype):
    big = np.finfo(dtype).max
    theta = np.array([0, 0, big, -big], dtype)
    net, x = ff.MLP([1, 2], loss="cross_entropy"), np.zeros((1, 1), dtype)
    value, gradient = net.value_and_grad(theta, x, np.array([[1, 0]], dtype))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [0, 1, 2])
def test_logits_of_binary_cross_entropy(engine, dtype, size):
    big = LOGITS[dtype][size]
    net, x = ff.MLP([1, 1], loss="binary_cross_entropy"), np.zeros((1, 1), dtype)
    for o, y in ((big, 1.0), (big, 0.0), (big, 0.25), (-big, 1.0), (-big, 0.0), (-big, 0.25)):
        theta = np.array([0, o], dtype)
        value, gradient = net.value_and_grad(theta, x, np.array([[y]], dtype))
        s = float(o > 0)
        assert_extreme(value / big, abs(s - y), dtype)
        assert_extreme(gradient[1], s - y, dtype)
        product = net.hvp(theta, x, np.array([[y]], dtype), np.ones(2, dtype))
        np.testing.assert_array_equal(product, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("delta", [1e-3, 1.0, 1e30])
def test_far_residuals_of_huber_and_quantile(engine, dtype, delta):
    # The largest difference of two numbers overflows: the gradient does not.
    big, x = float(np.finfo(dtype).max), np.zeros((1, 1), dtype)
    for o, y in ((1e12, 0.0), (-1e12, 0.0), (big, -big), (-big, big)):
        theta, target = np.array([0, o], dtype), np.array([[y]], dtype)
        e = float(np.array(o, dtype)) - float(np.array(y, dtype))
        value, gradient = ff.MLP([1, 1], loss=ff.losses.Huber(delta)).value_and_grad(
            theta, x, target
        )
        assert_extreme(gradient[1] / delta, np.clip(e / delta, -1, 1), dtype)
        right = delta * (abs(e) - delta / 2) if abs(e) > delta else e * e / 2
        if max(right, abs(e)) < big:
            assert_extreme(value / right, 1, dtype)
        else:
            assert not np.isfinite(value)
        _, gradient = ff.MLP([1, 1], loss=ff.losses.Quantile(0.9)).value_and_grad(theta, x, target)
        assert_extreme(gradient[1], 0.1 if e > 0 else -0.9, dtype)


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        ("float32", 1e18),
        ("float32", 1e25),
        ("float32", 1e36),
        ("float64", 1e200),
        ("float64", 1e290),
    ],
)
def test_normalisation_of_numbers_whose_squares_overflow(engine, norm, dtype, scale):
    # Normalised, numbers and any multiple of them are the same, but for epsilon.
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 7, 3)).astype(dtype)
    y = rng.standard_normal((2, 7, 2)).astype(dtype)
    net = ff.MLP([3, 4, 2], "tanh", norm=norm)
    theta = net.init(0).astype(dtype)
    theta[12:16] = 0
    near, far = np.array(1e8, dtype), np.array(scale, dtype)
    x[1] *= near / far  # one task of common size: it is not disturbed
    plain = net.predict(theta, x * near)
    ours = net.predict(theta, x * far)
    assert_extreme(ours[0], plain[0], dtype)
    right = oracle.predict(
        oracle.Net((3, 4, 2), ("tanh",), "mse", (norm,)), theta, np.float64(x[1]) * float(far)
    )
    assert_extreme(ours[1], right, dtype)
    assert np.isfinite(net.value_and_grad(theta, x * far, y)[1]).all()
    v = np.r_[np.zeros(16), np.ones(18)].astype(dtype)
    assert np.isfinite(net.hvp(theta, x * far, y, v)).all()
    scaled = net.value_and_grad(theta, x[:1] * far, y[:1])[1]
    common = net.value_and_grad(theta, x[:1] * near, y[:1])[1]
    assert_extreme(scaled[:, 16:], common[:, 16:], dtype)


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e-20, 1e-8, 1e15, 1e30])
def test_clipping_of_any_size(engine, scale):
    # The gradient is `scale` (3, 4), clipped to a tenth of its norm.
    x, y = np.full((1, 1, 1), 0.75, np.float32), np.full((1, 1, 1), -1, np.float32)
    weights = np.full((1, 1), 8 * scale, np.float32)  # of a slope of 1/2
    net = ff.MLP([1, 1], loss=ff.losses.Quantile(0.5))
    norm = 4 * scale * np.hypot(0.75, 1)
    algorithm = ff.Algorithm(ff.inner.SGD(1 / scale, clip_norm=norm / 10))
    adapted = ff.adapt(net, np.zeros(2, np.float32), x, y, algorithm, weights=weights)
    np.testing.assert_allclose(adapted[0], [-0.3, -0.4], rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-35, 1e-25, 1e-20, 1.0, 1e20, 1e30])
def test_implicit_gradients_of_any_size(engine, scale):
    # Conjugate gradients are linear in the query gradient.
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, 6, n)).astype(np.float32) for n in (3, 2, 3, 2)]
    net, algorithm = ff.MLP([3, 4, 2], "tanh"), ff.imaml(lr=0.1, steps=2, mu=5.0)
    theta = net.init(0)
    plain = ff.meta_grad(net, theta, ff.TaskBatch(*arrays), algorithm)
    weights = np.full((2, 6), scale, np.float32)
    batch = ff.TaskBatch(*arrays, weights_query=weights)
    scaled = ff.meta_grad(net, theta, batch, algorithm)
    np.testing.assert_allclose(scaled.grad / np.float32(scale), plain.grad, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(scaled.solver.iterations, plain.solver.iterations)
    assert (scaled.solver.iterations > 0).all()


ADAPTIVE = [ff.inner.Adam(0.1), ff.inner.RMSprop(0.1), ff.inner.RMSprop(0.1, centered=True)]


@pytest.mark.parametrize("inner", [*ADAPTIVE, ff.inner.Adagrad(0.1)], ids=repr)
@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e25), ("float64", 1e200)])
@pytest.mark.parametrize("gradient", ["first", "exact"])
def test_second_moments_that_overflow_are_divergence(engine, inner, dtype, size, gradient):
    # The loss and its gradient are finite, the square is not: a step of 0 would be silently wrong.
    net = ff.MLP([1, 1], loss=ff.losses.Quantile(0.5))
    theta, batch = np.zeros(2, dtype), one_row(1.0, -1.0, dtype)
    weights = np.full((2, 1), size, dtype)
    algorithm = ff.Algorithm(inner, steps=2, gradient=gradient)
    with pytest.raises(ff.DivergenceError):
        ff.adapt(net, theta, batch.x_support, batch.y_support, algorithm, weights=weights)
    heavy = ff.TaskBatch(
        batch.x_support, batch.y_support, batch.x_query, batch.y_query, weights_support=weights
    )
    with pytest.raises(ff.DivergenceError):
        ff.meta_grad(net, theta, heavy, algorithm)


def test_centred_rmsprop_of_gradients_that_hardly_change(engine):
    # Of a constant g the mean square less the squared mean is a^t (1 - a^t) g^2: the difference of
    # two numbers that agree to 9 digits.
    net, rows = ff.MLP([1, 1], loss=ff.losses.Quantile(0.5)), one_row(1.0, -1e6, "float32")
    steps, lr, a = 1_500, 1e-3, 0.99
    algorithm = ff.Algorithm(ff.inner.RMSprop(lr, centered=True), steps=steps)
    adapted = ff.adapt(net, np.zeros(2, np.float32), rows.x_support, rows.y_support, algorithm)
    powers = a ** np.arange(1, steps + 1)
    moved = -lr * np.sum(0.5 / (0.5 * np.sqrt(powers * (1 - powers)) + 1e-8))
    np.testing.assert_allclose(adapted, moved, rtol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("float64", 1e200), ("float64", 1e-200), ("float64", 1e290), ("float32", 1e30)],
)
def test_the_norm_of_outer_gradients(dtype, size):
    # The query gradient is `size` (3, 4): its norm is told, and clipped to 1/2 it is (0.3, 0.4).
    net = ff.MLP([1, 1], loss=ff.losses.Quantile(0.5))
    batch = one_row(0.75, -1.0, dtype)
    batch = ff.TaskBatch(
        *(batch.x_support, batch.y_support, batch.x_query, batch.y_query),
        weights_query=np.full((2, 1), 8 * size, dtype),
    )
    algorithm, outer = ff.fomaml(0.0), ff.outer.SGD(1.0, clip_norm=size / 2)
    state = ff.init_state(net, algorithm, outer, theta=np.zeros(2, dtype))
    state, metrics = ff.meta_step(net, state, batch, algorithm, outer)
    np.testing.assert_allclose(metrics.grad_norm / size, 5, rtol=1e-5)
    if size > 1:  # 1e-6 is added to the norm, as torch does
        np.testing.assert_allclose(state.theta / size, [-0.3, -0.4], rtol=1e-5)


@pytest.mark.parametrize("outer", [ff.outer.Adam(0.1), ff.outer.AdamW(0.1)], ids=["adam", "adamw"])
def test_outer_moments_that_overflow_do_not_stop_silently(outer):
    net, batch = ff.MLP([1, 1], loss=ff.losses.Quantile(0.5)), one_row(1.0, -1.0, "float32")
    batch = ff.TaskBatch(
        *(batch.x_support, batch.y_support, batch.x_query, batch.y_query),
        weights_query=np.full((2, 1), 1e25, np.float32),
    )
    state = ff.init_state(net, ff.fomaml(0.0), outer, theta=np.zeros(2, np.float32))
    try:
        state, _ = ff.meta_step(net, state, batch, ff.fomaml(0.0), outer)
    except ff.DivergenceError:
        return
    assert not np.isfinite(state.theta).any()
