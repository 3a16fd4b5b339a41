"""`rates=state.rates` serves every algorithm, whether it learns rates or not."""

import numpy as np
import pytest

import fomaml_fast as ff

NET = ff.MLP([1, 4, 1], activation="tanh")
OUTER = ff.outer.Adam()
BATCH = ff.samplers.Sinusoid().sample(0, n_tasks=3, k_support=4, k_query=5)


def test_empty_rates_are_the_algorithms_own():
    algorithm = ff.maml(lr=0.2, steps=2)
    state = ff.init_state(NET, algorithm, OUTER)
    assert state.rates.shape == (0,)
    x, y = BATCH.x_support, BATCH.y_support
    np.testing.assert_array_equal(
        ff.adapt(NET, state.theta, x, y, algorithm, rates=state.rates),
        ff.adapt(NET, state.theta, x, y, algorithm),
    )
    np.testing.assert_array_equal(
        ff.evaluate(NET, state.theta, BATCH, algorithm, rates=state.rates).losses,
        ff.evaluate(NET, state.theta, BATCH, algorithm).losses,
    )
    np.testing.assert_array_equal(
        ff.meta_grad(NET, state.theta, BATCH, algorithm, rates=state.rates).grad,
        ff.meta_grad(NET, state.theta, BATCH, algorithm).grad,
    )


def test_empty_rates_leave_nothing_to_learn():
    theta, empty = NET.init(0), np.zeros(0, np.float32)
    x, y = BATCH.x_support, BATCH.y_support
    algorithm = ff.meta_sgd()
    for call in (
        lambda: ff.meta_grad(NET, theta, BATCH, algorithm, rates=empty),
        lambda: ff.evaluate(NET, theta, BATCH, algorithm, rates=empty),
        lambda: ff.adapt(NET, theta, x, y, algorithm, rates=empty),
    ):
        with pytest.raises(ValueError, match="rates must not be empty"):
            call()


def test_steps_beyond_rates_per_step_repeat_the_last():
    theta = NET.init(0)
    rates = np.array([[0.01, 0.02], [0.05, 0.03]], np.float32)
    longer = rates[np.minimum(np.arange(6), 1)]
    few, many = ff.maml(rates, steps=2), ff.maml(longer, steps=6)
    np.testing.assert_array_equal(
        ff.evaluate(NET, theta, BATCH, few, steps=(2, 6)).losses,
        ff.evaluate(NET, theta, BATCH, many, steps=(2, 6)).losses,
    )
    assert (rates[0] != rates[1]).all()  # so that repeating the first would show
