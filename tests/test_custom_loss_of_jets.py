"""Losses on jets, through every way of meta-learning: `test_jets_in_jax.py` has their numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fomaml_fast as ff
from cases import parameters

SIZES, ALONG, T, K, Q = (2, 7, 5, 1), np.array([[1.0, 0.0], [0.3, -0.8], [0.0, 1.0]]), 3, 4, 5
LR, STEPS = 0.05, 3


def residual_of(jet, targets):
    """Burgers' equation without its time, pulled by data: nonlinear in every part of the jet."""
    u, slopes, bends = jet
    physics = u * slopes[..., 0, :] + slopes[..., 1, :] ** 2 - 0.5 * bends[..., 2, :]
    return physics - targets, u, slopes, bends


def physics(jet, targets):
    """Mean square of the residual, with its gradient and product with its Hessian."""
    r, u, slopes, bends = residual_of(jet, targets)
    n = r[0].size

    def slope_of(r, u, slopes):
        """Pull a vector on the residual back to the jet."""
        first, second = np.zeros_like(slopes), np.zeros_like(bends)
        first[..., 0, :], first[..., 1, :] = r * u, 2 * r * slopes[..., 1, :]
        second[..., 2, :] = -0.5 * r
        return ff.Jet(r * slopes[..., 0, :], first, second)

    def hessian_vector(v):
        du, ds, db = v
        dr = du * slopes[..., 0, :] + u * ds[..., 0, :]
        dr = dr + 2 * slopes[..., 1, :] * ds[..., 1, :] - 0.5 * db[..., 2, :]
        curved = slope_of(2 * dr / n, u, slopes)
        first = curved.first
        first[..., 0, :] += 2 * r / n * du
        first[..., 1, :] += 4 * r / n * ds[..., 1, :]
        return ff.Jet(curved.value + 2 * r / n * ds[..., 0, :], first, curved.second)

    return (r**2).mean(axis=(1, 2)), slope_of(2 * r / n, u, slopes), hessian_vector


def first_order(jet, targets):
    """A slope that must not be negative, beside mse; without its Hessian."""
    error, n = jet.value - targets, jet.value[0].size
    short = np.minimum(jet.first, 0)
    value = (error**2).mean(axis=(1, 2)) + (short**2).sum(axis=(1, 2, 3)) / n
    return value, ff.Jet(2 * error / n, 2 * short / n)


NET = ff.MLP(SIZES, "tanh", ff.losses.Custom(physics, directions=ALONG))
PLAIN = ff.MLP(SIZES, "tanh", ff.losses.Custom(first_order, directions=ALONG, order=1))
RNG = np.random.default_rng(3)
THETA, V = parameters(SIZES, RNG), parameters(SIZES, RNG)
X, Y, XQ, YQ = (RNG.normal(size=(T, n, c)) for n in (K, Q) for c in (2, 1))


def close(actual, expected, dtype=np.float64):
    limit = {"float64": 1e-11, "float32": 2e-5}[np.dtype(dtype).name]
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=limit * np.abs(expected).max())


def test_exact_gradients_of_more_of_the_axes_match_differences():
    batch = ff.TaskBatch([X[0], X[1][:2]], [Y[0], Y[1][:2]], list(XQ[:2]), list(YQ[:2]))
    for algorithm in (
        ff.Algorithm(ff.inner.Adam(LR, eps=0.1), STEPS, gradient="exact", adapt="head"),
        ff.Algorithm(ff.inner.SGD(LR), STEPS, gradient="exact", step_weights=[0.2, 0.3, 0.5]),
        ff.Algorithm(ff.inner.RMSprop(LR, eps=0.1), STEPS, gradient="exact", learn_rates=True),
    ):
        rates = np.array(LR) if algorithm.learn_rates else None
        found = ff.meta_grad(NET, THETA, batch, algorithm, rates=rates)

        def loss(step, shift=0.0, algorithm=algorithm, rates=rates):
            moved = None if rates is None else rates + shift
            return ff.meta_grad(NET, THETA + step * V, batch, algorithm, rates=moved).loss

        h = 1e-5
        np.testing.assert_allclose(found.grad @ V, (loss(h) - loss(-h)) / (2 * h), rtol=1e-6)
        if rates is not None:
            slope = (loss(0, h) - loss(0, -h)) / (2 * h)
            np.testing.assert_allclose(found.rate_grad, slope, rtol=1e-6)


def test_training_and_evaluation():
    batch = ff.TaskBatch(X, Y, XQ, YQ)
    algorithm, outer = ff.Algorithm(ff.inner.SGD(LR), STEPS, gradient="exact"), ff.outer.SGD(0.1)
    state = ff.init_state(NET, algorithm, outer, theta=THETA)
    grad = ff.meta_grad(NET, THETA, batch, algorithm).grad
    after, metrics = ff.meta_step(NET, state, batch, algorithm, outer)
    close(after.theta, THETA - 0.1 * grad)
    evaluation = ff.evaluate(NET, THETA, batch, algorithm, steps=(0, STEPS))
    close(evaluation.losses[:, -1], metrics.losses)
    one, three = (ff.meta_grad(NET, THETA, batch, algorithm, threads=n).grad for n in (1, 3))
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"order": 2}, ValueError, "order is that of jets: give directions"),
        ({"directions": ALONG, "order": 3}, ValueError, "order must be 1 or 2, got 3"),
        ({"directions": ALONG, "order": True}, TypeError, "order must"),
        ({"directions": ALONG[0]}, ValueError, r"directions must have shape \[directions, inputs"),
        ({"directions": []}, ValueError, "directions must"),
        ({"directions": [["a", "b"]]}, TypeError, "directions must hold real numbers"),
        ({"directions": np.full((1, 2), np.inf)}, ValueError, "directions must be finite"),
        ({"directions": ALONG.astype(complex)}, TypeError, "directions must hold real numbers"),
    ],
)
def test_arguments_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        ff.losses.Custom(physics, **arguments)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda jet, y: (np.ones(1), jet.value), TypeError, "gradient of the custom loss must be"),
        (
            lambda jet, y: (np.ones(1), ff.Jet(jet.first)),
            ValueError,
            r"gradient.value of the custom loss must have shape \[1, 4, 1\]",
        ),
        (
            lambda jet, y: (np.ones(1), jet, lambda v: v.value),
            TypeError,
            "hessian_vector's result of the custom loss must be a Jet",
        ),
        (lambda jet, y: np.ones(1), TypeError, r"must return \(value, gradient\)"),
        (
            lambda jet, y: (np.ones(1), ff.Jet(jet.value * np.nan)),
            ValueError,
            "gradient",
        ),
    ],
)
def test_results_are_checked(result, error, message):
    net = ff.MLP(SIZES, "tanh", ff.losses.Custom(result, directions=ALONG))
    with pytest.raises(error, match=message):
        net.hvp(THETA, X[0], Y[0], V)


def test_directions_and_networks_must_fit():
    wrong = ff.losses.Custom(physics, directions=np.eye(3))
    with pytest.raises(ValueError, match=r"directions must have shape \[directions, 2\]"):
        ff.MLP(SIZES, "tanh", wrong).loss(THETA, X[0], Y[0])
    norm = ff.MLP(SIZES, "tanh", NET.loss_spec, norm="layer")
    with pytest.raises(ValueError, match="networks without normalisation"):
        norm.loss(norm.init(0, np.float64), X[0], Y[0])


def test_such_a_loss_is_a_value():
    again = pickle.loads(pickle.dumps(NET))
    assert again == NET
    assert hash(again) == hash(NET)
    assert NET.loss_spec != ff.losses.Custom(physics)
    assert NET.loss_spec.order == 2
    assert "directions=((1.0, 0.0)" in repr(NET)


@pytest.mark.parametrize("lists", [False, True])
def test_rows_of_every_step(lists):
    x, y = (np.stack([part, part[:, ::-1] + 0.3, 0.7 * part], axis=1) for part in (X, Y))
    stacked = [[list(of_task) for of_task in part] for part in (x, y)] if lists else (x, y)
    batch = ff.TaskBatch(*stacked, XQ, YQ)
    points = [np.tile(THETA, (T, 1))]
    for k in range(STEPS):
        points.append(points[-1] - LR * NET.value_and_grad(points[-1], x[:, k], y[:, k])[1])
    adjoint = NET.value_and_grad(points[-1], XQ, YQ)[1]
    for k in reversed(range(STEPS)):
        adjoint = adjoint - LR * NET.hvp(points[k], x[:, k], y[:, k], adjoint)
    algorithm = ff.maml(LR, steps=STEPS)
    close(ff.meta_grad(NET, THETA, batch, algorithm).grad, adjoint.mean(0))
    close(ff.adapt(NET, THETA, *stacked, algorithm), points[-1])
