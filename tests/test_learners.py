"""Many learners in one call: every one has the bits of a call of its own, on every axis."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import fomaml_fast as ff
import subject_points as subject
from combinations import meaningless
from fomaml_fast import _debug
from fomaml_fast._loader import core
from points import DTYPES, FLOWS, MASKS, OPTIMISERS, RATES, Point

R = 3
OUTER = ff.outer.Adam(0.01, clip_norm=0.5)


def learners_of(net, algorithm, outer=OUTER, dtype=np.float64, n=R):
    """States that differ in everything a step reads."""
    rng = np.random.default_rng(7)
    states = []
    for seed in range(n):
        state = ff.init_state(net, algorithm, outer, seed=seed, dtype=dtype)
        moments = np.abs(rng.normal(size=state.moments.shape)).astype(dtype)
        rates = state.rates * (1 + 0.1 * seed)
        states.append(state._replace(moments=moments, rates=rates.astype(dtype)))
    return states


def assert_same(found, own, r):
    """Field by field, to the bit; single numbers are arrays of learners."""
    assert found._fields == own._fields
    for name, many, one in zip(found._fields, found, own, strict=True):
        if one is None:
            assert many is None, name
        elif hasattr(one, "_fields"):
            assert_same(many, one, r)
        elif name not in ("step", "lr"):
            assert np.asarray(many[r]).dtype == np.asarray(one).dtype, name
            np.testing.assert_array_equal(many[r], one, name)


def check(net, algorithm, batch, dtype=np.float64, n=R, per_task=True, **options):
    """A step and a gradient of all learners against their own."""
    states = learners_of(net, algorithm, dtype=dtype, n=n)
    batches = batch if isinstance(batch, list) else [batch] * n
    together = ff.State.stack(states)
    after, metrics = ff.meta_step(net, together, batch, algorithm, OUTER, trace=True, **options)
    rates = together.rates if algorithm.learn_rates else None
    grads = ff.meta_grad(
        *(net, together.theta, batch, algorithm),
        rates=rates,
        per_task=per_task,
        **options,
    )
    for r, (state, own) in enumerate(zip(states, batches, strict=True)):
        alone, seen = ff.meta_step(net, state, own, algorithm, OUTER, trace=True, **options)
        assert_same(after, alone, r)
        assert_same(metrics, seen, r)
        assert_same(
            grads,
            ff.meta_grad(
                *(net, state.theta, own, algorithm),
                rates=state.rates if algorithm.learn_rates else None,
                per_task=per_task,
                **options,
            ),
            r,
        )
    assert after.step == 1
    return after


SPACE = [
    Point(optimiser=optimiser, adapt=mask, flow=flow, dtype=dtype)
    for (optimiser, mask, flow), dtype in zip(
        itertools.product(OPTIMISERS, MASKS, FLOWS), itertools.cycle(DTYPES), strict=False
    )
]
AXES = [
    *(Point(rate=rate, learn=True, flow=flow) for rate in RATES for flow in ("first", "exact")),
    *(Point(norm=norm, flow=flow) for norm in ("layer", "batch") for flow in FLOWS),
    *(Point(context=2, flow=flow, learn=flow == "exact") for flow in ("first", "exact")),
    Point(step_weights=True, learn="step_layer"),
    Point(weight_decay=0.1, proximal=0.2, clip_norm=0.5, optimiser="momentum"),
    Point(loss="cross_entropy", activation="relu"),
    Point(gaps=True),
    Point(stepped=True),
    Point(steps=0, flow="first"),
]


@pytest.mark.parametrize("point", [p for p in [*SPACE, *AXES] if not meaningless(p)], ids=str)
def test_every_algorithm_has_the_bits_of_its_own_call(point):
    check(
        *(subject.mlp(point), subject.algorithm(point), subject.batch(point)),
        dtype=np.dtype(point.dtype),
        threads=1,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("engine", core.engine_names)
@pytest.mark.parametrize("flow", FLOWS)
def test_every_engine_and_any_threads(engine, dtype, flow):
    point = replace(Point(flow=flow), dtype=dtype)
    net, algorithm, batch = subject.mlp(point), subject.algorithm(point), subject.batch(point)
    with _debug.force_engine(engine):
        found = [check(net, algorithm, batch, np.dtype(dtype), threads=n) for n in (1, 2, 3, 7)]
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def batch_of(tasks, dtype=np.float32, inputs=2, outputs=1, seed=0, rows=5, **more):
    rng = np.random.default_rng(seed)
    shapes = [(tasks, rows, n) for n in (inputs, outputs)] * 2
    return ff.TaskBatch(*(rng.normal(size=s).astype(dtype) for s in shapes), **more)


@pytest.mark.parametrize("tasks", [1, 2, 15, 17, 33, 300])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("learners", [1, 2, 9])
def test_tasks_and_learners_of_any_number(tasks, dtype, learners):
    net = ff.MLP([2, 9, 1], "tanh")
    batch = batch_of(tasks, dtype)
    for algorithm in (ff.fomaml(0.05), ff.maml(0.05, steps=2)):
        check(net, algorithm, batch, np.dtype(dtype), learners, per_task=False)
        check(net, algorithm, batch, np.dtype(dtype), learners, threads=2)


HEADS = [
    *(ff.inner.BayesianHead(prior) for prior in ("scalar", "diagonal", "full")),
    ff.inner.BayesianHead("full", prior_mean="zero"),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_heads_in_closed_form(head, dtype):
    net, batch = ff.MLP([2, 5, 1], "tanh"), batch_of(4, dtype)
    for gradient, learn in itertools.product(("first", "exact"), (False, True)):
        check(net, ff.Algorithm(head, gradient=gradient, learn_rates=learn), batch, dtype)
    predictive = ff.Algorithm(head, query_loss="gaussian_nll", learn_rates=True)
    check(net, predictive, batch, dtype)


def test_presets():
    net, batch = ff.MLP([3, 6, 1], "tanh"), batch_of(4, inputs=3)
    contextual = batch_of(4, inputs=2)
    for preset in (ff.fomaml, ff.maml, ff.reptile, ff.imaml, ff.anil, ff.boil, ff.mamlpp):
        check(net, preset(), batch, np.float32)
    for algorithm in (ff.meta_sgd(), ff.alpaca()):
        check(net, algorithm, batch, np.float32)
    check(net, ff.cavia(context=1), contextual, np.float32)
    labels = np.arange(12).reshape(4, 3) % 3
    x = np.random.default_rng(0).normal(size=(4, 3, 3)).astype(np.float32)
    classes = ff.MLP([3, 6, 3], loss="cross_entropy")
    check(classes, ff.r2d2(), ff.TaskBatch(x, labels, x, labels), np.float32)


def test_batches_of_their_own_may_differ_in_everything_but_tasks():
    rng = np.random.default_rng(0)
    net = ff.MLP([2, 6, 2], "relu")

    def ragged(lengths):
        made = [[rng.normal(size=(n, 2)) for n in lengths] for _ in range(4)]
        return ff.TaskBatch(*made, task_weights=rng.normal(size=len(lengths)))

    plain = batch_of(4, np.float64, 2, 2)
    masked = batch_of(4, np.float64, 2, 2, mask_support=rng.random((4, 5)) < 0.8)
    batches = [ragged([3, 1, 8, 2]), plain, masked]
    for algorithm in (ff.maml(0.1, 2), ff.fomaml(0.1), ff.reptile(0.1, 2)):
        check(net, algorithm, batches)
        check(net, algorithm, ragged([4, 9, 1]), reduction="sum")


def test_own_step_counts_and_schedules():
    net, batch = ff.MLP([2, 5, 1]), batch_of(4)
    outer = ff.outer.Adam([lambda step: 0.1 / (1 + step), 0.01])

    def schedule(step):
        return ff.fomaml(0.1) if step < 5 else ff.maml(0.05, 2)

    states = [
        s._replace(step=np.array(k))
        for s, k in zip(learners_of(net, ff.maml(), outer, np.float32), (0, 7, 7), strict=True)
    ]
    together = ff.State.stack(states)
    np.testing.assert_array_equal(together.step, [0, 7, 7])
    after, metrics = ff.meta_step(net, together, batch, schedule, outer)
    np.testing.assert_array_equal(after.step, [1, 8, 8])
    for r, state in enumerate(states):
        alone, seen = ff.meta_step(net, state, batch, schedule, outer)
        assert_same(after, alone, r)
        assert_same(metrics, seen, r)
        np.testing.assert_array_equal(metrics.lr[r], seen.lr)
    assert ff.meta_step(net, ff.State.stack(states[1:]), batch, schedule, outer)[0].step == 8


def test_algorithms_of_their_own():
    net, batch = ff.MLP([2, 5, 1]), batch_of(4)
    sweep = [ff.maml(lr, steps) for lr, steps in ((0.01, 1), (0.1, 2), (0.3, 4))]
    state = ff.init_state(net, sweep, OUTER, seed=range(3))
    after, metrics = ff.meta_step(net, state, batch, sweep, OUTER)
    evaluated = ff.evaluate(net, after.theta, batch, sweep)
    for r, algorithm in enumerate(sweep):
        alone, seen = ff.meta_step(net, state.learner(r), batch, algorithm, OUTER)
        assert_same(after, alone, r)
        assert_same(metrics, seen, r)
        own = ff.evaluate(net, alone.theta, batch, algorithm)
        np.testing.assert_array_equal(evaluated.losses[r], own.losses)


def squares(outputs, targets):
    error = outputs - targets
    scale = error[0].size
    return (error**2).mean(axis=(1, 2)), 2 * error / scale, lambda v: 2 * v / scale


def test_losses_that_python_computes():
    net = ff.MLP([2, 5, 1], "tanh", loss=ff.losses.Custom(squares))
    batch = batch_of(3)
    for algorithm in (ff.maml(0.1, 2), ff.meta_sgd(0.1)):
        check(net, algorithm, batch, np.float32)
    state = ff.State.stack(learners_of(net, ff.maml(0.1), dtype=np.float32))
    found = ff.evaluate(net, state.theta, batch, ff.maml(0.1), metrics="mae")
    adapted = ff.adapt(net, state.theta[:, None], batch.x_support, batch.y_support, ff.maml(0.1))
    for r in range(R):
        own = ff.evaluate(net, state.theta[r], batch, ff.maml(0.1), metrics="mae")
        np.testing.assert_array_equal(found.losses[r], own.losses)
        np.testing.assert_array_equal(
            found.learners[r].metrics["mae"].values, own.metrics["mae"].values
        )
        one = ff.adapt(net, state.theta[r], batch.x_support, batch.y_support, ff.maml(0.1))
        np.testing.assert_array_equal(adapted[r], one)


@pytest.mark.parametrize(  # implicit gradients descend as exact ones do
    "point", [p for p in AXES if not meaningless(p) and p.flow != "implicit"], ids=str
)
def test_adapt_and_evaluate(point):
    net, algorithm, batch = subject.mlp(point), subject.algorithm(point), subject.batch(point)
    states = learners_of(net, algorithm)
    state = ff.State.stack(states)
    rates = state.rates if algorithm.learn_rates else None
    rows = batch.x_support, batch.y_support
    extras = {"weights": batch.weights_support, "mask": batch.mask_support}
    adapted = ff.adapt(net, state.theta[:, None], *rows, algorithm, rates=rates, **extras)
    way = ff.adapt(net, state.theta[:, None], *rows, algorithm, rates=rates, trace=True, **extras)
    steps = (0, 1, point.steps)
    found = ff.evaluate(net, state.theta, batch, algorithm, rates=rates, steps=steps)
    for r, own in enumerate(states):
        rates_of = own.rates if algorithm.learn_rates else None
        one = ff.adapt(net, own.theta, *rows, algorithm, rates=rates_of, **extras)
        np.testing.assert_array_equal(adapted[r], one)
        one = ff.adapt(net, own.theta, *rows, algorithm, rates=rates_of, trace=True, **extras)
        np.testing.assert_array_equal(way.thetas[r], one.thetas)
        one = ff.evaluate(net, own.theta, batch, algorithm, rates=rates_of, steps=steps)
        np.testing.assert_array_equal(found.losses[r], one.losses)


def test_adapt_takes_one_set_and_thetas_of_every_task():
    net, algorithm, batch = ff.MLP([2, 5, 1]), ff.maml(0.1, 2), batch_of(4)
    rng = np.random.default_rng(0)
    thetas = rng.normal(size=(R, 4, net.n_params)).astype(np.float32)
    x, y = batch.x_support, batch.y_support
    found = ff.adapt(net, thetas, x, y, algorithm, threads=2)
    one_set = ff.adapt(net, thetas[:, :1], x[0], y[0], algorithm)
    of_each = ff.adapt(net, thetas, x[0], y[0], algorithm)
    for r in range(R):
        np.testing.assert_array_equal(found[r], ff.adapt(net, thetas[r], x, y, algorithm))
        np.testing.assert_array_equal(
            one_set[r, 0], ff.adapt(net, thetas[r, 0], x[0], y[0], algorithm)
        )
        np.testing.assert_array_equal(of_each[r], ff.adapt(net, thetas[r], x[0], y[0], algorithm))


def test_nothing_given_is_written():
    net, algorithm, batch = ff.MLP([2, 5, 1]), ff.meta_sgd(0.1), batch_of(4)
    state = ff.State.stack(learners_of(net, algorithm, dtype=np.float32))
    before = [np.array(a) for a in state]
    for array in state[:3]:
        array.setflags(write=False)
    ff.meta_step(net, state, batch, algorithm, OUTER)
    ff.evaluate(net, state.theta, batch, algorithm, rates=state.rates)
    for one, two in zip(before, state, strict=True):
        np.testing.assert_array_equal(one, two)
