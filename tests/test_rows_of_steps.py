"""Support rows of their own at every inner step, in every engine, against oracles.

The product space (test_product_space.py) has them in every combination of the other axes; here
every engine is forced, and lengths, sizes and threads are what they should not be.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from types import SimpleNamespace

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
import subject_points as subject
from fomaml_fast import _debug
from oracle.flows import result
from oracle.inner_optimisers import SGD, Adagrad, Adam, RMSprop
from oracle.unroll import Algorithm
from points import Point
from tolerances import TOLERANCES, relative_error

T, S = 5, 3
ENGINES = ("reference", "rows", "lanes")
OPTIMISERS = {
    "sgd": (ff.inner.SGD(0.1), SGD()),
    "momentum": (ff.inner.SGD(0.1, momentum=0.9), SGD(momentum=0.9)),
    "adam": (ff.inner.Adam(0.1), Adam()),
    "rmsprop": (ff.inner.RMSprop(0.1), RMSprop()),
    "adagrad": (ff.inner.Adagrad(0.1), Adagrad()),
}

every_engine = pytest.mark.parametrize("engine", ENGINES)
every_flow = pytest.mark.parametrize("flow", ["first", "exact"])


def net_of(sizes, loss="mse"):
    """The package's network, the oracle's, and parameters."""
    hidden = ("tanh",) * (len(sizes) - 2)
    theta = ff.MLP(sizes, activation="tanh").init(0, np.float64)
    return ff.MLP(sizes, activation="tanh", loss=loss), oracle.Net(sizes, hidden, loss), theta


def tasks_of(sizes, counts, n_query=6, seed=0):
    """Tasks whose step k of task t has ``counts[t][k]`` rows, each with a weight."""
    rng = np.random.default_rng(seed)

    def rows(n, width):
        return rng.standard_normal((n, width))

    return [
        SimpleNamespace(
            x_support=[rows(n, sizes[0]) for n in of_task],
            y_support=[rows(n, sizes[-1]) for n in of_task],
            weights_support=[rng.uniform(0.5, 2, n) for n in of_task],
            x_query=rows(n_query, sizes[0]),
            y_query=rows(n_query, sizes[-1]),
        )
        for of_task in counts
    ]


def batch_of(tasks, dtype=None):
    names = ("x_support", "y_support", "x_query", "y_query")
    return ff.TaskBatch(
        *([getattr(task, name) for task in tasks] for name in names),
        weights_support=[task.weights_support for task in tasks],
        dtype=dtype,
    )


@cache
def expected_of(sizes, counts, flow, name, **options):
    """What the oracle says, once for all engines."""
    _, slow_net, theta = net_of(sizes)
    steps = len(counts[0])
    algorithm = Algorithm(
        optimiser=OPTIMISERS[name][1], rates=0.1, steps=steps, gradient=flow, **options
    )
    return result(slow_net, theta, tasks_of(sizes, counts), algorithm)


def same_rows(tasks=T, steps=S, rows=4):
    return ((rows,) * steps,) * tasks


@every_engine
@every_flow
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("options", [{}, {"adapt": "head"}, {"step_weights": (0.2, 0.3, 0.5)}])
def test_meta_gradients(engine, flow, rows, name, options):
    net, _, theta = net_of((3, 7, 2))
    counts = same_rows(rows=rows)
    tasks, expected = (
        tasks_of(net.sizes, counts),
        expected_of(net.sizes, counts, flow, name, **options),
    )
    algorithm = ff.Algorithm(inner=OPTIMISERS[name][0], steps=S, gradient=flow, **options)
    with _debug.force_engine(engine):
        got = ff.meta_grad(net, theta, batch_of(tasks), algorithm)
    np.testing.assert_allclose(got.grad, expected.grad, rtol=0, atol=1e-9)
    np.testing.assert_allclose(got.loss, expected.loss, rtol=0, atol=1e-12)


#: Rows of every step: of one task, of one step, of tasks or steps or both that differ.
COUNTS = {
    "one task": ((2, 2, 2),),
    "one step": ((3,),) * 4,
    "one of everything": ((1,),),
    "steps differ": ((1, 5, 2),) * 3,
    "tasks differ": ((2, 2), (9, 9), (1, 1)),
    "all differ": ((1, 8, 3, 1), (4, 1, 1, 17), (2, 2, 9, 5), (1, 1, 1, 1), (7, 8, 9, 1)),
}


@every_engine
@every_flow
@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize("sizes", [(1, 1), (2, 9, 3)])
def test_ragged_rows(engine, flow, name, counts, sizes):
    net, _, theta = net_of(sizes)
    tasks, expected = tasks_of(sizes, counts), expected_of(sizes, counts, flow, name)
    algorithm = ff.Algorithm(inner=OPTIMISERS[name][0], steps=len(counts[0]), gradient=flow)
    for dtype in (np.float64, np.float32):
        batch = batch_of(tasks, dtype)
        with _debug.force_engine(engine):
            got = ff.meta_grad(net, theta.astype(dtype), batch, algorithm, per_task=True)
            adapted = ff.adapt(
                *(net, theta.astype(dtype), batch.x_support, batch.y_support, algorithm),
                weights=batch.weights_support,
            )
        # A direction that is nearly a sign may have the other one in float32.
        limit = {np.float64: 1e-9, np.float32: 2e-5 if name == "sgd" else 0.02}[dtype]
        assert relative_error(got.grad, expected.grad) < limit
        for task, of_task, theta_s in zip(expected.tasks, got.task_grads, adapted, strict=True):
            assert relative_error(of_task, task.grad) < 2 * limit
            assert relative_error(theta_s, task.path.points[-1]) < limit


#: One point for each option that takes a way of its own through the engines.
POINTS = {
    "learned rates": Point("adam, eps 0.1", "layer", learn="step_layer"),
    "rates of parameters": Point("momentum", "parameter", learn=True, clip_norm=0.4),
    "context": Point("momentum", context=2, learn=True, loss="huber"),
    "decays and pull": Point(
        "nesterov", weight_decay=0.2, decoupled_weight_decay=0.1, proximal=0.7, adapt=(0, 2)
    ),
    "layer norm": Point("rmsprop, centered", norm="layer", activation="gelu", step_weights=True),
    "batch norm": Point(norm="batch", activation="silu", adapt="body"),
    "batch norm, head": Point("adagrad, decay", norm="batch", adapt="head"),
    "labels": Point("adam, eps 0.1", loss="cross_entropy", query_loss=None),
    "probabilities": Point(loss="soft_cross_entropy", query_loss="mse"),
    "outputs without targets": Point("momentum", gaps=True, adapt="head"),
    "outputs without targets, sgd": Point(gaps=True, loss="binary_cross_entropy"),
}


@every_engine
@pytest.mark.parametrize("flow", ["first", "exact", "reptile"])
@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_options(engine, flow, point):
    point = replace(point, flow=flow, stepped=True)
    if flow == "reptile":
        point = replace(point, learn=False, step_weights=False, context=0)
    with _debug.force_engine(engine):
        plan = ff.plan(subject.mlp(point), subject.batch(point), subject.algorithm(point))
        if plan.engine is None:
            assert (engine, point.context) == ("rows", 2)
            return
        got, adapted = subject.meta_grad(point), subject.adapt(point)
    expected, limit = point.expected, TOLERANCES["combination"]["float64"]
    assert relative_error(got.grad, expected.grad) < limit
    assert relative_error(got.loss, expected.loss) < limit
    for theta_s, task in zip(adapted, expected.tasks, strict=True):
        assert relative_error(theta_s, task.path.points[-1]) < limit
    if point.learn:
        assert relative_error(got.rate_grad, expected.rate_grad) < limit


@every_flow
@pytest.mark.parametrize("name", ["sgd", "momentum"])
@pytest.mark.parametrize(
    ("sizes", "rows", "why"),
    [
        ((3, 17, 33, 2), 9, "vectors that are not full"),
        ((64, 8, 2), 3, "shared rows of so wide an input are never multiplied by its weights"),
        ((2, 5, 1), 150, "more rows than a piece has"),
        ((300, 200, 3), 2, "gradients of a layer this large are put off"),
    ],
)
def test_sizes(flow, name, sizes, rows, why):
    """Engines share nothing but the flow; the reference met the oracle above."""
    net, _, theta = net_of(sizes)
    counts = np.random.default_rng(1).integers(1, rows + 1, (9, S)).tolist()
    batch = batch_of(tasks_of(sizes, counts))
    algorithm = ff.Algorithm(inner=OPTIMISERS[name][0], steps=S, gradient=flow)
    results = {}
    for engine in ENGINES:
        with _debug.force_engine(engine):
            if ff.plan(net, batch, algorithm).engine is not None:
                results[engine] = ff.meta_grad(net, theta, batch, algorithm).grad
    for grad in results.values():
        np.testing.assert_allclose(grad, results["reference"], rtol=1e-8, atol=1e-11)
    assert len(results) > 1, why


@every_engine
@every_flow
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_bits_do_not_depend_on_threads(engine, flow, name):
    net, _, theta = net_of((3, 7, 2))
    counts = np.random.default_rng(2).integers(1, 6, (70, S)).tolist()
    batch = batch_of(tasks_of(net.sizes, counts), np.float32)
    algorithm = ff.Algorithm(inner=OPTIMISERS[name][0], steps=S, gradient=flow)
    theta = theta.astype(np.float32)
    with _debug.force_engine(engine):
        one = ff.meta_grad(net, theta, batch, algorithm, threads=1)
        for threads in (2, 3):
            more = ff.meta_grad(net, theta, batch, algorithm, threads=threads)
            assert more.grad.tobytes() == one.grad.tobytes()
            assert more.losses.tobytes() == one.losses.tobytes()


@every_engine
@every_flow
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_rows_that_are_the_same_at_every_step_are_shared_rows(engine, flow, name):
    net, _, theta = net_of((3, 7, 2))
    x, y, xq, yq = (np.random.default_rng(3).standard_normal((T, 4, n)) for n in (3, 2, 3, 2))
    repeated = (np.ascontiguousarray(np.stack([rows] * S, axis=1)) for rows in (x, y))
    algorithm = ff.Algorithm(inner=OPTIMISERS[name][0], steps=S, gradient=flow)
    with _debug.force_engine(engine):
        of_steps = ff.meta_grad(net, theta, ff.TaskBatch(*repeated, xq, yq), algorithm)
        shared = ff.meta_grad(net, theta, ff.TaskBatch(x, y, xq, yq), algorithm)
    np.testing.assert_array_equal(of_steps.grad, shared.grad)
    np.testing.assert_array_equal(of_steps.support_losses, shared.support_losses)


def test_exact_adam_matches_jax(jax):
    """Online adaptation, a row a step: autodiff of the loop as one would write it."""
    jnp = jax.numpy
    net, _, theta = net_of((3, 7, 2))
    tasks = tasks_of(net.sizes, same_rows(tasks=2, steps=4, rows=1))
    algorithm = ff.Algorithm(inner=ff.inner.Adam(0.05, eps=1e-3), steps=4, gradient="exact")

    def loss(theta, x, y):
        w, b, head, shift = jnp.split(theta, (21, 28, 42))
        outputs = jnp.tanh(x @ w.reshape(3, 7) + b) @ head.reshape(7, 2) + shift
        return jnp.mean((outputs - y) ** 2)

    def meta_loss(start, task):
        theta, m, v = start, 0.0, 0.0
        for t, (x, y, c) in enumerate(
            zip(task.x_support, task.y_support, task.weights_support, strict=True), 1
        ):
            g = c[0] * jax.grad(loss)(theta, x, y)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            theta = theta - 0.05 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-3)
        return loss(theta, task.x_query, task.y_query)

    expected = [jax.jit(jax.grad(partial(meta_loss, task=task)))(theta) for task in tasks]
    got = ff.meta_grad(net, theta, batch_of(tasks), algorithm, per_task=True)
    np.testing.assert_allclose(got.task_grads, expected, rtol=1e-8, atol=1e-10)


def test_classes_of_many_tasks_over_the_rows_of_one():
    net = ff.MLP([2, 5, 3], loss="cross_entropy")
    theta, classes = net.init(0, np.float64), np.ones((4, 3), bool)
    classes[1, 2] = False
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1, 3, 4, 2)), rng.integers(0, 2, (1, 3, 4))
    found = ff.adapt(net, theta, x, y, ff.maml(0.1, steps=3), class_mask=classes)
    every = np.repeat(x, 4, 0), np.repeat(y, 4, 0)
    expected = ff.adapt(net, theta, *every, ff.maml(0.1, steps=3), class_mask=classes)
    np.testing.assert_array_equal(found, expected)
