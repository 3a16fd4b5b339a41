"""Numbers near the ends of a dtype: scaled where they can be, reported where they cannot."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
from fomaml_fast import _debug
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
