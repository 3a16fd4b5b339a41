"""Layers that the outer loop leaves alone, or drives at a pace of their own."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from cases import DTYPES, LR, build
from subject import algorithm, batch, mlp
from test_outer import OPTIMISERS, run, settings_of

SIZES = (2, 6, 5, 2)
LAYERS = {"head": (2,), "body": (0, 1), (1,): (1,), (-1, 0): (0, 2), "all": (0, 1, 2)}


def with_options(outer, **changes):
    """The same optimiser with other arguments."""
    return dataclasses.replace(outer, **changes)


def parts_of(net):
    """A slice of theta for each layer."""
    ends = np.cumsum(net.layer_params)
    return [slice(end - size, end) for end, size in zip(ends, net.layer_params, strict=True)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_layer_as_an_optimiser_of_its_own(name, layers, clip, dtype):
    """One oracle a layer at its own rate; only the clipping norm is of all that move."""
    outer, reference = OPTIMISERS[name]
    rates = (0.02, 0.05, 0.03)
    outer = with_options(outer, lr=rates, layers=layers, clip_norm=clip)
    case = build(SIZES, "tanh", "mse", dtype, n_tasks=4)
    net, moving = mlp(case), LAYERS[layers]
    parts = parts_of(net)
    states, metrics = run(case, outer, 4)
    theta = case.theta.astype(np.float64)
    optimisers = [type(reference)(**settings_of(reference)) for _ in parts]
    for state, metric in zip(states[1:], metrics, strict=True):
        grads = oracle.meta_gradient(case.net, theta, case.tasks, LR, 1, "first").task_grads
        grad = grads.mean(axis=0)
        moved = np.concatenate([grad[parts[layer]] for layer in moving])
        norm = np.linalg.norm(moved)
        shrink = 1 if clip is None else min(1, clip / (norm + 1e-6))
        np.testing.assert_allclose(
            metric.grad_norm, norm, rtol=1e-9 if dtype == "float64" else 1e-3
        )
        assert metric.lr == rates
        for layer in moving:
            part = parts[layer]
            theta[part] = optimisers[layer].step(theta[part], shrink * grad[part], rates[layer])
        atol = 1e-12 if dtype == "float64" else 5e-4
        np.testing.assert_allclose(state.theta, theta, rtol=0, atol=atol)
    for layer in set(range(3)) - set(moving):
        np.testing.assert_array_equal(states[-1].theta[parts[layer]], case.theta[parts[layer]])
        assert not states[-1].moments[:, parts[layer]].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_all_layers_at_one_rate_are_the_plain_optimiser_bit_for_bit(name, dtype):
    outer, _ = OPTIMISERS[name]
    case = build(SIZES, "tanh", "mse", dtype, n_tasks=4)
    plain, _ = run(case, outer, 3)
    for changes in ({"layers": [0, 1, 2]}, {"lr": [outer.lr] * 3}, {"layers": "all"}):
        states, _ = run(case, with_options(outer, **changes), 3)
        for ours, theirs in zip(states, plain, strict=True):
            np.testing.assert_array_equal(ours.theta, theirs.theta)
            np.testing.assert_array_equal(ours.moments, theirs.moments)


def test_schedules_one_a_layer():
    outer = ff.outer.SGD([0.1, lambda step: 0.2 / (1 + step), ff.schedules.cosine(0.3, 4)])
    assert outer.rate(1) == (0.1, 0.1, ff.schedules.cosine(0.3, 4)(1))
    case = build(SIZES, n_tasks=2)
    states, metrics = run(case, outer, 2)
    for step, (before, after) in enumerate(pairwise(states)):
        grad = ff.meta_grad(mlp(case), before.theta, batch(case), algorithm("first")).grad
        for rate, part in zip(outer.rate(step), parts_of(mlp(case)), strict=True):
            expected = before.theta[part] - rate * grad[part]
            np.testing.assert_allclose(after.theta[part], expected, rtol=1e-13, atol=1e-15)
        assert metrics[step].lr == outer.rate(step)


def test_learned_rates_move_at_the_largest_of_what_moves():
    case = build(SIZES, n_tasks=3)
    net, learns = mlp(case), ff.meta_sgd(lr=0.1)
    outer = ff.outer.SGD([0.3, 0.1, 0.2], layers=[1, 2])
    state = ff.init_state(net, learns, outer, theta=case.theta)
    found = ff.meta_grad(net, state.theta, batch(case), learns, rates=state.rates)
    after, metrics = ff.meta_step(net, state, batch(case), learns, outer)
    np.testing.assert_allclose(after.rates, state.rates - 0.2 * found.rate_grad, rtol=1e-12)
    body, middle, head = parts_of(net)
    np.testing.assert_array_equal(after.theta[body], state.theta[body])
    for part, rate in ((middle, 0.1), (head, 0.2)):
        expected = state.theta[part] - rate * found.grad[part]
        np.testing.assert_allclose(after.theta[part], expected, rtol=1e-12)
    moved = found.grad[middle.start :]
    norm = np.sqrt(np.sum(moved**2) + np.sum(found.rate_grad**2))
    assert metrics.grad_norm == pytest.approx(norm, rel=1e-12)


def test_moments_of_what_is_frozen_later_stay_as_they_are():
    case = build(SIZES, n_tasks=3)
    net, whole = mlp(case), ff.outer.Adam(0.1, weight_decay=0.1)
    state = ff.init_state(net, algorithm(), whole, theta=case.theta)
    state, _ = ff.meta_step(net, state, batch(case), algorithm(), whole)
    after, _ = ff.meta_step(
        net, state, batch(case), algorithm(), with_options(whole, layers="head")
    )
    body = slice(0, parts_of(net)[-1].start)
    assert state.moments[:, body].all(axis=None)
    np.testing.assert_array_equal(after.moments[:, body], state.moments[:, body])
    np.testing.assert_array_equal(after.theta[body], state.theta[body])


def test_custom_losses_take_the_same_step():
    def square(outputs, targets):
        error = outputs - targets
        return (error**2).mean(axis=(1, 2)), 2 * error / error[0].size

    case = build(SIZES, n_tasks=3)
    outer = ff.outer.Adam([0.1, 0.3, 0.2], layers=[0, -1], clip_norm=0.1)
    after = []
    for net in (mlp(case), ff.MLP(SIZES, mlp(case).activations, ff.losses.Custom(square))):
        state = ff.init_state(net, ff.fomaml(LR), outer, theta=case.theta)
        after.append(ff.meta_step(net, state, batch(case), ff.fomaml(LR), outer)[0])
    np.testing.assert_allclose(after[0].theta, after[1].theta, rtol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layers": [3]}, ValueError, "outer.layers names layer 3, but the network has 3 layers"),
        ({"layers": [0, -4]}, ValueError, "outer.layers names layer -4"),
        ({"lr": [0.1, 0.2]}, ValueError, "outer.lr has 2 rates, but the network has 3 layers"),
    ],
)
def test_what_the_network_does_not_have(arguments, error, message):
    case = build(SIZES)
    outer = ff.outer.SGD(**{"lr": 0.1, **arguments})
    with pytest.raises(error, match=message):
        ff.init_state(mlp(case), algorithm(), outer)
    state = ff.init_state(mlp(case), algorithm(), ff.outer.SGD(0.1), theta=case.theta)
    with pytest.raises(error, match=message):
        ff.meta_step(mlp(case), state, batch(case), algorithm(), outer)


def test_the_body_of_one_layer():
    with pytest.raises(ValueError, match=r"outer.layers='body' needs a network of at least 2"):
        ff.init_state(ff.MLP([2, 1]), ff.fomaml(), ff.outer.SGD(0.1, layers="body"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layers": "heads"}, ValueError, "layers must be one of"),
        ({"layers": []}, TypeError, "layers must be one of"),
        ({"layers": [0.5]}, TypeError, r"layers\[0\] must be an integer"),
        ({"layers": [2**40]}, ValueError, r"layers\[0\] must be the index of a layer"),
        ({"layers": None}, TypeError, "layers must be one of"),
        ({"lr": []}, ValueError, "lr must hold a rate for each layer"),
        ({"lr": [0.1, -1]}, ValueError, r"lr\[1\]"),
        ({"lr": [0.1, "x"]}, TypeError, r"lr\[1\]"),
    ],
)
def test_garbage(arguments, error, message):
    with pytest.raises(error, match=message):
        ff.outer.SGD(**{"lr": 0.1, **arguments})


def test_adapt_takes_the_same_bounds():
    with pytest.raises(ValueError, match=r"adapt\[0\] must be the index of a layer"):
        ff.Algorithm(ff.inner.SGD(0.1), adapt=(2**40,))
