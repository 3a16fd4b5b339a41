"""Heads in closed form whose tasks diverge: every engine tells the same of them."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
from fomaml_fast._debug import force_engine

ENGINES = ["reference", "lanes"]
T, LOST = 9, [2, 8]


def problem(far, loss="mse", rows=4, seed=0):
    """Tasks of which some have one row of the support so far out."""
    rng = np.random.default_rng(seed)
    x, xq = rng.normal(size=(T, rows, 2)), rng.normal(size=(T, 3, 2))
    x[LOST, 0] *= far
    if loss == "mse":
        y, yq = rng.normal(size=(T, rows, 2)), rng.normal(size=(T, 3, 2))
    else:
        y, yq = rng.integers(0, 2, (T, rows)), rng.integers(0, 2, (T, 3))
    return ff.MLP([2, 6, 2], "relu", loss=loss), ff.TaskBatch(x, y, xq, yq), (x, y)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("algorithm", [ff.alpaca(), ff.r2d2(score_scale=None)], ids=str)
def test_a_solution_beside_an_infinite_support_loss_is_no_answer(algorithm, engine):
    net, batch, (x, y) = problem(1e200)
    state = ff.init_state(net, algorithm, ff.outer.Adam(), dtype=np.float64)
    theta, rates = state.theta, state.rates
    with force_engine(engine):
        found = ff.evaluate(net, theta, batch, algorithm, rates=rates, steps=(0, 1))
        adapted, diverged = ff.adapt(net, theta, x, y, algorithm, rates=rates, on_divergence="mask")
        way = ff.adapt(net, theta, x, y, algorithm, rates=rates, on_divergence="mask", trace=True)
        dropped = ff.meta_grad(
            net, theta, batch, algorithm, rates=rates, on_divergence="drop", per_task=True
        )
    assert np.flatnonzero(diverged).tolist() == LOST
    assert np.flatnonzero(found.diverged[:, 1]).tolist() == LOST
    assert not np.isfinite(found.losses[LOST, 1]).any()
    for thetas in (adapted[LOST], way.thetas[LOST, 1]):  # the last that were finite
        np.testing.assert_array_equal(thetas, np.stack([theta] * len(LOST)))
    assert not np.isfinite(dropped.task_grads[LOST]).all(axis=1).any()
    assert np.isfinite(np.delete(dropped.task_grads, LOST, axis=0)).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rows", [3, 20])
def test_a_system_that_is_infinite_is_divergence(rows, engine):
    algorithm = ff.r2d2()
    losses = []
    for far in (1e150, 1e160):  # the loss of classes is finite in both
        net, batch, _ = problem(far, "cross_entropy", rows)
        state = ff.init_state(net, algorithm, ff.outer.Adam(), dtype=np.float64)
        with force_engine(engine):
            found = ff.evaluate(net, state.theta, batch, algorithm, rates=state.rates, steps=(1,))
        losses.append(found.losses[:, 0])
        assert np.array_equal(found.diverged[:, 0], ~np.isfinite(found.losses[:, 0]))
    assert not np.isfinite(losses[1][LOST]).any()
    kept = np.delete(np.arange(T), LOST)
    np.testing.assert_array_equal(losses[0][kept], losses[1][kept])


def test_there_is_no_posterior_of_an_infinite_system():
    algorithm = ff.alpaca()
    net, _, (x, y) = problem(1e160)
    state = ff.init_state(net, algorithm, ff.outer.Adam(), dtype=np.float64)
    with pytest.raises(OverflowError, match="posterior is not finite"):
        ff.posterior(net, state, x[LOST[0]], y[LOST[0]], algorithm)
