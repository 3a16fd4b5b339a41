"""`adapt` and `evaluate`: the inner loop for its own sake."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fomaml_fast as ff
import oracle
from cases import DTYPES, LR, TASK_COUNTS, WIDTHS, build, parameters, ragged_rows
from subject import algorithm, batch, mlp
from tolerances import assert_close

ACTIVATIONS = (*ff.activations.names(), *oracle.VARIANTS)
LOSSES = ff.losses.names()
STEPS = (0, 1, 2, 5)


def trajectories(case, steps, thetas=None):
    """The oracle's ``[T, S+1, P]`` and the support losses along it ``[T, S+1]``."""
    thetas = [case.theta] * len(case.tasks) if thetas is None else thetas
    paths, losses = [], []
    for theta, task in zip(thetas, case.tasks, strict=True):
        path = oracle.adapt(case.net, theta, task.x_support, task.y_support, LR, steps)
        paths.append(path)
        losses.append([oracle.loss(case.net, t, task.x_support, task.y_support) for t in path])
    return np.array(paths), np.array(losses)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_and_loss(activation, loss, dtype, steps):
    case = build((3, 9, 6, 4), activation, loss, dtype)
    x, y, _, _ = case.arrays()
    adapted = ff.adapt(mlp(case), case.theta, x, y, algorithm(steps=steps))
    assert adapted.dtype == case.dtype
    assert_close(adapted, trajectories(case, steps)[0][:, -1], "adapt", dtype, tasks=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_tasks", TASK_COUNTS)
def test_task_counts_and_widths(n_tasks, dtype):
    for i, width in enumerate(WIDTHS):
        case = build((2, width, 3), "tanh", "mse", dtype, n_tasks=n_tasks, support=1 + 2 * i)
        x, y, _, _ = case.arrays()
        adapted = ff.adapt(mlp(case), case.theta, x, y, algorithm(steps=2))
        assert_close(adapted, trajectories(case, 2)[0][:, -1], "adapt", dtype, tasks=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_ragged_tasks(loss, dtype):
    case = build((3, 8, 4), "softplus", loss, dtype, rows=ragged_rows(19))
    x, y, _, _ = case.arrays(ragged=True)
    adapted = ff.adapt(mlp(case), case.theta, x, y, algorithm(steps=3))
    assert_close(adapted, trajectories(case, 3)[0][:, -1], "adapt", dtype, tasks=True)


def test_theta_and_rows_broadcast():
    case = build((3, 8, 2), n_tasks=4)
    net, rng = mlp(case), np.random.default_rng(1)
    x, y, _, _ = case.arrays()
    thetas = np.stack([parameters(case.sizes, rng) for _ in case.tasks])

    one = ff.adapt(net, case.theta, x[0], y[0], algorithm(steps=2))
    assert_close(one, trajectories(case, 2)[0][0, -1], "adapt", np.float64)

    each = ff.adapt(net, thetas, x, y, algorithm(steps=2))
    expected = trajectories(case, 2, thetas)[0][:, -1]
    assert_close(each, expected, "adapt", np.float64, tasks=True)

    shared = dataclasses.replace(case, tasks=case.tasks[:1] * 4)
    same_rows = ff.adapt(net, thetas, x[0], y[0], algorithm(steps=2))
    expected = trajectories(shared, 2, thetas)[0][:, -1]
    assert_close(same_rows, expected, "adapt", np.float64, tasks=True)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_trace(dtype, steps):
    case = build((3, 8, 2), "silu", "mse", dtype, n_tasks=5)
    x, y, _, _ = case.arrays()
    paths, losses = trajectories(case, steps)
    trace = ff.adapt(mlp(case), case.theta, x, y, algorithm(steps=steps), trace=True)
    assert_close(trace.thetas, paths, "adapt", dtype, tasks=True)
    assert_close(trace.losses, losses, "loss", dtype, tasks=True)
    assert trace.diverged.tolist() == [False] * 5
    np.testing.assert_array_equal(
        trace.thetas[:, 0], np.broadcast_to(case.theta, trace.thetas[:, 0].shape)
    )
    adapted = ff.adapt(mlp(case), case.theta, x, y, algorithm(steps=steps))
    assert_close(trace.thetas[:, -1], adapted, "adapt", dtype, tasks=True)

    single = ff.adapt(mlp(case), case.theta, x[1], y[1], algorithm(steps=steps), trace=True)
    assert single.thetas.shape == (steps + 1, case.theta.size)
    assert_close(single.thetas, paths[1], "adapt", dtype)
    assert_close(single.losses, losses[1], "loss", dtype)
    assert not single.diverged


def test_steps_overrides_the_algorithm():
    case = build((2, 5, 1))
    x, y, _, _ = case.arrays()
    for steps in STEPS:
        np.testing.assert_array_equal(
            ff.adapt(mlp(case), case.theta, x, y, algorithm(steps=3), steps=steps),
            ff.adapt(mlp(case), case.theta, x, y, algorithm(steps=steps)),
        )


def test_no_step_returns_a_copy():
    case = build((2, 5, 1))
    x, y, _, _ = case.arrays()
    adapted = ff.adapt(mlp(case), case.theta, x[0], y[0], algorithm(steps=0))
    np.testing.assert_array_equal(adapted, case.theta)
    assert not np.shares_memory(adapted, case.theta)


def test_adaptation_lowers_the_support_loss():
    case = build((2, 16, 1), n_tasks=8)
    x, y, _, _ = case.arrays()
    losses = ff.adapt(mlp(case), case.theta, x, y, algorithm(steps=10), trace=True).losses
    assert np.all(np.diff(losses, axis=1) < 0)


@given(
    alpha_a=st.floats(-0.5, 1.9),
    w=st.floats(-3, 3),
    c=st.floats(-3, 3),
    steps=st.integers(0, 8),
)
def test_closed_form_of_the_quadratic(alpha_a, w, c, steps):
    """Rows +x and -x make mse the quadratic 1/2 a (w - c)^2 with a = 2 x^2, plus the bias's."""
    x = 1.25
    rows = np.array([[x], [-x]])
    adapted = ff.adapt(
        ff.MLP((1, 1)),
        np.array([w, 0.0]),
        rows,
        c * rows,
        algorithm(steps=steps, lr=alpha_a / (2 * x**2)),
    )
    expected = c + (1 - alpha_a) ** steps * (w - c)
    np.testing.assert_allclose(adapted, [expected, 0], rtol=0, atol=1e-12 * (1 + abs(expected) + 6))


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_evaluate(dtype, ragged):
    rows = ragged_rows(9) if ragged else None
    case = build((2, 8, 1), "tanh", "mse", dtype, n_tasks=9, rows=rows)
    steps = (0, 1, 4, 2)
    result = ff.evaluate(
        mlp(case), case.theta, batch(case, ragged=ragged), algorithm(), steps=steps
    )
    expected = np.stack([case.expected(LR, s, "first").losses for s in steps], axis=1)
    assert_close(result.losses, expected, "loss", dtype, tasks=True)
    assert result.diverged.shape == expected.shape
    assert not result.diverged.any()
    assert_close(result.mean, expected.mean(axis=0), "loss", dtype)
    assert_close(result.median, np.median(expected, axis=0), "loss", dtype)
    assert np.sum(result.n_diverged) == 0
    # Half-width of the 95% interval over the nine tasks, by the normal quantile.
    half_width = 1.959963984540054 * expected.std(axis=0, ddof=1) / 3
    assert_close(result.interval, half_width, "gradient", dtype)


def test_evaluate_before_adaptation_is_the_query_loss():
    case = build((2, 8, 3), "relu", "cross_entropy", n_tasks=4)
    _, _, x_query, y_query = case.arrays()
    result = ff.evaluate(mlp(case), case.theta, batch(case), algorithm(), steps=(0,))
    np.testing.assert_allclose(
        result.losses[:, 0], mlp(case).loss(case.theta, x_query, y_query), rtol=1e-13
    )
