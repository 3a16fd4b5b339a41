"""Outer optimisers, schedules, clipping, and `meta_step` around them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from cases import DTYPES, GRADIENTS, LR, build
from subject import algorithm, batch, mlp
from tolerances import assert_close

OPTIMISERS = {
    "sgd": (ff.outer.SGD(0.1), oracle.SGD()),
    "sgd-decay": (ff.outer.SGD(0.1, weight_decay=0.2), oracle.SGD(weight_decay=0.2)),
    "momentum": (ff.outer.SGD(0.1, momentum=0.9), oracle.SGD(momentum=0.9)),
    "dampening": (
        ff.outer.SGD(0.1, momentum=0.8, dampening=0.5, weight_decay=0.1),
        oracle.SGD(momentum=0.8, dampening=0.5, weight_decay=0.1),
    ),
    "nesterov": (
        ff.outer.SGD(0.1, momentum=0.9, nesterov=True),
        oracle.SGD(momentum=0.9, nesterov=True),
    ),
    "adam": (ff.outer.Adam(0.01), oracle.Adam()),
    "adam-all": (
        ff.outer.Adam(0.05, betas=(0.5, 0.7), eps=1e-2, weight_decay=0.3, amsgrad=True),
        oracle.Adam(betas=(0.5, 0.7), eps=1e-2, weight_decay=0.3, amsgrad=True),
    ),
    "adamw": (ff.outer.AdamW(0.01), oracle.AdamW()),
    "adamw-all": (
        ff.outer.AdamW(0.05, betas=(0.5, 0.7), eps=1e-2, weight_decay=0.3, amsgrad=True),
        oracle.AdamW(betas=(0.5, 0.7), eps=1e-2, weight_decay=0.3, amsgrad=True),
    ),
}


def run(case, outer, steps, gradient="first", **options):
    """Some meta-steps; the states on the way, the first included, and the metrics."""
    net, tasks, inner = mlp(case), batch(case), algorithm(gradient)
    states = [ff.init_state(net, inner, outer, theta=case.theta)]
    metrics = []
    for _ in range(steps):
        state, metric = ff.meta_step(net, states[-1], tasks, inner, outer, **options)
        states.append(state)
        metrics.append(metric)
    return states, metrics


def replay(case, reference, lr, steps, gradient="first", clip_norm=None):
    """The oracle's thetas of the same steps."""
    thetas = [case.theta.astype(np.float64)]
    for _ in range(steps):
        grads = oracle.meta_gradient(case.net, thetas[-1], case.tasks, LR, 1, gradient).task_grads
        gradient_ = oracle.clip(grads.mean(axis=0), clip_norm)
        thetas.append(reference.step(thetas[-1], gradient_, lr))
    return thetas


def test_every_registered_optimiser_is_here():
    assert {optimiser.name for optimiser, _ in OPTIMISERS.values()} == set(ff.outer.names())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimiser_matches_torchs_definition(name, dtype):
    outer, reference = OPTIMISERS[name]
    reference = type(reference)(**settings_of(reference))
    case = build((2, 6, 2), "tanh", "mse", dtype, n_tasks=4)
    states, _ = run(case, outer, 6)
    expected = replay(case, reference, outer.rate(0), 6)
    assert [int(state.step) for state in states] == list(range(7))
    # Each float32 step starts from the step before, so errors add up; one step is at rounding.
    assert_close(states[1].theta, expected[1], "outer", dtype)
    for state, theta in zip(states, expected, strict=True):
        assert state.theta.dtype == dtype
        if dtype == "float64":
            assert_close(state.theta, theta, "outer", dtype)
        else:
            np.testing.assert_allclose(state.theta, theta, rtol=0, atol=2e-4)


def settings_of(reference):
    """Constructor arguments of an oracle optimiser: a fresh one has fresh moments."""
    names = ("momentum", "dampening", "weight_decay", "nesterov", "betas", "eps", "amsgrad")
    return {name: getattr(reference, name) for name in names if hasattr(reference, name)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("kind", [ff.outer.Adam, ff.outer.AdamW])
def test_adam_rests_where_the_root_and_eps_are_0(kind, amsgrad, dtype):
    """A dead unit has no gradient: its weights stay, as inner.Adam's do, and nothing is NaN."""
    net = ff.MLP([1, 12, 1])
    theta = net.init(0, dtype)
    theta[12:18] = -9  # biases of half the units: no row wakes them
    x = np.linspace(-1, 1, 10, dtype=dtype).reshape(2, 5, 1)
    tasks = ff.TaskBatch(x, x, x, x)
    outer = kind(1e-3, eps=0.0 if dtype == "float64" else 1e-46, amsgrad=amsgrad, weight_decay=0)
    state = ff.init_state(net, algorithm(), outer, theta=theta)
    for _ in range(3):
        state, _ = ff.meta_step(net, state, tasks, algorithm(), outer)
    np.testing.assert_array_equal(state.theta[12:18], theta[12:18])
    assert np.isfinite(state.theta).all()
    assert (state.theta[18:24] != theta[18:24]).all()


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("clip_norm", [1e-2, 0.3, 1e3])
def test_clipping_by_the_global_norm(clip_norm, gradient):
    case = build((2, 6, 2), n_tasks=4)
    states, metrics = run(case, ff.outer.SGD(0.1, clip_norm=clip_norm), 3, gradient)
    expected = replay(case, oracle.SGD(), 0.1, 3, gradient, clip_norm)
    assert_close(states[-1].theta, expected[-1], "outer", np.float64)
    # The norm that is reported is the one before clipping.
    for state, metric in zip(states[:-1], metrics, strict=True):
        grads = oracle.meta_gradient(case.net, state.theta, case.tasks, LR, 1, gradient)
        norm = np.linalg.norm(grads.task_grads.mean(axis=0))
        assert metric.grad_norm == pytest.approx(norm, rel=1e-12)
    step = np.linalg.norm(states[1].theta - states[0].theta)
    assert step == pytest.approx(0.1 * min(clip_norm, metrics[0].grad_norm), rel=1e-4)


def test_schedule_is_asked_for_every_step():
    asked = []

    def lr(step):
        asked.append(step)
        return 0.1 / (1 + step)

    case = build((2, 6, 2), n_tasks=4)
    states, metrics = run(case, ff.outer.SGD(lr), 4)
    assert sorted(set(asked)) == [0, 1, 2, 3]
    assert [m.lr for m in metrics] == pytest.approx([0.1, 0.05, 0.1 / 3, 0.025])
    theta = case.theta
    for step, state in enumerate(states[1:]):
        grad = oracle.meta_gradient(case.net, theta, case.tasks, LR, 1, "first").task_grads
        theta = theta - 0.1 / (1 + step) * grad.mean(axis=0)
        assert_close(state.theta, theta, "outer", np.float64)


def test_cosine_schedule():
    schedule = ff.schedules.cosine(0.2, 100, final=0.02)
    for step in (0, 1, 25, 50, 99, 100):
        expected = 0.02 + 0.18 * (1 + math.cos(math.pi * step / 100)) / 2
        assert schedule(step) == pytest.approx(expected, rel=1e-12)
    assert schedule(1000) == pytest.approx(0.02)
    warm = ff.schedules.cosine(0.2, 100, warmup=10)
    rates = [warm(step) for step in range(101)]
    assert 0 < rates[0] < 0.05
    assert np.all(np.diff(rates[:10]) > 0)
    assert max(rates) == pytest.approx(0.2)
    assert np.all(np.diff(rates[11:]) < 0)
    assert rates[-1] == pytest.approx(0, abs=1e-12)


def test_metrics_agree_with_meta_grad():
    case = build((2, 6, 2), n_tasks=5)
    inner = algorithm("exact", 2)
    expected = ff.meta_grad(mlp(case), case.theta, batch(case), inner, trace=True)
    state = ff.init_state(mlp(case), inner, ff.outer.SGD(0.1), theta=case.theta)
    _, metrics = ff.meta_step(mlp(case), state, batch(case), inner, ff.outer.SGD(0.1), trace=True)
    assert metrics.loss == expected.loss
    assert metrics.n_dropped == 0
    assert metrics.lr == 0.1
    for name in ("losses", "support_losses", "losses_before", "diverged"):
        np.testing.assert_array_equal(getattr(metrics, name), getattr(expected, name))
    assert metrics.grad_norm == pytest.approx(np.linalg.norm(expected.grad), rel=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_reduction_reaches_the_step(reduction):
    case = build((2, 6, 2), n_tasks=5)
    states, _ = run(case, ff.outer.SGD(0.1), 1, reduction=reduction)
    grads = case.expected(LR, 1, "first").task_grads
    gradient = getattr(grads, reduction)(axis=0)
    assert_close(states[1].theta, case.theta - 0.1 * gradient, "outer", np.float64)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_states_are_never_written(name):
    case = build((2, 6, 2), n_tasks=4)
    net, tasks, inner, outer = mlp(case), batch(case), algorithm(), OPTIMISERS[name][0]
    state = ff.init_state(net, inner, outer, theta=case.theta)
    for _ in range(3):
        before = [np.array(part) for part in state]
        following, _ = ff.meta_step(net, state, tasks, inner, outer)
        for part, copy in zip(state, before, strict=True):
            np.testing.assert_array_equal(part, copy)
        assert not np.shares_memory(following.theta, state.theta)
        state = following
    assert not np.shares_memory(case.theta, state.theta)


def test_same_state_and_batch_give_the_same_step():
    case = build((2, 6, 2), n_tasks=4)
    outer = OPTIMISERS["adam-all"][0]
    once, again = (run(case, outer, 3)[0][-1] for _ in range(2))
    for one, other in zip(once, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_init_state():
    net, inner, outer = ff.MLP((2, 6, 2)), algorithm(), ff.outer.Adam()
    state = ff.init_state(net, inner, outer, seed=3)
    np.testing.assert_array_equal(state.theta, net.init(3))
    assert state.theta.dtype == np.float32
    assert int(state.step) == 0
    assert not np.any(state.moments)
    assert ff.init_state(net, inner, outer, dtype=np.float64).theta.dtype == np.float64
    theta = np.ones(net.n_params)
    given = ff.init_state(net, inner, outer, theta=theta)
    theta[:] = 5  # the state owns its parameters
    np.testing.assert_array_equal(given.theta, np.ones(net.n_params))


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_training_lowers_the_loss(gradient):
    case = build((2, 16, 1), n_tasks=8, query=10)
    tasks = tuple(
        oracle.Task(t.x_support, np.sin(t.x_support[:, :1]), t.x_query, np.sin(t.x_query[:, :1]))
        for t in case.tasks
    )
    case = dataclasses.replace(case, tasks=tasks)
    _, metrics = run(case, ff.outer.Adam(0.01), 200, gradient)
    assert metrics[-1].loss < 0.1 * metrics[0].loss


@pytest.mark.parametrize(
    "make",
    [
        lambda: ff.outer.SGD(-0.1),
        lambda: ff.outer.SGD(float("nan")),
        lambda: ff.outer.SGD(0.1, momentum=-1),
        lambda: ff.outer.SGD(0.1, nesterov=True),
        lambda: ff.outer.SGD(0.1, momentum=0.9, dampening=0.1, nesterov=True),
        lambda: ff.outer.SGD(0.1, clip_norm=0),
        lambda: ff.outer.SGD(0.1, clip_norm=-1.0),
        lambda: ff.outer.Adam(betas=(0.9, 1.0)),
        lambda: ff.outer.Adam(betas=(-0.1, 0.9)),
        lambda: ff.outer.Adam(eps=-1e-8),
        lambda: ff.outer.Adam(weight_decay=-1),
        lambda: ff.outer.AdamW(weight_decay=float("inf")),
    ],
)
def test_optimisers_refuse_what_torch_refuses(make):
    with pytest.raises(ValueError, match=r"lr|momentum|nesterov|clip_norm|betas|eps|weight_decay"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ff.outer.SGD("fast"),
        lambda: ff.outer.SGD(0.1, nesterov=1),
        lambda: ff.outer.Adam(betas=0.9),
        lambda: ff.outer.Adam(amsgrad="yes"),
    ],
)
def test_optimisers_refuse_wrong_types(make):
    with pytest.raises(TypeError, match=r"lr|nesterov|betas|amsgrad"):
        make()


def test_a_schedule_that_returns_nonsense_is_named():
    case = build((2, 6, 2))
    for bad, error in ((float("nan"), ValueError), ("x", TypeError), (-1.0, ValueError)):
        with pytest.raises(error, match="lr"):
            run(case, ff.outer.SGD(lambda step, bad=bad: bad), 1)
